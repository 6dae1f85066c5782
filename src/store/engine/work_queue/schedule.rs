//! The order of waiting work: first between tenants, then between the owners of a tenant. It contains no clock and no lock.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use tokio::sync::oneshot::Sender;

use super::credit::{WorkCredit, count_rounds};
use super::{RESERVED_SLOTS, WorkLimits};
use crate::error::{Error, Result};
use crate::store::engine::owner::{WorkOwner, WorkTenant, limit_of_owner};

/// Number of remembered tenants from which those without a debt are forgotten, and of owners of one tenant.
pub(super) const TENANTS_REMEMBERED: usize = 1_024;
const OWNERS_REMEMBERED: usize = 128;

/// Work that may have been abandoned.
pub(super) trait WaitingWork {
    /// Whether the client has gone.
    fn is_abandoned(&self) -> bool;
}

impl<T> WaitingWork for Sender<T> {
    fn is_abandoned(&self) -> bool {
        self.is_closed()
    }
}

/// Which work of a tenant may start.
#[derive(Debug, Clone, Copy)]
enum WorkRoom {
    Full,
    /// That of owners that run nothing and have used little: an owner does not wait until the long work of another owner of
    /// its account ends.
    LightOwners,
    /// That of owners with less running work than this.
    Owners {
        each: usize,
    },
}

/// The work of all tenants.
pub(super) struct WorkSchedule<T> {
    limits: WorkLimits,
    pub(super) running: usize,
    pub(super) tenants: HashMap<WorkTenant, TenantWork<T>>,
    /// Tenants with waiting work; of those with the same credit the first one is next.
    turns: VecDeque<WorkTenant>,
}

/// The work of one tenant.
pub(super) struct TenantWork<T> {
    running: usize,
    pub(super) credit: WorkCredit,
    pub(super) owners: HashMap<WorkOwner, OwnerWork<T>>,
    /// Owners with waiting work; of those with the same credit the first one is next.
    turns: VecDeque<WorkOwner>,
}

/// The work of one owner.
pub(super) struct OwnerWork<T> {
    running: usize,
    pub(super) waiting: VecDeque<T>,
    credit: WorkCredit,
}

impl<T: WaitingWork> WorkSchedule<T> {
    pub(super) fn new(limits: WorkLimits) -> Self {
        Self { limits, running: 0, tenants: HashMap::new(), turns: VecDeque::new() }
    }

    /// Adds work at the end of the queue of its owner.
    ///
    /// # Errors
    /// The refusal of the queue if too much work of the owner, or of its tenant, waits.
    pub(super) fn enqueue(&mut self, owner: WorkOwner, item: T, now: Instant) -> Result<()> {
        let (tenant, limits) = (owner.tenant(), self.limits);
        if self.tenants.len() >= TENANTS_REMEMBERED {
            self.tenants.retain(|_, work| !work.is_idle() || !work.credit.is_settled(now));
        }
        let work = self.tenants.entry(tenant).or_insert_with(TenantWork::new);
        if !work.has_room(owner, &limits) {
            work.remove_all_abandoned(now);
            if !work.has_room(owner, &limits) {
                return Err(Error::new(limits.refusal));
            }
        }
        work.enqueue(owner, item, now);
        if !self.turns.contains(&tenant) {
            self.turns.push_back(tenant);
        }
        Ok(())
    }

    /// Returns the next work, now counted as running. `None` if none waits or none may start.
    pub(super) fn start_next(&mut self, now: Instant) -> Option<(WorkOwner, T)> {
        self.remove_abandoned(now);
        let find_owner = |tenant: &WorkTenant| self.tenants[tenant].find_next(self.find_room(*tenant, now), now);
        let startable = self.turns.iter().filter_map(|tenant| Some((*tenant, find_owner(tenant)?)));
        // The first one of those with the highest credit.
        let (tenant, owner) = startable.min_by_key(|(tenant, _)| Reverse(self.tenants[tenant].credit.micros()))?;
        let rounds = count_rounds(self.tenants[&tenant].credit.micros());
        for waiting in self.turns.iter().filter(|_| rounds > 0) {
            if let Some(work) = self.tenants.get_mut(waiting) {
                work.credit.add_rounds(rounds);
            }
        }
        let work = self.tenants.get_mut(&tenant)?;
        let item = work.start(owner)?;
        self.running += 1;
        self.turns.retain(|other| *other != tenant);
        if !work.turns.is_empty() {
            self.turns.push_back(tenant);
        }
        Some((owner, item))
    }

    /// Records the end of a piece of work.
    pub(super) fn finish(&mut self, owner: WorkOwner, cost: i64, now: Instant) {
        self.running -= 1;
        if let Some(work) = self.tenants.get_mut(&owner.tenant()) {
            work.finish(owner, cost, now);
        }
    }

    /// Returns which work of the tenant may start. The last slot is for tenants that have used little. A second piece
    /// starts only while no other tenant waits, and leaves half of the capacity to others.
    fn find_room(&self, tenant: WorkTenant, now: Instant) -> WorkRoom {
        let (WorkLimits { running_max, owner_max, .. }, work) = (self.limits, &self.tenants[&tenant]);
        let Some(running_max) = running_max else {
            return if work.running < owner_max { WorkRoom::Owners { each: owner_max } } else { WorkRoom::Full };
        };
        let others_wait = || self.turns.iter().any(|other| *other != tenant);
        if self.running + RESERVED_SLOTS >= running_max {
            let may_start = self.running < running_max && work.running == 0 && work.credit.is_light(now);
            return if may_start { WorkRoom::Owners { each: owner_max } } else { WorkRoom::Full };
        }
        match work.running {
            0 => WorkRoom::Owners { each: owner_max },
            _ if others_wait() => WorkRoom::Full,
            running if running < owner_max && self.running < running_max / 2 => WorkRoom::Owners { each: owner_max },
            running if running <= owner_max => WorkRoom::LightOwners,
            _ => WorkRoom::Full,
        }
    }

    /// Removes the next work of each owner while its client has gone.
    fn remove_abandoned(&mut self, now: Instant) {
        let tenants = &mut self.tenants;
        self.turns.retain(|tenant| {
            tenants.get_mut(tenant).is_some_and(|work| {
                work.remove_abandoned(now);
                !work.turns.is_empty()
            })
        });
    }
}

impl<T: WaitingWork> TenantWork<T> {
    fn new() -> Self {
        Self { running: 0, credit: WorkCredit::new(), owners: HashMap::new(), turns: VecDeque::new() }
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.turns.is_empty()
    }

    /// Whether one more piece of work of the owner may wait.
    fn has_room(&self, owner: WorkOwner, limits: &WorkLimits) -> bool {
        let [owner_max, account_max, management_max] = limits.waiting_max;
        let own = self.owners.get(&owner).map_or(0, |work| work.waiting.len());
        let all: usize = self.owners.values().map(|work| work.waiting.len()).sum();
        match owner {
            WorkOwner::Configuration(_) | WorkOwner::Account(_) => {
                own < owner_max && all < limit_of_owner(account_max, own)
            }
            WorkOwner::Management | WorkOwner::Background => all < management_max,
        }
    }

    fn enqueue(&mut self, owner: WorkOwner, item: T, now: Instant) {
        if self.owners.len() >= OWNERS_REMEMBERED {
            self.owners.retain(|_, work| !work.is_idle() || work.credit.micros_at(now) < 0);
        }
        self.credit.resume(now);
        let work = self.owners.entry(owner).or_insert_with(OwnerWork::new);
        work.credit.resume(now);
        work.waiting.push_back(item);
        if !self.turns.contains(&owner) {
            self.turns.push_back(owner);
        }
    }

    /// Returns the owner with the highest credit of those that may start more work.
    fn find_next(&self, room: WorkRoom, now: Instant) -> Option<WorkOwner> {
        let startable = self.turns.iter().filter(|owner| self.may_start(**owner, room, now));
        startable.min_by_key(|owner| Reverse(self.owners[*owner].credit.micros())).copied()
    }

    /// Whether more work of the owner may start: a second piece only while no other owner of the tenant waits.
    fn may_start(&self, owner: WorkOwner, room: WorkRoom, now: Instant) -> bool {
        let Some(work) = self.owners.get(&owner) else { return false };
        let others_wait = || self.turns.iter().any(|other| *other != owner);
        match room {
            WorkRoom::Full => false,
            WorkRoom::LightOwners => work.running == 0 && work.credit.is_light(now),
            WorkRoom::Owners { each } => work.running == 0 || (work.running < each && !others_wait()),
        }
    }

    /// Starts the oldest work of an owner.
    fn start(&mut self, owner: WorkOwner) -> Option<T> {
        let rounds = count_rounds(self.owners.get(&owner)?.credit.micros());
        for waiting in self.turns.iter().filter(|_| rounds > 0) {
            if let Some(work) = self.owners.get_mut(waiting) {
                work.credit.add_rounds(rounds);
            }
        }
        let work = self.owners.get_mut(&owner)?;
        let item = work.waiting.pop_front()?;
        work.running += 1;
        self.running += 1;
        let waits = !work.waiting.is_empty();
        self.turns.retain(|other| *other != owner);
        if waits {
            self.turns.push_back(owner);
        }
        Some(item)
    }

    /// Removes the next work of each owner while its client has gone.
    fn remove_abandoned(&mut self, now: Instant) {
        for owner in &self.turns {
            if let Some(work) = self.owners.get_mut(owner) {
                while work.waiting.pop_front_if(|item| item.is_abandoned()).is_some() {}
            }
        }
        self.remove_empty_turns(now);
    }

    /// Removes all work whose client has gone.
    fn remove_all_abandoned(&mut self, now: Instant) {
        self.owners.values_mut().for_each(|work| work.waiting.retain(|item| !item.is_abandoned()));
        self.remove_empty_turns(now);
    }

    /// Ends the turns of owners without waiting work. The debt of those without any work is paid by time from now on.
    fn remove_empty_turns(&mut self, now: Instant) {
        let owners = &mut self.owners;
        self.turns.retain(|owner| {
            owners.get_mut(owner).is_some_and(|work| {
                work.pause_if_idle(now);
                !work.waiting.is_empty()
            })
        });
        if self.is_idle() {
            self.credit.pause(now);
        }
    }

    fn finish(&mut self, owner: WorkOwner, cost: i64, now: Instant) {
        self.running -= 1;
        self.credit.charge(cost, now);
        if let Some(work) = self.owners.get_mut(&owner) {
            work.running -= 1;
            work.credit.charge(cost, now);
            work.pause_if_idle(now);
        }
        if self.is_idle() {
            self.credit.pause(now);
        }
    }
}

impl<T> OwnerWork<T> {
    fn new() -> Self {
        Self { running: 0, waiting: VecDeque::new(), credit: WorkCredit::new() }
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }

    fn pause_if_idle(&mut self, now: Instant) {
        if self.is_idle() {
            self.credit.pause(now);
        }
    }
}
