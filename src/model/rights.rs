//! The rights of a provisioning token within its configuration: the four of a token that an admin creates, and the finer ones
//! of an access token (see [`crate::model::oauth::scope`]).

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
}

/// What a request does with resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceAction {
    /// It creates one.
    Create,
    /// It reads or searches.
    Read,
    /// It replaces or changes one.
    Update,
    /// It deletes one.
    Delete,
}

impl ResourceAction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Create, Self::Read, Self::Update, Self::Delete];

    /// The last part of a scope: `scim:user:create`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    fn bit(self) -> u16 {
        match self {
            Self::Create => 1,
            Self::Read => 2,
            Self::Update => 4,
            Self::Delete => 8,
        }
    }
}

/// What a credential may do with users and groups: a set of actions for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccessRights(u16);

impl AccessRights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// The rights come from the scope of an access token.
    const FROM_SCOPE: u16 = 1 << 8;
    const ALL_ACTIONS: u16 = 15;

    /// The right to one action on a resource type.
    pub fn of_action(resource_type: &str, action: ResourceAction) -> Self {
        Self::shift_of(resource_type).map_or(Self::NONE, |shift| Self(action.bit() << shift))
    }

    /// The right to all actions on a resource type.
    pub fn of_type(resource_type: &str) -> Self {
        ResourceAction::ALL.into_iter().fold(Self::NONE, |all, action| all.with(Self::of_action(resource_type, action)))
    }

    fn shift_of(resource_type: &str) -> Option<u32> {
        match resource_type {
            "User" => Some(0),
            "Group" => Some(4),
            _ => None,
        }
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The same rights, marked as those of a scope.
    #[must_use]
    pub(crate) fn marked_as_scope(self) -> Self {
        Self(self.0 | Self::FROM_SCOPE)
    }

    /// Whether the rights come from the scope of an access token.
    pub fn are_from_scope(self) -> bool {
        self.0 & Self::FROM_SCOPE != 0
    }

    /// Whether these rights have nothing that the others lack.
    pub fn are_within(self, others: Self) -> bool {
        self.0 & !others.0 & !Self::FROM_SCOPE == 0
    }

    /// Whether the action is allowed.
    pub fn allows(self, resource_type: &str, action: ResourceAction) -> bool {
        let right = Self::of_action(resource_type, action);
        right != Self::NONE && right.are_within(self)
    }

    /// Whether resources of this type are visible: at least one action is allowed.
    pub fn covers(self, resource_type: &str) -> bool {
        ResourceAction::ALL.iter().any(|action| self.allows(resource_type, *action))
    }

    /// Whether anything can be created, changed or deleted.
    pub fn may_write(self) -> bool {
        let read = ResourceAction::Read.bit();
        self.0 & (Self::ALL_ACTIONS & !read | (Self::ALL_ACTIONS & !read) << 4) != 0
    }
}

impl From<TokenRights> for AccessRights {
    fn from(rights: TokenRights) -> Self {
        match rights {
            TokenRights::All => Self::of_type("User").with(Self::of_type("Group")),
            TokenRights::Read => {
                Self::of_action("User", ResourceAction::Read).with(Self::of_action("Group", ResourceAction::Read))
            }
            TokenRights::Users => Self::of_type("User"),
            TokenRights::Groups => Self::of_type("Group"),
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
            let access = AccessRights::from(rights);
            assert_eq!((access.may_write(), access.covers("User"), access.covers("Group")), (writes, users, groups));
            assert!(access.are_within(TokenRights::All.into()) && !access.are_from_scope());
            assert_eq!(rights.as_str().parse(), Ok(rights));
            assert_eq!(serde_json::to_value(rights).unwrap(), rights.as_str());
        }
        assert!(!AccessRights::from(TokenRights::Users).covers("Device"));
        assert_eq!("write".parse::<TokenRights>(), Err("use all, read, users, groups".to_owned()));
    }

    #[test]
    fn a_right_is_for_one_action_on_one_type() {
        let rights = AccessRights::of_action("User", ResourceAction::Create)
            .with(AccessRights::of_action("Group", ResourceAction::Read));
        for (resource_type, action, allowed) in [
            ("User", ResourceAction::Create, true),
            ("User", ResourceAction::Read, false),
            ("User", ResourceAction::Delete, false),
            ("Group", ResourceAction::Read, true),
            ("Group", ResourceAction::Create, false),
            ("Device", ResourceAction::Read, false),
        ] {
            assert_eq!(rights.allows(resource_type, action), allowed, "{resource_type} {action:?}");
        }
        assert!(rights.marked_as_scope().are_within(TokenRights::All.into()));
        assert!(!AccessRights::from(TokenRights::All).are_within(rights));
    }
}
