//! The queue between the callers and the writer thread: a fair queue with a lock, and what is known about its age.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::engine::fair_queue::FairQueue;
use crate::store::engine::owner::WorkOwner;
use crate::store::engine::queued_write::QueuedWrite;

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

struct QueueState {
    lanes: FairQueue<WaitingWrite>,
    /// When the oldest write of the running batch was queued.
    running_since: Option<Instant>,
    /// When the writer last completed a job or a batch.
    progress_at: Instant,
    /// Whether the writer waits for a write.
    is_idle: bool,
    is_closing: bool,
    has_ended: bool,
}

pub(crate) struct WriteQueue {
    state: Mutex<QueueState>,
    arrived: Condvar,
}

impl WriteQueue {
    pub(crate) fn new(capacity: usize) -> Self {
        let state = QueueState {
            lanes: FairQueue::new(capacity),
            running_since: None,
            progress_at: Instant::now(),
            is_idle: false,
            is_closing: false,
            has_ended: false,
        };
        Self { state: Mutex::new(state), arrived: Condvar::new() }
    }

    pub(crate) fn push(&self, owner: WorkOwner, write: Box<dyn QueuedWrite>) -> Result<(), PushError> {
        let queued_at = Instant::now();
        let mut state = self.lock();
        if state.has_ended {
            return Err(PushError::Ended);
        }
        state.lanes.push(owner, WaitingWrite { queued_at, write }).map_err(|_| PushError::Full)?;
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
        // This is called after a job of the batch.
        state.progress_at = Instant::now();
        loop {
            if let Some(due) = state.take_next() {
                return Some(due);
            }
            let left = until?.checked_duration_since(Instant::now())?;
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
        state.running_since = None;
        if !has_failed {
            state.progress_at = Instant::now();
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
        state.running_since = None;
        let dropped = state.lanes.clear();
        // Dropping a write wakes its caller.
        drop(state);
        drop(dropped);
    }

    /// How long the oldest write has waited for its result.
    pub(crate) fn oldest_age(&self) -> Duration {
        self.lock().oldest().map_or(Duration::ZERO, |oldest| oldest.elapsed())
    }

    /// How long the writer has made no progress although a write waits. Unlike the age of the oldest write, it does not
    /// grow because one owner has queued a lot of work.
    pub(crate) fn stalled_for(&self) -> Duration {
        let state = self.lock();
        state.oldest().map_or(Duration::ZERO, |oldest| oldest.max(state.progress_at).elapsed())
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
        self.running_since = Some(self.running_since.map_or(queued_at, |since| since.min(queued_at)));
        Some(DueWrite { owner, write })
    }

    fn oldest(&self) -> Option<Instant> {
        self.lanes.list_heads().map(|head| head.queued_at).chain(self.running_since).min()
    }
}
