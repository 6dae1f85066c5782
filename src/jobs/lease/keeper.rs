//! Writes the lease again in time. If another server has taken it, the server accepts no writes from then on, and stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

use crate::clock;
use crate::jobs::lease::claim::ClaimedLease;
use crate::replica::lease::{LeaseError, LeaseRecord, LeaseStatus, LeaseTerms, Takeover};
use crate::store::WritePermit;

/// Pause after a renewal that had no success.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// What the thread and its owner share.
#[derive(Debug, Default)]
struct SharedLease {
    status: Arc<LeaseStatus>,
    /// The newest content that is known.
    record: Mutex<Option<LeaseRecord>>,
    /// A promotion that the next renewal records.
    takeover: Mutex<Option<Takeover>>,
    /// Set when another server has taken the lease.
    is_lost: AtomicBool,
    /// Set when the server has ended in order.
    is_given_up: AtomicBool,
}

/// The running renewal of a lease.
#[derive(Debug)]
pub struct LeaseKeeper {
    permit: Arc<WritePermit>,
    shared: Arc<SharedLease>,
    generation: u64,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LeaseKeeper {
    /// Begins to write the lease again in time.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(claimed: ClaimedLease) -> std::io::Result<Self> {
        let (permit, generation) = (Arc::clone(&claimed.permit), claimed.record().generation);
        let shared = Arc::new(SharedLease::default());
        shared.status.record_success(generation);
        *shared.record.lock().unwrap_or_else(PoisonError::into_inner) = Some(claimed.record().clone());
        let (stop, stopped) = mpsc::channel();
        let renewal = LeaseRenewal { claimed, shared: Arc::clone(&shared) };
        let thread = thread::Builder::new().name("rollcall-lease".into()).spawn(move || renewal.run(&stopped))?;
        tracing::info!(generation, "this server holds the lease of the replica");
        Ok(Self { permit, shared, generation, stop: Some(stop), thread: Some(thread) })
    }

    /// The permit that the lease extends.
    pub fn permit(&self) -> Arc<WritePermit> {
        Arc::clone(&self.permit)
    }

    /// What is known about the lease, for reports.
    pub fn status(&self) -> Arc<LeaseStatus> {
        Arc::clone(&self.shared.status)
    }

    /// The generation of this server.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Records in the lease where this generation began, with a renewal at once.
    pub fn record_takeover(&self, takeover: Takeover) {
        *self.shared.takeover.lock().unwrap_or_else(PoisonError::into_inner) = Some(takeover);
        if let Some(wake) = &self.stop {
            // If the thread has ended, there is no lease to renew.
            let _ = wake.send(());
        }
    }

    /// Ends the renewal and gives the lease up, so that another server can take it at once. The server writes nothing any more.
    /// Returns the lease of the other server, if one has taken it. Without this call, as after an error, the lease is not given up.
    pub fn stop(mut self) -> Option<LeaseRecord> {
        self.permit.revoke();
        self.shared.is_given_up.store(true, Ordering::SeqCst);
        self.end();
        let is_lost = self.shared.is_lost.load(Ordering::SeqCst);
        self.shared.record.lock().unwrap_or_else(PoisonError::into_inner).take().filter(|_| is_lost)
    }

    fn end(&mut self) {
        self.permit.revoke();
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes the lease panicked");
        }
    }
}

impl Drop for LeaseKeeper {
    fn drop(&mut self) {
        self.end();
    }
}

struct LeaseRenewal {
    claimed: ClaimedLease,
    shared: Arc<SharedLease>,
}

impl LeaseRenewal {
    fn run(mut self, stopped: &Receiver<()>) {
        let mut pause = LeaseTerms::DEFAULT.renew_every;
        // A message asks for a renewal at once.
        while stopped.recv_timeout(pause) != Err(RecvTimeoutError::Disconnected) {
            pause = match self.renew() {
                Ok(()) => LeaseTerms::DEFAULT.renew_every,
                Err(problem) => {
                    tracing::warn!(%problem, "the lease could not be written");
                    self.shared.status.record_problem(problem.to_string());
                    RETRY_PAUSE
                }
            };
            if self.shared.is_lost.load(Ordering::SeqCst) {
                stop_server();
                return;
            }
        }
        if !self.shared.is_given_up.load(Ordering::SeqCst) {
            return;
        }
        let record = self.claimed.object.record.released();
        if let Err(problem) = self.claimed.storage.write(&record, Some(&self.claimed.object.tag)) {
            tracing::warn!(%problem, "the lease could not be given up: another server waits until it ends");
        }
    }

    fn renew(&mut self) -> Result<(), LeaseError> {
        let mut record = self.claimed.object.record.renewed(&self.claimed.object.record.boot);
        let takeover = self.shared.takeover.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(takeover) = takeover {
            record.record_takeover(takeover);
        }
        let asked_at = clock::read_boot_time();
        match self.claimed.storage.write(&record, Some(&self.claimed.object.tag)) {
            Ok(object) => {
                self.claimed.object = object;
                self.claimed.permit.extend(self.claimed.clock.record_success(asked_at));
                self.shared.status.record_success(record.generation);
                Ok(())
            }
            // An earlier renewal without an answer was written, or another server was faster.
            Err(LeaseError::Changed) => self.read_changed(),
            Err(problem) => Err(problem),
        }
    }

    /// Looks why the lease is not the one that was written last.
    fn read_changed(&mut self) -> Result<(), LeaseError> {
        let own = &self.claimed.object.record;
        let Some(object) = self.claimed.storage.read()? else {
            // It was removed. Another server can only create one that is not this one.
            let asked_at = clock::read_boot_time();
            self.claimed.object = self.claimed.storage.write(&own.renewed(&own.boot), None)?;
            self.claimed.permit.extend(self.claimed.clock.record_success(asked_at));
            return Ok(());
        };
        if object.record.is_held_by(&own.holder, &own.boot) && object.record.generation == own.generation {
            self.claimed.object = object;
            return self.renew_again();
        }
        self.claimed.permit.revoke();
        *self.shared.record.lock().unwrap_or_else(PoisonError::into_inner) = Some(object.record);
        self.shared.status.record_problem("another server has taken the lease".to_owned());
        self.shared.is_lost.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Writes the lease on top of an own content. A second change is a problem for the next try.
    fn renew_again(&mut self) -> Result<(), LeaseError> {
        let own = &self.claimed.object;
        let asked_at = clock::read_boot_time();
        self.claimed.object = self.claimed.storage.write(&own.record.renewed(&own.record.boot), Some(&own.tag))?;
        self.claimed.permit.extend(self.claimed.clock.record_success(asked_at));
        Ok(())
    }
}

/// Stops this server like a signal of the service manager does.
fn stop_server() {
    tracing::error!("ANOTHER SERVER HAS TAKEN THE LEASE: this one accepts no writes and stops");
    if let Err(error) = kill_process(getpid(), Signal::TERM) {
        tracing::error!(%error, "the server cannot stop itself");
    }
}
