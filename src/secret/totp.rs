//! One-time codes of an authenticator app (RFC 6238): six digits, a new one every 30 seconds.

use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};

use crate::secret;

/// Milliseconds that a code lasts.
const STEP: i64 = 30_000;
/// Codes this many steps before and after the present one are taken: clocks differ, and typing takes time.
const STEPS_OFF: i64 = 1;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Bytes in base32 (RFC 4648 section 6) without padding, as authenticator apps read a secret.
pub fn base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(5) {
        let bits = group.iter().enumerate().fold(0u64, |bits, (at, byte)| bits | u64::from(*byte) << (32 - 8 * at));
        for at in 0..(group.len() * 8).div_ceil(5) {
            let index = usize::try_from(bits >> (35 - 5 * at) & 31).unwrap_or_default();
            text.push(char::from(ALPHABET[index]));
        }
    }
    text
}

/// The step of time for which that is the code, if it is one of those that are taken now (milliseconds since 1970). Blanks
/// are passed over.
pub fn step_of(key: &[u8], typed: &str, now: i64) -> Option<i64> {
    let typed: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let present = now.div_euclid(STEP);
    let mut steps = present - STEPS_OFF..=present + STEPS_OFF;
    steps.find(|step| secret::same(&secret::digest(&code(key, *step)), &secret::digest(&typed)))
}

/// The code of a step (RFC 4226 section 5.3).
fn code(key: &[u8], step: i64) -> String {
    let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = usize::from(bytes[bytes.len() - 1] & 15);
    let number = bytes[offset..offset + 4].iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_rfc_6238() {
        for (seconds, typed) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(KEY, seconds / 30), typed);
            assert_eq!(step_of(KEY, typed, seconds * 1000), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_of_another_time_or_another_shape_is_none() {
        assert_eq!(step_of(KEY, "287 082", 59_000 + 30_000), Some(1));
        for (typed, now) in [("287082", 59_000 + 60_000), ("287083", 59_000), ("", 59_000), ("94287082", 59_000)] {
            assert_eq!(step_of(KEY, typed, now), None, "{typed}");
        }
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }
}
