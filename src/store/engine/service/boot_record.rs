//! The boot of the machine in which the index of the log was built, in the second line of the lock file.
//!
//! The index is memory that processes share, and it is never synced. After the end of a process it is exact. After a power
//! failure, its file can have any older state, which says nothing about the log.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Name of the lock file, which contains the id of the process and the boot of the machine.
pub(crate) const LOCK_NAME: &str = "rollcall.lock";
const BOOT_ID_PATH: &str = "/proc/sys/kernel/random/boot_id";
/// More than a process id and a boot id need.
const RECORD_MAX_BYTES: usize = 128;

/// Returns the id of the current boot, if the operating system has one.
pub(crate) fn read_boot_id() -> Option<String> {
    let id = fs::read_to_string(BOOT_ID_PATH).ok()?.trim().to_owned();
    (!id.is_empty()).then_some(id)
}

/// Whether the index in this folder is of the current boot. Without a lock file, the files were copied from such a folder.
pub(crate) fn is_index_current(folder: &Path) -> bool {
    match File::open(folder.join(LOCK_NAME)) {
        Ok(file) => read_lines(&file).1.is_some_and(|recorded| read_boot_id() == Some(recorded)),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Reads the process id and the boot from the lock file, as far as it contains them.
pub(crate) fn read_lines(file: &File) -> (Option<u32>, Option<String>) {
    let mut bytes = [0; RECORD_MAX_BYTES];
    let length = file.read_at(&mut bytes, 0).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
    let mut lines = text.lines().map(str::trim);
    let pid = lines.next().and_then(|line| line.parse().ok());
    (pid, lines.next().filter(|line| !line.is_empty()).map(str::to_owned))
}

/// Writes the id of this process, and a boot. It replaces the content in place, which needs no space on a full disk.
pub(crate) fn write_record(file: &File, boot: Option<&str>) -> io::Result<()> {
    let text = format!("{}\n{}\n", std::process::id(), boot.unwrap_or_default());
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
        assert_eq!(read_lines(&file), (Some(4711), None));
        write_record(&file, Some("other")).unwrap();
        assert!(!is_index_current(folder.path()));
        assert_eq!(read_lines(&file), (Some(std::process::id()), Some("other".to_owned())));
        write_record(&file, read_boot_id().as_deref()).unwrap();
        assert!(is_index_current(folder.path()));
        write_record(&file, None).unwrap();
        assert_eq!(read_lines(&file), (Some(std::process::id()), None));
    }
}
