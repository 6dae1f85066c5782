//! Validation of display names.

use crate::error::{Reason, Result};

/// Longest name, in characters.
pub const MAX_CHARS: usize = 64;

/// Checks a name: 1 to 64 characters after trimming, no control characters. Returns the trimmed name.
///
/// # Errors
/// `Invalid` on `member`, the JSON member of the name.
pub fn check_name<'n>(member: &'static str, name: &'n str) -> Result<&'n str> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_CHARS {
        return Err(Reason::NameLength.with("max", MAX_CHARS).on_field(member));
    }
    if name.chars().any(char::is_control) {
        return Err(Reason::NameControlCharacters.on_field(member));
    }
    Ok(name)
}
