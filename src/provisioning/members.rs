//! Edits of the members of a group, applied to rows.

pub(crate) mod diff;

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use crate::error::{Error, Reason, Result};
use crate::model::event::EventAction;
use crate::model::hold::RemovalKind;
use crate::model::switches::UnknownMembers;
use crate::provisioning::Scope;
use crate::provisioning::events::{self, EventMember, MemberNames};
use crate::provisioning::publication::Publication;
use crate::provisioning::safety_net::mass_removals::CountedChange;
use crate::scim::dialect::{DialectNotes, NoteCode};
use crate::scim::filter::Predicate;
use crate::scim::filter::evaluate::{ElementKeys, matches_element};
use crate::scim::members::{MemberEdit, MemberRef};
use crate::scim::patch::{self, PatchEdit};
use crate::scim::path::shorten_text;
use crate::scim::work::WorkBudget;
use crate::store::tables::held_changes::HeldMemberRef;
use crate::store::tables::members::{self, LinkedResource};
use crate::store::tables::resources::{self, StoredResource};
use crate::store::{Snapshot, Tx};

/// A [`MemberEdit`] whose ids are resolved and whose condition is evaluated. Applying it cannot be rejected.
#[derive(Debug, Clone)]
pub(crate) enum ResolvedMemberEdit {
    Add(Vec<LinkedResource>),
    Remove(Vec<LinkedResource>),
    Replace(Vec<LinkedResource>),
}

/// One step of a request on the members of a group.
#[derive(Debug, Clone)]
pub(crate) enum MemberStep {
    Edit(ResolvedMemberEdit),
    /// Removes the members that match any of the conditions.
    RemoveWhere(Vec<Predicate>),
}

/// Members that the conditions of a request select, for each [`MemberStep::RemoveWhere`] in order.
pub(crate) type ConditionalRemovals = Vec<Vec<LinkedResource>>;

/// Resolves the ids in the edits of a request. `group` is the id of the group itself. Removals have the same result in
/// any order, so all conditions since the last addition become one step: one pass over the members.
///
/// # Errors
/// 400 invalidValue if the group would be a member of itself, or for an id that is not a resource of the configuration,
/// unless the configuration skips unknown members. The detail names the operation.
pub(crate) fn resolve_steps(
    at: &Snapshot<'_>,
    scope: &Scope,
    group: &str,
    edits: &[PatchEdit],
    notes: &mut DialectNotes,
) -> Result<Vec<MemberStep>> {
    let mut steps = Vec::new();
    // The step that collects conditions.
    let mut open = None;
    for edit in edits {
        let PatchEdit::Members(operation, edit) = edit else { continue };
        if let MemberEdit::RemoveWhere(condition) = edit {
            let step = *open.get_or_insert_with(|| {
                steps.push(MemberStep::RemoveWhere(Vec::new()));
                steps.len() - 1
            });
            if let Some(MemberStep::RemoveWhere(conditions)) = steps.get_mut(step) {
                conditions.push((**condition).clone());
            }
            continue;
        }
        let resolved = resolve_edit(at, scope, group, edit, notes);
        let resolved = resolved.map_err(|error| label_operation_error(error, *operation))?;
        if !matches!(resolved, ResolvedMemberEdit::Remove(_)) {
            open = None;
        }
        steps.push(MemberStep::Edit(resolved));
    }
    Ok(steps)
}

fn label_operation_error(error: Error, operation: usize) -> Error {
    // Errors of the server itself are not about an operation of the request.
    if error.status() < 500 { error.within(&patch::label_operation(operation)) } else { error }
}

/// Resolves an edit without a condition; see [`resolve_steps`].
pub(crate) fn resolve_edit(
    at: &Snapshot<'_>,
    scope: &Scope,
    group: &str,
    edit: &MemberEdit,
    notes: &mut DialectNotes,
) -> Result<ResolvedMemberEdit> {
    Ok(match edit {
        MemberEdit::Add(members) => ResolvedMemberEdit::Add(resolve_added_members(at, scope, group, members, notes)?),
        MemberEdit::Replace(members) => {
            let found = resolve_added_members(at, scope, group, members, notes)?;
            check_any_known(found.len(), members)?;
            ResolvedMemberEdit::Replace(found)
        }
        // An unknown id cannot be a member. Removing it is not an error (RFC 7644 section 3.5.2.2).
        MemberEdit::Remove(ids) => ResolvedMemberEdit::Remove(find_members(at, scope, ids)?),
        MemberEdit::RemoveWhere(_) => ResolvedMemberEdit::Remove(Vec::new()),
    })
}

/// Checks the result of a replacement: a list of skipped members must not empty the group.
pub(crate) fn check_any_known(found: usize, members: &[MemberRef]) -> Result<()> {
    if found == 0 && !members.is_empty() { Err(Error::new(Reason::MembersAllUnknown)) } else { Ok(()) }
}

/// Work of reading or visiting one member.
const MEMBER_UNITS: u64 = 100;

/// Evaluates the conditions of a request on the members that the group has at that step.
///
/// # Errors
/// 400 tooMany above the budget.
pub(crate) fn evaluate_conditions(
    at: &Snapshot<'_>,
    group: &StoredResource,
    steps: &[MemberStep],
    work: &mut WorkBudget,
) -> Result<ConditionalRemovals> {
    let mut removals = Vec::new();
    let is_condition = |step: &MemberStep| matches!(step, MemberStep::RemoveWhere(_));
    let Some(last) = steps.iter().rposition(is_condition) else { return Ok(removals) };
    work.charge(MEMBER_UNITS.saturating_mul(group.member_count.unsigned_abs()))?;
    let rows = list_current_members(at, group)?.into_iter();
    let mut current: BTreeMap<i64, LinkedResource> = rows.map(|member| (member.key, member)).collect();
    for step in &steps[..=last] {
        match step {
            MemberStep::Edit(ResolvedMemberEdit::Add(list)) => {
                current.extend(list.iter().map(|member| (member.key, member.clone())));
            }
            MemberStep::Edit(ResolvedMemberEdit::Remove(list)) => {
                for member in list {
                    current.remove(&member.key);
                }
            }
            MemberStep::Edit(ResolvedMemberEdit::Replace(list)) => {
                current = list.iter().map(|member| (member.key, member.clone())).collect();
            }
            MemberStep::RemoveWhere(conditions) => {
                let mut matching = Vec::new();
                for member in current.values() {
                    if matches_any(conditions, member, work)? {
                        matching.push(member.clone());
                    }
                }
                for member in &matching {
                    current.remove(&member.key);
                }
                removals.push(matching);
            }
        }
    }
    Ok(removals)
}

fn matches_any(conditions: &[Predicate], member: &LinkedResource, work: &mut WorkBudget) -> Result<bool> {
    work.charge(MEMBER_UNITS)?;
    let element = json!({"value": member.id, "type": member.resource_type, "display": member.label});
    let mut keys = ElementKeys::default();
    for condition in conditions {
        if matches_element(condition, &element, &mut keys, work)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the edits of a request whose conditions are evaluated.
pub(crate) fn complete_steps(steps: Vec<MemberStep>, removals: ConditionalRemovals) -> Vec<ResolvedMemberEdit> {
    let mut removals = removals.into_iter();
    let complete = |step| match step {
        MemberStep::Edit(edit) => edit,
        MemberStep::RemoveWhere(_) => ResolvedMemberEdit::Remove(removals.next().unwrap_or_default()),
    };
    steps.into_iter().map(complete).collect()
}

fn resolve_added_members(
    at: &Snapshot<'_>,
    scope: &Scope,
    group: &str,
    members: &[MemberRef],
    notes: &mut DialectNotes,
) -> Result<Vec<LinkedResource>> {
    let mut found = Vec::with_capacity(members.len());
    visit_added_members(at, (scope, group), members, notes, |member| found.push(member))?;
    Ok(found)
}

/// Finds the members that a request adds to a group.
///
/// # Errors
/// Those of [`resolve_steps`].
pub(crate) fn visit_added_members(
    at: &Snapshot<'_>,
    (scope, group): (&Scope, &str),
    members: &[MemberRef],
    notes: &mut DialectNotes,
    mut visit: impl FnMut(LinkedResource),
) -> Result<()> {
    if members.iter().any(|member| member.id == group) {
        return Err(Error::new(Reason::MemberOfItself));
    }
    let ids = members.iter().map(|member| &*member.id);
    members::visit_resources_by_id(at, scope.configuration, ids, |id, member| {
        match (member, scope.switches.unknown_members) {
            (Some(member), _) => visit(member),
            (None, UnknownMembers::Skip) => notes.add(NoteCode::UnknownMemberSkipped),
            (None, UnknownMembers::Reject) => {
                return Err(Reason::MemberUnknown.with("id", format_args!("\"{}\"", shorten_text(id))));
            }
        }
        Ok(())
    })
}

fn find_members(at: &Snapshot<'_>, scope: &Scope, ids: &[String]) -> Result<Vec<LinkedResource>> {
    let mut found = Vec::with_capacity(ids.len());
    members::visit_resources_by_id(at, scope.configuration, ids.iter().map(|id| &**id), |_, member| {
        found.extend(member);
        Ok(())
    })?;
    Ok(found)
}

/// Net change of the members of a group by one request. A member that is added and removed again is not included.
#[derive(Debug, Default)]
pub(crate) struct MembershipDelta(BTreeMap<i64, (LinkedResource, bool)>);

impl MembershipDelta {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what this removes and brings back, if anything.
    pub(crate) fn describe(&self, group: &str) -> Option<CountedChange> {
        let list = |has_joined: bool| {
            let matching = self.0.values().filter(|(_, joined)| *joined == has_joined);
            matching.map(|(member, _)| (group.to_owned(), member.id.clone())).collect()
        };
        (!self.is_empty()).then(|| CountedChange {
            kind: RemovalKind::Memberships,
            removed: list(false),
            returned: list(true),
            later: None,
            was_counted: false,
            user: None,
        })
    }

    fn record(&mut self, member: LinkedResource, joined: bool) {
        match self.0.get(&member.key) {
            Some((_, before)) if *before != joined => {
                self.0.remove(&member.key);
            }
            _ => {
                self.0.insert(member.key, (member, joined));
            }
        }
    }

    fn list_changed(&self, at: &Snapshot<'_>, configuration: i64, joined: bool) -> Result<Vec<EventMember>> {
        let matching = self.0.values().filter(|(_, has_joined)| *has_joined == joined);
        let describe = |(member, _): &(LinkedResource, bool)| {
            Ok(EventMember {
                names: MemberNames::load(at, configuration, (member.key, &member.id))?,
                value: member.id.clone(),
                resource_type: member.resource_type.clone().into_owned(),
            })
        };
        matching.map(describe).collect()
    }

    /// Holds the previous memberships during a pause and appends the events of the change. `group` is the group after it.
    pub(crate) fn publish(
        &self,
        publication: &Publication<'_>,
        resource_type: &str,
        group: &StoredResource,
    ) -> Result<()> {
        if publication.is_holding() {
            for (member, joined) in self.0.values() {
                let member = HeldMemberRef { key: member.key, id: &member.id, resource_type: &member.resource_type };
                publication.hold_membership_change(&group.id, member, *joined)?;
            }
        }
        let subject = events::describe_subject(resource_type, group);
        for (action, joined) in [(EventAction::MemberAdded, true), (EventAction::MemberRemoved, false)] {
            let members = self.list_changed(publication.transaction(), group.configuration, joined)?;
            events::append_members_changed(publication, &subject, action, &members)?;
        }
        Ok(())
    }
}

/// The most members by which these edits can increase the members of a group with `count` members.
pub(crate) fn find_largest_growth(count: i64, edits: &[ResolvedMemberEdit]) -> i64 {
    let length = |list: &[LinkedResource]| i64::try_from(list.len()).unwrap_or(i64::MAX);
    let most = edits.iter().fold(count, |most, edit| match edit {
        ResolvedMemberEdit::Add(list) => most.saturating_add(length(list)),
        ResolvedMemberEdit::Replace(list) => length(list),
        ResolvedMemberEdit::Remove(_) => most,
    });
    most - count
}

/// Whether the edits only remove members: this ends rights, and is possible on a full disk.
pub(crate) fn only_remove(edits: &[ResolvedMemberEdit]) -> bool {
    edits.iter().all(|edit| match edit {
        ResolvedMemberEdit::Add(list) | ResolvedMemberEdit::Replace(list) => list.is_empty(),
        ResolvedMemberEdit::Remove(_) => true,
    })
}

/// Whether removed memberships are counted for the hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RemovalCounting {
    /// They are.
    Counted,
    /// The transaction that began the change has counted them.
    CountedBefore,
    /// They end with a deleted user or group, which is counted instead.
    Uncounted,
}

/// Changes the members of a group, with its version and its events, but not the usage of the configuration.
pub(crate) fn change_members(
    tx: &Tx<'_>,
    scope: &Scope,
    (resource_type, group): (&str, &mut StoredResource),
    edits: Vec<ResolvedMemberEdit>,
    counting: RemovalCounting,
) -> Result<()> {
    let mut publication = Publication::for_scope(tx, scope)?;
    let delta = apply_edits(tx, group, edits)?;
    if delta.is_empty() {
        return Ok(());
    }
    let describe = || {
        let change = delta.describe(&group.id).filter(|_| counting != RemovalCounting::Uncounted);
        Ok(change.map(|change| CountedChange { was_counted: counting == RemovalCounting::CountedBefore, ..change }))
    };
    publication.count_removals(scope, describe)?;
    publication.hold_before_update(group)?;
    resources::touch_resource(tx, group)?;
    delta.publish(&publication, resource_type, group)
}

/// Applies edits and updates the member count of the group.
pub(crate) fn apply_edits(
    tx: &Tx<'_>,
    group: &mut StoredResource,
    edits: Vec<ResolvedMemberEdit>,
) -> Result<MembershipDelta> {
    let mut delta = MembershipDelta::default();
    for edit in edits {
        tx.check_deadline()?;
        apply_edit(tx, group, edit, &mut delta)?;
    }
    Ok(delta)
}

/// Applies one edit and updates the member count of the group.
fn apply_edit(
    tx: &Tx<'_>,
    group: &mut StoredResource,
    edit: ResolvedMemberEdit,
    delta: &mut MembershipDelta,
) -> Result<()> {
    match edit {
        ResolvedMemberEdit::Add(list) => list.into_iter().try_for_each(|member| add_member(tx, group, member, delta)),
        ResolvedMemberEdit::Remove(list) => {
            list.into_iter().try_for_each(|member| remove_member(tx, group, member, delta))
        }
        ResolvedMemberEdit::Replace(list) => {
            let staying: HashSet<i64> = list.iter().map(|member| member.key).collect();
            let leaving = list_current_members(tx, group)?.into_iter().filter(|member| !staying.contains(&member.key));
            leaving.into_iter().try_for_each(|member| remove_member(tx, group, member, delta))?;
            list.into_iter().try_for_each(|member| add_member(tx, group, member, delta))
        }
    }
}

fn list_current_members(at: &Snapshot<'_>, group: &StoredResource) -> Result<Vec<LinkedResource>> {
    if group.member_count == 0 { Ok(Vec::new()) } else { members::list_group_members(at, group) }
}

fn add_member(
    tx: &Tx<'_>,
    group: &mut StoredResource,
    member: LinkedResource,
    delta: &mut MembershipDelta,
) -> Result<()> {
    if members::add_member(tx, group.key, member.key)? {
        group.member_count += 1;
        delta.record(member, true);
    }
    Ok(())
}

fn remove_member(
    tx: &Tx<'_>,
    group: &mut StoredResource,
    member: LinkedResource,
    delta: &mut MembershipDelta,
) -> Result<()> {
    if members::remove_member(tx, group.key, member.key)? {
        group.member_count -= 1;
        delta.record(member, false);
    }
    Ok(())
}
