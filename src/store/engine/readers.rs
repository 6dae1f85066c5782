//! The two kinds of reads: inline on the calling thread for point reads, over a connection pool for scans.

pub(in crate::store) mod inline_reader;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use r2d2_sqlite::SqliteConnectionManager;

use crate::error::{Error, Reason, Result};
use crate::store::SharedState;
use crate::store::engine::connection;
use crate::store::engine::readers::inline_reader::InlineReader;
use crate::store::engine::snapshot::{STEPS_BETWEEN_CHECKS, Snapshot};
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

thread_local! {
    static IS_EVENT_LOOP: Cell<bool> = const { Cell::new(false) };
}

/// Marks the calling thread as an event loop, on which inline reads have a low time limit.
pub(crate) fn mark_event_loop() {
    IS_EVENT_LOOP.set(true);
}

/// Reads over this thread's own connection. The thread does not have it during the read: a nested read opens another one,
/// and a panic drops it.
///
/// # Errors
/// `QueryTooLong` after 100 ms on an event loop, after 2 s on other threads.
pub(crate) fn read_inline<T>(shared: &Arc<SharedState>, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
    let is_event_loop = IS_EVENT_LOOP.get();
    // Read in front of the snapshot, which contains at least these.
    let commits = shared.commits.load(Ordering::Acquire);
    let access_changes = shared.access_changes.load(Ordering::Acquire);
    let mut reader = InlineReader::take(shared).map_err(|error| check_for_corruption(shared, error))?;
    reader.limit.start(if is_event_loop { EVENT_LOOP_READ_MAX } else { BLOCKING_READ_MAX });
    let result = reader.begin(commits, access_changes).and_then(|()| {
        let snapshot = Snapshot::new(&reader.connection).within(&reader.limit).adding_recent_use(shared.recent_use());
        read(&snapshot.remembering(&reader.remembered))
    });
    // The end of the snapshot is not subject to the limit.
    reader.limit.end();
    let may_hold = is_event_loop && result.is_ok() && shared.log.allows_held_snapshots();
    let ended = if may_hold { Ok(()) } else { reader.end() };
    let observed = ObservedFailures::take_observed();
    if observed.corruption {
        report_corruption(shared, result.as_ref().err());
    }
    if !observed.is_severe() {
        ended?;
        reader.give_back()?;
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
