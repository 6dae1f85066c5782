//! A file that occupies space in the data folder. It is removed when the disk is full, so that deletions still work, and
//! created again when there is space.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use rustix::fs::FallocateFlags;

use crate::store::engine::files::DataFiles;
use crate::store::engine::service::disk_space::DiskSpace;

/// The reserve of one data folder.
#[derive(Debug)]
pub(crate) struct DiskReserve {
    path: PathBuf,
    folder: PathBuf,
    lock: Mutex<()>,
}

impl DiskReserve {
    pub(crate) fn new(files: &DataFiles) -> Self {
        Self { path: files.reserve_path(), folder: files.directory.clone(), lock: Mutex::default() }
    }

    pub(crate) fn read_space(&self) -> Option<DiskSpace> {
        DiskSpace::read(&self.folder)
    }

    /// Whether the reserve of a disk with this space is there.
    pub(crate) fn is_occupied(&self, space: DiskSpace) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.len() >= space.reserve_bytes())
    }

    /// Frees the space. Returns whether it was occupied.
    pub(crate) fn release(&self) -> bool {
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        match fs::remove_file(&self.path) {
            Ok(()) => {
                tracing::warn!(reserve = %self.path.display(), "the disk is full: the reserve was released");
                return true;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(reserve = %self.path.display(), %error, "the reserve cannot be released"),
        }
        false
    }

    /// Occupies the space again that was just freed, also on a full disk.
    pub(crate) fn reoccupy(&self) {
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(space) = self.read_space() else { return };
        if self.allocate(space.reserve_bytes()).is_err() {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Occupies the space, if there is enough. Returns whether it is occupied, or the disk needs no reserve.
    pub(crate) fn restore(&self, files: &DataFiles) -> bool {
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(space) = self.read_space() else { return true };
        if self.is_occupied(space) {
            return true;
        }
        if space.is_low() {
            return false;
        }
        match self.allocate(space.reserve_bytes()) {
            Ok(()) => files.match_folder_owner(&self.path),
            // The file system cannot reserve space: there is space now, and no reserve.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => drop(fs::remove_file(&self.path)),
            Err(_) => {
                let _ = fs::remove_file(&self.path);
                return false;
            }
        }
        true
    }

    fn allocate(&self, bytes: u64) -> rustix::io::Result<()> {
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path);
        let file = opened.map_err(|error| {
            error.raw_os_error().map_or(rustix::io::Errno::IO, rustix::io::Errno::from_raw_os_error)
        })?;
        if bytes == 0 {
            return Ok(());
        }
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::engine::service::disk_space::RESERVE_BYTES;

    #[test]
    fn the_reserve_occupies_space_and_can_be_released_and_restored() {
        let folder = tempfile::tempdir().unwrap();
        let files = DataFiles::prepare(folder.path(), true).unwrap();
        let reserve = DiskReserve::new(&files);
        for _ in 0..2 {
            assert!(reserve.restore(&files));
            assert_eq!(fs::metadata(files.reserve_path()).unwrap().len(), RESERVE_BYTES);
            assert!(reserve.restore(&files));
            assert!(reserve.release() && !reserve.release());
            assert!(!files.reserve_path().exists());
            reserve.reoccupy();
            assert_eq!(fs::metadata(files.reserve_path()).unwrap().len(), RESERVE_BYTES);
        }
    }
}
