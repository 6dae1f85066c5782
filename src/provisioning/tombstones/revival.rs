//! Deleted users and groups that a create request brings back, if the switch `reviveDeleted` is on.

use std::collections::HashSet;

use crate::error::Result;
use crate::provisioning::Scope;
use crate::provisioning::members::ResolvedMemberEdit;
use crate::provisioning::publication::Publication;
use crate::provisioning::tombstones::{self, restore};
use crate::scim::index::IndexKeys;
use crate::scim::schema::ResourceType;
use crate::store::Tx;
use crate::store::tables::resources::StoredResource;
use crate::store::tables::tombstones::{StoredTombstone, count_memberships, delete_tombstone, list_membership_ids};

/// The deleted resource that a create request brings back.
pub(in crate::provisioning) struct Revival {
    pub(in crate::provisioning) tombstone: StoredTombstone,
    /// How many memberships return with it. A group gets the members of the request instead of its own.
    pub(in crate::provisioning) memberships: i64,
}

impl Revival {
    /// Returns the deleted resource with the name or the `externalId` of these keys.
    pub(in crate::provisioning) fn find(
        tx: &Tx<'_>,
        scope: &Scope,
        resource_type: &ResourceType,
        keys: &IndexKeys,
    ) -> Result<Option<Self>> {
        let found = tombstones::find_revivable(tx, scope, resource_type, keys)?;
        let Some(tombstone) = found else { return Ok(None) };
        let memberships = match resource_type.members() {
            None => count_memberships(tx, tombstone.tombstone)?,
            Some(_) => 0,
        };
        Ok(Some(Self { tombstone, memberships }))
    }

    /// Whether the request has all members of the deleted group. Otherwise the group stays counted as removed, so that its
    /// memberships cannot end uncounted.
    pub(in crate::provisioning) fn has_all_members(
        &self,
        tx: &Tx<'_>,
        configuration: i64,
        joining: &[ResolvedMemberEdit],
    ) -> Result<bool> {
        let added = joining.iter().filter_map(|edit| match edit {
            ResolvedMemberEdit::Add(members) | ResolvedMemberEdit::Replace(members) => Some(members),
            ResolvedMemberEdit::Remove(_) => None,
        });
        let added: HashSet<&str> = added.flatten().map(|member| member.id.as_str()).collect();
        let before = list_membership_ids(tx, configuration, &self.tombstone.id)?.unwrap_or_default();
        Ok(before.iter().all(|id| added.contains(id.as_str())))
    }

    /// Call after the resource was inserted.
    pub(in crate::provisioning) fn publish(
        &self,
        scope: &Scope,
        resource_type: &ResourceType,
        (publication, stored): (&Publication<'_>, &StoredResource),
    ) -> Result<()> {
        let tx = publication.transaction();
        restore::publish_restored(publication, &resource_type.name, stored)?;
        if self.memberships == 0 {
            return delete_tombstone(tx, self.tombstone.tombstone);
        }
        restore::begin_memberships(tx, scope, resource_type, (stored, self.tombstone.tombstone)).map(drop)
    }
}
