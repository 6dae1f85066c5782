//! Time-based one-time codes of an authenticator app (RFC 6238): six digits, a new code every 30 seconds.

use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};

use crate::auth::secret;

/// Length of a time step, in milliseconds.
const STEP_MS: i64 = 30_000;
/// Time steps before and after the current one whose codes are accepted: clocks differ, and typing takes time.
const STEPS_TOLERANCE: i64 = 1;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Encodes bytes in base32 (RFC 4648 section 6) without padding, the format of secrets in authenticator apps.
pub fn encode_base32(bytes: &[u8]) -> String {
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

/// Returns the time step that the code belongs to, or `None` if the code is not accepted at `now` (milliseconds since
/// 1970). White space is ignored.
pub fn find_time_step(key: &[u8], typed: &str, now: i64) -> Option<i64> {
    let typed: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let current = now.div_euclid(STEP_MS);
    let mut steps = current - STEPS_TOLERANCE..=current + STEPS_TOLERANCE;
    steps.find(|step| {
        secret::digests_match(&secret::digest_text(&compute_code(key, *step)), &secret::digest_text(&typed))
    })
}

/// Returns the code of a time step (RFC 4226 section 5.3).
fn compute_code(key: &[u8], step: i64) -> String {
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
            assert_eq!(compute_code(KEY, seconds / 30), typed);
            assert_eq!(find_time_step(KEY, typed, seconds * 1000), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_of_another_time_or_another_shape_is_none() {
        assert_eq!(find_time_step(KEY, "287 082", 59_000 + 30_000), Some(1));
        for (typed, now) in [("287082", 59_000 + 60_000), ("287083", 59_000), ("", 59_000), ("94287082", 59_000)] {
            assert_eq!(find_time_step(KEY, typed, now), None, "{typed}");
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
            assert_eq!(encode_base32(bytes.as_bytes()), text);
        }
    }
}
