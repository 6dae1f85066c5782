//! A resource for a response: its row and the data of other rows that belong to it.

use crate::error::Result;
use crate::provisioning::Scope;
use crate::scim::entity_tag;
use crate::scim::render;
use crate::scim::schema::ResourceType;
use crate::store::Snapshot;
use crate::store::tables::members;
pub use crate::store::tables::members::LinkedResource;
use crate::store::tables::resources::{FoundResource, ResourceCollection, StoredResource};

/// Approximate size of a member, or of a group of a user, in a response, in bytes.
pub(crate) const LINK_BYTES: usize = 200;
/// Approximate size of what a response adds to the stored text, in bytes.
const HEAD_BYTES: usize = render::HEAD_BYTES + 64;
/// Largest stored text of a small resource, in bytes.
const SMALL_BODY_BYTES: usize = 64 * 1024;
/// Most members, or groups of a user, of a small resource.
pub(crate) const SMALL_LINKS: u32 = 500;

/// A resource with the data that a response adds to its stored text.
#[derive(Debug, Clone)]
pub struct RenderedResource {
    /// Its row.
    pub stored: StoredResource,
    /// Its memberships.
    pub links: ResourceLinks,
    /// Hash of all groups of a user, for the entity tag.
    groups_hash: Option<u64>,
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
        let links = match load_members(at, &stored, resource_type, members)? {
            Some(links) => links,
            None if has_groups(resource_type) => {
                ResourceLinks::Groups(members::list_effective_groups(at, &stored, None)?.unwrap_or_default())
            }
            None => ResourceLinks::None,
        };
        Ok(Self::new(stored, links))
    }

    /// Like [`Self::load`] for a resource of which is known whether it is a member of a group.
    ///
    /// # Errors
    /// Errors of the store.
    pub(super) fn load_found(
        at: &Snapshot<'_>,
        found: FoundResource,
        resource_type: &ResourceType,
        members: Members,
    ) -> Result<Self> {
        if found.is_member || !has_groups(resource_type) {
            return Self::load(at, found.stored, resource_type, members);
        }
        Ok(Self::new(found.stored, ResourceLinks::Groups(Vec::new())))
    }

    /// Like [`Self::load`] for a small resource: `None` if it is large, or a user in more than [`SMALL_LINKS`] groups, so that
    /// reading and rendering it take long. The members of a large group are not read.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn load_small(
        at: &Snapshot<'_>,
        found: FoundResource,
        resource_type: &ResourceType,
        with_members: bool,
    ) -> Result<Option<Self>> {
        let FoundResource { stored, is_member } = found;
        if stored.body.len() > SMALL_BODY_BYTES {
            return Ok(None);
        }
        let members = if with_members { Members::UpTo(SMALL_LINKS.into()) } else { Members::Skip };
        let links = match load_members(at, &stored, resource_type, members)? {
            Some(links) => links,
            None if has_groups(resource_type) && !is_member => ResourceLinks::Groups(Vec::new()),
            None if has_groups(resource_type) => {
                match members::list_effective_groups(at, &stored, Some(SMALL_LINKS))? {
                    Some(groups) => ResourceLinks::Groups(groups),
                    None => return Ok(None),
                }
            }
            None => ResourceLinks::None,
        };
        Ok(Some(Self::new(stored, links)))
    }

    fn new(stored: StoredResource, links: ResourceLinks) -> Self {
        let groups_hash = match &links {
            ResourceLinks::Groups(groups) => entity_tag::hash_groups(
                groups.iter().map(|(group, direct)| (&*group.id, *direct, group.label.as_deref().unwrap_or_default())),
            ),
            _ => None,
        };
        Self { stored, links, groups_hash }
    }

    /// Keeps at most `max` groups of a user, in the order of their creation, and returns the number of the others. The entity
    /// tag does not change.
    pub fn shorten_groups(&mut self, max: usize) -> usize {
        let ResourceLinks::Groups(groups) = &mut self.links else { return 0 };
        let hidden = groups.len().saturating_sub(max);
        groups.truncate(max);
        hidden
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
        let (number, derived) = self.version();
        entity_tag::format_entity_tag(number, derived)
    }

    /// The two parts of [`Self::tag`].
    pub fn version(&self) -> (i64, Option<u64>) {
        (self.stored.version, self.groups_hash)
    }
}

/// Returns the members of a group, `None` for other resource types.
fn load_members(
    at: &Snapshot<'_>,
    stored: &StoredResource,
    resource_type: &ResourceType,
    members: Members,
) -> Result<Option<ResourceLinks>> {
    if resource_type.members().is_none() {
        return Ok(None);
    }
    Ok(Some(if !members.includes(stored.member_count) {
        ResourceLinks::Unread
    } else if stored.member_count == 0 {
        ResourceLinks::Members(Vec::new())
    } else {
        ResourceLinks::Members(members::list_group_members(at, stored)?)
    }))
}

fn has_groups(resource_type: &ResourceType) -> bool {
    resource_type.schema.attribute("groups").is_some()
}

/// The collection of one resource type in the configuration of the scope.
pub(crate) fn collection_for<'a>(scope: &Scope, resource_type: &'a ResourceType) -> ResourceCollection<'a> {
    ResourceCollection { configuration: scope.configuration, resource_type: &resource_type.name }
}
