//! Names that people give to things.

/// The longest name, in characters.
pub const MAX_CHARS: usize = 64;

/// Checks a name: 1 to 64 characters once trimmed, no control characters. The error begins with the member that holds it
/// and says what to change.
pub fn check<'n>(member: &str, name: &'n str) -> Result<&'n str, String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_CHARS {
        return Err(format!("{member} must have 1 to {MAX_CHARS} characters"));
    }
    if name.chars().any(char::is_control) {
        return Err(format!("{member} must not hold control characters"));
    }
    Ok(name)
}
