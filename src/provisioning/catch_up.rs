//! Catch-up after a pause: publishes the changes of a paused configuration as the difference between the published
//! state and the current state.
//!
//! The order of the events lets a consumer apply them one by one, without a name that is still in use or a reference to
//! an unknown resource: first deleted resources (each after it left its groups), then new and changed users, then
//! groups, then memberships.

use crate::error::{Error, Result};
use crate::model::event::EventAction;
use crate::provisioning::events;
use crate::provisioning::publication::Publication;
use crate::scim::render;
use crate::scim::schema::standard_types;
use crate::scim::validate::Attributes;
use crate::store::tables::held_changes::{self, HeldMember, HeldResource};
use crate::store::{Snapshot, Tx};

/// Held resources and memberships that the call which ends a pause publishes itself.
pub(crate) const FIRST_STEP_MAX: usize = 1_000;
/// Held resources and memberships that one later step publishes. The limit bounds the delay of other writes.
pub const CHANGES_PER_STEP: usize = 500;

/// A configuration with held changes to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCatchUp {
    /// Key of its row.
    pub configuration: i64,
    /// Id of its account.
    pub account: String,
}

/// Returns the next configuration whose held changes may be published, if there is one.
pub fn find_next_pending(at: &Snapshot<'_>) -> Result<Option<PendingCatchUp>> {
    Ok(held_changes::find_next_catch_up(at)?.map(|(configuration, account)| PendingCatchUp { configuration, account }))
}

/// Publishes at most `limit` held changes of a configuration. When none are left, later changes are published directly
/// again. Does nothing if the configuration has been paused or purged in the meantime.
pub fn catch_up(tx: &Tx<'_>, pending: &PendingCatchUp, limit: usize) -> Result<()> {
    let gate = held_changes::load_gate(tx, pending.configuration)?;
    if !gate.is_some_and(|gate| gate.sync && gate.holds && !gate.purging) {
        return Ok(());
    }
    let mut catch_up = CatchUp {
        tx,
        publication: Publication::direct(tx, &pending.account, pending.configuration),
        configuration: pending.configuration,
        remaining: limit,
    };
    catch_up.publish_deletions()?;
    for resource_type in list_pending_types(tx, pending.configuration)? {
        catch_up.publish_changes(&resource_type)?;
    }
    catch_up.publish_memberships()?;
    if catch_up.remaining > 0 {
        held_changes::set_has_held_changes(tx, pending.configuration, false)?;
    }
    Ok(())
}

/// Resource types with held changes. Types with members are last, because they can refer to any of the others.
fn list_pending_types(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<String>> {
    let has_members =
        |name: &String| standard_types().iter().any(|one| one.name == name.as_str() && one.members().is_some());
    let (groups, mut types): (Vec<_>, Vec<_>) =
        held_changes::list_held_types(at, configuration)?.into_iter().partition(has_members);
    types.extend(groups);
    Ok(types)
}

/// One catch-up step. `remaining` is the number of changes that it may still publish. If it is above 0 at the end, no held
/// changes remain.
struct CatchUp<'t> {
    tx: &'t Tx<'t>,
    publication: Publication<'t>,
    configuration: i64,
    remaining: usize,
}

impl CatchUp<'_> {
    fn publish_deletions(&mut self) -> Result<()> {
        for held in held_changes::list_deleted_resources(self.tx, self.configuration, self.remaining)? {
            for membership in held_changes::list_memberships_of_member(self.tx, self.configuration, &held.id)? {
                if let (Some(group_type), true) = (&membership.group_type, membership.was_member) {
                    let left = [(membership.member_id.clone(), membership.member_type.clone())];
                    let action = EventAction::MemberRemoved;
                    events::append_members_changed(&self.publication, group_type, &membership.group, action, &left)?;
                }
                held_changes::release_membership(self.tx, self.configuration, &membership)?;
                self.remaining = self.remaining.saturating_sub(1);
            }
            if let Some(before) = &held.before {
                events::append_deleted(&self.publication, &held.resource_type, &held.id, before)?;
            }
            self.release(&held)?;
        }
        Ok(())
    }

    fn publish_changes(&mut self, resource_type: &str) -> Result<()> {
        for held in held_changes::list_changed_resources(self.tx, self.configuration, resource_type, self.remaining)? {
            match (&held.before, &held.now) {
                (None, Some(now)) => events::append_created(&self.publication, resource_type, &held.id, now)?,
                (Some(before), Some(now)) => {
                    let (before, now) = (parse_held_body(&held, before)?, parse_held_body(&held, now)?);
                    events::append_updated(&self.publication, resource_type, &held.id, (&before, &now), false)?;
                }
                (Some(before), None) => events::append_deleted(&self.publication, resource_type, &held.id, before)?,
                (None, None) => {}
            }
            self.release(&held)?;
        }
        Ok(())
    }

    fn publish_memberships(&mut self) -> Result<()> {
        let pending = held_changes::list_held_members(self.tx, self.configuration, self.remaining)?;
        for of_group in pending.chunk_by(|one, next| one.group == next.group) {
            // The deletion of a group has already been published. It includes the memberships.
            if let Some(group_type) = &of_group[0].group_type {
                for (action, joined) in [(EventAction::MemberRemoved, false), (EventAction::MemberAdded, true)] {
                    let members = select_net_changes(of_group, joined);
                    events::append_members_changed(
                        &self.publication,
                        group_type,
                        &of_group[0].group,
                        action,
                        &members,
                    )?;
                }
            }
            for membership in of_group {
                held_changes::release_membership(self.tx, self.configuration, membership)?;
            }
        }
        self.remaining = self.remaining.saturating_sub(pending.len());
        Ok(())
    }

    fn release(&mut self, held: &HeldResource) -> Result<()> {
        held_changes::release_resource(self.tx, self.configuration, &held.id)?;
        self.remaining = self.remaining.saturating_sub(1);
        Ok(())
    }
}

/// Members of a group whose net change is that they joined, or left.
fn select_net_changes(of_group: &[HeldMember], joined: bool) -> Vec<(String, String)> {
    let changed = of_group
        .iter()
        .filter(|membership| membership.was_member != membership.is_member && membership.is_member == joined);
    changed.map(|membership| (membership.member_id.clone(), membership.member_type.clone())).collect()
}

fn parse_held_body(held: &HeldResource, body: &str) -> Result<Attributes> {
    render::parse_stored_text(body)
        .map_err(|problem| Error::undecodable(format_args!("held text of {}", held.id), problem))
}

#[cfg(test)]
mod tests;
