//! Restore of a backup. The previous database is renamed, not deleted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rusqlite::OpenFlags;

use crate::clock::{self, Millis};
use crate::store::engine::backup::carry_over::{self, CarriedOver};
use crate::store::engine::backup::replaced_database::ReplacedDatabase;
use crate::store::engine::backup::{
    BackupError, BackupResult, append_suffix, copy_database, create_file, delete_file, delete_partial_copy,
    format_stamp, install_stop_handler, map_io_error, map_sqlite_error, rename_file, sync_directory,
};
use crate::store::engine::files::DataFiles;
use crate::store::engine::integrity::log_scan;
use crate::store::engine::open_error::OpenError;
use crate::store::engine::service::marker;
use crate::store::engine::{connection, foreign_objects, integrity};
use crate::store::page_checksums;
use crate::store::tables::{feed_gap, instance};

/// The files after a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOutcome {
    /// The restored database.
    pub database: PathBuf,
    /// The renamed previous database, if there was one.
    pub previous: Option<PathBuf>,
    /// Whether the request log was left out of the backup.
    pub has_no_log: bool,
    /// What was carried over from the previous database and what has ended, as sentences.
    pub notes: Vec<String>,
}

/// How to restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestoreOptions {
    /// Whether an existing database is replaced. It is renamed.
    pub replace: bool,
    /// Whether a backup with inconsistent rows, or with pages without checksums, is restored.
    pub accept_findings: bool,
    /// Revoke all credentials that were created at this time or later.
    pub revoke_since: Option<Millis>,
}

/// Replaces the database in `data_dir`, which must exist, with a backup. With `replace`, an
/// existing database is renamed. Changes nothing unless the backup is valid and this program can use it. Revocations in
/// the previous database stay in effect, and all sessions end.
///
/// `file` can also be a plain copy of a database together with its write-ahead log.
///
/// # Errors
/// `Occupied` if a database exists and `replace` is false, and [`OpenError::Held`] while a server uses the folder.
pub fn restore_backup(data_dir: &Path, file: &Path, options: RestoreOptions) -> BackupResult<RestoreOutcome> {
    let files = DataFiles::open_folder(data_dir, false)?;
    let _lock = files.lock()?;
    let source = file.canonicalize().map_err(|error| map_io_error("open", file, error))?;
    let occupied = fs::symlink_metadata(&files.database).is_ok_and(|metadata| metadata.len() > 0);
    if occupied && !options.replace {
        return Err(BackupError::Occupied(files.database));
    }
    let replaced = ReplacedDatabase::find(&files)?;
    let accept_loss = |detail: Option<String>| match detail.filter(|_| options.revoke_since.is_none()) {
        Some(detail) => Err(BackupError::RevocationsLost { path: replaced.path.clone(), detail }),
        None => Ok(()),
    };
    accept_loss(replaced.loss.clone())?;
    if options.accept_findings {
        page_checksums::accept_foreign_pages(&source, true);
    }
    log_scan::refuse_damaged_log_of(&source).map_err(map_open_error)?;
    if connection::probe_file(&source).map_err(map_open_error)? == 0 {
        return Err(BackupError::Foreign(source));
    }
    refuse_foreign_objects(&source)?;
    let incoming = files.incoming_path();
    delete_partial_copy(&incoming)?;
    create_file(&incoming)?;
    let copied = copy_database(&source, &incoming, &Arc::default());
    let findings = copied.inspect_err(|_| drop(delete_partial_copy(&incoming))).map_err(map_copy_error)?;
    if let Some(detail) = findings.first().filter(|_| !options.accept_findings) {
        delete_partial_copy(&incoming)?;
        return Err(BackupError::InconsistentBackup { path: source, detail: detail.clone() });
    }
    let prepared = prepare_incoming(&replaced, &incoming, options.revoke_since)
        .and_then(|prepared| accept_loss(prepared.carried.unreadable.clone()).map(|()| prepared));
    let prepared = prepared.inspect_err(|_| drop(delete_partial_copy(&incoming)))?;
    files.match_folder_owner(&incoming);
    let marked = |error| map_io_error("remove", &files.marker_path(), error);
    marker::remove_other_marker(&files, prepared.id.as_deref()).map_err(marked)?;
    let previous = rename_previous_database(&files, replaced.loss.is_none(), "replaced")?.or(replaced.renamed);
    rename_file(&incoming, &files.database)?;
    sync_directory(&files.directory)?;
    if let Some(Err(error)) = prepared.id.map(|id| marker::write_marker(&files, &id)) {
        // The next start writes it.
        tracing::warn!(%error, "the marker of the database cannot be written");
    }
    let (has_no_log, notes) = (prepared.has_no_log, prepared.carried.notes);
    Ok(RestoreOutcome { database: files.database, previous, has_no_log, notes })
}

/// Verifies a backup like a restore: its schema, its pages and its rows. Changes nothing. Returns `Stopped` when `stop`
/// becomes true.
///
/// # Errors
/// The first finding, for which a restore would refuse the backup.
pub fn verify_backup(file: &Path, stop: &Arc<AtomicBool>) -> BackupResult<()> {
    let source = file.canonicalize().map_err(|error| map_io_error("open", file, error))?;
    log_scan::refuse_damaged_log_of(&source).map_err(map_open_error)?;
    if connection::probe_file(&source).map_err(map_open_error)? == 0 {
        return Err(BackupError::Foreign(source));
    }
    refuse_foreign_objects(&source)?;
    let failed = |error| map_copy_error(map_sqlite_error(&source, &source, error));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let backup = connection::open_connection(&source, flags).map_err(failed)?;
    connection::set_up_reader(&backup).map_err(failed)?;
    install_stop_handler(&backup, stop).map_err(failed)?;
    if let Some(detail) = integrity::find_page_damage(&backup).map_err(failed)?.into_iter().next() {
        return Err(BackupError::DamagedBackup { path: source, detail });
    }
    match integrity::find_inconsistent_rows(&backup).map_err(failed)?.into_iter().next() {
        Some(detail) => Err(BackupError::InconsistentBackup { path: source, detail }),
        None => Ok(()),
    }
}

/// What is known about a copy that can replace the database.
struct PreparedCopy {
    /// Whether the request log was left out of the backup.
    has_no_log: bool,
    carried: CarriedOver,
    /// Id of the database.
    id: Option<String>,
}

/// Ensures that no event number is assigned twice, ends the sessions in the restored file, and carries over the revocations
/// of the previous database.
fn prepare_incoming(replaced: &ReplacedDatabase, incoming: &Path, since: Option<Millis>) -> BackupResult<PreparedCopy> {
    let failed = |source| BackupError::Sqlite { path: incoming.to_owned(), source };
    let mut previous = replaced.connect();
    let highest = previous.as_ref().ok().and_then(|file| feed_gap::find_highest_number(file).ok());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut restored = connection::open_connection(incoming, flags).map_err(failed)?;
    restored.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    feed_gap::record_gap(&restored, highest.unwrap_or(0)).map_err(failed)?;
    foreign_objects::remove_replication_tables(&restored).map_err(failed)?;
    let has_no_log = instance::take_log_mark(&restored).map_err(failed)?;
    let id = marker::find_database_id(&restored).map_err(failed)?;
    let previous_id = previous.as_ref().ok().and_then(|file| marker::find_database_id(file).ok().flatten());
    if previous_id.is_some() && id.is_some() && previous_id != id {
        // What it lacks did not end there.
        previous = Err("the previous database is not the one of the backup".to_owned());
    }
    let mut carried = carry_over::carry_over(&mut restored, previous.as_ref(), since).map_err(failed)?;
    carried.notes.splice(0..0, replaced.describe_loss());
    Ok(PreparedCopy { has_no_log, carried, id })
}

/// Refuses a file with triggers, views or tables of others, and one whose own tables or indexes are missing or changed.
fn refuse_foreign_objects(source: &Path) -> BackupResult<()> {
    let found = connection::connect_source(source).and_then(|file| foreign_objects::compare_schema(&file));
    let found = found.map_err(|error| map_open_error(OpenError::sqlite(source, error)))?;
    if let Some(detail) = found.describe_damage().into_iter().next() {
        return Err(BackupError::DamagedBackup { path: source.to_owned(), detail });
    }
    if found.foreign.is_empty() {
        return Ok(());
    }
    Err(BackupError::ForeignObjects { path: source.to_owned(), objects: found.foreign.join(", ") })
}

/// Converts an error from opening a database into one about a backup.
fn map_open_error(error: OpenError) -> BackupError {
    match error {
        OpenError::Foreign(path) => BackupError::Foreign(path),
        OpenError::Newer { path, found, supported, writer } => BackupError::Newer { path, found, supported, writer },
        OpenError::LogDamaged { log: path, detail } | OpenError::Corrupt { path, detail } => {
            BackupError::DamagedBackup { path, detail }
        }
        other => other.into(),
    }
}

fn map_copy_error(error: BackupError) -> BackupError {
    match error {
        BackupError::DamagedDatabase { path, detail } => BackupError::DamagedBackup { path, detail },
        other => other,
    }
}

/// Renames the current database, together with its write-ahead log if that is not complete or cannot be checkpointed.
/// Returns the new name, which contains `kind` and the time.
pub(super) fn rename_previous_database(
    files: &DataFiles,
    is_complete: bool,
    kind: &str,
) -> BackupResult<Option<PathBuf>> {
    let [log, index] = files.log_paths();
    let length = fs::symlink_metadata(&files.database).ok().map(|metadata| metadata.len());
    if length.unwrap_or(0) == 0 && !files.log_holds_pages() {
        // They belong to a database that is lost, and not to the restored one.
        [log, index].iter().try_for_each(|path| delete_file(path))?;
        return Ok(None);
    }
    let previous = find_free_name(files, &format!("{kind}-{}", format_stamp(clock::current_millis())));
    if length.is_none() {
        // A log without its database.
        rename_file(&log, &append_suffix(&previous, "-wal"))?;
        delete_file(&index)?;
        sync_directory(&files.directory)?;
        return Ok(None);
    }
    if is_complete {
        checkpoint_log(&files.database);
    }
    if files.log_holds_pages() {
        // The database is renamed first. If this is interrupted, startup fails because the database is missing.
        rename_file(&files.database, &previous)?;
        rename_file(&log, &append_suffix(&previous, "-wal"))?;
    } else {
        // A hard link, so that the database exists at all times. Some file systems do not support it.
        fs::hard_link(&files.database, &previous)
            .or_else(|_| fs::rename(&files.database, &previous))
            .map_err(|error| map_io_error("rename", &files.database, error))?;
        delete_file(&log)?;
    }
    delete_file(&index)?;
    sync_directory(&files.directory)?;
    Ok(Some(previous))
}

/// Checkpoints the write-ahead log into the database, if both are valid. Otherwise leaves them unchanged.
fn checkpoint_log(database: &Path) {
    if connection::probe_file(database).is_ok_and(|version| version > 0) {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let checkpoint = connection::open_connection(database, flags)
            .and_then(|connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = checkpoint {
            tracing::warn!(%error, "the write-ahead log could not be checkpointed; the database and the log are both renamed");
        }
    }
}

/// Returns an unused file name, so that a second restore within a second does not overwrite the first renamed database.
fn find_free_name(files: &DataFiles, suffix: &str) -> PathBuf {
    let numbered = (2..).map(|number: u32| files.sibling_path(&format!("{suffix}-{number}")));
    let mut names = std::iter::once(files.sibling_path(suffix)).chain(numbered);
    names.find(|name| fs::symlink_metadata(name).is_err()).unwrap_or_else(|| files.sibling_path(suffix))
}
