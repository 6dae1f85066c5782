//! The plain model: what the database must contain after the writes that were acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::{Change, Job, JobKind, Outcome};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ModelUser {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) active: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ModelGroup {
    pub(crate) name: String,
    pub(crate) members: BTreeSet<String>,
}

/// Users and groups by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ModelDirectory {
    pub(crate) users: BTreeMap<String, ModelUser>,
    pub(crate) groups: BTreeMap<String, ModelGroup>,
}

/// One SCIM configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ModelConfiguration {
    pub(crate) current: ModelDirectory,
    /// What the events have published, while the configuration is paused.
    pub(crate) held: Option<Box<ModelDirectory>>,
    /// Ids of tokens, and whether they were revoked.
    pub(crate) tokens: BTreeMap<String, bool>,
    /// Ids of calls in the request log.
    pub(crate) calls: BTreeSet<String>,
    /// Whether members that do not exist are skipped.
    pub(crate) skips_unknown: bool,
}

impl ModelConfiguration {
    /// What the events of the configuration add up to.
    pub(crate) fn published(&self) -> &ModelDirectory {
        self.held.as_deref().unwrap_or(&self.current)
    }
}

/// The state of the database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Model(pub(crate) Vec<ModelConfiguration>);

impl Model {
    /// Applies a job. With its real outcome, returns false if that is not possible in this state.
    pub(crate) fn apply_job(&mut self, job: &Job, actual: Option<&[Outcome]>) -> bool {
        let saved = self.clone();
        let mut fits = true;
        for (number, change) in job.changes.iter().enumerate() {
            let actual = actual.map(|outcomes| outcomes.get(number).copied().unwrap_or(Outcome::Skipped));
            let expected = self.apply_change(job.configuration, change, actual);
            fits &= actual.is_none_or(|actual| actual == expected || job.fails());
        }
        if job.fails() || (job.kind != JobKind::Bulk && actual.is_some_and(|all| all != [Outcome::Applied])) {
            *self = saved;
        }
        fits
    }

    fn apply_change(&mut self, configuration: usize, change: &Change, actual: Option<Outcome>) -> Outcome {
        let at = &mut self.0[configuration];
        match change {
            Change::RotateToken { id } => drop(at.tokens.insert(id.clone(), false)),
            Change::RevokeToken { id } => {
                // The newest two tokens are live; the model does not know which they are.
                let Some(revoked) = at.tokens.get_mut(id) else { return Outcome::NotFound };
                let was_revoked = std::mem::replace(revoked, true);
                return if was_revoked { Outcome::NotFound } else { actual.unwrap_or(Outcome::Applied) };
            }
            Change::LogCalls { ids } => at.calls.extend(ids.iter().cloned()),
            Change::SetSync(true) => at.held = None,
            Change::SetSync(false) => {
                if at.held.is_none() {
                    at.held = Some(Box::new(at.current.clone()));
                }
            }
            Change::CreateUser { .. }
            | Change::ReplaceUser { .. }
            | Change::PatchUser { .. }
            | Change::DeleteUser { .. } => return at.apply_user_change(change),
            _ => return at.apply_group_change(change),
        }
        Outcome::Applied
    }
}

impl ModelConfiguration {
    fn apply_user_change(&mut self, change: &Change) -> Outcome {
        let at = self;
        match change {
            Change::CreateUser { id, name, title } => {
                if has_name(&at.current, id, name) {
                    return Outcome::Conflict;
                }
                let user = ModelUser { name: name.clone(), title: title.clone(), active: true };
                at.current.users.insert(id.clone(), user);
            }
            Change::ReplaceUser { id, name, title, active } => {
                if !at.current.users.contains_key(id) {
                    return Outcome::NotFound;
                }
                if has_name(&at.current, id, name) {
                    return Outcome::Conflict;
                }
                let user = ModelUser { name: name.clone(), title: title.clone(), active: *active };
                at.current.users.insert(id.clone(), user);
            }
            Change::PatchUser { id, title, active } => {
                let Some(user) = at.current.users.get_mut(id) else { return Outcome::NotFound };
                user.title = Some(title.clone());
                user.active = *active;
            }
            Change::DeleteUser { id } => {
                if at.current.users.remove(id).is_none() {
                    return Outcome::NotFound;
                }
                for group in at.current.groups.values_mut() {
                    group.members.remove(id);
                }
            }
            _ => {}
        }
        Outcome::Applied
    }

    fn apply_group_change(&mut self, change: &Change) -> Outcome {
        let at = self;
        match change {
            Change::CreateGroup { id, name, members } => {
                let Some(members) = find_members(at, members) else { return Outcome::Invalid };
                if has_group_name(&at.current, id, name) {
                    return Outcome::Conflict;
                }
                at.current.groups.insert(id.clone(), ModelGroup { name: name.clone(), members });
            }
            Change::AddMembers { id, members } => {
                let found = find_members(at, members);
                let Some(group) = at.current.groups.get_mut(id) else { return Outcome::NotFound };
                let Some(found) = found else { return Outcome::Invalid };
                group.members.extend(found);
            }
            Change::RemoveMembers { id, members } => {
                let Some(group) = at.current.groups.get_mut(id) else { return Outcome::NotFound };
                for member in members {
                    group.members.remove(member);
                }
            }
            Change::RenameGroup { id, name } => {
                let is_used = has_group_name(&at.current, id, name);
                let Some(group) = at.current.groups.get_mut(id) else { return Outcome::NotFound };
                if is_used {
                    return Outcome::Conflict;
                }
                group.name.clone_from(name);
            }
            Change::DeleteGroup { id } => {
                let removed = at.current.groups.remove(id);
                return removed.map_or(Outcome::NotFound, |_| Outcome::Applied);
            }
            _ => {}
        }
        Outcome::Applied
    }
}

fn has_name(directory: &ModelDirectory, id: &str, name: &str) -> bool {
    directory.users.iter().any(|(other, user)| other != id && user.name == name)
}

fn has_group_name(directory: &ModelDirectory, id: &str, name: &str) -> bool {
    directory.groups.iter().any(|(other, group)| other != id && group.name == name)
}

/// The members that exist, or none if one does not and the configuration rejects that.
fn find_members(at: &ModelConfiguration, ids: &[String]) -> Option<BTreeSet<String>> {
    let found: BTreeSet<String> = ids.iter().filter(|id| at.current.users.contains_key(*id)).cloned().collect();
    (at.skips_unknown || ids.iter().all(|id| found.contains(id))).then_some(found)
}
