//! A program that copies the write-ahead log to a replica, as the store sees it. The program holds a read transaction, so that
//! no checkpoint of others can remove what it has not read; it runs the checkpoints itself.

pub(crate) mod confirmation;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::store::Store;
use crate::store::engine::{connection, foreign_objects};
use crate::store::replication::confirmation::Confirmer;

/// The program that copies the log.
pub trait LogReplicator: Send + Sync {
    /// Whether it runs. While it does not, the checkpoints are those of a server without a replica: when it runs again, it
    /// notices that it lacks a part of the log, and begins with a complete copy.
    fn is_running(&self) -> bool;
    /// Lets it read the log to its end and run a checkpoint. Returns when that has ended, or after the timeout.
    fn run_checkpoint(&self, timeout: Duration);
    /// Returns true after everything that was committed before the call is in the replica; false if that is not known in time.
    fn confirm(&self, timeout: Duration) -> bool;
    /// Ends its use of the database, after everything is in the replica. Returns whether it has ended.
    fn detach(&self, timeout: Duration) -> bool;
    /// Lets it use the database again.
    fn attach(&self, timeout: Duration);
}

/// How long the program may take to stop using the database, so that the log can be cut to nothing.
pub(crate) const DETACH_MAX: Duration = Duration::from_secs(20);

impl Store {
    /// Lets this program copy the log, from now on until the store is closed. Only the first call has an effect. The tables that
    /// the program needs are created here, so that their schema has page checksums.
    ///
    /// # Errors
    /// The tables cannot be created.
    pub fn replicate_log(&self, replicator: Arc<dyn LogReplicator>) -> Result<()> {
        self.write_blocking(|tx| {
            tx.allow_on_full_disk();
            foreign_objects::create_replication_tables(tx)
        })?;
        connection::detect_replication(&self.shared.files.database);
        // A second call would be a mistake of the program, and the first one stays valid.
        drop(self.shared.replicator.set(replicator));
        Ok(())
    }

    /// From now on, the results of writes wait until their changes are in the replica. Without a replica this has no effect.
    ///
    /// # Errors
    /// The thread that waits cannot be started.
    pub fn wait_for_replica(&self) -> std::io::Result<()> {
        let Some(replicator) = self.shared.replicator.get() else { return Ok(()) };
        match self.shared.confirmer.set(Confirmer::new(Arc::clone(replicator))) {
            Ok(()) => Confirmer::start(&self.shared),
            Err(_) => Ok(()),
        }
    }

    /// Whether a write is acknowledged only after it is in the replica.
    pub fn waits_for_replica(&self) -> bool {
        self.shared.confirmer.get().is_some()
    }

    /// Whether writes are refused, because the replica does not confirm them. If not, it has everything that was committed when a
    /// write was answered with `not_replicated`.
    pub fn is_replica_silent(&self) -> bool {
        self.shared.confirmer.get().is_some_and(Confirmer::is_refusing)
    }

    /// Commits of this process that changed something, with the time at which they were counted. Everything that is committed
    /// later has a higher number.
    pub fn count_commits(&self) -> (u64, Instant) {
        let asked = Instant::now();
        (self.shared.changes.load(Ordering::Acquire), asked)
    }
}
