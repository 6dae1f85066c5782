//! Notices that the database file or its log was removed, renamed or replaced while it is open. SQLite would continue to
//! write into a file that no path leads to.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::model::service_state::FileSighting;
use crate::store::engine::files::DataFiles;

/// Device and inode.
type FileIdentity = (u64, u64);

/// The identity of the open files, and the result of the last look.
#[derive(Debug, Default)]
pub(crate) struct FileWatch {
    /// The database and its log. `None` as long as they are not watched.
    opened: Mutex<Option<[FileIdentity; 2]>>,
    sighting: AtomicU8,
}

impl FileWatch {
    /// Watches the files at the paths, which the writer has just opened.
    pub(crate) fn start(&self, files: &DataFiles) {
        let [log, _] = files.log_paths();
        let identities = identify_file(&files.database).ok().flatten().zip(identify_file(&log).ok().flatten());
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        // The database must stay the same; the log is a new one after all connections were closed.
        if let (Some([database, _]), Some((found, _))) = (*opened, identities)
            && database != found
        {
            return;
        }
        *opened = identities.map(|(database, log)| [database, log]);
    }

    /// Looks which files are at the paths.
    pub(crate) fn look(&self, files: &DataFiles) -> FileSighting {
        let Some(opened) = *self.opened.lock().unwrap_or_else(PoisonError::into_inner) else {
            return FileSighting::Same;
        };
        let [log, _] = files.log_paths();
        let sighting = compare_files(opened, [&files.database, &log]);
        self.sighting.store(sighting as u8, Ordering::SeqCst);
        sighting
    }

    /// The result of the last look.
    pub(crate) fn sighting(&self) -> FileSighting {
        let found = usize::from(self.sighting.load(Ordering::SeqCst));
        FileSighting::ALL.get(found).copied().unwrap_or_default()
    }
}

fn compare_files(opened: [FileIdentity; 2], paths: [&Path; 2]) -> FileSighting {
    let mut result = FileSighting::Same;
    for (identity, path) in opened.into_iter().zip(paths) {
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
        let [log, _] = files.log_paths();
        fs::write(&log, "log").unwrap();
        let watch = FileWatch::default();
        assert_eq!(watch.look(&files), FileSighting::Same);
        watch.start(&files);
        assert_eq!(watch.look(&files), FileSighting::Same);
        let away = folder.path().join("away");
        for path in [&files.database, &log] {
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
}
