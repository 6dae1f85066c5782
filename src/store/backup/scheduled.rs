//! The backups that a server makes by itself: what they are called, and how many are kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Result, io_error, remove, stamp};
use crate::clock::Millis;
use crate::store::files::make_private_folder;

const BEGINNING: &str = "rollcall-";
const ENDING: &str = ".db";
/// Characters of a stamp.
const STAMP: usize = 16;

/// Where the backup of that moment goes. The folder is made, for its owner alone, where it is missing.
pub fn place(folder: &Path, at: Millis) -> Result<PathBuf> {
    make_private_folder(folder).map_err(|error| io_error("make the folder", folder, error))?;
    Ok(folder.join(format!("{BEGINNING}{}{ENDING}", stamp(at))))
}

/// The backups that are there, oldest first. Nothing else in the folder is looked at.
pub fn present(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("list", folder, error)),
    };
    let paths = listed.filter_map(|entry| {
        let entry = entry.ok().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))?;
        is_ours(entry.file_name().to_str()?).then(|| entry.path())
    });
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    Ok(paths)
}

/// A backup that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Name of its file.
    pub name: String,
    /// When it was made.
    pub made: Millis,
    /// Its size.
    pub bytes: u64,
}

/// What is known of the backups that are there, oldest first. What cannot be read is left out.
pub fn list(folder: &Path) -> Vec<Present> {
    let known = |path: &PathBuf| {
        let metadata = path.metadata().ok()?;
        let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        let name = path.file_name()?.to_str()?.to_owned();
        Some(Present { name, made: Millis::try_from(since.as_millis()).ok()?, bytes: metadata.len() })
    };
    present(folder).unwrap_or_default().iter().filter_map(known).collect()
}

/// When the newest backup was made; nothing where there is none.
pub fn newest(folder: &Path) -> Option<Millis> {
    list(folder).last().map(|newest| newest.made)
}

/// Removes the oldest backups until `keep` are left, and the remains of one that was cut short; says how many went.
/// The one that was just `made` stays, whatever the clock did.
pub fn prune(folder: &Path, keep: usize, made: &Path) -> Result<usize> {
    let mut others = present(folder)?;
    others.retain(|path| path.file_name() != made.file_name());
    let surplus = (others.len() + 1).saturating_sub(keep.max(1));
    others.iter().take(surplus).try_for_each(|path| remove(path))?;
    for entry in fs::read_dir(folder).map_err(|error| io_error("list", folder, error))?.flatten() {
        let name = entry.file_name();
        let remains = name.to_str().and_then(|name| name.strip_prefix('.')?.split_once(".part")).map(|(name, _)| name);
        if remains.is_some_and(is_ours) {
            remove(&entry.path())?;
        }
    }
    Ok(surplus)
}

/// Whether a server made a file of that name: `rollcall-20260714T093000Z.db`.
fn is_ours(name: &str) -> bool {
    let stamp = name.strip_prefix(BEGINNING).and_then(|rest| rest.strip_suffix(ENDING)).unwrap_or_default();
    let fits = |(at, byte): (usize, u8)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    stamp.len() == STAMP && stamp.bytes().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_server_gives_are_ours() {
        assert!(is_ours("rollcall-20260714T093000Z.db"));
        for foreign in [
            "rollcall.db",
            "rollcall-.db",
            "rollcall-20260714T093000Z.db-wal",
            "rollcall-20260714T093000Z.db.bak",
            "rollcall-20260714_093000Z.db",
            "rollcall-before-the-move.db",
            ".rollcall-20260714T093000Z.db",
        ] {
            assert!(!is_ours(foreign), "{foreign}");
        }
    }
}
