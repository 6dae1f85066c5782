//! Text prepared for comparison.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// The key under which text is compared where case does not count: uniqueness, `eq` and the indexes all use it.
///
/// NFKC with full case folding, in the spirit of the PRECIS profile `UsernameCaseMapped` (RFC 7644 section 5):
/// width, composition and case never tell two names apart. Unlike the profile it refuses nothing,
/// because names with spaces exist. `key(key(x)) == key(x)`.
pub fn key(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    let mut now: String = fold_once(text);
    // Folding and normalising can feed each other; a handful of rounds reaches the fixed point.
    for _ in 0..4 {
        let next = fold_once(&now);
        if next == now {
            break;
        }
        now = next;
    }
    Cow::Owned(now)
}

fn fold_once(text: &str) -> String {
    caseless::default_case_fold_str(&text.nfkc().collect::<String>()).nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::key;

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
            assert_eq!(key(left), key(right), "{left} {right}");
        }
    }

    #[test]
    fn other_names_stay_apart() {
        assert_ne!(key("\u{131}van"), key("ivan"));
        assert_ne!(key("ada"), key("ada "));
    }

    proptest::proptest! {
        #[test]
        fn a_key_is_its_own_key(text in ".*") {
            let once = key(&text).into_owned();
            proptest::prop_assert_eq!(key(&once).into_owned(), once.clone());
        }
    }
}
