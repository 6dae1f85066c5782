//! What the store counts about itself, for metrics.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Store;
use crate::measure::{Histogram, Spread};

/// Upper bounds of the writes in one commit.
const BATCH: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128];
/// Upper bounds of what a commit takes, in microseconds.
const COMMIT_MICROS: &[u64] =
    &[100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// What the writer counts.
pub(super) struct Counters {
    /// Writes that were sent and not answered.
    pub(super) queued: AtomicU64,
    /// Writes that found the queue full.
    pub(super) turned_away: AtomicU64,
    pub(super) batches: Histogram,
    /// In microseconds; commits that changed something.
    pub(super) commits: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            queued: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            batches: Histogram::new(BATCH),
            commits: Histogram::new(COMMIT_MICROS),
        }
    }
}

/// How the store does.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Writes that wait for their commit.
    pub queued: u64,
    /// Writes that were turned away because the queue was full.
    pub turned_away: u64,
    /// Writes in one commit.
    pub batches: Spread,
    /// What commits took, in microseconds.
    pub commits: Spread,
    /// Size of the database file, where it can be told.
    pub database_bytes: Option<u64>,
    /// Size of the write-ahead log; 0 where there is none.
    pub log_bytes: Option<u64>,
    /// Pooled connections that read at the moment.
    pub readers_in_use: u64,
}

impl Store {
    /// How the store does at the moment.
    pub fn figures(&self) -> Figures {
        let (counters, files) = (&self.shared.counters, &self.shared.files);
        let size = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.len());
        Figures {
            queued: counters.queued.load(Ordering::Relaxed),
            turned_away: counters.turned_away.load(Ordering::Relaxed),
            batches: counters.batches.spread(),
            commits: counters.commits.spread(),
            database_bytes: size(&files.database),
            log_bytes: Some(size(&files.log_files()[0]).unwrap_or_default()),
            readers_in_use: self.pool.in_use().into(),
        }
    }
}
