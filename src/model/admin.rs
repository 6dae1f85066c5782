//! Admins of the portal and their roles.

use super::account::AccountRef;
use super::common_passwords::is_common_password;
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
    let is_plain = email.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let has_parts = email.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if !is_plain || !has_parts || email.len() > EMAIL_MAX_BYTES {
        return Err(Reason::EmailInvalid.into());
    }
    Ok(email.to_lowercase())
}

/// Checks the name of an admin: 1 to 100 characters, no control characters. Returns the trimmed name.
///
/// # Errors
/// `Invalid`.
pub fn check_name(name: &str) -> Result<&str> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX_CHARS || name.chars().any(char::is_control) {
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
