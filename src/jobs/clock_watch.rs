//! Follows the system clock, reports its leaps, and records the time for the next start.

use std::time::{Duration, Instant};

use crate::clock;
use crate::error::Result;
use crate::management::instance;
use crate::store::{Store, WorkOwner};

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of the records: an idle server writes once in this time.
const RECORD_INTERVAL: Duration = Duration::from_mins(10);

/// Compares the clock at the start with the last recorded time. Reads the database on the calling thread.
///
/// # Errors
/// Errors of the store.
pub fn check_start(store: &Store) -> Result<()> {
    if let Some(recorded_at) = store.read_inline(instance::find_recorded_time)?
        && let Some(doubt) = clock::compare_start(recorded_at)
    {
        doubt.log();
    }
    Ok(())
}

/// Compares the believed time with the system clock at the interval. Never returns.
pub async fn watch_clock(store: Store) {
    let mut recorded: Option<Instant> = None;
    let mut held_offset = None;
    loop {
        clock::follow_system_clock().log();
        let offset = clock::find_held_offset();
        if offset != held_offset {
            held_offset = offset;
            store.record_held_offset(offset);
        }
        // A doubted time would hide the doubt at the next start.
        if recorded.is_none_or(|at| at.elapsed() >= RECORD_INTERVAL) && clock::find_start_doubt().is_none() {
            recorded = Some(Instant::now());
            if let Err(problem) = store.write_as(WorkOwner::Background, instance::record_time).await {
                tracing::debug!(%problem, "the time could not be recorded; it will be retried");
            }
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}
