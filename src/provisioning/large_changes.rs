//! Large changes that run in steps: changes of many members of a group, and deletions of resources with many memberships.
//!
//! One transaction with 100,000 members would delay the writes of all others. So the transaction of the request only decides:
//! it checks the conditions and the quotas and stores what is left to do. Then each step is a write of its own, with its
//! version and its events, and bounded work. Members join before others leave, so that no member of both the old and the
//! new list is missing in between. Until the last step, no other write changes the resource, and after a restart the
//! remaining steps run before the server accepts requests. `steps` runs them.

pub mod steps;

use crate::error::Result;
use crate::model::quota::{QuotaKind, UsageAmounts};
use crate::provisioning::members::diff::{MemberDiff, MemberKey};
use crate::provisioning::quotas::reserve_growth;
use crate::store::tables::pending_changes::{self, MemberSlice, PendingChange};
use crate::store::tables::resources::StoredResource;
use crate::store::tables::{members as member_rows, usage};
use crate::store::{Snapshot, Tx};

/// Up to this number of members in a request and in the lists that it replaces, the change is evaluated in its transaction.
pub(super) const MEMBERS_INLINE_MAX: usize = if cfg!(test) { 2 } else { 1_000 };

/// Members that one step adds or removes.
pub const MEMBERS_PER_STEP: usize = if cfg!(test) { 3 } else { 2_000 };
/// Groups that a deleted resource leaves in one step. Each of them is a change with an event.
pub const GROUPS_PER_STEP: usize = if cfg!(test) { 1 } else { 200 };

/// Whether the change of the resource is so large that it runs in steps.
pub(super) fn is_large(diff: &MemberDiff) -> bool {
    diff.len() > MEMBERS_PER_STEP
}

/// Stores a change of many members of a group.
///
/// # Errors
/// `QuotaExceeded`, without a change.
pub(super) fn start_member_change(
    tx: &Tx<'_>,
    resource_type: &str,
    group: &StoredResource,
    diff: &MemberDiff,
) -> Result<()> {
    let count = |list: &[MemberKey]| i64::try_from(list.len()).unwrap_or(i64::MAX);
    let reserved = count(&diff.joining).saturating_sub(count(&diff.leaving)).max(0);
    let growth = UsageAmounts::default().with(QuotaKind::Members, reserved);
    reserve_growth(tx, group.configuration, &growth)?;
    pending_changes::insert_change(tx, &PendingChange { reserved, ..describe_change(resource_type, group, false) })?;
    let joining = diff.joining.chunks(MEMBERS_PER_STEP).map(|members| (true, members));
    let leaving = diff.leaving.chunks(MEMBERS_PER_STEP).map(|members| (false, members));
    for (number, (joins, members)) in (0..).zip(joining.chain(leaving)) {
        let slice = MemberSlice { number, joins, members: MemberKey::encode(members) };
        pending_changes::insert_slice(tx, group.key, &slice)?;
    }
    Ok(())
}

fn describe_change(resource_type: &str, stored: &StoredResource, deletes: bool) -> PendingChange {
    PendingChange {
        resource: stored.key,
        configuration: stored.configuration,
        resource_type: resource_type.to_owned(),
        deletes,
        reserved: 0,
        changed: 0,
    }
}

/// Whether these many members of a request are too many for its transaction.
pub(super) fn exceeds_inline(members: usize, replaced: i64) -> bool {
    members.saturating_add(usize::try_from(replaced).unwrap_or_default()) > MEMBERS_INLINE_MAX
}

/// Stores the deletion of a resource with many memberships. Returns false without a change if they are few.
pub(super) fn start_deletion(tx: &Tx<'_>, resource_type: &str, stored: &StoredResource) -> Result<bool> {
    if !has_many_memberships(tx, stored)? {
        return Ok(false);
    }
    pending_changes::insert_change(tx, &describe_change(resource_type, stored, true))?;
    Ok(true)
}

fn has_many_memberships(at: &Snapshot<'_>, stored: &StoredResource) -> Result<bool> {
    Ok(has_many_members(stored) || member_rows::is_in_more_groups(at, stored.key, GROUPS_PER_STEP)?)
}

pub(super) fn has_many_members(stored: &StoredResource) -> bool {
    usize::try_from(stored.member_count).unwrap_or_default() > MEMBERS_PER_STEP
}

/// Ends a change: from now on the usage counts what was really changed.
pub(super) fn end_change(tx: &Tx<'_>, resource: i64) -> Result<()> {
    let Some(change) = pending_changes::find_change(tx, resource)? else { return Ok(()) };
    let rest = UsageAmounts::default().with(QuotaKind::Members, change.changed - change.reserved);
    usage::add_usage(tx, change.configuration, &rest)?;
    pending_changes::delete_change(tx, resource)
}

/// Ends a change of the members of a resource without its remaining steps, because the resource is deleted.
pub(super) fn discard_member_change(tx: &Tx<'_>, resource: i64) -> Result<()> {
    match pending_changes::find_change(tx, resource)? {
        Some(change) if !change.deletes => end_change(tx, resource),
        _ => Ok(()),
    }
}

/// Ends the changes of a configuration without their remaining steps, because its resources are purged.
pub(super) fn discard_changes(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    let changes = pending_changes::list_changes(tx, configuration)?;
    changes.iter().try_for_each(|change| end_change(tx, change.resource))
}
