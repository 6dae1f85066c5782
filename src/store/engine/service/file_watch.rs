//! Notices that the database file, its log or the index of the log was removed, renamed or replaced while it is open. SQLite
//! would continue to write into a file that no path leads to. Without the index, another process would make a new one, and
//! both would write into the same log without knowing of each other.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use crate::model::service_state::FileSighting;
use crate::store::engine::files::DataFiles;

/// Longest step in which a file system counts the times of its entries.
const TIME_STEP_MAX: Duration = Duration::from_secs(2);

/// Device and inode.
type FileIdentity = (u64, u64);

/// The identity of the open files, and the result of the last look.
#[derive(Debug, Default)]
pub(crate) struct FileWatch {
    /// `None` as long as the files are not watched.
    opened: Mutex<Option<WatchedFiles>>,
    sighting: AtomicU8,
}

#[derive(Debug)]
struct WatchedFiles {
    /// The database, its log and the index of the log.
    identities: [FileIdentity; 3],
    /// Their folder. It is `None` if it cannot be opened.
    folder: Option<File>,
    /// When an entry of the folder was last changed, at the last look at the files: seconds and nanoseconds.
    folder_changed: Option<(i64, i64)>,
}

impl WatchedFiles {
    /// When an entry of the folder was last changed. Writes into its files do not change it.
    fn read_folder_change(&self) -> Option<(i64, i64)> {
        let metadata = self.folder.as_ref()?.metadata().ok()?;
        Some((metadata.mtime(), metadata.mtime_nsec()))
    }
}

impl FileWatch {
    /// Watches the files at the paths, which the writer has just opened.
    pub(crate) fn start(&self, files: &DataFiles) {
        let identities = identify_files(files);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        // The database must stay the same; the log is a new one after all connections were closed.
        if let (Some(watched), Some([found, ..])) = (&*opened, identities)
            && watched.identities[0] != found
        {
            return;
        }
        *opened = identities.map(|identities| WatchedFiles {
            identities,
            folder: File::open(&files.directory).ok(),
            folder_changed: None,
        });
    }

    /// Looks which files are at the paths.
    pub(crate) fn look(&self, files: &DataFiles) -> FileSighting {
        self.look_unless(files, |_| false)
    }

    /// The same after each commit: looks at the files only if an entry of their folder was changed. That the folder itself
    /// has another path is noticed by [`Self::look`].
    pub(crate) fn look_after_change(&self, files: &DataFiles) -> FileSighting {
        self.look_unless(files, |watched| {
            self.sighting() == FileSighting::Same
                && watched.folder_changed.is_some()
                && watched.folder_changed == watched.read_folder_change()
        })
    }

    fn look_unless(&self, files: &DataFiles, is_same: impl FnOnce(&WatchedFiles) -> bool) -> FileSighting {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watched) = opened.as_mut() else {
            return FileSighting::Same;
        };
        if is_same(watched) {
            return FileSighting::Same;
        }
        watched.folder_changed = watched.read_folder_change().filter(|changed| is_settled(*changed));
        let sighting = compare_files(watched.identities, files);
        self.sighting.store(sighting as u8, Ordering::SeqCst);
        sighting
    }

    /// The result of the last look.
    pub(crate) fn sighting(&self) -> FileSighting {
        let found = usize::from(self.sighting.load(Ordering::SeqCst));
        FileSighting::ALL.get(found).copied().unwrap_or_default()
    }
}

/// Whether another change would get another time. File systems count in steps of some milliseconds.
fn is_settled((seconds, nanoseconds): (i64, i64)) -> bool {
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok().and_then(|now| {
        let changed = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
        now.checked_sub(changed)
    });
    age.is_some_and(|age| age >= TIME_STEP_MAX)
}

/// The identities of all files, `None` if one of them is absent.
fn identify_files(files: &DataFiles) -> Option<[FileIdentity; 3]> {
    let [log, index] = files.log_paths();
    let identify = |path: &Path| identify_file(path).ok().flatten();
    Some([identify(&files.database)?, identify(&log)?, identify(&index)?])
}

fn compare_files(opened: [FileIdentity; 3], files: &DataFiles) -> FileSighting {
    let [log, index] = files.log_paths();
    let mut result = FileSighting::Same;
    for (identity, path) in opened.into_iter().zip([&files.database, &log, &index]) {
        match identify_file(path) {
            Ok(Some(found)) if found == identity => {}
            Ok(Some(_)) => return FileSighting::Replaced,
            Ok(None) => result = FileSighting::Missing,
            // The folder cannot be read at present: that is no other file.
            Err(_) => {}
        }
    }
    result
}

/// Device and inode of the file, `None` if there is none.
fn identify_file(path: &Path) -> std::io::Result<Option<FileIdentity>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_moves_away_is_missing_and_another_one_is_a_replacement() {
        let folder = tempfile::tempdir().unwrap();
        let files = DataFiles::prepare(folder.path(), true).unwrap();
        let [log, index] = files.log_paths();
        fs::write(&log, "log").unwrap();
        fs::write(&index, "index").unwrap();
        let watch = FileWatch::default();
        assert_eq!(watch.look(&files), FileSighting::Same);
        watch.start(&files);
        assert_eq!(watch.look(&files), FileSighting::Same);
        let away = folder.path().join("away");
        for path in [&files.database, &log, &index] {
            fs::rename(path, &away).unwrap();
            assert_eq!((watch.look(&files), watch.sighting()), (FileSighting::Missing, FileSighting::Missing));
            fs::write(path, "other").unwrap();
            assert_eq!(watch.look(&files), FileSighting::Replaced);
            // A new connection to the other file does not make it the right one.
            if path == &files.database {
                watch.start(&files);
                assert_eq!(watch.look(&files), FileSighting::Replaced);
            }
            fs::rename(&away, path).unwrap();
            assert_eq!(watch.look(&files), FileSighting::Same);
        }
    }

    #[test]
    fn a_change_of_the_folder_is_noticed_after_a_commit() {
        let folder = tempfile::tempdir().unwrap();
        let files = DataFiles::prepare(folder.path(), true).unwrap();
        for path in files.log_paths() {
            fs::write(path, "log").unwrap();
        }
        let watch = FileWatch::default();
        watch.start(&files);
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let date_folder = |at| File::open(folder.path()).unwrap().set_modified(at).unwrap();
        date_folder(long_ago);
        assert_eq!(watch.look(&files), FileSighting::Same);
        // The look after a commit trusts the time of the folder.
        let away = folder.path().join("away");
        fs::rename(&files.database, &away).unwrap();
        date_folder(long_ago);
        assert_eq!(watch.look_after_change(&files), FileSighting::Same);
        date_folder(long_ago + Duration::from_nanos(1));
        assert_eq!(watch.look_after_change(&files), FileSighting::Missing);
        // What was noticed is looked at again.
        fs::rename(&away, &files.database).unwrap();
        date_folder(long_ago + Duration::from_nanos(1));
        assert_eq!(watch.look_after_change(&files), FileSighting::Same);
        // Two changes in a short time can have the same time.
        fs::rename(&files.database, &away).unwrap();
        assert_eq!(watch.look_after_change(&files), FileSighting::Missing);
        fs::rename(&away, &files.database).unwrap();
        assert_eq!(watch.look_after_change(&files), FileSighting::Same);
        fs::rename(&files.database, &away).unwrap();
        assert_eq!(watch.look_after_change(&files), FileSighting::Missing);
    }
}
