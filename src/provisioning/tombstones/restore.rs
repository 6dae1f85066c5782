//! Restore of deleted users and groups, with the same id. A restored resource is a new row with the stored document, the next
//! version, and the memberships with groups and members that exist. Many memberships return in steps, as a large change of the
//! resource. A membership whose other end is deleted too moves to the tombstone of that one, so it returns with it: the order of
//! restores does not matter.

use crate::clock::Millis;
use crate::error::{Error, ErrorKind, Reason, Result, ScimType};
use crate::model::quota::{QuotaKind, UsageAmounts};
use crate::model::switches::PasswordHandling;
use crate::provisioning::Scope;
use crate::provisioning::events;
use crate::provisioning::large_changes;
use crate::provisioning::members::{self, RemovalCounting, ResolvedMemberEdit};
use crate::provisioning::publication::Publication;
use crate::provisioning::quotas::write_within_quotas;
use crate::provisioning::rendered::collection_for;
use crate::provisioning::safety_net::mass_removals::CountedChange;
use crate::provisioning::tombstones::find_oldest_time;
use crate::provisioning::tombstones::references::remove_dangling_references;
use crate::scim::index::{self, IndexKeys};
use crate::scim::password::PasswordDigest;
use crate::scim::render;
use crate::scim::schema::{Mutability, ResourceType, Schema};
use crate::scim::validate::Attributes;
use crate::store::tables::members::{self as member_rows, LinkedResource};
use crate::store::tables::pending_changes::{self, PendingChange};
use crate::store::tables::pending_references::{self, PendingReferences};
use crate::store::tables::resources::{self, InsertedVersion, ResourceValues, StoredResource};
use crate::store::tables::tombstones::{self, MembershipRole, MembershipSlice, StoredTombstone};
use crate::store::tables::{passwords, usage};
use crate::store::{Snapshot, Tx};

/// Slices of memberships that return in the transaction of the restore: the groups and the members of most resources.
const SLICES_INLINE: usize = 2;
/// The same if they have few memberships: each one that a user or group, restored before, has left here is a slice.
const SMALL_SLICES_INLINE: usize = 50;
/// Memberships that are few.
const SMALL_IDS_INLINE: usize = if cfg!(test) { 1 } else { 200 };

/// A restored resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredResource {
    /// Public id.
    pub id: String,
    /// Resource type name.
    pub resource_type: String,
    /// Its version.
    pub version: i64,
    /// Key of the resource, if memberships still return in steps.
    pub pending: Option<i64>,
}

/// Restores a deleted user or group.
///
/// # Errors
/// `DeletedResourceNotFound`. 409 uniqueness if its name is in use. `QuotaExceeded`. It can fail after its first change: run it
/// with `Store::write`.
pub(crate) fn restore_resource(tx: &Tx<'_>, scope: &Scope, id: &str) -> Result<RestoredResource> {
    restore_deleted_since(tx, scope, id, find_oldest_time(tx.now, &scope.switches))
}

/// Restores a user or group that was deleted during a hold, however long ago.
///
/// # Errors
/// Those of [`restore_resource`].
pub(in crate::provisioning) fn restore_held_resource(tx: &Tx<'_>, scope: &Scope, id: &str) -> Result<RestoredResource> {
    restore_deleted_since(tx, scope, id, 0)
}

/// Whether a resource stays deleted for this reason: its name is in use, a quota is reached, or it cannot be restored.
pub(in crate::provisioning) fn is_conflict(error: &Error) -> bool {
    error.scim_type() == Some(ScimType::Uniqueness)
        || error.kind() == ErrorKind::Forbidden
        || error.reason() == Reason::DeletedResourceNotFound
}

fn restore_deleted_since(tx: &Tx<'_>, scope: &Scope, id: &str, since: Millis) -> Result<RestoredResource> {
    let found = tombstones::find_tombstone(tx, scope.configuration, id, since)?;
    let found = found.ok_or(Reason::DeletedResourceNotFound)?;
    let resource_type = scope.find_type(&found.resource_type)?;
    let (keys, body) = prepare_content(tx, scope, resource_type, &found)?;
    let growth = usage::resource_amounts(&resource_type.name, 1, usage::text_bytes(&body))
        .with(QuotaKind::ActiveUsers, usage::active_user_change(&resource_type.name, None, keys.active))
        .with(QuotaKind::Members, tombstones::count_memberships(tx, found.tombstone)?);
    write_within_quotas(tx, scope, &growth, || {
        let unique_name = scope.find_unique_name(tx, resource_type, &keys)?;
        let new = ResourceValues { id: &found.id, keys: &keys, unique_name, body: &body };
        insert_restored(tx, scope, resource_type, (&found, &new))
    })
}

/// The version of a restored resource: the one after its last.
pub(in crate::provisioning) fn find_next_version(found: &StoredTombstone, now: Millis) -> InsertedVersion {
    InsertedVersion {
        version: found.version + 1,
        created_at: found.created_at,
        last_modified: now.max(found.last_modified + 1),
    }
}

/// Returns the index keys and the text to store. Attributes that the configuration does not have or store any more are left out,
/// and so are references to resources that do not exist any more.
fn prepare_content(
    at: &Snapshot<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    found: &StoredTombstone,
) -> Result<(IndexKeys, String)> {
    let mut attributes = render::parse_stored_text(&found.body)
        .map_err(|problem| Error::undecodable(format_args!("tombstone of {}", found.id), problem))?;
    retain_stored_attributes(&mut attributes, resource_type);
    remove_dangling_references(at, scope.configuration, resource_type, &mut attributes)?;
    let body = render::build_stored_text(&attributes, resource_type);
    Ok((index::build_index_keys(&attributes, resource_type), body))
}

fn retain_stored_attributes(attributes: &mut Attributes, of: &ResourceType) {
    let is_stored = |schema: &Schema, name: &str| {
        schema.attribute(name).is_some_and(|attribute| attribute.mutability != Mutability::WriteOnly)
    };
    for extension in &of.extensions {
        if let Some(parts) = attributes.get_mut(&*extension.schema.id).and_then(serde_json::Value::as_object_mut) {
            parts.retain(|name, _| is_stored(&extension.schema, name));
        }
    }
    attributes.retain(|name, value| {
        if of.extensions.iter().any(|extension| extension.schema.id == name.as_str()) {
            return value.as_object().is_some_and(|parts| !parts.is_empty());
        }
        of.attribute(name).is_some_and(|attribute| attribute.mutability != Mutability::WriteOnly)
    });
}

/// Inserts the row of a restored resource, publishes it, and begins the return of its memberships.
fn insert_restored(
    tx: &Tx<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    (found, new): (&StoredTombstone, &ResourceValues<'_>),
) -> Result<RestoredResource> {
    let mut publication = Publication::for_scope(tx, scope)?;
    publication.count_removals(scope, || Ok(CountedChange::of_restore(resource_type, &found.id, new.keys.active)))?;
    let version = find_next_version(found, tx.now);
    let stored = resources::insert_resource(tx, collection_for(scope, resource_type), new, version)?;
    if let (PasswordHandling::Verify, Some(digest)) = (scope.switches.passwords, &found.digest) {
        passwords::set_password(tx, &stored, &PasswordDigest(digest.clone()))?;
    }
    publish_restored(&publication, &resource_type.name, &stored)?;
    let is_complete = begin_memberships(tx, scope, resource_type, (&stored, found.tombstone))?;
    let current = resources::find_resource_by_key(tx, stored.configuration, stored.key)?;
    Ok(RestoredResource {
        version: current.map_or(stored.version, |current| current.version),
        id: stored.id,
        resource_type: found.resource_type.clone(),
        pending: (!is_complete).then_some(stored.key),
    })
}

/// Appends the event of a restored resource, or holds the resource during a pause. Other resources that still refer to it do not
/// lose the reference any more.
pub(in crate::provisioning) fn publish_restored(
    publication: &Publication<'_>,
    resource_type: &str,
    stored: &StoredResource,
) -> Result<()> {
    let references = PendingReferences { configuration: stored.configuration, deleted: stored.id.clone() };
    pending_references::delete_references(publication.transaction(), &references)?;
    publication.hold_restored(resource_type, stored)?;
    events::append_restored(publication, &events::describe_subject(resource_type, stored), &stored.body)
}

/// Begins the return of the memberships of a restored resource, which count for the quotas from now on. Few of them return at
/// once. Returns whether all have returned.
pub(in crate::provisioning) fn begin_memberships(
    tx: &Tx<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    (stored, tombstone): (&StoredResource, i64),
) -> Result<bool> {
    let reserved = tombstones::count_memberships(tx, tombstone)?;
    if reserved == 0 {
        tombstones::delete_tombstone(tx, tombstone)?;
        return Ok(true);
    }
    let change = PendingChange {
        resource: stored.key,
        configuration: stored.configuration,
        resource_type: resource_type.name.clone().into_owned(),
        deletes: false,
        reserved,
        changed: 0,
    };
    pending_changes::insert_change(tx, &change)?;
    usage::add_usage(tx, stored.configuration, &UsageAmounts::default().with(QuotaKind::Members, reserved))?;
    tombstones::begin_restore(tx, tombstone)?;
    let mut ids = 0;
    for number in 0..SMALL_SLICES_INLINE {
        if number >= SLICES_INLINE && ids > SMALL_IDS_INLINE {
            return Ok(false);
        }
        let step = run_restore_step(tx, scope, (stored.key, tombstone))?;
        if step.is_complete {
            large_changes::end_change(tx, stored.key)?;
            return Ok(true);
        }
        ids += step.ids;
    }
    Ok(false)
}

/// Returns the tombstone of a resource whose memberships are returning.
pub(in crate::provisioning) fn find_restoring(at: &Snapshot<'_>, stored: &StoredResource) -> Result<Option<i64>> {
    tombstones::find_restoring(at, stored.configuration, &stored.id)
}

/// What a step of a restore has done.
pub(in crate::provisioning) struct RestoreStep {
    /// Whether these were the last memberships.
    pub(in crate::provisioning) is_complete: bool,
    /// How many memberships it examined.
    ids: usize,
}

/// Returns the next memberships of a restored resource.
pub(in crate::provisioning) fn run_restore_step(
    tx: &Tx<'_>,
    scope: &Scope,
    (key, tombstone): (i64, i64),
) -> Result<RestoreStep> {
    let stored = resources::find_resource_by_key(tx, scope.configuration, key)?;
    let (Some(stored), Some((slice, has_more))) = (stored, tombstones::find_next_slice(tx, tombstone)?) else {
        tombstones::delete_tombstone(tx, tombstone)?;
        return Ok(RestoreStep { is_complete: true, ids: 0 });
    };
    let ids = slice.ids.len();
    let existing = find_other_ends(tx, &stored, &slice)?;
    let added = match slice.role {
        MembershipRole::Member => {
            let resource_type = member_rows::find_linked_resource(tx, scope.configuration, key)?;
            let mut group = stored.clone();
            if let Some(LinkedResource { resource_type, .. }) = resource_type {
                let edits = vec![ResolvedMemberEdit::Add(existing)];
                members::change_members(tx, scope, (&resource_type, &mut group), edits, RemovalCounting::Counted)?;
            }
            group.member_count - stored.member_count
        }
        MembershipRole::Group => join_groups(tx, scope, &stored, existing)?,
    };
    pending_changes::add_changed_members(tx, key, added)?;
    tombstones::delete_slice(tx, slice.slice)?;
    if !has_more {
        tombstones::delete_tombstone(tx, tombstone)?;
    }
    Ok(RestoreStep { is_complete: !has_more, ids })
}

/// Returns the groups or members of a slice that exist. A membership with a deleted one moves to the tombstone of that one.
fn find_other_ends(tx: &Tx<'_>, stored: &StoredResource, slice: &MembershipSlice) -> Result<Vec<LinkedResource>> {
    let mut existing = Vec::with_capacity(slice.ids.len());
    let ids = slice.ids.iter().map(String::as_str);
    member_rows::visit_resources_by_id(tx, stored.configuration, ids, |id, found| {
        let Some(found) = found else {
            return tombstones::add_memberships(
                tx,
                stored.configuration,
                id,
                slice.role.opposite(),
                [stored.id.as_str()],
            );
        };
        existing.push(found);
        Ok(())
    })?;
    Ok(existing)
}

/// Adds a resource to groups. Returns how many of them it was no member of.
fn join_groups(tx: &Tx<'_>, scope: &Scope, member: &StoredResource, groups: Vec<LinkedResource>) -> Result<i64> {
    let Some(own) = member_rows::find_linked_resource(tx, member.configuration, member.key)? else { return Ok(0) };
    let mut joined = 0;
    for row in groups {
        let Some(mut group) = resources::find_resource_by_key(tx, member.configuration, row.key)? else { continue };
        let before = group.member_count;
        let edits = vec![ResolvedMemberEdit::Add(vec![own.clone()])];
        members::change_members(tx, scope, (&row.resource_type, &mut group), edits, RemovalCounting::Counted)?;
        joined += group.member_count - before;
    }
    Ok(joined)
}
