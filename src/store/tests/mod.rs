//! Tests of the store's API: opening, writing, reading. Each test has its own folder.

mod checkpoints;
mod damage;
mod held_snapshots;
mod opening;
mod reading;
mod sharing;
mod truncation;
mod usage;
mod writing;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::model::service_state::{ReadOnlyCause, ServiceState};
use crate::store::engine::writer::QUEUE_MAX;
use crate::store::tables::instance;
use crate::store::{Isolation, OpenError, OpenMode, Snapshot, Store, Tx, WorkOwner};

struct Fixture {
    store: Store,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_server(folder.path()).unwrap();
        Self { store, folder }
    }

    fn set(&self, key: &'static str) -> Result<()> {
        self.store.write_blocking_without_savepoint(set(key))
    }

    /// Whether the row is committed, read over another connection.
    fn has(&self, key: &str) -> bool {
        self.store.read_inline(|snapshot| instance::get_value(snapshot, key)).unwrap().is_some()
    }
}

impl Snapshot<'_> {
    /// Runs a read, and returns how many thousand instructions of SQLite it took.
    pub(crate) fn count_instructions<T>(&self, read: impl FnOnce(&Self) -> Result<T>) -> Result<(T, u64)> {
        let steps = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&steps);
        let count = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        self.connection().progress_handler(1_000, Some(count))?;
        let found = read(self);
        self.connection().progress_handler(0, None::<fn() -> bool>)?;
        Ok((found?, steps.load(Ordering::Relaxed)))
    }
}

/// A write that inserts one row.
fn set(key: &'static str) -> impl Fn(&Tx<'_>) -> Result<()> + Send + 'static {
    move |tx| instance::set_value(tx, key, "x")
}

/// The number of rows that tests have inserted.
fn count_rows(snapshot: &Snapshot<'_>) -> Result<i64> {
    let sql = "SELECT count(*) FROM instance WHERE key NOT IN ('upgraded_by', 'database_id', 'feed_id')";
    Ok(snapshot.connection().query_row(sql, [], |row| row.get(0))?)
}

fn database(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("rollcall.db")
}

fn open_error(folder: &Path, access: OpenMode) -> OpenError {
    match Store::open(folder, access, QUEUE_MAX) {
        Ok(_) => panic!("the store opened"),
        Err(error) => error,
    }
}
