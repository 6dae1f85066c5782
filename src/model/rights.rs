//! The rights of a provisioning token within its configuration.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token may do
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenRights {
    /// Everything that the configuration offers.
    All,
    /// Read everything, change nothing.
    Read,
    /// All operations on users; groups are not visible.
    Users,
    /// All operations on groups; users are visible only as member ids.
    Groups,
}

impl TokenRights {
    /// All values in display order.
    pub const ALL: [Self; 4] = [Self::All, Self::Read, Self::Users, Self::Groups];

    /// The value in the API, on the command line and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Read => "read",
            Self::Users => "users",
            Self::Groups => "groups",
        }
    }

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

impl fmt::Display for TokenRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TokenRights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|rights| rights.as_str() == text);
        found.ok_or_else(|| format!("use {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// State of a token
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// The token is accepted.
    Live,
    /// The expiry date has passed.
    Expired,
    /// The token was revoked, or replaced by a newer one.
    Revoked,
}

impl TokenState {
    /// The value in the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
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
