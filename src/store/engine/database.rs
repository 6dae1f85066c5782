//! Opening of the database: validation, backup and upgrade of an old schema.

use rusqlite::Connection;

use crate::model::quota::QuotaDefaults;
use crate::store::OpenMode;
use crate::store::engine::files::{DataFiles, FileState};
use crate::store::engine::open_error::OpenError;
use crate::store::engine::service::marker;
use crate::store::engine::snapshot::Snapshot;
use crate::store::engine::{backup, connection, upgrade};
use crate::store::page_checksums;
use crate::store::tables::{feed_gap, instance};

/// Opens the writer's connection: validates the file, and upgrades it if its schema is old.
pub(crate) fn open_database(files: &DataFiles, access: OpenMode) -> Result<Connection, OpenError> {
    let failed = |error| OpenError::sqlite(&files.database, error);
    let found = connection::probe_file(&files.database)?;
    if found == 0 && access == OpenMode::Existing {
        return Err(OpenError::NotFound(files.database.clone()));
    }
    let is_old = found < upgrade::newest_version();
    // A new file can be initialized at any time, but an old one must not be upgraded while a server uses it.
    let _lock = if 0 < found && is_old && access != OpenMode::Serve { Some(files.lock()?) } else { None };
    let mut writer = connection::connect_writer(files).map_err(failed)?;
    if found > 0 && is_old {
        writer = prepare_upgrade(files, writer)?;
    }
    if is_old {
        upgrade::run_upgrades(&mut writer).map_err(failed)?;
    }
    feed_gap::apply_recorded_gap(&mut writer).map_err(failed)?;
    marker::ensure_marker(files, &writer);
    files.restrict_permissions()?;
    Ok(writer)
}

/// Backs up a database of an earlier version. If its pages have no checksums, it is then replaced by the backup, which has
/// some. A database that cannot be replaced is upgraded without them. The caller holds the server lock.
fn prepare_upgrade(files: &DataFiles, writer: Connection) -> Result<Connection, OpenError> {
    let failed = |error| OpenError::sqlite(&files.database, error);
    let is_unverified = page_checksums::has_checksums(&writer).map_err(failed)? == Some(false);
    let closed = if is_unverified { close_log(files, writer).map_err(failed)? } else { None };
    let backup = backup::back_up_before_upgrade(files, upgrade::newest_version())
        .map_err(|error| OpenError::NotBackedUp { path: files.database.clone(), why: error.to_string() })?;
    if is_unverified {
        let replaced = closed.map_or(Ok(false), |closed| backup::replace_by_backup(files, &backup, closed));
        match replaced.map_err(|error| error.to_string()) {
            Ok(true) => tracing::info!("the pages of the database have checksums now"),
            Ok(false) => tracing::warn!(
                "the database gets no page checksums, because another program uses it; see docs/backup.md"
            ),
            Err(error) => tracing::warn!(error, "the database gets no page checksums; see docs/backup.md"),
        }
    }
    connection::connect_writer(files).map_err(failed)
}

/// Copies the write-ahead log into the database and closes both. Returns the state of the file, or `None` if another
/// program keeps it open.
fn close_log(files: &DataFiles, writer: Connection) -> rusqlite::Result<Option<FileState>> {
    writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    drop(writer);
    // The last connection deletes the log.
    let [log, _] = files.log_paths();
    Ok(if log.exists() { None } else { files.read_state() })
}

/// Returns the default quotas that the last server stored. Without any, there are no limits.
pub(crate) fn read_quota_defaults(connection: &Connection) -> QuotaDefaults {
    instance::load_quota_defaults(&Snapshot::new(connection)).unwrap_or_default()
}
