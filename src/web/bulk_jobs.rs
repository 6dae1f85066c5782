//! How many bulk requests of a configuration run at the same time. The others wait in a queue of their own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Reason, Result};

/// Bulk requests of a configuration that run at the same time.
pub const BULK_JOBS_AT_ONCE: usize = 2;
/// Bulk requests of a configuration that may wait. Their bodies are not read yet.
pub(crate) const BULK_JOBS_WAITING: usize = 32;
/// Longest wait.
pub(crate) const BULK_WAIT_MAX: Duration = Duration::from_secs(30);

/// The running and waiting bulk requests by configuration.
#[derive(Default)]
pub struct BulkJobs {
    lanes: Mutex<HashMap<i64, Arc<BulkLane>>>,
}

struct BulkLane {
    running: Arc<Semaphore>,
    /// Requests that run or wait.
    entered: AtomicUsize,
}

/// A running bulk request. The next one starts when it is dropped.
#[must_use]
pub struct BulkJobPermit {
    _running: OwnedSemaphorePermit,
    _entry: LaneEntry,
}

struct LaneEntry(Arc<BulkLane>);

impl Drop for LaneEntry {
    fn drop(&mut self) {
        self.0.entered.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BulkJobs {
    /// Waits until a bulk request of the configuration may run.
    ///
    /// # Errors
    /// `BulkJobsLimited` if too many wait, or after the longest wait.
    pub async fn wait_for_turn(&self, configuration: i64) -> Result<BulkJobPermit> {
        let entry = LaneEntry(self.enter_lane(configuration)?);
        let turn = Arc::clone(&entry.0.running).acquire_owned();
        let Ok(Ok(running)) = tokio::time::timeout(BULK_WAIT_MAX, turn).await else {
            return Err(Error::new(Reason::BulkJobsLimited));
        };
        Ok(BulkJobPermit { _running: running, _entry: entry })
    }

    /// Returns the lane of the configuration, in which the caller is counted.
    fn enter_lane(&self, configuration: i64) -> Result<Arc<BulkLane>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        // Entries are counted under the lock, so that an empty lane has no other users.
        lanes.retain(|key, lane| *key == configuration || lane.entered.load(Ordering::Relaxed) > 0);
        let lane = lanes.entry(configuration).or_insert_with(|| {
            Arc::new(BulkLane { running: Arc::new(Semaphore::new(BULK_JOBS_AT_ONCE)), entered: AtomicUsize::new(0) })
        });
        if lane.entered.load(Ordering::Relaxed) >= BULK_JOBS_AT_ONCE + BULK_JOBS_WAITING {
            return Err(Error::new(Reason::BulkJobsLimited));
        }
        lane.entered.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::clone(lane))
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    type Turn<'j> = std::pin::Pin<Box<dyn Future<Output = Result<BulkJobPermit>> + 'j>>;

    fn poll_turn(turn: &mut Turn<'_>) -> Option<Result<BulkJobPermit>> {
        match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(result) => Some(result),
            std::task::Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn two_jobs_run_a_bounded_number_waits_and_other_configurations_are_not_affected() {
        let jobs = BulkJobs::default();
        let first = jobs.wait_for_turn(1).await.unwrap();
        let _second = jobs.wait_for_turn(1).await.unwrap();
        let mut waiting: Vec<Turn<'_>> =
            (0..BULK_JOBS_WAITING).map(|_| Box::pin(jobs.wait_for_turn(1)) as Turn<'_>).collect();
        assert!(waiting.iter_mut().all(|turn| poll_turn(turn).is_none()));
        let refused = jobs.wait_for_turn(1).await;
        assert!(matches!(refused, Err(error) if error.reason() == Reason::BulkJobsLimited));
        let _other = jobs.wait_for_turn(2).await.unwrap();
        // The oldest waiting job is next, and a caller that gives up leaves no trace.
        drop(first);
        let _third = poll_turn(&mut waiting[0]).unwrap().unwrap();
        assert!(poll_turn(&mut waiting[1]).is_none());
        waiting.truncate(1);
        drop(waiting);
        assert_eq!(jobs.lanes.lock().unwrap()[&1].entered.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn lanes_without_jobs_are_forgotten() {
        let jobs = BulkJobs::default();
        for configuration in 0..100 {
            drop(jobs.wait_for_turn(configuration).await.unwrap());
        }
        assert_eq!(jobs.lanes.lock().unwrap().len(), 1);
    }
}
