//! Acknowledgement after the replica: the results of a committed batch wait until its changes are in the replica. One question
//! confirms all batches that wait, and the writer continues meanwhile.
//!
//! A batch that is not confirmed in time is answered with an error, although it is committed here: never with a success. From
//! then on, writes are refused in front of the transaction, so that the changes that only this machine has do not grow, until
//! the replica answers again.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::store::SharedState;
use crate::store::engine::queued_write::{QueuedWrite, WriteVerdict};
use crate::store::replication::LogReplicator;

/// How long a write waits for the replica after its commit.
pub(crate) const CONFIRMATION_MAX: Duration = Duration::from_secs(2);
/// Pause after a question that failed.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How often the replica is asked while writes are refused.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// Least timeout of a question.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);

/// The results that wait.
pub(crate) struct Confirmer {
    replicator: Arc<dyn LogReplicator>,
    state: Mutex<ConfirmerState>,
    changed: Condvar,
    is_refusing: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct ConfirmerState {
    waiting: Vec<WaitingResults>,
    is_closing: bool,
}

/// The writes of one committed batch.
struct WaitingResults {
    committed_at: Instant,
    writes: Vec<Box<dyn QueuedWrite>>,
}

impl Confirmer {
    pub(crate) fn new(replicator: Arc<dyn LogReplicator>) -> Self {
        Self {
            replicator,
            state: Mutex::default(),
            changed: Condvar::new(),
            is_refusing: AtomicBool::new(false),
            thread: Mutex::default(),
        }
    }

    /// Starts the thread that asks the replica.
    pub(crate) fn start(shared: &Arc<SharedState>) -> std::io::Result<()> {
        let Some(confirmer) = shared.confirmer.get() else { return Ok(()) };
        let thread_shared = Arc::clone(shared);
        let run = move || {
            if let Some(confirmer) = thread_shared.confirmer.get() {
                confirmer.run(|writes, verdict| send_results(&thread_shared, writes, verdict));
            }
        };
        let thread = thread::Builder::new().name("rollcall-confirm".into()).spawn(run)?;
        *confirmer.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Whether writes are refused, because the replica does not answer.
    pub(crate) fn is_refusing(&self) -> bool {
        self.is_refusing.load(Ordering::Relaxed)
    }

    /// Lets the results of a committed batch wait.
    pub(crate) fn push(&self, writes: Vec<Box<dyn QueuedWrite>>) {
        self.lock().waiting.push(WaitingResults { committed_at: Instant::now(), writes });
        self.changed.notify_all();
    }

    /// Ends the thread after the last results are sent. The writer has ended.
    pub(crate) fn finish(&self) {
        self.lock().is_closing = true;
        self.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that waits for the replica panicked");
        }
    }

    fn lock(&self) -> MutexGuard<'_, ConfirmerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, send: impl Fn(Vec<Box<dyn QueuedWrite>>, Confirmation)) {
        while let Some(mut waiting) = self.take_waiting() {
            while !waiting.is_empty() || self.is_refusing() {
                let left = waiting.first().map_or(CONFIRMATION_MAX, |first| left_of(first.committed_at));
                if self.replicator.confirm(left.max(TIMEOUT_MIN)) {
                    self.note_success();
                    waiting.drain(..).for_each(|results| send(results.writes, Confirmation::Confirmed));
                    break;
                }
                waiting.append(&mut self.lock().waiting);
                let (late, in_time): (Vec<_>, Vec<_>) =
                    mem::take(&mut waiting).into_iter().partition(|results| left_of(results.committed_at).is_zero());
                waiting = in_time;
                if !late.is_empty() {
                    self.note_failure(late.iter().map(|results| results.writes.len()).sum());
                    for results in late {
                        send(results.writes, Confirmation::Unconfirmed);
                    }
                }
                if waiting.is_empty() && self.lock().is_closing {
                    return;
                }
                thread::sleep(if waiting.is_empty() { PROBE_INTERVAL } else { RETRY_PAUSE });
            }
        }
    }

    /// Waits for results. `None` when the store closes and none wait.
    fn take_waiting(&self) -> Option<Vec<WaitingResults>> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.is_closing {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Some(mem::take(&mut state.waiting))
    }

    fn note_success(&self) {
        if self.is_refusing.swap(false, Ordering::SeqCst) {
            tracing::info!("the replica confirms changes again: writes are accepted");
        }
    }

    fn note_failure(&self, writes: usize) {
        if !self.is_refusing.swap(true, Ordering::SeqCst) {
            tracing::error!(writes, "THE REPLICA DOES NOT CONFIRM CHANGES: writes are refused until it does");
        }
    }
}

/// Whether the changes of a batch are in the replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confirmation {
    Confirmed,
    Unconfirmed,
}

fn left_of(committed_at: Instant) -> Duration {
    CONFIRMATION_MAX.saturating_sub(committed_at.elapsed())
}

fn send_results(shared: &SharedState, writes: Vec<Box<dyn QueuedWrite>>, confirmation: Confirmation) {
    for write in writes {
        shared.counters.queued.fetch_sub(1, Ordering::Relaxed);
        write.send_result(match confirmation {
            Confirmation::Confirmed => WriteVerdict::Committed,
            Confirmation::Unconfirmed => WriteVerdict::Unconfirmed,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::error::{Error, Result};
    use crate::store::engine::queued_write::{Isolation, WithdrawableWrite};
    use crate::store::engine::snapshot::Tx;

    /// A replica whose answers the test sets.
    #[derive(Default)]
    struct SimulatedReplica {
        is_absent: AtomicBool,
    }

    impl LogReplicator for SimulatedReplica {
        fn is_running(&self) -> bool {
            true
        }

        fn run_checkpoint(&self, _: Duration) {}

        fn confirm(&self, _: Duration) -> bool {
            !self.is_absent.load(Ordering::SeqCst)
        }

        fn detach(&self, _: Duration) -> bool {
            true
        }

        fn attach(&self, _: Duration) {}
    }

    struct ReportedWrite(mpsc::Sender<Result<()>>);

    struct NoTicket;

    impl WithdrawableWrite for NoTicket {
        fn withdraw(&self) {}
    }

    impl QueuedWrite for ReportedWrite {
        fn isolation(&self) -> Isolation {
            Isolation::None
        }

        fn request(&self) -> Option<&str> {
            None
        }

        fn ticket(&self) -> Arc<dyn WithdrawableWrite> {
            Arc::new(NoTicket)
        }

        fn run(&mut self, _: &Tx<'_>) -> bool {
            true
        }

        fn send_result(self: Box<Self>, verdict: WriteVerdict) {
            let result = match verdict {
                WriteVerdict::Committed => Ok(()),
                _ => Err(Error::new(crate::error::Reason::NotReplicated)),
            };
            self.0.send(result).unwrap();
        }
    }

    fn start() -> (Arc<SimulatedReplica>, Arc<Confirmer>, JoinHandle<()>) {
        let replica = Arc::new(SimulatedReplica::default());
        let confirmer = Arc::new(Confirmer::new(Arc::clone(&replica) as Arc<dyn LogReplicator>));
        let running = Arc::clone(&confirmer);
        let thread = thread::spawn(move || {
            running.run(|writes, confirmation| {
                for write in writes {
                    write.send_result(match confirmation {
                        Confirmation::Confirmed => WriteVerdict::Committed,
                        Confirmation::Unconfirmed => WriteVerdict::Unconfirmed,
                    });
                }
            });
        });
        (replica, confirmer, thread)
    }

    fn push_write(confirmer: &Confirmer) -> mpsc::Receiver<Result<()>> {
        let (sender, receiver) = mpsc::channel();
        confirmer.push(vec![Box::new(ReportedWrite(sender))]);
        receiver
    }

    #[test]
    fn a_batch_that_is_not_confirmed_is_an_error_in_time_and_writes_are_refused_until_the_replica_answers() {
        let (replica, confirmer, thread) = start();
        push_write(&confirmer).recv().unwrap().unwrap();
        replica.is_absent.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        push_write(&confirmer).recv().unwrap().unwrap_err();
        assert!(begun.elapsed() >= CONFIRMATION_MAX && begun.elapsed() < CONFIRMATION_MAX * 2);
        assert!(confirmer.is_refusing());
        replica.is_absent.store(false, Ordering::SeqCst);
        let begun = Instant::now();
        while confirmer.is_refusing() {
            assert!(begun.elapsed() < CONFIRMATION_MAX, "writes are accepted again without a new one");
            thread::sleep(TIMEOUT_MIN);
        }
        push_write(&confirmer).recv().unwrap().unwrap();
        confirmer.finish();
        thread.join().unwrap();
    }

    #[test]
    fn a_short_fault_is_no_error_and_the_last_results_are_sent_at_the_end() {
        let (replica, confirmer, thread) = start();
        replica.is_absent.store(true, Ordering::SeqCst);
        let first = push_write(&confirmer);
        thread::sleep(Duration::from_millis(200));
        let second = push_write(&confirmer);
        replica.is_absent.store(false, Ordering::SeqCst);
        first.recv().unwrap().unwrap();
        second.recv().unwrap().unwrap();
        replica.is_absent.store(true, Ordering::SeqCst);
        let last = push_write(&confirmer);
        confirmer.finish();
        thread.join().unwrap();
        last.recv().unwrap().unwrap_err();
    }
}
