//! Edits of a group's members, applied to rows.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use super::Scope;
use super::events;
use super::flow::Flow;
use crate::error::Result;
use crate::model::event::Happening;
use crate::model::switches::UnknownMembers;
use crate::scim;
use crate::scim::dialect::Notes;
use crate::scim::filter::Predicate;
use crate::scim::matches::matches_element;
use crate::scim::members::{MemberEdit, MemberRef};
use crate::store::held::Member;
use crate::store::members::{self, Linked};
use crate::store::resources::{self, Stored};
use crate::store::{Snapshot, Tx};

/// A member that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    key: i64,
    id: String,
    kind: String,
}

/// A [`MemberEdit`] whose ids have been looked up, so that nothing in it can be refused any more.
#[derive(Debug, Clone)]
pub(super) enum Resolved {
    Add(Vec<Known>),
    Remove(Vec<Known>),
    RemoveWhere(Predicate),
    Replace(Vec<Known>),
}

/// Looks up the ids of an edit. `group` is the id of the group itself.
///
/// # Errors
/// 400 invalidValue for a group in itself, and for an id that is no resource of the configuration, unless the
/// configuration passes over those.
pub(super) fn resolve(
    at: &Snapshot<'_>,
    scope: &Scope,
    group: &str,
    edit: &MemberEdit,
    notes: &mut Notes,
) -> Result<Resolved> {
    Ok(match edit {
        MemberEdit::Add(wanted) => Resolved::Add(joining(at, scope, group, wanted, notes)?),
        MemberEdit::Replace(wanted) => Resolved::Replace(joining(at, scope, group, wanted, notes)?),
        MemberEdit::RemoveWhere(condition) => Resolved::RemoveWhere((**condition).clone()),
        // Who is no resource is no member either: RFC 7644 section 3.5.2.2 sees no error in that.
        MemberEdit::Remove(ids) => Resolved::Remove(known(at, scope, ids)?.into_iter().flatten().collect()),
    })
}

fn joining(
    at: &Snapshot<'_>,
    scope: &Scope,
    group: &str,
    wanted: &[MemberRef],
    notes: &mut Notes,
) -> Result<Vec<Known>> {
    if wanted.iter().any(|member| member.id == group) {
        return Err(scim::Error::value("a group cannot be a member of itself").into());
    }
    let ids: Vec<String> = wanted.iter().map(|member| member.id.clone()).collect();
    let mut found = Vec::with_capacity(ids.len());
    for (id, known) in ids.iter().zip(known(at, scope, &ids)?) {
        match (known, scope.switches.unknown_members) {
            (Some(known), _) => found.push(known),
            (None, UnknownMembers::Skip) => notes.add("members: unknown id skipped"),
            (None, UnknownMembers::Reject) => {
                let shown: String = id.chars().take(60).collect();
                let detail = format!("members.value {shown:?} is no user or group of this configuration");
                return Err(scim::Error::value(detail).into());
            }
        }
    }
    Ok(found)
}

fn known(at: &Snapshot<'_>, scope: &Scope, ids: &[String]) -> Result<Vec<Option<Known>>> {
    let rows = resources::known(at, scope.configuration, ids)?;
    let with_id = ids.iter().zip(rows);
    Ok(with_id.map(|(id, row)| row.map(|(key, kind)| Known { key, id: id.clone(), kind })).collect())
}

/// What a request did to the members of a group in the end: who joins and leaves again has done neither.
#[derive(Debug, Default)]
pub(super) struct Net(BTreeMap<i64, (Known, bool)>);

impl Net {
    pub(super) fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    fn record(&mut self, member: Known, joined: bool) {
        match self.0.get(&member.key) {
            Some((_, before)) if *before != joined => {
                self.0.remove(&member.key);
            }
            _ => {
                self.0.insert(member.key, (member, joined));
            }
        }
    }

    fn of(&self, joined: bool) -> Vec<(String, String)> {
        let those = self.0.values().filter(|(_, how)| *how == joined);
        those.map(|(member, _)| (member.id.clone(), member.kind.clone())).collect()
    }

    /// Holds what was and writes the events of the change. `of` is the group's resource type name.
    pub(super) fn tell(&self, flow: &Flow<'_>, of: &str, group: &str) -> Result<()> {
        if flow.is_holding() {
            for (member, joined) in self.0.values() {
                let member = Member { key: member.key, id: &member.id, resource_type: &member.kind };
                flow.membership_changed(group, member, *joined)?;
            }
        }
        events::members_changed(flow, of, group, Happening::MemberAdded, &self.of(true))?;
        events::members_changed(flow, of, group, Happening::MemberRemoved, &self.of(false))
    }
}

/// Applies one edit and keeps the group's count true.
pub(super) fn apply(tx: &Tx<'_>, group: &mut Stored, edit: Resolved, net: &mut Net) -> Result<()> {
    match edit {
        Resolved::Add(list) => list.into_iter().try_for_each(|member| join(tx, group, member, net)),
        Resolved::Remove(list) => list.into_iter().try_for_each(|member| leave(tx, group, member, net)),
        Resolved::RemoveWhere(condition) => {
            let matching =
                current(tx, group)?.into_iter().filter(|member| matches_element(&condition, &element(member)));
            matching.map(from_row).try_for_each(|member| leave(tx, group, member, net))
        }
        Resolved::Replace(list) => {
            let staying: HashSet<i64> = list.iter().map(|member| member.key).collect();
            let leaving = current(tx, group)?.into_iter().filter(|member| !staying.contains(&member.key));
            leaving.map(from_row).try_for_each(|member| leave(tx, group, member, net))?;
            list.into_iter().try_for_each(|member| join(tx, group, member, net))
        }
    }
}

fn current(tx: &Tx<'_>, group: &Stored) -> Result<Vec<Linked>> {
    if group.member_count == 0 { Ok(Vec::new()) } else { members::of_group(tx, group) }
}

fn from_row(row: Linked) -> Known {
    Known { key: row.key, id: row.id, kind: row.resource_type.into_owned() }
}

fn element(member: &Linked) -> serde_json::Value {
    json!({"value": member.id, "type": member.resource_type, "display": member.label})
}

fn join(tx: &Tx<'_>, group: &mut Stored, member: Known, net: &mut Net) -> Result<()> {
    if members::add(tx, group.key, member.key)? {
        group.member_count += 1;
        net.record(member, true);
    }
    Ok(())
}

fn leave(tx: &Tx<'_>, group: &mut Stored, member: Known, net: &mut Net) -> Result<()> {
    if members::remove(tx, group.key, member.key)? {
        group.member_count -= 1;
        net.record(member, false);
    }
    Ok(())
}
