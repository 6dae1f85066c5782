//! Time-based one-time codes of an authenticator app (RFC 6238): six digits, a new code every 30 seconds.

use totp_rs::{Builder, Secret};

/// Time steps before and after the current one whose codes are accepted: clocks differ, and typing takes time.
const STEPS_TOLERANCE: u16 = 1;

/// Encodes bytes in base32 (RFC 4648 section 6) without padding, the format of secrets in authenticator apps.
pub fn encode_base32(bytes: &[u8]) -> String {
    Secret::from(bytes).to_base32()
}

/// Returns the time step that the code belongs to, or `None` if the code is not accepted at `now` (milliseconds since
/// 1970). White space is ignored.
pub fn find_time_step(key: &[u8], typed: &str, now: i64) -> Option<i64> {
    let typed: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let totp = Builder::new().with_secret(key).with_skew(STEPS_TOLERANCE).build().ok()?;
    let step = totp.check(&typed, u64::try_from(now.div_euclid(1000)).ok()?)?;
    i64::try_from(step).ok()
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
            assert_eq!(find_time_step(KEY, typed, seconds * 1000), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_of_another_time_or_another_shape_is_none() {
        assert_eq!(find_time_step(KEY, "287 082", 59_000 + 30_000), Some(1));
        for (typed, now) in [
            ("287082", 59_000 + 60_000),
            ("287083", 59_000),
            ("", 59_000),
            ("94287082", 59_000),
            ("+87082", 59_000),
            ("287082", -1),
        ] {
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
