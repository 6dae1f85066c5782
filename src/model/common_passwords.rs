//! Common passwords: the 100,000 that appear most often in published leaks, as a Bloom filter in the program.
//!
//! `common_passwords.py` builds the filter and names the source of the list. The filter has 2,000,000 bits and 14 hashes
//! of each entry, in lower case. It contains every entry; another text is found in it with a probability of 1 in 18,000.

use sha2::{Digest, Sha256};

const FILTER: &[u8; 250_000] = include_bytes!("common_passwords.bin");
const FILTER_BITS: u64 = 2_000_000;
const HASHES: u64 = 14;

/// Name of this product, which is in no list of leaks.
const PRODUCT_NAME: &str = "rollcall";
/// Most digits and symbols around a common password that do not make it a good one.
const AFFIX_MAX_CHARS: usize = 8;
/// Shortest base of a password with such additions.
const BASE_MIN_CHARS: usize = 4;
/// Longest part that makes a common password by repetition alone, such as `abab…`.
const REPEATED_PART_MAX_CHARS: usize = 4;

/// Whether the password is common, in any case: it is in the list, or it is an entry of the list that is repeated or has
/// up to eight digits and symbols around it.
pub fn is_common_password(password: &str) -> bool {
    let lower = password.to_lowercase();
    if is_listed(&lower) {
        return true;
    }
    let part = find_repeated_part(&lower);
    if part.len() < lower.len() && (part.chars().count() <= REPEATED_PART_MAX_CHARS || is_listed(part)) {
        return true;
    }
    [lower.as_str(), part].into_iter().any(|text| {
        let base = text.trim_matches(|c: char| !c.is_alphabetic());
        let (base_chars, all_chars) = (base.chars().count(), text.chars().count());
        (BASE_MIN_CHARS..all_chars).contains(&base_chars)
            && all_chars - base_chars <= AFFIX_MAX_CHARS
            && is_listed(base)
    })
}

/// Whether a text in lower case is in the list.
fn is_listed(lower: &str) -> bool {
    lower == PRODUCT_NAME || is_in_filter(lower)
}

fn is_in_filter(lower: &str) -> bool {
    let digest = Sha256::digest(lower.as_bytes());
    let number = |from: usize| {
        let bytes = digest[from..from + 8].iter().rev();
        bytes.fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let (first, step) = (number(0), number(8) | 1);
    (0..HASHES).all(|index| {
        let bit = first.wrapping_add(index.wrapping_mul(step)) % FILTER_BITS;
        usize::try_from(bit / 8).is_ok_and(|byte| FILTER[byte] >> (bit % 8) & 1 == 1)
    })
}

/// The shortest text whose repetition is the given text; the text itself if it does not repeat.
fn find_repeated_part(text: &str) -> &str {
    let ends = text.char_indices().map(|(end, _)| end).skip(1);
    let part = ends.map(|end| &text[..end]).find(|part| {
        text.len().is_multiple_of(part.len())
            && text.as_bytes().chunks_exact(part.len()).all(|one| one == part.as_bytes())
    });
    part.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_passwords_and_their_variations_are_common() {
        for common in [
            "123456789",
            "FQRG7CS493",
            "1q2w3e4r5t6y",
            "megaparol12345",
            "Password1234",
            "sunshine2024!!",
            "!!Liverpool99",
            "passwordpassword",
            "adminadminadmin",
            "letmeinletmein",
            "Rollcall2026!",
            "rollcallrollcall",
            "abababababab",
            "aaaaaaaaaaaaaaaa",
            "üüüüüüüüüüüü",
        ] {
            assert!(is_common_password(common), "{common}");
        }
    }

    #[test]
    fn other_passwords_are_not_common() {
        for other in [
            "",
            "twelve chars",
            "correct horse battery staple",
            "a lamp on the long table",
            "sunshine4829103756281",
            "tr0ub4dor-and-3-friends",
            "x7#kQ9!vT2@m",
        ] {
            assert!(!is_common_password(other), "{other}");
        }
    }

    #[test]
    fn few_random_texts_are_found_in_the_filter_by_chance() {
        let found = (0..100_000).filter(|number| is_in_filter(&format!("no leak has {number}"))).count();
        assert!(found <= 20, "{found} of 100000");
        let ones: u32 = FILTER.iter().map(|byte| byte.count_ones()).sum();
        assert!((900_000..=1_100_000).contains(&ones), "{ones}");
    }
}
