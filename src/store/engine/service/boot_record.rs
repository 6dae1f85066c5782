//! The lines of the lock file: the id of the process, the boot of the machine in which the index of the log was built, and the
//! time of a server that does not follow a leap of the system clock.
//!
//! The index is memory that processes share, and it is never synced. After the end of a process it is exact. After a power
//! failure, its file can have any older state, which says nothing about the log.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::clock::Millis;

/// Name of the lock file.
pub(crate) const LOCK_NAME: &str = "rollcall.lock";
const BOOT_ID_PATH: &str = "/proc/sys/kernel/random/boot_id";
/// More than the lines need.
const RECORD_MAX_BYTES: usize = 128;

/// The lines of the lock file, as far as it contains them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LockRecord {
    pub(crate) pid: Option<u32>,
    /// The boot in which the index of the log was built.
    pub(crate) boot: Option<String>,
    /// The time of the server minus that of the monotonic clock, in milliseconds, while it does not follow the system clock.
    pub(crate) held_offset: Option<Millis>,
}

/// Returns the id of the current boot, if the operating system has one.
pub(crate) fn read_boot_id() -> Option<String> {
    let id = fs::read_to_string(BOOT_ID_PATH).ok()?.trim().to_owned();
    (!id.is_empty()).then_some(id)
}

/// Whether the index in this folder is of the current boot. Without a lock file, the files were copied from such a folder.
pub(crate) fn is_index_current(folder: &Path) -> bool {
    match File::open(folder.join(LOCK_NAME)) {
        Ok(file) => read_record(&file).boot.is_some_and(|recorded| read_boot_id() == Some(recorded)),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

pub(crate) fn read_record(file: &File) -> LockRecord {
    let mut bytes = [0; RECORD_MAX_BYTES];
    let length = file.read_at(&mut bytes, 0).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
    let mut lines = text.lines().map(str::trim);
    LockRecord {
        pid: lines.next().and_then(|line| line.parse().ok()),
        boot: lines.next().filter(|line| !line.is_empty()).map(str::to_owned),
        held_offset: lines.next().and_then(|line| line.parse().ok()),
    }
}

/// Writes the id of this process and the other lines. They replace the content in place, which needs no space on a full disk.
pub(crate) fn write_record(file: &File, boot: Option<&str>, held_offset: Option<Millis>) -> io::Result<()> {
    let offset = held_offset.map(|offset| format!("{offset}\n")).unwrap_or_default();
    let text = format!("{}\n{}\n{offset}", std::process::id(), boot.unwrap_or_default());
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_believed_in_the_boot_that_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_index_current(folder.path()), "a copy without the lock file");
        let path = folder.path().join(LOCK_NAME);
        fs::write(&path, "4711\n").unwrap();
        assert!(!is_index_current(folder.path()));
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert_eq!(read_record(&file), LockRecord { pid: Some(4711), ..LockRecord::default() });
        write_record(&file, Some("other"), Some(-7)).unwrap();
        assert!(!is_index_current(folder.path()));
        let record =
            LockRecord { pid: Some(std::process::id()), boot: Some("other".to_owned()), held_offset: Some(-7) };
        assert_eq!(read_record(&file), record);
        write_record(&file, read_boot_id().as_deref(), None).unwrap();
        assert!(is_index_current(folder.path()));
        write_record(&file, None, None).unwrap();
        assert_eq!(read_record(&file), LockRecord { boot: None, held_offset: None, ..record });
    }
}
