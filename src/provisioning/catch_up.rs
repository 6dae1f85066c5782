//! Catch-up after a pause: publishes the changes of a paused configuration as the difference between the published
//! state and the current state.
//!
//! The order of the events lets a consumer apply them one by one, without a name that is still in use or a reference to
//! an unknown resource: first deleted resources (each after it left its groups), then new and changed users, then
//! groups, then memberships.

use crate::error::{Error, Result};
use crate::model::event::{EventAction, EventSubject};
use crate::provisioning::events::{self, AttributeUpdate, EventMember, MemberNames};
use crate::provisioning::publication::Publication;
use crate::scim::schema::standard_types;
use crate::scim::validate::Attributes;
use crate::store::tables::held_changes::{self, HeldMember, HeldResource};
use crate::store::tables::membership_events;
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
pub fn find_next_pending(at: &Snapshot<'_>, after: i64) -> Result<Option<PendingCatchUp>> {
    let found = held_changes::find_next_catch_up(at, after)?;
    Ok(found.map(|(configuration, account)| PendingCatchUp { configuration, account }))
}

/// Publishes at most `limit` held changes of a configuration. When none are left, later changes are published directly
/// again. Does nothing if the configuration has been paused or purged in the meantime.
pub fn catch_up(tx: &Tx<'_>, pending: &PendingCatchUp, limit: usize) -> Result<()> {
    let gate = held_changes::load_gate(tx, pending.configuration)?;
    if !gate.is_some_and(|gate| gate.sync && gate.holds && !gate.held && !gate.purging) {
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
                if let (Some(group), true) = (describe_group(&membership), membership.was_member) {
                    let names = held.before.as_deref().map(|before| MemberNames::parse(&held.id, before));
                    let left = [describe_member(&membership, names.transpose()?.unwrap_or_default())];
                    events::append_members_changed(&self.publication, &group, EventAction::MemberRemoved, &left)?;
                }
                held_changes::release_membership(self.tx, self.configuration, &membership)?;
                self.remaining = self.remaining.saturating_sub(1);
            }
            if let Some(before) = &held.before {
                events::append_deleted(&self.publication, &describe_held(&held), before)?;
            }
            self.release(&held)?;
        }
        Ok(())
    }

    fn publish_changes(&mut self, resource_type: &str) -> Result<()> {
        for held in held_changes::list_changed_resources(self.tx, self.configuration, resource_type, self.remaining)? {
            let subject = describe_held(&held);
            match (&held.before, &held.now) {
                (None, Some(now)) => events::append_created(&self.publication, &subject, now)?,
                (Some(before), Some(now)) => {
                    let (before, after) = (&parse_held_body(&held, before)?, &parse_held_body(&held, now)?);
                    let change =
                        AttributeUpdate { before, after, derives_schemas_of: None, sets_password: held.sets_password };
                    events::append_updated(&self.publication, &subject, change)?;
                }
                (Some(before), None) => events::append_deleted(&self.publication, &subject, before)?,
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
            if let Some(group) = describe_group(&of_group[0]) {
                for (action, joined) in [(EventAction::MemberRemoved, false), (EventAction::MemberAdded, true)] {
                    let members = self.list_net_changes(of_group, joined)?;
                    events::append_members_changed(&self.publication, &group, action, &members)?;
                }
            } else {
                for membership in of_group {
                    membership_events::delete_membership(self.tx, &membership.member_id, &membership.group)?;
                }
            }
            for membership in of_group {
                held_changes::release_membership(self.tx, self.configuration, membership)?;
            }
        }
        self.remaining = self.remaining.saturating_sub(pending.len());
        Ok(())
    }

    /// Members of a group whose net change is that they joined, or left.
    fn list_net_changes(&self, of_group: &[HeldMember], joined: bool) -> Result<Vec<EventMember>> {
        let changed = of_group
            .iter()
            .filter(|membership| membership.was_member != membership.is_member && membership.is_member == joined);
        let describe = |membership: &HeldMember| {
            let names = MemberNames::load(self.tx, self.configuration, (membership.member, &membership.member_id))?;
            Ok(describe_member(membership, names))
        };
        changed.map(describe).collect()
    }

    fn release(&mut self, held: &HeldResource) -> Result<()> {
        held_changes::delete_held_resource(self.tx, &held.id)?;
        self.remaining = self.remaining.saturating_sub(1);
        Ok(())
    }
}

/// The group of a membership, unless its deletion was already published.
fn describe_group(membership: &HeldMember) -> Option<EventSubject<'_>> {
    Some(EventSubject {
        resource_type: membership.group_type.as_deref()?,
        id: &membership.group,
        version: membership.group_version,
        last_modified: membership.group_last_modified,
    })
}

fn describe_held(held: &HeldResource) -> EventSubject<'_> {
    EventSubject {
        resource_type: &held.resource_type,
        id: &held.id,
        version: held.version,
        last_modified: held.last_modified,
    }
}

fn describe_member(membership: &HeldMember, names: MemberNames) -> EventMember {
    EventMember { value: membership.member_id.clone(), resource_type: membership.member_type.clone(), names }
}

/// Parses a stored text, with `schemas`.
fn parse_held_body(held: &HeldResource, body: &str) -> Result<Attributes> {
    serde_json::from_str(body).map_err(|problem| Error::undecodable(format_args!("held text of {}", held.id), problem))
}

#[cfg(test)]
mod tests;
