//! Notices that another program truncated an open file in place: the database, its log or the index of the log. SQLite would
//! write the next pages behind a hole.
//!
//! The database and the index must not be opened here: closing them would release the locks of SQLite on them.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::store::engine::files::DataFiles;
use crate::store::engine::integrity::log_scan;

/// Bytes of a log in front of its pages.
const LOG_HEADER_BYTES: u64 = 32;

/// The least lengths of the open files.
#[derive(Debug, Default)]
pub(crate) struct FileLengths {
    /// `None` as long as the files are not watched.
    seen: Mutex<Option<SeenLengths>>,
}

#[derive(Debug, Default)]
struct SeenLengths {
    database: u64,
    index: u64,
    log: u64,
    /// The salts of the log, which are others each time it starts again.
    salts: Option<[u8; 8]>,
    /// Whether the log was found empty. A checkpoint can have truncated it: then the next commit begins it again.
    is_log_emptied: bool,
}

impl FileLengths {
    /// Watches the files, which the writer has just opened.
    pub(crate) fn start(&self, files: &DataFiles) {
        let [log, index] = files.log_paths();
        let mut guard = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = guard.take().unwrap_or_default();
        // The log and its index are new ones after all connections were closed; the database is the same.
        *guard = Some(SeenLengths {
            database: before.database.max(read_length(&files.database).unwrap_or_default()),
            index: read_length(&index).unwrap_or_default(),
            salts: log_scan::read_salts(&log),
            ..SeenLengths::default()
        });
    }

    /// Names the file that is shorter than it must be. `needed_bytes` gives the length that the database needs by its own
    /// content: a program that rebuilds it (VACUUM) makes it shorter. `None` from it means that it cannot be read.
    pub(crate) fn find_truncated(
        &self,
        files: &DataFiles,
        needed_bytes: impl FnOnce() -> Option<u64>,
    ) -> Option<&'static str> {
        let mut guard = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = guard.as_mut()?;
        let [log, index] = files.log_paths();
        let index_bytes = read_length(&index)?;
        if index_bytes < seen.index {
            return Some("index of the write-ahead log");
        }
        seen.index = index_bytes;
        let log_bytes = read_length(&log)?;
        seen.is_log_emptied = log_bytes < seen.log.min(LOG_HEADER_BYTES);
        if log_bytes < seen.log && !seen.is_log_emptied {
            let salts = log_scan::read_salts(&log);
            if salts.is_none() || salts == seen.salts {
                return Some("write-ahead log");
            }
            // A checkpoint of another program has truncated it, and the log has begun again.
            (seen.salts, seen.log) = (salts, log_bytes);
        }
        let database_bytes = read_length(&files.database)?;
        if database_bytes < seen.database && needed_bytes().is_none_or(|needed| database_bytes < needed) {
            return Some("database file");
        }
        seen.database = database_bytes;
        None
    }

    /// Records the bytes of the pages of the log after a commit. Returns false if they have no beginning.
    pub(crate) fn record_commit(&self, files: &DataFiles, log_bytes: u64) -> bool {
        let mut guard = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(seen) = guard.as_mut() else { return true };
        let log_bytes = log_bytes + LOG_HEADER_BYTES;
        let has_begun_again = log_bytes < seen.log || seen.salts.is_none() || seen.is_log_emptied;
        seen.log = log_bytes;
        if has_begun_again {
            let [log, _] = files.log_paths();
            let mut salts = log_scan::read_salts(&log);
            if seen.is_log_emptied && salts.is_none() {
                if read_length(&log) == Some(0) {
                    // A checkpoint of this or of another process has truncated it since the commit. A commit whose pages have no
                    // beginning would have made it longer.
                    return true;
                }
                // It can have begun again between the two looks.
                salts = log_scan::read_salts(&log);
            }
            if seen.is_log_emptied && (salts.is_none() || salts == seen.salts) {
                return false;
            }
            (seen.salts, seen.is_log_emptied) = (salts, false);
        }
        true
    }
}

/// Bytes of the file. `None` if it is not there: that is the subject of the file watch.
fn read_length(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|metadata| metadata.len())
}
