//! Events of resources and configurations. Their kinds have the form `subject.action`.

use std::fmt;

use crate::clock::Millis;
use crate::named_enum::named_enum;

named_enum! {
    /// The action that an event reports.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum EventAction {
        /// The subject was created.
        Created = "created",
        /// The subject was changed.
        Updated = "updated",
        /// A user changed from active to inactive.
        Deactivated = "deactivated",
        /// A user changed from inactive to active.
        Reactivated = "reactivated",
        /// The subject was deleted.
        Deleted = "deleted",
        /// A member was added to a group.
        MemberAdded = "member_added",
        /// A member was removed from a group.
        MemberRemoved = "member_removed",
    }
}

/// The kind of an event. `Display` gives the stored form: `user.created`, `group.member_added`,
/// `configuration.deleted`.
///
/// Resource types are an open set, because a configuration may define its own: a type `Device` has `device.created`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind<'a> {
    /// An event of a resource. The name is that of its `ResourceType` (`User`, `Group`, or a custom type).
    Resource(&'a str, EventAction),
    /// An event of a configuration.
    Configuration(EventAction),
}

impl fmt::Display for EventKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(name, action) => {
                write!(f, "{}.{}", name.to_ascii_lowercase(), action.as_str())
            }
            Self::Configuration(action) => write!(f, "configuration.{}", action.as_str()),
        }
    }
}

/// Returns the resource type of a stored kind. For the standard types it equals the name of the `ResourceType`.
pub fn parse_resource_type(kind: &str) -> String {
    let subject = kind.split('.').next().unwrap_or_default();
    let mut letters = subject.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// A stored event, as the feed, the webhooks and the history read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Sequence number in commit order; increasing, may have gaps.
    pub seq: i64,
    /// Account of the configuration.
    pub account: String,
    /// Key of the configuration in this database.
    pub configuration: i64,
    /// Public id of the configuration; none if its row no longer exists.
    pub configuration_id: Option<String>,
    /// Text form of its [`EventKind`].
    pub kind: String,
    /// Id of the resource; none if the configuration itself is the subject.
    pub resource_id: Option<String>,
    /// JSON text: the values before and after, or the paths that changed. Never contains a password.
    pub payload: String,
    /// When the change was committed.
    pub created_at: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_kind_is_the_scim_resource_type() {
        for (kind, name) in [("user.created", "User"), ("group.member_added", "Group"), ("", "")] {
            assert_eq!(parse_resource_type(kind), name);
        }
    }

    #[test]
    fn kinds_have_the_documented_names() {
        use EventAction::{Created, Deactivated, Deleted, MemberAdded, MemberRemoved, Reactivated, Updated};
        for (kind, text) in [
            (EventKind::Resource("User", Created), "user.created"),
            (EventKind::Resource("User", Updated), "user.updated"),
            (EventKind::Resource("User", Deactivated), "user.deactivated"),
            (EventKind::Resource("User", Reactivated), "user.reactivated"),
            (EventKind::Resource("User", Deleted), "user.deleted"),
            (EventKind::Resource("Group", MemberAdded), "group.member_added"),
            (EventKind::Resource("Group", MemberRemoved), "group.member_removed"),
            (EventKind::Resource("Device", Created), "device.created"),
            (EventKind::Configuration(Created), "configuration.created"),
            (EventKind::Configuration(Deleted), "configuration.deleted"),
        ] {
            assert_eq!(kind.to_string(), text);
        }
    }
}
