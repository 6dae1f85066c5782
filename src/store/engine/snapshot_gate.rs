//! Counts the snapshots of scans, and delays new ones while a checkpoint waits for the old ones.
//!
//! The write-ahead log starts again from its beginning only when no snapshot uses it. Readers that overlap would prevent
//! that for ever, so the checkpointer closes the gate for a short time.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::{Error, Reason, Result};

/// The age from which a scan gives up its snapshot and continues in a new one.
pub(crate) const SNAPSHOT_AGE_MAX: Duration = Duration::from_millis(100);

/// The gate between the scans and their snapshots.
#[derive(Default)]
pub(crate) struct SnapshotGate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    snapshots: usize,
    is_closed: bool,
}

impl SnapshotGate {
    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the gate is closed, and counts a new snapshot.
    fn enter(&self, deadline: Instant) -> Result<()> {
        let mut state = self.lock();
        while state.is_closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new(Reason::ServerBusy));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.snapshots += 1;
        Ok(())
    }

    fn leave(&self) {
        let mut state = self.lock();
        state.snapshots -= 1;
        if state.is_closed && state.snapshots == 0 {
            self.changed.notify_all();
        }
    }

    /// Returns the number of snapshots.
    pub(crate) fn count_snapshots(&self) -> usize {
        self.lock().snapshots
    }

    /// Closes the gate until the returned guard is dropped: scans that start or renew their snapshot wait.
    pub(crate) fn close(&self) -> ClosedGate<'_> {
        self.lock().is_closed = true;
        ClosedGate(self)
    }
}

/// A closed gate. Dropping it opens the gate.
pub(crate) struct ClosedGate<'g>(&'g SnapshotGate);

impl ClosedGate<'_> {
    /// Waits until no scan has a snapshot, at most until the deadline. Returns whether that is so.
    pub(crate) fn wait_until_empty(&self, deadline: Instant) -> bool {
        let mut state = self.0.lock();
        while state.snapshots > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for ClosedGate<'_> {
    fn drop(&mut self) {
        self.0.lock().is_closed = false;
        self.0.changed.notify_all();
    }
}

/// The snapshot that a scan holds, which it can replace by a newer one.
pub(crate) struct ScanSnapshot<'g> {
    gate: &'g SnapshotGate,
    /// When the scan ends at the latest.
    deadline: Instant,
    since: Cell<Instant>,
    /// From which age it is replaced.
    age_max: Duration,
    /// Whether the gate counts it.
    is_counted: Cell<bool>,
    renewals: Cell<u32>,
}

impl<'g> ScanSnapshot<'g> {
    /// Waits until the gate is open.
    ///
    /// # Errors
    /// `ServerBusy` if it stays closed until the deadline.
    pub(crate) fn enter(gate: &'g SnapshotGate, deadline: Instant) -> Result<Self> {
        gate.enter(deadline)?;
        let (since, is_counted) = (Cell::new(Instant::now()), Cell::new(true));
        Ok(Self { gate, deadline, since, age_max: SNAPSHOT_AGE_MAX, is_counted, renewals: Cell::new(0) })
    }

    #[cfg(test)]
    pub(crate) fn with_age_max(mut self, age_max: Duration) -> Self {
        self.age_max = age_max;
        self
    }

    /// How often the snapshot was replaced.
    pub(crate) fn renewals(&self) -> u32 {
        self.renewals.get()
    }

    /// Replaces the snapshot if it is old. No statement of the connection may be active.
    ///
    /// # Errors
    /// `ServerBusy` if the gate stays closed until the deadline; errors of SQLite.
    pub(crate) fn renew_if_due(&self, connection: &Connection) -> Result<()> {
        if self.since.get().elapsed() < self.age_max {
            return Ok(());
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
        self.is_counted.set(false);
        self.gate.leave();
        self.gate.enter(self.deadline)?;
        self.is_counted.set(true);
        connection.prepare_cached("BEGIN")?.execute([])?;
        self.since.set(Instant::now());
        self.renewals.set(self.renewals.get() + 1);
        Ok(())
    }
}

impl Drop for ScanSnapshot<'_> {
    fn drop(&mut self) {
        if self.is_counted.get() {
            self.gate.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_delays_new_snapshots_and_waits_for_old_ones() {
        let gate = SnapshotGate::default();
        let soon = || Instant::now() + Duration::from_millis(5);
        let later = || Instant::now() + Duration::from_mins(1);
        let old = ScanSnapshot::enter(&gate, later()).unwrap();
        let closed = gate.close();
        assert!(ScanSnapshot::enter(&gate, soon()).is_err());
        assert!(!closed.wait_until_empty(soon()));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| ScanSnapshot::enter(&gate, later()).map(|scan| scan.renewals()));
            drop(old);
            assert!(closed.wait_until_empty(later()));
            drop(closed);
            assert_eq!(waiting.join().unwrap().unwrap(), 0);
        });
        assert_eq!(gate.count_snapshots(), 0);
    }

    #[test]
    fn an_old_snapshot_is_replaced_by_one_that_sees_later_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a INTEGER)").unwrap();
        let reader = Connection::open(&path).unwrap();
        let count = || reader.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
        let gate = SnapshotGate::default();
        reader.execute_batch("BEGIN").unwrap();
        let scan = ScanSnapshot::enter(&gate, Instant::now() + Duration::from_mins(1)).unwrap();
        assert_eq!(count(), 0);
        writer.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        scan.renew_if_due(&reader).unwrap();
        assert_eq!((count(), scan.renewals()), (0, 0), "a snapshot that is not old stays");
        std::thread::sleep(SNAPSHOT_AGE_MAX);
        scan.renew_if_due(&reader).unwrap();
        assert_eq!((count(), scan.renewals()), (1, 1));
        // If the gate stays closed, the scan ends, and the gate does not count it twice.
        let late = ScanSnapshot::enter(&gate, Instant::now()).unwrap();
        std::thread::sleep(SNAPSHOT_AGE_MAX);
        let closed = gate.close();
        assert!(late.renew_if_due(&reader).is_err());
        drop((late, scan, closed));
        assert_eq!(gate.count_snapshots(), 0);
    }
}
