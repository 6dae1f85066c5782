//! The one SQLite file: rows, SQL, upgrades, the single writer and the readers. The only SQL of the crate is here.
//!
//! A function that changes rows takes `&Tx`; one that reads takes `&Snapshot`, which a `Tx` also is.

pub mod accounts;
pub mod admins;
pub mod api_keys;
pub mod audit;
pub mod backup;
mod batch;
pub mod configurations;
pub mod counts;
mod db;
pub mod events;
pub mod extensions;
mod failure;
pub mod feed_gap;
pub mod feed_positions;
mod figures;
mod files;
pub mod filter_sql;
pub mod held;
pub mod idempotency;
pub mod instance;
mod integrity;
pub mod links;
pub mod members;
pub mod pages;
pub mod passwords;
pub mod people;
pub mod purge;
mod readers;
pub mod requests;
pub mod resources;
pub mod sessions;
mod snapshot;
pub mod sso;
pub mod tokens;
pub mod traffic;
pub mod unique_names;
mod upgrade;
mod value_keys;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use db::OpenError;
pub use figures::Figures;
pub use integrity::{check, check_pages};
pub use snapshot::{Snapshot, Tx};
pub use writer::Undo;

use tokio::sync::watch;

use crate::error::Result;
pub(in crate::store) use failure::violated;
use files::{DataFiles, Lock};
use readers::Pool;
use writer::Writer;

/// Who opens the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The server: makes what is missing, checks the file, and holds the lock for life.
    Serve,
    /// A command that changes data, beside a running server or without one: makes what is missing.
    Command,
    /// A command that only wants what is there: a missing database is an error.
    Existing,
}

/// The open database. A clone is another handle to the same one; the last to go stops the writer.
#[derive(Clone)]
pub struct Store {
    writer: Arc<Writer>,
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    // Last, so that it is released after the writer has closed the file.
    _lock: Arc<Option<Lock>>,
}

/// What the writer, the readers and the background check know of each other.
struct Shared {
    files: DataFiles,
    /// Set once corruption was seen: from then on writes are refused, because an acknowledged write into a broken
    /// file is worse than none.
    corrupt: AtomicBool,
    /// Set when the store closes.
    closing: AtomicBool,
    /// Moves with each commit that has published events.
    events: watch::Sender<u64>,
    counters: figures::Counters,
}

impl Shared {
    fn note_corruption(&self, what: &str) {
        if !self.corrupt.swap(true, Ordering::SeqCst) {
            tracing::error!(
                database = %self.files.database.display(),
                what,
                "THE DATABASE IS CORRUPT: writes are refused from now on; stop the server and restore a backup"
            );
        }
    }

    fn is_corrupt(&self) -> bool {
        self.corrupt.load(Ordering::SeqCst)
    }
}

impl Store {
    /// Opens the database in `data_dir`, made with mode 0700 (the file 0600) where it is missing and `access` allows.
    ///
    /// A file that is corrupt, foreign, newer than this program, or open to others' writing is refused within a second
    /// and left untouched; so is a second server on the same folder. The error names the file and what to do.
    pub fn open(data_dir: &Path, access: Access) -> std::result::Result<Self, OpenError> {
        Self::open_with(data_dir, access, writer::QUEUE_MAX)
    }

    /// The same with so many writes that may wait.
    pub fn open_with(data_dir: &Path, access: Access, writes_waiting: usize) -> std::result::Result<Self, OpenError> {
        let files = DataFiles::prepare(data_dir, access != Access::Existing)?;
        let mut lock = None;
        if access == Access::Serve {
            lock = Some(files.lock()?);
        }
        let connection = db::open(&files, access)?;
        let shared = Arc::new(Shared {
            files,
            corrupt: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            events: watch::Sender::new(0),
            counters: figures::Counters::default(),
        });
        if access == Access::Serve {
            integrity::check_quickly(&connection, &shared)?;
        }
        Ok(Self {
            writer: Arc::new(Writer::start(connection, Arc::clone(&shared), writes_waiting)?),
            pool: Arc::new(Pool::new(Arc::clone(&shared))),
            shared,
            _lock: Arc::new(lock),
        })
    }

    /// Runs `job` on the writer thread, together with others in one transaction, and answers after the commit.
    ///
    /// Errors: the job's own, whose changes are then undone as `undo` says; `Busy` where the queue is full, another
    /// process holds the database, or a neighbour's failure took the transaction down (nothing was written: the call may be
    /// repeated); `DiskFull`; `Database` for what only the operator can mend.
    pub async fn write<T, F>(&self, undo: Undo, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.write(undo, job).await
    }

    /// [`Store::write`] for threads that may wait: the command line and tests, not a worker of the server.
    pub fn write_blocking<T, F>(&self, undo: Undo, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.write_blocking(undo, job)
    }

    /// Reads on the calling thread, over a connection of its own, in one read transaction. For point reads: a call
    /// costs a few microseconds and is not limited in time.
    pub fn read_inline<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        readers::inline(&self.shared, read)
    }

    /// Reads over a pooled connection, in one read transaction of at most 2 s. For scans; blocks, so call it where
    /// blocking is allowed.
    ///
    /// Errors: `ScanTooLong` beyond the limit, `Busy` where no connection came free in time.
    pub fn read_pooled<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.pool.read(read)
    }

    /// Whether writes can be taken: false once the file was found corrupt.
    pub fn is_sound(&self) -> bool {
        !self.shared.is_corrupt()
    }

    /// Changes with each commit of this process that has published events, and with [`Store::wake`].
    pub fn events(&self) -> watch::Receiver<u64> {
        self.shared.events.subscribe()
    }

    /// Wakes who waits for events: another process has written some.
    pub fn wake(&self) {
        self.shared.events.send_modify(|count| *count += 1);
    }

    /// Whether the writer takes writes and answers them, whatever it answers. Waits as long as it does. A file that was
    /// found corrupt is left alone on purpose, and reads go on: that counts as an answer.
    pub async fn is_answering(&self) -> bool {
        !self.is_sound() || self.writer.answers().await
    }

    /// Finishes the writes that are queued, folds the write-ahead log into the file and stops the writer. Later writes
    /// answer `Busy`. The last handle does the same when it goes.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.writer.stop();
    }
}

#[cfg(test)]
mod tests;
