//! Why the database cannot be opened.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::store::engine::service::disk_space::DiskSpace;
use crate::store::engine::sqlite_errors::{describe_damage, is_damage};

/// Why the database cannot be opened. Each message names the file or folder and the fix.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no database, and the access mode does not create one.
    #[error("there is no database at {0}: give the --data-dir of the server")]
    NotFound(PathBuf),
    /// The data folder is not a folder.
    #[error("{0} is not a folder: give another --data-dir")]
    NotAFolder(PathBuf),
    /// The path is a symbolic link, a device or a folder instead of a file.
    #[error("{0} is not a regular file: put the file itself there, not a link to it")]
    NotARegularFile(PathBuf),
    /// Other users can write to the file or folder.
    #[error("{path} is writable by other users (mode {mode:04o}): run chmod {fix} on it")]
    OpenToOthers {
        /// File or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Argument of `chmod` that fixes it.
        fix: &'static str,
    },
    /// A running server has locked the folder.
    #[error("a server{} already uses {directory}: stop it first, or give another --data-dir", describe_process(*.pid))]
    Held {
        /// The data folder.
        directory: PathBuf,
        /// Process id of the server, if it could be read.
        pid: Option<u32>,
    },
    /// A running server uses the database, and the index of its log is missing.
    #[error("{0} is missing while a server uses the database: put it back, or stop the server first")]
    IndexMissing(PathBuf),
    /// The file is not a Rollcall database. It is unchanged.
    #[error("{0} is not a Rollcall database and was left unchanged: move it away, or give another --data-dir")]
    Foreign(PathBuf),
    /// The file was written by a newer program. It is unchanged.
    #[error(
        "{path} has schema version {found}, but this program supports versions up to {supported}: run {}; the file was left unchanged",
        describe_program(writer.as_deref())
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i32,
        /// The newest schema version that this program supports.
        supported: i32,
        /// Version of the program that wrote it, if the file contains it.
        writer: Option<String>,
    },
    /// The file is damaged. It is unchanged.
    #[error(
        "{path} is damaged ({detail}) and was left unchanged: restore a backup (rollcall restore FILE --force), or move it, its -wal and -shm files and rollcall.marker away to start empty"
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// The damage.
        detail: String,
    },
    /// Acknowledged transactions in the write-ahead log are damaged. It is unchanged.
    #[error(
        "{log} is damaged ({detail}), and SQLite would silently skip the acknowledged changes from there on. Both files were left unchanged: restore a backup (rollcall restore FILE --force), or run rollcall accept-loss, which copies both files aside and gives up these changes"
    )]
    LogDamaged {
        /// The write-ahead log.
        log: PathBuf,
        /// The damage.
        detail: String,
    },
    /// A restore was interrupted before it replaced the database.
    #[error(
        "{database} is missing: a restore was interrupted and left {incoming}. Run rollcall restore again, or remove that file to start empty"
    )]
    HalfRestored {
        /// The database.
        database: PathBuf,
        /// The restored copy.
        incoming: PathBuf,
    },
    /// The marker says that a database existed, but there is none.
    #[error(
        "{database} is missing, but {marker} says that there was one: put the file back, or restore a backup (rollcall restore FILE); move the -wal and -shm files and {marker} away to start empty"
    )]
    Vanished {
        /// The database.
        database: PathBuf,
        /// The marker.
        marker: PathBuf,
    },
    /// The marker says that a database existed, but the file is empty.
    #[error(
        "{database} is empty, but {marker} says that it had content: put the file back, or restore a backup (rollcall restore FILE --force); move it, its -wal and -shm files and {marker} away to start empty"
    )]
    Emptied {
        /// The database.
        database: PathBuf,
        /// The marker.
        marker: PathBuf,
    },
    /// The marker has the id of another database.
    #[error(
        "{database} is another database than the one before: {marker} has another id. Put the right file back, or restore a backup (rollcall restore FILE --force); move the -wal and -shm files of the other database and {marker} away to use this file"
    )]
    OtherDatabase {
        /// The database.
        database: PathBuf,
        /// The marker.
        marker: PathBuf,
    },
    /// The disk is full.
    #[error(
        "cannot open {path}: the disk is full ({free} bytes are free, {needed} are needed): free some space; {source}"
    )]
    DiskFull {
        /// The database.
        path: PathBuf,
        /// Free bytes of its disk.
        free: u64,
        /// Bytes that an open database needs.
        needed: u64,
        /// The SQLite error.
        source: rusqlite::Error,
    },
    /// The disk has too little space for an upgrade. The database is unchanged.
    #[error(
        "{path} must be upgraded, which needs {needed} bytes of free space for a backup and the changes, but only {free} bytes are free: free some space, or start the program version before. The database was left unchanged"
    )]
    NoSpaceForUpgrade {
        /// The database.
        path: PathBuf,
        /// Free bytes of its disk.
        free: u64,
        /// Bytes that the upgrade needs.
        needed: u64,
    },
    /// The backup before an upgrade failed. The database is unchanged.
    #[error("{path} must be upgraded, but the backup before the upgrade failed: {why}. The file was left unchanged")]
    NotBackedUp {
        /// The database.
        path: PathBuf,
        /// The error of the backup, with the fix.
        why: String,
    },
    /// The operating system returned an error.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another SQLite error.
    #[error("cannot open {path}: {source}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// The SQLite error.
        source: rusqlite::Error,
    },
}

fn describe_process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

fn describe_program(version: Option<&str>) -> String {
    version.map_or_else(|| "the newer program".to_owned(), |version| format!("Rollcall {version} or newer"))
}

impl OpenError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }

    pub(crate) fn corrupt(path: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), detail: detail.into() }
    }

    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Foreign(path.to_owned()),
            _ if is_damage(&source) => Self::corrupt(path, describe_damage(&source)),
            _ => match DiskSpace::read(path.parent().unwrap_or(path)) {
                Some(space) if space.is_exhausted() => {
                    Self::DiskFull { path: path.to_owned(), free: space.free, needed: space.opening_bytes(), source }
                }
                _ => Self::Sqlite { path: path.to_owned(), source },
            },
        }
    }
}
