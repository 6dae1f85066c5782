//! The marker: a file next to the database that says that a database exists, with its id. If the database is missing at
//! the next start, an empty one must not replace it without a word.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use rusqlite::{Connection, OptionalExtension};

use crate::clock;
use crate::store::engine::connection;
use crate::store::engine::files::{DataFiles, sync_folder};
use crate::store::engine::open_error::OpenError;
use crate::store::engine::upgrade;

const DATABASE_ID: &str = "database_id";

/// Returns the id of the database, `None` if it has none.
pub(crate) fn find_database_id(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let has_table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'instance'";
    if !connection.prepare(has_table)?.exists([])? {
        return Ok(None);
    }
    let sql = "SELECT value FROM instance WHERE key = ?1";
    connection.query_row(sql, [DATABASE_ID], |row| row.get(0)).optional()
}

/// Refuses a database that is not the one of the marker: an empty one, or one with another id. `version` is what
/// [`connection::probe_file`] has found.
pub(crate) fn refuse_other_database(files: &DataFiles, version: i32) -> Result<(), OpenError> {
    let (database, marker) = (files.database.clone(), files.marker_path());
    let Ok(content) = fs::read_to_string(&marker) else { return Ok(()) };
    let failed = |error| OpenError::sqlite(&files.database, error);
    let reader = connection::connect_reader(files).map_err(failed)?;
    // Another process may have created the tables, and the marker after them, since the file was probed.
    if version == 0 && upgrade::read_version(&reader).map_err(failed)? == 0 {
        return Err(OpenError::Emptied { database, marker });
    }
    let expected = content.trim();
    if !is_id(expected) {
        tracing::warn!(marker = %marker.display(), "the marker of the database contains no id");
        return Ok(());
    }
    match find_database_id(&reader).map_err(failed)? {
        Some(found) if found == expected => Ok(()),
        _ => Err(OpenError::OtherDatabase { database, marker }),
    }
}

/// Whether a marker with this content names a database.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Removes a marker with another id, because a database with this id replaces the one that it names.
pub(crate) fn remove_other_marker(files: &DataFiles, id: Option<&str>) -> io::Result<()> {
    let marker = files.marker_path();
    match fs::read_to_string(&marker) {
        Ok(content) if id == Some(content.trim()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => fs::remove_file(&marker).and_then(|()| sync_folder(&files.directory)),
    }
}

/// Returns the id of the database. A database without one gets it.
fn ensure_database_id(connection: &Connection) -> rusqlite::Result<String> {
    if let Some(id) = find_database_id(connection)? {
        return Ok(id);
    }
    let id = clock::new_id();
    connection.execute("INSERT INTO instance (key, value) VALUES (?1, ?2)", (DATABASE_ID, &id))?;
    Ok(id)
}

/// Writes the marker of this database, unless it is there. A failure is only logged: the database can be used without it.
pub(crate) fn ensure_marker(files: &DataFiles, connection: &Connection) {
    let result = ensure_database_id(connection).map_err(io::Error::other).and_then(|id| write_marker(files, &id));
    if let Err(error) = result {
        tracing::warn!(marker = %files.marker_path().display(), %error, "the marker of the database cannot be written");
    }
}

/// Writes a marker with this id, unless it is there.
pub(crate) fn write_marker(files: &DataFiles, id: &str) -> io::Result<()> {
    let path = files.marker_path();
    let content = format!("{id}\n");
    if fs::read_to_string(&path).is_ok_and(|found| found == content) {
        return Ok(());
    }
    let incoming = path.with_extension("marker.incoming");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&incoming)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&incoming, &path)?;
    files.match_folder_owner(&path);
    sync_folder(&files.directory)
}
