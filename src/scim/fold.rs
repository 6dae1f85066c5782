//! Normalization of text for comparison.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// Returns the comparison key of a text for case-insensitive attributes. Uniqueness, `eq` and the indexes use it.
///
/// NFKC with full case folding, similar to the PRECIS profile `UsernameCaseMapped` (RFC 7644 section 5):
/// names that differ only in width, composition or case have the same key. Unlike the profile it accepts all text,
/// because names with spaces exist. `key(key(x)) == key(x)`.
pub fn fold_case(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    let mut key = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(foreign) = rest.find(|letter: char| !letter.is_ascii()) {
        // No ASCII character combines with the characters ahead of it, so each one begins an independent part.
        let start = foreign.saturating_sub(1);
        let end = rest[foreign..].find(|letter: char| letter.is_ascii()).map_or(rest.len(), |end| foreign + end);
        push_ascii_key(&rest[..start], &mut key);
        push_foreign_key(&rest[start..end], &mut key);
        rest = &rest[end..];
    }
    push_ascii_key(rest, &mut key);
    Cow::Owned(key)
}

fn push_ascii_key(text: &str, key: &mut String) {
    key.extend(text.chars().map(|letter| letter.to_ascii_lowercase()));
}

/// Normalization costs more than a hundred nanoseconds for each byte, so it runs only where it is needed.
fn push_foreign_key(text: &str, key: &mut String) {
    let mut folded: String = fold_once(text);
    // Folding can undo normalization and the reverse; a few rounds reach the fixed point.
    for _ in 0..4 {
        let next = fold_once(&folded);
        if next == folded {
            break;
        }
        folded = next;
    }
    key.push_str(&folded);
}

fn fold_once(text: &str) -> String {
    caseless::default_case_fold_str(&text.nfkc().collect::<String>()).nfkc().collect()
}

#[cfg(test)]
mod tests {
    use crate::scim::fold::fold_case;

    #[test]
    fn case_width_and_composition_do_not_count() {
        for (left, right) in [
            ("Ada@Example.com", "aDA@example.COM"),
            ("STRASSE", "straße"),
            ("\u{212a}elvin", "kelvin"),
            ("\u{ff21}da", "ada"),
            ("caf\u{e9}", "CAFE\u{301}"),
            ("ﬁn", "FIN"),
        ] {
            assert_eq!(fold_case(left), fold_case(right), "{left} {right}");
        }
    }

    #[test]
    fn different_names_have_different_keys() {
        assert_ne!(fold_case("\u{131}van"), fold_case("ivan"));
        assert_ne!(fold_case("ada"), fold_case("ada "));
    }

    /// The key of the whole text at once.
    fn fold_whole(text: &str) -> String {
        let mut key = String::new();
        super::push_foreign_key(text, &mut key);
        key
    }

    #[test]
    fn every_ascii_character_begins_an_independent_part() {
        let marks = ["\u{301}", "\u{345}", "\u{fdfa}", "ß", "\u{1100}\u{1161}", "\u{2126}", "é", "\u{3099}"];
        for ascii in (0_u8..128).map(char::from) {
            for (left, right) in marks.iter().flat_map(|left| marks.iter().map(move |right| (left, right))) {
                for text in [format!("{left}{ascii}{right}"), format!("{ascii}{left}{ascii}{ascii}{right}Z")] {
                    assert_eq!(fold_case(&text), fold_whole(&text), "{text:?}");
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn the_parts_have_the_key_of_the_whole(text in "([a-zA-Z .@]{0,3}|[éßﬁ가ａＡ´]|\\PC{0,3}|[\u{300}-\u{345}])*") {
            proptest::prop_assert_eq!(fold_case(&text).into_owned(), fold_whole(&text));
        }

        #[test]
        fn a_key_is_its_own_key(text in ".*") {
            let once = fold_case(&text).into_owned();
            proptest::prop_assert_eq!(fold_case(&once).into_owned(), once.clone());
        }
    }
}
