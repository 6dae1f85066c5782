//! The writer thread: takes what is queued, runs it in one transaction, commits once, and then answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::failure::Seen;
use super::snapshot::Tx;
use super::writer::{Job, Message, Undo, Verdict};
use super::{Shared, db};
use crate::clock::{self, Millis};
use crate::error::Error;
use crate::log;

/// Writes in one transaction: bounds how long the first of them waits for the last.
const BATCH_MAX: usize = 256;
/// Above this mean, a commit costs enough to wait a little for company.
const SLOW_COMMIT: Duration = Duration::from_micros(500);
/// The longest wait for company.
const HOLD_MAX: Duration = Duration::from_micros(500);
/// What one commit can add to the mean, so that a checkpoint in a commit does not make a fast disk look slow.
const COMMIT_COUNTED_MAX: Duration = Duration::from_millis(4);
/// The mean runs over about this many commits.
const MEAN_OVER: u32 = 16;
/// How long the last checkpoint may wait for readers.
const LAST_CHECKPOINT_WAIT: Duration = Duration::from_millis(500);

pub(super) struct WriterThread {
    queue: Receiver<Message>,
    /// None after the disk failed under it, until it could be opened again.
    connection: Option<Connection>,
    shared: Arc<Shared>,
    mean_commit: Duration,
    /// The time of the last write; time does not run back.
    latest: Millis,
    /// Whether callers write at the same time: alone, nobody waits for company.
    crowded: bool,
}

/// What became of one write inside the batch.
enum Ran {
    /// Its changes are in the transaction, or none of them are.
    Cleanly,
    /// The transaction cannot be committed with what it left.
    Broken,
}

/// What became of a transaction.
enum Fate {
    Committed,
    /// Rolled back by the last write of the batch, which keeps its own error; the others may be repeated.
    Spoilt,
    /// Rolled back, or of unknown outcome, for a reason of the database.
    Failed(Failure),
}

#[derive(Clone, Copy)]
enum Failure {
    Busy,
    DiskFull,
    Unusable,
}

impl Failure {
    fn error(self) -> Error {
        match self {
            Self::Busy => Error::Busy,
            Self::DiskFull => Error::DiskFull,
            Self::Unusable => Error::Database("the transaction could not be committed".into()),
        }
    }
}

impl WriterThread {
    pub(super) fn new(queue: Receiver<Message>, connection: Connection, shared: Arc<Shared>) -> Self {
        Self {
            queue,
            connection: Some(connection),
            shared,
            mean_commit: Duration::ZERO,
            latest: Millis::MIN,
            crowded: false,
        }
    }

    pub(super) fn run(mut self) {
        while let Some(first) = self.next_batch() {
            let mut batch = Vec::with_capacity(8);
            let fate = self.run_batch(first, &mut batch);
            self.crowded = batch.len() > 1;
            self.shared.counters.queued.fetch_sub(batch.len() as u64, Ordering::Relaxed);
            answer(batch, &fate);
        }
        self.finish();
    }

    /// The first write of the next batch; none once the store is closing and the queue is empty.
    fn next_batch(&mut self) -> Option<Box<dyn Job>> {
        loop {
            match self.queue.try_recv() {
                Ok(Message::Write(job)) => {
                    // It waited for the last commit: somebody else writes too.
                    self.crowded = true;
                    return Some(job);
                }
                Ok(Message::Stop) => {}
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.shared.closing.load(Ordering::SeqCst) => {
                    return None;
                }
                Err(TryRecvError::Empty) => match self.queue.recv() {
                    Ok(Message::Write(job)) => return Some(job),
                    Ok(Message::Stop) => {}
                    Err(_) => return None,
                },
            }
        }
    }

    /// Runs one transaction. Every write it took from the queue is in `batch` afterwards.
    fn run_batch(&mut self, first: Box<dyn Job>, batch: &mut Vec<Box<dyn Job>>) -> Fate {
        Seen::take();
        batch.push(first);
        if self.shared.is_corrupt() {
            return Fate::Failed(Failure::Unusable);
        }
        let opened = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => db::writer(&self.shared.files),
        };
        let result = opened.and_then(|connection| {
            let begun = execute(&connection, "BEGIN IMMEDIATE");
            let fate = begun.and_then(|()| self.fill_and_commit(&connection, batch));
            if !connection.is_autocommit() {
                // What cannot be rolled back is rolled back by closing the connection.
                if execute(&connection, "ROLLBACK").is_err() {
                    return fate;
                }
            }
            self.connection = Some(connection);
            fate
        });
        let fate = result.unwrap_or_else(|error| log::within(requests(batch), || Fate::Failed(failure(error))));
        let seen = Seen::take();
        if seen.is_grave() {
            log::within(requests(batch), || self.heed(seen));
        }
        fate
    }

    fn fill_and_commit(&mut self, connection: &Connection, batch: &mut Vec<Box<dyn Job>>) -> rusqlite::Result<Fate> {
        let changes = connection.total_changes();
        let hold_until = self.hold_until();
        let mut has_events = false;
        let mut next = 0;
        while let Some(job) = batch.get_mut(next) {
            self.latest = self.latest.max(clock::now());
            let tx = Tx::new(connection, self.latest);
            if matches!(run_job(&tx, connection, job.as_mut())?, Ran::Broken) {
                return Ok(Fate::Spoilt);
            }
            has_events |= tx.has_events();
            // Whatever the write made of the error: on such a disk nothing is committed.
            if Seen::peek().is_grave() {
                return Ok(Fate::Failed(Failure::Unusable));
            }
            next += 1;
            if next < BATCH_MAX {
                batch.extend(self.company(hold_until));
            }
        }
        let start = Instant::now();
        execute(connection, "COMMIT")?;
        if connection.total_changes() != changes {
            self.count_commit(start.elapsed(), batch);
        }
        if has_events {
            self.shared.events.send_modify(|count| *count += 1);
        }
        Ok(Fate::Committed)
    }

    /// Until when the batch is held open for more writes; none where a commit is cheap or nobody else writes.
    fn hold_until(&self) -> Option<Instant> {
        let worth_it = self.crowded && self.mean_commit > SLOW_COMMIT;
        worth_it.then(|| Instant::now() + (self.mean_commit / 4).min(HOLD_MAX))
    }

    /// One more write for the batch: one that is queued, or one that comes while the batch is held open.
    fn company(&self, hold_until: Option<Instant>) -> Option<Box<dyn Job>> {
        match self.queue.try_recv() {
            Ok(Message::Write(job)) => return Some(job),
            Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        let left = hold_until?.checked_duration_since(Instant::now())?;
        match self.queue.recv_timeout(left) {
            Ok(Message::Write(job)) => Some(job),
            Ok(Message::Stop) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    fn count_commit(&mut self, took: Duration, batch: &[Box<dyn Job>]) {
        let counters = &self.shared.counters;
        counters.batches.observe(batch.len() as u64);
        counters.commits.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let counted = took.min(COMMIT_COUNTED_MAX);
        self.mean_commit = (self.mean_commit * (MEAN_OVER - 1) + counted) / MEAN_OVER;
        if took > Duration::from_secs(1) {
            log::within(requests(batch), || tracing::warn!(took_ms = took.as_millis(), "a commit was slow"));
        }
    }

    /// After corruption nothing is written any more. After an I/O error the connection is opened anew: what it holds in
    /// memory may be what the disk lost.
    fn heed(&mut self, seen: Seen) {
        if seen.corruption {
            self.shared.note_corruption("found while writing");
        }
        if seen.io_failure {
            tracing::error!(
                database = %self.shared.files.database.display(),
                "the disk failed while writing; the database is opened anew"
            );
            self.connection = None;
        }
    }

    /// Folds the log into the file, so that what is left is one file.
    fn finish(mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let folded = connection
            .busy_timeout(LAST_CHECKPOINT_WAIT)
            .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = folded {
            tracing::warn!(%error, "the log could not be folded into the database; the next start does it");
        }
    }
}

/// Runs one write in the open transaction. An error is the database's, about the savepoint itself.
fn run_job(tx: &Tx<'_>, connection: &Connection, job: &mut dyn Job) -> rusqlite::Result<Ran> {
    let savepoint = job.undo() == Undo::Savepoint;
    if savepoint {
        execute(connection, "SAVEPOINT job")?;
    }
    let changes = connection.total_changes();
    let succeeded = job.run(tx);
    // On a full disk and the like, SQLite gives the whole transaction up by itself.
    if connection.is_autocommit() {
        return Ok(Ran::Broken);
    }
    if savepoint {
        if !succeeded {
            execute(connection, "ROLLBACK TO job")?;
        }
        execute(connection, "RELEASE job")?;
        return Ok(Ran::Cleanly);
    }
    let left_something = !succeeded && connection.total_changes() != changes;
    Ok(if left_something { Ran::Broken } else { Ran::Cleanly })
}

/// Answers every write of a batch.
fn answer(batch: Vec<Box<dyn Job>>, fate: &Fate) {
    let last = batch.len().saturating_sub(1);
    for (at, job) in batch.into_iter().enumerate() {
        job.answer(match fate {
            Fate::Committed => Verdict::Stands,
            Fate::Spoilt if at == last => Verdict::Guilty(Failure::Unusable.error()),
            Fate::Spoilt => Verdict::Void(Error::Busy),
            Fate::Failed(failure) => Verdict::Void(failure.error()),
        });
    }
}

/// The requests that wait for a batch, for a line that is about all of them.
fn requests(batch: &[Box<dyn Job>]) -> Option<Arc<str>> {
    let ids: Vec<&str> = batch.iter().filter_map(|job| job.request()).collect();
    (!ids.is_empty()).then(|| ids.join(",").into())
}

fn failure(error: rusqlite::Error) -> Failure {
    let text = error.to_string();
    match Error::from(error) {
        Error::DiskFull => Failure::DiskFull,
        Error::Busy => Failure::Busy,
        _ => {
            tracing::error!(error = text, "a transaction failed");
            Failure::Unusable
        }
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
