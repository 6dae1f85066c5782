//! The database that a restore replaces, and whether everything in it can be read. If not, revocations could be lost.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::store::engine::backup::{BackupResult, append_suffix, rename_file};
use crate::store::engine::files::DataFiles;
use crate::store::engine::integrity::log_scan;
use crate::store::engine::open_error::OpenError;
use crate::store::engine::{connection, foreign_objects};

/// The database that is replaced.
#[derive(Debug)]
pub(super) struct ReplacedDatabase {
    pub(super) path: PathBuf,
    /// Why a part of it cannot be read.
    pub(super) loss: Option<String>,
    /// Why there is none.
    absence: Option<&'static str>,
    /// Its new name, if an interrupted restore has renamed it.
    pub(super) renamed: Option<PathBuf>,
}

impl ReplacedDatabase {
    /// Looks at the files. Does not open the database if a part of its log cannot be read: that would change the index of
    /// the log, which says so.
    pub(super) fn find(files: &DataFiles) -> BackupResult<Self> {
        let renamed = find_renamed(files)?;
        let path = renamed.clone().unwrap_or_else(|| files.database.clone());
        let found = |loss, absence| Self { path: path.clone(), loss, absence, renamed: renamed.clone() };
        let length = fs::symlink_metadata(&path).ok().map(|metadata| metadata.len());
        let log_holds_pages = fs::metadata(append_suffix(&path, "-wal")).is_ok_and(|log| log.len() > 0);
        let part = match length {
            None if log_holds_pages => Some("it is missing, but its log exists"),
            Some(0) if log_holds_pages => Some("it is empty, but its log is not"),
            None => return Ok(found(None, Some("there is no previous database"))),
            Some(0) => return Ok(found(None, Some("the previous database is empty"))),
            Some(_) => None,
        };
        Ok(match part.map_or_else(|| read_version(&path), |part| Err(part.to_owned())) {
            Ok(0) => found(None, Some("the previous database is empty")),
            Ok(_) => found(None, None),
            Err(loss) => found(Some(loss), None),
        })
    }

    /// Opens it as far as it can be read.
    ///
    /// # Errors
    /// Why nothing of it can be read, as a sentence.
    pub(super) fn connect(&self) -> Result<Connection, String> {
        if let Some(absence) = self.absence {
            return Err(absence.to_owned());
        }
        let unreadable = |error: &dyn std::fmt::Display| format!("the previous database cannot be read ({error})");
        // SQLite would delete the log of an empty file.
        if fs::metadata(&self.path).map_or(0, |metadata| metadata.len()) == 0 {
            return Err(unreadable(&"only its log is there"));
        }
        match connection::probe_file(&self.path) {
            Ok(0) => Err(unreadable(&"it has no tables")),
            Ok(_) | Err(OpenError::Newer { .. }) => {
                connection::connect_source(&self.path).map_err(|error| unreadable(&error))
            }
            Err(error) => Err(unreadable(&describe_loss(error))),
        }
    }

    /// The sentence about a part that cannot be read.
    pub(super) fn describe_loss(&self) -> Option<String> {
        let loss = self.loss.as_ref()?;
        Some(format!(
            "a part of the previous database cannot be read ({loss}), and what ended in it is not carried over"
        ))
    }
}

/// Returns the schema version. An error if the log is incomplete, or the file is no database or lacks tables.
fn read_version(path: &Path) -> Result<i32, String> {
    log_scan::refuse_damaged_log_of(path).map_err(describe_loss)?;
    let version = match connection::probe_file(path) {
        // Its tables are those that this program knows, or more.
        Err(OpenError::Newer { found, .. }) => return Ok(found),
        probed => probed.map_err(describe_loss)?,
    };
    if version == 0 {
        return Ok(0);
    }
    let compared = connection::connect_source(path).and_then(|file| foreign_objects::compare_schema(&file));
    let difference = compared.map_err(|error| describe_loss(OpenError::sqlite(path, error)))?;
    let is_table = |finding: &String| finding.starts_with("the table ");
    difference.describe_damage().into_iter().find(is_table).map_or(Ok(version), Err)
}

/// The reason without the advice for a start.
fn describe_loss(error: OpenError) -> String {
    match error {
        OpenError::Foreign(_) => "it is not a Rollcall database".to_owned(),
        OpenError::LogDamaged { detail, .. } => format!("the write-ahead log is damaged: {detail}"),
        OpenError::Corrupt { detail, .. } => detail,
        other => other.to_string(),
    }
}

/// Returns the database that an interrupted restore has renamed before it was ended. Its log gets the new name, too.
fn find_renamed(files: &DataFiles) -> BackupResult<Option<PathBuf>> {
    let exists = |path: &Path| fs::symlink_metadata(path).is_ok();
    if exists(&files.database) || !exists(&files.incoming_path()) {
        return Ok(None);
    }
    let prefix = files.sibling_path("replaced-");
    let entries = fs::read_dir(&files.directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_database = |path: &PathBuf| {
        let [path, prefix] = [path, &prefix].map(|path| path.to_string_lossy().into_owned());
        path.starts_with(&prefix) && !path.ends_with("-wal") && !path.ends_with("-shm")
    };
    let Some(newest) = entries.filter(is_database).max() else { return Ok(None) };
    let ([log, _], moved) = (files.log_paths(), append_suffix(&newest, "-wal"));
    if files.log_holds_pages() && !exists(&moved) {
        rename_file(&log, &moved)?;
    }
    Ok(Some(newest))
}
