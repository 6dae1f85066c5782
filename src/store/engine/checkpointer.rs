//! Keeps the write-ahead log small: a thread that copies the log into the database file, and lets the log start again.
//!
//! A `PASSIVE` checkpoint runs next to reads and writes, and copies as much as the oldest snapshot allows. The log starts
//! again from its beginning only after everything was copied and no snapshot uses it. From [`RESTART_BYTES`] on, the
//! checkpointer therefore delays new snapshots of scans, waits for the others, and holds the writer during the last few
//! pages. Every wait has a limit, except that of scans from [`SCANS_WAIT_BYTES`] on.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::store::SharedState;
use crate::store::engine::connection;
use crate::store::engine::open_error::OpenError;
use crate::store::engine::readers::BLOCKING_READ_MAX;
use crate::store::engine::sqlite_errors::{describe_damage, is_damage};
use crate::store::replication::{DETACH_MAX, LogReplicator};

/// Bytes in the log that start a checkpoint. It copies a page once, however often it is in the log, so fewer checkpoints
/// copy fewer pages.
const PASSIVE_BYTES: u64 = 16 << 20;
/// Bytes that are added to the log until the next checkpoint, if the log could not start again.
const NEXT_BYTES: u64 = 4 << 20;
/// Bytes in the log from which new snapshots of scans are delayed.
pub(crate) const RESTART_BYTES: u64 = 32 << 20;
/// Bytes in the log from which they are delayed until the running scans have ended.
pub(crate) const SCANS_WAIT_BYTES: u64 = 256 << 20;
/// Bytes in the log from which the request log is not written.
const LARGE_BYTES: u64 = 56 << 20;
/// Bytes that the log has for a page in addition to its content.
const FRAME_HEADER_BYTES: u64 = 24;
/// How long new snapshots of scans are delayed below [`SCANS_WAIT_BYTES`].
pub(crate) const SCAN_DELAY_MAX: Duration = Duration::from_millis(300);
/// How long a checkpoint that holds the writer waits for the readers that use the log.
pub(crate) const WRITER_DELAY_MAX: Duration = Duration::from_millis(150);
/// The same while no scan runs.
const QUIET_DELAY_MAX: Duration = Duration::from_millis(5);
/// Pause after a checkpoint that could not finish.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// The same if another program runs the checkpoints: it does not while it makes a complete copy.
const REPLICATOR_PAUSE: Duration = Duration::from_secs(1);
/// Pause after a checkpoint that failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Interval of the log lines about failed checkpoints, and about a log that another program blocks.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);
/// Consecutive failures from which the server is not ready.
const FAILURES_TOLERATED: u32 = 2;

thread_local! {
    /// Pages in the log after the last commit of this thread.
    static PAGES_AFTER_COMMIT: Cell<u64> = const { Cell::new(0) };
}

/// Reports the pages of the log after each commit of the connection, and replaces the checkpoints of SQLite. Call
/// [`LogMonitor::record_commit`] on the same thread.
pub(crate) fn observe_commits(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        PAGES_AFTER_COMMIT.set(u64::try_from(pages).unwrap_or_default());
        Ok(())
    }));
}

/// What is known about the log, shared by the writer and the checkpointer.
#[derive(Default)]
pub(crate) struct LogMonitor {
    /// Bytes of a page in the log.
    frame_bytes: u64,
    bytes: AtomicU64,
    /// Bytes from which the checkpointer wakes up.
    wake_at: AtomicU64,
    wakeup: Mutex<()>,
    woken: Condvar,
    is_closing: AtomicBool,
    /// Whether a checkpoint waits for the writer.
    is_restarting: AtomicBool,
    restarted: Condvar,
    restarts: AtomicU64,
    failures: AtomicU64,
    failures_in_row: AtomicU32,
}

/// What the operator sees of the checkpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckpointFigures {
    /// How often the log started again, since start.
    pub restarts: u64,
    /// Checkpoints that failed, since start.
    pub failures: u64,
    /// Whether the last checkpoints failed.
    pub is_failing: bool,
}

impl LogMonitor {
    pub(crate) fn new(connection: &Connection) -> rusqlite::Result<Self> {
        let page_bytes: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        Ok(Self { frame_bytes: page_bytes.unsigned_abs() + FRAME_HEADER_BYTES, ..Self::default() })
    }

    /// Bytes of a page of the database.
    pub(crate) fn page_bytes(&self) -> u64 {
        self.frame_bytes.saturating_sub(FRAME_HEADER_BYTES)
    }

    /// Reads the length of the log after the last commit of this thread. Returns the bytes of its pages.
    pub(crate) fn record_commit(&self) -> u64 {
        let bytes = PAGES_AFTER_COMMIT.get() * self.frame_bytes;
        if bytes < self.bytes.swap(bytes, Ordering::Relaxed) {
            self.restarts.fetch_add(1, Ordering::Relaxed);
            // Another program can have let it start again.
            self.wake_at.store(PASSIVE_BYTES, Ordering::Relaxed);
        }
        if bytes >= self.wake_at.load(Ordering::Relaxed) {
            self.woken.notify_one();
        }
        bytes
    }

    /// Waits while a checkpoint needs the writer. A writer that always has work would never leave its lock to it.
    pub(crate) fn wait_for_restart(&self) {
        if !self.is_restarting.load(Ordering::SeqCst) {
            return;
        }
        let deadline = Instant::now() + 2 * WRITER_DELAY_MAX;
        let mut guard = self.wakeup.lock().unwrap_or_else(PoisonError::into_inner);
        while self.is_restarting.load(Ordering::SeqCst) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            guard = self.restarted.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn set_restarting(&self, is_restarting: bool) {
        let guard = self.wakeup.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_restarting.store(is_restarting, Ordering::SeqCst);
        drop(guard);
        self.restarted.notify_all();
    }

    /// Whether event loops may hold their snapshots: the log need not start again soon.
    pub(crate) fn allows_held_snapshots(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) < PASSIVE_BYTES && !self.is_restarting.load(Ordering::Relaxed)
    }

    /// Whether the log is much larger than it should be.
    pub(crate) fn is_large(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > LARGE_BYTES
    }

    pub(crate) fn figures(&self) -> CheckpointFigures {
        CheckpointFigures {
            restarts: self.restarts.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            is_failing: self.failures_in_row.load(Ordering::Relaxed) > FAILURES_TOLERATED,
        }
    }

    /// Waits until the log has enough pages, and at most for `pause`. Returns false when the store is closing.
    fn wait(&self, pause: Option<Duration>) -> bool {
        let deadline = pause.map(|pause| Instant::now() + pause);
        let mut guard = self.wakeup.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.is_closing.load(Ordering::SeqCst) {
                return false;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return true;
            }
            let is_due = self.bytes.load(Ordering::Relaxed) >= self.wake_at.load(Ordering::Relaxed);
            if left.is_none() && is_due {
                return true;
            }
            // A notification between the check and the wait is lost, and the next commit sends another.
            guard = match left {
                Some(left) => self.woken.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.woken.wait(guard).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// The handle to the thread of the checkpointer. Dropping it stops the thread.
pub(crate) struct Checkpointer {
    shared: Arc<SharedState>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(crate) fn start(shared: &Arc<SharedState>) -> Result<Self, OpenError> {
        shared.log.wake_at.store(PASSIVE_BYTES, Ordering::Relaxed);
        let thread_shared = Arc::clone(shared);
        let thread = thread::Builder::new()
            .name("rollcall-checkpoint".into())
            .spawn(move || CheckpointerThread::new(thread_shared).run())
            .map_err(|error| OpenError::io("start the checkpointer of", &shared.files.database, error))?;
        Ok(Self { shared: Arc::clone(shared), thread: Some(thread) })
    }

    /// The handle without a thread, whose checkpoints are run by the caller of [`CheckpointerThread::govern_log`].
    #[cfg(feature = "simulation")]
    pub(crate) fn without_thread(shared: &Arc<SharedState>) -> (Self, CheckpointerThread) {
        let thread = CheckpointerThread::new(Arc::clone(shared));
        (Self { shared: Arc::clone(shared), thread: None }, thread)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        let log = &self.shared.log;
        {
            let _guard = log.wakeup.lock().unwrap_or_else(PoisonError::into_inner);
            log.is_closing.store(true, Ordering::SeqCst);
        }
        log.woken.notify_all();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the checkpointer thread panicked");
        }
    }
}

/// The result of one checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CheckpointResult {
    /// Readers or the writer were in the way.
    is_blocked: bool,
    /// Bytes in the log.
    bytes: u64,
}

pub(crate) struct CheckpointerThread {
    shared: Arc<SharedState>,
    /// `None` before the first checkpoint and after a failure.
    connection: Option<Connection>,
    failure_reported: Option<Instant>,
    blockage_reported: Option<Instant>,
}

impl CheckpointerThread {
    fn new(shared: Arc<SharedState>) -> Self {
        Self { shared, connection: None, failure_reported: None, blockage_reported: None }
    }

    fn run(mut self) {
        let mut pause = None;
        while self.shared.log.wait(pause) {
            pause = self.govern_log();
        }
    }

    /// Runs the checkpoints that the size of the log calls for. Returns the pause until the next ones, if there are more
    /// to come without further writes.
    pub(crate) fn govern_log(&mut self) -> Option<Duration> {
        let shared = Arc::clone(&self.shared);
        let replicator = shared.find_replicator();
        let governed = match replicator {
            Some(replicator) => self.request_checkpoint(replicator.as_ref()),
            None => self.run_checkpoints(),
        };
        match governed {
            Ok(result) => {
                self.note_success();
                let log = &self.shared.log;
                let next = if result.is_blocked { result.bytes + NEXT_BYTES } else { PASSIVE_BYTES };
                if !result.is_blocked {
                    log.restarts.fetch_add(1, Ordering::Relaxed);
                    // The next commit begins the log again.
                    log.bytes.store(0, Ordering::Relaxed);
                }
                log.wake_at.store(next, Ordering::Relaxed);
                let pause = if replicator.is_some() { REPLICATOR_PAUSE } else { RETRY_PAUSE };
                (result.is_blocked && result.bytes >= RESTART_BYTES).then_some(pause)
            }
            Err(error) => {
                self.note_failure(&error);
                Some(FAILURE_PAUSE)
            }
        }
    }

    fn run_checkpoints(&mut self) -> rusqlite::Result<CheckpointResult> {
        let passive = self.checkpoint("PASSIVE", Duration::ZERO)?;
        if passive.bytes >= RESTART_BYTES {
            return self.restart_log(passive.bytes);
        }
        if self.shared.gate.count_snapshots() == 0 {
            return self.checkpoint_with_writer(QUIET_DELAY_MAX);
        }
        Ok(CheckpointResult { is_blocked: true, ..passive })
    }

    /// Lets the program that copies the log run its checkpoint while no scan and no writer is in the way. It runs those of a
    /// small log by itself.
    fn request_checkpoint(&mut self, replicator: &dyn LogReplicator) -> rusqlite::Result<CheckpointResult> {
        let shared = Arc::clone(&self.shared);
        let bytes = shared.log.bytes.load(Ordering::Relaxed);
        if bytes < RESTART_BYTES {
            return Ok(CheckpointResult { is_blocked: true, bytes });
        }
        let delay = if bytes >= SCANS_WAIT_BYTES { BLOCKING_READ_MAX + SCAN_DELAY_MAX } else { SCAN_DELAY_MAX };
        let closed = shared.gate.close();
        closed.wait_until_empty(Instant::now() + delay);
        shared.log.set_restarting(true);
        replicator.run_checkpoint(2 * WRITER_DELAY_MAX);
        shared.log.set_restarting(false);
        drop(closed);
        // Counts the pages that the log has now.
        let passive = self.checkpoint("PASSIVE", Duration::ZERO)?;
        Ok(CheckpointResult { is_blocked: passive.bytes >= RESTART_BYTES, ..passive })
    }

    /// Delays scans until the log can start again. Scans that run end or renew their snapshot meanwhile.
    fn restart_log(&mut self, bytes: u64) -> rusqlite::Result<CheckpointResult> {
        let shared = Arc::clone(&self.shared);
        let delay = if bytes >= SCANS_WAIT_BYTES { BLOCKING_READ_MAX + SCAN_DELAY_MAX } else { SCAN_DELAY_MAX };
        let closed = shared.gate.close();
        let is_empty = closed.wait_until_empty(Instant::now() + delay);
        // The scans were in the way of the first checkpoint. What this one copies, the next need not while it holds the
        // writer.
        self.checkpoint("PASSIVE", Duration::ZERO)?;
        let result = self.checkpoint_with_writer(WRITER_DELAY_MAX)?;
        drop(closed);
        if result.is_blocked && is_empty && result.bytes >= SCANS_WAIT_BYTES {
            self.report_blockage(result.bytes);
        }
        Ok(result)
    }

    /// Copies the rest of the log while the writer waits.
    fn checkpoint_with_writer(&mut self, wait: Duration) -> rusqlite::Result<CheckpointResult> {
        self.shared.log.set_restarting(true);
        let result = self.checkpoint("RESTART", wait);
        self.shared.log.set_restarting(false);
        result
    }

    fn checkpoint(&mut self, mode: &str, wait: Duration) -> rusqlite::Result<CheckpointResult> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connection::connect_checkpointer(&self.shared.files)?,
        };
        connection.busy_timeout(wait)?;
        let frame_bytes = self.shared.log.frame_bytes;
        let run = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            let pages = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
            Ok(CheckpointResult { is_blocked: row.get(0)?, bytes: pages * frame_bytes })
        });
        let result = match run {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                CheckpointResult { is_blocked: true, bytes: self.shared.log.bytes.load(Ordering::Relaxed) }
            }
            other => other?,
        };
        self.connection = Some(connection);
        Ok(result)
    }

    fn note_success(&mut self) {
        if self.shared.log.failures_in_row.swap(0, Ordering::Relaxed) > 0 {
            self.failure_reported = None;
            tracing::info!("checkpoints of the write-ahead log succeed again");
        }
    }

    fn note_failure(&mut self, error: &rusqlite::Error) {
        let log = &self.shared.log;
        log.failures.fetch_add(1, Ordering::Relaxed);
        log.failures_in_row.fetch_add(1, Ordering::Relaxed);
        if is_damage(error) {
            self.shared.report_damage(&format!("found by a checkpoint: {}", describe_damage(error)));
        }
        if is_report_due(&mut self.failure_reported) {
            let [path, _] = self.shared.files.log_paths();
            tracing::error!(
                database = %self.shared.files.database.display(), log = %path.display(), %error,
                failures = log.failures.load(Ordering::Relaxed),
                "THE WRITE-AHEAD LOG CANNOT BE CHECKPOINTED: it grows until the disk is full; check the disk"
            );
        }
    }

    fn report_blockage(&mut self, bytes: u64) {
        if is_report_due(&mut self.blockage_reported) {
            tracing::warn!(bytes, "another program keeps the database open, so the write-ahead log grows");
        }
    }
}

/// Copies the whole log into the database file and cuts the log to nothing, so that neither has content that was overwritten or
/// deleted. Returns false if readers, or another program, use the log: try again later.
pub(crate) fn truncate_log(shared: &SharedState) -> rusqlite::Result<bool> {
    let Some(replicator) = shared.find_replicator() else { return truncate_free_log(shared) };
    // Its read transaction is in the way. It makes a complete copy afterwards, which has nothing of the deleted content.
    let is_truncated = if replicator.detach(DETACH_MAX) { truncate_free_log(shared) } else { Ok(false) };
    replicator.attach(DETACH_MAX);
    is_truncated
}

fn truncate_free_log(shared: &SharedState) -> rusqlite::Result<bool> {
    let closed = shared.gate.close();
    closed.wait_until_empty(Instant::now() + SCAN_DELAY_MAX);
    let connection = connection::connect_checkpointer(&shared.files)?;
    connection.busy_timeout(WRITER_DELAY_MAX)?;
    shared.log.set_restarting(true);
    let run = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    shared.log.set_restarting(false);
    drop(closed);
    match run {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        run => run.map(|is_busy| !is_busy),
    }
}

fn is_report_due(last: &mut Option<Instant>) -> bool {
    let is_due = last.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}
