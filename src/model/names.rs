//! Validation of display names.

use crate::error::{Reason, Result};

/// Longest name, in characters.
pub const MAX_CHARS: usize = 64;

/// Whether a text has characters that are not visible or turn the direction of the text around them. Joiners stay: some
/// scripts and emoji need them.
pub fn has_hidden_characters(text: &str) -> bool {
    text.chars().any(|c| {
        c.is_control()
            || matches!(c,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{200e}'
                | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    })
}

/// Checks a name: 1 to 64 characters after trimming, no control or hidden characters. Returns the trimmed name.
///
/// # Errors
/// `Invalid` on `member`, the JSON member of the name.
pub fn check_name<'n>(member: &'static str, name: &'n str) -> Result<&'n str> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_CHARS {
        return Err(Reason::NameLength.with("max", MAX_CHARS).on_field(member));
    }
    if has_hidden_characters(name) {
        return Err(Reason::NameControlCharacters.on_field(member));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_hide_or_turn_text_are_refused_in_names() {
        for wrong in ["a\u{202e}b", "a\u{200b}b", "a\u{2066}b", "a\nb", "a\u{feff}b"] {
            assert!(check_name("name", wrong).is_err(), "{wrong:?}");
        }
        for right in ["Müller & Söhne", "نام\u{200c}ها", "Main 👩\u{200d}💻", "אקמי"] {
            assert!(check_name("name", right).is_ok(), "{right:?}");
        }
    }
}
