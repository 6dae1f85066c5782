//! Backup and restore of the database. A backup can be made while the database is written to, and is checked before it
//! gets its final name.
//!
//! A backup is a single file without a write-ahead log. It contains the data committed when the backup started and no
//! freed pages, so it does not contain purged data.

mod carry_over;
mod page_copy;
mod replaced_database;
mod restore;
pub mod scheduled;
pub mod takeover;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::clock::{self, Millis};
use crate::store::Store;
use crate::store::engine::files::{DataFiles, FileState, sync_folder};
use crate::store::engine::integrity::log_scan;
use crate::store::engine::open_error::OpenError;
use crate::store::engine::sqlite_errors::{describe_damage, is_damage};
use crate::store::engine::{connection, foreign_objects, integrity};
use crate::store::tables::feed_gap;

pub use crate::store::engine::backup::restore::{RestoreOptions, RestoreOutcome, restore_backup, verify_backup};

/// Number of backups made before an upgrade that are retained.
const UPGRADE_BACKUPS_MAX: usize = 3;
/// Name prefix of those backups, after the name of the database.
const UPGRADE_BACKUP_PREFIX: &str = "before-v";
/// Suffix of the copied pages, from which the backup is made.
const COPIED_PAGES_SUFFIX: &str = "-pages";
/// Suffixes of the files of an incomplete backup.
const PARTIAL_SUFFIXES: [&str; 6] = ["", "-journal", "-pages", "-pages-journal", "-pages-wal", "-pages-shm"];
/// SQLite virtual machine steps between two checks of the stop flag: a few milliseconds.
const STEPS_BETWEEN_CHECKS: i32 = 100_000;

/// Why a backup or restore failed. Each message names the file and the fix.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database itself cannot be read, or the data folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file with this name exists.
    #[error("{0} already exists: give another name, or --force to replace it")]
    Exists(PathBuf),
    /// Another backup to this name is being written.
    #[error("another backup to {0} is being written: wait until it ends, or give another name")]
    Running(PathBuf),
    /// The name is that of a file in use by the database.
    #[error("{0} is a file that the server uses: give another name")]
    InUse(PathBuf),
    /// The name is not a valid file name.
    #[error("{0} cannot be the name of a backup: give a file name of plain characters in a folder that exists")]
    BadName(PathBuf),
    /// The data folder contains a database.
    #[error("{0} already exists: with --force it is renamed, and the backup replaces it")]
    Occupied(PathBuf),
    /// The file is not a Rollcall backup.
    #[error("{0} is not a Rollcall database: give a file that `rollcall backup` made")]
    Foreign(PathBuf),
    /// The backup was written by a newer program.
    #[error("{path} cannot be restored with this program: it has schema version {found}, but this program supports versions up to {supported}. Install {}",
        .writer.as_deref().map_or_else(|| "the newer program".to_owned(), |version| format!("Rollcall {version} or newer")))]
    Newer {
        /// The backup.
        path: PathBuf,
        /// Its schema version.
        found: i32,
        /// The newest schema version that this program supports.
        supported: i32,
        /// Version of the program that wrote it, if the file contains it.
        writer: Option<String>,
    },
    /// The database is damaged, so it cannot be backed up.
    #[error("{path} is damaged ({detail}): run `rollcall check`, and restore the last valid backup")]
    DamagedDatabase {
        /// The database.
        path: PathBuf,
        /// The first finding.
        detail: String,
    },
    /// The backup is damaged.
    #[error("{path} is damaged ({detail}): give an older backup. The current database was not changed")]
    DamagedBackup {
        /// The backup.
        path: PathBuf,
        /// The first finding.
        detail: String,
    },
    /// The rows of the backup are inconsistent.
    #[error(
        "the rows of {path} are inconsistent ({detail}): give an older backup, or --accept-findings to restore it as it is. The current database was not changed"
    )]
    InconsistentBackup {
        /// The backup.
        path: PathBuf,
        /// The first finding.
        detail: String,
    },
    /// The database that a restore replaces cannot be read completely, so that its revocations would be lost.
    #[error(
        "{path}, which the backup replaces, cannot be read completely ({detail}): tokens, API keys and passwords that were revoked or changed after the backup could be valid again. Add --revoke-all-since TIME to the command: what can be read is carried over, and all credentials that were created at this time or later are revoked (1970-01-01T00:00:00Z: all of them). The current database was not changed"
    )]
    RevocationsLost {
        /// The database.
        path: PathBuf,
        /// What cannot be read.
        detail: String,
    },
    /// The write-ahead log grew too large during the copy.
    #[error(
        "the write-ahead log grew by more than 192 MiB while {0} was written, because the disk is too slow for the writes of that time: give a file on a faster disk, or repeat it later"
    )]
    LogGrew(PathBuf),
    /// The backup contains objects that Rollcall does not create.
    #[error(
        "{path} contains objects that are not part of a Rollcall database: {objects}. Give another backup. The current database was not changed"
    )]
    ForeignObjects {
        /// The backup.
        path: PathBuf,
        /// Kinds and names of the objects.
        objects: String,
    },
    /// The server is stopping.
    #[error("the backup was canceled because the server is stopping")]
    Stopped,
    /// The disk is full.
    #[error("not enough disk space for {0}: free some space, or give a file on another disk")]
    DiskFull(PathBuf),
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
    #[error("cannot copy {path}: {source}")]
    Sqlite {
        /// The file that was read.
        path: PathBuf,
        /// The SQLite error.
        source: rusqlite::Error,
    },
}

type BackupResult<T> = std::result::Result<T, BackupError>;

fn map_io_error(doing: &'static str, path: &Path, source: io::Error) -> BackupError {
    if source.kind() == io::ErrorKind::StorageFull {
        return BackupError::DiskFull(path.to_owned());
    }
    BackupError::Io { doing, path: path.to_owned(), source }
}

/// What a backup contains, and whether it replaces a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackupOptions {
    /// Whether an existing file is replaced.
    pub replace: bool,
    /// Whether the request log is in it.
    pub with_log: bool,
}

/// A completed backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenBackup {
    /// Path of the file, with symbolic links resolved.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// Objects that Rollcall did not create, such as triggers. A restore refuses the backup because of them.
    pub foreign: Vec<String>,
}

/// Backs up the database in `data_dir` to `file`, with or without a running server.
///
/// The backup gets its final name only after it is synced and checked, so a file with this name is always valid.
pub fn write_backup(data_dir: &Path, file: &Path, options: BackupOptions) -> BackupResult<WrittenBackup> {
    let files = DataFiles::prepare(data_dir, false)?;
    log_scan::refuse_damaged_log(&files, None)?;
    integrity::refuse_unknown_database(&files)?;
    back_up_to(&files, file, options, &Arc::default())
}

impl Store {
    /// Backs up the database of a running server to `file`. Returns `Stopped` when `stop` becomes true.
    pub fn back_up(&self, file: &Path, with_log: bool, stop: &Arc<AtomicBool>) -> BackupResult<WrittenBackup> {
        back_up_to(&self.shared.files, file, BackupOptions { replace: false, with_log }, stop)
    }
}

/// Backs up the database to its own folder before it is upgraded to `version`, and deletes the oldest backups of this
/// kind.
pub(crate) fn back_up_before_upgrade(files: &DataFiles, version: i32) -> BackupResult<PathBuf> {
    for partial_file in
        PARTIAL_SUFFIXES.iter().map(|suffix| list_upgrade_backups(files, ".", &format!(".part{suffix}")))
    {
        partial_file?.iter().try_for_each(|path| delete_file(path))?;
    }
    let file =
        files.sibling_path(&format!("{UPGRADE_BACKUP_PREFIX}{version}-{}", format_stamp(clock::current_millis())));
    let written = back_up_to(files, &file, BackupOptions { replace: true, with_log: true }, &Arc::default())?;
    files.match_folder_owner(&written.path);
    tracing::info!(backup = %written.path.display(), bytes = written.bytes, "backed up the database before the upgrade");
    let mut others = list_upgrade_backups(files, "", "Z")?;
    // The new backup is never deleted, even if the clock was set back.
    others.retain(|path| *path != written.path);
    others.sort_by_key(|path| path.to_string_lossy().rsplit('-').next().map(str::to_owned));
    let surplus = (others.len() + 1).saturating_sub(UPGRADE_BACKUPS_MAX);
    others.iter().take(surplus).try_for_each(|path| delete_file(path))?;
    Ok(written.path)
}

/// Replaces a database without page checksums by its backup, which has some. No connection of this process may be open,
/// and the caller holds the server lock. Returns false, and changes nothing, if another program has changed the database
/// since it had the state `expected`, or uses it.
pub(crate) fn replace_by_backup(files: &DataFiles, backup: &Path, expected: FileState) -> BackupResult<bool> {
    let incoming = files.incoming_path();
    delete_partial_copy(&incoming)?;
    create_file(&incoming)?;
    let replaced = fs::copy(backup, &incoming)
        .and_then(|_| File::open(&incoming)?.sync_all())
        .map_err(|error| map_io_error("copy the backup to", &incoming, error))
        .and_then(|()| {
            files.match_folder_owner(&incoming);
            if files.log_holds_pages() || files.read_state() != Some(expected) {
                return Ok(false);
            }
            files.log_paths().iter().try_for_each(|path| delete_file(path))?;
            rename_file(&incoming, &files.database)?;
            sync_directory(&files.directory).map(|()| true)
        });
    if !matches!(replaced, Ok(true)) {
        drop(delete_partial_copy(&incoming));
    }
    replaced
}

/// Returns the upgrade backups in the data folder whose names have this prefix and suffix.
fn list_upgrade_backups(files: &DataFiles, prefix: &str, suffix: &str) -> BackupResult<Vec<PathBuf>> {
    let base = files.sibling_path(UPGRADE_BACKUP_PREFIX);
    let start = format!("{prefix}{}", base.file_name().unwrap_or_default().to_string_lossy());
    let listed = fs::read_dir(&files.directory).map_err(|error| map_io_error("list", &files.directory, error))?;
    let paths = listed.flatten().filter_map(|entry| {
        let name = entry.file_name();
        let name = name.to_str()?;
        (name.starts_with(&start) && name.ends_with(suffix)).then(|| entry.path())
    });
    Ok(paths.collect())
}

/// Formats a time for a file name, in UTC: `20260714T093000Z`.
pub fn format_stamp(at: Millis) -> String {
    let text = clock::format_rfc3339(at);
    let whole_seconds = text.split('.').next().unwrap_or_default();
    whole_seconds.chars().filter(|c| !matches!(c, '-' | ':')).chain(['Z']).collect()
}

/// Backs up the database to `file`. Validates the target before it writes anything.
fn back_up_to(
    files: &DataFiles,
    file: &Path,
    BackupOptions { replace, with_log }: BackupOptions,
    stop: &Arc<AtomicBool>,
) -> BackupResult<WrittenBackup> {
    let target = resolve_path(file)?;
    if files.is_in_use(&target) {
        return Err(BackupError::InUse(target));
    }
    check_target(&target, replace)?;
    let part = build_partial_path(&target);
    let part_lock = reserve_part(&part, &target)?;
    let pages = append_suffix(&part, COPIED_PAGES_SUFFIX);
    let copied = page_copy::copy_pages(&files.database, &pages, stop).and_then(|()| {
        if !with_log {
            page_copy::leave_out_log(&pages)?;
        }
        copy_database(&pages, &part, stop).map_err(|error| name_source(error, &files.database))
    });
    let result = copied.and_then(|findings| {
        report_findings(files, &findings);
        let foreign = find_foreign_objects(&part).map_err(|error| map_sqlite_error(&files.database, &part, error))?;
        report_foreign_objects(files, &foreign);
        PARTIAL_SUFFIXES.iter().skip(1).try_for_each(|suffix| delete_file(&append_suffix(&part, suffix)))?;
        // The target may have been created in the meantime.
        check_target(&target, replace)?;
        let bytes = fs::metadata(&part).map_err(|error| map_io_error("read", &part, error))?.len();
        if replace {
            rename_file(&part, &target)?;
        } else {
            give_name(&part, &target)?;
        }
        sync_directory(target.parent().unwrap_or(Path::new("/")))?;
        Ok(WrittenBackup { path: target, bytes, foreign })
    });
    let result = result.inspect_err(|_| drop(delete_partial_copy(&part)));
    drop(part_lock);
    result
}

/// Creates the file of an incomplete backup, and removes what an interrupted one has left. The file is locked as long as it is
/// open, so that another backup to the same name does not remove it.
fn reserve_part(part: &Path, target: &Path) -> BackupResult<File> {
    let running = || BackupError::Running(target.to_owned());
    if fs::symlink_metadata(part).is_ok_and(|left| left.is_file())
        && File::open(part).is_ok_and(|left| matches!(left.try_lock(), Err(TryLockError::WouldBlock)))
    {
        return Err(running());
    }
    delete_partial_copy(part)?;
    create_file(part)?;
    let file = File::open(part).map_err(|error| map_io_error("open", part, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(running()),
        Err(TryLockError::Error(error)) => Err(map_io_error("lock", part, error)),
    }
}

/// Returns the number of the newest event in a file.
///
/// # Errors
/// The file cannot be read.
pub fn read_newest_event(file: &Path) -> BackupResult<i64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let found = connection::open_connection(file, flags).and_then(|copy| feed_gap::find_highest_number(&copy));
    found.map_err(|error| map_sqlite_error(file, file, error))
}

/// Returns the objects in a backup that this program did not create.
fn find_foreign_objects(backup: &Path) -> rusqlite::Result<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let compared = connection::open_connection(backup, flags).and_then(|copy| foreign_objects::compare_schema(&copy));
    compared.map(|difference| difference.foreign)
}

fn report_foreign_objects(files: &DataFiles, foreign: &[String]) {
    if !foreign.is_empty() {
        tracing::error!(
            database = %files.database.display(), objects = foreign.join(", "),
            "THE BACKUP CANNOT BE RESTORED: the database contains objects that are not part of a Rollcall database"
        );
    }
}

/// The backup has the rows as they are in the database: without it, there would be none.
fn report_findings(files: &DataFiles, findings: &[String]) {
    if let Some(first) = findings.first() {
        tracing::error!(
            database = %files.database.display(), findings = findings.len(), first,
            "THE DATABASE AND ITS BACKUP ARE INCONSISTENT: run rollcall check --deep"
        );
    }
}

/// Replaces the copied pages by the database in an error.
fn name_source(error: BackupError, database: &Path) -> BackupError {
    match error {
        BackupError::DamagedDatabase { detail, .. } => build_damage_error(database, detail),
        BackupError::Sqlite { source, .. } => BackupError::Sqlite { path: database.to_owned(), source },
        other => other,
    }
}

/// Creates an empty file with mode 0600.
fn create_file(path: &Path) -> BackupResult<()> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    created.map(drop).map_err(|error| map_io_error("create", path, error))
}

/// Converts an error of SQLite while `from` is copied to `to`.
fn map_sqlite_error(from: &Path, to: &Path, error: rusqlite::Error) -> BackupError {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => BackupError::Stopped,
        Some(ErrorCode::DiskFull) => BackupError::DiskFull(to.to_owned()),
        _ if is_damage(&error) => build_damage_error(from, describe_damage(&error)),
        _ => BackupError::Sqlite { path: from.to_owned(), source: error },
    }
}

/// Copies a database to an empty file, syncs it and checks its pages. Returns the findings about its rows.
fn copy_database(from: &Path, to: &Path, stop: &Arc<AtomicBool>) -> BackupResult<Vec<String>> {
    let name = to.to_str().ok_or_else(|| BackupError::BadName(to.to_owned()))?;
    let failed = |error: rusqlite::Error| map_sqlite_error(from, to, error);
    let source = connection::connect_source(from).map_err(failed)?;
    install_stop_handler(&source, stop).map_err(failed)?;
    source.execute("VACUUM INTO ?1", [name]).map_err(failed)?;
    drop(source);
    // VACUUM INTO does not sync the file.
    File::open(to).and_then(|file| file.sync_all()).map_err(|error| map_io_error("write", to, error))?;
    let written = connection::open_connection(to, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let written = written.map_err(failed)?;
    connection::set_up_reader(&written).map_err(failed)?;
    install_stop_handler(&written, stop).map_err(failed)?;
    match integrity::find_page_damage(&written).map_err(failed)?.into_iter().next() {
        Some(finding) => Err(build_damage_error(from, finding)),
        None => integrity::find_inconsistent_rows(&written).map_err(failed),
    }
}

fn install_stop_handler(connection: &Connection, stop: &Arc<AtomicBool>) -> rusqlite::Result<()> {
    let stop = Arc::clone(stop);
    connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(move || stop.load(Ordering::SeqCst)))
}

fn build_damage_error(path: &Path, detail: String) -> BackupError {
    BackupError::DamagedDatabase { path: path.to_owned(), detail }
}

/// Resolves the symbolic links of the folder. SQLite is opened with NOFOLLOW and accepts only UTF-8 paths.
fn resolve_path(file: &Path) -> BackupResult<PathBuf> {
    let name = file.file_name().ok_or_else(|| BackupError::BadName(file.to_owned()))?;
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|error| map_io_error("open the folder", folder, error))?;
    let path = folder.join(name);
    if path.to_str().is_none() {
        return Err(BackupError::BadName(path));
    }
    Ok(path)
}

fn check_target(target: &Path, replace: bool) -> BackupResult<()> {
    match fs::symlink_metadata(target) {
        Ok(metadata) if replace && metadata.is_file() => Ok(()),
        Ok(metadata) if metadata.is_file() => Err(BackupError::Exists(target.to_owned())),
        Ok(_) => Err(BackupError::BadName(target.to_owned())),
        Err(_) => Ok(()),
    }
}

/// Path of an incomplete copy: a hidden file in the target folder.
fn build_partial_path(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.part"))
}

fn rename_file(from: &Path, to: &Path) -> BackupResult<()> {
    fs::rename(from, to).map_err(|error| map_io_error("rename", from, error))
}

/// Renames a file, unless another one has the name.
fn give_name(from: &Path, to: &Path) -> BackupResult<()> {
    match fs::hard_link(from, to) {
        Ok(()) => delete_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(BackupError::Exists(to.to_owned())),
        // Some file systems have no hard links.
        Err(_) => rename_file(from, to),
    }
}

fn sync_directory(folder: &Path) -> BackupResult<()> {
    sync_folder(folder).map_err(|error| map_io_error("sync the folder", folder, error))
}

/// Deletes an incomplete copy, the copied pages, and the files that SQLite made for them.
fn delete_partial_copy(part: &Path) -> BackupResult<()> {
    PARTIAL_SUFFIXES.iter().try_for_each(|suffix| delete_file(&append_suffix(part, suffix)))
}

fn append_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Deletes a file if it exists.
fn delete_file(path: &Path) -> BackupResult<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(map_io_error("remove", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backup_names_contain_the_time_in_utc() {
        assert_eq!(format_stamp(1_784_021_400_999), "20260714T093000Z");
    }

    #[test]
    fn a_canceled_backup_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_server(folder.path()).unwrap();
        let target = tempfile::tempdir().unwrap();
        let stop = Arc::new(AtomicBool::new(true));
        let fill = |tx: &crate::store::Tx<'_>| {
            (0..20_000)
                .try_for_each(|key| crate::store::tables::instance::set_value(tx, &format!("key {key}"), "value"))
        };
        store.write_blocking(fill).unwrap();
        let canceled = store.back_up(&target.path().join("a.db"), true, &stop);
        assert!(matches!(canceled, Err(BackupError::Stopped)), "{canceled:?}");
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
        stop.store(false, Ordering::SeqCst);
        store.back_up(&target.path().join("a.db"), true, &stop).unwrap();
    }

    #[test]
    fn of_two_backups_to_one_name_the_first_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (target, part) = (folder.path().join("a.db"), folder.path().join(".a.db.part"));
        fs::write(&part, "left by an interrupted backup").unwrap();
        let first = reserve_part(&part, &target).unwrap();
        assert_eq!(fs::metadata(&part).unwrap().len(), 0);
        assert!(matches!(reserve_part(&part, &target), Err(BackupError::Running(_))));
        fs::write(&part, "complete").unwrap();
        fs::rename(&part, &target).unwrap();
        drop(reserve_part(&part, &target).unwrap());
        drop(first);
        assert_eq!(fs::read_to_string(&target).unwrap(), "complete");
    }
}
