//! Writes the file of an account: its rows in one snapshot, or the difference to an earlier file.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::file::{self, ExportManifest, ManifestDraft};
use super::numbers::NumberKind;
use super::tables::{ColumnRole, MOVED_TABLES, MovedTable, REQUEST_LOG};
use super::work::{self, PendingWork};
use crate::model::account::AccountState;
use crate::store::page_checksums;
use crate::store::tables::feed_gap;

/// Schema name of the database of the instance.
const SOURCE: &str = "src";
/// Schema name of the earlier file.
const BASE: &str = "base";

/// Limits the events to those of the earlier file and later ones, so that those of other accounts are not searched again: events are
/// appended only.
const LATER_EVENTS: &str = " AND (t.seq > ifnull((SELECT max(o.seq) FROM base.events o), 0)
    OR t.seq IN (SELECT o.seq FROM base.events o))";

/// What is exported.
#[derive(Debug)]
pub struct ExportOrder<'a> {
    /// The database of the instance.
    pub database: &'a Path,
    /// Id of the account.
    pub account: &'a str,
    /// An earlier file: only the difference to it is written.
    pub base: Option<&'a Path>,
    /// Whether the request log is exported too.
    pub with_request_log: bool,
    /// Id of the export.
    pub id: &'a str,
}

/// The connection to the file that is written. The snapshot of the instance is open until it is dropped.
pub struct ExportWriter {
    connection: Connection,
    account: i64,
    tables: Vec<&'static MovedTable>,
}

/// Opens an empty file that exists, with the database attached, and begins the snapshot. Returns `None` if there is no such account.
///
/// # Errors
/// Errors of SQLite.
pub fn begin_export(file: &Path, order: &ExportOrder<'_>) -> rusqlite::Result<Option<ExportWriter>> {
    page_checksums::register()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags_and_vfs(file, flags, c"unix")?;
    // The file is synced once, when it is complete.
    connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;")?;
    attach(&connection, order.database, "rollcall", SOURCE)?;
    if let Some(base) = order.base {
        attach(&connection, base, "unix", BASE)?;
    }
    connection.busy_timeout(crate::store::engine::connection::BUSY_TIMEOUT)?;
    connection.execute_batch("BEGIN")?;
    let sql = "SELECT account FROM src.accounts WHERE id = ?1 AND deleted_at IS NULL";
    let Some(account) = connection.query_row(sql, [order.account], |row| row.get(0)).optional()? else {
        return Ok(None);
    };
    let tables = MOVED_TABLES.iter().filter(|table| order.with_request_log || table.name != REQUEST_LOG).collect();
    Ok(Some(ExportWriter { connection, account, tables }))
}

fn attach(connection: &Connection, path: &Path, vfs: &str, name: &str) -> rusqlite::Result<()> {
    let path = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    connection.execute(&format!("ATTACH ?1 AS {name}"), [format!("file:{path}?mode=ro&vfs={vfs}")]).map(drop)
}

impl ExportWriter {
    /// Whether the account is frozen, in the snapshot.
    ///
    /// # Errors
    /// Errors of SQLite.
    pub fn is_frozen(&self) -> rusqlite::Result<bool> {
        Ok(self.find_state()? == AccountState::Frozen)
    }

    fn find_state(&self) -> rusqlite::Result<AccountState> {
        self.connection.query_row("SELECT state FROM src.accounts WHERE account = ?1", [self.account], |row| row.get(0))
    }

    /// Returns what the account still changes in the background, in the snapshot.
    ///
    /// # Errors
    /// Errors of SQLite.
    pub fn find_running_work(&self) -> rusqlite::Result<Option<PendingWork>> {
        work::find_pending_work(&self.connection, SOURCE, self.account)
    }

    /// Writes all rows, and the manifest. `has_base` is whether only the difference to the attached file is written.
    ///
    /// # Errors
    /// Errors of SQLite.
    pub fn write_rows(&self, order: &ExportOrder<'_>) -> rusqlite::Result<()> {
        let mut counts = BTreeMap::new();
        for table in &self.tables {
            let count = self.write_table(table, order.base.is_some())?;
            counts.insert(table.name.to_owned(), count);
        }
        let base = match order.base {
            Some(_) => Some(file::read_attached_id(&self.connection, BASE)?),
            None => None,
        };
        let feed = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        let first = feed("SELECT min(seq) FROM src.events")?;
        let draft = ManifestDraft {
            export_id: order.id.to_owned(),
            base_export_id: base,
            account_id: order.account.to_owned(),
            account: self.account,
            is_final: self.is_frozen()?,
            feed_id: feed_gap::read_feed_id_text(&self.connection, SOURCE)?.unwrap_or_default(),
            feed_removed: first.map_or(0, |first| first - 1),
            feed_end: feed("SELECT max(seq) FROM src.events")?.unwrap_or(0),
            with_request_log: order.with_request_log,
            counts,
            ranges: self.find_number_ranges()?,
        };
        file::write_manifest(&self.connection, &ExportManifest::new(draft))
    }

    /// Writes the rows of a table, or those that differ from the earlier file. Returns how many rows the account has.
    fn write_table(&self, table: &MovedTable, has_base: bool) -> rusqlite::Result<i64> {
        let typed = file::list_columns(&self.connection, SOURCE, table.name)?;
        let define = |(column, kind): &(String, String)| format!("{column} {kind}");
        let columns: Vec<&str> = typed.iter().map(|(column, _)| column.as_str()).collect();
        let (name, keys) = (table.name, table.key.join(", "));
        let expressions: Vec<String> = columns.iter().map(|column| table.build_expression(column)).collect();
        let mut source = table.build_source(SOURCE);
        if has_base && table.numbered == Some(NumberKind::Event) {
            source.push_str(LATER_EVENTS);
        }
        let selection = expressions.join(", ");
        let definition = typed.iter().map(define).collect::<Vec<_>>().join(", ");
        self.connection.execute_batch(&format!("CREATE TABLE main.\"{name}\" ({definition})"))?;
        if !has_base {
            let sql = format!("INSERT INTO main.\"{name}\" SELECT {selection} FROM {source}");
            let count = self.connection.execute(&sql, [self.account])?;
            // A later difference finds the rows by their keys.
            let sql = format!("CREATE UNIQUE INDEX main.\"{name}_key\" ON \"{name}\" ({keys})");
            self.connection.execute_batch(&sql)?;
            return Ok(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let same_key: Vec<String> = table.key.iter().map(|column| format!("b.{column} = t.{column}")).collect();
        let same_row: Vec<String> =
            columns.iter().zip(&expressions).map(|(column, now)| format!("b.{column} IS {now}")).collect();
        let (same_key, same_row) = (same_key.join(" AND "), same_row.join(" AND "));
        self.connection.execute(
            &format!(
                "INSERT INTO main.\"{name}\" SELECT {selection} FROM {source}
                 AND NOT EXISTS (SELECT 1 FROM base.\"{name}\" b WHERE {same_key} AND {same_row})"
            ),
            [self.account],
        )?;
        self.connection.execute_batch(&format!("CREATE TABLE main.\"removed_{name}\" ({keys})"))?;
        let key_columns: Vec<String> = table.key.iter().map(|column| format!("b.{column}")).collect();
        let sql = format!(
            "INSERT INTO main.\"removed_{name}\" SELECT {} FROM base.\"{name}\" b
             WHERE NOT EXISTS (SELECT 1 FROM {source} AND {same_key})",
            key_columns.join(", ")
        );
        self.connection.execute(&sql, [self.account])?;
        self.connection.query_row(&format!("SELECT count(*) FROM {source}"), [self.account], |row| row.get(0))
    }

    /// The first and last number of each kind in the rows of the file.
    fn find_number_ranges(&self) -> rusqlite::Result<BTreeMap<String, (i64, i64)>> {
        let mut ranges: BTreeMap<NumberKind, (i64, i64)> = BTreeMap::new();
        for table in &self.tables {
            for (column, role) in table.roles {
                let ColumnRole::Number(kind) = role else { continue };
                let sql = format!("SELECT min({column}), max({column}) FROM main.\"{}\"", table.name);
                let found: (Option<i64>, Option<i64>) =
                    self.connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
                let (Some(first), Some(last)) = found else { continue };
                let range = ranges.entry(*kind).or_insert((first, last));
                *range = (range.0.min(first), range.1.max(last));
            }
        }
        Ok(ranges.into_iter().map(|(kind, range)| (kind.as_str().to_owned(), range)).collect())
    }

    /// Ends the snapshot and completes the file. It is not synced yet.
    ///
    /// # Errors
    /// Errors of SQLite.
    pub fn finish(self) -> rusqlite::Result<()> {
        file::write_digest(&self.connection)?;
        self.connection.execute_batch("COMMIT")?;
        self.connection.close().map_err(|(_, error)| error)
    }

    /// The connection, for the secrets.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Key of the account.
    pub(super) fn account(&self) -> i64 {
        self.account
    }
}
