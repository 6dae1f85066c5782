//! What a caller of the management API or a person in the portal may do. One vocabulary serves both; the keys of user
//! tokens are translated here and nowhere else.

use std::fmt;
use std::str::FromStr;

/// One thing that may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// See configurations, their tokens without the secret, their settings and schemas.
    ProvisioningRead,
    /// Make configurations, with the first token, and change their settings.
    ProvisioningCreate,
    /// Delete configurations and purge what they left.
    ProvisioningDelete,
    /// Make and revoke tokens and set-up links.
    ProvisioningTokens,
    /// See users and groups and what happened to them.
    DirectoryRead,
    /// See the request log.
    RequestsRead,
    /// See the audit log.
    AuditRead,
    /// Accounts, API keys and settings of the server.
    SystemAdmin,
}

impl Permission {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::ProvisioningRead,
        Self::ProvisioningCreate,
        Self::ProvisioningDelete,
        Self::ProvisioningTokens,
        Self::DirectoryRead,
        Self::RequestsRead,
        Self::AuditRead,
        Self::SystemAdmin,
    ];

    /// The word for it in roles, API keys and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProvisioningRead => "provisioning.read",
            Self::ProvisioningCreate => "provisioning.create",
            Self::ProvisioningDelete => "provisioning.delete",
            Self::ProvisioningTokens => "provisioning.tokens",
            Self::DirectoryRead => "directory.read",
            Self::RequestsRead => "requests.read",
            Self::AuditRead => "audit.read",
            Self::SystemAdmin => "system.admin",
        }
    }

    /// The key that user tokens carry for it, where the configuration API has one.
    pub fn token_key(self) -> Option<&'static str> {
        match self {
            Self::ProvisioningRead => Some("fe.secure.read.provisioningConfiguration"),
            Self::ProvisioningCreate => Some("fe.secure.write.provisioningConfiguration"),
            Self::ProvisioningDelete => Some("fe.secure.delete.provisioningConfiguration"),
            _ => None,
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|permission| permission.as_str() == text);
        found.ok_or_else(|| format!("use {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u8);

impl Permissions {
    /// Everything.
    pub const ALL: Self = Self(u8::MAX);
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Whether it is among them.
    pub fn allow(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// What both allow.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members, in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.allow(*permission))
    }

    /// The words of the members with blanks between: how they are stored.
    pub fn words(self) -> String {
        self.iter().map(Permission::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Reads [`Permissions::words`]; a word from another version is passed over.
    pub fn from_words(words: &str) -> Self {
        words.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    }

    /// What the keys in a token stand for: our own words, the keys of the configuration API, and keys that end in `.*`
    /// (`fe.secure.*`), which stand for all that begin like them. Keys are compared exactly, segment by segment; one
    /// that nobody knows gives nothing, and a bare `*` is no key.
    pub fn from_keys<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        let keys: Vec<&str> = keys.into_iter().collect();
        let given = |name: &str| keys.iter().any(|key| covers(key, name));
        Permission::ALL
            .into_iter()
            .filter(|permission| given(permission.as_str()) || permission.token_key().is_some_and(given))
            .collect()
    }
}

/// Whether a key is that name, or ends in `.*` and begins like it.
fn covers(key: &str, name: &str) -> bool {
    match key.strip_suffix(".*") {
        Some(start) => name.strip_prefix(start).is_some_and(|rest| rest.starts_with('.')),
        None => key == name,
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |set, permission| set | permission.bit()))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Permission::{ProvisioningCreate, ProvisioningDelete, ProvisioningRead};
    use super::*;

    #[test]
    fn keys_of_user_tokens_count_with_their_wildcards() {
        let seed = Permissions::from_iter([ProvisioningRead, ProvisioningCreate, ProvisioningDelete]);
        for (keys, wanted) in [
            (&["fe.secure.read.provisioningConfiguration"][..], Permissions::from_iter([ProvisioningRead])),
            (&["fe.secure.write.provisioningConfiguration"], Permissions::from_iter([ProvisioningCreate])),
            (&["fe.secure.delete.provisioningConfiguration"], Permissions::from_iter([ProvisioningDelete])),
            (&["fe.*"], seed),
            (&["fe.secure.*"], seed),
            (
                &["fe.secure.read.*", "fe.secure.delete.*"],
                Permissions::from_iter([ProvisioningRead, ProvisioningDelete]),
            ),
            (&["provisioning.read"], Permissions::from_iter([ProvisioningRead])),
            (&["audit.*"], Permissions::from_iter([Permission::AuditRead])),
        ] {
            assert_eq!(Permissions::from_keys(keys.iter().copied()), wanted, "{keys:?}");
        }
    }

    #[test]
    fn keys_that_only_look_alike_give_nothing() {
        for key in [
            "",
            "*",
            ".*",
            "fe",
            "f.*",
            "fe.sec.*",
            "fe.secure",
            "FE.*",
            "fe.secure.read.provisioningconfiguration",
            "fe.secure.read.provisioningConfiguration.*",
            "fe.secure.read.provisioningConfigurations",
            "*.read",
            "fe.*.provisioningConfiguration",
        ] {
            assert_eq!(Permissions::from_keys([key]), Permissions::NONE, "{key}");
        }
    }

    #[test]
    fn stored_words_read_back_and_unknown_ones_are_passed_over() {
        assert_eq!(Permissions::from_words(&Permissions::ALL.words()), Permissions::ALL);
        assert_eq!(
            Permissions::from_words("audit.read from.the.future"),
            Permissions::from_iter([Permission::AuditRead])
        );
        assert_eq!(Permissions::NONE.words(), "");
    }
}
