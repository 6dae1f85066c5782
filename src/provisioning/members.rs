//! Edits of the members of a group, applied to rows.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use crate::error::{Error, Reason, Result};
use crate::model::event::EventAction;
use crate::model::switches::UnknownMembers;
use crate::provisioning::Scope;
use crate::provisioning::events;
use crate::provisioning::publication::Publication;
use crate::scim::dialect::{DialectNotes, NoteCode};
use crate::scim::filter::Predicate;
use crate::scim::filter::evaluate::matches_element;
use crate::scim::members::{MemberEdit, MemberRef};
use crate::store::tables::held_changes::HeldMemberRef;
use crate::store::tables::members::{self, LinkedResource};
use crate::store::tables::resources::{self, StoredResource};
use crate::store::{Snapshot, Tx};

/// An existing resource that can be a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExistingMember {
    key: i64,
    id: String,
    resource_type: String,
}

/// A [`MemberEdit`] whose ids are resolved. Applying it cannot be rejected.
#[derive(Debug, Clone)]
pub(crate) enum ResolvedMemberEdit {
    Add(Vec<ExistingMember>),
    Remove(Vec<ExistingMember>),
    RemoveWhere(Predicate),
    Replace(Vec<ExistingMember>),
}

/// Resolves the ids of an edit. `group` is the id of the group itself.
///
/// # Errors
/// 400 invalidValue if the group would be a member of itself, or for an id that is not a resource of the configuration,
/// unless the configuration skips unknown members.
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
            ResolvedMemberEdit::Replace(resolve_added_members(at, scope, group, members, notes)?)
        }
        MemberEdit::RemoveWhere(condition) => ResolvedMemberEdit::RemoveWhere((**condition).clone()),
        // An unknown id cannot be a member. Removing it is not an error (RFC 7644 section 3.5.2.2).
        MemberEdit::Remove(ids) => {
            ResolvedMemberEdit::Remove(find_members(at, scope, ids)?.into_iter().flatten().collect())
        }
    })
}

fn resolve_added_members(
    at: &Snapshot<'_>,
    scope: &Scope,
    group: &str,
    members: &[MemberRef],
    notes: &mut DialectNotes,
) -> Result<Vec<ExistingMember>> {
    if members.iter().any(|member| member.id == group) {
        return Err(Error::new(Reason::MemberOfItself));
    }
    let ids: Vec<String> = members.iter().map(|member| member.id.clone()).collect();
    let mut found = Vec::with_capacity(ids.len());
    for (id, member) in ids.iter().zip(find_members(at, scope, &ids)?) {
        match (member, scope.switches.unknown_members) {
            (Some(member), _) => found.push(member),
            (None, UnknownMembers::Skip) => notes.add(NoteCode::UnknownMemberSkipped),
            (None, UnknownMembers::Reject) => {
                let excerpt: String = id.chars().take(60).collect();
                return Err(Reason::MemberUnknown.with("id", format_args!("{excerpt:?}")));
            }
        }
    }
    Ok(found)
}

fn find_members(at: &Snapshot<'_>, scope: &Scope, ids: &[String]) -> Result<Vec<Option<ExistingMember>>> {
    let rows = resources::find_rows_by_ids(at, scope.configuration, ids)?;
    let with_id = ids.iter().zip(rows);
    Ok(with_id
        .map(|(id, row)| row.map(|(key, kind)| ExistingMember { key, id: id.clone(), resource_type: kind }))
        .collect())
}

/// Net change of the members of a group by one request. A member that is added and removed again is not included.
#[derive(Debug, Default)]
pub(crate) struct MembershipDelta(BTreeMap<i64, (ExistingMember, bool)>);

impl MembershipDelta {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn record(&mut self, member: ExistingMember, joined: bool) {
        match self.0.get(&member.key) {
            Some((_, before)) if *before != joined => {
                self.0.remove(&member.key);
            }
            _ => {
                self.0.insert(member.key, (member, joined));
            }
        }
    }

    fn changed_members(&self, joined: bool) -> Vec<(String, String)> {
        let matching = self.0.values().filter(|(_, has_joined)| *has_joined == joined);
        matching.map(|(member, _)| (member.id.clone(), member.resource_type.clone())).collect()
    }

    /// Holds the previous memberships during a pause and appends the events of the change.
    pub(crate) fn publish(&self, publication: &Publication<'_>, resource_type: &str, group: &str) -> Result<()> {
        if publication.is_holding() {
            for (member, joined) in self.0.values() {
                let member = HeldMemberRef { key: member.key, id: &member.id, resource_type: &member.resource_type };
                publication.hold_membership_change(group, member, *joined)?;
            }
        }
        events::append_members_changed(
            publication,
            resource_type,
            group,
            EventAction::MemberAdded,
            &self.changed_members(true),
        )?;
        events::append_members_changed(
            publication,
            resource_type,
            group,
            EventAction::MemberRemoved,
            &self.changed_members(false),
        )
    }
}

/// Applies one edit and updates the member count of the group.
pub(crate) fn apply_edit(
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
        ResolvedMemberEdit::RemoveWhere(condition) => {
            let matching = list_current_members(tx, group)?
                .into_iter()
                .filter(|member| matches_element(&condition, &to_filter_element(member)));
            matching.map(member_from_row).try_for_each(|member| remove_member(tx, group, member, delta))
        }
        ResolvedMemberEdit::Replace(list) => {
            let staying: HashSet<i64> = list.iter().map(|member| member.key).collect();
            let leaving = list_current_members(tx, group)?.into_iter().filter(|member| !staying.contains(&member.key));
            leaving.map(member_from_row).try_for_each(|member| remove_member(tx, group, member, delta))?;
            list.into_iter().try_for_each(|member| add_member(tx, group, member, delta))
        }
    }
}

fn list_current_members(tx: &Tx<'_>, group: &StoredResource) -> Result<Vec<LinkedResource>> {
    if group.member_count == 0 { Ok(Vec::new()) } else { members::list_group_members(tx, group) }
}

fn member_from_row(row: LinkedResource) -> ExistingMember {
    ExistingMember { key: row.key, id: row.id, resource_type: row.resource_type.into_owned() }
}

fn to_filter_element(member: &LinkedResource) -> serde_json::Value {
    json!({"value": member.id, "type": member.resource_type, "display": member.label})
}

fn add_member(
    tx: &Tx<'_>,
    group: &mut StoredResource,
    member: ExistingMember,
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
    member: ExistingMember,
    delta: &mut MembershipDelta,
) -> Result<()> {
    if members::remove_member(tx, group.key, member.key)? {
        group.member_count -= 1;
        delta.record(member, false);
    }
    Ok(())
}
