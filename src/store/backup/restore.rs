//! Putting a backup in the place of the database. What was there before is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use super::{BackupError, Result, copy, discard, io_error, remove, rename, stamp, synced};
use crate::clock::{self, Millis};
use crate::store::db::{self, OpenError};
use crate::store::feed_gap;
use crate::store::files::DataFiles;

/// What a restore left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The database that is now in place.
    pub database: PathBuf,
    /// Where the one before it is kept, if there was one.
    pub kept: Option<PathBuf>,
}

/// Puts a backup in the place of the database in `data_dir`, which is made where it is missing. A database that is there
/// is refused, or with `replace` kept under another name. Fails while a server holds the folder, and changes nothing
/// unless the backup is sound and one that this program can use.
///
/// `file` may also be the plain copy of a database with its log beside it.
pub fn restore(data_dir: &Path, file: &Path, replace: bool) -> Result<Restored> {
    let files = DataFiles::folder(data_dir, true)?;
    let _lock = files.lock()?;
    let source = file.canonicalize().map_err(|error| io_error("open", file, error))?;
    let occupied = fs::symlink_metadata(&files.database).is_ok_and(|present| present.len() > 0);
    if occupied && !replace {
        return Err(BackupError::Occupied(files.database));
    }
    if db::probe(&source).map_err(of_the_backup)? == 0 {
        return Err(BackupError::Foreign(source));
    }
    let incoming = files.incoming();
    discard(&incoming)?;
    let copied = copy(&source, &incoming, &Arc::default());
    copied.inspect_err(|_| drop(discard(&incoming))).map_err(of_the_backup_copy)?;
    let noted = note_lost_numbers(&files, &incoming);
    noted.inspect_err(|_| drop(discard(&incoming)))?;
    files.hand_over(&incoming);
    let kept = put_aside(&files, clock::now())?;
    rename(&incoming, &files.database)?;
    synced(&files.directory)?;
    Ok(Restored { database: files.database, kept })
}

/// Sees to it that no number of the event feed is given twice. A database that cannot be read any more is passed over.
fn note_lost_numbers(files: &DataFiles, incoming: &Path) -> Result<()> {
    let given = db::source(&files.database).and_then(|replaced| feed_gap::highest(&replaced)).unwrap_or(0);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(incoming, flags)
        .and_then(|restored| {
            restored.pragma_update(None, "synchronous", "FULL")?;
            feed_gap::note(&restored, given)
        })
        .map_err(|source| BackupError::Sqlite { path: incoming.to_owned(), source })
}

/// The refusals of opening, said of a backup.
fn of_the_backup(error: OpenError) -> BackupError {
    match error {
        OpenError::Foreign(path) => BackupError::Foreign(path),
        OpenError::Newer { path, found, known, writer } => BackupError::Newer { path, found, known, writer },
        OpenError::Corrupt { path, detail } => BackupError::DamagedBackup { path, detail },
        other => other.into(),
    }
}

fn of_the_backup_copy(error: BackupError) -> BackupError {
    match error {
        BackupError::DamagedDatabase { path, detail } => BackupError::DamagedBackup { path, detail },
        other => other,
    }
}

/// Keeps the present database under another name, together with a log that could not be folded into it.
fn put_aside(files: &DataFiles, now: Millis) -> Result<Option<PathBuf>> {
    match fs::symlink_metadata(&files.database) {
        Err(_) => return Ok(None),
        Ok(present) if present.len() == 0 && !files.log_holds_pages() => return Ok(None),
        Ok(_) => {}
    }
    fold(&files.database);
    let aside = free_name(files, &format!("replaced-{}", stamp(now)));
    let [log, index] = files.log_files();
    if files.log_holds_pages() {
        // The database goes first: without it, the start refuses what it finds, whenever this is cut short.
        rename(&files.database, &aside)?;
        rename(&log, &with_ending(&aside, "-wal"))?;
    } else {
        // Both names at once, so that there is a database at every moment; not every file system can.
        fs::hard_link(&files.database, &aside)
            .or_else(|_| fs::rename(&files.database, &aside))
            .map_err(|error| io_error("keep a copy of", &files.database, error))?;
        remove(&log)?;
    }
    remove(&index)?;
    synced(&files.directory)?;
    Ok(Some(aside))
}

/// Brings what the log holds into the database, where both are sound. Where not, they are kept as they are.
fn fold(database: &Path) {
    if db::probe(database).is_ok_and(|version| version > 0) {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let folded = Connection::open_with_flags(database, flags)
            .and_then(|connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = folded {
            tracing::warn!(%error, "the log could not be folded into the database; both are kept");
        }
    }
}

/// A name that nothing has, so that a second restore within a second keeps what the first one kept.
fn free_name(files: &DataFiles, ending: &str) -> PathBuf {
    let numbered = (2..).map(|number: u32| files.beside(&format!("{ending}-{number}")));
    let mut names = std::iter::once(files.beside(ending)).chain(numbered);
    names.find(|name| fs::symlink_metadata(name).is_err()).unwrap_or_else(|| files.beside(ending))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
