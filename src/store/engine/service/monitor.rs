//! What the store observes about its files and its disk, and the state that follows from it. A thread looks once a second;
//! the writer looks before it acknowledges.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::{Error, Reason};
use crate::model::service_state::{FileSighting, ReadOnlyCause, ServiceState, StoreObservations, decide_state};
use crate::store::SharedState;
use crate::store::engine::connection;
use crate::store::engine::files::DataFiles;
use crate::store::engine::open_error::OpenError;
use crate::store::engine::service::disk_reserve::DiskReserve;
use crate::store::engine::service::disk_space::DiskSpace;
use crate::store::engine::service::file_lengths::FileLengths;
use crate::store::engine::service::file_watch::FileWatch;

/// Interval of the looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest time between two looks at the free space of a full disk.
const SPACE_INTERVAL: Duration = Duration::from_millis(100);

/// The observations of one open store.
#[derive(Debug)]
pub(crate) struct ServiceMonitor {
    pub(crate) files: FileWatch,
    lengths: FileLengths,
    reserve: DiskReserve,
    is_damaged: AtomicBool,
    is_disk_full: AtomicBool,
    space_read_at: Mutex<Instant>,
    #[cfg(test)]
    is_pretending: AtomicBool,
}

impl ServiceMonitor {
    pub(crate) fn new(files: &DataFiles) -> Self {
        Self {
            files: FileWatch::default(),
            lengths: FileLengths::default(),
            reserve: DiskReserve::new(files),
            is_damaged: AtomicBool::new(false),
            is_disk_full: AtomicBool::new(false),
            space_read_at: Mutex::new(Instant::now()),
            #[cfg(test)]
            is_pretending: AtomicBool::new(false),
        }
    }

    /// Watches the files at the paths, which the writer has just opened.
    pub(crate) fn watch_files(&self, files: &DataFiles) {
        self.files.start(files);
        self.lengths.start(files);
    }

    /// Records damage. Returns whether it is the first.
    pub(crate) fn record_damage(&self) -> bool {
        !self.is_damaged.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::SeqCst)
    }

    pub(crate) fn is_disk_full(&self) -> bool {
        self.is_disk_full.load(Ordering::SeqCst)
    }

    /// Whether the disk has so little space that an error of the disk means that it is full.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.reserve.read_space().is_some_and(DiskSpace::is_exhausted)
    }

    /// Free bytes of the disk of the data folder.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        self.reserve.read_space().map(|space| space.free)
    }

    #[cfg(test)]
    pub(crate) fn pretend_full_disk(&self) {
        self.is_pretending.store(true, Ordering::SeqCst);
        self.is_disk_full.store(true, Ordering::SeqCst);
    }

    /// Looks at the disk. If it has little space and the reserve is not there, what is free is the rest of the reserve,
    /// which only deletions may use.
    pub(crate) fn observe_disk(&self) {
        if self.reserve.read_space().is_some_and(|space| space.is_low() && !self.reserve.is_occupied(space)) {
            self.is_disk_full.store(true, Ordering::SeqCst);
        }
    }

    /// Frees the reserve if the disk has no space for an open database. Returns whether the reserve was freed.
    pub(crate) fn prepare_opening(&self) -> bool {
        if self.reserve.read_space().is_some_and(DiskSpace::is_exhausted) {
            self.is_disk_full.store(true, Ordering::SeqCst);
            return self.reserve.release();
        }
        false
    }

    /// Occupies the reserve again, because the database cannot be opened on the full disk.
    pub(crate) fn reoccupy_reserve(&self) {
        self.reserve.reoccupy();
    }

    /// Logs that the server was started on a full disk.
    pub(crate) fn report_full_disk(&self, files: &DataFiles) {
        if self.is_disk_full() {
            tracing::error!(
                folder = %files.directory.display(), free_bytes = self.reserve.read_space().map(|space| space.free),
                "THE DISK IS FULL: the server starts and serves reads and deletions; free some space"
            );
        }
    }

    /// Records that a write found no space. A limit that is not that of the disk does not change the state. Returns whether
    /// the reserve was freed: then a write that frees space can run again.
    pub(crate) fn record_full_disk(&self, files: &DataFiles) -> bool {
        let Some(space) = self.reserve.read_space().filter(|space| space.is_low()) else { return false };
        if !self.is_disk_full.swap(true, Ordering::SeqCst) {
            tracing::error!(
                folder = %files.directory.display(), free_bytes = space.free,
                "THE DISK IS FULL: only writes that free space are accepted; free some space"
            );
        }
        self.reserve.release()
    }

    /// Restores the reserve. Then the disk is not full any more.
    pub(crate) fn restore_reserve(&self, files: &DataFiles) {
        let is_restored = self.reserve.restore(files);
        #[cfg(test)]
        if self.is_pretending.load(Ordering::SeqCst) {
            return;
        }
        if is_restored && self.is_disk_full.swap(false, Ordering::SeqCst) {
            tracing::info!("the disk has space again");
        }
    }

    /// Looks whether a full disk has space again, at most ten times a second.
    pub(crate) fn refresh_space(&self, files: &DataFiles) {
        if !self.is_disk_full() {
            return;
        }
        {
            let mut read_at = self.space_read_at.lock().unwrap_or_else(PoisonError::into_inner);
            if read_at.elapsed() < SPACE_INTERVAL {
                return;
            }
            *read_at = Instant::now();
        }
        self.restore_reserve(files);
    }
}

/// Returns the error of a write that this state rejects.
pub(crate) fn refuse_write(cause: ReadOnlyCause) -> Error {
    Error::new(match cause {
        ReadOnlyCause::FileMissing => Reason::DatabaseFileMissing,
        ReadOnlyCause::FileReplaced => Reason::DatabaseFileReplaced,
        ReadOnlyCause::Damaged => Reason::DatabaseDamaged,
        ReadOnlyCause::DiskFull => Reason::DiskFull,
        ReadOnlyCause::Stalled => Reason::DiskStalled,
        ReadOnlyCause::CheckpointFailing => Reason::CheckpointFailing,
        ReadOnlyCause::LeaseLost => Reason::LeaseLost,
    })
}

impl SharedState {
    /// The state of the store at present.
    pub(crate) fn service_state(&self) -> ServiceState {
        decide_state(&StoreObservations {
            file: self.service.files.sighting(),
            is_damaged: self.service.is_damaged(),
            is_disk_full: self.service.is_disk_full(),
            stalled_for: self.queue.stalled_for(),
            is_checkpoint_failing: self.log.figures().is_failing,
            is_lease_lost: !self.has_permit(),
        })
    }

    /// Why no write at all is accepted. A full disk accepts those that free space, which only the write itself knows.
    pub(crate) fn find_refusal(&self) -> Option<ReadOnlyCause> {
        self.service_state().cause().filter(|cause| *cause != ReadOnlyCause::DiskFull)
    }

    /// Whether writes may be accepted and acknowledged at this time: always, unless a lease is needed.
    pub(crate) fn has_permit(&self) -> bool {
        self.permit.get().is_none_or(|permit| permit.is_valid())
    }

    /// Whether the open files are still at their paths, after a commit.
    pub(crate) fn is_file_unmoved(&self) -> bool {
        self.service.files.look_after_change(&self.files) == FileSighting::Same
    }

    /// Looks whether another program has truncated an open file, and records it as damage.
    pub(crate) fn look_for_truncation(&self) {
        if self.service.is_damaged() {
            return;
        }
        let is_same = || self.service.files.look(&self.files) == FileSighting::Same;
        let needed_bytes = || {
            // Another file is not opened, and says nothing about this one.
            if !is_same() {
                return Some(0);
            }
            let pages = connection::connect_checkpointer(&self.files).and_then(|open| count_pages(&open)).ok()?;
            Some(pages * self.log.page_bytes())
        };
        if let Some(file) = self.service.lengths.find_truncated(&self.files, needed_bytes).filter(|_| is_same()) {
            self.report_damage(&format!("another program has truncated the {file}"));
        }
    }

    /// Whether a log that was empty before this commit began with its pages. Otherwise its content was removed by another
    /// program, and the pages have no beginning; this is recorded as damage.
    pub(crate) fn check_log_after_commit(&self, log_bytes: u64) -> bool {
        let is_complete = self.service.lengths.record_commit(&self.files, log_bytes);
        if !is_complete {
            self.report_damage("another program has emptied the write-ahead log");
        }
        is_complete
    }

    /// The error of a read that would open another file.
    pub(crate) fn check_file(&self) -> Result<(), Error> {
        match self.service.files.sighting() {
            FileSighting::Same => Ok(()),
            FileSighting::Missing => Err(refuse_write(ReadOnlyCause::FileMissing)),
            FileSighting::Replaced => Err(refuse_write(ReadOnlyCause::FileReplaced)),
        }
    }
}

fn count_pages(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("PRAGMA page_count", [], |row| row.get::<_, u32>(0)).map(u64::from)
}

/// Starts the thread that looks once a second. It ends after the store is closed.
pub(crate) fn start_monitor(shared: &Arc<SharedState>) -> Result<(), OpenError> {
    let observed = Arc::downgrade(shared);
    let run = move || {
        let mut reported = ServiceState::Ready;
        while let Some(shared) = observed.upgrade().filter(|shared| !shared.closing.load(Ordering::SeqCst)) {
            shared.service.files.look(&shared.files);
            shared.look_for_truncation();
            shared.service.restore_reserve(&shared.files);
            report_change(&mut reported, shared.service_state());
            drop(shared);
            thread::sleep(LOOK_INTERVAL);
        }
    };
    let spawned = thread::Builder::new().name("rollcall-monitor".into()).spawn(run);
    spawned.map(drop).map_err(|error| OpenError::io("start the monitor of", &shared.files.database, error))
}

fn report_change(reported: &mut ServiceState, state: ServiceState) {
    if *reported == state {
        return;
    }
    *reported = state;
    if let Some(cause) = state.cause() {
        let (next_step, problem) = (cause.next_step(), cause.describe());
        tracing::error!(state = state.as_str(), next_step, "THE SERVER IS READ-ONLY: {problem}");
    } else {
        tracing::info!(state = state.as_str(), "the server accepts writes again");
    }
}
