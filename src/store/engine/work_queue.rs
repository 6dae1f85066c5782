//! Fair admission of work off the event loop: how much of it runs at once in total, for each tenant and for each owner, and
//! which one is next. There is one queue for scans, one for large documents and one for Bulk requests.
//!
//! Work waits here without a thread, and enters the pool of blocking threads with a permit. The tenants share the time by
//! deficit round robin over measured microseconds, and so do the owners of a tenant: the cost of a piece of work is known
//! only when it ends, so it is charged then, and a tenant in debt waits until the others had their share. The tenant with
//! the highest credit is next. The last slot is reserved for a tenant that has used little: it does not wait until the long
//! work of others ends.

mod credit;
mod schedule;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use self::schedule::WorkSchedule;
use crate::error::{Error, Reason, Result};
use crate::store::engine::owner::WorkOwner;

/// Maximum number of concurrent scans. The last of them is for a tenant that has used little.
pub(crate) const SCANS_MAX: usize = 4;
/// Maximum number of concurrent scans of one account, and of one of its configurations, while no other one waits.
pub(crate) const OWNER_SCANS_MAX: usize = 2;
/// Maximum number of large documents that are processed at the same time. The last of them is for a tenant that has used
/// little.
pub(crate) const DOCUMENTS_MAX: usize = 3;
/// Maximum number of concurrent large documents of one account.
pub(crate) const OWNER_DOCUMENTS_MAX: usize = 1;
/// Scans, and documents, that only tenants with little use may start.
pub(crate) const RESERVED_SLOTS: usize = 1;
/// Maximum number of waiting scans, and of waiting documents, of one configuration.
pub(crate) const CONFIGURATION_WAITING_MAX: usize = 64;
/// The same for all configurations and admins of one account.
pub(crate) const ACCOUNT_WAITING_MAX: usize = 128;
/// The same for the management API and the portal.
pub(crate) const MANAGEMENT_WAITING_MAX: usize = 1_024;
/// How long work may wait. After that time the client has timed out or will retry.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(10);
/// `Retry-After` of work that waited for the longest time without a turn: an immediate repetition would only make the queue longer.
const WAITED_RETRY_SECONDS: u64 = 5;
/// Bulk requests of an account, and of one of its configurations, that run at the same time.
pub(crate) const BULK_JOBS_AT_ONCE: usize = 2;
/// Bulk requests of a configuration that may wait. Their bodies are not read yet.
pub(crate) const BULK_JOBS_WAITING: usize = 32;
/// The same for all configurations of one account.
pub(crate) const ACCOUNT_BULK_JOBS_WAITING: usize = 64;
/// Longest wait of a Bulk request.
pub(crate) const BULK_WAIT_MAX: Duration = Duration::from_secs(30);

/// How much work of a queue runs and waits.
#[derive(Debug, Clone, Copy)]
struct WorkLimits {
    /// How much runs at once. `None` if only the limits of a tenant apply.
    running_max: Option<usize>,
    /// How much of one tenant, and of one owner, runs at once, while no other one waits.
    owner_max: usize,
    /// How much work of an owner, of an account and of the management waits.
    waiting_max: [usize; 3],
    wait_max: Duration,
    /// The error of an owner with too much waiting work.
    refusal: Reason,
    /// The error of work that waited too long.
    timeout: Reason,
}

const SCAN_LIMITS: WorkLimits = WorkLimits {
    running_max: Some(SCANS_MAX),
    owner_max: OWNER_SCANS_MAX,
    waiting_max: [CONFIGURATION_WAITING_MAX, ACCOUNT_WAITING_MAX, MANAGEMENT_WAITING_MAX],
    wait_max: WAIT_MAX,
    refusal: Reason::QueriesLimited,
    timeout: Reason::ServerBusy,
};
const DOCUMENT_LIMITS: WorkLimits = WorkLimits {
    running_max: Some(DOCUMENTS_MAX),
    owner_max: OWNER_DOCUMENTS_MAX,
    refusal: Reason::RequestsLimited,
    ..SCAN_LIMITS
};
const BULK_LIMITS: WorkLimits = WorkLimits {
    running_max: None,
    owner_max: BULK_JOBS_AT_ONCE,
    waiting_max: [BULK_JOBS_WAITING, ACCOUNT_BULK_JOBS_WAITING, MANAGEMENT_WAITING_MAX],
    wait_max: BULK_WAIT_MAX,
    refusal: Reason::BulkJobsLimited,
    timeout: Reason::BulkJobsLimited,
};

/// The work that runs and waits.
pub(crate) struct WorkQueue {
    limits: WorkLimits,
    state: Mutex<WorkSchedule<PermitSender>>,
}

type PermitSender = oneshot::Sender<WorkPermit>;

/// The right to do one piece of work. Its lifetime is the cost of the work.
#[must_use]
pub(crate) struct WorkPermit {
    queue: Arc<WorkQueue>,
    owner: WorkOwner,
    started: Instant,
}

impl Drop for WorkPermit {
    fn drop(&mut self) {
        let cost = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.queue.lock().finish(self.owner, cost, Instant::now());
        WorkQueue::start_waiting(&self.queue);
    }
}

impl WorkQueue {
    /// The queue of scans.
    pub(crate) fn for_scans() -> Self {
        Self::new(SCAN_LIMITS)
    }

    /// The queue of large documents.
    pub(crate) fn for_documents() -> Self {
        Self::new(DOCUMENT_LIMITS)
    }

    /// The queue of Bulk requests.
    pub(crate) fn for_bulk_jobs() -> Self {
        Self::new(BULK_LIMITS)
    }

    fn new(limits: WorkLimits) -> Self {
        Self { limits, state: Mutex::new(WorkSchedule::new(limits)) }
    }

    /// Waits until work of the owner may run.
    ///
    /// # Errors
    /// 429 if too much of its work waits, or the error of the queue for work that may not start in time.
    pub(crate) async fn admit(queue: &Arc<Self>, owner: WorkOwner) -> Result<WorkPermit> {
        let (sender, receiver) = oneshot::channel();
        queue.lock().enqueue(owner, sender, Instant::now())?;
        Self::start_waiting(queue);
        match timeout(queue.limits.wait_max, receiver).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::new(queue.limits.timeout).with_retry_seconds(WAITED_RETRY_SECONDS)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, WorkSchedule<PermitSender>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts as much waiting work as possible. A permit whose client has gone is dropped, without the lock.
    fn start_waiting(queue: &Arc<Self>) {
        loop {
            let next = queue.lock().start_next(Instant::now());
            let Some((owner, sender)) = next else { return };
            let permit = WorkPermit { queue: Arc::clone(queue), owner, started: Instant::now() };
            drop(sender.send(permit));
        }
    }
}

#[cfg(test)]
mod tests;
