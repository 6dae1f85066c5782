//! Undoes what a configuration changed since a time: deletions, changes of `active`, and memberships. Other attributes and new
//! users and groups stay. It runs in steps. The oldest change of each user and membership since that time shows what it was, so later
//! ones are skipped. What it changes is published as ordinary events.

use serde_json::Value;

use crate::clock::Millis;
use crate::error::Result;
use crate::log;
use crate::model::quota::{QuotaKind, UsageAmounts};
use crate::provisioning::Scope;
use crate::provisioning::feed;
use crate::provisioning::members::{self, RemovalCounting, ResolvedMemberEdit};
use crate::provisioning::quotas::write_within_quotas;
use crate::provisioning::rendered::collection_for;
use crate::provisioning::resources::{parse_attributes, set_active};
use crate::provisioning::safety_net::mass_removals::is_active;
use crate::provisioning::tombstones::{self, DeletedFilter, DeletedQuery, restore};
use crate::scim::schema::ResourceType;
use crate::store::tables::events as event_rows;
use crate::store::tables::members::{self as member_rows, LinkedResource};
use crate::store::tables::resources::{self, StoredResource};
use crate::store::tables::undos::{self, ReversalCounts, ReversalProgress, StoredReversal, UndoneEvent};
use crate::store::tables::{configurations, pending_changes};
use crate::store::{Snapshot, Tx};

/// Deletions and events that one step undoes.
pub const CHANGES_PER_STEP: usize = 50;
/// Numbers of events that one step passes. Most of them can be of other configurations.
const NUMBERS_PER_STEP: i64 = 10_000;
/// Rows that one step of the cleanup deletes.
const CLEANED_PER_STEP: usize = 2_000;

/// Begins an undo. Its steps follow.
pub fn begin_reversal(tx: &Tx<'_>, configuration: i64, since: Millis) -> Result<()> {
    let range = event_rows::find_event_range(tx)?;
    let reversal = StoredReversal {
        since,
        started_at: tx.now,
        ended_at: None,
        first_seq: undos::find_seq_before(tx, since, range)?,
        last_seq: range.1,
        progress: Some(ReversalProgress::Deletions { after: None }),
        request_id: log::current_request_id().as_deref().map(str::to_owned),
        counts: ReversalCounts::default(),
        conflict_list: Vec::new(),
    };
    undos::save_reversal(tx, configuration, &reversal)
}

/// Returns the next configuration whose undo has steps left, after the configuration `after` or else from the first one.
pub fn find_next_reversal(at: &Snapshot<'_>, after: i64) -> Result<Option<i64>> {
    undos::find_next_reversal(at, after)
}

/// Runs the next step of an undo. Does nothing while large changes run: what they change could not be complete.
pub fn run_reversal_step(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    let Some(mut reversal) = undos::find_reversal(tx, configuration)? else { return Ok(()) };
    let Some(progress) = reversal.progress.take() else { return Ok(()) };
    if pending_changes::has_changes(tx, configuration)? {
        return Ok(());
    }
    let found = configurations::find_configuration_by_key(tx, configuration)?.filter(|one| one.deleted_at.is_none());
    if let Some(found) = found {
        let scope = Scope::load(tx, found)?;
        // The history has the request that started the undo.
        let request = reversal.request_id.as_deref().map(Into::into);
        reversal.progress = log::resume_request(request, || match progress {
            ReversalProgress::Deletions { after } => revert_deletions(tx, &scope, &mut reversal, after),
            ReversalProgress::Events { after } => revert_events(tx, &scope, &mut reversal, after),
            ReversalProgress::Cleanup => {
                let is_clean = undos::delete_undone(tx, configuration, CLEANED_PER_STEP)?;
                Ok((!is_clean).then_some(ReversalProgress::Cleanup))
            }
        })?;
    }
    if reversal.progress.is_none() {
        reversal.ended_at = Some(tx.now);
    }
    undos::save_reversal(tx, configuration, &reversal)
}

fn select_deletions(reversal: &StoredReversal, after: Option<(Millis, String)>) -> DeletedFilter {
    let (since, until) = (Some(reversal.since), Some(reversal.started_at.saturating_add(1)));
    DeletedFilter { rows: DeletedQuery { resource_type: None, since, until, after }, text: None }
}

fn revert_deletions(
    tx: &Tx<'_>,
    scope: &Scope,
    reversal: &mut StoredReversal,
    after: Option<(Millis, String)>,
) -> Result<Option<ReversalProgress>> {
    let selected = (tx.now, CHANGES_PER_STEP);
    let page = tombstones::list_restorable(tx, scope.configuration, &select_deletions(reversal, after), selected)?;
    for one in &page.items {
        tx.check_deadline()?;
        let restored = revert_or_report(tx, reversal, &one.id, || restore::restore_resource(tx, scope, &one.id))?;
        reversal.counts.restored += i64::from(restored.is_some());
    }
    if let Some(next) = page.next {
        return Ok(Some(ReversalProgress::Deletions { after: Some(next) }));
    }
    Ok(Some(ReversalProgress::Events { after: reversal.first_seq }))
}

/// Runs a part of an undo. If a quota or a name in use prevents it, the part is undone, and the conflict is listed. Returns `None`
/// then.
fn revert_or_report<T>(
    tx: &Tx<'_>,
    reversal: &mut StoredReversal,
    id: &str,
    part: impl FnOnce() -> Result<T>,
) -> Result<Option<T>> {
    match tx.run_in_savepoint(part) {
        Ok(done) => Ok(Some(done)),
        Err(error) if restore::is_conflict(&error) => {
            reversal.add_conflict(id, error.reason().code());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn revert_events(
    tx: &Tx<'_>,
    scope: &Scope,
    reversal: &mut StoredReversal,
    after: i64,
) -> Result<Option<ReversalProgress>> {
    let highest = reversal.last_seq.min(after.saturating_add(NUMBERS_PER_STEP));
    let found = undos::list_changes_after(tx, scope.configuration, (after, highest), CHANGES_PER_STEP)?;
    for event in &found {
        tx.check_deadline()?;
        revert_event(tx, scope, reversal, event)?;
    }
    let next = match found.last().filter(|_| found.len() == CHANGES_PER_STEP) {
        Some(last) => last.seq,
        None => highest,
    };
    Ok(Some(if next < reversal.last_seq {
        ReversalProgress::Events { after: next }
    } else {
        ReversalProgress::Cleanup
    }))
}

fn revert_event(tx: &Tx<'_>, scope: &Scope, reversal: &mut StoredReversal, event: &UndoneEvent) -> Result<()> {
    if event.kind.starts_with("user.") {
        return revert_activity(tx, scope, reversal, event);
    }
    revert_membership(tx, scope, reversal, event)
}

fn revert_activity(tx: &Tx<'_>, scope: &Scope, reversal: &mut StoredReversal, event: &UndoneEvent) -> Result<()> {
    if !undos::record_undone(tx, scope.configuration, &event.resource_id, "")? {
        return Ok(());
    }
    let Some((resource_type, stored)) = find_changed(tx, scope, event)? else { return Ok(()) };
    let was_active = event.kind == "user.deactivated";
    if is_active(&parse_attributes(&stored)?) == was_active {
        return Ok(());
    }
    let change = || set_active(tx, scope, resource_type, stored, was_active);
    if revert_or_report(tx, reversal, &event.resource_id, change)?.is_some() {
        *(if was_active { &mut reversal.counts.activated } else { &mut reversal.counts.deactivated }) += 1;
    }
    Ok(())
}

fn revert_membership(tx: &Tx<'_>, scope: &Scope, reversal: &mut StoredReversal, event: &UndoneEvent) -> Result<()> {
    let mut oldest = Vec::new();
    for member in list_member_ids(&event.payload) {
        if undos::record_undone(tx, scope.configuration, &event.resource_id, &member)? {
            oldest.push(member);
        }
    }
    let Some((resource_type, stored)) = find_changed(tx, scope, event)?.filter(|_| !oldest.is_empty()) else {
        return Ok(());
    };
    let (members, returns) = (find_members(tx, scope, &oldest)?, event.kind == "group.member_removed");
    let edit = if returns { ResolvedMemberEdit::Add(members) } else { ResolvedMemberEdit::Remove(members) };
    let growth = members::find_largest_growth(stored.member_count, std::slice::from_ref(&edit));
    let growth = UsageAmounts::default().with(QuotaKind::Members, growth);
    let change = || {
        write_within_quotas(tx, scope, &growth, || {
            let mut group = stored.clone();
            let changed = (&*resource_type.name, &mut group);
            members::change_members(tx, scope, changed, vec![edit], RemovalCounting::Uncounted)?;
            let difference = group.member_count - stored.member_count;
            member_rows::count_member_changes(tx, scope.configuration, difference)?;
            Ok(difference.abs())
        })
    };
    if let Some(changed) = revert_or_report(tx, reversal, &event.resource_id, change)? {
        *(if returns { &mut reversal.counts.joined } else { &mut reversal.counts.left }) += changed;
    }
    Ok(())
}

/// Returns the user or group of an event, if it exists.
pub(super) fn find_changed<'s>(
    at: &Snapshot<'_>,
    scope: &'s Scope,
    event: &UndoneEvent,
) -> Result<Option<(&'s ResourceType, StoredResource)>> {
    let resource_type = scope.find_type(if event.kind.starts_with("user.") { "User" } else { "Group" })?;
    let found = resources::find_resource_by_id(at, collection_for(scope, resource_type), &event.resource_id)?;
    Ok(found.map(|stored| (&**resource_type, stored)))
}

pub(super) fn list_member_ids(payload: &str) -> Vec<String> {
    // The data of a purged resource has no members.
    let payload: Value = serde_json::from_str(payload).unwrap_or_default();
    let members = payload.get("members").and_then(Value::as_array).into_iter().flatten();
    members.filter_map(|member| member.get("value")?.as_str().map(str::to_owned)).collect()
}

fn find_members(at: &Snapshot<'_>, scope: &Scope, ids: &[String]) -> Result<Vec<LinkedResource>> {
    let mut found = Vec::new();
    member_rows::visit_resources_by_id(at, scope.configuration, ids.iter().map(String::as_str), |_, member| {
        found.extend(member);
        Ok(())
    })?;
    Ok(found)
}

/// The oldest time from which on changes can be undone: events are stored for as long.
pub fn find_oldest_reversal(now: Millis) -> Millis {
    now.saturating_sub(feed::RETENTION_MS)
}
