//! Connections to the database file: how a file is probed, and the settings of writers and readers.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::store::engine::files::DataFiles;
use crate::store::engine::foreign_objects::{self, ReplicatedPages};
use crate::store::engine::open_error::OpenError;
use crate::store::engine::upgrade;
use crate::store::page_checksums::{self, request_checksums};
use crate::store::tables::request_log;

/// How long a statement waits for a lock of another process, such as a command that runs while the server does.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a command tries to get the lock.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Page cache of a connection, in KiB. SQLite reads a negative value as KiB.
const CACHE_KIB: i32 = -16_000;
/// Page cache of a pooled connection, in KiB.
const SCAN_CACHE_KIB: i32 = -4_000;
/// Size of a connection's statement cache: more than the crate has statements, so that none is compiled twice.
const STATEMENTS_MAX: usize = 256;
/// Page cache of the checkpointer, in KiB. It copies pages without the cache.
const CHECKPOINT_CACHE_KIB: i32 = -64;
/// Number of pages in the write-ahead log that starts a checkpoint of a command: 16 MiB. The server has a checkpointer.
const CHECKPOINT_PAGES: i32 = 4_000;
/// Bytes of a page of a new file. Each changed page is in the write-ahead log once per commit, and a new user changes some
/// 18 pages, most of them by a few bytes.
pub(crate) const PAGE_BYTES: i32 = 2_048;
/// Size in bytes to which the write-ahead log is truncated after it has grown larger.
const LOG_MAX_BYTES: i64 = 32 << 20;

/// Returns the schema version of the file, 0 for an empty file, over a read-only connection. Returns an error if the
/// file is not a database, not a Rollcall database, damaged in its first pages, or newer than this program.
pub(crate) fn probe_file(path: &Path) -> Result<i32, OpenError> {
    let failed = |error| OpenError::sqlite(path, error);
    detect_replication(path);
    // A first start that was interrupted leaves a rollback journal. Only a connection for writing can roll it back.
    let (connection, (application, version, empty)) = match probe_with(path, reader_flags()) {
        Err(error) if error.sqlite_error().is_some_and(|code| code.extended_code == ffi::SQLITE_READONLY_ROLLBACK) => {
            probe_with(path, writer_flags()).map_err(failed)?
        }
        probed => probed.map_err(failed)?,
    };
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

/// Returns the connection, the application id, the schema version, and whether there are no tables.
fn probe_with(path: &Path, flags: OpenFlags) -> rusqlite::Result<(Connection, (i32, i32, bool))> {
    let connection = open_connection(path, flags)?;
    let found = connection.query_row(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
                NOT EXISTS (SELECT 1 FROM sqlite_schema)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    Ok((connection, found))
}

fn writer_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW
}

/// Accepts the pages without checksums that Litestream writes, if it replicates the database. Returns whether any page can be one of
/// them.
pub(crate) fn detect_replication(path: &Path) -> bool {
    let found = Connection::open_with_flags_and_vfs(path, reader_flags(), c"unix")
        .and_then(|connection| foreign_objects::find_replicated_pages(&connection));
    match found {
        Ok(ReplicatedPages::One(page)) => page_checksums::accept_foreign_page(path, page),
        Ok(ReplicatedPages::Unknown) => page_checksums::accept_foreign_pages(path, true),
        Ok(ReplicatedPages::None) | Err(_) => {}
    }
    matches!(found, Ok(ReplicatedPages::Unknown))
}

/// Whether Litestream has replicated this database. Reads the database file only: nothing is recovered from the log, and
/// the index of the log stays as it is.
pub(crate) fn was_replicated(path: &Path) -> bool {
    open_file_only(path).and_then(|connection| foreign_objects::is_replicated(&connection)).unwrap_or(false)
}

/// Returns the schema version in the database file, which may be older than that of the log. It needs no space on the disk.
pub(crate) fn read_file_version(path: &Path) -> Option<i32> {
    open_file_only(path).and_then(|connection| upgrade::read_version(&connection)).ok()
}

/// Opens the database file without its log.
fn open_file_only(path: &Path) -> rusqlite::Result<Connection> {
    let name = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    let uri = format!("file:{name}?immutable=1");
    Connection::open_with_flags_and_vfs(uri, reader_flags() | OpenFlags::SQLITE_OPEN_URI, c"unix")
}

/// Opens a connection for writing. With `synchronous=FULL` an acknowledged write survives a power failure. With
/// `secure_delete=ON` deleted rows are overwritten with zeros, because most of them contain personal data.
pub(crate) fn connect_writer(files: &DataFiles) -> rusqlite::Result<Connection> {
    let connection = open_connection(&files.database, writer_flags())?;
    set_up_connection(&connection)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    // The page size resets it.
    request_checksums(&connection)?;
    use_write_ahead_log(&connection)?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA secure_delete = ON;
         PRAGMA foreign_keys = ON;
         PRAGMA journal_size_limit = {LOG_MAX_BYTES};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
    ))?;
    Ok(connection)
}

/// Runs no checkpoint over this connection of a command if the database is replicated: Litestream may not have read the log.
pub(crate) fn leave_log_to_replication(connection: &Connection) {
    let is_replicated = foreign_objects::is_replicated(connection).unwrap_or(false);
    if is_replicated && let Err(error) = connection.pragma_update(None, "wal_autocheckpoint", 0) {
        tracing::warn!(%error, "a checkpoint of this command may end the replication until the next complete copy");
    }
}

/// Opens the connection of the checkpointer. `synchronous=FULL` syncs the log in front of the pages that are copied.
pub(crate) fn connect_checkpointer(files: &DataFiles) -> rusqlite::Result<Connection> {
    let connection = open_connection(&files.database, writer_flags())?;
    connection.execute_batch(&format!("PRAGMA synchronous = FULL; PRAGMA cache_size = {CHECKPOINT_CACHE_KIB};"))?;
    Ok(connection)
}

/// Opens a read-only connection to copy or check a database. A copy has pages of [`PAGE_BYTES`] with checksums, also if the
/// database was created by an earlier version. The connection is not `query_only`, which would forbid VACUUM INTO.
pub(crate) fn connect_source(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_connection(path, reader_flags())?;
    set_up_connection(&connection)?;
    // The page size resets the number of reserved bytes.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    request_checksums(&connection)?;
    Ok(connection)
}

/// Opens a connection for reading.
pub(crate) fn connect_reader(files: &DataFiles) -> rusqlite::Result<Connection> {
    let connection = open_connection(&files.database, reader_flags())?;
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

/// Opens a connection that verifies the pages it reads, and does not trust the schema of the file.
pub(crate) fn open_connection(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    page_checksums::register()?;
    let connection = Connection::open_with_flags(path, flags)?;
    distrust_schema(&connection)?;
    Ok(connection)
}

/// A file can come from anywhere, such as a backup folder. The schema has no triggers and no views, so none are run, and
/// SQL cannot write to SQLite's own structures.
fn distrust_schema(connection: &Connection) -> rusqlite::Result<()> {
    for (config, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        connection.set_db_config(config, value)?;
    }
    Ok(())
}

/// Applies the settings that all connections share.
fn set_up_connection(connection: &Connection) -> rusqlite::Result<()> {
    distrust_schema(connection)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.execute_batch(&format!(
        "PRAGMA cache_size = {CACHE_KIB};
         PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0;"
    ))?;
    // Query planner stability. Without it a statement with a bound LIMIT is compiled again at each run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    request_log::register_functions(connection)?;
    crate::store::filter_sql::register_functions(connection)
}

/// Makes the writer of a command try each millisecond to get the lock of the writer, for as long as before. A server that works
/// without a break leaves the lock for a few milliseconds at a time; SQLite itself would try ten times per second, and could
/// miss all of them.
pub(crate) fn poll_for_lock(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(|tries| {
        std::thread::sleep(POLL_INTERVAL);
        u32::try_from(tries).is_ok_and(|tries| POLL_INTERVAL * tries < BUSY_TIMEOUT)
    }))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `.cargo/config.toml` sets the options. It applies only to builds that start in the folder of the project.
    #[test]
    fn sqlite_has_the_options_of_the_project() {
        let connection = Connection::open_in_memory().unwrap();
        let mut statement = connection.prepare("PRAGMA compile_options").unwrap();
        let options: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
        assert!(options.contains(&"DEFAULT_MEMSTATUS=0".to_owned()), "{options:?}");
        assert!(!options.contains(&"ENABLE_MEMORY_MANAGEMENT".to_owned()));
    }
}
