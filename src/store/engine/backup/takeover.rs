//! What two machines need of the files: a copy that followed a replica becomes the database of this machine, and the database of a
//! machine after which another one was promoted is moved aside.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::OpenFlags;

use crate::store::engine::backup::restore::rename_previous_database;
use crate::store::engine::backup::{
    BackupError, BackupResult, delete_file, map_io_error, map_sqlite_error, rename_file, sync_directory,
};
use crate::store::engine::connection;
use crate::store::engine::files::{DataFiles, ServerLock};
use crate::store::engine::service::marker;
use crate::store::page_checksums;
use crate::store::tables::feed_gap;
use crate::store::tables::fenced_events::{self, FencedEvent};

/// Suffix of a copy that becomes the database: it does not follow any more.
const PROMOTING: &str = "promoting";
/// Bytes of the header of a database.
const HEADER_BYTES: usize = 100;

/// Excludes other servers and standbys from a data folder until it is dropped.
pub struct FolderLock {
    _lock: ServerLock,
}

impl std::fmt::Debug for FolderLock {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("FolderLock")
    }
}

/// Locks a data folder for a standby. Creates a missing folder.
///
/// # Errors
/// A server or a standby uses the folder.
pub fn lock_data_folder(data_dir: &Path) -> BackupResult<FolderLock> {
    let files = DataFiles::open_folder(data_dir, true)?;
    Ok(FolderLock { _lock: files.lock()? })
}

/// Whether the folder has a database with content.
pub fn has_database(data_dir: &Path) -> bool {
    std::fs::metadata(data_dir.join("rollcall.db")).is_ok_and(|metadata| metadata.len() > 0)
}

/// Whether a copy was set aside for a promotion that is not complete.
pub fn has_promoted_copy(data_dir: &Path) -> bool {
    data_dir.join(format!("rollcall.db.{PROMOTING}")).exists()
}

/// Removes a copy that was set aside, with its log.
///
/// # Errors
/// A file cannot be removed.
pub fn discard_promoted_copy(data_dir: &Path) -> BackupResult<()> {
    let files = DataFiles::open_folder(data_dir, false)?;
    [PROMOTING.to_owned(), format!("{PROMOTING}-wal"), format!("{PROMOTING}-shm")]
        .iter()
        .try_for_each(|suffix| delete_file(&files.sibling_path(suffix)))
}

/// Sets a copy aside that has followed a replica. From now on it must not follow any more.
///
/// # Errors
/// It cannot be renamed.
pub fn reserve_copy(data_dir: &Path, copy: &Path) -> BackupResult<()> {
    let files = DataFiles::open_folder(data_dir, false)?;
    rename_file(copy, &files.sibling_path(PROMOTING))?;
    sync_directory(&files.directory)
}

/// Prepares the copy that was set aside, or without one the database of the folder, for a new generation: the event numbers leap
/// by `distance` gaps, one for each generation that may have continued from the same state. Can run again. Returns the newest
/// event.
///
/// # Errors
/// The file is damaged, or not a database of this program.
pub fn prepare_promotion(data_dir: &Path, distance: i64) -> BackupResult<i64> {
    let files = DataFiles::open_folder(data_dir, false)?;
    let copy = files.sibling_path(PROMOTING);
    let target = if copy.exists() { copy } else { files.database };
    restore_first_page(&target).map_err(|error| map_io_error("repair", &target, error))?;
    if connection::probe_file(&target)? == 0 {
        return Err(BackupError::Foreign(target));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let prepared = connection::open_connection(&target, flags).and_then(|database| {
        database.pragma_update(None, "synchronous", "FULL")?;
        let newest = feed_gap::find_highest_number(&database)?;
        feed_gap::record_gaps(&database, distance)?;
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(newest)
    });
    prepared.map_err(|error| map_sqlite_error(&target, &target, error))
}

/// Lets the copy that was set aside be the database. Can run again.
///
/// # Errors
/// A file cannot be renamed.
pub fn complete_promotion(data_dir: &Path) -> BackupResult<()> {
    let files = DataFiles::open_folder(data_dir, false)?;
    let copy = files.sibling_path(PROMOTING);
    if copy.exists() {
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&copy, private).map_err(|error| map_io_error("protect", &copy, error))?;
        files.match_folder_owner(&copy);
        let [log, index] = files.log_paths();
        // They would belong to a database that is gone.
        [log, index].iter().try_for_each(|path| delete_file(path))?;
        let marked = |error| map_io_error("remove", &files.marker_path(), error);
        marker::remove_other_marker(&files, None).map_err(marked)?;
        rename_file(&copy, &files.database)?;
    }
    sync_directory(&files.directory)
}

/// Moves the database of a server aside after which another one was promoted, together with its log if that cannot be merged.
/// Returns the new path, or `None` if there is no database. The folder is locked meanwhile.
///
/// # Errors
/// A server uses the folder, or a file cannot be renamed.
pub fn fence_database(data_dir: &Path) -> BackupResult<Option<PathBuf>> {
    let files = DataFiles::open_folder(data_dir, false)?;
    let _lock = files.lock()?;
    let fenced = rename_previous_database(&files, true, "fenced")?;
    delete_file(&files.database)?;
    let marked = |error| map_io_error("remove", &files.marker_path(), error);
    marker::remove_other_marker(&files, None).map_err(marked)?;
    sync_directory(&files.directory)?;
    Ok(fenced)
}

/// Returns the events after a number in a database that was moved aside.
///
/// # Errors
/// The file is not a database of this program.
pub fn list_fenced_events(file: &Path, after: i64) -> BackupResult<Vec<FencedEvent>> {
    if connection::probe_file(file)? == 0 {
        return Err(BackupError::Foreign(file.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let found =
        connection::open_connection(file, flags).and_then(|fenced| fenced_events::list_fenced_events(&fenced, after));
    found.map_err(|error| map_sqlite_error(file, file, error))
}

/// Restores the first page of a copy that followed a replica. Litestream writes the journal mode `delete` and a random counter
/// into it, so that readers of the file notice changes; the counter is in the page a second time (SQLite file format, section
/// 1.3.17: the version-valid-for number). The checksum of the page says whether the result is right.
fn restore_first_page(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut page = read_first_page(&file)?;
    if page.is_empty() || page_checksums::is_first_page_valid(&page) {
        return Ok(());
    }
    page[18..20].copy_from_slice(&[2, 2]);
    page.copy_within(92..96, 24);
    if !page_checksums::is_first_page_valid(&page) {
        return Err(io::Error::other("the first page is not the one of the replica"));
    }
    file.write_all_at(&page, 0)?;
    file.sync_all()
}

/// Returns the first page; empty if the pages have no checksums.
fn read_first_page(file: &File) -> io::Result<Vec<u8>> {
    let mut header = vec![0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0)?;
    let Some(bytes) = page_checksums::find_checked_page_size(&header) else { return Ok(Vec::new()) };
    let mut page = vec![0; bytes];
    file.read_exact_at(&mut page, 0)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::tables::instance;

    /// A folder with a copy that followed a replica, as Litestream leaves it.
    fn copied_folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open_for_command(folder.path()).unwrap());
        let copy = folder.path().join("standby.g000001.db");
        std::fs::rename(folder.path().join("rollcall.db"), &copy).unwrap();
        let file = OpenOptions::new().write(true).open(&copy).unwrap();
        file.write_all_at(&[1, 1], 18).unwrap();
        file.write_all_at(&[9, 8, 7, 6], 24).unwrap();
        (folder, copy)
    }

    #[test]
    fn a_copy_becomes_the_database_and_each_step_can_run_again() {
        let (folder, copy) = copied_folder();
        assert!(!has_database(folder.path()));
        reserve_copy(folder.path(), &copy).unwrap();
        assert!(has_promoted_copy(folder.path()) && !copy.exists());
        for _ in 0..2 {
            assert_eq!(prepare_promotion(folder.path(), 1).unwrap(), 0);
        }
        for _ in 0..2 {
            complete_promotion(folder.path()).unwrap();
            assert!(has_database(folder.path()) && !has_promoted_copy(folder.path()));
        }
        assert_eq!(prepare_promotion(folder.path(), 3).unwrap(), 0);
        let store = Store::open_for_server(folder.path()).unwrap();
        store.write_blocking(|tx| instance::set_value(tx, "after", "1")).unwrap();
        store.close();
    }

    #[test]
    fn a_first_page_with_other_changes_is_not_accepted() {
        let (folder, copy) = copied_folder();
        OpenOptions::new().write(true).open(&copy).unwrap().write_all_at(&[7], 60).unwrap();
        reserve_copy(folder.path(), &copy).unwrap();
        assert!(prepare_promotion(folder.path(), 1).unwrap_err().to_string().contains("first page"));
    }

    #[test]
    fn a_fenced_database_has_another_name_and_the_folder_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open_for_command(folder.path()).unwrap());
        let fenced = fence_database(folder.path()).unwrap().unwrap();
        assert!(fenced.file_name().unwrap().to_str().unwrap().starts_with("rollcall.db.fenced-"));
        assert!(fenced.exists() && !has_database(folder.path()) && !folder.path().join("rollcall.marker").exists());
        assert_eq!(fence_database(folder.path()).unwrap(), None);
        let _lock = lock_data_folder(folder.path()).unwrap();
        assert!(fence_database(folder.path()).is_err());
    }
}
