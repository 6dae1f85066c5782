//! The two ways to read: inline on the calling thread for point reads, over the pool for scans.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use super::failure::Seen;
use super::snapshot::Snapshot;
use super::{Shared, db};
use crate::error::{Error, Result};

/// How long one pooled read may take.
const SCAN_MAX: Duration = Duration::from_secs(2);
/// How long a scan may wait for a connection.
const POOL_WAIT_MAX: Duration = Duration::from_secs(2);
/// Scans at the same time.
const POOL_MAX: u32 = 4;
/// Virtual machine steps between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 2_000;

/// A thread's connection to one store. The weak handle tells whether that store is still open, and holds its address, so
/// that no other store can be taken for it.
struct Slot {
    store: Weak<Shared>,
    connection: Connection,
}

thread_local! {
    static SLOTS: RefCell<Vec<Slot>> = const { RefCell::new(Vec::new()) };
}

/// Reads over this thread's own connection. It is taken out of its slot meanwhile: a read inside a read opens another, and
/// a panic drops it.
pub(super) fn inline<T>(shared: &Arc<Shared>, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
    let connection = match take(shared) {
        Some(connection) => connection,
        None => db::reader(&shared.files).map_err(|error| noted(shared, error.into()))?,
    };
    let result = in_snapshot(&connection, read);
    let seen = Seen::take();
    if seen.corruption {
        note(shared, result.as_ref().err());
    }
    if connection.is_autocommit() && !seen.is_grave() {
        let store = Arc::downgrade(shared);
        SLOTS.with_borrow_mut(|slots| slots.push(Slot { store, connection }));
    }
    result
}

fn take(shared: &Arc<Shared>) -> Option<Connection> {
    SLOTS.with_borrow_mut(|slots| {
        let ours = |slot: &Slot| std::ptr::eq(slot.store.as_ptr(), Arc::as_ptr(shared));
        if let Some(at) = slots.iter().position(ours) {
            return Some(slots.swap_remove(at).connection);
        }
        slots.retain(|slot| slot.store.strong_count() > 0);
        None
    })
}

/// Without the transaction two statements could see two states; its cost is a microsecond or two.
fn in_snapshot<T>(connection: &Connection, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = read(&Snapshot::new(connection));
    if !connection.is_autocommit() {
        connection.prepare_cached("COMMIT")?.execute([])?;
    }
    result
}

fn noted(shared: &Shared, error: Error) -> Error {
    if Seen::take().corruption {
        note(shared, Some(&error));
    }
    error
}

fn note(shared: &Shared, error: Option<&Error>) {
    let what = error.map_or_else(|| "a read failed".to_owned(), ToString::to_string);
    shared.note_corruption(&what);
}

/// The readers for scans, made when the first scan comes: an idle server stays small and starts fast.
pub(super) struct Pool {
    shared: Arc<Shared>,
    connections: OnceLock<r2d2::Pool<SqliteConnectionManager>>,
}

impl Pool {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, connections: OnceLock::new() }
    }

    fn connections(&self) -> &r2d2::Pool<SqliteConnectionManager> {
        self.connections.get_or_init(|| {
            let manager = SqliteConnectionManager::file(&self.shared.files.database)
                .with_flags(db::reader_flags())
                .with_init(|connection| db::set_up_pooled_reader(connection));
            r2d2::Pool::builder()
                .max_size(POOL_MAX)
                .min_idle(Some(0))
                .connection_timeout(POOL_WAIT_MAX)
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .test_on_check_out(false)
                .build_unchecked(manager)
        })
    }

    /// How many connections read at the moment.
    pub(super) fn in_use(&self) -> u32 {
        self.connections.get().map_or(0, |pool| {
            let state = pool.state();
            state.connections.saturating_sub(state.idle_connections)
        })
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        let connection = self.connections().get().map_err(|error| {
            tracing::warn!(%error, "no connection came free for a scan");
            Error::Busy
        })?;
        let deadline = Instant::now() + SCAN_MAX;
        connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() > deadline))?;
        let result = {
            // Rolls back when it goes, also in a panic: the connection returns to the pool in any case.
            let snapshot = connection.unchecked_transaction()?;
            read(&Snapshot::new(&snapshot))
        };
        connection.progress_handler(0, None::<fn() -> bool>)?;
        result.map_err(|error| noted(&self.shared, error))
    }
}
