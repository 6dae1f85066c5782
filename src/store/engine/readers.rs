//! The two kinds of reads: inline on the calling thread for point reads, over a connection pool for scans.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use crate::error::{Error, Reason, Result};
use crate::store::SharedState;
use crate::store::engine::connection;
use crate::store::engine::snapshot::{ReadLimit, STEPS_BETWEEN_CHECKS, Snapshot};
use crate::store::engine::snapshot_gate::ScanSnapshot;
use crate::store::engine::sqlite_errors::ObservedFailures;
use crate::store::engine::work_queue::SCANS_MAX;

/// Time limit of one read on a thread that may block.
pub(crate) const BLOCKING_READ_MAX: Duration = Duration::from_secs(2);
/// Time limit of a read that a write needs. The client cannot make the write smaller, so only a busy server reaches it.
pub(crate) const WRITE_READ_MAX: Duration = Duration::from_secs(10);
/// Time limit of one read on an event loop. All its connections wait for that long.
const EVENT_LOOP_READ_MAX: Duration = Duration::from_millis(100);
/// How long a scan may wait for a connection.
const POOL_WAIT_MAX: Duration = Duration::from_secs(2);
/// Pause of a scan that waits for an open connection, because the file was moved away.
const MOVED_FILE_PAUSE: Duration = Duration::from_millis(10);
/// Number of pooled connections: one for each concurrent scan, and two for background jobs.
const POOL_MAX: usize = SCANS_MAX + 2;

/// A thread's connection to one store. The weak handle detects whether the store is still open, and reserves its
/// address, so that no other store can have the same address.
struct ConnectionSlot {
    store: Weak<SharedState>,
    connection: Connection,
    limit: Arc<ReadLimit>,
}

thread_local! {
    static SLOTS: RefCell<Vec<ConnectionSlot>> = const { RefCell::new(Vec::new()) };
    static IS_EVENT_LOOP: Cell<bool> = const { Cell::new(false) };
}

/// Marks the calling thread as an event loop, on which inline reads have a low time limit.
pub(crate) fn mark_event_loop() {
    IS_EVENT_LOOP.set(true);
}

/// Reads over this thread's own connection. The connection is removed from its slot during the read: a nested read opens
/// another one, and a panic drops it.
///
/// # Errors
/// `QueryTooLong` after 100 ms on an event loop, after 2 s on other threads.
pub(crate) fn read_inline<T>(shared: &Arc<SharedState>, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
    let (connection, limit) = take_connection(shared)?;
    limit.start(if IS_EVENT_LOOP.get() { EVENT_LOOP_READ_MAX } else { BLOCKING_READ_MAX });
    let result = run_in_snapshot(&connection, &limit, |connection| {
        read(&Snapshot::new(connection).within(&limit).adding_recent_use(shared.recent_use()))
    });
    let observed = ObservedFailures::take_observed();
    if observed.corruption {
        report_corruption(shared, result.as_ref().err());
    }
    if connection.is_autocommit() && !observed.is_severe() {
        let store = Arc::downgrade(shared);
        SLOTS.with_borrow_mut(|slots| slots.push(ConnectionSlot { store, connection, limit }));
    }
    result
}

/// Whether this thread has a connection for inline reads.
pub(crate) fn has_connection(shared: &Arc<SharedState>) -> bool {
    SLOTS.with_borrow(|slots| slots.iter().any(|slot| std::ptr::eq(slot.store.as_ptr(), Arc::as_ptr(shared))))
}

fn take_connection(shared: &Arc<SharedState>) -> Result<(Connection, Arc<ReadLimit>)> {
    let found = SLOTS.with_borrow_mut(|slots| {
        let is_same_store = |slot: &ConnectionSlot| std::ptr::eq(slot.store.as_ptr(), Arc::as_ptr(shared));
        if let Some(at) = slots.iter().position(is_same_store) {
            return Some(slots.swap_remove(at));
        }
        slots.retain(|slot| slot.store.strong_count() > 0);
        None
    });
    if let Some(ConnectionSlot { connection, limit, .. }) = found {
        return Ok((connection, limit));
    }
    // A new connection would open whatever file is at the path.
    shared.check_file()?;
    let connection =
        connection::connect_reader(&shared.files).map_err(|error| check_for_corruption(shared, error.into()))?;
    let limit = ReadLimit::attach(&connection)?;
    Ok((connection, limit))
}

/// Runs the read in a transaction, so that all its statements see the same state. This costs one or two microseconds.
fn run_in_snapshot<T>(
    connection: &Connection,
    limit: &ReadLimit,
    read: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = read(connection);
    // The end of the transaction is not subject to the limit.
    limit.end();
    if !connection.is_autocommit() {
        connection.prepare_cached("COMMIT")?.execute([])?;
    }
    result
}

fn check_for_corruption(shared: &SharedState, error: Error) -> Error {
    if ObservedFailures::take_observed().corruption {
        report_corruption(shared, Some(&error));
    }
    error
}

fn report_corruption(shared: &SharedState, error: Option<&Error>) {
    let detail = error.map_or_else(|| "a read failed".to_owned(), ToString::to_string);
    shared.report_damage(&detail);
}

/// Returns the error of a read that a write needs. The client cannot restrict it like a query.
pub(crate) fn without_query_limit(error: Error) -> Error {
    if error.reason() == Reason::QueryTooLong { Error::new(Reason::ServerBusy) } else { error }
}

/// Ends a pooled read early, because its client has gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadCancellation(Arc<AtomicBool>);

impl ReadCancellation {
    /// Ends the read at its next check.
    fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Cancels a read when the future that waits for it is dropped.
pub(crate) struct CancelOnDrop(pub(crate) ReadCancellation);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The connection pool for scans. A server opens one connection at its start, and the others when they are needed, so that
/// an idle server uses little memory and starts fast.
pub(crate) struct ReaderPool {
    shared: Arc<SharedState>,
    connections: OnceLock<r2d2::Pool<SqliteConnectionManager>>,
}

impl ReaderPool {
    pub(crate) fn new(shared: Arc<SharedState>) -> Self {
        Self { shared, connections: OnceLock::new() }
    }

    fn connections(&self) -> &r2d2::Pool<SqliteConnectionManager> {
        self.connections.get_or_init(|| {
            let manager = SqliteConnectionManager::file(&self.shared.files.database)
                .with_flags(connection::reader_flags())
                .with_init(|connection| connection::set_up_pooled_reader(connection));
            r2d2::Pool::builder()
                .max_size(u32::try_from(POOL_MAX).unwrap_or(u32::MAX))
                .min_idle(Some(0))
                // Open connections read a file that was moved away, and no new ones can be opened then.
                .idle_timeout(None)
                .max_lifetime(None)
                .connection_timeout(POOL_WAIT_MAX)
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .test_on_check_out(false)
                .build_unchecked(manager)
        })
    }

    /// Opens the first connection, so that one is open if the file is moved away.
    pub(crate) fn open_first(&self) {
        if let Err(error) = self.connections().get() {
            tracing::warn!(%error, "no connection for scans could be opened");
        }
    }

    /// Returns the number of connections that are reading now.
    pub(crate) fn in_use(&self) -> u32 {
        self.connections.get().map_or(0, |pool| {
            let state = pool.state();
            state.connections.saturating_sub(state.idle_connections)
        })
    }

    /// Returns an idle connection, or opens one. Open connections still read a database file that was moved away.
    fn find_connection(&self) -> Result<r2d2::PooledConnection<SqliteConnectionManager>> {
        let end = Instant::now() + POOL_WAIT_MAX;
        loop {
            if let Some(connection) = self.connections().try_get() {
                return Ok(connection);
            }
            match self.shared.check_file() {
                Ok(()) => break,
                Err(error) if Instant::now() > end => return Err(error),
                // One that is in use becomes free.
                Err(_) => thread::sleep(MOVED_FILE_PAUSE),
            }
        }
        self.connections().get().map_err(|error| {
            tracing::warn!(%error, "no connection for a scan was available in time");
            Error::new(Reason::ServerBusy)
        })
    }

    pub(crate) fn read<T>(
        &self,
        (cancellation, limit): (&ReadCancellation, Duration),
        read: impl FnOnce(&Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        // The client may have gone while the read waited for a thread.
        if cancellation.is_cancelled() {
            return Err(Error::new(Reason::QueryTooLong));
        }
        let connection = self.find_connection()?;
        let deadline = Instant::now() + limit;
        let cancelled = cancellation.clone();
        let must_end = move || cancelled.is_cancelled() || Instant::now() > deadline;
        connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(must_end))?;
        let result = {
            let scan = ScanSnapshot::enter(&self.shared.gate, deadline)?;
            // Rolls back when dropped, also in a panic, because the connection returns to the pool in any case.
            let snapshot = connection.unchecked_transaction()?;
            read(&Snapshot::of_scan(&snapshot, &scan).adding_recent_use(self.shared.recent_use()))
        };
        connection.progress_handler(0, None::<fn() -> bool>)?;
        result.map_err(|error| check_for_corruption(&self.shared, error))
    }
}
