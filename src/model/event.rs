//! Events: facts about resources and configurations, named `subject.what`.

use std::fmt;

use crate::clock::Millis;

/// What happened to the subject of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// It is new.
    Created,
    /// Something of it changed.
    Updated,
    /// A user went from active to inactive.
    Deactivated,
    /// A user went from inactive to active.
    Reactivated,
    /// It is gone.
    Deleted,
    /// A group has a member more.
    MemberAdded,
    /// A group has a member less.
    MemberRemoved,
}

impl Happening {
    /// The word after the dot.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deactivated => "deactivated",
            Self::Reactivated => "reactivated",
            Self::Deleted => "deleted",
            Self::MemberAdded => "member_added",
            Self::MemberRemoved => "member_removed",
        }
    }
}

/// The kind of an event. Its `Display` is the stored word: `user.created`, `group.member_added`, `configuration.deleted`.
///
/// Resource types are an open set, because a configuration may bring its own: a type `Device` has `device.created`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// About a resource of the named type, spelt as in its `ResourceType` (`User`, `Group`, a custom one).
    Resource(&'a str, Happening),
    /// About a configuration.
    Configuration(Happening),
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(name, what) => {
                write!(f, "{}.{}", name.to_ascii_lowercase(), what.word())
            }
            Self::Configuration(what) => write!(f, "configuration.{}", what.word()),
        }
    }
}

/// The resource type that a kind's word is about, spelt as in its `ResourceType` where that is one of the standard ones.
pub fn resource_type(kind: &str) -> String {
    let word = kind.split('.').next().unwrap_or_default();
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// An event as the feed, the webhooks and the history read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the order of commits; grows, may have gaps.
    pub seq: i64,
    /// Account of the configuration.
    pub account: String,
    /// Key of the configuration in this database.
    pub configuration: i64,
    /// Its public id; none where its row is no more.
    pub configuration_id: Option<String>,
    /// The word of its [`Kind`].
    pub kind: String,
    /// Id of the resource; none where the configuration itself is the subject.
    pub resource_id: Option<String>,
    /// JSON text: before and after, or the paths that changed. Never a password.
    pub payload: String,
    /// When it became true.
    pub created_at: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_kind_is_spelt_as_in_scim() {
        for (kind, of) in [("user.created", "User"), ("group.member_added", "Group"), ("", "")] {
            assert_eq!(resource_type(kind), of);
        }
    }

    #[test]
    fn kinds_are_the_documented_words() {
        use Happening::{Created, Deactivated, Deleted, MemberAdded, MemberRemoved, Reactivated, Updated};
        for (kind, word) in [
            (Kind::Resource("User", Created), "user.created"),
            (Kind::Resource("User", Updated), "user.updated"),
            (Kind::Resource("User", Deactivated), "user.deactivated"),
            (Kind::Resource("User", Reactivated), "user.reactivated"),
            (Kind::Resource("User", Deleted), "user.deleted"),
            (Kind::Resource("Group", MemberAdded), "group.member_added"),
            (Kind::Resource("Group", MemberRemoved), "group.member_removed"),
            (Kind::Resource("Device", Created), "device.created"),
            (Kind::Configuration(Created), "configuration.created"),
            (Kind::Configuration(Deleted), "configuration.deleted"),
        ] {
            assert_eq!(kind.to_string(), word);
        }
    }
}
