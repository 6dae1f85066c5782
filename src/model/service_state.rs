//! Whether the server accepts writes, and why not. The state is decided here, and only here, from what the store observes.

use std::time::Duration;

use crate::named_enum::named_enum;

/// How long the writer may make no progress while a write waits, until the server is read-only.
pub const STALL_MAX: Duration = Duration::from_secs(5);

named_enum! {
    /// Why the server rejects writes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ReadOnlyCause {
        /// The database file was removed or renamed.
        FileMissing = "file_missing",
        /// Another file is at the path of the database or of its log.
        FileReplaced = "file_replaced",
        /// Damage was found in the database.
        Damaged = "damaged",
        /// The disk is full. Writes that free space are accepted.
        DiskFull = "disk_full",
        /// The disk does not complete a write.
        Stalled = "stalled",
        /// The write-ahead log cannot be checkpointed.
        CheckpointFailing = "checkpoint_failing",
        /// This server does not hold the lease of its replica.
        LeaseLost = "lease_lost",
    }
}

impl ReadOnlyCause {
    /// The cause in one sentence.
    pub fn describe(self) -> &'static str {
        match self {
            Self::FileMissing => {
                "The database file, its log or the index of the log was removed or renamed while the server runs."
            }
            Self::FileReplaced => "The database file was replaced while the server runs.",
            Self::Damaged => "The database is damaged and does not accept writes.",
            Self::DiskFull => "The disk of the data folder is full; only deletions and revocations are accepted.",
            Self::Stalled => "The disk does not complete a write.",
            Self::CheckpointFailing => {
                "The write-ahead log cannot be checkpointed and would grow until the disk is full."
            }
            Self::LeaseLost => "This server does not hold the lease of its replica, so another one may accept writes.",
        }
    }

    /// What the operator does.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::FileMissing => {
                "Move the file back: the server then continues. If only rollcall.db-shm is missing, stop the server and start it again. Otherwise stop the server and restore a backup."
            }
            Self::FileReplaced => {
                "Stop the server, put the right file in place or restore a backup, and start the server again."
            }
            Self::Damaged => "Stop the server, run rollcall check, and restore the last good backup.",
            Self::DiskFull => "Free some space: the server then continues.",
            Self::Stalled => "Check the disk: the server continues when it responds.",
            Self::CheckpointFailing => {
                "Check the disk and the log of the server: the server continues after the next checkpoint."
            }
            Self::LeaseLost => {
                "Check the object storage of the replica and the network: the server continues when it has written the lease again."
            }
        }
    }
}

/// Whether the server accepts writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// Reads and writes are served.
    Ready,
    /// Writes are rejected.
    ReadOnly(ReadOnlyCause),
}

impl ServiceState {
    /// The cause, if writes are rejected.
    pub fn cause(self) -> Option<ReadOnlyCause> {
        match self {
            Self::Ready => None,
            Self::ReadOnly(cause) => Some(cause),
        }
    }

    /// Name of the state.
    pub fn as_str(self) -> &'static str {
        self.cause().map_or("ready", ReadOnlyCause::as_str)
    }
}

named_enum! {
    /// Which file is at the path of the database.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum FileSighting {
        /// The file that the server opened.
        #[default]
        Same = "same",
        /// None.
        Missing = "missing",
        /// Another one.
        Replaced = "replaced",
    }
}

/// What the store observes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreObservations {
    /// Which file is at the path of the database.
    pub file: FileSighting,
    /// Damage was found.
    pub is_damaged: bool,
    /// A write failed because the disk is full, and there is still no space.
    pub is_disk_full: bool,
    /// How long the writer has made no progress although a write waits.
    pub stalled_for: Duration,
    /// The last checkpoints failed.
    pub is_checkpoint_failing: bool,
    /// The server needs a lease, and does not hold it.
    pub is_lease_lost: bool,
}

/// Decides the state. If several causes hold, the one wins that needs the operator most: a write into a wrong file is
/// worse than one into a damaged file, and both are worse than causes that end by themselves.
pub fn decide_state(seen: &StoreObservations) -> ServiceState {
    let causes = [
        (seen.file == FileSighting::Missing, ReadOnlyCause::FileMissing),
        (seen.file == FileSighting::Replaced, ReadOnlyCause::FileReplaced),
        (seen.is_damaged, ReadOnlyCause::Damaged),
        (seen.is_disk_full, ReadOnlyCause::DiskFull),
        (seen.stalled_for >= STALL_MAX, ReadOnlyCause::Stalled),
        (seen.is_checkpoint_failing, ReadOnlyCause::CheckpointFailing),
        (seen.is_lease_lost, ReadOnlyCause::LeaseLost),
    ];
    let first = causes.into_iter().find(|(holds, _)| *holds);
    first.map_or(ServiceState::Ready, |(_, cause)| ServiceState::ReadOnly(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_that_needs_the_operator_most_wins() {
        let mut seen = StoreObservations {
            file: FileSighting::Missing,
            is_damaged: true,
            is_disk_full: true,
            stalled_for: STALL_MAX,
            is_checkpoint_failing: true,
            is_lease_lost: true,
        };
        let mut decided = vec![decide_state(&seen)];
        seen.file = FileSighting::Replaced;
        decided.push(decide_state(&seen));
        seen.file = FileSighting::Same;
        decided.push(decide_state(&seen));
        seen.is_damaged = false;
        decided.push(decide_state(&seen));
        seen.is_disk_full = false;
        decided.push(decide_state(&seen));
        seen.stalled_for = STALL_MAX.saturating_sub(Duration::from_millis(1));
        decided.push(decide_state(&seen));
        seen.is_checkpoint_failing = false;
        decided.push(decide_state(&seen));
        seen.is_lease_lost = false;
        assert_eq!(decided, ReadOnlyCause::ALL.map(ServiceState::ReadOnly));
        assert_eq!(decide_state(&seen), ServiceState::Ready);
        assert_eq!(decide_state(&StoreObservations::default()), ServiceState::Ready);
    }
}
