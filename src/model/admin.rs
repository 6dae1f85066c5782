//! People who use the portal, and their roles.

use super::permission::{Permission, Permissions};
use crate::clock::Millis;

/// Longest name of a person, in characters.
pub const NAME_MAX_CHARS: usize = 100;
/// Longest e-mail address, in bytes (RFC 5321 section 4.5.3.1.3).
pub const EMAIL_MAX_BYTES: usize = 254;
/// Shortest password, in characters.
pub const PASSWORD_MIN_CHARS: usize = 12;
/// Longest password, in characters: enough for any sentence, little enough to hash.
pub const PASSWORD_MAX_CHARS: usize = 256;

/// The id of the role that may do everything; one active person everywhere must have it.
pub const OWNER: &str = "owner";

/// A person with a portal account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Its id.
    pub id: String,
    /// E-mail address as it was given.
    pub email: String,
    /// What others call the person.
    pub name: String,
    /// Id of the role.
    pub role: String,
    /// The one account in which the role counts; everywhere where there is none.
    pub account: Option<String>,
    /// Whether signing in asks for a one-time code.
    pub has_totp: bool,
    /// When it was made.
    pub created_at: Millis,
    /// The last time the person signed in.
    pub last_sign_in_at: Option<Millis>,
    /// Since when the person may not sign in.
    pub disabled_at: Option<Millis>,
}

/// A named set of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub permissions: Permissions,
    /// Whether it comes with the program and cannot be changed.
    pub is_built_in: bool,
}

/// The roles that come with the program.
pub fn built_in() -> [Role; 3] {
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

/// An e-mail address as it is compared: trimmed, in lower case. The error says what to change.
pub fn email_key(email: &str) -> Result<String, String> {
    let email = email.trim();
    let is_plain = email.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let has_parts = email.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if !is_plain || !has_parts || email.len() > EMAIL_MAX_BYTES {
        return Err("the e-mail address must look like name@example.com".to_owned());
    }
    Ok(email.to_lowercase())
}

/// Checks a person's name: 1 to 100 characters, no control characters. The error says what to change.
pub fn check_name(name: &str) -> Result<&str, String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX_CHARS || name.chars().any(char::is_control) {
        return Err(format!("the name must have 1 to {NAME_MAX_CHARS} characters"));
    }
    Ok(name)
}

/// Passwords that everybody tries first.
const COMMON: [&str; 16] = [
    "password1234",
    "passwordpassword",
    "123456789012",
    "1234567890123",
    "12345678901234",
    "qwertyuiop12",
    "qwertyuiopas",
    "qwerty123456",
    "administrator",
    "adminadminadmin",
    "letmeinletmein",
    "iloveyou1234",
    "welcome12345",
    "changeme1234",
    "rollcallrollcall",
    "abcdefghijkl",
];

/// Checks a new password: long enough, not one that everybody tries, not made of the person's own address. The error says
/// what to change.
pub fn check_password(password: &str, email: &str) -> Result<(), String> {
    let length = password.chars().count();
    if length < PASSWORD_MIN_CHARS {
        return Err(format!(
            "the password must have at least {PASSWORD_MIN_CHARS} characters; a sentence is easy to keep"
        ));
    }
    if length > PASSWORD_MAX_CHARS {
        return Err(format!("the password may have at most {PASSWORD_MAX_CHARS} characters"));
    }
    let lower = password.to_lowercase();
    let first = lower.chars().next();
    let is_one_letter = lower.chars().all(|c| Some(c) == first);
    if is_one_letter || COMMON.contains(&lower.as_str()) || lower == email.trim().to_lowercase() {
        return Err("the password is one that is guessed first; choose another".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roles_are_those_of_the_documentation() {
        let [owner, manager, viewer] = built_in();
        assert_eq!(owner.permissions.iter().count(), 8);
        assert_eq!(manager.permissions.words().split(' ').next_back(), Some("requests.read"));
        assert_eq!(viewer.permissions.words(), "provisioning.read directory.read");
    }

    #[test]
    fn addresses_are_compared_trimmed_and_without_case() {
        assert_eq!(email_key(" Alice@Example.com "), Ok("alice@example.com".to_owned()));
        for wrong in ["", "alice", "@example.com", "alice@", "a b@example.com", &format!("{}@x.y", "a".repeat(251))] {
            assert!(email_key(wrong).is_err(), "{wrong}");
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
            assert_eq!(check_password(right, "alice@example.com"), Ok(()), "{right}");
        }
    }
}
