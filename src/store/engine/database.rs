//! Opening of the database: validation, backup and upgrade of an old schema.

use rusqlite::Connection;

use crate::model::quota::QuotaDefaults;
use crate::store::OpenMode;
use crate::store::engine::files::DataFiles;
use crate::store::engine::open_error::OpenError;
use crate::store::engine::service::marker;
use crate::store::engine::snapshot::Snapshot;
use crate::store::engine::{backup, connection, upgrade};
use crate::store::tables::{feed_gap, instance};

/// Opens the writer's connection: validates the file, and upgrades it if its schema is old.
pub(crate) fn open_database(files: &DataFiles, access: OpenMode) -> Result<Connection, OpenError> {
    let failed = |error| OpenError::sqlite(&files.database, error);
    let found = connection::probe_file(&files.database)?;
    if found == 0 && access == OpenMode::Existing {
        return Err(OpenError::NotFound(files.database.clone()));
    }
    // A new file can be initialized at any time, but an old one must not be upgraded while a server uses it.
    let _lock = if 0 < found && found < upgrade::newest_version() && access != OpenMode::Serve {
        Some(files.lock()?)
    } else {
        None
    };
    let mut writer = connection::connect_writer(files).map_err(failed)?;
    if found < upgrade::newest_version() {
        if found > 0 {
            backup::back_up_before_upgrade(files, upgrade::newest_version())
                .map_err(|error| OpenError::NotBackedUp { path: files.database.clone(), why: error.to_string() })?;
        }
        upgrade::run_upgrades(&mut writer).map_err(failed)?;
    }
    feed_gap::apply_recorded_gap(&mut writer).map_err(failed)?;
    marker::ensure_marker(files, &writer);
    files.restrict_permissions()?;
    Ok(writer)
}

/// Returns the default quotas that the last server stored. Without any, there are no limits.
pub(crate) fn read_quota_defaults(connection: &Connection) -> QuotaDefaults {
    instance::load_quota_defaults(&Snapshot::new(connection)).unwrap_or_default()
}
