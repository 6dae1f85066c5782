//! Undoes what a configuration changed since a time: deletions, changes of `active`, and memberships. Other attributes and new
//! users and groups stay. It runs in steps, newest change first, so that the state at that time results; what it changes is published
//! as ordinary events.

use std::collections::HashMap;

use serde_json::Value;

use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::log;
use crate::provisioning::Scope;
use crate::provisioning::feed;
use crate::provisioning::members::{self, RemovalCounting, ResolvedMemberEdit};
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
/// Events and deletions that a preview examines.
const PREVIEWED_MAX: usize = 100_000;
/// Names in a preview.
pub const NAMES_MAX: usize = 100;

/// What an undo would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReversalPreview {
    /// The numbers.
    pub counts: ReversalCounts,
    /// The first users and groups that return or change, with what happens.
    pub names: Vec<(String, UndoneChange)>,
    /// Whether there is more than a preview examines.
    pub is_cut: bool,
}

/// What happens to a user or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoneChange {
    /// It returns.
    Restored,
    /// The user is active again.
    Activated,
    /// The user is inactive again.
    Deactivated,
}

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
    };
    undos::save_reversal(tx, configuration, &reversal)
}

/// Returns the next configuration whose undo has steps left.
pub fn find_next_reversal(at: &Snapshot<'_>) -> Result<Option<i64>> {
    undos::find_next_reversal(at)
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
            ReversalProgress::Events { before } => revert_events(tx, &scope, &mut reversal, before),
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
        match tx.run_in_savepoint(|| restore::restore_resource(tx, scope, &one.id)) {
            Ok(_) => reversal.counts.restored += 1,
            Err(error) if restore::is_conflict(&error) => reversal.counts.conflicts += 1,
            Err(error) => return Err(error),
        }
    }
    if let Some(next) = page.next {
        return Ok(Some(ReversalProgress::Deletions { after: Some(next) }));
    }
    Ok(Some(ReversalProgress::Events { before: reversal.last_seq + 1 }))
}

fn revert_events(
    tx: &Tx<'_>,
    scope: &Scope,
    reversal: &mut StoredReversal,
    before: i64,
) -> Result<Option<ReversalProgress>> {
    let lowest = reversal.first_seq.max(before.saturating_sub(NUMBERS_PER_STEP));
    let found = undos::list_changes_before(tx, scope.configuration, (lowest, before), CHANGES_PER_STEP)?;
    for event in &found {
        tx.check_deadline()?;
        revert_event(tx, scope, reversal, event)?;
    }
    let next = match found.last().filter(|_| found.len() == CHANGES_PER_STEP) {
        Some(last) => last.seq,
        None => lowest + 1,
    };
    Ok((next > reversal.first_seq + 1).then_some(ReversalProgress::Events { before: next }))
}

fn revert_event(tx: &Tx<'_>, scope: &Scope, reversal: &mut StoredReversal, event: &UndoneEvent) -> Result<()> {
    let Some((resource_type, stored)) = find_changed(tx, scope, event)? else { return Ok(()) };
    match event.kind.as_str() {
        "user.deactivated" | "user.reactivated" => {
            // The oldest change shows what it was.
            if undos::has_earlier_activity(tx, &stored.id, (reversal.first_seq, event.seq))? {
                return Ok(());
            }
            let was_active = event.kind == "user.deactivated";
            if is_active(&parse_attributes(&stored)?) == was_active {
                return Ok(());
            }
            set_active(tx, scope, resource_type, stored, was_active)?;
            *(if was_active { &mut reversal.counts.activated } else { &mut reversal.counts.deactivated }) += 1;
            Ok(())
        }
        kind => {
            let returns = kind == "group.member_removed";
            let members = find_members(tx, scope, &event.payload)?;
            let edit = if returns { ResolvedMemberEdit::Add(members) } else { ResolvedMemberEdit::Remove(members) };
            let mut group = stored.clone();
            let changed = (&*resource_type.name, &mut group);
            members::change_members(tx, scope, changed, vec![edit], RemovalCounting::Uncounted)?;
            let difference = group.member_count - stored.member_count;
            member_rows::count_member_changes(tx, scope.configuration, difference)?;
            *(if returns { &mut reversal.counts.joined } else { &mut reversal.counts.left }) += difference.abs();
            Ok(())
        }
    }
}

/// Returns the user or group of an event, if it exists.
fn find_changed<'s>(
    at: &Snapshot<'_>,
    scope: &'s Scope,
    event: &UndoneEvent,
) -> Result<Option<(&'s ResourceType, StoredResource)>> {
    let resource_type = scope.find_type(if event.kind.starts_with("user.") { "User" } else { "Group" })?;
    let found = resources::find_resource_by_id(at, collection_for(scope, resource_type), &event.resource_id)?;
    Ok(found.map(|stored| (&**resource_type, stored)))
}

fn list_member_ids(payload: &str) -> Vec<String> {
    // The data of a purged resource has no members.
    let payload: Value = serde_json::from_str(payload).unwrap_or_default();
    let members = payload.get("members").and_then(Value::as_array).into_iter().flatten();
    members.filter_map(|member| member.get("value")?.as_str().map(str::to_owned)).collect()
}

fn find_members(at: &Snapshot<'_>, scope: &Scope, payload: &str) -> Result<Vec<LinkedResource>> {
    let (ids, mut found) = (list_member_ids(payload), Vec::new());
    member_rows::visit_resources_by_id(at, scope.configuration, ids.iter().map(String::as_str), |_, member| {
        found.extend(member);
        Ok(())
    })?;
    Ok(found)
}

/// Returns what an undo would do now. It examines at most 100,000 deletions and as many events. The memberships of deleted users and
/// groups, which return with them, are not counted.
///
/// # Errors
/// Errors of the store.
pub fn preview_reversal(at: &Snapshot<'_>, configuration: i64, since: Millis, now: Millis) -> Result<ReversalPreview> {
    let Some(found) = configurations::find_configuration_by_key(at, configuration)? else {
        return Err(Reason::ConfigurationNotFound.with("id", configuration));
    };
    let scope = Scope::load(at, found)?;
    let mut preview = ReversalPreview::default();
    let rows = DeletedQuery { resource_type: None, since: Some(since), until: None, after: None };
    let filter = DeletedFilter { rows, text: None };
    let deleted = tombstones::list_restorable(at, configuration, &filter, (now, PREVIEWED_MAX))?;
    preview.is_cut = deleted.next.is_some();
    preview.counts.restored = i64::try_from(deleted.items.len()).unwrap_or(i64::MAX);
    let names = deleted.items.into_iter().take(NAMES_MAX);
    preview.names.extend(names.map(|one| (one.name.unwrap_or(one.id), UndoneChange::Restored)));
    let (removed, end) = event_rows::find_event_range(at)?;
    let first = undos::find_seq_before(at, since, (removed, end))?;
    let events = undos::list_changes_before(at, configuration, (first, end + 1), PREVIEWED_MAX)?;
    preview.is_cut |= events.len() == PREVIEWED_MAX;
    preview_events(at, &scope, &mut preview, events)?;
    Ok(preview)
}

/// Counts what the events change. Of several about the same user or membership, the oldest one is the last here, and decides.
fn preview_events(
    at: &Snapshot<'_>,
    scope: &Scope,
    preview: &mut ReversalPreview,
    events: Vec<UndoneEvent>,
) -> Result<()> {
    let (mut activity, mut memberships) = (HashMap::new(), HashMap::new());
    for event in events {
        if event.kind.starts_with("user.") {
            activity.insert(event.resource_id.clone(), event);
            continue;
        }
        let was_member = event.kind == "group.member_removed";
        for member in list_member_ids(&event.payload) {
            memberships.insert((event.resource_id.clone(), member), was_member);
        }
    }
    for event in activity.values() {
        let Some((_, stored)) = find_changed(at, scope, event)? else { continue };
        let (attributes, was_active) = (parse_attributes(&stored)?, event.kind == "user.deactivated");
        if is_active(&attributes) == was_active {
            continue;
        }
        *(if was_active { &mut preview.counts.activated } else { &mut preview.counts.deactivated }) += 1;
        if preview.names.len() < NAMES_MAX {
            let name = attributes.get("userName").and_then(Value::as_str).unwrap_or(&stored.id).to_owned();
            preview.names.push((name, if was_active { UndoneChange::Activated } else { UndoneChange::Deactivated }));
        }
    }
    for ((group, member), was_member) in memberships {
        let ids = [group.as_str(), member.as_str()];
        let mut keys = Vec::with_capacity(2);
        member_rows::visit_resources_by_id(at, scope.configuration, ids, |_, found| {
            keys.extend(found.map(|found| found.key));
            Ok(())
        })?;
        let [group, member] = keys[..] else { continue };
        if member_rows::is_member(at, group, member)? != was_member {
            *(if was_member { &mut preview.counts.joined } else { &mut preview.counts.left }) += 1;
        }
    }
    Ok(())
}

/// The oldest time from which on changes can be undone: events are stored for as long.
pub fn find_oldest_reversal(now: Millis) -> Millis {
    now.saturating_sub(feed::RETENTION_MS)
}
