//! A user's password as the client sent it (RFC 7643 section 4.1.1), normalized for comparison but not yet hashed.

use crate::error::{Error, Reason};
use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// Longest password, in bytes of UTF-8.
pub const PASSWORD_MAX_BYTES: usize = 1_024;

/// A normalized password in clear text. `Debug` prints `***`; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct ClearText(String);

impl ClearText {
    /// The password itself, for hashing.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClearText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearText(***)")
    }
}

/// The stored hash of a password. `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordDigest(pub String);

impl fmt::Debug for PasswordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordDigest(***)")
    }
}

/// The change that a write makes to a user's password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordChange {
    /// Set this password. It must be hashed before the transaction starts.
    SetClearText(ClearText),
    /// Set this password.
    SetDigest(PasswordDigest),
    /// Remove the password.
    Remove,
}

/// Returns the normalized password of a request.
///
/// # Errors
/// 400 invalidValue if it is empty or longer than [`PASSWORD_MAX_BYTES`].
pub fn parse_password(text: &str) -> Result<ClearText, Error> {
    if text.is_empty() {
        return Err(Error::new(Reason::ScimPasswordEmpty));
    }
    if text.len() > PASSWORD_MAX_BYTES {
        return Err(Reason::ScimPasswordTooLong.with("max", PASSWORD_MAX_BYTES));
    }
    Ok(normalize_password(text))
}

/// Returns the text normalized with the PRECIS profile `OpaqueString` (RFC 7644 section 5, RFC 8265 section 4.2), so
/// that a password does not depend on how the keyboard composes its letters and spaces. Case is significant. Unlike the
/// profile it accepts all text, because passwords with unusual characters exist.
pub fn normalize_password(text: &str) -> ClearText {
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
        assert_eq!(normalize_password("ma\u{f1}ana\u{a0}x"), normalize_password("man\u{303}ana x"));
        assert_ne!(normalize_password("Secret"), normalize_password("secret"));
        // OpaqueString only composes; width is significant.
        assert_ne!(normalize_password("\u{ff21}"), normalize_password("A"));
    }

    #[test]
    fn neither_password_nor_digest_is_in_a_debug_text() {
        let output = format!(
            "{:?} {:?}",
            normalize_password("hunter2"),
            PasswordChange::SetDigest(PasswordDigest("$argon2id$".into()))
        );
        assert_eq!(output, "ClearText(***) SetDigest(PasswordDigest(***))");
    }

    #[test]
    fn a_password_has_a_minimum_and_a_maximum_length() {
        assert_eq!(parse_password("").unwrap_err().reason(), Reason::ScimPasswordEmpty);
        assert!(parse_password(&"x".repeat(PASSWORD_MAX_BYTES)).is_ok());
        let too_long = parse_password(&"x".repeat(PASSWORD_MAX_BYTES + 1)).unwrap_err();
        assert_eq!((too_long.reason(), too_long.param("max")), (Reason::ScimPasswordTooLong, Some("1024")));
    }
}
