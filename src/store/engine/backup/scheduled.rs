//! Scheduled backups of a server: their file names and their retention.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{CORRECTION_MAX, Millis};
use crate::store::engine::backup::{BackupResult, delete_file, format_stamp, map_io_error};
use crate::store::engine::files::create_private_folder;

const PREFIX: &str = "rollcall-";
const SUFFIX: &str = ".db";
/// Length of a formatted time.
const STAMP_LENGTH: usize = 16;

/// The names of the backups that this process writes now.
static NAMES_IN_USE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn lock_names() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    NAMES_IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The path of a backup that is being written. No other backup of this process gets the same while it exists.
#[derive(Debug)]
pub struct BackupPath(PathBuf);

impl BackupPath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl Drop for BackupPath {
    fn drop(&mut self) {
        lock_names().remove(&self.0);
    }
}

/// Returns the path for a backup made at this time; if the name is in use, that of the next free second. Creates a missing
/// folder with mode 0700.
pub fn prepare_backup_path(folder: &Path, at: Millis) -> BackupResult<BackupPath> {
    create_private_folder(folder).map_err(|error| map_io_error("create the folder", folder, error))?;
    let mut names = lock_names();
    let mut stamps = (0..).map(|second: Millis| at.saturating_add(second * 1_000));
    let path = stamps
        .find_map(|at| {
            let path = folder.join(format!("{PREFIX}{}{SUFFIX}", format_stamp(at)));
            let is_free = fs::symlink_metadata(&path).is_err() && !names.contains(&path);
            is_free.then_some(path)
        })
        .unwrap_or_default();
    names.insert(path.clone());
    Ok(BackupPath(path))
}

/// Returns the paths of the backups that this process writes now.
pub fn list_paths_in_use() -> Vec<PathBuf> {
    lock_names().iter().cloned().collect()
}

/// Returns the paths of the scheduled backups in the folder, oldest first. Ignores other files.
pub fn list_backup_paths(folder: &Path) -> BackupResult<Vec<PathBuf>> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(map_io_error("list", folder, error)),
    };
    let paths = listed.filter_map(|entry| {
        let entry = entry.ok().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))?;
        is_backup_name(entry.file_name().to_str()?).then(|| entry.path())
    });
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    Ok(paths)
}

/// A scheduled backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledBackup {
    /// File name.
    pub name: String,
    /// Time of creation.
    pub created_at: Millis,
    /// Size in bytes.
    pub bytes: u64,
}

/// Returns the scheduled backups in the folder, oldest first. Skips unreadable files.
pub fn list_backups(folder: &Path) -> Vec<ScheduledBackup> {
    let read = |path: &PathBuf| {
        let metadata = path.metadata().ok()?;
        let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        let name = path.file_name()?.to_str()?.to_owned();
        Some(ScheduledBackup { name, created_at: Millis::try_from(since.as_millis()).ok()?, bytes: metadata.len() })
    };
    list_backup_paths(folder).unwrap_or_default().iter().filter_map(read).collect()
}

impl ScheduledBackup {
    /// Whether the backup is dated in the future: the clock was wrong when it was made, or the file was renamed.
    pub fn is_dated_after(&self, now: Millis) -> bool {
        let latest = now.saturating_add(CORRECTION_MAX);
        self.created_at > latest || is_named_after(&self.name, latest)
    }
}

/// Returns the time of the newest backup, or `None` if there is no backup. Ignores backups that are dated in the future:
/// they do not say how old the last real one is.
pub fn find_newest_time(folder: &Path, now: Millis) -> Option<Millis> {
    find_newest_of(&list_backups(folder), now)
}

/// The same for backups that are already listed.
pub fn find_newest_of(backups: &[ScheduledBackup], now: Millis) -> Option<Millis> {
    backups.iter().rfind(|backup| !backup.is_dated_after(now)).map(|newest| newest.created_at)
}

/// Whether this name of a scheduled backup contains a later time.
fn is_named_after(name: &str, time: Millis) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.trim_end_matches(SUFFIX) > format_stamp(time).as_str())
}

/// Deletes the oldest backups until `keep` are left, and incomplete files of interrupted backups. Returns how many
/// backups were deleted. Backups that are named after a time in the future are deleted first. The new backup `created`
/// is never deleted, even if the clock was set back.
pub fn prune_backups(folder: &Path, keep: usize, created: &Path, now: Millis) -> BackupResult<usize> {
    let mut others = list_backup_paths(folder)?;
    others.retain(|path| path.file_name() != created.file_name());
    let latest = now.saturating_add(CORRECTION_MAX);
    others.sort_by_key(|path| {
        !path.file_name().and_then(|name| name.to_str()).is_some_and(|name| is_named_after(name, latest))
    });
    let surplus = (others.len() + 1).saturating_sub(keep.max(1));
    others.iter().take(surplus).try_for_each(|path| delete_file(path))?;
    for entry in fs::read_dir(folder).map_err(|error| map_io_error("list", folder, error))?.flatten() {
        let name = entry.file_name();
        let partial_of =
            name.to_str().and_then(|name| name.strip_prefix('.')?.split_once(".part")).map(|(name, _)| name);
        // Another backup is being written.
        let is_in_use = |name: &str| lock_names().contains(&folder.join(name));
        if partial_of.is_some_and(|name| is_backup_name(name) && !is_in_use(name)) {
            delete_file(&entry.path())?;
        }
    }
    Ok(surplus)
}

/// Whether this is the name of a scheduled backup, such as `rollcall-20260714T093000Z.db`.
fn is_backup_name(name: &str) -> bool {
    let stamp = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)).unwrap_or_default();
    let is_valid = |(at, byte): (usize, u8)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    stamp.len() == STAMP_LENGTH && stamp.bytes().enumerate().all(is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_dated_in_the_future_hide_nothing_and_are_deleted_first() {
        let folder = tempfile::tempdir().unwrap();
        let now = 1_784_021_400_000;
        let make = |name: &str, at: Millis| {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(at.unsigned_abs());
            file.set_modified(time).unwrap();
        };
        make("rollcall-20990101T000000Z.db", now);
        assert_eq!(find_newest_time(folder.path(), now), None);
        make("rollcall-20260701T000000Z.db", now - 1_000_000);
        make("rollcall-20260702T000000Z.db", now - 500_000);
        make("rollcall-20260703T000000Z.db", now + 500_000);
        assert_eq!(find_newest_time(folder.path(), now), Some(now - 500_000));
        let created = folder.path().join("rollcall-20260714T093000Z.db");
        make("rollcall-20260714T093000Z.db", now);
        assert_eq!(prune_backups(folder.path(), 3, &created, now).unwrap(), 2);
        let left: Vec<_> = list_backups(folder.path()).into_iter().map(|backup| backup.name).collect();
        assert_eq!(
            left,
            ["rollcall-20260702T000000Z.db", "rollcall-20260703T000000Z.db", "rollcall-20260714T093000Z.db"]
        );
    }

    #[test]
    fn two_backups_of_the_same_second_get_different_names() {
        let folder = tempfile::tempdir().unwrap();
        let now = 1_784_021_400_000;
        let name = |path: &BackupPath| path.as_path().file_name().unwrap().to_str().unwrap().to_owned();
        let first = prepare_backup_path(folder.path(), now).unwrap();
        let second = prepare_backup_path(folder.path(), now + 999).unwrap();
        assert_eq!(name(&first), "rollcall-20260714T093000Z.db");
        assert_eq!(name(&second), "rollcall-20260714T093001Z.db");
        // The end of one backup does not remove the incomplete file of another, and a name with a file stays in use.
        let part = folder.path().join(format!(".{}.part", name(&second)));
        let interrupted = folder.path().join(".rollcall-20260713T093000Z.db.part");
        for path in [first.as_path(), &part, &interrupted] {
            fs::write(path, "x").unwrap();
        }
        prune_backups(folder.path(), 5, first.as_path(), now).unwrap();
        assert!(part.exists() && !interrupted.exists());
        drop((first, second));
        assert_eq!(name(&prepare_backup_path(folder.path(), now).unwrap()), "rollcall-20260714T093001Z.db");
    }

    #[test]
    fn only_names_of_scheduled_backups_match() {
        assert!(is_backup_name("rollcall-20260714T093000Z.db"));
        for other in [
            "rollcall.db",
            "rollcall-.db",
            "rollcall-20260714T093000Z.db-wal",
            "rollcall-20260714T093000Z.db.bak",
            "rollcall-20260714_093000Z.db",
            "rollcall-before-the-move.db",
            ".rollcall-20260714T093000Z.db",
        ] {
            assert!(!is_backup_name(other), "{other}");
        }
    }
}
