//! An account: a customer of the operator, under the operator's own id.

use crate::clock::Millis;

/// The longest account id taken, in characters.
pub const ID_MAX_CHARS: usize = 128;

/// A customer of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The operator's own string.
    pub id: String,
    /// What people call it; the id until somebody says otherwise.
    pub name: String,
    /// When it was first used, or used again after it was deleted.
    pub created_at: Millis,
    /// How many configurations it has.
    pub configurations: i64,
}

/// Checks an account id: 1 to 128 characters, no control characters, no blank at either end. The error says what to change.
pub fn check_id(id: &str) -> Result<(), String> {
    if id.is_empty() || id.chars().count() > ID_MAX_CHARS {
        return Err(format!("an account id has 1 to {ID_MAX_CHARS} characters"));
    }
    if id.trim() != id || id.chars().any(char::is_control) {
        return Err("an account id holds no control characters, and no blank at its start or end".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_is_any_short_text_without_control_characters() {
        for good in ["acme", "a", "Müller & Söhne", &"x".repeat(128)] {
            assert_eq!(check_id(good), Ok(()));
        }
        for bad in ["", " acme", "acme ", "a\nb", "a\0b", &"x".repeat(129)] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
    }
}
