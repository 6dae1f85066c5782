//! A user's password as it was sent (RFC 7643 section 4.1.1): prepared for comparison, and on its way to be hashed.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use super::Error;

/// Longest password, in bytes of UTF-8.
pub const PASSWORD_MAX_BYTES: usize = 1_024;

/// A password in plain text, prepared for comparison. `Debug` prints `***`, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct ClearText(String);

impl ClearText {
    /// The password itself, for who hashes it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClearText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearText(***)")
    }
}

/// What is stored of a password. `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordDigest(pub String);

impl fmt::Debug for PasswordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordDigest(***)")
    }
}

/// What a write does to a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// It becomes this one, which must be hashed before a transaction may see it.
    Clear(ClearText),
    /// It becomes this one.
    Hashed(PasswordDigest),
    /// The user has none any more.
    Removed,
}

/// Reads a password of a request.
///
/// # Errors
/// 400 invalidValue where it is empty or longer than [`PASSWORD_MAX_BYTES`].
pub fn read(text: &str) -> Result<ClearText, Error> {
    if text.is_empty() {
        return Err(Error::value("password must not be empty; remove it instead"));
    }
    if text.len() > PASSWORD_MAX_BYTES {
        return Err(Error::value(format!("password must not be longer than {PASSWORD_MAX_BYTES} bytes")));
    }
    Ok(prepared(text))
}

/// RFC 7644 section 5: the PRECIS profile `OpaqueString` (RFC 8265 section 4.2), so that a password is the same however
/// the keyboard composes its letters and spaces. Case counts. Unlike the profile it refuses nothing: passwords with
/// unusual characters exist.
pub fn prepared(text: &str) -> ClearText {
    let plain_spaces = text.chars().map(|c| if is_space(c) { ' ' } else { c });
    ClearText(plain_spaces.nfc().collect())
}

/// Unicode's general category Zs.
fn is_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_composition_do_not_count_and_case_does() {
        assert_eq!(prepared("ma\u{f1}ana\u{a0}x"), prepared("man\u{303}ana x"));
        assert_ne!(prepared("Secret"), prepared("secret"));
        // OpaqueString composes, and goes no further: width stays.
        assert_ne!(prepared("\u{ff21}"), prepared("A"));
    }

    #[test]
    fn neither_password_nor_digest_is_in_a_debug_text() {
        let shown = format!("{:?} {:?}", prepared("hunter2"), Password::Hashed(PasswordDigest("$argon2id$".into())));
        assert_eq!(shown, "ClearText(***) Hashed(PasswordDigest(***))");
    }

    #[test]
    fn a_password_has_a_first_and_a_last_byte() {
        assert!(read("").unwrap_err().detail.contains("empty"));
        assert!(read(&"x".repeat(PASSWORD_MAX_BYTES)).is_ok());
        assert!(read(&"x".repeat(PASSWORD_MAX_BYTES + 1)).unwrap_err().detail.contains("1024 bytes"));
    }
}
