//! Admins of the portal and their roles.

use super::account::AccountRef;
use super::common_passwords::is_common_password;
use super::names::has_hidden_characters;
use super::permission::{Permission, Permissions};
use crate::clock::Millis;
use crate::error::{Reason, Result};

/// Longest name of an admin, in characters.
pub const NAME_MAX_CHARS: usize = 100;
/// Longest e-mail address, in bytes (RFC 5321 section 4.5.3.1.3).
pub const EMAIL_MAX_BYTES: usize = 254;
/// Shortest password, in characters.
pub const PASSWORD_MIN_CHARS: usize = 12;
/// Longest password, in characters; limits the cost of hashing.
pub const PASSWORD_MAX_CHARS: usize = 256;

/// Id of the role with all permissions. At least one active admin without an account limit must have it.
pub const OWNER: &str = "owner";

/// A human with a portal login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Id of the admin.
    pub id: String,
    /// E-mail address as entered.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Id of the role.
    pub role: String,
    /// The account that the role is limited to; none for all accounts.
    pub account: Option<AccountRef>,
    /// Whether sign-in requires a one-time code.
    pub has_totp: bool,
    /// When the admin was created.
    pub created_at: Millis,
    /// Time of the last sign-in.
    pub last_sign_in_at: Option<Millis>,
    /// When the admin was disabled.
    pub disabled_at: Option<Millis>,
}

/// A named set of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Id of the role.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Granted permissions.
    pub permissions: Permissions,
    /// Whether the role is built in and cannot be changed.
    pub is_built_in: bool,
}

/// Returns the built-in roles.
pub fn built_in_roles() -> [Role; 3] {
    let role = |id: &str, name: &str, permissions| Role {
        id: id.to_owned(),
        name: name.to_owned(),
        permissions,
        is_built_in: true,
    };
    let provisioning = Permission::ALL.into_iter().take(6).collect();
    let viewer = Permissions::from_iter([Permission::ProvisioningRead, Permission::DirectoryRead]);
    [
        role(OWNER, "Owner", Permissions::ALL),
        role("provisioning-manager", "Provisioning manager", provisioning),
        role("viewer", "Viewer", viewer),
    ]
}

/// Normalizes an e-mail address for comparison: trimmed, in lowercase.
///
/// # Errors
/// `Invalid`.
pub fn normalize_email(email: &str) -> Result<String> {
    let email = email.trim();
    let is_plain = !email.chars().any(char::is_whitespace) && !has_hidden_characters(email) && !mixes_scripts(email);
    let has_parts = email.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if !is_plain || !has_parts || email.len() > EMAIL_MAX_BYTES {
        return Err(Reason::EmailInvalid.into());
    }
    Ok(email.to_lowercase())
}

/// Whether a text has Latin letters next to letters of a script that has the same shapes, or other forms of ASCII: such an
/// address can look like another one. Joiners are not visible in an address.
fn mixes_scripts(text: &str) -> bool {
    let is_latin = |c: char| c.is_ascii_alphabetic();
    let is_alike = |c: char| matches!(c, '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' | '\u{530}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}');
    let is_never = |c: char| matches!(c, '\u{200c}' | '\u{200d}' | '\u{ff00}'..='\u{ffef}' | '\u{1d400}'..='\u{1d7ff}');
    let mixes = |part: &str| part.chars().any(is_latin) && part.chars().any(is_alike);
    text.split('@').any(mixes) || text.chars().any(is_never)
}

/// Checks the name of an admin: 1 to 100 characters, no control or hidden characters. Returns the trimmed name.
///
/// # Errors
/// `Invalid`.
pub fn check_name(name: &str) -> Result<&str> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX_CHARS || has_hidden_characters(name) {
        return Err(Reason::AdminNameLength.with("max", NAME_MAX_CHARS));
    }
    Ok(name)
}

/// Checks a new password: its length, that it is not a common password, and that it is not the e-mail address.
///
/// # Errors
/// `Invalid`.
pub fn check_password(password: &str, email: &str) -> Result<()> {
    let length = password.chars().count();
    if length < PASSWORD_MIN_CHARS {
        return Err(Reason::PasswordTooShort.with("min", PASSWORD_MIN_CHARS));
    }
    if length > PASSWORD_MAX_CHARS {
        return Err(Reason::PasswordTooLong.with("max", PASSWORD_MAX_CHARS));
    }
    if is_common_password(password) || password.to_lowercase() == email.trim().to_lowercase() {
        return Err(Reason::PasswordTooCommon.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roles_match_the_documentation() {
        let [owner, manager, viewer] = built_in_roles();
        assert_eq!(owner.permissions.iter().count(), 9);
        assert_eq!(manager.permissions.key_list().split(' ').next_back(), Some("requests.read"));
        assert_eq!(viewer.permissions.key_list(), "provisioning.read directory.read");
    }

    #[test]
    fn addresses_are_trimmed_and_case_insensitive() {
        assert_eq!(normalize_email(" Alice@Example.com ").ok(), Some("alice@example.com".to_owned()));
        for wrong in ["", "alice", "@example.com", "alice@", "a b@example.com", &format!("{}@x.y", "a".repeat(251))] {
            assert!(normalize_email(wrong).is_err(), "{wrong}");
        }
        // A hidden character, a Cyrillic o, fullwidth letters, a joiner.
        for alike in ["olga\u{200b}@op.example", "\u{43e}lga@op.example", "ｏlga@op.example", "ol\u{200d}ga@op.example"]
        {
            assert!(normalize_email(alike).is_err(), "{alike:?}");
        }
        assert!(normalize_email("ольга@пример.рф").is_ok() && normalize_email("jürgen@op.example").is_ok());
    }

    #[test]
    fn short_and_common_passwords_are_refused() {
        for wrong in
            ["", "short", "elevenchars", "password1234", "Password1234", "aaaaaaaaaaaaaaaa", "alice@example.com"]
        {
            assert!(check_password(wrong, "alice@example.com").is_err(), "{wrong}");
        }
        for right in ["twelve chars", "correct horse battery staple", &"ü".repeat(12).replacen('ü', "ä", 1)] {
            assert!(check_password(right, "alice@example.com").is_ok(), "{right}");
        }
    }
}
