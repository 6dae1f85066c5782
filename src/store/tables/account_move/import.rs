//! Rows of an account that comes from another instance, and rows of `account_imports`: how far the import is.

use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};
use serde::{Deserialize, Serialize};

use super::file::{ManifestDraft, RowBatch};
use super::numbers::{NumberKind, NumberMap, ShiftedRange};
use super::tables::{ColumnRole, MOVED_TABLES, MovedTable};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::account::AccountState;
use crate::store::tables::events;
use crate::store::tables::rows::read_columns;
use crate::store::tables::{accounts, webhooks};
use crate::store::{Snapshot, Tx};

/// What is done with the rows of a file, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportPhase {
    /// Rows that the account no longer has are deleted.
    Remove,
    /// Rows that change give up their unique values.
    Park,
    /// Rows are inserted or changed.
    Insert,
    /// Rows that follow from others are computed.
    Derive,
}

/// How far the rows of a file are imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportProgress {
    /// What is done now.
    pub phase: ImportPhase,
    /// With which table, by its position in the list of tables, or configuration.
    pub table: usize,
    /// The last row of the file with which it was done.
    pub after: i64,
    /// Whether the numbers of the table are reserved.
    pub is_reserved: bool,
}

impl ImportProgress {
    /// The start of a file; only a difference has rows to remove.
    pub fn start(is_difference: bool) -> Self {
        let phase = if is_difference { ImportPhase::Remove } else { ImportPhase::Insert };
        Self { phase, table: 0, after: 0, is_reserved: false }
    }
}

/// The import of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountImport {
    /// Key of the account.
    pub account: i64,
    /// Id of the last export that is or was applied.
    pub export_id: String,
    /// Id of the account on the other instance.
    pub source_id: String,
    /// Id of the event feed of the other instance.
    pub feed_id: String,
    /// Number before the oldest event that it had stored.
    pub feed_removed: i64,
    /// Number of its newest event.
    pub feed_end: i64,
    /// Whether the account could not change any more.
    pub is_final: bool,
    /// What is left of the file.
    pub progress: Option<ImportProgress>,
    /// When the account was complete.
    pub completed_at: Option<Millis>,
}

fn read_import(row: &Row<'_>) -> rusqlite::Result<AccountImport> {
    let progress: Option<String> = row.get("progress")?;
    let parsed = progress.map(|text| serde_json::from_str(&text)).transpose();
    let parsed =
        parsed.map_err(|problem| crate::store::engine::sqlite_errors::undecodable_column("progress", problem))?;
    read_columns!(
        row,
        AccountImport { account, export_id, source_id, feed_id, feed_removed, feed_end, is_final, completed_at; progress: parsed }
    )
}

/// Returns the import of an account, or `None` if it was not imported.
pub fn find_import(at: &Snapshot<'_>, account: i64) -> Result<Option<AccountImport>> {
    at.find_row("SELECT * FROM account_imports WHERE account = ?1", [account], read_import)
}

/// Returns the numbers of an imported account.
pub fn load_numbers(at: &Snapshot<'_>, account: i64) -> Result<NumberMap> {
    let sql = "SELECT kind, first, last, new_first FROM account_import_ranges WHERE account = ?1";
    let rows: Vec<(String, ShiftedRange)> = at.list_rows(sql, [account], |row| {
        Ok((row.get(0)?, ShiftedRange { first: row.get(1)?, last: row.get(2)?, new_first: row.get(3)? }))
    })?;
    let mut map = NumberMap::default();
    for (kind, range) in rows {
        let kind: NumberKind = kind.parse().map_err(|problem| Error::undecodable("a kind of numbers", problem))?;
        map.add(kind, range);
    }
    Ok(map)
}

/// Returns which of these values a column of a table has, of any account.
pub fn list_existing(at: &Snapshot<'_>, table: &str, column: &str, values: &[Value]) -> Result<Vec<String>> {
    let marks = vec!["?"; values.len()].join(", ");
    let label = if column == "digest" { "'of a secret'" } else { column };
    at.connection()
        .prepare(&format!("SELECT {label} FROM {table} WHERE {column} IN ({marks})"))?
        .query_map(params_from_iter(values), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()
        .map_err(Error::from)
}

/// Creates the account with the key of its row, in the state of an import, and stores that the file is being imported. Returns the key.
pub fn insert_import(tx: &Tx<'_>, id: &str, manifest: &ManifestDraft) -> Result<i64> {
    tx.run(
        "INSERT INTO accounts (id, name, created_at, state, state_since) VALUES (?1, ?1, ?2, ?3, ?2)",
        params![id, tx.now, AccountState::Importing.as_str()],
    )?;
    let account = tx.connection().last_insert_rowid();
    if accounts::count_deleted(tx, id)? > 0 {
        let seq = events::append_account_marker(tx)?;
        tx.run("UPDATE accounts SET created_seq = ?2 WHERE account = ?1", [account, seq])?;
    }
    insert_range(
        tx,
        account,
        NumberKind::Account,
        ShiftedRange { first: manifest.account, last: manifest.account, new_first: account },
    )?;
    tx.run(
        "INSERT INTO account_imports (account, export_id, source_id, feed_id, feed_removed, feed_end, is_final, progress,
             started_at) VALUES (?1, '', ?2, '', 0, 0, 0, NULL, ?3)",
        params![account, manifest.account_id, tx.now],
    )?;
    begin_file(tx, account, manifest)?;
    Ok(account)
}

/// Stores that a file is being imported.
pub fn begin_file(tx: &Tx<'_>, account: i64, manifest: &ManifestDraft) -> Result<()> {
    tx.run(
        "UPDATE account_imports SET export_id = ?2, feed_id = ?3, feed_removed = ?4, feed_end = ?5, is_final = ?6
         WHERE account = ?1",
        params![
            account,
            manifest.export_id,
            manifest.feed_id,
            manifest.feed_removed,
            manifest.feed_end,
            manifest.is_final
        ],
    )?;
    save_progress(tx, account, Some(&ImportProgress::start(manifest.base_export_id.is_some())))
}

/// Stores how far the import is; `None` if nothing is left of the file.
pub fn save_progress(tx: &Tx<'_>, account: i64, progress: Option<&ImportProgress>) -> Result<()> {
    let text = progress.map(serde_json::to_string).transpose();
    let text = text.map_err(|problem| Error::database(format!("progress cannot be written: {problem}")))?;
    tx.run("UPDATE account_imports SET progress = ?2 WHERE account = ?1", params![account, text])
}

fn insert_range(tx: &Tx<'_>, account: i64, kind: NumberKind, range: ShiftedRange) -> Result<()> {
    tx.run(
        "INSERT INTO account_import_ranges (account, kind, first, last, new_first) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![account, kind.as_str(), range.first, range.last, range.new_first],
    )
}

/// Reserves numbers for a range of a numbered table after the highest number in use. The caller then inserts the row with the highest
/// number, so that rows of other accounts get later ones.
pub fn reserve_numbers(tx: &Tx<'_>, account: i64, table: &MovedTable, (first, last): (i64, i64)) -> Result<()> {
    let Some(kind) = table.numbered else { return Ok(()) };
    let highest: i64 = tx.connection().query_row(
        &format!(
            "SELECT max(coalesce((SELECT max({}) FROM {}), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?1), 0))",
            table.key[0], table.name
        ),
        [table.name],
        |row| row.get(0),
    )?;
    insert_range(tx, account, kind, ShiftedRange { first, last, new_first: highest + 1 })
}

/// What the rows of a file become.
pub struct RowWriter<'t> {
    tx: &'t Tx<'t>,
    /// Key of the account.
    account: i64,
    account_id: String,
    numbers: NumberMap,
    /// Whether the request log moves too.
    with_request_log: bool,
}

impl<'t> RowWriter<'t> {
    /// The writer for the rows of an account that is being imported.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn load(tx: &'t Tx<'t>, account: i64, with_request_log: bool) -> Result<Self> {
        let account_id = tx.read_value("SELECT id FROM accounts WHERE account = ?1", [account])?;
        Ok(Self { tx, account, account_id, numbers: load_numbers(tx, account)?, with_request_log })
    }

    /// Inserts the rows, or changes those with the same keys.
    ///
    /// # Errors
    /// Errors of the store: a value that must be unique is in use.
    pub fn insert_rows(&self, table: &MovedTable, batch: &RowBatch) -> Result<()> {
        let columns = &batch.columns;
        let marks = vec!["?"; columns.len()].join(", ");
        let changed: Vec<String> = columns
            .iter()
            .filter(|column| !table.key.contains(&column.as_str()))
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let action =
            if changed.is_empty() { "DO NOTHING".to_owned() } else { format!("DO UPDATE SET {}", changed.join(", ")) };
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({marks}) ON CONFLICT ({}) {action}",
            table.name,
            columns.join(", "),
            table.key.join(", ")
        );
        self.run_for_rows(&sql, table, columns, &batch.rows)
    }

    /// Deletes the rows with these keys.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn remove_rows(&self, table: &MovedTable, batch: &RowBatch) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE {}", table.name, build_key_condition(table));
        self.run_for_rows(&sql, table, &batch.columns, &batch.rows)
    }

    /// Frees the unique values of rows that change.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn park_rows(&self, table: &MovedTable, batch: &RowBatch) -> Result<()> {
        let sql = format!("UPDATE {} SET {} WHERE {}", table.name, table.parked, build_key_condition(table));
        let positions: Vec<usize> =
            table.key.iter().filter_map(|key| batch.columns.iter().position(|column| column == key)).collect();
        let keys_of_row = |row: &Vec<Value>| -> Vec<Value> { positions.iter().map(|at| row[*at].clone()).collect() };
        // New rows have no number yet, and take no unique value.
        let exists = |key: &Vec<Value>| match (table.numbered, key.first()) {
            (Some(kind), Some(Value::Integer(number))) => self.numbers.find_number(kind, *number).is_some(),
            _ => true,
        };
        let rows: Vec<Vec<Value>> = batch.rows.iter().map(keys_of_row).filter(exists).collect();
        let keys: Vec<String> = table.key.iter().map(|key| (*key).to_owned()).collect();
        self.run_for_rows(&sql, table, &keys, &rows)
    }

    fn run_for_rows(&self, sql: &str, table: &MovedTable, columns: &[String], rows: &[Vec<Value>]) -> Result<()> {
        self.tx.check_restriction()?;
        let roles: Vec<Option<ColumnRole>> = columns.iter().map(|column| table.find_role(column)).collect();
        let mut statement = self.tx.connection().prepare(sql)?;
        for row in rows {
            let mut values = Vec::with_capacity(row.len());
            for ((value, role), column) in row.iter().zip(&roles).zip(columns) {
                values.push(self.convert(table, column, *role, value)?);
            }
            statement.execute(params_from_iter(values))?;
        }
        Ok(())
    }

    fn convert(&self, table: &MovedTable, column: &str, role: Option<ColumnRole>, value: &Value) -> Result<Value> {
        match (table.name, column) {
            ("accounts", "state") => return Ok(Value::Text(AccountState::Importing.as_str().to_owned())),
            ("accounts", "state_since") => return Ok(Value::Integer(self.tx.now)),
            ("accounts", "created_seq") => {
                return Ok(Value::Integer(accounts::find_created_seq(self.tx, self.account)?));
            }
            ("configuration_usage", "request_log_bytes") if !self.with_request_log => return Ok(Value::Integer(0)),
            _ => {}
        }
        let Some(role) = role.filter(|_| *value != Value::Null) else { return Ok(value.clone()) };
        Ok(match (role, value) {
            (ColumnRole::Number(kind), Value::Integer(number)) => {
                let found = self.numbers.find_number(kind, *number);
                let found = found.ok_or_else(|| {
                    let column = format!("{}.{column}", table.name);
                    Error::database(format!("{column} has the number {number}, which is not in the file"))
                })?;
                Value::Integer(found)
            }
            (ColumnRole::Position(kind), Value::Integer(number)) => Value::Integer(self.find_position(kind, *number)?),
            (ColumnRole::AccountId, Value::Text(_)) => Value::Text(self.account_id.clone()),
            (ColumnRole::Positions, Value::Text(text)) => Value::Text(self.convert_positions(text)?),
            (ColumnRole::BackfillCursor, Value::Text(text)) => Value::Text(self.convert_cursor(text)),
            _ => value.clone(),
        })
    }

    fn find_position(&self, kind: NumberKind, number: i64) -> Result<i64> {
        match self.numbers.find_position(kind, number) {
            Some(position) => Ok(position),
            // Without rows of the kind, everything that comes is after the position.
            None if kind == NumberKind::Event => Ok(events::find_event_range(self.tx)?.1),
            None => Ok(0),
        }
    }

    fn convert_positions(&self, text: &str) -> Result<String> {
        let mut positions: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
        for value in positions.values_mut() {
            *value = self.find_position(NumberKind::Event, value.as_i64().unwrap_or_default())?.into();
        }
        Ok(serde_json::Value::Object(positions).to_string())
    }

    /// A cursor that cannot be read starts the backfill again, which sends the same resources again.
    fn convert_cursor(&self, text: &str) -> String {
        let Ok(mut cursor) = serde_json::from_str::<serde_json::Value>(text) else { return text.to_owned() };
        for part in ["last", "member"] {
            let Some(number) = cursor.get_mut(part).and_then(|pair| pair.get_mut(0)) else { continue };
            let position = number.as_i64().and_then(|old| self.numbers.find_position(NumberKind::Resource, old));
            *number = position.unwrap_or_default().into();
        }
        cursor.to_string()
    }
}

fn build_key_condition(table: &MovedTable) -> String {
    let parts: Vec<String> = table.key.iter().map(|column| format!("{column} = ?")).collect();
    parts.join(" AND ")
}

/// Returns the keys of the configurations of an account, also of deleted ones.
pub fn list_configuration_keys(at: &Snapshot<'_>, account: i64) -> Result<Vec<i64>> {
    at.list_values("SELECT configuration FROM configurations WHERE account = ?1 ORDER BY configuration", [account])
}

/// Counts the resources of a configuration by ranges of their numbers.
pub fn count_resources_again(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    crate::store::tables::counts::count_again(tx, configuration)
}

/// Returns the number of rows that an account has in a table, with numbers in a range if the table is numbered.
pub fn count_rows(at: &Snapshot<'_>, table: &MovedTable, account: i64, (first, last): (i64, i64)) -> Result<i64> {
    let source = table.build_source("main");
    if table.numbered.is_none() {
        return at.read_value(&format!("SELECT count(*) FROM {source}"), [account]);
    }
    let sql = format!("SELECT count(*) FROM {source} AND t.{} BETWEEN ?2 AND ?3", table.key[0]);
    at.read_value(&sql, [account, first, last])
}

/// Makes an imported account active. The webhooks of the operator begin after what was imported: the other instance sends that. A
/// number after the imported events wakes the delivery. Without their secrets, the webhooks of the account are paused.
pub fn complete_import(tx: &Tx<'_>, account: i64) -> Result<()> {
    tx.run(
        "DELETE FROM webhook_keys WHERE sealed = x'' AND webhook IN (SELECT webhook FROM webhooks WHERE account = ?1)",
        [account],
    )?;
    tx.run(
        "UPDATE webhooks SET state = 'paused' WHERE account = ?1 AND state = 'active'
             AND NOT EXISTS (SELECT 1 FROM webhook_keys k WHERE k.webhook = webhooks.webhook)",
        [account],
    )?;
    let end = events::append_account_marker(tx)?;
    tx.run(
        "INSERT INTO webhook_lanes (webhook, configuration, position)
         SELECT w.webhook, c.configuration, ?2 FROM webhooks w CROSS JOIN configurations c
         WHERE w.account IS NULL AND c.account = ?1 ON CONFLICT DO NOTHING",
        [account, end],
    )?;
    tx.run("UPDATE account_imports SET completed_at = ?2, progress = NULL WHERE account = ?1", [account, tx.now])?;
    accounts::set_state(tx, account, AccountState::Active)?;
    webhooks::mark_changed(tx)
}

/// The tables of the list with this position and later ones.
pub fn find_table_at(position: usize) -> Option<&'static MovedTable> {
    MOVED_TABLES.get(position)
}
