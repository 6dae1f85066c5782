//! What an undo would do now, without a change.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::clock::Millis;
use crate::error::{Error, Reason, Result};
use crate::provisioning::Scope;
use crate::provisioning::rendered::collection_for;
use crate::provisioning::resources::parse_attributes;
use crate::provisioning::safety_net::mass_removals::is_active;
use crate::provisioning::safety_net::reversals::{find_changed, list_member_ids};
use crate::provisioning::tombstones::{self, DeletedFilter, DeletedQuery, DeletedResource};
use crate::scim::render;
use crate::scim::schema::USER_TYPE;
use crate::scim::validate::Attributes;
use crate::store::Snapshot;
use crate::store::tables::events as event_rows;
use crate::store::tables::members as member_rows;
use crate::store::tables::undos::{self, ReversalCounts, UndoneEvent};
use crate::store::tables::{configurations, resources, tombstones as tombstone_rows};

/// Events and deletions that a preview examines.
const PREVIEWED_MAX: usize = 100_000;
/// Names in a preview.
pub const NAMES_MAX: usize = 100;

/// What an undo would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReversalPreview {
    /// The numbers.
    pub counts: ReversalCounts,
    /// The first users, groups and memberships (`group: member`) that return or change, with what happens.
    pub names: Vec<(String, UndoneChange)>,
    /// Whether there is more than a preview examines.
    pub is_cut: bool,
}

/// What happens to a user, a group or a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoneChange {
    /// It returns.
    Restored,
    /// The user is active again.
    Activated,
    /// The user is inactive again.
    Deactivated,
    /// The membership returns.
    Joined,
    /// The membership ends.
    Left,
}

/// Returns what an undo would do now. It examines at most 100,000 deletions and as many events. The memberships that deleted users and
/// groups have when they return are not counted, and neither is what does not fit into a quota.
///
/// # Errors
/// Errors of the store.
pub fn preview_reversal(at: &Snapshot<'_>, configuration: i64, since: Millis, now: Millis) -> Result<ReversalPreview> {
    let Some(found) = configurations::find_configuration_by_key(at, configuration)? else {
        return Err(Reason::ConfigurationNotFound.with("id", configuration));
    };
    let scope = Scope::load(at, found)?;
    let mut preview = PreviewBuilder { at, scope: &scope, found: ReversalPreview::default(), deleted: HashMap::new() };
    let rows = DeletedQuery { resource_type: None, since: Some(since), until: None, after: None };
    let filter = DeletedFilter { rows, text: None };
    let deleted = tombstones::list_restorable(at, configuration, &filter, (now, PREVIEWED_MAX))?;
    preview.found.is_cut = deleted.next.is_some();
    preview.add_deletions(deleted.items)?;
    let (removed, end) = event_rows::find_event_range(at)?;
    let first = undos::find_seq_before(at, since, (removed, end))?;
    let events = undos::list_changes_after(at, configuration, (first, end), PREVIEWED_MAX)?;
    preview.found.is_cut |= events.len() == PREVIEWED_MAX;
    preview.add_events(events)?;
    Ok(preview.found)
}

struct PreviewBuilder<'p> {
    at: &'p Snapshot<'p>,
    scope: &'p Scope,
    found: ReversalPreview,
    /// Users and groups that return, with the ids of the groups and members that they return with, once these were read.
    deleted: HashMap<String, Option<HashSet<String>>>,
}

impl PreviewBuilder<'_> {
    fn add_name(&mut self, name: impl FnOnce() -> String, change: UndoneChange) {
        if self.found.names.len() < NAMES_MAX {
            self.found.names.push((name(), change));
        }
    }

    /// The newest deletion comes first. Of several users with the same name, only that one returns.
    fn add_deletions(&mut self, deleted: Vec<DeletedResource>) -> Result<()> {
        let mut names = HashSet::new();
        for one in deleted {
            let is_user = one.resource_type == USER_TYPE.name;
            if is_user && let Some(key) = &one.name_key {
                let users = collection_for(self.scope, self.scope.find_type(&one.resource_type)?);
                let is_taken = resources::find_resource_by_user_name(self.at, users, key)?.is_some();
                if is_taken || !names.insert(key.clone()) {
                    self.found.counts.conflicts += 1;
                    continue;
                }
            }
            self.found.counts.restored += 1;
            self.deleted.insert(one.id.clone(), None);
            self.add_name(|| one.name.unwrap_or(one.id), UndoneChange::Restored);
        }
        Ok(())
    }

    /// Counts what the events change. Of several about the same user or membership, the oldest one decides.
    fn add_events(&mut self, events: Vec<UndoneEvent>) -> Result<()> {
        let mut seen = HashSet::new();
        for event in events {
            if event.kind.starts_with("user.") {
                if seen.insert((event.resource_id.clone(), String::new())) {
                    self.add_activity(&event)?;
                }
                continue;
            }
            let was_member = event.kind == "group.member_removed";
            for member in list_member_ids(&event.payload) {
                if seen.insert((event.resource_id.clone(), member.clone())) {
                    self.add_membership(&event.resource_id, &member, was_member)?;
                }
            }
        }
        Ok(())
    }

    fn add_activity(&mut self, event: &UndoneEvent) -> Result<()> {
        let Some(attributes) = self.find_attributes(event)? else { return Ok(()) };
        let was_active = event.kind == "user.deactivated";
        if is_active(&attributes) == was_active {
            return Ok(());
        }
        let counts = &mut self.found.counts;
        *(if was_active { &mut counts.activated } else { &mut counts.deactivated }) += 1;
        let name = || attributes.get("userName").and_then(Value::as_str).unwrap_or(&event.resource_id).to_owned();
        self.add_name(name, if was_active { UndoneChange::Activated } else { UndoneChange::Deactivated });
        Ok(())
    }

    /// The attributes of a user that exists or returns.
    fn find_attributes(&self, event: &UndoneEvent) -> Result<Option<Attributes>> {
        if let Some((_, stored)) = find_changed(self.at, self.scope, event)? {
            return parse_attributes(&stored).map(Some);
        }
        let id = &event.resource_id;
        if !self.deleted.contains_key(id) {
            return Ok(None);
        }
        let found = tombstone_rows::find_tombstone(self.at, self.scope.configuration, id, 0)?;
        let parse = |body: &str| {
            render::parse_stored_text(body)
                .map_err(|problem| Error::undecodable(format_args!("tombstone of {id}"), problem))
        };
        found.map(|found| parse(&found.body)).transpose()
    }

    fn add_membership(&mut self, group: &str, member: &str, was_member: bool) -> Result<()> {
        let mut keys = [None; 2];
        for (key, id) in keys.iter_mut().zip([group, member]) {
            member_rows::visit_resources_by_id(self.at, self.scope.configuration, [id], |_, found| {
                *key = found.map(|found| found.key);
                Ok(())
            })?;
        }
        let is_member = match keys {
            [Some(group), Some(member)] => member_rows::is_member(self.at, group, member)?,
            [group_key, member_key] => {
                let exists = |key: Option<i64>, id: &str| key.is_some() || self.deleted.contains_key(id);
                if !(exists(group_key, group) && exists(member_key, member)) {
                    return Ok(());
                }
                self.returns_with(group, member)? || self.returns_with(member, group)?
            }
        };
        if is_member == was_member {
            return Ok(());
        }
        let counts = &mut self.found.counts;
        *(if was_member { &mut counts.joined } else { &mut counts.left }) += 1;
        if self.found.names.len() < NAMES_MAX {
            let [group, member] = [(keys[0], group), (keys[1], member)].map(|(key, id)| self.find_name(key, id));
            let name = format!("{}: {}", group?, member?);
            self.add_name(|| name, if was_member { UndoneChange::Joined } else { UndoneChange::Left });
        }
        Ok(())
    }

    /// The name of a user or group, or its id if it is deleted.
    fn find_name(&self, key: Option<i64>, id: &str) -> Result<String> {
        let find = |key| resources::find_resource_by_key(self.at, self.scope.configuration, key);
        let Some(stored) = key.map(find).transpose()?.flatten() else { return Ok(id.to_owned()) };
        let attributes = parse_attributes(&stored)?;
        let name = attributes.get("userName").or_else(|| attributes.get("displayName")).and_then(Value::as_str);
        Ok(name.unwrap_or(id).to_owned())
    }

    /// Whether a deleted user or group returns with this group or member.
    fn returns_with(&mut self, id: &str, other: &str) -> Result<bool> {
        let Some(known) = self.deleted.get_mut(id) else { return Ok(false) };
        if known.is_none() {
            let ids = tombstone_rows::list_membership_ids(self.at, self.scope.configuration, id)?;
            *known = Some(ids.unwrap_or_default().into_iter().collect());
        }
        Ok(known.as_ref().is_some_and(|ids| ids.contains(other)))
    }
}
