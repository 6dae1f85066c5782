//! The file of an account: a SQLite database with the rows of each table, and a manifest that says what they are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::tables::MovedTable;
use crate::clock::{self, Millis};
use crate::store::engine::sqlite_errors::undecodable_column;
use crate::store::engine::upgrade;

/// A value of a row.
pub type CellValue = Value;
/// An error of SQLite.
pub type SqliteProblem = rusqlite::Error;

/// Version of the file. A program reads only files of its own version.
pub const FORMAT: u32 = 1;
/// Identifies the file (`PRAGMA application_id`): "RCAM".
const APPLICATION_ID: i32 = 0x5243_414D;
/// Most rows of one batch.
pub const BATCH_ROWS_MAX: usize = 2_000;
/// Most bytes of text and binary values of one batch. The first row is always included.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// What an export says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestDraft {
    /// Id of the export.
    pub export_id: String,
    /// Id of the export that it is the difference to.
    pub base_export_id: Option<String>,
    /// Id of the account.
    pub account_id: String,
    /// Its key on the other instance.
    pub account: i64,
    /// Whether the account could not change any more.
    pub is_final: bool,
    /// Id of the event feed of the other instance, in hexadecimal digits.
    pub feed_id: String,
    /// Number before the oldest event that it had stored.
    pub feed_removed: i64,
    /// Number of its newest event.
    pub feed_end: i64,
    /// Whether the request log is in the file.
    pub with_request_log: bool,
    /// How many rows the account has, by table.
    pub counts: BTreeMap<String, i64>,
    /// First and last number of each kind in the file.
    pub ranges: BTreeMap<String, (i64, i64)>,
}

/// The manifest of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportManifest {
    /// Version of the file.
    pub format: u32,
    /// Version of the program.
    pub program: String,
    /// Version of the database schema.
    pub schema: i32,
    /// When the export was written.
    pub created_at: Millis,
    /// The rest.
    #[serde(flatten)]
    pub content: ManifestDraft,
}

impl ExportManifest {
    /// The manifest of an export of this program.
    pub fn new(content: ManifestDraft) -> Self {
        Self {
            format: FORMAT,
            program: crate::VERSION.to_owned(),
            schema: upgrade::newest_version(),
            created_at: clock::current_millis(),
            content,
        }
    }
}

/// A file that is read.
pub struct AccountFile {
    connection: Connection,
    /// Its manifest.
    pub manifest: ExportManifest,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AccountFileError {
    /// It is another kind of file.
    #[error("it is not an export of an account")]
    Foreign,
    /// It was written by a program with another schema.
    #[error(
        "it was written by Rollcall {program} with the database schema {schema}, and this program has the schema {expected}; use the same version on both instances"
    )]
    OtherVersion {
        /// Version of the program that wrote it.
        program: String,
        /// Its schema.
        schema: i32,
        /// The schema of this program.
        expected: i32,
    },
    /// Its content was changed.
    #[error("it is damaged: its digest does not match its content; copy it again")]
    Damaged,
    /// It cannot be opened.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It cannot be read.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// A part of a table.
#[derive(Debug, Default)]
pub struct RowBatch {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// Their values.
    pub rows: Vec<Vec<Value>>,
    /// Row number in the file of the last row.
    pub last: i64,
    /// Whether more rows follow.
    pub has_more: bool,
}

impl AccountFile {
    /// Opens a file, and checks its version and its digest.
    ///
    /// # Errors
    /// [`AccountFileError`].
    pub fn open(path: &Path) -> Result<Self, AccountFileError> {
        // SQLite does not report why a file cannot be opened.
        if !File::open(path)?.metadata()?.is_file() {
            return Err(AccountFileError::Foreign);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags_and_vfs(path, flags, c"unix")?;
        let application: i32 = connection
            .query_row("SELECT application_id FROM pragma_application_id", [], |row| row.get(0))
            .map_err(|_| AccountFileError::Foreign)?;
        if application != APPLICATION_ID {
            return Err(AccountFileError::Foreign);
        }
        let text: String = connection.query_row("SELECT content FROM manifest", [], |row| row.get(0))?;
        let manifest: ExportManifest = serde_json::from_str(&text).map_err(|_| AccountFileError::Foreign)?;
        let expected = upgrade::newest_version();
        if manifest.format != FORMAT || manifest.schema != expected {
            let ExportManifest { program, schema, .. } = manifest;
            return Err(AccountFileError::OtherVersion { program, schema, expected });
        }
        let stored: Vec<u8> = connection.query_row("SELECT digest FROM digest", [], |row| row.get(0))?;
        if stored != compute_digest(&connection)? {
            return Err(AccountFileError::Damaged);
        }
        Ok(Self { connection, manifest })
    }

    /// Whether the file has a table.
    ///
    /// # Errors
    /// Errors of SQLite.
    pub fn has_table(&self, name: &str) -> rusqlite::Result<bool> {
        self.connection.table_exists(Some("main"), name)
    }

    /// Returns the next rows of a table of the file after a row number.
    ///
    /// # Errors
    /// Errors of SQLite.
    pub fn read_rows(&self, name: &str, after: i64) -> rusqlite::Result<RowBatch> {
        if !self.has_table(name)? {
            return Ok(RowBatch { last: after, ..RowBatch::default() });
        }
        self.read(&format!("SELECT rowid AS row_number, * FROM \"{name}\" WHERE rowid > ?1 ORDER BY rowid"), after)
    }

    /// Returns the row of a table with the highest number that is at most `last`, if it is at least `first`.
    ///
    /// # Errors
    /// Errors of SQLite.
    pub fn read_highest_row(&self, table: &MovedTable, (first, last): (i64, i64)) -> rusqlite::Result<RowBatch> {
        let (name, key) = (table.name, table.key[0]);
        let sql = format!(
            "SELECT rowid AS row_number, * FROM \"{name}\" WHERE {key} =
                 (SELECT max({key}) FROM \"{name}\" WHERE {key} BETWEEN {first} AND {last}) AND rowid > ?1"
        );
        self.read(&sql, 0)
    }

    fn read(&self, sql: &str, after: i64) -> rusqlite::Result<RowBatch> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns: Vec<String> = statement.column_names().into_iter().skip(1).map(str::to_owned).collect();
        let mut batch = RowBatch { columns, last: after, ..RowBatch::default() };
        let mut bytes = 0;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            if batch.rows.len() >= BATCH_ROWS_MAX || (bytes >= BATCH_BYTES_MAX && !batch.rows.is_empty()) {
                batch.has_more = true;
                break;
            }
            batch.last = row.get(0)?;
            let values: Vec<Value> =
                (1..=batch.columns.len()).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?;
            bytes += values.iter().map(count_bytes).sum::<usize>();
            batch.rows.push(values);
        }
        Ok(batch)
    }

    /// The connection, for the secrets.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

fn count_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        Value::Null | Value::Integer(_) | Value::Real(_) => 8,
    }
}

/// Returns the columns of a table with their types, in their order. Columns of a file have the same types, because an index is not used
/// to compare values of different ones.
pub(super) fn list_columns(
    connection: &Connection,
    database: &str,
    table: &str,
) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare("SELECT name, type FROM pragma_table_info(?1, ?2)")?;
    statement.query_map([table, database], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Returns the id of the export in an attached file, and checks that it is a complete export of this version.
pub(super) fn read_attached_id(connection: &Connection, database: &str) -> rusqlite::Result<String> {
    let text: String =
        connection.query_row(&format!("SELECT content FROM {database}.manifest"), [], |row| row.get(0))?;
    let manifest: ExportManifest =
        serde_json::from_str(&text).map_err(|problem| undecodable_column("manifest", problem))?;
    Ok(manifest.content.export_id)
}

/// Writes the manifest.
pub(super) fn write_manifest(connection: &Connection, manifest: &ExportManifest) -> rusqlite::Result<()> {
    let text = serde_json::to_string(manifest).map_err(|problem| undecodable_column("manifest", problem))?;
    connection.execute_batch("CREATE TABLE main.manifest (content)")?;
    connection.execute("INSERT INTO main.manifest VALUES (?1)", [text])?;
    connection.pragma_update(Some("main"), "application_id", APPLICATION_ID)
}

/// Writes the digest of the content.
pub(super) fn write_digest(connection: &Connection) -> rusqlite::Result<()> {
    let digest = compute_digest(connection)?;
    connection.execute_batch("CREATE TABLE main.digest (digest)")?;
    connection.execute("INSERT INTO main.digest VALUES (?1)", [digest]).map(drop)
}

/// SHA-256 of all tables of the file except for the digest itself: name, columns and values of each, with their types and lengths.
fn compute_digest(connection: &Connection) -> rusqlite::Result<Vec<u8>> {
    let mut context = Sha256::new();
    let mut tables = connection
        .prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name <> 'digest' ORDER BY name")?;
    let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for table in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM main.\"{table}\" ORDER BY rowid"))?;
        let columns = statement.column_count();
        add_value(&mut context, ValueRef::Text(table.as_bytes()));
        add_value(&mut context, ValueRef::Text(statement.column_names().join(",").as_bytes()));
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for at in 0..columns {
                add_value(&mut context, row.get_ref(at)?);
            }
        }
    }
    Ok(context.finalize().to_vec())
}

fn add_value(context: &mut Sha256, value: ValueRef<'_>) {
    let number = value.as_i64().unwrap_or_default().to_be_bytes();
    let real = value.as_f64().unwrap_or_default().to_be_bytes();
    let (kind, bytes): (u8, &[u8]) = match value {
        ValueRef::Null => (0, &[]),
        ValueRef::Integer(_) => (1, &number),
        ValueRef::Real(_) => (2, &real),
        ValueRef::Text(bytes) => (3, bytes),
        ValueRef::Blob(bytes) => (4, bytes),
    };
    context.update([kind]);
    context.update((bytes.len() as u64).to_be_bytes());
    context.update(bytes);
}
