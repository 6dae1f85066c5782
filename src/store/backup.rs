//! Copies of the database: made while it is written to, checked before they get their name, and put back.
//!
//! A copy is one file without a log beside it. It holds what was committed when it was begun, and no page that was
//! freed: what was purged is not in it.

mod restore;
pub mod scheduled;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::db::{self, OpenError};
use super::files::{DataFiles, sync_folder};
use super::{Store, integrity};
use crate::clock::{self, Millis};

pub use restore::{Restored, restore};

/// Backups made before an upgrade that are kept.
const BEFORE_UPGRADE_KEPT: usize = 3;
/// How the names of those begin, after the database's own.
const BEFORE_UPGRADE: &str = "before-v";
/// Virtual machine steps between two looks at whether to stop: a few milliseconds.
const STEPS_BETWEEN_LOOKS: i32 = 100_000;

/// Why a backup could not be made or put back. Each text names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database itself cannot be read, or the data folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is a file of that name.
    #[error("{0} exists already: give another name, or --force to replace it")]
    Exists(PathBuf),
    /// The name belongs to the running database.
    #[error("{0} is a file that the server works with: give another name")]
    InUse(PathBuf),
    /// The name cannot be one of a file.
    #[error("{0} cannot be the name of a backup: give a file name of plain characters in a folder that exists")]
    BadName(PathBuf),
    /// There is a database in the data folder.
    #[error("{0} exists already: with --force it is kept beside under another name, and the backup takes its place")]
    Occupied(PathBuf),
    /// It is something else than a backup of ours.
    #[error("{0} is not a Rollcall database: give a file that `rollcall backup` made")]
    Foreign(PathBuf),
    /// It was written by a newer program.
    #[error("{path} cannot be restored with this program: it has schema version {found}, and versions up to {known} are known. Install {}",
        .writer.as_deref().map_or_else(|| "the newer program".to_owned(), |version| format!("Rollcall {version} or newer")))]
    Newer {
        /// The backup.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The newest version of this program.
        known: i32,
        /// Version of the program that wrote it, where the file says it.
        writer: Option<String>,
    },
    /// The database is damaged, so that no sound copy of it can be made.
    #[error("{path} is damaged ({detail}): run `rollcall check`, and restore the last good backup")]
    DamagedDatabase {
        /// The database.
        path: PathBuf,
        /// The first finding.
        detail: String,
    },
    /// The backup is damaged.
    #[error("{path} is damaged ({detail}): give an older backup. The present database was left as it is")]
    DamagedBackup {
        /// The backup.
        path: PathBuf,
        /// The first finding.
        detail: String,
    },
    /// The server stops.
    #[error("the copy was given up because the server stops")]
    Stopped,
    /// There is no room for the copy.
    #[error("there is no room for {0}: free some, or give a file on another disk")]
    DiskFull(PathBuf),
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
    #[error("cannot copy {path}: {source}")]
    Sqlite {
        /// The file that was copied.
        path: PathBuf,
        /// SQLite's word.
        source: rusqlite::Error,
    },
}

type Result<T> = std::result::Result<T, BackupError>;

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> BackupError {
    if source.kind() == io::ErrorKind::StorageFull {
        return BackupError::DiskFull(path.to_owned());
    }
    BackupError::Io { doing, path: path.to_owned(), source }
}

/// A backup that is on the disk under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where it lies, with every symbolic link resolved.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Backs up the database in `data_dir` to `file`, beside a server or without one. `replace` takes the place of a file
/// that is there.
///
/// The copy gets its name only after it is on the disk and was checked, so a file of that name is always a good one.
pub fn write(data_dir: &Path, file: &Path, replace: bool) -> Result<Written> {
    let files = DataFiles::prepare(data_dir, false)?;
    if db::probe(&files.database)? == 0 {
        return Err(OpenError::Missing(files.database).into());
    }
    copy_to(&files, file, replace, &Arc::default())
}

impl Store {
    /// The same for a server, which gives up when `stop` becomes true.
    pub fn back_up(&self, file: &Path, stop: &Arc<AtomicBool>) -> Result<Written> {
        copy_to(&self.shared.files, file, false, stop)
    }
}

/// Backs the database up beside itself before it is upgraded to `version`, and removes the oldest of such backups.
pub(super) fn before_upgrade(files: &DataFiles, version: i32) -> Result<()> {
    for remains in named(files, ".", ".part")?.into_iter().chain(named(files, ".", ".part-journal")?) {
        remove(&remains)?;
    }
    let file = files.beside(&format!("{BEFORE_UPGRADE}{version}-{}", stamp(clock::now())));
    let written = copy_to(files, &file, true, &Arc::default())?;
    files.hand_over(&written.path);
    tracing::info!(backup = %written.path.display(), bytes = written.bytes, "backed up before the upgrade");
    let mut kept = named(files, "", "Z")?;
    // The new one stays, whatever the clock did.
    kept.retain(|path| *path != written.path);
    kept.sort_by_key(|path| path.to_string_lossy().rsplit('-').next().map(str::to_owned));
    let surplus = (kept.len() + 1).saturating_sub(BEFORE_UPGRADE_KEPT);
    kept.iter().take(surplus).try_for_each(|path| remove(path))
}

/// The backups of upgrades in the data folder, with something before and after their name.
fn named(files: &DataFiles, before: &str, after: &str) -> Result<Vec<PathBuf>> {
    let named_after = files.beside(BEFORE_UPGRADE);
    let beginning = format!("{before}{}", named_after.file_name().unwrap_or_default().to_string_lossy());
    let listed = fs::read_dir(&files.directory).map_err(|error| io_error("list", &files.directory, error))?;
    let paths = listed.flatten().filter_map(|entry| {
        let name = entry.file_name();
        let name = name.to_str()?;
        (name.starts_with(&beginning) && name.ends_with(after)).then(|| entry.path())
    });
    Ok(paths.collect())
}

/// A time in the name of a file, in UTC: `20260714T093000Z`.
pub fn stamp(at: Millis) -> String {
    let text = clock::rfc3339(at);
    let whole_seconds = text.split('.').next().unwrap_or_default();
    whole_seconds.chars().filter(|c| !matches!(c, '-' | ':')).chain(['Z']).collect()
}

/// Copies the database to a file of that name. What is refused is refused before anything is written.
fn copy_to(files: &DataFiles, file: &Path, replace: bool, stop: &Arc<AtomicBool>) -> Result<Written> {
    let target = resolved(file)?;
    if files.is_in_use(&target) {
        return Err(BackupError::InUse(target));
    }
    refuse_present(&target, replace)?;
    let part = partial(&target);
    discard(&part)?;
    let copied = copy(&files.database, &part, stop).and_then(|()| {
        // It may have come into being meanwhile.
        refuse_present(&target, replace)?;
        let bytes = fs::metadata(&part).map_err(|error| io_error("read", &part, error))?.len();
        rename(&part, &target)?;
        synced(target.parent().unwrap_or(Path::new("/")))?;
        Ok(Written { path: target, bytes })
    });
    copied.inspect_err(|_| drop(discard(&part)))
}

/// Copies a database to a new file of mode 0600, brings it to the disk and reads it back.
fn copy(from: &Path, to: &Path, stop: &Arc<AtomicBool>) -> Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    drop(made.map_err(|error| io_error("make", to, error))?);
    let name = to.to_str().ok_or_else(|| BackupError::BadName(to.to_owned()))?;
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => BackupError::Stopped,
        Some(ErrorCode::DiskFull) => BackupError::DiskFull(to.to_owned()),
        Some(ErrorCode::DatabaseCorrupt) => damaged(from, error.to_string()),
        _ => BackupError::Sqlite { path: from.to_owned(), source: error },
    };
    let source = db::source(from).map_err(failed)?;
    heed(&source, stop).map_err(failed)?;
    source.execute("VACUUM INTO ?1", [name]).map_err(failed)?;
    drop(source);
    // SQLite leaves that to us.
    File::open(to).and_then(|file| file.sync_all()).map_err(|error| io_error("write", to, error))?;
    let written = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let written = written.map_err(failed)?;
    heed(&written, stop).map_err(failed)?;
    match integrity::damage(&written).map_err(failed)?.into_iter().next() {
        Some(finding) => Err(damaged(from, finding)),
        None => Ok(()),
    }
}

fn heed(connection: &Connection, stop: &Arc<AtomicBool>) -> rusqlite::Result<()> {
    let stop = Arc::clone(stop);
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || stop.load(Ordering::SeqCst)))
}

fn damaged(path: &Path, detail: String) -> BackupError {
    BackupError::DamagedDatabase { path: path.to_owned(), detail }
}

/// The path with every symbolic link of its folder resolved; SQLite takes no other, and only in UTF-8.
fn resolved(file: &Path) -> Result<PathBuf> {
    let name = file.file_name().ok_or_else(|| BackupError::BadName(file.to_owned()))?;
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|error| io_error("open the folder", folder, error))?;
    let path = folder.join(name);
    if path.to_str().is_none() {
        return Err(BackupError::BadName(path));
    }
    Ok(path)
}

fn refuse_present(target: &Path, replace: bool) -> Result<()> {
    match fs::symlink_metadata(target) {
        Ok(present) if replace && present.is_file() => Ok(()),
        Ok(present) if present.is_file() => Err(BackupError::Exists(target.to_owned())),
        Ok(_) => Err(BackupError::BadName(target.to_owned())),
        Err(_) => Ok(()),
    }
}

/// Where a copy lies while it is made: beside its name, hidden.
fn partial(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.part"))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| io_error("rename", from, error))
}

fn synced(folder: &Path) -> Result<()> {
    sync_folder(folder).map_err(|error| io_error("sync the folder", folder, error))
}

/// Removes a copy that is not finished, and the journal that SQLite had while it was made.
fn discard(part: &Path) -> Result<()> {
    let mut journal = part.as_os_str().to_owned();
    journal.push("-journal");
    remove(Path::new(&journal))?;
    remove(part)
}

/// Removes a file of ours that may be missing.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_time_in_utc() {
        assert_eq!(stamp(1_784_021_400_999), "20260714T093000Z");
    }

    #[test]
    fn a_copy_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), crate::store::Access::Serve).unwrap();
        let place = tempfile::tempdir().unwrap();
        let stop = Arc::new(AtomicBool::new(true));
        let fill = |tx: &crate::store::Tx<'_>| {
            (0..20_000).try_for_each(|key| crate::store::instance::set(tx, &format!("key {key}"), "value"))
        };
        store.write_blocking(crate::store::Undo::Savepoint, fill).unwrap();
        let given_up = store.back_up(&place.path().join("a.db"), &stop);
        assert!(matches!(given_up, Err(BackupError::Stopped)), "{given_up:?}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        stop.store(false, Ordering::SeqCst);
        store.back_up(&place.path().join("a.db"), &stop).unwrap();
    }
}
