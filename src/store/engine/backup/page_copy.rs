//! The first step of a backup: a copy of the pages.
//!
//! While a snapshot is open, the write-ahead log cannot start again. A copy of the pages is the fastest way to read
//! everything, so that the snapshot is open for a short time. The slow steps (leaving out the request log, removing free
//! pages, the check) read the copy.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::store::engine::backup::{BackupError, BackupResult, append_suffix, create_file, map_sqlite_error};
use crate::store::engine::connection;
use crate::store::page_checksums;
use crate::store::tables::{instance, request_log};

/// Pages per step, between two checks of the stop flag and of the log.
const PAGES_PER_STEP: i32 = 2_048;
/// Bytes by which the log may grow during the copy.
const LOG_GROWTH_MAX: u64 = 192 << 20;

/// Copies the pages of one snapshot to a new file with mode 0600, which is not synced.
pub(super) fn copy_pages(from: &Path, to: &Path, stop: &Arc<AtomicBool>) -> BackupResult<()> {
    create_file(to)?;
    let failed = |error: rusqlite::Error| map_sqlite_error(from, to, error);
    let source = connection::connect_source(from).map_err(failed)?;
    let mut copy = open_copy(to).map_err(failed)?;
    if page_checksums::has_checksums(&source).map_err(failed)? == Some(false) {
        page_checksums::expect_no_checksums(&copy).map_err(failed)?;
    }
    let log = append_suffix(from, "-wal");
    let log_bytes = || fs::metadata(&log).map_or(0, |metadata| metadata.len());
    let log_bytes_before = log_bytes();
    // The steps read one snapshot: without a transaction, a write of another connection would start the copy again.
    source.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1;").map_err(failed)?;
    let backup = Backup::new(&source, &mut copy).map_err(failed)?;
    loop {
        if stop.load(Ordering::SeqCst) {
            return Err(BackupError::Stopped);
        }
        if log_bytes().saturating_sub(log_bytes_before) > LOG_GROWTH_MAX {
            return Err(BackupError::LogGrew(to.to_owned()));
        }
        if backup.step(PAGES_PER_STEP).map_err(failed)? == StepResult::Done {
            break;
        }
    }
    drop(backup);
    // The pages say that there is a write-ahead log.
    copy.execute_batch("PRAGMA journal_mode = DELETE").map_err(failed)
}

/// Removes the request log from the copied pages, and marks them.
pub(super) fn leave_out_log(pages: &Path) -> BackupResult<()> {
    let failed = |error: rusqlite::Error| map_sqlite_error(pages, pages, error);
    let copy = open_copy(pages).map_err(failed)?;
    copy.execute_batch("PRAGMA journal_mode = OFF").map_err(failed)?;
    request_log::empty_log(&copy).and_then(|()| instance::mark_log_left_out(&copy)).map_err(failed)
}

/// The copy is deleted after the backup, so it needs no journal and no sync.
fn open_copy(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let copy = connection::open_connection(path, flags)?;
    copy.execute_batch("PRAGMA synchronous = OFF; PRAGMA trusted_schema = OFF;")?;
    Ok(copy)
}
