//! The marker: a file next to the database that says that a database exists, with its id. If the database is missing at
//! the next start, an empty one must not replace it without a word.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use rusqlite::{Connection, OptionalExtension};

use crate::clock;
use crate::store::engine::files::{DataFiles, sync_folder};

const DATABASE_ID: &str = "database_id";

/// Returns the id of the database. A database without one gets it.
fn ensure_database_id(connection: &Connection) -> rusqlite::Result<String> {
    let sql = "SELECT value FROM instance WHERE key = ?1";
    let found = connection.query_row(sql, [DATABASE_ID], |row| row.get(0)).optional()?;
    if let Some(id) = found {
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

fn write_marker(files: &DataFiles, id: &str) -> io::Result<()> {
    let path = files.marker_path();
    let content = format!("{id}\n");
    match fs::read_to_string(&path) {
        Ok(found) if found == content => return Ok(()),
        Ok(found) => {
            tracing::warn!(before = found.trim(), now = id, "the data folder has another database than before");
        }
        Err(_) => {}
    }
    let incoming = path.with_extension("marker.incoming");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&incoming)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&incoming, &path)?;
    files.match_folder_owner(&path);
    sync_folder(&files.directory)
}
