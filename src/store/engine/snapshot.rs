//! The two database handles: `Snapshot` for reads, `Tx` for writes; and the time limit of a read.

pub(in crate::store) mod remembered;

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::clock::{self, Millis};
use crate::error::{Error, Reason, Result};
use crate::model::quota::QuotaDefaults;
use crate::store::SharedState;
use crate::store::engine::job_deadline::JobDeadline;
use crate::store::engine::snapshot::remembered::{RememberedKey, RememberedValues};
use crate::store::engine::snapshot_gate::ScanSnapshot;
use crate::store::pending::PendingRows;
use crate::store::pending::usage::PendingUsage;
use crate::store::recent_use::RecentUse;

/// Time limit of a brief read, which can be repeated in the pool.
pub(crate) const BRIEF_READ_MAX: Duration = Duration::from_millis(5);
/// SQLite virtual machine steps between two checks of the clock: about 20 microseconds.
pub(crate) const STEPS_BETWEEN_CHECKS: i32 = 500;

/// A consistent view of the database, valid while it is borrowed.
pub struct Snapshot<'c> {
    connection: &'c Connection,
    /// The snapshot of a scan, which is replaced by a newer one.
    scan: Option<&'c ScanSnapshot<'c>>,
    limit: Option<&'c ReadLimit>,
    recent_use: Option<&'c RecentUse>,
    /// Changes of usage in the open transaction.
    pending_usage: Option<&'c PendingUsage>,
    remembered: Option<&'c RememberedValues>,
}

impl<'c> Snapshot<'c> {
    pub(in crate::store) fn new(connection: &'c Connection) -> Self {
        Self { connection, scan: None, limit: None, recent_use: None, pending_usage: None, remembered: None }
    }

    /// A view that [`Self::renew_if_due`] replaces.
    pub(in crate::store) fn of_scan(connection: &'c Connection, scan: &'c ScanSnapshot<'c>) -> Self {
        Self { scan: Some(scan), ..Self::new(connection) }
    }

    /// A view with a time limit, of which [`Self::read_briefly`] uses less.
    pub(in crate::store) fn within(self, limit: &'c ReadLimit) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Runs a part of a read on an event loop for at most 5 ms. Returns `None` if that is exceeded: the caller repeats it
    /// in the pool.
    ///
    /// # Errors
    /// Those of `part`.
    pub fn read_briefly<T>(&self, part: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        match self.limit {
            Some(limit) => limit.run_briefly(part),
            None => part().map(Some),
        }
    }

    /// A view that remembers values.
    pub(in crate::store) fn remembering(self, remembered: &'c RememberedValues) -> Self {
        Self { remembered: Some(remembered), ..self }
    }

    /// Returns the value with this key, which is read once if this view is used for several requests. Only for values that
    /// follow from the rows of tokens, configurations and OAuth clients alone.
    ///
    /// # Errors
    /// Those of `read`.
    pub(in crate::store) fn remember<T: 'static>(
        &self,
        key: RememberedKey,
        read: impl FnOnce() -> Result<T>,
    ) -> Result<Rc<T>> {
        match self.remembered {
            Some(values) => values.find_or_read(key, read),
            None => read().map(Rc::new),
        }
    }

    /// Makes the rows include the uses in memory.
    pub(in crate::store) fn adding_recent_use(self, recent_use: &'c RecentUse) -> Self {
        Self { recent_use: Some(recent_use), ..self }
    }

    /// Whether a long scan may give up this view. Then it reads in several steps, and calls [`Self::renew_if_due`]
    /// between them.
    pub(in crate::store) fn is_renewable(&self) -> bool {
        self.scan.is_some()
    }

    /// Replaces a view that is older than 100 ms by a newer one, so that the write-ahead log can start again. The caller
    /// has no active statement, and what it has read may have changed.
    ///
    /// # Errors
    /// The gate of the snapshots stays closed until the read must end.
    pub fn renew_if_due(&self) -> Result<()> {
        self.scan.map_or(Ok(()), |scan| scan.renew_if_due(self.connection))
    }

    /// Whether the view was replaced since it was opened.
    pub fn was_renewed(&self) -> bool {
        self.scan.is_some_and(|scan| scan.renewals() > 0)
    }

    /// Uses that are not stored yet.
    pub(in crate::store) fn recent_use(&self) -> Option<&'c RecentUse> {
        self.recent_use
    }

    /// Changes of usage that are not in their rows yet.
    pub(in crate::store) fn pending_usage(&self) -> Option<&'c PendingUsage> {
        self.pending_usage
    }

    /// The underlying connection, for the row functions of the store.
    pub(in crate::store) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Returns the prepared statement, compiled once per connection.
    pub(in crate::store) fn prepare(&self, sql: &str) -> Result<rusqlite::CachedStatement<'c>> {
        Ok(self.connection.prepare_cached(sql)?)
    }

    /// Returns all rows of a query.
    pub(in crate::store) fn list_rows<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        Ok(self.prepare(sql)?.query_map(parameters, read)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the first row of a query, or `None` if it has no rows.
    pub(in crate::store) fn find_row<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.prepare(sql)?.query_row(parameters, read).optional()?)
    }

    /// Returns the first row of a query that always has one.
    pub(in crate::store) fn read_row<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        Ok(self.prepare(sql)?.query_row(parameters, read)?)
    }

    /// Returns the first column of all rows of a query.
    pub(in crate::store) fn list_values<T: FromSql>(&self, sql: &str, parameters: impl Params) -> Result<Vec<T>> {
        self.list_rows(sql, parameters, |row| row.get(0))
    }

    /// Returns the first column of the first row of a query, or `None` if it has no rows.
    pub(in crate::store) fn find_value<T: FromSql>(&self, sql: &str, parameters: impl Params) -> Result<Option<T>> {
        self.find_row(sql, parameters, |row| row.get(0))
    }

    /// Returns the first column of the first row of a query that always has one.
    pub(in crate::store) fn read_value<T: FromSql>(&self, sql: &str, parameters: impl Params) -> Result<T> {
        self.read_row(sql, parameters, |row| row.get(0))
    }
}

/// A write transaction, shared with the other writes of its batch. Dereferences to a [`Snapshot`] that includes its
/// changes.
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    /// The timestamp of this write. Never earlier than that of the previous write, even if the clock is set back.
    pub now: Millis,
    has_events: Cell<bool>,
    /// Row changes that were undone by [`Tx::run_in_savepoint`].
    undone_changes: Cell<u64>,
    quota_defaults: QuotaDefaults,
    pending: &'c PendingRows,
    deadline: &'c JobDeadline,
    /// Whether the write may change what [`Snapshot::remember`] remembers: tokens, configurations and OAuth clients.
    may_change_access: Cell<bool>,
    /// The disk is full: statements that change rows are rejected.
    is_restricted: Cell<bool>,
    is_disk_full: bool,
}

impl<'c> Tx<'c> {
    pub(in crate::store) fn new(
        connection: &'c Connection,
        now: Millis,
        (deadline, pending): (&'c JobDeadline, &'c PendingRows),
        shared: &'c SharedState,
    ) -> Self {
        let snapshot = Snapshot::new(connection).adding_recent_use(shared.recent_use());
        let is_disk_full = shared.service.is_disk_full();
        Self {
            snapshot: Snapshot { pending_usage: Some(&pending.usage), ..snapshot },
            now,
            has_events: Cell::new(false),
            undone_changes: Cell::new(0),
            quota_defaults: shared.quota_defaults(),
            pending,
            deadline,
            may_change_access: Cell::new(true),
            is_restricted: Cell::new(is_disk_full),
            is_disk_full,
        }
    }

    /// Declares that this write frees space, ends a right, or is small and must be possible on a full disk. It then uses
    /// the reserve of the disk.
    pub fn allow_on_full_disk(&self) {
        self.is_restricted.set(false);
    }

    /// Declares that this write changes no tokens, configurations and OAuth clients, so that what event loops remember of them stays
    /// valid.
    pub(in crate::store) fn declare_access_unchanged(&self) {
        self.may_change_access.set(false);
    }

    pub(in crate::store) fn may_change_access(&self) -> bool {
        self.may_change_access.get()
    }

    /// Whether the disk is full. A write that is allowed then leaves out what is not needed.
    pub fn is_disk_full(&self) -> bool {
        self.is_disk_full
    }

    /// For loops that run few statements: statements are interrupted at the deadline without it.
    ///
    /// # Errors
    /// `WriteTooLong` after the deadline of the job.
    pub fn check_deadline(&self) -> Result<()> {
        self.deadline.check()
    }

    /// The limits of configurations and accounts without limits of their own.
    pub fn quota_defaults(&self) -> &QuotaDefaults {
        &self.quota_defaults
    }

    /// Runs a part of the write, and undoes its changes if it returns an error. The write itself can still succeed, and
    /// the other writes of the batch are not affected.
    ///
    /// # Errors
    /// The error of `part`.
    pub fn run_in_savepoint<T>(&self, part: impl FnOnce() -> Result<T>) -> Result<T> {
        self.run("SAVEPOINT part", [])?;
        let (changes, undone) = (self.snapshot.connection.total_changes(), self.undone_changes.get());
        let mark = self.pending.set_mark();
        let result = part();
        // SQLite rolls back the whole transaction on some errors, such as a full disk.
        if self.snapshot.connection.is_autocommit() {
            return result;
        }
        if result.is_err() {
            self.run("ROLLBACK TO part", [])?;
            self.pending.roll_back_to(mark);
            // The changes that an inner part has undone are among them.
            self.undone_changes.set(undone + self.snapshot.connection.total_changes() - changes);
        }
        self.run("RELEASE part", [])?;
        result
    }

    /// Row changes that were made and undone.
    pub(in crate::store) fn undone_changes(&self) -> u64 {
        self.undone_changes.get()
    }

    /// Runs a statement.
    pub(in crate::store) fn run(&self, sql: &str, parameters: impl Params) -> Result<()> {
        self.execute(sql, parameters).map(drop)
    }

    /// Runs a statement and returns the number of changed rows.
    pub(in crate::store) fn execute(&self, sql: &str, parameters: impl Params) -> Result<usize> {
        self.check_restriction()?;
        Ok(self.prepare(sql)?.execute(parameters)?)
    }

    /// # Errors
    /// `DiskFull` if the disk is full and this write is not allowed then.
    pub(in crate::store) fn check_restriction(&self) -> Result<()> {
        if self.is_restricted.get() { Err(Error::new(Reason::DiskFull)) } else { Ok(()) }
    }

    /// Changes that are written in front of the commit.
    pub(in crate::store) fn pending_rows(&self) -> &'c PendingRows {
        self.pending
    }

    /// Ends the time limit of the job, so that the statements of the transaction itself are not interrupted.
    pub(in crate::store) fn end_deadline(&self) {
        self.deadline.disarm();
    }

    /// Requests that the tasks waiting for events are woken after the commit.
    pub(in crate::store) fn mark_event_published(&self) {
        self.has_events.set(true);
    }

    pub(in crate::store) fn has_events(&self) -> bool {
        self.has_events.get()
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = Snapshot<'c>;

    fn deref(&self) -> &Snapshot<'c> {
        &self.snapshot
    }
}

/// The start of the process, from which the limits count microseconds.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

fn to_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// How much longer a read may last while its thread waits for the processor.
const PROCESSOR_WAIT_MAX: Duration = Duration::from_secs(2);
/// The shortest limit, in microseconds, to which this wait is added. Shorter reads continue on another thread.
const WAITING_READ_MIN: u64 = 50_000;

/// The time limit of the read that runs on a connection. The first check starts the clock, so that a read with few steps
/// costs nothing.
#[derive(Default)]
pub(crate) struct ReadLimit {
    /// In microseconds.
    max: AtomicU64,
    /// Microseconds since [`EPOCH`] at the first check; 0 before it.
    started: AtomicU64,
    /// Microseconds of the processor that the thread had used at the first check.
    used_before: AtomicU64,
    exceeded: AtomicBool,
}

impl ReadLimit {
    /// Connects the limit to a connection.
    pub(crate) fn attach(connection: &Connection) -> Result<Arc<Self>> {
        let limit = Arc::new(Self::default());
        let checked = Arc::clone(&limit);
        connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(move || checked.is_reached()))?;
        Ok(limit)
    }

    pub(crate) fn start(&self, max: Duration) {
        self.max.store(to_micros(max), Ordering::Relaxed);
        self.started.store(0, Ordering::Relaxed);
        self.exceeded.store(false, Ordering::Relaxed);
    }

    /// Runs a part of the read for at most 5 ms. Returns `None` if that is exceeded; the read itself goes on.
    pub(crate) fn run_briefly<T>(&self, part: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        let whole = Duration::from_micros(self.max.load(Ordering::Relaxed));
        self.start(BRIEF_READ_MAX);
        let result = part();
        let is_exceeded = self.exceeded.load(Ordering::Relaxed);
        self.start(whole);
        match result {
            Err(_) if is_exceeded => Ok(None),
            result => result.map(Some),
        }
    }

    /// Ends the limit, so that the statement that ends the transaction is not interrupted.
    pub(crate) fn end(&self) {
        self.max.store(u64::MAX, Ordering::Relaxed);
    }

    fn is_reached(&self) -> bool {
        let now = to_micros(EPOCH.elapsed()).max(1);
        let started = self.started.load(Ordering::Relaxed);
        if started == 0 {
            self.started.store(now, Ordering::Relaxed);
            self.used_before.store(to_micros(clock::read_thread_time()), Ordering::Relaxed);
            return false;
        }
        let (elapsed, max) = (now - started, self.max.load(Ordering::Relaxed));
        // On an overloaded machine the thread may have waited for the processor: that is no long query.
        let has_waited = || {
            let used = to_micros(clock::read_thread_time()).saturating_sub(self.used_before.load(Ordering::Relaxed));
            max >= WAITING_READ_MIN && elapsed < max + to_micros(PROCESSOR_WAIT_MAX) && used < max / 2
        };
        let is_reached = elapsed > max && !has_waited();
        if is_reached {
            self.exceeded.store(true, Ordering::Relaxed);
        }
        is_reached
    }
}
