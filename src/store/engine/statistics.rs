//! Statistics of the store, for metrics.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::histogram::{Histogram, HistogramSnapshot};
use crate::store::Store;
use crate::store::engine::checkpointer::CheckpointFigures;
use crate::store::engine::integrity::scrub::ScrubFigures;

/// Histogram bounds: writes per commit.
const BATCH_SIZE_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128];
/// Histogram bounds: duration of a commit in microseconds.
const COMMIT_TIME_BOUNDS: &[u64] =
    &[100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// Counters of the writer.
pub(crate) struct WriterCounters {
    /// Writes that are queued or running.
    pub(crate) queued: AtomicU64,
    /// Writes rejected because their owner's share of the queue was full.
    pub(crate) rejected: AtomicU64,
    pub(crate) batches: Histogram,
    /// Duration in microseconds of the commits that changed something.
    pub(crate) commits: Histogram,
}

impl Default for WriterCounters {
    fn default() -> Self {
        Self {
            queued: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            batches: Histogram::new(BATCH_SIZE_BOUNDS),
            commits: Histogram::new(COMMIT_TIME_BOUNDS),
        }
    }
}

/// Statistics of the store.
#[derive(Debug, Clone)]
pub struct StoreStatistics {
    /// Writes that are queued or running.
    pub queued: u64,
    /// How long the oldest of them has waited for its result.
    pub queue_oldest: Duration,
    /// Writes rejected because their owner's share of the queue was full, since start.
    pub rejected: u64,
    /// Number of writes per commit.
    pub batches: HistogramSnapshot,
    /// Duration of commits in microseconds.
    pub commits: HistogramSnapshot,
    /// Size of the database file in bytes, or `None` if it cannot be read.
    pub database_bytes: Option<u64>,
    /// Size of the write-ahead log in bytes, 0 if there is none.
    pub log_bytes: Option<u64>,
    /// Pooled connections that are reading now.
    pub readers_in_use: u64,
    /// Checkpoints of the write-ahead log.
    pub checkpoints: CheckpointFigures,
    /// Scrubs of the database file.
    pub scrub: ScrubFigures,
}

impl Store {
    /// Returns the current statistics of the store.
    pub fn statistics(&self) -> StoreStatistics {
        let (counters, files) = (&self.shared.counters, &self.shared.files);
        let size = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.len());
        StoreStatistics {
            queued: counters.queued.load(Ordering::Relaxed),
            queue_oldest: self.writer.oldest_age(),
            rejected: counters.rejected.load(Ordering::Relaxed),
            batches: counters.batches.snapshot(),
            commits: counters.commits.snapshot(),
            database_bytes: size(&files.database),
            log_bytes: Some(size(&files.log_paths()[0]).unwrap_or_default()),
            readers_in_use: self.pool.in_use().into(),
            checkpoints: self.shared.log.figures(),
            scrub: self.shared.scrub.figures(),
        }
    }
}
