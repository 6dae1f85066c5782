//! The store from outside: opening, writing, reading. Each test has a folder of its own.

mod opening;
mod reading;
mod writing;

use std::path::Path;

use tempfile::TempDir;

use super::{Access, OpenError, Snapshot, Store, Tx, Undo, instance};
use crate::error::{Error, Result};

struct Fixture {
    store: Store,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Access::Serve).unwrap();
        Self { store, folder }
    }

    fn set(&self, key: &'static str) -> Result<()> {
        self.store.write_blocking(Undo::Unneeded, set(key))
    }

    /// Whether the row is committed, seen over another connection.
    fn has(&self, key: &str) -> bool {
        self.store.read_inline(|snapshot| instance::get(snapshot, key)).unwrap().is_some()
    }
}

/// A write that leaves one row.
fn set(key: &'static str) -> impl FnOnce(&Tx<'_>) -> Result<()> + Send + 'static {
    move |tx| instance::set(tx, key, "x")
}

fn database(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("rollcall.db")
}

fn open_error(folder: &Path, access: Access) -> OpenError {
    match Store::open(folder, access) {
        Ok(_) => panic!("the store opened"),
        Err(error) => error,
    }
}
