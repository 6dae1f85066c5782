//! The cost of SQLite itself: the rows that Rollcall wrote, written again without Rollcall. Same schema and indexes,
//! same connection settings, prepared statements, 32 creates per transaction.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, OpenFlags, Result, Row, params_from_iter};

/// Creates per transaction.
pub(crate) const CREATES_PER_COMMIT: usize = 32;

const RESOURCE: &str = "INSERT INTO resources (configuration, type, id, version, created_at, last_modified, active,
    user_name_key, display_name_key, external_id, unique_name_key, label, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
const VALUE: &str = "INSERT INTO resource_values (configuration, path, key, resource) VALUES (?1, ?2, ?3, ?4)";
const COUNT: &str = "INSERT INTO resource_counts (configuration, type, stretch, total)
    VALUES (?1, ?2, ?3 >> 12, 1) ON CONFLICT (configuration, type, stretch) DO UPDATE SET total = total + excluded.total";
const EVENT: &str = "INSERT INTO events (account_id, configuration, kind, resource_id, payload, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// The rows of one created user.
pub(crate) struct Created {
    resource: Vec<Value>,
    /// Without the row number of the resource, which is new each time.
    values: Vec<Vec<Value>>,
    event: Vec<Value>,
}

/// The rows of every user in a data folder, in the order of creation.
pub(crate) fn rows(folder: &Path) -> Result<Vec<Created>> {
    let file = Connection::open_with_flags(folder.join("rollcall.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let values = "SELECT resource, configuration, path, key FROM resource_values";
    let mut values = keyed::<i64>(&file, values)?;
    let events = "SELECT resource_id, account_id, configuration, kind, resource_id, payload, created_at
        FROM events WHERE kind = 'user.created'";
    let mut events = keyed::<String>(&file, events)?;
    let mut users = file.prepare(
        "SELECT resource, id, configuration, type, id, version, created_at, last_modified, active, user_name_key,
             display_name_key, external_id, unique_name_key, label, body
         FROM resources WHERE type = 'User' ORDER BY resource",
    )?;
    let users = users.query_map([], |row| {
        let (resource, id): (i64, String) = (row.get(0)?, row.get(1)?);
        let event = events.remove(&id).and_then(|mut rows| rows.pop()).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        Ok(Created { resource: cells(row, 2)?, values: values.remove(&resource).unwrap_or_default(), event })
    })?;
    users.collect()
}

/// Rows by their first column, without that column.
fn keyed<K: rusqlite::types::FromSql + std::hash::Hash + Eq>(
    file: &Connection,
    sql: &str,
) -> Result<HashMap<K, Vec<Vec<Value>>>> {
    let mut found: HashMap<K, Vec<Vec<Value>>> = HashMap::new();
    let mut statement = file.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        found.entry(row.get(0)?).or_default().push(cells(row, 1)?);
    }
    Ok(found)
}

fn cells(row: &Row<'_>, from: usize) -> Result<Vec<Value>> {
    (from..row.as_ref().column_count()).map(|column| row.get(column)).collect()
}

/// Opens the database of a data folder that Rollcall has created and closed, with the settings of Rollcall's writer.
pub(crate) fn open(folder: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(folder.join("rollcall.db"), flags)?;
    file.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;
         PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA journal_size_limit = 33554432; PRAGMA wal_autocheckpoint = 4000;",
    )?;
    Ok(file)
}

/// Writes the rows.
pub(crate) fn write(file: &Connection, rows: &[Created]) -> Result<()> {
    let mut insert = Insert {
        resource: file.prepare_cached(RESOURCE)?,
        value: file.prepare_cached(VALUE)?,
        count: file.prepare_cached(COUNT)?,
        event: file.prepare_cached(EVENT)?,
    };
    let (mut begin, mut commit) = (file.prepare("BEGIN IMMEDIATE")?, file.prepare("COMMIT")?);
    for group in rows.chunks(CREATES_PER_COMMIT) {
        begin.execute([])?;
        group.iter().try_for_each(|created| insert.all(created))?;
        commit.execute([])?;
    }
    Ok(())
}

struct Insert<'c> {
    resource: CachedStatement<'c>,
    value: CachedStatement<'c>,
    count: CachedStatement<'c>,
    event: CachedStatement<'c>,
}

impl Insert<'_> {
    fn all(&mut self, created: &Created) -> Result<()> {
        let key = Value::from(self.resource.insert(params_from_iter(&created.resource))?);
        for value in &created.values {
            self.value.execute(params_from_iter(value.iter().chain([&key])))?;
        }
        self.count.execute(params_from_iter(created.resource[..2].iter().chain([&key])))?;
        self.event.execute(params_from_iter(&created.event)).map(drop)
    }
}
