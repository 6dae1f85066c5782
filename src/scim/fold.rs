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
    let mut folded: String = fold_once(text);
    // Folding can undo normalization and the reverse; a few rounds reach the fixed point.
    for _ in 0..4 {
        let next = fold_once(&folded);
        if next == folded {
            break;
        }
        folded = next;
    }
    Cow::Owned(folded)
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

    proptest::proptest! {
        #[test]
        fn a_key_is_its_own_key(text in ".*") {
            let once = fold_case(&text).into_owned();
            proptest::prop_assert_eq!(fold_case(&once).into_owned(), once.clone());
        }
    }
}
