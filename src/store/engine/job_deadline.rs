//! The time limit of the job that runs on the writer thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::clock;
use crate::error::{Error, Reason, Result};
use crate::store::engine::owner::WorkOwner;

/// Time limit of a write of a SCIM request. All other writes wait in the meantime.
pub(crate) const TENANT_JOB_MAX: Duration = Duration::from_secs(2);
/// Time limit of other writes. One of them may change every resource of a configuration, for example when a schema
/// extension is removed together with its values. Callers with a SCIM token cannot start one.
pub(crate) const OWN_JOB_MAX: Duration = Duration::from_secs(30);
/// SQLite virtual machine steps between two checks of the clock.
const STEPS_BETWEEN_CHECKS: i32 = 2_000;
/// No job is running.
const DISARMED: u64 = u64::MAX;

/// The deadline of the running job. The connection interrupts its statements after it.
#[derive(Clone)]
pub(crate) struct JobDeadline {
    base: Instant,
    /// Microseconds since `base`.
    at: Arc<AtomicU64>,
}

impl JobDeadline {
    pub(crate) fn new() -> Self {
        Self { base: clock::read_instant(), at: Arc::new(AtomicU64::new(DISARMED)) }
    }

    /// Makes the connection interrupt its statements after the deadline.
    pub(crate) fn watch(&self, connection: &Connection) -> rusqlite::Result<()> {
        let watched = self.clone();
        connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(move || watched.is_exceeded()))
    }

    /// Starts the time of a job of that owner.
    pub(crate) fn arm(&self, owner: WorkOwner, start: Instant) {
        let limit = match owner {
            WorkOwner::Configuration(_) => TENANT_JOB_MAX,
            WorkOwner::Account(_) | WorkOwner::Management | WorkOwner::Background => OWN_JOB_MAX,
        };
        self.at.store(self.micros_at(start + limit), Ordering::Relaxed);
    }

    /// Ends the time of the job.
    pub(crate) fn disarm(&self) {
        self.at.store(DISARMED, Ordering::Relaxed);
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        at != DISARMED && self.micros_at(clock::read_instant()) > at
    }

    /// Returns an error after the deadline.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_exceeded() { Err(Error::new(Reason::WriteTooLong)) } else { Ok(()) }
    }

    fn micros_at(&self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.base).as_micros()).unwrap_or(DISARMED - 1)
    }
}
