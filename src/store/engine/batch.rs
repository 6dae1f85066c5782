//! The writer thread: runs queued writes in one transaction, commits once, and then returns the results.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::clock::{self, Millis};
use crate::error::{Error, Reason};
use crate::log;
use crate::store::SharedState;
use crate::store::engine::connection;
use crate::store::engine::snapshot::Tx;
use crate::store::engine::sqlite_errors::ObservedFailures;

/// Maximum writes per transaction. Bounds how long the first write waits for the last.
const BATCH_MAX: usize = 256;
/// If the mean commit time is above this value, it pays to wait a short time for more writes.
const SLOW_COMMIT: Duration = Duration::from_micros(500);
/// Maximum time to wait for more writes.
const HOLD_MAX: Duration = Duration::from_micros(500);
/// Upper bound of one commit's contribution to the mean, so that a checkpoint does not make a fast disk look slow.
const COMMIT_COUNTED_MAX: Duration = Duration::from_millis(4);
/// Number of commits that the mean covers, approximately.
const MEAN_WINDOW: u32 = 16;
/// How long the final checkpoint may wait for readers.
const LAST_CHECKPOINT_WAIT: Duration = Duration::from_millis(500);

/// How a failing write is isolated from the other writes of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// The write runs in its own savepoint. Required if a statement can fail after another one has written.
    Savepoint,
    /// No savepoint: only the first writing statement can fail, so there is nothing to roll back. Saves a third of the
    /// cost of an insert. If the write fails later, the whole batch is rolled back and its other writes return `Unavailable`.
    None,
}

/// A queued write: runs in the transaction and returns its result after the commit.
pub(crate) trait QueuedWrite: Send {
    fn isolation(&self) -> Isolation;
    /// The id of the request that the write belongs to.
    fn request(&self) -> Option<&str>;
    /// Runs the write and stores its result. Returns true if it succeeded. Does not panic.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Sends the result to the caller, as the verdict defines.
    fn send_result(self: Box<Self>, verdict: WriteVerdict);
}

/// How the outcome of the transaction affects the result of a write.
pub(crate) enum WriteVerdict {
    /// Committed: the stored result is valid.
    Committed,
    /// Rolled back: the stored result is invalid, even an error, which may depend on another write of the batch.
    RolledBack(Error),
    /// Rolled back because of this write: returns its own error, or this one if it has none.
    Failed(Error),
}

pub(crate) enum WriterMessage {
    Write(Box<dyn QueuedWrite>),
    /// Wakes the thread, so that it checks whether the store is closing.
    Stop,
}

pub(crate) struct WriterThread {
    queue: Receiver<WriterMessage>,
    /// `None` after a disk failure, until the database is opened again.
    connection: Option<Connection>,
    shared: Arc<SharedState>,
    mean_commit: Duration,
    /// The time of the last write. Times never decrease.
    latest_time: Millis,
    /// Whether writes arrive concurrently. A single caller does not wait for more writes.
    has_concurrent_writes: bool,
}

/// The outcome of one write inside the batch.
enum WriteOutcome {
    /// All of its changes are in the transaction, or none.
    Clean,
    /// It left partial changes, so the transaction cannot be committed.
    Broken,
}

/// The outcome of a transaction.
enum BatchOutcome {
    Committed,
    /// Rolled back because of the last write of the batch, which returns its own error. The other writes can be
    /// repeated.
    Aborted,
    /// Rolled back, or outcome unknown, because of a database error.
    Failed(BatchFailure),
}

#[derive(Clone, Copy)]
enum BatchFailure {
    Busy,
    DiskFull,
    Unusable,
}

impl BatchFailure {
    fn to_error(self) -> Error {
        match self {
            Self::Busy => Error::new(Reason::ServerBusy),
            Self::DiskFull => Error::new(Reason::DiskFull),
            Self::Unusable => Error::database("the transaction could not be committed"),
        }
    }
}

impl WriterThread {
    pub(crate) fn new(queue: Receiver<WriterMessage>, connection: Connection, shared: Arc<SharedState>) -> Self {
        Self {
            queue,
            connection: Some(connection),
            shared,
            mean_commit: Duration::ZERO,
            latest_time: Millis::MIN,
            has_concurrent_writes: false,
        }
    }

    pub(crate) fn run(mut self) {
        while let Some(first) = self.next_batch() {
            let mut batch = Vec::with_capacity(8);
            let outcome = self.run_batch(first, &mut batch);
            self.has_concurrent_writes = batch.len() > 1;
            self.shared.counters.queued.fetch_sub(batch.len() as u64, Ordering::Relaxed);
            return_results(batch, &outcome);
        }
        self.checkpoint_and_close();
    }

    /// Returns the first write of the next batch, or `None` when the store is closing and the queue is empty.
    fn next_batch(&mut self) -> Option<Box<dyn QueuedWrite>> {
        loop {
            match self.queue.try_recv() {
                Ok(WriterMessage::Write(job)) => {
                    // It waited for the last commit, so there are concurrent writes.
                    self.has_concurrent_writes = true;
                    return Some(job);
                }
                Ok(WriterMessage::Stop) => {}
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.shared.closing.load(Ordering::SeqCst) => {
                    return None;
                }
                Err(TryRecvError::Empty) => match self.queue.recv() {
                    Ok(WriterMessage::Write(job)) => return Some(job),
                    Ok(WriterMessage::Stop) => {}
                    Err(_) => return None,
                },
            }
        }
    }

    /// Runs one transaction. Afterwards `batch` contains every write that was received from the queue.
    fn run_batch(&mut self, first: Box<dyn QueuedWrite>, batch: &mut Vec<Box<dyn QueuedWrite>>) -> BatchOutcome {
        ObservedFailures::take_observed();
        batch.push(first);
        if self.shared.is_corrupt() {
            return BatchOutcome::Failed(BatchFailure::Unusable);
        }
        let opened = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => connection::connect_writer(&self.shared.files),
        };
        let result = opened.and_then(|connection| {
            let begun = execute_statement(&connection, "BEGIN IMMEDIATE");
            let outcome = begun.and_then(|()| self.fill_and_commit(&connection, batch));
            if !connection.is_autocommit() {
                // If the rollback fails, closing the connection rolls back.
                if execute_statement(&connection, "ROLLBACK").is_err() {
                    return outcome;
                }
            }
            self.connection = Some(connection);
            outcome
        });
        let outcome = result.unwrap_or_else(|error| {
            log::resume_request(collect_request_ids(batch), || BatchOutcome::Failed(classify_error(error)))
        });
        let observed = ObservedFailures::take_observed();
        if observed.is_severe() {
            log::resume_request(collect_request_ids(batch), || self.handle_failure(observed));
        }
        outcome
    }

    fn fill_and_commit(
        &mut self,
        connection: &Connection,
        batch: &mut Vec<Box<dyn QueuedWrite>>,
    ) -> rusqlite::Result<BatchOutcome> {
        let changes = connection.total_changes();
        let hold_until = self.hold_deadline();
        let mut has_events = false;
        let mut next = 0;
        while let Some(job) = batch.get_mut(next) {
            self.latest_time = self.latest_time.max(clock::current_millis());
            let tx = Tx::new(connection, self.latest_time);
            if matches!(run_job(&tx, connection, job.as_mut())?, WriteOutcome::Broken) {
                return Ok(BatchOutcome::Aborted);
            }
            has_events |= tx.has_events();
            // Nothing is committed after a disk failure, even if the write itself ignored the error.
            if ObservedFailures::current().is_severe() {
                return Ok(BatchOutcome::Failed(BatchFailure::Unusable));
            }
            next += 1;
            if next < BATCH_MAX {
                batch.extend(self.next_for_batch(hold_until));
            }
        }
        let start = Instant::now();
        execute_statement(connection, "COMMIT")?;
        if connection.total_changes() != changes {
            self.record_commit(start.elapsed(), batch);
        }
        if has_events {
            self.shared.events.send_modify(|count| *count += 1);
        }
        Ok(BatchOutcome::Committed)
    }

    /// Until when the batch waits for more writes. `None` if commits are fast or there are no concurrent writes.
    fn hold_deadline(&self) -> Option<Instant> {
        let worth_it = self.has_concurrent_writes && self.mean_commit > SLOW_COMMIT;
        worth_it.then(|| Instant::now() + (self.mean_commit / 4).min(HOLD_MAX))
    }

    /// Returns one more write for the batch: a queued one, or one that arrives before `hold_until`.
    fn next_for_batch(&self, hold_until: Option<Instant>) -> Option<Box<dyn QueuedWrite>> {
        match self.queue.try_recv() {
            Ok(WriterMessage::Write(job)) => return Some(job),
            Ok(WriterMessage::Stop) | Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        let left = hold_until?.checked_duration_since(Instant::now())?;
        match self.queue.recv_timeout(left) {
            Ok(WriterMessage::Write(job)) => Some(job),
            Ok(WriterMessage::Stop) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    fn record_commit(&mut self, took: Duration, batch: &[Box<dyn QueuedWrite>]) {
        let counters = &self.shared.counters;
        counters.batches.observe(batch.len() as u64);
        counters.commits.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let counted = took.min(COMMIT_COUNTED_MAX);
        self.mean_commit = (self.mean_commit * (MEAN_WINDOW - 1) + counted) / MEAN_WINDOW;
        if took > Duration::from_secs(1) {
            log::resume_request(collect_request_ids(batch), || {
                tracing::warn!(took_ms = took.as_millis(), "a commit was slow");
            });
        }
    }

    /// Stops writes after corruption. After an I/O error, drops the connection so that the database is opened again:
    /// its cache may contain pages that the disk lost.
    fn handle_failure(&mut self, observed: ObservedFailures) {
        if observed.corruption {
            self.shared.note_corruption("found while writing");
        }
        if observed.io_failure {
            tracing::error!(
                database = %self.shared.files.database.display(),
                "the disk failed while writing; the database is opened again"
            );
            self.connection = None;
        }
    }

    /// Checkpoints the log, so that a single file is left.
    fn checkpoint_and_close(mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let checkpoint = connection
            .busy_timeout(LAST_CHECKPOINT_WAIT)
            .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = checkpoint {
            tracing::warn!(%error, "the write-ahead log could not be checkpointed; the next start does it");
        }
    }
}

/// Runs one write in the open transaction. Returns an error only if the savepoint itself fails.
fn run_job(tx: &Tx<'_>, connection: &Connection, job: &mut dyn QueuedWrite) -> rusqlite::Result<WriteOutcome> {
    let savepoint = job.isolation() == Isolation::Savepoint;
    if savepoint {
        execute_statement(connection, "SAVEPOINT job")?;
    }
    let changes = connection.total_changes();
    let succeeded = job.run(tx);
    // SQLite rolls back the whole transaction on some errors, such as a full disk.
    if connection.is_autocommit() {
        return Ok(WriteOutcome::Broken);
    }
    if savepoint {
        if !succeeded {
            execute_statement(connection, "ROLLBACK TO job")?;
        }
        execute_statement(connection, "RELEASE job")?;
        return Ok(WriteOutcome::Clean);
    }
    let has_partial_changes = !succeeded && connection.total_changes() != changes;
    Ok(if has_partial_changes { WriteOutcome::Broken } else { WriteOutcome::Clean })
}

/// Returns its result to every write of a batch.
fn return_results(batch: Vec<Box<dyn QueuedWrite>>, outcome: &BatchOutcome) {
    let last = batch.len().saturating_sub(1);
    for (at, job) in batch.into_iter().enumerate() {
        job.send_result(match outcome {
            BatchOutcome::Committed => WriteVerdict::Committed,
            BatchOutcome::Aborted if at == last => WriteVerdict::Failed(BatchFailure::Unusable.to_error()),
            BatchOutcome::Aborted => WriteVerdict::RolledBack(Error::new(Reason::ServerBusy)),
            BatchOutcome::Failed(failure) => WriteVerdict::RolledBack(failure.to_error()),
        });
    }
}

/// The ids of the requests in a batch, for a log line about all of them.
fn collect_request_ids(batch: &[Box<dyn QueuedWrite>]) -> Option<Arc<str>> {
    let ids: Vec<&str> = batch.iter().filter_map(|job| job.request()).collect();
    (!ids.is_empty()).then(|| ids.join(",").into())
}

fn classify_error(error: rusqlite::Error) -> BatchFailure {
    let text = error.to_string();
    match Error::from(error).reason() {
        Reason::DiskFull => BatchFailure::DiskFull,
        Reason::ServerBusy => BatchFailure::Busy,
        _ => {
            tracing::error!(error = text, "a transaction failed");
            BatchFailure::Unusable
        }
    }
}

fn execute_statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
