//! What the bearer token of an identity provider may do within its configuration.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token may do
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rights {
    /// Everything that the configuration offers.
    All,
    /// See everything and change nothing.
    Read,
    /// Everything on users; groups are out of sight.
    Users,
    /// Everything on groups; users are out of sight, but for their ids as members.
    Groups,
}

impl Rights {
    /// All of them, as they are chosen from.
    pub const ALL: [Self; 4] = [Self::All, Self::Read, Self::Users, Self::Groups];

    /// The word of the API, the command line and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Read => "read",
            Self::Users => "users",
            Self::Groups => "groups",
        }
    }

    /// What people call it.
    pub fn words(self) -> &'static str {
        match self {
            Self::All => "Everything",
            Self::Read => "Read only",
            Self::Users => "Users only",
            Self::Groups => "Groups only",
        }
    }

    /// Whether resources may be made, changed and removed.
    pub fn may_write(self) -> bool {
        self != Self::Read
    }

    /// Whether resources of that type are in sight.
    pub fn covers(self, resource_type: &str) -> bool {
        match self {
            Self::All | Self::Read => true,
            Self::Users => resource_type == "User",
            Self::Groups => resource_type == "Group",
        }
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Rights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|rights| rights.as_str() == text);
        found.ok_or_else(|| format!("use {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// Whether a token works
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It does.
    Live,
    /// Its time is over.
    Expired,
    /// Somebody ended it, or a newer token took its place.
    Revoked,
}

impl TokenState {
    /// The word of the API and the command line.
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
    fn rights_limit_the_methods_or_the_types() {
        for (rights, writes, users, groups) in [
            (Rights::All, true, true, true),
            (Rights::Read, false, true, true),
            (Rights::Users, true, true, false),
            (Rights::Groups, true, false, true),
        ] {
            assert_eq!((rights.may_write(), rights.covers("User"), rights.covers("Group")), (writes, users, groups));
            assert_eq!(rights.as_str().parse(), Ok(rights));
            assert_eq!(serde_json::to_value(rights).unwrap(), rights.as_str());
        }
        assert!(!Rights::Users.covers("Device"));
        assert_eq!("write".parse::<Rights>(), Err("use all, read, users, groups".to_owned()));
    }
}
