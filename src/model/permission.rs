//! Permissions of management API callers and portal admins. Both use the same set; the permission keys of user tokens
//! are translated only here.

use std::fmt;

use crate::named_enum::named_enum;

named_enum! {
    /// A permission.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Permission {
        /// Read configurations, their tokens without the secret, their settings and schemas.
        ProvisioningRead = "provisioning.read",
        /// Create configurations with their first token, and change their settings.
        ProvisioningCreate = "provisioning.create",
        /// Delete configurations and purge their remaining resources.
        ProvisioningDelete = "provisioning.delete",
        /// Revoke tokens and setup links; together with `directory.read`, create them.
        ProvisioningTokens = "provisioning.tokens",
        /// Read users, groups and their events.
        DirectoryRead = "directory.read",
        /// Read the request log.
        RequestsRead = "requests.read",
        /// Read the audit log.
        AuditRead = "audit.read",
        /// Manage accounts, API keys and settings of the server.
        SystemAdmin = "system.admin",
        /// Manage webhooks, and read what they have sent.
        WebhooksManage = "webhooks.manage",
    }
}

impl Permission {
    /// The key in user tokens, if the configuration API defines one.
    pub fn token_key(self) -> Option<&'static str> {
        match self {
            Self::ProvisioningRead => Some("fe.secure.read.provisioningConfiguration"),
            Self::ProvisioningCreate => Some("fe.secure.write.provisioningConfiguration"),
            Self::ProvisioningDelete => Some("fe.secure.delete.provisioningConfiguration"),
            _ => None,
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u16);

impl Permissions {
    /// All permissions.
    pub const ALL: Self = Self((1 << Permission::ALL.len()) - 1);
    /// No permissions.
    pub const NONE: Self = Self(0);
    /// What the creator of a provisioning token or setup link needs: the token reads users and groups.
    pub const MINT_TOKENS: Self =
        Self(1 << Permission::ProvisioningTokens as u16 | 1 << Permission::DirectoryRead as u16);

    /// Returns whether the set contains the permission.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Returns whether the set contains all permissions of the other one.
    pub fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the intersection of both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Iterates over the permissions in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }

    /// The keys, separated by spaces: the stored form.
    pub fn key_list(self) -> String {
        self.iter().map(Permission::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Parses the result of [`Permissions::key_list`]; unknown keys, such as those of another version, are skipped.
    pub fn from_key_list(text: &str) -> Self {
        text.split_whitespace().filter_map(|key| key.parse().ok()).collect()
    }

    /// Returns the permissions that the keys in a user token grant: our own keys, the keys of the configuration API,
    /// and keys that end in `.*` (`fe.secure.*`), which grant all keys with that prefix. Keys are compared exactly,
    /// segment by segment. Unknown keys and a single `*` grant nothing.
    pub fn from_keys<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        let keys: Vec<&str> = keys.into_iter().collect();
        let is_granted = |name: &str| keys.iter().any(|key| key_matches(key, name));
        Permission::ALL
            .into_iter()
            .filter(|permission| is_granted(permission.as_str()) || permission.token_key().is_some_and(is_granted))
            .collect()
    }
}

/// Returns whether a key equals the name, or ends in `.*` and is a prefix of it.
fn key_matches(key: &str, name: &str) -> bool {
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
    fn keys_of_user_tokens_may_have_wildcards() {
        let seed = Permissions::from_iter([ProvisioningRead, ProvisioningCreate, ProvisioningDelete]);
        for (keys, expected) in [
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
            assert_eq!(Permissions::from_keys(keys.iter().copied()), expected, "{keys:?}");
        }
    }

    #[test]
    fn similar_keys_grant_nothing() {
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
    fn stored_keys_are_read_back_and_unknown_ones_are_skipped() {
        assert_eq!(Permissions::from_key_list(&Permissions::ALL.key_list()), Permissions::ALL);
        assert_eq!(
            Permissions::from_key_list("audit.read from.the.future"),
            Permissions::from_iter([Permission::AuditRead])
        );
        assert_eq!(Permissions::NONE.key_list(), "");
    }
}
