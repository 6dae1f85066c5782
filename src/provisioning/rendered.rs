//! A resource for a response: its row and the data of other rows that belong to it.

use crate::error::Result;
use crate::provisioning::Scope;
use crate::scim::entity_tag;
use crate::scim::schema::ResourceType;
use crate::store::Snapshot;
use crate::store::tables::members;
pub use crate::store::tables::members::LinkedResource;
use crate::store::tables::resources::{ResourceCollection, StoredResource};

/// Approximate size of a member, or of a group of a user, in a response, in bytes.
pub(crate) const LINK_BYTES: usize = 200;
/// Approximate size of the part before the stored text, in bytes.
const HEAD_BYTES: usize = 500;

/// A resource with the data that a response adds to its stored text.
#[derive(Debug, Clone)]
pub struct RenderedResource {
    /// Its row.
    pub stored: StoredResource,
    /// Its memberships.
    pub links: ResourceLinks,
}

/// The list of members or groups at the end of a resource.
#[derive(Debug, Clone)]
pub enum ResourceLinks {
    /// The resource type has no such list.
    None,
    /// The members of a group were not read, because they are not requested or there are too many.
    Unread,
    /// The members of a group.
    Members(Vec<LinkedResource>),
    /// The groups of a user, and whether the membership is direct.
    Groups(Vec<(LinkedResource, bool)>),
}

/// Which members of a group are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// No members.
    Skip,
    /// All members if there are at most this many, else none.
    UpTo(i64),
    /// All members.
    All,
}

impl Members {
    fn includes(self, count: i64) -> bool {
        match self {
            Self::Skip => false,
            Self::UpTo(limit) => count <= limit,
            Self::All => true,
        }
    }
}

impl RenderedResource {
    /// Reads the links of a row.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn load(
        at: &Snapshot<'_>,
        stored: StoredResource,
        resource_type: &ResourceType,
        members: Members,
    ) -> Result<Self> {
        let links = if resource_type.members().is_some() {
            if !members.includes(stored.member_count) {
                ResourceLinks::Unread
            } else if stored.member_count == 0 {
                ResourceLinks::Members(Vec::new())
            } else {
                ResourceLinks::Members(members::list_group_members(at, &stored)?)
            }
        } else if resource_type.schema.attribute("groups").is_some() {
            ResourceLinks::Groups(members::list_effective_groups(at, &stored)?)
        } else {
            ResourceLinks::None
        };
        Ok(Self { stored, links })
    }

    /// Approximate size in a response, in bytes.
    pub fn length(&self) -> usize {
        let links = match &self.links {
            ResourceLinks::None | ResourceLinks::Unread => 0,
            ResourceLinks::Members(members) => members.len(),
            ResourceLinks::Groups(groups) => groups.len(),
        };
        self.stored.body.len() + HEAD_BYTES + links * LINK_BYTES
    }

    /// The entity tag (RFC 7644 section 3.14). For a user it includes the groups. For a group the version counter
    /// already changes with its members.
    pub fn tag(&self) -> String {
        let derived = match &self.links {
            ResourceLinks::Groups(groups) => entity_tag::hash_groups(
                groups.iter().map(|(group, direct)| (&*group.id, *direct, group.label.as_deref().unwrap_or_default())),
            ),
            _ => None,
        };
        entity_tag::format_entity_tag(self.stored.version, derived)
    }
}

/// The collection of one resource type in the configuration of the scope.
pub(crate) fn collection_for<'a>(scope: &Scope, resource_type: &'a ResourceType) -> ResourceCollection<'a> {
    ResourceCollection { configuration: scope.configuration, resource_type: &resource_type.name }
}
