//! Runs the steps of large changes; see `large_changes`.

use crate::error::Result;
use crate::model::configuration::ConfigurationKey;
use crate::provisioning::Scope;
use crate::provisioning::deletion;
use crate::provisioning::large_changes;
use crate::provisioning::members::diff::{self, MemberKey};
use crate::provisioning::members::{self, RemovalCounting, ResolvedMemberEdit};
use crate::provisioning::rendered::{RenderedResource, collection_for};
use crate::provisioning::resources::ResourceWrite;
use crate::provisioning::tombstones;
use crate::provisioning::tombstones::restore;
use crate::scim::schema::ResourceType;
use crate::store::tables::resources::{self, StoredResource};
use crate::store::tables::tombstones::MembershipRole;
use crate::store::tables::{configurations, members as member_rows, pending_changes};
use crate::store::{Snapshot, Tx, WorkOwner};

/// Returns the resource of the next change that has steps left, after the resource `after` or else from the first one, and
/// the owner of the work.
pub fn find_next_change(at: &Snapshot<'_>, after: i64) -> Result<Option<(i64, WorkOwner)>> {
    let Some(change) = pending_changes::find_next_change(at, after)? else { return Ok(None) };
    let found = configurations::find_configuration_by_key(at, change.configuration)?;
    let owner = found.map_or(WorkOwner::Background, |found| {
        WorkOwner::Configuration(ConfigurationKey { account: found.account.key, key: found.key })
    });
    Ok(Some((change.resource, owner)))
}

/// Returns the resource of a deletion of this configuration that has steps left. Until it ends, the name is in use.
pub fn find_next_deletion(at: &Snapshot<'_>, scope: &Scope) -> Result<Option<i64>> {
    let changes = pending_changes::list_changes(at, scope.configuration)?;
    Ok(changes.into_iter().find(|change| change.deletes).map(|change| change.resource))
}

/// Returns the key of a resource with a running change.
pub fn find_changing_resource(at: &Snapshot<'_>, write: &ResourceWrite<'_>) -> Result<Option<i64>> {
    let stored = resources::find_resource_by_id(at, collection_for(write.scope, write.resource_type), write.id)?;
    let Some(stored) = stored else { return Ok(None) };
    Ok(pending_changes::is_changing(at, stored.key)?.then_some(stored.key))
}

/// Runs the next step of the change of a resource. Returns whether the change has ended.
///
/// # Errors
/// Errors of the store. The change then stays pending.
pub fn run_change_step(tx: &Tx<'_>, resource: i64) -> Result<bool> {
    let Some(change) = pending_changes::find_change(tx, resource)? else { return Ok(true) };
    let configuration = configurations::find_configuration_by_key(tx, change.configuration)?;
    let stored = resources::find_resource_by_key(tx, change.configuration, resource)?;
    let (Some(configuration), Some(stored)) = (configuration, stored) else {
        // The writes of a deleted configuration end.
        large_changes::end_change(tx, resource)?;
        return Ok(true);
    };
    let scope = Scope::load(tx, configuration)?;
    let resource_type = scope.find_type(&change.resource_type)?;
    let is_complete = if change.deletes {
        tx.allow_on_full_disk();
        run_deletion_step(tx, &scope, resource_type, stored)?
    } else if let Some(tombstone) = restore::find_restoring(tx, &stored)? {
        restore::run_restore_step(tx, &scope, (stored.key, tombstone))?.is_complete
    } else {
        run_member_step(tx, &scope, resource_type, stored)?
    };
    if is_complete {
        large_changes::end_change(tx, resource)?;
    }
    Ok(is_complete)
}

fn run_member_step(tx: &Tx<'_>, scope: &Scope, resource_type: &ResourceType, group: StoredResource) -> Result<bool> {
    let Some((slice, has_more)) = pending_changes::find_next_slice(tx, group.key)? else { return Ok(true) };
    // Members can be deleted while the change runs.
    let members = diff::load_members(tx, group.configuration, &MemberKey::decode(&slice.members))?;
    let edit = if slice.joins { ResolvedMemberEdit::Add(members) } else { ResolvedMemberEdit::Remove(members) };
    let mut changed = group.clone();
    let group_after = (&*resource_type.name, &mut changed);
    members::change_members(tx, scope, group_after, vec![edit], RemovalCounting::CountedBefore)?;
    pending_changes::add_changed_members(tx, group.key, changed.member_count - group.member_count)?;
    pending_changes::delete_slice(tx, group.key, slice.number)?;
    Ok(!has_more)
}

fn run_deletion_step(
    tx: &Tx<'_>,
    scope: &Scope,
    resource_type: &ResourceType,
    mut stored: StoredResource,
) -> Result<bool> {
    let id = stored.id.clone();
    let write = ResourceWrite::new(scope, resource_type, &id);
    if large_changes::has_many_members(&stored) {
        let first = member_rows::list_first_members(tx, &stored, large_changes::MEMBERS_PER_STEP)?;
        let ids = first.iter().map(|member| member.id.as_str());
        tombstones::add_memberships(tx, &stored, MembershipRole::Member, ids)?;
        let (before, edit) = (stored.member_count, vec![ResolvedMemberEdit::Remove(first)]);
        let group = (&*resource_type.name, &mut stored);
        members::change_members(tx, scope, group, edit, RemovalCounting::Uncounted)?;
        member_rows::count_member_changes(tx, stored.configuration, stored.member_count - before)?;
        return Ok(false);
    }
    if member_rows::is_in_more_groups(tx, stored.key, large_changes::GROUPS_PER_STEP)? {
        leave_first_groups(tx, scope, &stored)?;
        return Ok(false);
    }
    deletion::delete_stored(tx, &write, &stored)?;
    Ok(true)
}

fn leave_first_groups(tx: &Tx<'_>, scope: &Scope, member: &StoredResource) -> Result<()> {
    let groups = member_rows::list_first_groups(tx, member.key, large_changes::GROUPS_PER_STEP)?;
    let (mut left, mut ids) = (0, Vec::with_capacity(groups.len()));
    for key in groups {
        let Some(row) = member_rows::find_linked_resource(tx, member.configuration, key)? else { continue };
        let Some(mut group) = resources::find_resource_by_key(tx, member.configuration, key)? else { continue };
        let Some(group_type) = scope.types.iter().find(|one| one.name == row.resource_type) else { continue };
        let own = member_rows::find_linked_resource(tx, member.configuration, member.key)?;
        let edit = ResolvedMemberEdit::Remove(own.into_iter().collect());
        let before = group.member_count;
        let changed = (&*group_type.name, &mut group);
        members::change_members(tx, scope, changed, vec![edit], RemovalCounting::Uncounted)?;
        left += before - group.member_count;
        ids.push(row.id);
    }
    tombstones::add_memberships(tx, member, MembershipRole::Group, ids.iter().map(String::as_str))?;
    member_rows::count_member_changes(tx, member.configuration, -left)
}

/// Returns the resource of a write whose steps are complete, unless it was deleted since.
///
/// # Errors
/// Errors of the store.
pub fn reload_resource(at: &Snapshot<'_>, write: &ResourceWrite<'_>) -> Result<Option<RenderedResource>> {
    let collection = collection_for(write.scope, write.resource_type);
    resources::find_resource_by_id(at, collection, write.id)?
        .map(|stored| RenderedResource::load(at, stored, write.resource_type, write.members))
        .transpose()
}

#[cfg(test)]
mod tests;
