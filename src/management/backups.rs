//! Backups, their folder, the restore of a backup, and the checks of the database file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::json;

use crate::clock::Millis;
use crate::error::Result;
use crate::model::audit_context::AuditContext;
use crate::settings::BackupSchedule;
pub use crate::store::engine::backup::scheduled::{
    ScheduledBackup, find_newest_of as find_newest_backup_of, find_newest_time as find_newest_backup_time,
    list_backups as list_scheduled_backups,
};
pub use crate::store::engine::backup::takeover::{
    FolderLock, complete_promotion, discard_promoted_copy, fence_database, has_database, has_promoted_copy,
    list_fenced_events, lock_data_folder, prepare_promotion, reserve_copy,
};
pub use crate::store::engine::backup::{
    BackupError, BackupOptions, RestoreOptions, RestoreOutcome, WrittenBackup, restore_backup, verify_backup,
    write_backup,
};
use crate::store::engine::backup::{format_stamp, scheduled};
pub use crate::store::engine::files::DATABASE_NAME;
pub use crate::store::engine::integrity::log_scan::{AcceptedLoss, accept_loss};
pub use crate::store::engine::integrity::{CheckDepth, check_database, check_pages};
use crate::store::tables::audit::{self, NewAuditEntry};
pub use crate::store::tables::fenced_events::FencedEvent;
use crate::store::{Store, Tx};

/// How the names of copies in the data folder begin.
const COPY_PREFIX: &str = "rollcall.db.";
/// How the names of backups for a download begin, while they are written.
const DOWNLOAD_PREFIX: &str = "rollcall.db.download-";

/// The folder of scheduled backups, and what is in it.
#[derive(Debug, Clone, Copy)]
pub struct BackupFolder<'f> {
    /// Path of the folder.
    pub path: &'f Path,
    /// Number of backups to keep.
    pub keep: usize,
    /// Whether backups contain the request log.
    pub with_log: bool,
}

impl<'f> BackupFolder<'f> {
    /// The folder of the schedule. While the time is doubted, none is deleted: the names do not say which one is old.
    pub fn of_schedule(schedule: &'f BackupSchedule, is_time_doubted: bool) -> Self {
        let keep = if is_time_doubted { usize::MAX } else { schedule.keep };
        Self { path: &schedule.folder, keep, with_log: schedule.with_log }
    }
}

/// Writes a backup to the folder, named after `now`, and deletes the oldest backups until `keep` are left. Returns the
/// backup and the number of deleted backups. Blocks the calling thread; `stop` aborts it.
///
/// # Errors
/// The backup could not be written or failed its integrity check, or an old backup could not be deleted.
pub fn write_backup_to_folder(
    store: &Store,
    folder: &BackupFolder<'_>,
    now: Millis,
    stop: &Arc<AtomicBool>,
) -> std::result::Result<(WrittenBackup, usize), BackupError> {
    let file = scheduled::prepare_backup_path(folder.path, now)?;
    let written = store.back_up(file.as_path(), folder.with_log, stop)?;
    let removed = scheduled::prune_backups(folder.path, folder.keep, &written.path, now)?;
    Ok((written, removed))
}

/// A backup for one download. The file has no name any more: its space is free again when it is closed.
#[derive(Debug)]
pub struct BackupDownload {
    /// The file, at its start.
    pub file: File,
    /// Its name for the client, its time and its size.
    pub backup: ScheduledBackup,
}

/// Writes a backup without the request log to the data folder, opens it and removes its name. Files that an interrupted
/// download has left are removed. Only one call may run at a time. Blocks the calling thread; `stop` aborts it.
///
/// # Errors
/// The backup could not be written or failed its integrity check.
pub fn write_download(
    store: &Store,
    data_dir: &Path,
    now: Millis,
    stop: &Arc<AtomicBool>,
) -> std::result::Result<BackupDownload, BackupError> {
    remove_old_downloads(data_dir);
    let stamp = format_stamp(now);
    let written = store.back_up(&data_dir.join(format!("{DOWNLOAD_PREFIX}{stamp}")), false, stop)?;
    let failed = |source| BackupError::Io { doing: "open", path: written.path.clone(), source };
    let opened = File::open(&written.path);
    fs::remove_file(&written.path).map_err(failed)?;
    let backup = ScheduledBackup { name: format!("rollcall-{stamp}.db"), created_at: now, bytes: written.bytes };
    Ok(BackupDownload { file: opened.map_err(failed)?, backup })
}

fn remove_old_downloads(data_dir: &Path) {
    for entry in fs::read_dir(data_dir).into_iter().flatten().flatten() {
        let is_download = entry.file_name().to_str().is_some_and(|name| name.starts_with(DOWNLOAD_PREFIX));
        if is_download && let Err(problem) = fs::remove_file(entry.path()) {
            tracing::warn!(file = %entry.path().display(), %problem, "an old download cannot be removed");
        }
    }
}

/// A copy of the database: a backup, or a database that an upgrade or a restore has replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseCopy {
    /// Path of the file.
    pub path: PathBuf,
    /// When it was written. `None` while it is being written.
    pub created_at: Option<Millis>,
}

/// Returns the copies that the server knows of: scheduled backups in `folder`, backups that are being written, and copies in the
/// data folder. Unreadable folders have none.
pub fn list_database_copies(data_dir: &Path, folder: Option<&Path>) -> Vec<DatabaseCopy> {
    let in_use = scheduled::list_paths_in_use().into_iter().map(|path| DatabaseCopy { path, created_at: None });
    let backups = folder.into_iter().flat_map(|folder| {
        let listed = scheduled::list_backups(folder).into_iter();
        listed.map(|one| DatabaseCopy { path: folder.join(one.name), created_at: Some(one.created_at) })
    });
    let copies = std::fs::read_dir(data_dir).into_iter().flatten().flatten().filter_map(|entry| {
        let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let is_copy = entry.file_name().to_str().is_some_and(|name| name.starts_with(COPY_PREFIX));
        let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        is_copy.then(|| DatabaseCopy { path: entry.path(), created_at: Millis::try_from(since.as_millis()).ok() })
    });
    let mut found: Vec<DatabaseCopy> = backups.chain(copies).chain(in_use).collect();
    found.sort_by(|one, other| (one.created_at, &one.path).cmp(&(other.created_at, &other.path)));
    found.dedup_by(|one, other| one.path == other.path);
    found
}

/// Appends an audit entry for the download of a backup, which contains everything in the database.
pub fn record_backup_download(tx: &Tx<'_>, context: &AuditContext, backup: &ScheduledBackup) -> Result<()> {
    let after = Some(json!({"file": backup.name, "bytes": backup.bytes}));
    audit::append_entry(tx, context, &NewAuditEntry { action: "backup.downloaded", after, ..NewAuditEntry::default() })
}

/// Appends an audit entry for the verification of a backup, with the first finding if there is one.
pub fn record_backup_check(tx: &Tx<'_>, context: &AuditContext, file: &str, problem: Option<&str>) -> Result<()> {
    let after = Some(json!({"file": file, "isValid": problem.is_none(), "problem": problem}));
    audit::append_entry(tx, context, &NewAuditEntry { action: "backup.verified", after, ..NewAuditEntry::default() })
}

/// Appends an audit entry for a backup that an admin requested.
pub fn record_manual_backup(tx: &Tx<'_>, context: &AuditContext, written: &WrittenBackup) -> Result<()> {
    let name = written.path.file_name().unwrap_or_default().to_string_lossy();
    let after = Some(json!({"file": name, "bytes": written.bytes}));
    audit::append_entry(tx, context, &NewAuditEntry { action: "backup.created", after, ..NewAuditEntry::default() })
}
