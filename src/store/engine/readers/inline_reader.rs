//! The connections of a thread for inline reads, and the snapshot that an event loop holds from one request to the next.
//!
//! To begin and end a snapshot costs two system calls, and what was read in it need not be read again. So an event loop
//! holds its snapshot until this process commits something, for at most [`HELD_MAX`], and not while the write-ahead log
//! must start again, which no snapshot may use then. Another process sees its commits in all answers after
//! [`HELD_MAX`].
//!
//! The rows of tokens stay in memory for the same time, also after commits of this process that change no such row. So a write,
//! which reads nothing else, needs no snapshot: SQLite opens one with the first statement that reads.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::Result;
use crate::store::SharedState;
use crate::store::engine::connection;
use crate::store::engine::snapshot::ReadLimit;
use crate::store::engine::snapshot::remembered::RememberedValues;

/// How long a snapshot may be used.
pub(crate) const HELD_MAX: Duration = Duration::from_millis(5);

thread_local! {
    static READERS: RefCell<Vec<InlineReader>> = const { RefCell::new(Vec::new()) };
    /// Whether a task ends the snapshots of this thread.
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// A thread's connection to one store. The weak handle detects whether the store is still open, and reserves its
/// address, so that no other store can have the same address.
pub(super) struct InlineReader {
    store: Weak<SharedState>,
    pub(super) connection: Connection,
    pub(super) limit: Arc<ReadLimit>,
    held: Option<HeldSnapshot>,
    pub(super) remembered: RememberedValues,
    memory_start: Option<MemoryStart>,
}

/// An open snapshot.
struct HeldSnapshot {
    /// Commits of this process that it contains at least.
    commits: u64,
    since: Instant,
}

/// From which time on and after which changes of access the remembered values were read.
#[derive(Clone, Copy)]
struct MemoryStart {
    access_changes: u64,
    since: Instant,
}

/// Whether this thread has a connection for inline reads.
pub(crate) fn has_connection(shared: &Arc<SharedState>) -> bool {
    READERS.with_borrow(|readers| readers.iter().any(|reader| reader.is_of(shared)))
}

impl InlineReader {
    /// Takes the reader of this thread, or opens one.
    pub(super) fn take(shared: &Arc<SharedState>) -> Result<Self> {
        let found = READERS.with_borrow_mut(|readers| {
            if let Some(at) = readers.iter().position(|reader| reader.is_of(shared)) {
                return Some(readers.swap_remove(at));
            }
            readers.retain(|reader| reader.store.strong_count() > 0);
            None
        });
        if let Some(reader) = found {
            return Ok(reader);
        }
        // A new connection would open whatever file is at the path.
        shared.check_file()?;
        let connection = connection::connect_reader(&shared.files)?;
        let limit = ReadLimit::attach(&connection)?;
        let (store, remembered) = (Arc::downgrade(shared), RememberedValues::default());
        Ok(Self { store, connection, limit, held: None, remembered, memory_start: None })
    }

    fn is_of(&self, shared: &Arc<SharedState>) -> bool {
        std::ptr::eq(self.store.as_ptr(), Arc::as_ptr(shared))
    }

    /// Begins a snapshot that contains these commits of this process, or continues in the open one. What is remembered is
    /// forgotten after another change of access.
    pub(super) fn begin(&mut self, commits: u64, access_changes: u64) -> Result<()> {
        let now = Instant::now();
        let is_recent = |since: Instant| now.duration_since(since) < HELD_MAX;
        let since = match &self.held {
            Some(held) if held.commits == commits && is_recent(held.since) => held.since,
            _ => {
                self.end_snapshot()?;
                self.connection.prepare_cached("BEGIN")?.execute([])?;
                self.held = Some(HeldSnapshot { commits, since: now });
                now
            }
        };
        let is_valid = |start: MemoryStart| start.access_changes == access_changes && is_recent(start.since);
        if !self.memory_start.is_some_and(is_valid) {
            self.forget();
            self.memory_start = Some(MemoryStart { access_changes, since });
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.memory_start = None;
        self.remembered.clear();
    }

    /// Ends the snapshot, and forgets what was read.
    pub(super) fn end(&mut self) -> Result<()> {
        self.forget();
        self.end_snapshot()
    }

    fn end_snapshot(&mut self) -> Result<()> {
        self.held = None;
        if !self.connection.is_autocommit() {
            self.connection.prepare_cached("COMMIT")?.execute([])?;
        }
        Ok(())
    }

    /// Gives the reader back to its thread. An open snapshot is ended in time.
    pub(super) fn give_back(mut self) -> Result<()> {
        if self.held.is_some() && !watch_snapshots() {
            self.end()?;
        }
        READERS.with_borrow_mut(|readers| readers.push(self));
        Ok(())
    }
}

/// Starts a task that ends the snapshots of this thread, if there is none. Returns whether there is one.
fn watch_snapshots() -> bool {
    if IS_WATCHED.get() {
        return true;
    }
    // A task of another kind of runtime could run on another thread.
    let runtime = Handle::try_current().ok().filter(|handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread);
    let Some(runtime) = runtime else { return false };
    IS_WATCHED.set(true);
    runtime.spawn(end_old_snapshots());
    true
}

async fn end_old_snapshots() {
    loop {
        tokio::time::sleep(HELD_MAX).await;
        let are_held = READERS.with_borrow_mut(|readers| {
            // A connection whose snapshot cannot be ended is closed.
            readers.retain_mut(|reader| match &reader.held {
                Some(held) if held.since.elapsed() >= HELD_MAX => reader.end().is_ok(),
                _ => true,
            });
            readers.iter().any(|reader| reader.held.is_some())
        });
        if !are_held {
            IS_WATCHED.set(false);
            return;
        }
    }
}
