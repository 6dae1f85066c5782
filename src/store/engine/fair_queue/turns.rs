//! The order of turns by used time.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Number of members without work that are remembered.
pub(super) const IDLE_MAX: usize = 256;

/// Members that take turns. The one that has used the least time is next.
pub(super) struct TurnOrder<K> {
    /// Microseconds that each member has used.
    used: HashMap<K, u64>,
    /// Members with work, ordered by used time.
    waiting: BTreeSet<(u64, K)>,
    /// The used time of the member that had the last turn. A member that was idle continues from here: it gets no credit
    /// for the time in which it had no work.
    reached: u64,
}

impl<K> Default for TurnOrder<K> {
    fn default() -> Self {
        Self { used: HashMap::new(), waiting: BTreeSet::new(), reached: 0 }
    }
}

impl<K: Copy + Eq + Hash + Ord> TurnOrder<K> {
    /// Adds a member that has work now. One that has had work stays as it is.
    pub(super) fn start_waiting(&mut self, member: K) {
        self.remove_idle_members();
        let reached = self.reached;
        let used = self.used.entry(member).or_insert(reached);
        if self.waiting.contains(&(*used, member)) {
            return;
        }
        *used = (*used).max(reached);
        self.waiting.insert((*used, member));
    }

    /// Returns the member that is next.
    pub(super) fn next(&self) -> Option<K> {
        self.waiting.first().map(|(_, member)| *member)
    }

    /// Records the turn of a member, which has no more work if this was its last item.
    pub(super) fn take_turn(&mut self, member: K, is_last: bool) {
        let used = self.used.get(&member).copied().unwrap_or(self.reached);
        self.reached = self.reached.max(used);
        if is_last {
            self.waiting.remove(&(used, member));
        }
    }

    /// Adds used time to a member.
    pub(super) fn charge(&mut self, member: K, micros: u64) {
        let reached = self.reached;
        let used = self.used.entry(member).or_insert(reached);
        let waits = self.waiting.remove(&(*used, member));
        *used = used.saturating_add(micros.max(1));
        if waits {
            self.waiting.insert((*used, member));
        }
    }

    /// Returns the number of members with work or remembered time.
    pub(super) fn remembered(&self) -> usize {
        self.used.len()
    }

    /// Forgets members that have no work and owe no time, once there are many.
    fn remove_idle_members(&mut self) {
        let max = IDLE_MAX + 2 * self.waiting.len();
        if self.used.len() <= max {
            return;
        }
        let (reached, waiting) = (self.reached, &self.waiting);
        self.used.retain(|member, used| *used > reached || waiting.contains(&(*used, *member)));
        if self.used.len() > max {
            self.used.retain(|member, used| waiting.contains(&(*used, *member)));
        }
    }
}
