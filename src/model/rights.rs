//! The rights of a provisioning token within its configuration.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::named_enum::named_enum;

named_enum! {
    /// What a token may do
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum TokenRights {
        /// Everything that the configuration offers.
        All = "all",
        /// Read everything, change nothing.
        Read = "read",
        /// All operations on users; groups are not visible.
        Users = "users",
        /// All operations on groups; users are visible only as member ids.
        Groups = "groups",
    }
}

impl TokenRights {
    /// Display name.
    pub fn label(self) -> &'static str {
        match self {
            Self::All => "Everything",
            Self::Read => "Read only",
            Self::Users => "Users only",
            Self::Groups => "Groups only",
        }
    }

    /// Returns whether resources may be created, changed and deleted.
    pub fn may_write(self) -> bool {
        self != Self::Read
    }

    /// Returns whether resources of this type are visible.
    pub fn covers(self, resource_type: &str) -> bool {
        match self {
            Self::All | Self::Read => true,
            Self::Users => resource_type == "User",
            Self::Groups => resource_type == "Group",
        }
    }
}

named_enum! {
    /// State of a token
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum TokenState {
        /// The token is accepted.
        Live = "live",
        /// The expiry date has passed.
        Expired = "expired",
        /// The token was revoked, or replaced by a newer one.
        Revoked = "revoked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_limit_the_methods_or_the_resource_types() {
        for (rights, writes, users, groups) in [
            (TokenRights::All, true, true, true),
            (TokenRights::Read, false, true, true),
            (TokenRights::Users, true, true, false),
            (TokenRights::Groups, true, false, true),
        ] {
            assert_eq!((rights.may_write(), rights.covers("User"), rights.covers("Group")), (writes, users, groups));
            assert_eq!(rights.as_str().parse(), Ok(rights));
            assert_eq!(serde_json::to_value(rights).unwrap(), rights.as_str());
        }
        assert!(!TokenRights::Users.covers("Device"));
        assert_eq!("write".parse::<TokenRights>(), Err("use all, read, users, groups".to_owned()));
    }
}
