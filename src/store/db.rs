//! Opening the database file: what is refused, and how a connection is set up.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::files::DataFiles;
use super::{Access, backup, feed_gap, upgrade};

/// How long a statement waits for another process, such as a command beside the server.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Page cache of a connection, in KiB (negative: that is SQLite's sign for KiB).
const CACHE_KIB: i32 = -16_000;
/// Page cache of a connection that only scans.
const SCAN_CACHE_KIB: i32 = -4_000;
/// Prepared statements a connection keeps: more than the crate has, so that none is compiled twice.
const STATEMENTS_MAX: usize = 256;
/// Pages in the write-ahead log that start a checkpoint: 16 MiB. Rarer than SQLite's own 4 MiB, because a checkpoint syncs
/// the file and the writes of that moment wait for it.
const CHECKPOINT_PAGES: i32 = 4_000;
/// The log is cut back to this after it grew beyond, in bytes.
const LOG_MAX_BYTES: i64 = 32 << 20;

/// Why the database cannot be opened. Each text names the file or folder and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no database, and the caller would not make one.
    #[error("there is no database at {0}: give the server's --data-dir, or make a configuration first")]
    Missing(PathBuf),
    /// The data folder is something else.
    #[error("{0} is not a folder: give another --data-dir")]
    NotAFolder(PathBuf),
    /// A symbolic link, a device or a folder stands where a file belongs.
    #[error("{0} is not a regular file: put the file itself there, not a link to it")]
    NotARegularFile(PathBuf),
    /// Others may write to it.
    #[error("{path} may be written by other users (mode {mode:04o}): run chmod {fix} on it")]
    OpenToOthers {
        /// File or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Argument of `chmod` that mends it.
        fix: &'static str,
    },
    /// A server holds the folder.
    #[error("a server{} holds {directory}: stop it first, or give this one a --data-dir of its own", process(*.pid))]
    Held {
        /// The data folder.
        directory: PathBuf,
        /// Process id of the holder, where it could be read.
        pid: Option<u32>,
    },
    /// The file is something else, untouched.
    #[error("{0} is not a Rollcall database and was left as it is: move it away, or give another --data-dir")]
    Foreign(PathBuf),
    /// The file was written by a newer program, untouched.
    #[error(
        "{path} has schema version {found}, but this program knows versions up to {known}: run {}; the file was left as it is",
        program(writer.as_deref())
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The newest version of this program.
        known: i32,
        /// Version of the program that made it so, where the file says it.
        writer: Option<String>,
    },
    /// The file is damaged, untouched.
    #[error(
        "{path} is damaged ({detail}) and was left as it is: put a backup in its place (rollcall restore FILE --force), or move it and its -wal file away to start empty"
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite or we found.
        detail: String,
    },
    /// A restore was cut short before the copy was in place.
    #[error(
        "{database} is missing: a restore was cut short and left {incoming}. Run rollcall restore again, or remove that file to start empty"
    )]
    HalfRestored {
        /// The database.
        database: PathBuf,
        /// The copy that was on its way.
        incoming: PathBuf,
    },
    /// The backup that goes before an upgrade failed; the database was left as it is.
    #[error("{path} must be upgraded, and cannot be backed up before: {why}. The file was left as it is")]
    NotBackedUp {
        /// The database.
        path: PathBuf,
        /// What went wrong, with the way out.
        why: String,
    },
    /// The operating system refused.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// SQLite refused, for a reason without a case of its own.
    #[error("cannot open {path}: {source}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// SQLite's word.
        source: rusqlite::Error,
    },
}

fn process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

fn program(version: Option<&str>) -> String {
    version.map_or_else(|| "the newer program".to_owned(), |version| format!("Rollcall {version} or newer"))
}

impl OpenError {
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }

    pub(super) fn corrupt(path: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), detail: detail.into() }
    }

    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Foreign(path.to_owned()),
            Some(ErrorCode::DatabaseCorrupt) => Self::corrupt(path, source.to_string()),
            _ => Self::Sqlite { path: path.to_owned(), source },
        }
    }
}

/// Opens the writer's connection: probes the file, then upgrades it where steps are missing.
pub(super) fn open(files: &DataFiles, access: Access) -> Result<Connection, OpenError> {
    let failed = |error| OpenError::sqlite(&files.database, error);
    let found = probe(&files.database)?;
    if found == 0 && access == Access::Existing {
        return Err(OpenError::Missing(files.database.clone()));
    }
    // A new file may be filled beside anybody, but an old one must not change under a running server.
    let _lock = if 0 < found && found < upgrade::newest_version() && access != Access::Serve {
        Some(files.lock()?)
    } else {
        None
    };
    let mut connection = writer(files).map_err(failed)?;
    if found < upgrade::newest_version() {
        if found > 0 {
            backup::before_upgrade(files, upgrade::newest_version())
                .map_err(|error| OpenError::NotBackedUp { path: files.database.clone(), why: error.to_string() })?;
        }
        upgrade::run(&mut connection).map_err(failed)?;
    }
    feed_gap::act_on_note(&mut connection).map_err(failed)?;
    files.close_to_others()?;
    Ok(connection)
}

/// Looks at the file over a read-only connection and returns its schema version, 0 for an empty file. Refuses one that
/// is not a database, not ours, damaged on its first pages or newer than this program.
pub(super) fn probe(path: &Path) -> Result<i32, OpenError> {
    let failed = |error| OpenError::sqlite(path, error);
    let connection = Connection::open_with_flags(path, reader_flags()).map_err(failed)?;
    let (application, version, empty): (i32, i32, bool) = connection
        .query_row(
            "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
                    NOT EXISTS (SELECT 1 FROM sqlite_schema)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(failed)?;
    if empty && application == 0 && version == 0 {
        return Ok(0);
    }
    if application != upgrade::APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let known = upgrade::newest_version();
    if version > known {
        let writer = upgrade::written_by(&connection);
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known, writer });
    }
    Ok(version)
}

/// A connection that writes. `synchronous=FULL` is what makes an answered write survive a power cut.
pub(super) fn writer(files: &DataFiles) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(&files.database, flags)?;
    set_up(&connection)?;
    use_write_ahead_log(&connection)?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA journal_size_limit = {LOG_MAX_BYTES};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
    ))?;
    Ok(connection)
}

/// A connection that reads a database as it lies, to copy or to check it. `query_only` would forbid VACUUM INTO.
pub(super) fn source(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, reader_flags())?;
    set_up(&connection)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reader(files: &DataFiles) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(&files.database, reader_flags())?;
    set_up_reader(&connection)?;
    Ok(connection)
}

pub(super) fn reader_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW
}

pub(super) fn set_up_reader(connection: &Connection) -> rusqlite::Result<()> {
    set_up(connection)?;
    connection.pragma_update(None, "query_only", true)
}

/// A scan passes each page once and gains little from keeping it.
pub(super) fn set_up_pooled_reader(connection: &Connection) -> rusqlite::Result<()> {
    set_up_reader(connection)?;
    connection.pragma_update(None, "cache_size", SCAN_CACHE_KIB)
}

/// What every connection of the store gets.
fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.execute_batch(&format!(
        "PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = {CACHE_KIB};
         PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0;"
    ))?;
    // Else a statement with a bound LIMIT is compiled anew at each run: the planner looks at the value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    super::filter_sql::register(connection)
}

/// Switching a new file to the write-ahead log needs the file alone for a moment, and does not wait for it by itself.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        match mode {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(error),
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
                    Some(format!("the file system offers no write-ahead log (journal mode {mode}); use a local disk")),
                ));
            }
        }
    }
}
