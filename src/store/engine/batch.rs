//! The writer thread: runs queued writes in one transaction, commits once, and then returns the results.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::clock::{self, Millis};
use crate::error::{Error, Reason};
use crate::log;
use crate::model::service_state::ReadOnlyCause;
use crate::store::SharedState;
use crate::store::engine::checkpointer::{self, Checkpointer, WRITER_DELAY_MAX};
use crate::store::engine::connection;
use crate::store::engine::foreign_objects;
use crate::store::engine::job_deadline::JobDeadline;
use crate::store::engine::owner::WorkOwner;
use crate::store::engine::queued_write::{Isolation, QueuedWrite, WriteVerdict};
use crate::store::engine::service::monitor::refuse_write;
use crate::store::engine::snapshot::Tx;
use crate::store::engine::sqlite_errors::ObservedFailures;
use crate::store::engine::write_queue::{DueWrite, UsedTime, WriteQueue};
use crate::store::pending::PendingRows;
use crate::store::tables::removal_windows::write_pending_windows;
use crate::store::tables::usage::write_pending_usage;

/// Maximum writes per transaction. Bounds how long the first write waits for the last.
const BATCH_MAX: usize = 256;
/// A batch accepts no more writes after this time. Bounds how long a write waits for the others of its batch.
const BATCH_TIME_MAX: Duration = Duration::from_millis(20);
/// The same for a batch with writes of more than one owner, if commits are fast: an owner with one write must not wait until
/// another one with many writes has filled the batch.
const SHARED_BATCH_TIME_MAX: Duration = Duration::from_millis(5);
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

pub(crate) struct WriterThread {
    queue: QueueEnd,
    deadline: JobDeadline,
    /// `None` after a disk failure, until the database is opened again.
    connection: Option<Connection>,
    /// `None` for commands, whose connection checkpoints by itself.
    checkpointer: Option<Checkpointer>,
    shared: Arc<SharedState>,
    mean_commit: Duration,
    /// The time of the last write. Times never decrease.
    latest_time: Millis,
    /// Whether writes arrive concurrently. A single caller does not wait for more writes.
    has_concurrent_writes: bool,
    /// The time of the last job, until it is charged to its owner.
    last_used: Option<UsedTime>,
    /// Whether the writes of the batch run again, after one of them was removed from it.
    is_repeating: bool,
    /// Whether the log may contain a transaction whose commit failed.
    has_failed_commit: bool,
    /// Whether there is more space on a full disk than the last batch found.
    has_made_space: bool,
}

/// The end of the queue that the writer holds. When the thread ends, also by a panic, queued writes get an error.
struct QueueEnd(Arc<WriteQueue>);

impl Drop for QueueEnd {
    fn drop(&mut self) {
        self.0.end();
    }
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
    /// Rolled back because of the write at this index, which returns its own error. The other writes run again.
    Aborted(usize),
    /// Rolled back, or outcome unknown, because of a database error.
    Failed(BatchFailure),
}

impl BatchOutcome {
    /// Whether nothing was changed, and the full disk can be the cause.
    fn is_rolled_back_on_full_disk(&self) -> bool {
        matches!(self, Self::Aborted(_) | Self::Failed(BatchFailure::DiskFull))
    }
}

#[derive(Clone, Copy)]
enum BatchFailure {
    Busy,
    DiskFull,
    Unusable,
    /// Not started, because the state rejects writes.
    Refused(ReadOnlyCause),
    /// The commit failed, and the log cannot be cleaned.
    Unknown,
}

impl BatchFailure {
    fn to_error(self) -> Error {
        match self {
            Self::Busy => Error::new(Reason::ServerBusy),
            Self::DiskFull => Error::new(Reason::DiskFull),
            Self::Unusable => Error::database("the transaction could not be committed"),
            Self::Refused(cause) => refuse_write(cause),
            Self::Unknown => Error::new(Reason::WriteOutcomeUnknown),
        }
    }
}

impl WriterThread {
    pub(crate) fn new(queue: Arc<WriteQueue>, connection: Connection, shared: Arc<SharedState>) -> Self {
        Self {
            queue: QueueEnd(queue),
            deadline: JobDeadline::new(),
            connection: Some(connection),
            checkpointer: None,
            shared,
            mean_commit: Duration::ZERO,
            latest_time: Millis::MIN,
            has_concurrent_writes: false,
            last_used: None,
            is_repeating: false,
            has_failed_commit: false,
            has_made_space: false,
        }
    }

    /// Lets this checkpointer run the checkpoints.
    pub(crate) fn with_checkpointer(self, checkpointer: Checkpointer) -> Self {
        Self { checkpointer: Some(checkpointer), ..self }
    }

    /// Prepares a new connection for the jobs.
    fn watch_connection(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.checkpointer.is_some() {
            checkpointer::observe_commits(connection);
        }
        self.deadline.watch(connection)
    }

    pub(crate) fn watch_first_connection(&self) {
        if let Some(connection) = &self.connection
            && let Err(error) = self.watch_connection(connection)
        {
            tracing::error!(%error, "writes have no time limit");
        }
    }

    pub(crate) fn run(mut self) {
        self.watch_first_connection();
        while let Some((first, has_waited)) = self.queue.0.wait_for_first() {
            self.run_first(first, has_waited);
        }
        if let Some(confirmer) = self.shared.confirmer.get() {
            confirmer.finish();
        }
        self.checkpoint_and_close();
    }

    /// Runs one batch of the writes that are queued now. Returns false if there are none.
    #[cfg(feature = "simulation")]
    pub(crate) fn run_queued(&mut self) -> bool {
        // No write arrives while a batch runs, so it waits for none.
        self.has_concurrent_writes = false;
        let first = self.queue.0.pop(None, None);
        first.map(|first| self.run_first(first, true)).is_some()
    }

    /// The connection of the next batch, unless the disk failed in the last one.
    #[cfg(feature = "simulation")]
    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Runs a batch that begins with this write, and sends the results.
    fn run_first(&mut self, first: DueWrite, has_waited: bool) {
        // A write that did not wait for the writer waited for the last commit, so there are concurrent writes.
        self.has_concurrent_writes |= !has_waited;
        let mut batch = vec![first];
        self.is_repeating = false;
        let mut outcome = self.run_batch(&mut batch);
        self.has_concurrent_writes = batch.len() > 1;
        self.is_repeating = true;
        // The writes that free space run again, with the new space. The others are refused now.
        if std::mem::take(&mut self.has_made_space) && outcome.is_rolled_back_on_full_disk() {
            outcome = self.run_batch(&mut batch);
        }
        while let BatchOutcome::Aborted(failed) = outcome {
            let failure = BatchFailure::Unusable.to_error();
            self.send_result(batch.remove(failed), WriteVerdict::Failed(failure));
            if batch.is_empty() {
                break;
            }
            outcome = self.run_batch(&mut batch);
        }
        self.queue.0.complete_batch(self.last_used.take(), matches!(outcome, BatchOutcome::Failed(_)));
        if matches!(outcome, BatchOutcome::Committed) {
            batch = self.leave_to_confirmer(batch);
        }
        for due in batch {
            let verdict = match &outcome {
                BatchOutcome::Failed(failure) => WriteVerdict::RolledBack(failure.to_error()),
                BatchOutcome::Committed | BatchOutcome::Aborted(_) => WriteVerdict::Committed,
            };
            self.send_result(due, verdict);
        }
    }

    /// Leaves the results of a committed batch to the part that waits for the replica, if the server acknowledges only then. Returns
    /// those that do not wait: no caller sees the results of background work. A write that changed nothing waits too: it may have seen a
    /// change that is not in the replica yet.
    fn leave_to_confirmer(&self, batch: Vec<DueWrite>) -> Vec<DueWrite> {
        let Some(confirmer) = self.shared.confirmer.get() else { return batch };
        let (background, waiting): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|due| due.owner == WorkOwner::Background);
        if !waiting.is_empty() {
            confirmer.push(waiting.into_iter().map(|due| due.write).collect());
        }
        background
    }

    fn send_result(&self, due: DueWrite, verdict: WriteVerdict) {
        self.shared.counters.queued.fetch_sub(1, Ordering::Relaxed);
        due.write.send_result(verdict);
    }

    /// Runs the writes of `batch` and further ones of the queue in one transaction. Afterwards `batch` contains every
    /// write that was received.
    fn run_batch(&mut self, batch: &mut Vec<DueWrite>) -> BatchOutcome {
        ObservedFailures::take_observed();
        self.shared.service.refresh_space(&self.shared.files);
        self.shared.look_for_truncation();
        // A stall has ended when the writer runs.
        if let Some(cause) = self.shared.find_refusal().filter(|cause| *cause != ReadOnlyCause::Stalled) {
            return BatchOutcome::Failed(BatchFailure::Refused(cause));
        }
        if self.has_failed_commit && !self.overwrite_failed_commit() && !self.overwrite_with_space() {
            let is_full = self.shared.service.is_exhausted();
            return BatchOutcome::Failed(if is_full { BatchFailure::DiskFull } else { BatchFailure::Unusable });
        }
        let opened = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.connect(),
        };
        self.shared.log.wait_for_restart();
        let result = opened.and_then(|connection| {
            let begun = execute_statement(&connection, "BEGIN IMMEDIATE");
            let outcome = begun.and_then(|()| self.fill_and_commit(&connection, batch));
            if !connection.is_autocommit() {
                // If the rollback fails, closing the connection rolls back.
                if execute_statement(&connection, "ROLLBACK").is_err() && !self.has_failed_commit {
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
        // Without space, SQLite also reports other errors, such as one of the index of the log.
        let is_unusable = matches!(outcome, BatchOutcome::Failed(BatchFailure::Unusable)) && !observed.corruption;
        let is_full = observed.disk_full || is_unusable && self.shared.service.is_exhausted();
        if is_full {
            self.has_made_space = self.make_space();
        }
        let outcome = if self.has_failed_commit && !self.overwrite_failed_commit() && !is_full {
            BatchOutcome::Failed(BatchFailure::Unknown)
        } else if is_full && is_unusable {
            BatchOutcome::Failed(BatchFailure::DiskFull)
        } else {
            outcome
        };
        if observed.is_severe() {
            log::resume_request(collect_request_ids(batch), || self.handle_failure(observed));
        }
        outcome
    }

    fn fill_and_commit(
        &mut self,
        connection: &Connection,
        batch: &mut Vec<DueWrite>,
    ) -> rusqlite::Result<BatchOutcome> {
        let changes = connection.total_changes();
        let pending = PendingRows::default();
        let hold_until = self.hold_deadline();
        let (mut has_events, mut changes_access) = (false, false);
        let mut next = 0;
        let (mut spent, mut is_shared) = (Duration::ZERO, false);
        let first_owner = batch.first().map(|due| due.owner);
        while let Some(due) = batch.get_mut(next) {
            self.latest_time = advance_time(self.latest_time, clock::current_millis());
            let start = clock::read_instant();
            self.deadline.arm(due.owner, start);
            let tx = Tx::new(connection, self.latest_time, (&self.deadline, &pending), &self.shared);
            let outcome = run_job(&tx, connection, due.write.as_mut());
            let took = clock::read_instant().duration_since(start);
            spent += took;
            if !self.is_repeating {
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.last_used = Some(UsedTime { owner: due.owner, micros });
            }
            if matches!(outcome?, WriteOutcome::Broken) {
                return Ok(BatchOutcome::Aborted(next));
            }
            has_events |= tx.has_events();
            changes_access |= tx.may_change_access();
            // Nothing is committed after a disk failure, even if the write itself ignored the error.
            if ObservedFailures::current().is_severe() {
                return Ok(BatchOutcome::Failed(BatchFailure::Unusable));
            }
            next += 1;
            is_shared |= Some(due.owner) != first_owner;
            if !self.is_repeating && next < BATCH_MAX && spent < self.batch_time_max(is_shared) {
                batch.extend(self.queue.0.pop(self.last_used.take(), hold_until));
            }
        }
        write_pending_usage(connection, &pending.usage)?;
        write_pending_windows(connection, &pending.windows)?;
        // The time of the lease can have ended meanwhile.
        if !self.shared.has_permit() {
            return Ok(BatchOutcome::Failed(BatchFailure::Refused(ReadOnlyCause::LeaseLost)));
        }
        let start = clock::read_instant();
        let committed = execute_statement(connection, "COMMIT");
        // In front of the results: who gets one reads what was written.
        self.shared.access_changes.fetch_add(u64::from(changes_access), Ordering::Release);
        self.shared.commits.fetch_add(1, Ordering::Release);
        if let Err(error) = committed {
            self.has_failed_commit = true;
            return Err(error);
        }
        // What was committed to a file that no path leads to is not acknowledged.
        // Neither is a commit that took longer than the lease.
        if !self.shared.is_file_unmoved() || !self.shared.has_permit() {
            return Ok(BatchOutcome::Failed(BatchFailure::Unknown));
        }
        if connection.total_changes() != changes {
            self.shared.changes.fetch_add(1, Ordering::Release);
            self.record_commit(clock::read_instant().duration_since(start), batch);
            if self.checkpointer.is_some() && !self.shared.check_log_after_commit(self.shared.log.record_commit()) {
                return Ok(BatchOutcome::Failed(BatchFailure::Unknown));
            }
        }
        if has_events {
            self.shared.events.send_modify(|count| *count += 1);
        }
        Ok(BatchOutcome::Committed)
    }

    /// How much work a batch accepts. If commits are slow, fewer of them are better for everyone.
    fn batch_time_max(&self, is_shared: bool) -> Duration {
        let short = SHARED_BATCH_TIME_MAX.max(self.mean_commit * 2).min(BATCH_TIME_MAX);
        if is_shared { short } else { BATCH_TIME_MAX }
    }

    /// Until when the batch waits for more writes. `None` if commits are fast or there are no concurrent writes.
    fn hold_deadline(&self) -> Option<Instant> {
        let worth_it = self.has_concurrent_writes && self.mean_commit > SLOW_COMMIT;
        worth_it.then(|| clock::read_instant() + (self.mean_commit / 4).min(HOLD_MAX))
    }

    fn record_commit(&mut self, took: Duration, batch: &[DueWrite]) {
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
            self.shared.report_damage("found while writing");
        }
        if observed.io_failure {
            tracing::error!(
                database = %self.shared.files.database.display(),
                "the disk failed while writing; the database is opened again"
            );
            // While its transaction may be in the log, the old connection prevents that another one recovers it.
            if !self.has_failed_commit {
                self.connection = None;
            }
        }
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        self.shared.check_file().map_err(|_| rusqlite::Error::InvalidPath(self.shared.files.database.clone()))?;
        let connection = connection::connect_writer(&self.shared.files)?;
        self.watch_connection(&connection)?;
        if self.checkpointer.is_some() {
            self.shared.service.watch_files(&self.shared.files);
        }
        Ok(connection)
    }

    /// Commits a small transaction over the one whose commit failed. The log may contain all of that one, and the next start
    /// would recover it, although its callers get the answer that nothing was changed. Returns whether it is overwritten.
    fn overwrite_failed_commit(&mut self) -> bool {
        let tried = self.connection.as_ref().map(commit_marker_row);
        let result = match tried {
            Some(Ok(())) => Ok(()),
            // The old connection stays open meanwhile, so that the new one does not recover the log.
            _ => self.connect().and_then(|connection| {
                commit_marker_row(&connection)?;
                self.connection = Some(connection);
                Ok(())
            }),
        };
        if let Err(error) = &result {
            tracing::error!(%error, "a failed transaction may still be in the write-ahead log");
        }
        self.has_failed_commit = result.is_err();
        !self.has_failed_commit
    }

    /// The same, after space was made on a full disk.
    fn overwrite_with_space(&mut self) -> bool {
        self.shared.service.is_exhausted() && self.make_space() && self.overwrite_failed_commit()
    }

    /// Makes space on a full disk: frees the reserve, or without one lets the log start again. Then the next writes replace
    /// frames that the database contains, so that they need no space. Returns whether there is more than before.
    fn make_space(&self) -> bool {
        if self.shared.service.record_full_disk(&self.shared.files) {
            return true;
        }
        let restarted = self.connection.as_ref().filter(|open| open.is_autocommit()).map(|connection| {
            connection.busy_timeout(WRITER_DELAY_MAX)?;
            let run = connection
                .query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
            connection.busy_timeout(connection::BUSY_TIMEOUT)?;
            run.map(|(is_blocked, frames): (bool, i64)| !is_blocked && frames > 0)
        });
        match restarted {
            Some(Err(error)) => {
                tracing::warn!(%error, "the write-ahead log cannot start again on the full disk");
                false
            }
            Some(Ok(is_restarted)) => is_restarted,
            None => false,
        }
    }

    /// Checkpoints the log, so that a single file is left. After damage the files stay as they are: the index of this process
    /// and the log may not fit together, and a checkpoint would copy wrong pages into the database.
    pub(crate) fn checkpoint_and_close(mut self) {
        let is_command = self.checkpointer.is_none();
        drop(self.checkpointer.take());
        let Some(connection) = self.connection.take() else {
            return;
        };
        // The program that replicates has not read the last changes yet, and continues in this log after the next start. A command
        // sees only its tables: a log that it cuts would be absent from the replica.
        let is_replicated = self.shared.find_replicator().is_some()
            || is_command && foreign_objects::is_replicated(&connection).unwrap_or(false);
        if is_replicated || self.shared.service.is_damaged() {
            if !is_replicated {
                tracing::warn!("the write-ahead log is not copied into the database, because the database is damaged");
            }
            if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
                tracing::error!(%error, "the database cannot be closed without a checkpoint, so it stays open");
                std::mem::forget(connection);
            }
            return;
        }
        let checkpoint = connection
            .busy_timeout(LAST_CHECKPOINT_WAIT)
            .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = checkpoint {
            tracing::warn!(%error, "the write-ahead log could not be checkpointed; the next start does it");
        }
    }
}

/// Commits a change of one row.
fn commit_marker_row(connection: &Connection) -> rusqlite::Result<()> {
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    connection.execute_batch(
        "BEGIN IMMEDIATE;
         INSERT INTO instance (key, value) VALUES ('failed_commits', '1')
             ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1;
         COMMIT;",
    )
}

/// Runs one write in the open transaction. Returns an error only if the savepoint itself fails.
fn run_job(tx: &Tx<'_>, connection: &Connection, job: &mut dyn QueuedWrite) -> rusqlite::Result<WriteOutcome> {
    let savepoint = job.isolation() == Isolation::Savepoint;
    if savepoint {
        execute_statement(connection, "SAVEPOINT job")?;
    }
    let (changes, mark) = (connection.total_changes(), tx.pending_rows().set_mark());
    let succeeded = job.run(tx);
    // The statements below must not be interrupted.
    tx.end_deadline();
    // SQLite rolls back the whole transaction on some errors, such as a full disk.
    if connection.is_autocommit() {
        return Ok(WriteOutcome::Broken);
    }
    if !succeeded {
        tx.pending_rows().roll_back_to(mark);
    }
    if savepoint {
        if !succeeded {
            execute_statement(connection, "ROLLBACK TO job")?;
        }
        execute_statement(connection, "RELEASE job")?;
        return Ok(WriteOutcome::Clean);
    }
    let has_partial_changes = !succeeded && connection.total_changes() - tx.undone_changes() != changes;
    Ok(if has_partial_changes { WriteOutcome::Broken } else { WriteOutcome::Clean })
}

/// Returns the time of the next write: not earlier than the last one, except after a correction of a clock that was
/// wrong, so that it does not date all later writes.
fn advance_time(last: Millis, now: Millis) -> Millis {
    if last.saturating_sub(now) > clock::CORRECTION_MAX { now } else { last.max(now) }
}

/// The ids of the requests in a batch, for a log line about all of them.
fn collect_request_ids(batch: &[DueWrite]) -> Option<Arc<str>> {
    let ids: Vec<&str> = batch.iter().filter_map(|due| due.write.request()).collect();
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
