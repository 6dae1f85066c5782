//! The SQLite database: rows, SQL, upgrades, the single writer and the readers. All SQL of the crate is in this module.
//!
//! A function that changes rows takes `&Tx`. A function that only reads takes `&Snapshot`, and a `Tx` dereferences to
//! one.

pub mod filter_sql;

use crate::store::engine::connection;
use crate::store::engine::database::{self, OpenedDatabase};
use crate::store::engine::integrity;
use crate::store::engine::integrity::log_scan;
use crate::store::engine::statistics;
use crate::store::engine::writer;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

pub use crate::store::engine::open_error::OpenError;
pub use crate::store::engine::owner::WorkOwner;
use crate::store::engine::queued_write::Isolation;
use crate::store::engine::readers::inline_reader;
use crate::store::engine::readers::{self, CancelOnDrop, ReadCancellation, ReaderPool};
pub use crate::store::engine::snapshot::{Snapshot, Tx};
pub use crate::store::engine::statistics::StoreStatistics;
pub(crate) use crate::store::engine::work_queue::WorkPermit;

use rusqlite::Connection;
use tokio::sync::watch;

use crate::clock::{self, Millis};
use crate::error::Result;
use crate::model::quota::QuotaDefaults;
use crate::model::service_state::{FileSighting, ReadOnlyCause, ServiceState};
use crate::store::engine::checkpointer::{self, Checkpointer, LogMonitor};
use crate::store::engine::files::{DataFiles, ServerLock};
use crate::store::engine::integrity::scrub::{ScrubMonitor, Scrubber};
use crate::store::engine::service::monitor::{self, ServiceMonitor};
use crate::store::engine::snapshot_gate::SnapshotGate;
pub(in crate::store) use crate::store::engine::sqlite_errors::find_violated_columns;
use crate::store::engine::work_queue::{BULK_JOBS_AT_ONCE, DOCUMENTS_MAX, SCANS_MAX, WorkQueue};
use crate::store::engine::write_queue::WriteQueue;
use crate::store::engine::writer::Writer;
use crate::store::recent_use::RecentUse;
pub use crate::store::replication::LogReplicator;
use crate::store::replication::confirmation::Confirmer;
pub use crate::store::write_permit::WritePermit;

/// Age of the oldest waiting write from which the store is under pressure.
const PRESSURE_AGE: Duration = Duration::from_millis(500);

/// How the store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// The server: creates missing files, checks the database, and holds the server lock until the store is closed.
    Serve,
    /// A command that changes data, with or without a running server: creates missing files.
    Command,
    /// A command that needs an existing database: a missing one is an error.
    Existing,
}

/// The open database. A clone is another handle to the same database. Dropping the last handle stops the writer.
#[derive(Clone)]
pub struct Store {
    writer: Arc<Writer>,
    shared: Arc<SharedState>,
    pool: Arc<ReaderPool>,
    scans: Arc<WorkQueue>,
    documents: Arc<WorkQueue>,
    bulk_jobs: Arc<WorkQueue>,
    scrubber: Arc<Mutex<Option<Scrubber>>>,
    // Declared last, so that it is released after the writer has closed the file.
    lock: Arc<Option<ServerLock>>,
}

/// State shared by the writer, the readers and the background check.
pub(crate) struct SharedState {
    files: DataFiles,
    /// What the state of the service follows from.
    service: ServiceMonitor,
    queue: Arc<WriteQueue>,
    /// Set when a page of Litestream was found, which has no checksum.
    has_foreign_pages: AtomicBool,
    /// Set when the store is closing.
    closing: AtomicBool,
    /// Transactions that this process has committed, or tried to commit.
    commits: AtomicU64,
    /// Those of them that may have changed tokens, configurations or OAuth clients. Increases in front of their results.
    access_changes: AtomicU64,
    /// Those that changed something.
    changes: AtomicU64,
    /// The program that copies the write-ahead log, if the database is replicated.
    replicator: OnceLock<Arc<dyn LogReplicator>>,
    /// Until when writes are accepted, if the server needs a lease.
    permit: OnceLock<Arc<WritePermit>>,
    /// Set if a write is acknowledged only after it is in the replica.
    confirmer: OnceLock<Confirmer>,
    /// Changes with each commit that published events.
    events: watch::Sender<u64>,
    counters: statistics::WriterCounters,
    log: LogMonitor,
    gate: SnapshotGate,
    scrub: ScrubMonitor,
    quota_defaults: RwLock<QuotaDefaults>,
    recent_use: RecentUse,
}

impl SharedState {
    /// The state of a store that was just opened over this connection of the writer.
    fn new(
        files: DataFiles,
        service: ServiceMonitor,
        connection: &Connection,
        queue_limit: usize,
    ) -> std::result::Result<Self, OpenError> {
        let failed = |error| OpenError::sqlite(&files.database, error);
        Ok(Self {
            log: LogMonitor::new(connection).map_err(failed)?,
            scrub: ScrubMonitor::new(connection).map_err(failed)?,
            files,
            service,
            queue: Arc::new(WriteQueue::new(queue_limit)),
            has_foreign_pages: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            access_changes: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            replicator: OnceLock::new(),
            permit: OnceLock::new(),
            confirmer: OnceLock::new(),
            events: watch::Sender::new(0),
            counters: statistics::WriterCounters::default(),
            gate: SnapshotGate::default(),
            quota_defaults: RwLock::new(database::read_quota_defaults(connection)),
            recent_use: RecentUse::default(),
        })
    }

    /// Records damage. From then on writes are rejected, because an acknowledged write into a damaged file is worse than
    /// an error.
    fn report_damage(&self, what: &str) {
        if self.service.is_damaged() {
            return;
        }
        // Litestream may have been started after the server.
        if connection::detect_replication(&self.files.database) && !self.has_foreign_pages.swap(true, Ordering::SeqCst)
        {
            tracing::warn!(what, "Litestream writes pages without checksums: they are not verified from now on");
            return;
        }
        if self.service.record_damage() {
            tracing::error!(
                database = %self.files.database.display(),
                what,
                "THE DATABASE IS CORRUPT: writes are rejected from now on; stop the server and restore a backup"
            );
        }
    }

    fn recent_use(&self) -> &RecentUse {
        &self.recent_use
    }

    /// The program that copies the write-ahead log, if it runs.
    fn find_replicator(&self) -> Option<&Arc<dyn LogReplicator>> {
        self.replicator.get().filter(|replicator| replicator.is_running())
    }

    fn quota_defaults(&self) -> QuotaDefaults {
        *self.quota_defaults.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Opens the database for the server, and holds the server lock until the store is closed. Creates a missing folder
    /// with mode 0700 and a missing file with mode 0600.
    ///
    /// # Errors
    /// Fails within a second, and leaves the file unchanged, if the file is corrupt, not a Rollcall database, newer
    /// than this program, or writable by other users, or if a second server uses the same folder. The error names the
    /// file and the fix.
    pub fn open_for_server(data_dir: &Path) -> std::result::Result<Self, OpenError> {
        Self::open_for_server_with(data_dir, writer::QUEUE_MAX)
    }

    /// Like [`Store::open_for_server`], with a limit on the number of queued writes.
    pub fn open_for_server_with(data_dir: &Path, queue_limit: usize) -> std::result::Result<Self, OpenError> {
        Self::open(data_dir, OpenMode::Serve, queue_limit)
    }

    /// Opens the database for a command that changes data, with or without a running server. Creates what is missing;
    /// the errors are those of [`Store::open_for_server`].
    pub fn open_for_command(data_dir: &Path) -> std::result::Result<Self, OpenError> {
        Self::open(data_dir, OpenMode::Command, writer::QUEUE_MAX)
    }

    /// Opens the database for a command that needs an existing one: a missing file is an error.
    pub fn open_existing(data_dir: &Path) -> std::result::Result<Self, OpenError> {
        Self::open(data_dir, OpenMode::Existing, writer::QUEUE_MAX)
    }

    fn open(data_dir: &Path, access: OpenMode, queue_limit: usize) -> std::result::Result<Self, OpenError> {
        let files = DataFiles::prepare(data_dir, access != OpenMode::Existing)?;
        let mut lock = None;
        if access == OpenMode::Serve {
            files.report_folder_mode();
            lock = Some(files.lock()?);
        } else if let Some(offset) = files.find_held_offset() {
            clock::follow_server(offset);
        }
        let service = ServiceMonitor::new(&files);
        service.observe_disk();
        let is_reserve_freed = access == OpenMode::Serve && service.prepare_opening();
        let opened = log_scan::refuse_damaged_log(&files, lock.as_ref())
            .and_then(|()| database::open_database(&files, access))
            .inspect_err(|_| {
                if is_reserve_freed {
                    service.reoccupy_reserve();
                }
            });
        let OpenedDatabase { writer: connection, is_new } = opened?;
        if let Some(lock) = lock.as_ref() {
            lock.record_boot();
        }
        let shared = Arc::new(SharedState::new(files, service, &connection, queue_limit)?);
        if access == OpenMode::Serve {
            integrity::run_quick_check(&connection, &shared)?;
            // A new database has the schema of this version, as the one to compare it with would have.
            if !is_new {
                integrity::check_schema(&connection, &shared)?;
            }
            shared.service.report_full_disk(&shared.files);
            shared.service.watch_files(&shared.files);
            monitor::start_monitor(&shared)?;
        }
        if access != OpenMode::Serve {
            connection::leave_log_to_replication(&connection);
        }
        let checkpointer = if access == OpenMode::Serve { Some(Checkpointer::start(&shared)?) } else { None };
        let writer = Writer::start(connection, Arc::clone(&shared), queue_limit, checkpointer)?;
        let store = Self::with_writer(writer, shared, lock);
        if access == OpenMode::Serve {
            store.pool.open_first();
        }
        Ok(store)
    }

    fn with_writer(writer: Writer, shared: Arc<SharedState>, lock: Option<ServerLock>) -> Self {
        Self {
            writer: Arc::new(writer),
            pool: Arc::new(ReaderPool::new(Arc::clone(&shared))),
            scans: Arc::new(WorkQueue::for_scans()),
            documents: Arc::new(WorkQueue::for_documents()),
            bulk_jobs: Arc::new(WorkQueue::for_bulk_jobs()),
            shared,
            lock: Arc::new(lock),
            scrubber: Arc::default(),
        }
    }

    /// Runs `job` on the writer thread, in one transaction with the other queued writes, and returns its result after the
    /// commit. A savepoint isolates it: after an error of `job` its changes are undone and the other writes continue. If
    /// the transaction is rolled back because of another write, `job` runs again. It belongs to the management lane.
    ///
    /// # Errors
    /// The error of `job`; `Unavailable` if the share of the owner in the queue is full, another process holds the database, or the transaction failed
    /// because of another write (nothing was written, the call can be repeated); `DiskFull`; `DatabaseUnavailable` if the operator
    /// must act.
    pub async fn write<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.write(WorkOwner::Management, Isolation::Savepoint, job).await
    }

    /// Like [`Store::write`], for another owner than the management lane.
    pub async fn write_as<T, F>(&self, owner: WorkOwner, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.write(owner, Isolation::Savepoint, job).await
    }

    /// Like [`Store::write_as`] without a savepoint, which saves some microseconds. For jobs that return an error only
    /// before their first change: an error after it rolls the whole transaction back, and the other writes run again. They
    /// change resources only: no tokens, configurations and OAuth clients, which event loops remember.
    pub async fn write_without_savepoint<T, F>(&self, owner: WorkOwner, mut job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let declared = move |tx: &Tx<'_>| {
            tx.declare_access_unchanged();
            job(tx)
        };
        self.writer.write(owner, Isolation::None, declared).await
    }

    /// [`Store::write`] for threads that may block: the command line and tests, not a server worker.
    pub fn write_blocking<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.run_blocking_write(Isolation::Savepoint, job)
    }

    /// [`Store::write_without_savepoint`] for threads that may block.
    pub fn write_blocking_without_savepoint<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.run_blocking_write(Isolation::None, job)
    }

    /// In a command, waits until a running server uses no snapshot from before the commit, so that the change has an
    /// effect when the command reports it.
    fn run_blocking_write<T, F>(&self, isolation: Isolation, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let written = self.writer.write_blocking(WorkOwner::Management, isolation, job);
        if written.is_ok() && self.lock.is_none() {
            thread::sleep(2 * inline_reader::HELD_MAX);
        }
        written
    }

    /// Reads in one read transaction, over the calling thread's own connection. For point reads: a call takes a few
    /// microseconds.
    ///
    /// # Errors
    /// `QueryTooLong` after 100 ms on an event loop, after 2 s on other threads.
    pub fn read_inline<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        // Without a connection of its own, the thread reads a file that was moved away over an open one of the pool.
        if self.shared.service.files.sighting() != FileSighting::Same && !inline_reader::has_connection(&self.shared) {
            return self.read_pooled(read);
        }
        readers::read_inline(&self.shared, read)
    }

    /// Maximum number of concurrent scans.
    pub const SCANS_MAX: usize = SCANS_MAX;
    /// Maximum number of large documents that are processed at the same time.
    pub const DOCUMENTS_MAX: usize = DOCUMENTS_MAX;
    /// Maximum number of Bulk requests of one account that run at the same time.
    pub const BULK_JOBS_AT_ONCE: usize = BULK_JOBS_AT_ONCE;

    /// Marks the calling thread as an event loop.
    pub fn mark_event_loop() {
        readers::mark_event_loop();
    }

    /// Waits until a scan of this owner may run. The scan ends when the permit is dropped, and its time counts for the
    /// share of the owner.
    ///
    /// # Errors
    /// `QueriesLimited` if too many scans of the owner wait, `ServerBusy` if none may start within 10 s.
    pub(crate) async fn admit_scan(&self, owner: WorkOwner) -> Result<WorkPermit> {
        WorkQueue::admit(&self.scans, owner).await
    }

    /// Waits until a large document of this owner may be processed. This ends when the permit is dropped, and its time
    /// counts for the share of the owner.
    ///
    /// # Errors
    /// `RequestsLimited` if too many documents of the owner wait, `ServerBusy` if none may start within 10 s.
    pub(crate) async fn admit_document(&self, owner: WorkOwner) -> Result<WorkPermit> {
        WorkQueue::admit(&self.documents, owner).await
    }

    /// Waits until a Bulk request of this owner may run. The next one starts when the permit is dropped.
    ///
    /// # Errors
    /// `BulkJobsLimited` if too many of the owner, or of its account, wait, or after the longest wait.
    pub(crate) async fn admit_bulk_job(&self, owner: WorkOwner) -> Result<WorkPermit> {
        WorkQueue::admit(&self.bulk_jobs, owner).await
    }

    /// Reads in one read transaction of at most 2 s, over a pooled connection. For scans. Blocks the calling thread.
    ///
    /// # Errors
    /// `QueryTooLong` if the read exceeds the limit, `Unavailable` if no connection is available in time.
    pub fn read_pooled<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.read_until_cancelled(&ReadCancellation::default(), read)
    }

    /// Returns a cancellation for a read, and the part that cancels it when it is dropped.
    pub(crate) fn create_cancellation() -> (ReadCancellation, CancelOnDrop) {
        let cancellation = ReadCancellation::default();
        (cancellation.clone(), CancelOnDrop(cancellation))
    }

    /// Like [`Store::read_pooled`]. The read ends early when it is cancelled.
    ///
    /// # Errors
    /// Those of [`Store::read_pooled`]; `QueryTooLong` if it was cancelled.
    pub(crate) fn read_until_cancelled<T>(
        &self,
        cancellation: &ReadCancellation,
        read: impl FnOnce(&Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        self.pool.read((cancellation, readers::BLOCKING_READ_MAX), read)
    }

    /// Like [`Store::read_until_cancelled`], for what a write needs. At most 10 s.
    ///
    /// # Errors
    /// `ServerBusy` if the read exceeds the limit: the same write can succeed later. Those of
    /// [`Store::read_until_cancelled`].
    pub(crate) fn read_for_write<T>(
        &self,
        cancellation: &ReadCancellation,
        read: impl FnOnce(&Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        self.pool.read((cancellation, readers::WRITE_READ_MAX), read).map_err(readers::without_query_limit)
    }

    /// [`Store::read_inline`] for what a write needs.
    ///
    /// # Errors
    /// `ServerBusy` after 100 ms on an event loop, after 2 s on other threads.
    pub(crate) fn read_inline_for_write<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.read_inline(read).map_err(readers::without_query_limit)
    }

    /// Sets the limits of configurations and accounts without limits of their own, for the writes of this process from
    /// now on. A process that opens the database starts with the limits that are stored in it.
    pub fn set_quota_defaults(&self, defaults: QuotaDefaults) {
        *self.shared.quota_defaults.write().unwrap_or_else(PoisonError::into_inner) = defaults;
    }

    /// Uses of configurations, tokens and API keys that are not stored yet. Reads of this process include them.
    pub fn recent_use(&self) -> &RecentUse {
        &self.shared.recent_use
    }

    /// Whether the store accepts writes, and why not.
    pub fn service_state(&self) -> ServiceState {
        self.shared.service_state()
    }

    /// The database file.
    pub fn database_file(&self) -> &Path {
        &self.shared.files.database
    }

    /// The data folder, and the free bytes of its disk.
    pub fn read_space(&self) -> (&Path, Option<u64>) {
        (&self.shared.files.directory, self.shared.service.free_bytes())
    }

    /// Whether no damage was found.
    pub fn is_intact(&self) -> bool {
        !self.shared.service.is_damaged()
    }

    /// Records damage that was found outside the writer and the readers. Writes are rejected from then on.
    pub fn report_damage(&self, detail: &str) {
        self.shared.report_damage(detail);
    }

    /// Changes with each commit of this process that has published events, and when another process has written some.
    pub fn subscribe_to_events(&self) -> watch::Receiver<u64> {
        self.shared.events.subscribe()
    }

    /// Wakes the tasks that wait for events, because another process has written some.
    pub fn notify_event_waiters(&self) {
        self.shared.events.send_modify(|count| *count += 1);
    }

    /// How many writes of one owner the queue accepts in any case, however many writes of others wait.
    pub fn smallest_write_share(&self) -> usize {
        self.writer.smallest_share()
    }

    /// Whether writes wait so long, or the write-ahead log is so large, that only important data should be written.
    pub fn is_under_pressure(&self) -> bool {
        self.writer.oldest_age() > PRESSURE_AGE || self.shared.log.is_large()
    }

    /// Whether the writer completes writes, with any result. Waits until it does. Returns true if writes are rejected on
    /// purpose and a restart would not help: reads continue.
    pub async fn is_responsive(&self) -> bool {
        match self.service_state() {
            ServiceState::Ready => self.writer.is_responsive().await,
            ServiceState::ReadOnly(cause) => cause != ReadOnlyCause::Stalled,
        }
    }

    /// Reads all pages of the database file once a day, at most this number of bytes per second, until the store is closed.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start_scrub(&self, bytes_per_second: u64) -> std::result::Result<(), OpenError> {
        let started = Scrubber::start(&self.shared, bytes_per_second)?;
        *self.scrubber.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        Ok(())
    }

    /// Copies the whole write-ahead log into the database file and cuts it to nothing. From then on the files have nothing that
    /// was deleted by earlier commits. Returns false if readers use the log: try again later. Blocks the calling thread for
    /// some 100 ms; with a replica for the time that it needs for its last changes.
    ///
    /// # Errors
    /// The files cannot be read or written.
    pub fn truncate_log(&self) -> Result<bool> {
        Ok(checkpointer::truncate_log(&self.shared)?)
    }

    /// Records the time of this server for commands, while it does not follow a leap of the system clock.
    pub fn record_held_offset(&self, held_offset: Option<Millis>) {
        if let Some(lock) = self.lock.as_ref() {
            lock.record(held_offset);
        }
    }

    /// Completes the queued writes, checkpoints the write-ahead log and stops the writer. Later writes return `Unavailable`.
    /// Dropping the last handle does the same.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        drop(self.scrubber.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.writer.stop();
        let is_unmoved = self.shared.service.files.sighting() == FileSighting::Same;
        if self.lock.is_some() && is_unmoved {
            // The space that the log has used must be there at the next start.
            self.shared.service.restore_reserve(&self.shared.files);
        }
    }
}

pub mod engine;
#[expect(unsafe_code, reason = "SQLite calls file access through C functions")]
pub mod page_checksums;
mod pending;
pub mod recent_use;
mod replication;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod tables;
#[cfg(test)]
mod tests;
mod write_permit;
