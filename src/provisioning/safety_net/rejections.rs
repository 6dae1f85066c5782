//! Undoes what an identity provider removed since a hold began, after an admin has rejected it: in steps, between which other
//! writes run. Deleted users and groups return from their tombstones, users are active again, and then memberships return. All
//! of it happens while the configuration is held, so the catch-up that follows publishes only the other changes.
//!
//! What is undone is remembered, so that the first write that repeats it starts another hold.

use crate::error::{Error, Result};
use crate::log;
use crate::model::hold::RemovalKind;
use crate::model::quota::{QuotaKind, UsageAmounts};
use crate::provisioning::Scope;
use crate::provisioning::members::{self, RemovalCounting, ResolvedMemberEdit};
use crate::provisioning::quotas::write_within_quotas;
use crate::provisioning::rendered::collection_for;
use crate::provisioning::resources::{edit_attributes, parse_attributes, set_active};
use crate::provisioning::safety_net::mass_removals::is_active;
use crate::provisioning::tombstones::{references, restore};
use crate::scim::validate::Attributes;
use crate::store::tables::held_changes::{self, HeldMember, HeldResource};
use crate::store::tables::holds::{self, RejectionProgress, RemovedItem};
use crate::store::tables::resources::{self, ResourceCollection};
use crate::store::tables::{configurations, members as member_rows, pending_changes};
use crate::store::{Snapshot, Tx};

/// Held resources and memberships that one step examines.
pub const CHANGES_PER_STEP: usize = 100;

/// Returns the next configuration whose removals are being undone, after the configuration `after` or else from the first one.
pub fn find_next_rejection(at: &Snapshot<'_>, after: i64) -> Result<Option<i64>> {
    holds::find_next_rejection(at, after)
}

/// Undoes some of the removals. After the last ones, the configuration is not held any more. Does nothing if another hold began,
/// and while large changes run: their steps would remove again what is undone, and what returns in steps is not complete.
pub fn run_rejection_step(tx: &Tx<'_>, configuration: i64, limit: usize) -> Result<()> {
    let Some(progress) = holds::find_rejection(tx, configuration)? else { return Ok(()) };
    let Some(found) = configurations::find_configuration_by_key(tx, configuration)? else {
        holds::save_rejection(tx, configuration, None)?;
        return holds::set_held(tx, configuration, false);
    };
    if pending_changes::has_changes(tx, configuration)? {
        return Ok(());
    }
    let scope = Scope::load(tx, found)?;
    // The history has the request of the decision also for later steps.
    let request = holds::find_deciding_request(tx, configuration)?.map(Into::into);
    let next = log::resume_request(request, || match progress {
        RejectionProgress::Resources { after } => revert_resources(tx, &scope, after, limit),
        RejectionProgress::References { after } => return_references(tx, &scope, after, limit),
        RejectionProgress::Members { after } => revert_memberships(tx, &scope, after, limit),
    })?;
    holds::save_rejection(tx, configuration, next.as_ref())?;
    if next.is_none() { holds::set_held(tx, configuration, false) } else { Ok(()) }
}

fn revert_resources(
    tx: &Tx<'_>,
    scope: &Scope,
    after: (String, i64),
    limit: usize,
) -> Result<Option<RejectionProgress>> {
    let found = held_changes::list_resources_after(tx, scope.configuration, (&after.0, after.1), limit)?;
    let Some(last) = found.last() else {
        return Ok(Some(RejectionProgress::References { after: (String::new(), 0) }));
    };
    let next = (last.held.resource_type.clone(), last.resource);
    for one in &found {
        tx.check_deadline()?;
        revert_resource(tx, scope, &one.held, one.is_deleted)?;
    }
    Ok(Some(RejectionProgress::Resources { after: next }))
}

/// Undoes the deletion or the deactivation of one resource. One that was never published stays as it is.
fn revert_resource(tx: &Tx<'_>, scope: &Scope, held: &HeldResource, is_deleted: bool) -> Result<()> {
    let Some(before) = &held.before else { return Ok(()) };
    let resource_type = scope.find_type(&held.resource_type)?;
    let item = RemovedItem { subject: &held.id, member: "" };
    let kind = if resource_type.members().is_some() { RemovalKind::Groups } else { RemovalKind::Users };
    if is_deleted {
        holds::mark_rejected(tx, scope.configuration, kind, item)?;
        let restored = revert_or_report(tx, scope, &held.id, || restore::restore_held_resource(tx, scope, &held.id))?;
        if restored.is_none() {
            return Ok(());
        }
    }
    if kind != RemovalKind::Users || !is_active(&parse_published(&held.id, before)?) {
        return Ok(());
    }
    let found = resources::find_resource_by_id(tx, collection_for(scope, resource_type), &held.id)?;
    let Some(stored) = found else { return Ok(()) };
    if is_active(&parse_attributes(&stored)?) {
        return Ok(());
    }
    holds::mark_rejected(tx, scope.configuration, kind, item)?;
    revert_or_report(tx, scope, &held.id, || set_active(tx, scope, resource_type, stored, true)).map(drop)
}

/// Runs a part of the rejection. If a quota or a name in use prevents it, the part is undone, and the conflict is listed. Returns
/// `None` then.
fn revert_or_report<T>(tx: &Tx<'_>, scope: &Scope, id: &str, part: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    match tx.run_in_savepoint(part) {
        Ok(done) => Ok(Some(done)),
        Err(error) if restore::is_conflict(&error) => {
            holds::add_conflict(tx, scope.configuration, id, error.reason().code())?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn parse_published(id: &str, text: &str) -> Result<Attributes> {
    serde_json::from_str(text).map_err(|problem| Error::undecodable(format_args!("held text of {id}"), problem))
}

/// Returns references that ended because the other resource was deleted, such as `manager`, if that one was restored.
fn return_references(
    tx: &Tx<'_>,
    scope: &Scope,
    after: (String, i64),
    limit: usize,
) -> Result<Option<RejectionProgress>> {
    let found = held_changes::list_resources_after(tx, scope.configuration, (&after.0, after.1), limit)?;
    let Some(last) = found.last() else {
        return Ok(Some(RejectionProgress::Members { after: (String::new(), 0) }));
    };
    let next = (last.held.resource_type.clone(), last.resource);
    let since = holds::load_hold(tx, scope.configuration)?.last.map_or(tx.now, |last| last.since);
    for HeldResource { id, resource_type, before, .. } in found.into_iter().map(|one| one.held) {
        tx.check_deadline()?;
        let Some(before) = before else { continue };
        let resource_type = scope.find_type(&resource_type)?;
        let found = resources::find_resource_by_id(tx, collection_for(scope, resource_type), &id)?;
        let Some(stored) = found else { continue };
        let current = parse_attributes(&stored)?;
        let ended = references::list_ended_references(resource_type, &parse_published(&id, &before)?, &current);
        let mut returned = Vec::new();
        for reference in ended {
            let item = RemovedItem { subject: &reference.target, member: "" };
            if holds::was_rejected(tx, scope.configuration, RemovalKind::Users, item, since - 1)?
                && references::is_resource(tx, scope.configuration, &reference.target)?
            {
                returned.push(reference);
            }
        }
        if !returned.is_empty() {
            revert_or_report(tx, scope, &id, || {
                edit_attributes(tx, scope, resource_type, stored, |attributes| {
                    for reference in returned {
                        reference.insert_into(attributes);
                    }
                })
            })?;
        }
    }
    Ok(Some(RejectionProgress::References { after: next }))
}

fn revert_memberships(
    tx: &Tx<'_>,
    scope: &Scope,
    after: (String, i64),
    limit: usize,
) -> Result<Option<RejectionProgress>> {
    let found = held_changes::list_held_members_after(tx, scope.configuration, (&after.0, after.1), limit)?;
    let Some(last) = found.last() else { return Ok(None) };
    let next = (last.group.clone(), last.member);
    for of_group in found.chunk_by(|one, next| one.group == next.group) {
        tx.check_deadline()?;
        revert_memberships_of_group(tx, scope, of_group)?;
    }
    Ok(Some(RejectionProgress::Members { after: next }))
}

fn revert_memberships_of_group(tx: &Tx<'_>, scope: &Scope, removed: &[HeldMember]) -> Result<()> {
    let mut joining = Vec::new();
    for one in removed.iter().filter(|one| one.was_member && !one.is_member) {
        let item = RemovedItem { subject: &one.group, member: &one.member_id };
        holds::mark_rejected(tx, scope.configuration, RemovalKind::Memberships, item)?;
        let member = member_rows::find_linked_resource(tx, scope.configuration, one.member)?;
        joining.extend(member.filter(|member| member.id == one.member_id));
    }
    let Some(first) = removed.first().filter(|_| !joining.is_empty()) else { return Ok(()) };
    let Some(resource_type) = first.group_type.as_deref() else { return Ok(()) };
    let collection = ResourceCollection { configuration: scope.configuration, resource_type };
    let Some(mut group) = resources::find_resource_by_id(tx, collection, &first.group)? else { return Ok(()) };
    let (before, edits) = (group.member_count, vec![ResolvedMemberEdit::Add(joining)]);
    revert_or_report(tx, scope, &first.group, || {
        let growth = members::find_largest_growth(before, &edits);
        write_within_quotas(tx, scope, &UsageAmounts::default().with(QuotaKind::Members, growth), || {
            members::change_members(tx, scope, (resource_type, &mut group), edits, RemovalCounting::Uncounted)?;
            member_rows::count_member_changes(tx, scope.configuration, group.member_count - before)
        })
    })
    .map(drop)
}
