//! A resource as it is shown: its row, and what other rows say about it.

use super::Scope;
use crate::error::Result;
use crate::scim::schema::ResourceType;
use crate::scim::version;
use crate::store::Snapshot;
use crate::store::members::{self, Linked};
use crate::store::resources::{Collection, Stored};

/// What a member, or a group of a user, takes in an answer, roughly and in bytes.
pub(super) const LINK_BYTES: usize = 200;
/// The same for what stands before the stored text.
const HEAD_BYTES: usize = 500;

/// A resource with what is shown beside its own text.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its row.
    pub stored: Stored,
    /// Its memberships.
    pub links: Links,
}

/// The list that ends a document.
#[derive(Debug, Clone)]
pub enum Links {
    /// The type has none.
    None,
    /// The members of a group that were not read, because nobody asked for them or they are too many.
    Unread,
    /// The members of a group.
    Members(Vec<Linked>),
    /// The groups that a user is in, and whether directly.
    Groups(Vec<(Linked, bool)>),
}

impl Shown {
    /// Reads what belongs to a row. Members are read only where there are at most `members_max` of them.
    pub fn of(at: &Snapshot<'_>, stored: Stored, of: &ResourceType, members_max: i64) -> Result<Self> {
        let links = if of.members().is_some() {
            if stored.member_count > members_max {
                Links::Unread
            } else if stored.member_count == 0 {
                Links::Members(Vec::new())
            } else {
                Links::Members(members::of_group(at, &stored)?)
            }
        } else if of.schema.attribute("groups").is_some() {
            Links::Groups(members::groups_of(at, &stored)?)
        } else {
            Links::None
        };
        Ok(Self { stored, links })
    }

    /// How long it is in an answer, roughly and in bytes.
    pub fn length(&self) -> usize {
        let links = match &self.links {
            Links::None | Links::Unread => 0,
            Links::Members(members) => members.len(),
            Links::Groups(groups) => groups.len(),
        };
        self.stored.body.len() + HEAD_BYTES + links * LINK_BYTES
    }

    /// The entity tag. What a user shows of its groups is part of it; a group's own counter moves with its members.
    pub fn tag(&self) -> String {
        let derived = match &self.links {
            Links::Groups(groups) => version::fingerprint(
                groups.iter().map(|(group, direct)| (&*group.id, *direct, group.label.as_deref().unwrap_or_default())),
            ),
            _ => None,
        };
        version::tag(self.stored.version, derived)
    }
}

/// The rows of one type in the scope's configuration.
pub(super) fn collection<'a>(scope: &Scope, of: &'a ResourceType) -> Collection<'a> {
    Collection { configuration: scope.configuration, resource_type: &of.name }
}
