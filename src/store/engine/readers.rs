//! The two kinds of reads: inline on the calling thread for point reads, over a connection pool for scans.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use crate::error::{Error, Reason, Result};
use crate::store::SharedState;
use crate::store::engine::connection;
use crate::store::engine::snapshot::Snapshot;
use crate::store::engine::sqlite_errors::ObservedFailures;

/// Time limit of one pooled read.
const SCAN_MAX: Duration = Duration::from_secs(2);
/// How long a scan may wait for a connection.
const POOL_WAIT_MAX: Duration = Duration::from_secs(2);
/// Maximum number of concurrent scans.
const POOL_MAX: u32 = 4;
/// SQLite virtual machine steps between two checks of the clock.
const STEPS_BETWEEN_CHECKS: i32 = 2_000;

/// A thread's connection to one store. The weak handle detects whether the store is still open, and reserves its
/// address, so that no other store can have the same address.
struct ConnectionSlot {
    store: Weak<SharedState>,
    connection: Connection,
}

thread_local! {
    static SLOTS: RefCell<Vec<ConnectionSlot>> = const { RefCell::new(Vec::new()) };
}

/// Reads over this thread's own connection. The connection is removed from its slot during the read: a nested read
/// opens another one, and a panic drops it.
pub(crate) fn read_inline<T>(shared: &Arc<SharedState>, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
    let connection = match take_connection(shared) {
        Some(connection) => connection,
        None => {
            connection::connect_reader(&shared.files).map_err(|error| check_for_corruption(shared, error.into()))?
        }
    };
    let result = run_in_snapshot(&connection, read);
    let observed = ObservedFailures::take_observed();
    if observed.corruption {
        report_corruption(shared, result.as_ref().err());
    }
    if connection.is_autocommit() && !observed.is_severe() {
        let store = Arc::downgrade(shared);
        SLOTS.with_borrow_mut(|slots| slots.push(ConnectionSlot { store, connection }));
    }
    result
}

fn take_connection(shared: &Arc<SharedState>) -> Option<Connection> {
    SLOTS.with_borrow_mut(|slots| {
        let is_same_store = |slot: &ConnectionSlot| std::ptr::eq(slot.store.as_ptr(), Arc::as_ptr(shared));
        if let Some(at) = slots.iter().position(is_same_store) {
            return Some(slots.swap_remove(at).connection);
        }
        slots.retain(|slot| slot.store.strong_count() > 0);
        None
    })
}

/// Runs the read in a transaction, so that all its statements see the same state. This costs one or two microseconds.
fn run_in_snapshot<T>(connection: &Connection, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = read(&Snapshot::new(connection));
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
    shared.note_corruption(&detail);
}

/// The connection pool for scans. It is created by the first scan, so that an idle server uses little memory and starts
/// fast.
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
                .max_size(POOL_MAX)
                .min_idle(Some(0))
                .connection_timeout(POOL_WAIT_MAX)
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .test_on_check_out(false)
                .build_unchecked(manager)
        })
    }

    /// Returns the number of connections that are reading now.
    pub(crate) fn in_use(&self) -> u32 {
        self.connections.get().map_or(0, |pool| {
            let state = pool.state();
            state.connections.saturating_sub(state.idle_connections)
        })
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        let connection = self.connections().get().map_err(|error| {
            tracing::warn!(%error, "no connection for a scan was available in time");
            Error::new(Reason::ServerBusy)
        })?;
        let deadline = Instant::now() + SCAN_MAX;
        connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(move || Instant::now() > deadline))?;
        let result = {
            // Rolls back when dropped, also in a panic, because the connection returns to the pool in any case.
            let snapshot = connection.unchecked_transaction()?;
            read(&Snapshot::new(&snapshot))
        };
        connection.progress_handler(0, None::<fn() -> bool>)?;
        result.map_err(|error| check_for_corruption(&self.shared, error))
    }
}
