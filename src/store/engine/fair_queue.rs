//! A queue that divides the time of one consumer between owners: the owner that has used the least time is next.
//! It contains no clock and no lock: the consumer reports the measured time of each item.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::store::engine::owner::WorkOwner;

/// Divisor of the capacity: the part of it that one owner may use at most. The management lane may use twice as much.
const SHARE_MAX: usize = 4;
/// Divisor of the capacity: the part of it that every owner may use, even if the queue is full.
const SHARE_MIN: usize = 8;
/// Number of owners without queued items that are remembered.
const IDLE_OWNERS_MAX: usize = 256;

/// Items by owner. Items of one owner leave in the order in which they arrived.
pub(crate) struct FairQueue<T> {
    capacity: usize,
    length: usize,
    lanes: HashMap<WorkOwner, OwnerLane<T>>,
    /// Owners with queued items, ordered by used time.
    turns: BTreeSet<(u64, WorkOwner)>,
    /// The used time of the owner that was served last. An owner that was idle continues from here: it gets no credit
    /// for the time in which it sent nothing.
    reached: u64,
}

struct OwnerLane<T> {
    /// Microseconds that the owner has used.
    used: u64,
    items: VecDeque<T>,
}

impl<T> FairQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, length: 0, lanes: HashMap::new(), turns: BTreeSet::new(), reached: 0 }
    }

    /// Adds an item at the end of its owner's lane. Returns it if the owner has used up its share of the queue.
    pub(crate) fn push(&mut self, owner: WorkOwner, item: T) -> Result<(), T> {
        let share = self.share_of(owner);
        self.remove_idle_owners();
        let reached = self.reached;
        let lane = self.lanes.entry(owner).or_insert_with(|| OwnerLane { used: reached, items: VecDeque::new() });
        if lane.items.len() >= share {
            return Err(item);
        }
        if lane.items.is_empty() {
            lane.used = lane.used.max(reached);
            self.turns.insert((lane.used, owner));
        }
        lane.items.push_back(item);
        self.length += 1;
        Ok(())
    }

    /// Removes the oldest item of the owner that has used the least time.
    pub(crate) fn pop(&mut self) -> Option<(WorkOwner, T)> {
        let turn = self.turns.first().copied()?;
        let (used, owner) = turn;
        let lane = self.lanes.get_mut(&owner)?;
        let item = lane.items.pop_front()?;
        if lane.items.is_empty() {
            self.turns.remove(&turn);
        }
        self.reached = self.reached.max(used);
        self.length -= 1;
        Some((owner, item))
    }

    /// Adds the measured time of an item to the time of its owner. It waits longer for its next turn.
    pub(crate) fn charge(&mut self, owner: WorkOwner, micros: u64) {
        let reached = self.reached;
        let lane = self.lanes.entry(owner).or_insert_with(|| OwnerLane { used: reached, items: VecDeque::new() });
        let waits = !lane.items.is_empty() && self.turns.remove(&(lane.used, owner));
        lane.used = lane.used.saturating_add(micros.max(1));
        if waits {
            self.turns.insert((lane.used, owner));
        }
    }

    /// Removes all items.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        self.turns.clear();
        self.length = 0;
        self.lanes.drain().flat_map(|(_, lane)| lane.items).collect()
    }

    /// The oldest item of each owner.
    pub(crate) fn list_heads(&self) -> impl Iterator<Item = &T> {
        self.turns.iter().filter_map(|(_, owner)| self.lanes.get(owner)?.items.front())
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many items the owner may have in the queue now: less if other owners fill it, but never below the minimum, so
    /// that no owner is rejected because of others.
    fn share_of(&self, owner: WorkOwner) -> usize {
        let free = self.capacity.saturating_sub(self.length);
        let (most, fitting) = match owner {
            WorkOwner::Management => (self.capacity * 2 / SHARE_MAX, free),
            // A third of the free space: one owner alone reaches a quarter, and several leave space for one more.
            WorkOwner::Configuration(_) | WorkOwner::Background => (self.capacity / SHARE_MAX, free / (SHARE_MAX - 1)),
        };
        most.min(fitting).max(smallest_share(self.capacity))
    }

    /// Removes owners that have no items and owe no time, once there are many.
    fn remove_idle_owners(&mut self) {
        if self.lanes.len() > IDLE_OWNERS_MAX + 2 * self.turns.len() {
            let reached = self.reached;
            self.lanes.retain(|_, lane| !lane.items.is_empty() || lane.used > reached);
            if self.lanes.len() > IDLE_OWNERS_MAX + 2 * self.turns.len() {
                self.lanes.retain(|_, lane| !lane.items.is_empty());
            }
        }
    }
}

/// How many items an owner may have in a queue of that capacity in any case.
pub(crate) fn smallest_share(capacity: usize) -> usize {
    (capacity / SHARE_MIN).max(1)
}

#[cfg(test)]
mod tests;
