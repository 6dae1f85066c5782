//! Events that lanes have searched and do not send. Their positions are stored in groups, so that they cost the writer little and
//! a restart searches few events again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::provisioning::webhook_delivery::{LaneKey, LaneScan};

/// Interval at which positions are stored.
const STORE_INTERVAL: Duration = Duration::from_secs(10);
/// Events of a lane after which its position is stored before that.
const STORED_AFTER_EVENTS: u32 = 1_000;
/// Most lanes in one write.
const LANES_PER_WRITE: usize = 200;

/// The scans of lanes whose ends are not stored yet.
#[derive(Debug)]
pub(super) struct PendingScans {
    scans: HashMap<LaneKey, LaneScan>,
    is_due: bool,
    stored_at: Instant,
}

impl PendingScans {
    pub(super) fn new(now: Instant) -> Self {
        Self { scans: HashMap::new(), is_due: false, stored_at: now }
    }

    /// What a lane has searched.
    pub(super) fn find(&self, key: LaneKey) -> Option<LaneScan> {
        self.scans.get(&key).copied()
    }

    /// Sets what a lane has searched.
    pub(super) fn set(&mut self, key: LaneKey, scan: Option<LaneScan>) {
        match scan.filter(|scan| scan.events > 0) {
            Some(scan) => {
                self.is_due |= scan.events >= STORED_AFTER_EVENTS;
                self.scans.insert(key, scan);
            }
            None => drop(self.scans.remove(&key)),
        }
    }

    /// Forgets all of them: the webhooks are read again.
    pub(super) fn clear(&mut self) {
        self.scans.clear();
        self.is_due = false;
    }

    /// Returns those to store now, and removes them: until they are stored, their lanes search again. The longest ones are first.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(LaneKey, LaneScan)> {
        let is_interval_over = now - self.stored_at >= STORE_INTERVAL;
        if self.scans.is_empty() || !(self.is_due || is_interval_over) {
            return Vec::new();
        }
        let is_due = |scan: &LaneScan| is_interval_over || scan.events >= STORED_AFTER_EVENTS;
        let mut due: Vec<(LaneKey, LaneScan)> =
            self.scans.iter().filter(|(_, scan)| is_due(scan)).map(|(key, scan)| (*key, *scan)).collect();
        due.sort_by_key(|(key, scan)| (std::cmp::Reverse(scan.events), *key));
        due.truncate(LANES_PER_WRITE);
        for (key, _) in &due {
            self.scans.remove(key);
        }
        self.is_due = false;
        if is_interval_over {
            self.stored_at = now;
        }
        due
    }
}
