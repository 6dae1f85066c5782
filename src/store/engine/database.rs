//! Opening of the database: validation, backup and upgrade of an old schema.

use std::path::PathBuf;

use rusqlite::{Connection, ErrorCode};

use crate::model::quota::QuotaDefaults;
use crate::store::OpenMode;
use crate::store::engine::backup::BackupError;
use crate::store::engine::files::{DataFiles, FileState};
use crate::store::engine::open_error::OpenError;
use crate::store::engine::service::disk_space::{DiskSpace, RESERVE_BYTES};
use crate::store::engine::service::marker;
use crate::store::engine::snapshot::Snapshot;
use crate::store::engine::{backup, connection, upgrade};
use crate::store::page_checksums;
use crate::store::tables::{feed_gap, instance};

/// The connection of the writer.
pub(crate) struct OpenedDatabase {
    pub(crate) writer: Connection,
    /// Whether the file was empty, and got its schema now.
    pub(crate) is_new: bool,
}

/// Opens the writer's connection: validates the file, and upgrades it if its schema is old.
pub(crate) fn open_database(files: &DataFiles, access: OpenMode) -> Result<OpenedDatabase, OpenError> {
    let failed = |error| OpenError::sqlite(&files.database, error);
    let found = connection::probe_file(&files.database).map_err(|error| explain_full_disk(files, error))?;
    marker::refuse_other_database(files, found)?;
    if found == 0 && access == OpenMode::Existing {
        return Err(OpenError::NotFound(files.database.clone()));
    }
    let is_old = found < upgrade::newest_version();
    // A new file can be initialized at any time, but an old one must not be upgraded while a server uses it.
    let _lock = if 0 < found && is_old && access != OpenMode::Serve { Some(files.lock()?) } else { None };
    let mut writer = connection::connect_writer(files).map_err(failed)?;
    if found > 0 && is_old {
        writer = upgrade_database(files, writer)?;
    } else if is_old {
        upgrade::run_upgrades(&mut writer).map_err(failed)?;
    }
    if access != OpenMode::Serve {
        connection::poll_for_lock(&writer).map_err(failed)?;
    }
    feed_gap::apply_recorded_gap(&mut writer).map_err(failed)?;
    feed_gap::ensure_feed_id(&writer);
    marker::ensure_marker(files, &writer);
    files.restrict_permissions()?;
    Ok(OpenedDatabase { writer, is_new: found == 0 })
}

/// Backs up a database of an earlier version and upgrades it. If the disk has too little space, the database stays as it is.
/// The caller holds the server lock.
fn upgrade_database(files: &DataFiles, writer: Connection) -> Result<Connection, OpenError> {
    let size = read_size(files);
    let no_space = |space: DiskSpace| build_space_error(files, space.free);
    let read_space = || DiskSpace::read(&files.directory);
    // Less than this is not enough for the copy.
    if let Some(space) = read_space().filter(|space| space.free < size) {
        return Err(no_space(space));
    }
    let found = upgrade::read_version(&writer).map_err(|error| OpenError::sqlite(&files.database, error))?;
    let (mut writer, backup) = prepare_upgrade(files, writer).map_err(|problem| match read_space() {
        Some(space) if problem.is_full_disk() => no_space(space),
        _ => problem.into_open_error(files),
    })?;
    upgrade::run_upgrades(&mut writer).map_err(|error| {
        if !is_full_disk(&error) {
            return OpenError::sqlite(&files.database, error);
        }
        // The next attempt makes a backup again, unless a step was completed.
        if upgrade::read_version(&writer).is_ok_and(|version| version == found) {
            drop(std::fs::remove_file(&backup));
        }
        read_space().map_or_else(|| OpenError::sqlite(&files.database, error), no_space)
    })?;
    Ok(writer)
}

fn is_full_disk(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Bytes of the database and its log.
fn read_size(files: &DataFiles) -> u64 {
    let [log, _] = files.log_paths();
    [&files.database, &log].iter().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// The backup has the size of the database, and its check or the changes need as much again.
fn build_space_error(files: &DataFiles, free: u64) -> OpenError {
    let needed = read_size(files).saturating_mul(2).saturating_add(RESERVE_BYTES);
    OpenError::NoSpaceForUpgrade { path: files.database.clone(), free, needed }
}

/// The error of a file that cannot be opened because the disk is full. Opening it is not enough if it must be upgraded.
fn explain_full_disk(files: &DataFiles, error: OpenError) -> OpenError {
    match error {
        OpenError::DiskFull { free, .. }
            if connection::read_file_version(&files.database)
                .is_some_and(|version| 0 < version && version < upgrade::newest_version()) =>
        {
            build_space_error(files, free)
        }
        error => error,
    }
}

/// Backs up a database of an earlier version. If its pages have no checksums, it is then replaced by the backup, which has
/// some. A database that cannot be replaced is upgraded without them. Returns the path of the backup, too.
fn prepare_upgrade(files: &DataFiles, writer: Connection) -> Result<(Connection, PathBuf), UpgradeProblem> {
    let is_unverified = page_checksums::has_checksums(&writer)? == Some(false);
    let closed = if is_unverified { close_log(files, writer)? } else { None };
    let backup = backup::back_up_before_upgrade(files, upgrade::newest_version()).map_err(UpgradeProblem::Backup)?;
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
    Ok((connection::connect_writer(files)?, backup))
}

/// Why an upgrade cannot begin.
enum UpgradeProblem {
    Backup(BackupError),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for UpgradeProblem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl UpgradeProblem {
    fn is_full_disk(&self) -> bool {
        match self {
            Self::Backup(error) => matches!(error, BackupError::DiskFull(_)),
            Self::Database(error) => is_full_disk(error),
        }
    }

    fn into_open_error(self, files: &DataFiles) -> OpenError {
        match self {
            Self::Backup(error) => OpenError::NotBackedUp { path: files.database.clone(), why: error.to_string() },
            Self::Database(error) => OpenError::sqlite(&files.database, error),
        }
    }
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
