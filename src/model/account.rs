//! An account: a customer of the operator, identified by the operator's own id.

use crate::clock::Millis;
use crate::error::{Reason, Result};

/// Longest account id, in characters.
pub const ID_MAX_CHARS: usize = 128;

/// A customer of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Id chosen by the operator.
    pub id: String,
    /// Display name; the id until a name is set.
    pub name: String,
    /// When the account was first used, or first used again after it was deleted.
    pub created_at: Millis,
    /// Number of configurations.
    pub configurations: i64,
}

/// Checks an account id: 1 to 128 characters, no control characters, no leading or trailing space.
///
/// # Errors
/// `Invalid`.
pub fn check_id(id: &str) -> Result<()> {
    if id.is_empty() || id.chars().count() > ID_MAX_CHARS {
        return Err(Reason::AccountIdLength.with("max", ID_MAX_CHARS));
    }
    if id.trim() != id || id.chars().any(char::is_control) {
        return Err(Reason::AccountIdCharacters.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_is_any_short_text_without_control_characters() {
        for good in ["acme", "a", "Müller & Söhne", &"x".repeat(128)] {
            assert!(check_id(good).is_ok(), "{good:?}");
        }
        for bad in ["", " acme", "acme ", "a\nb", "a\0b", &"x".repeat(129)] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
    }
}
