//! Opening of the database file: validation, upgrade and connection settings.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::OpenMode;
use crate::store::engine::files::DataFiles;
use crate::store::engine::{backup, upgrade};
use crate::store::tables::feed_gap;

/// How long a statement waits for a lock of another process, such as a command that runs while the server does.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Page cache of a connection, in KiB. SQLite reads a negative value as KiB.
const CACHE_KIB: i32 = -16_000;
/// Page cache of a pooled connection, in KiB.
const SCAN_CACHE_KIB: i32 = -4_000;
/// Size of a connection's statement cache: more than the crate has statements, so that none is compiled twice.
const STATEMENTS_MAX: usize = 256;
/// Number of pages in the write-ahead log that starts a checkpoint: 16 MiB. Larger than SQLite's default of 4 MiB,
/// because writes wait while a checkpoint syncs the file.
const CHECKPOINT_PAGES: i32 = 4_000;
/// Size in bytes to which the write-ahead log is truncated after it has grown larger.
const LOG_MAX_BYTES: i64 = 32 << 20;

/// Why the database cannot be opened. Each message names the file or folder and the fix.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no database, and the access mode does not create one.
    #[error("there is no database at {0}: give the server's --data-dir, or create a configuration first")]
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
        "{path} is damaged ({detail}) and was left unchanged: restore a backup (rollcall restore FILE --force), or move it and its -wal file away to start empty"
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
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
            Some(ErrorCode::DatabaseCorrupt) => Self::corrupt(path, source.to_string()),
            _ => Self::Sqlite { path: path.to_owned(), source },
        }
    }
}

/// Opens the writer's connection: validates the file, and upgrades it if its schema is old.
pub(crate) fn open_database(files: &DataFiles, access: OpenMode) -> Result<Connection, OpenError> {
    let failed = |error| OpenError::sqlite(&files.database, error);
    let found = probe_file(&files.database)?;
    if found == 0 && access == OpenMode::Existing {
        return Err(OpenError::NotFound(files.database.clone()));
    }
    // A new file can be initialized at any time, but an old one must not be upgraded while a server uses it.
    let _lock = if 0 < found && found < upgrade::newest_version() && access != OpenMode::Serve {
        Some(files.lock()?)
    } else {
        None
    };
    let mut connection = connect_writer(files).map_err(failed)?;
    if found < upgrade::newest_version() {
        if found > 0 {
            backup::back_up_before_upgrade(files, upgrade::newest_version())
                .map_err(|error| OpenError::NotBackedUp { path: files.database.clone(), why: error.to_string() })?;
        }
        upgrade::run_upgrades(&mut connection).map_err(failed)?;
    }
    feed_gap::apply_recorded_gap(&mut connection).map_err(failed)?;
    files.restrict_permissions()?;
    Ok(connection)
}

/// Returns the schema version of the file, 0 for an empty file, over a read-only connection. Returns an error if the
/// file is not a database, not a Rollcall database, damaged in its first pages, or newer than this program.
pub(crate) fn probe_file(path: &Path) -> Result<i32, OpenError> {
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
    let supported = upgrade::newest_version();
    if version > supported {
        let writer = upgrade::read_writer_version(&connection);
        return Err(OpenError::Newer { path: path.to_owned(), found: version, supported, writer });
    }
    Ok(version)
}

/// Opens a connection for writing. With `synchronous=FULL` an acknowledged write survives a power failure.
pub(crate) fn connect_writer(files: &DataFiles) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(&files.database, flags)?;
    set_up_connection(&connection)?;
    use_write_ahead_log(&connection)?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA journal_size_limit = {LOG_MAX_BYTES};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
    ))?;
    Ok(connection)
}

/// Opens a read-only connection to copy or check a database. It is not `query_only`, which would forbid VACUUM INTO.
pub(crate) fn connect_source(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, reader_flags())?;
    set_up_connection(&connection)?;
    Ok(connection)
}

/// Opens a connection for reading.
pub(crate) fn connect_reader(files: &DataFiles) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(&files.database, reader_flags())?;
    set_up_reader(&connection)?;
    Ok(connection)
}

pub(crate) fn reader_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW
}

pub(crate) fn set_up_reader(connection: &Connection) -> rusqlite::Result<()> {
    set_up_connection(connection)?;
    connection.pragma_update(None, "query_only", true)
}

/// A pooled reader has a small cache, because a scan reads each page once.
pub(crate) fn set_up_pooled_reader(connection: &Connection) -> rusqlite::Result<()> {
    set_up_reader(connection)?;
    connection.pragma_update(None, "cache_size", SCAN_CACHE_KIB)
}

/// Applies the settings that all connections share.
fn set_up_connection(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.execute_batch(&format!(
        "PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = {CACHE_KIB};
         PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0;"
    ))?;
    // Query planner stability. Without it a statement with a bound LIMIT is compiled again at each run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    crate::store::filter_sql::register_functions(connection)
}

/// Switching a new file to the write-ahead log needs an exclusive lock, for which SQLite itself does not wait.
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
                    Some(format!(
                        "the file system does not support a write-ahead log (journal mode {mode}); use a local disk"
                    )),
                ));
            }
        }
    }
}
