//! The queue between the callers and the writer thread: a fair queue with a lock, what is known about its age, and the end
//! of writes that wait too long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::store::engine::fair_queue::FairQueue;
use crate::store::engine::owner::WorkOwner;
use crate::store::engine::queued_write::{QueuedWrite, WithdrawableWrite};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// How long a caller waits for its write in any case.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// A write that has waited for longer ends when the writer makes no progress for this time.
const PROGRESS_MAX: Duration = Duration::from_secs(1);

/// A write that left the queue.
pub(crate) struct DueWrite {
    pub(crate) owner: WorkOwner,
    pub(crate) write: Box<dyn QueuedWrite>,
}

/// The time that a job has used.
#[derive(Clone, Copy)]
pub(crate) struct UsedTime {
    pub(crate) owner: WorkOwner,
    pub(crate) micros: u64,
}

/// Why a write was not queued.
pub(crate) enum PushError {
    /// The owner has used up its share.
    Full,
    /// The writer thread has ended.
    Ended,
}

struct WaitingWrite {
    queued_at: Instant,
    write: Box<dyn QueuedWrite>,
}

/// A write of the running batch.
struct RunningWrite {
    queued_at: Instant,
    ticket: Arc<dyn WithdrawableWrite>,
}

struct QueueState {
    lanes: FairQueue<WaitingWrite>,
    running: Vec<RunningWrite>,
    /// Whether the writer waits for a write.
    is_idle: bool,
    is_closing: bool,
    has_ended: bool,
}

pub(crate) struct WriteQueue {
    state: Mutex<QueueState>,
    arrived: Condvar,
    progress: ProgressClock,
}

/// Since when the writer has made no progress. It changes only with the lock of the queue, and is read without it.
struct ProgressClock {
    base: Instant,
    /// Microseconds since `base`, [`ProgressClock::NO_WORK`] if no write waits or runs.
    since: AtomicU64,
}

impl ProgressClock {
    const NO_WORK: u64 = u64::MAX;

    fn new() -> Self {
        Self { base: clock::read_instant(), since: AtomicU64::new(Self::NO_WORK) }
    }

    /// Records that the first write waits.
    fn start_work(&self, at: Instant) {
        if self.since.load(Ordering::Relaxed) == Self::NO_WORK {
            self.since.store(self.micros_at(at), Ordering::Relaxed);
        }
    }

    /// Records a completed job or batch.
    fn record_progress(&self, has_work: bool) {
        let since = if has_work { self.micros_at(clock::read_instant()) } else { Self::NO_WORK };
        self.since.store(since, Ordering::Relaxed);
    }

    fn stalled_for(&self) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            Self::NO_WORK => Duration::ZERO,
            since => Duration::from_micros(self.micros_at(clock::read_instant()).saturating_sub(since)),
        }
    }

    fn micros_at(&self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.base).as_micros()).unwrap_or(Self::NO_WORK - 1)
    }
}

impl WriteQueue {
    pub(crate) fn new(capacity: usize) -> Self {
        let state = QueueState {
            lanes: FairQueue::new(capacity),
            running: Vec::new(),
            is_idle: false,
            is_closing: false,
            has_ended: false,
        };
        Self { state: Mutex::new(state), arrived: Condvar::new(), progress: ProgressClock::new() }
    }

    pub(crate) fn push(&self, owner: WorkOwner, write: Box<dyn QueuedWrite>) -> Result<(), PushError> {
        let queued_at = clock::read_instant();
        let mut state = self.lock();
        if state.has_ended {
            return Err(PushError::Ended);
        }
        state.lanes.push(owner, WaitingWrite { queued_at, write }).map_err(|_| PushError::Full)?;
        self.progress.start_work(queued_at);
        let wake = state.is_idle;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Returns the next write, or `None` if there is none before `until`. Adds the time of the last job to its owner.
    pub(crate) fn pop(&self, used: Option<UsedTime>, until: Option<Instant>) -> Option<DueWrite> {
        let mut state = self.lock();
        if let Some(used) = used {
            state.lanes.charge(used.owner, used.micros);
        }
        // This is called after a job of the batch. The simulation also asks whether there is a first one.
        self.progress.record_progress(!(state.running.is_empty() && state.lanes.is_empty()));
        loop {
            if let Some(due) = state.take_next() {
                return Some(due);
            }
            let left = until?.checked_duration_since(clock::read_instant())?;
            if state.is_closing {
                return None;
            }
            state = self.wait(state, Some(left));
        }
    }

    /// Waits for the first write of a batch. Returns it, and whether the queue was empty before. `None` once the store is
    /// closing and the queue is empty: then no write is accepted any more.
    pub(crate) fn wait_for_first(&self) -> Option<(DueWrite, bool)> {
        let mut state = self.lock();
        let mut has_waited = false;
        loop {
            if let Some(due) = state.take_next() {
                return Some((due, has_waited));
            }
            if state.is_closing {
                state.has_ended = true;
                return None;
            }
            has_waited = true;
            state = self.wait(state, None);
        }
    }

    /// Records the end of a batch, and adds the time of its last job to its owner. A batch that failed as a whole is no
    /// progress.
    pub(crate) fn complete_batch(&self, used: Option<UsedTime>, has_failed: bool) {
        let mut state = self.lock();
        if let Some(used) = used {
            state.lanes.charge(used.owner, used.micros);
        }
        state.running.clear();
        // The writes that wait have not waited for the failed batch alone.
        if !has_failed || state.lanes.is_empty() {
            self.progress.record_progress(!state.lanes.is_empty());
        }
    }

    /// Makes the writer end when the queue is empty.
    pub(crate) fn close(&self) {
        self.lock().is_closing = true;
        self.arrived.notify_all();
    }

    /// Rejects writes from now on, and drops the queued ones.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        state.running.clear();
        self.progress.record_progress(false);
        let dropped = state.lanes.clear();
        // Dropping a write wakes its caller.
        drop(state);
        drop(dropped);
    }

    /// Whether the writer thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    /// How long the oldest write has waited for its result.
    pub(crate) fn oldest_age(&self) -> Duration {
        self.lock().oldest().map_or(Duration::ZERO, |oldest| clock::read_instant().saturating_duration_since(oldest))
    }

    /// How long the writer has made no progress although a write waits. Unlike the age of the oldest write, it does not
    /// grow because one owner has queued a lot of work.
    pub(crate) fn stalled_for(&self) -> Duration {
        self.progress.stalled_for()
    }

    /// Ends the writes that have waited too long, if the writer makes no progress. Returns when the next one is due.
    pub(crate) fn withdraw_overdue(&self) -> Option<Duration> {
        let stalled_for = self.stalled_for();
        if stalled_for < PROGRESS_MAX {
            return None;
        }
        let state = self.lock();
        let waiting = state.lanes.items().map(|waiting| (waiting.queued_at, waiting.write.ticket()));
        let running = state.running.iter().map(|running| (running.queued_at, Arc::clone(&running.ticket)));
        let writes: Vec<_> = waiting.chain(running).collect();
        drop(state);
        let (mut next, now) = (None, clock::read_instant());
        for (queued_at, ticket) in writes {
            let left = WRITE_DEADLINE.saturating_sub(now.saturating_duration_since(queued_at));
            if left.is_zero() {
                ticket.withdraw();
            } else {
                next = Some(next.map_or(left, |next: Duration| next.min(left)));
            }
        }
        next
    }

    fn wait<'q>(&self, mut state: MutexGuard<'q, QueueState>, limit: Option<Duration>) -> MutexGuard<'q, QueueState> {
        state.is_idle = true;
        let mut state = match limit {
            Some(limit) => self.arrived.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0,
            None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.is_idle = false;
        state
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn take_next(&mut self) -> Option<DueWrite> {
        let (owner, WaitingWrite { queued_at, write }) = self.lanes.pop()?;
        self.running.push(RunningWrite { queued_at, ticket: write.ticket() });
        Some(DueWrite { owner, write })
    }

    fn oldest(&self) -> Option<Instant> {
        self.lanes
            .list_heads()
            .map(|head| head.queued_at)
            .chain(self.running.iter().map(|running| running.queued_at))
            .min()
    }
}
