//! Scheduled backups of a server: their file names and their retention.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::Millis;
use crate::store::engine::backup::{BackupResult, delete_file, format_stamp, map_io_error};
use crate::store::engine::files::create_private_folder;

const PREFIX: &str = "rollcall-";
const SUFFIX: &str = ".db";
/// Length of a formatted time.
const STAMP_LENGTH: usize = 16;

/// Returns the path for a backup made at this time. Creates a missing folder with mode 0700.
pub fn prepare_backup_path(folder: &Path, at: Millis) -> BackupResult<PathBuf> {
    create_private_folder(folder).map_err(|error| map_io_error("create the folder", folder, error))?;
    Ok(folder.join(format!("{PREFIX}{}{SUFFIX}", format_stamp(at))))
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

/// Returns the time of the newest backup, or `None` if there is no backup.
pub fn find_newest_time(folder: &Path) -> Option<Millis> {
    list_backups(folder).last().map(|newest| newest.created_at)
}

/// Deletes the oldest backups until `keep` are left, and incomplete files of interrupted backups. Returns how many
/// backups were deleted. The new backup `created` is never deleted, even if the clock was set back.
pub fn prune_backups(folder: &Path, keep: usize, created: &Path) -> BackupResult<usize> {
    let mut others = list_backup_paths(folder)?;
    others.retain(|path| path.file_name() != created.file_name());
    let surplus = (others.len() + 1).saturating_sub(keep.max(1));
    others.iter().take(surplus).try_for_each(|path| delete_file(path))?;
    for entry in fs::read_dir(folder).map_err(|error| map_io_error("list", folder, error))?.flatten() {
        let name = entry.file_name();
        let partial_of =
            name.to_str().and_then(|name| name.strip_prefix('.')?.split_once(".part")).map(|(name, _)| name);
        if partial_of.is_some_and(is_backup_name) {
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
