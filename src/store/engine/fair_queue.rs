//! A queue that divides the time of one consumer between tenants, and the time of a tenant between its owners: the tenant
//! that has used the least time is next, with its owner that has used the least time. It contains no clock and no lock: the
//! consumer reports the measured time of each item.

mod turns;

use std::collections::{HashMap, VecDeque};

use self::turns::TurnOrder;
use crate::store::engine::owner::{WorkOwner, WorkTenant, limit_of_owner};

/// Divisor of the capacity: the part of it that one tenant may use at most. The management lane may use twice as much.
const SHARE_MAX: usize = 4;
/// Divisor of the capacity: the part of it that every tenant may use, even if the queue is full.
const SHARE_MIN: usize = 8;

/// Items by tenant and owner. Items of one owner leave in the order in which they arrived.
pub(crate) struct FairQueue<T> {
    capacity: usize,
    length: usize,
    tenants: TurnOrder<WorkTenant>,
    lanes: HashMap<WorkTenant, TenantLane<T>>,
}

/// The items of a tenant.
struct TenantLane<T> {
    length: usize,
    owners: TurnOrder<WorkOwner>,
    items: HashMap<WorkOwner, VecDeque<T>>,
}

impl<T> Default for TenantLane<T> {
    fn default() -> Self {
        Self { length: 0, owners: TurnOrder::default(), items: HashMap::new() }
    }
}

impl<T> FairQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, length: 0, tenants: TurnOrder::default(), lanes: HashMap::new() }
    }

    /// Adds an item at the end of its owner's lane. Returns it if the owner or its tenant has used up its share of the queue.
    pub(crate) fn push(&mut self, owner: WorkOwner, item: T) -> Result<(), T> {
        let tenant = owner.tenant();
        let (share, smallest) = (self.share_of(tenant), smallest_share(self.capacity));
        let lane = self.lanes.entry(tenant).or_default();
        let own = lane.items.get(&owner).map_or(0, VecDeque::len);
        // One owner alone always has the smallest share.
        let limit = match tenant {
            WorkTenant::Account(_) => limit_of_owner(share, own).max(smallest),
            WorkTenant::Management | WorkTenant::Background => share,
        };
        if lane.length >= limit {
            return Err(item);
        }
        lane.items.entry(owner).or_default().push_back(item);
        lane.length += 1;
        lane.owners.start_waiting(owner);
        self.tenants.start_waiting(tenant);
        self.length += 1;
        Ok(())
    }

    /// Removes the oldest item of the next owner of the next tenant.
    pub(crate) fn pop(&mut self) -> Option<(WorkOwner, T)> {
        let tenant = self.tenants.next()?;
        let lane = self.lanes.get_mut(&tenant)?;
        let owner = lane.owners.next()?;
        let items = lane.items.get_mut(&owner)?;
        let item = items.pop_front()?;
        let is_last = items.is_empty();
        if is_last {
            lane.items.remove(&owner);
        }
        lane.owners.take_turn(owner, is_last);
        lane.length -= 1;
        self.length -= 1;
        let is_last = lane.length == 0;
        self.tenants.take_turn(tenant, is_last);
        Some((owner, item))
    }

    /// Adds the measured time of an item to the time of its owner and its tenant. They wait longer for their next turn.
    pub(crate) fn charge(&mut self, owner: WorkOwner, micros: u64) {
        let tenant = owner.tenant();
        self.tenants.charge(tenant, micros);
        if let Some(lane) = self.lanes.get_mut(&tenant) {
            lane.owners.charge(owner, micros);
        }
        self.remove_idle_tenants();
    }

    /// Removes all items.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        self.tenants = TurnOrder::default();
        self.length = 0;
        self.lanes.drain().flat_map(|(_, lane)| lane.items).flat_map(|(_, items)| items).collect()
    }

    /// All items.
    pub(crate) fn items(&self) -> impl Iterator<Item = &T> {
        self.lanes.values().flat_map(|lane| lane.items.values()).flatten()
    }

    /// The oldest item of each owner.
    pub(crate) fn list_heads(&self) -> impl Iterator<Item = &T> {
        self.lanes.values().flat_map(|lane| lane.items.values()).filter_map(VecDeque::front)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many items the tenant may have in the queue now: less if other tenants fill it, but never below the minimum, so
    /// that no tenant is rejected because of others.
    fn share_of(&self, tenant: WorkTenant) -> usize {
        let free = self.capacity.saturating_sub(self.length);
        let (most, fitting) = match tenant {
            WorkTenant::Management => (self.capacity * 2 / SHARE_MAX, free),
            // A third of the free space: one tenant alone reaches a quarter, and several leave space for one more.
            WorkTenant::Account(_) | WorkTenant::Background => (self.capacity / SHARE_MAX, free / (SHARE_MAX - 1)),
        };
        most.min(fitting).max(smallest_share(self.capacity))
    }

    /// Removes the lanes of tenants that the order has forgotten, once there are many.
    fn remove_idle_tenants(&mut self) {
        if self.lanes.len() > 2 * self.tenants.remembered().max(turns::IDLE_MAX) {
            self.lanes.retain(|_, lane| lane.length > 0);
        }
    }
}

/// How many items a tenant may have in a queue of that capacity in any case.
pub(crate) fn smallest_share(capacity: usize) -> usize {
    (capacity / SHARE_MIN).max(1)
}

#[cfg(test)]
mod tests;
