//! Catching up: what changed while a configuration was paused is told as the difference between what the operator's
//! application knows and what is true now.
//!
//! The order lets a consumer apply one event after the other without meeting a name that is still taken or a reference
//! to nobody: what is gone first (each leaving its groups before), then new and changed users, then groups, then
//! memberships.

use super::events;
use super::flow::Flow;
use crate::error::{Error, Result};
use crate::model::event::Happening;
use crate::scim::render;
use crate::scim::schema::standard_types;
use crate::scim::validate::Attributes;
use crate::store::held::{self, Held, HeldMember};
use crate::store::{Snapshot, Tx};

/// Waiting resources and memberships that the call which ends a pause tells itself.
pub(super) const AT_ONCE_MAX: usize = 1_000;
/// Those that one later step tells, so that other writes never wait long.
pub const PER_STEP: usize = 500;

/// A configuration that has something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Its row.
    pub configuration: i64,
    /// Its account.
    pub account: String,
}

/// The next configuration that may tell what waits, if there is one.
pub fn next_behind(at: &Snapshot<'_>) -> Result<Option<Behind>> {
    Ok(held::next_to_catch_up(at)?.map(|(configuration, account)| Behind { configuration, account }))
}

/// Tells at most `limit` of what waits in a configuration; once nothing does, its changes go out directly again.
/// Nothing happens where it has been paused or purged meanwhile.
pub fn catch_up(tx: &Tx<'_>, behind: &Behind, limit: usize) -> Result<()> {
    let gate = held::gate(tx, behind.configuration)?;
    if !gate.is_some_and(|gate| gate.sync && gate.holds && !gate.purging) {
        return Ok(());
    }
    let mut telling = Telling {
        tx,
        flow: Flow::open(tx, &behind.account, behind.configuration),
        configuration: behind.configuration,
        left: limit,
    };
    telling.gone()?;
    for of in types(tx, behind.configuration)? {
        telling.changed(&of)?;
    }
    telling.memberships()?;
    if telling.left > 0 {
        held::set_holds(tx, behind.configuration, false)?;
    }
    Ok(())
}

/// Types that wait, those that have members last: they may name any of the others.
fn types(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<String>> {
    let has_members =
        |name: &String| standard_types().iter().any(|of| of.name == name.as_str() && of.members().is_some());
    let (groups, mut types): (Vec<_>, Vec<_>) = held::types(at, configuration)?.into_iter().partition(has_members);
    types.extend(groups);
    Ok(types)
}

/// One step. `left` is what it may still take; where it ends above 0, nothing waits any more.
struct Telling<'t> {
    tx: &'t Tx<'t>,
    flow: Flow<'t>,
    configuration: i64,
    left: usize,
}

impl Telling<'_> {
    fn gone(&mut self) -> Result<()> {
        for held in held::gone(self.tx, self.configuration, self.left)? {
            for membership in held::memberships_of(self.tx, self.configuration, &held.id)? {
                if let (Some(group_type), true) = (&membership.group_type, membership.was) {
                    let left = [(membership.member_id.clone(), membership.member_type.clone())];
                    let happening = Happening::MemberRemoved;
                    events::members_changed(&self.flow, group_type, &membership.group, happening, &left)?;
                }
                held::release_member(self.tx, self.configuration, &membership)?;
                self.left = self.left.saturating_sub(1);
            }
            if let Some(before) = &held.before {
                events::deleted(&self.flow, &held.resource_type, &held.id, before)?;
            }
            self.release(&held)?;
        }
        Ok(())
    }

    fn changed(&mut self, of: &str) -> Result<()> {
        for held in held::changed(self.tx, self.configuration, of, self.left)? {
            match (&held.before, &held.now) {
                (None, Some(now)) => events::created(&self.flow, of, &held.id, now)?,
                (Some(before), Some(now)) => {
                    let (before, now) = (read(&held, before)?, read(&held, now)?);
                    events::updated(&self.flow, of, &held.id, (&before, &now), false)?;
                }
                (Some(before), None) => events::deleted(&self.flow, of, &held.id, before)?,
                (None, None) => {}
            }
            self.release(&held)?;
        }
        Ok(())
    }

    fn memberships(&mut self) -> Result<()> {
        let waiting = held::members(self.tx, self.configuration, self.left)?;
        for of_group in waiting.chunk_by(|one, next| one.group == next.group) {
            // A group that is gone has been told so, and its members with it.
            if let Some(group_type) = &of_group[0].group_type {
                for (happening, joined) in [(Happening::MemberRemoved, false), (Happening::MemberAdded, true)] {
                    let members = net(of_group, joined);
                    events::members_changed(&self.flow, group_type, &of_group[0].group, happening, &members)?;
                }
            }
            for membership in of_group {
                held::release_member(self.tx, self.configuration, membership)?;
            }
        }
        self.left = self.left.saturating_sub(waiting.len());
        Ok(())
    }

    fn release(&mut self, held: &Held) -> Result<()> {
        held::release(self.tx, self.configuration, &held.id)?;
        self.left = self.left.saturating_sub(1);
        Ok(())
    }
}

/// Members of a group that joined, or left, when all is done.
fn net(of_group: &[HeldMember], joined: bool) -> Vec<(String, String)> {
    let those = of_group.iter().filter(|membership| membership.was != membership.is && membership.is == joined);
    those.map(|membership| (membership.member_id.clone(), membership.member_type.clone())).collect()
}

fn read(held: &Held, body: &str) -> Result<Attributes> {
    render::attributes(body).map_err(|problem| Error::Database(format!("held text of {}: {problem}", held.id)))
}

#[cfg(test)]
mod tests;
