//! Rows of `removal_windows`: how many removals of each kind there were in the last minutes. A write reads them together with
//! the settings of the hold, and the transaction writes them once, in front of its commit.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, params};

use super::rows::{read_columns, to_sql_limit};
use crate::error::Result;
use crate::model::hold::window::RemovalWindow;
use crate::model::hold::{HoldSettings, RemovalKind};
use crate::store::Tx;
pub use crate::store::pending::windows::CountingState;
use crate::store::pending::windows::{PendingWindows, WindowKey};

/// The column `settings` of a hold. Members that a later version added are ignored.
pub(super) struct StoredSettings(HoldSettings);

impl FromSql for StoredSettings {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let decoded = serde_json::from_str(value.as_str()?);
        decoded.map(Self).map_err(|problem| FromSqlError::Other(problem.into()))
    }
}

/// The settings of a hold. Configurations of earlier versions have none: they are not held.
pub(super) fn decode_settings(stored: Option<StoredSettings>) -> HoldSettings {
    stored.map_or(HoldSettings { enabled: false, ..HoldSettings::default() }, |StoredSettings(found)| found)
}

/// Returns what a write must know to count removals of this kind. See [`super::holds::load_hold`] for the rest.
pub fn load_counting(tx: &Tx<'_>, configuration: i64, kind: RemovalKind) -> Result<CountingState> {
    let pending = &tx.pending_rows().windows;
    if let Some(mut found) = pending.find((configuration, kind)) {
        found.window.forget_old(tx.now);
        return Ok(found);
    }
    let state = read_counting(tx, configuration, kind)?;
    pending.remember((configuration, kind), state.clone());
    Ok(state)
}

fn read_counting(tx: &Tx<'_>, configuration: i64, kind: RemovalKind) -> Result<CountingState> {
    tx.read_row(
        "SELECT c.created_at, h.settings, h.exempt_until, w.periods FROM configurations c
             LEFT JOIN holds h ON h.configuration = c.configuration
             LEFT JOIN removal_windows w ON w.configuration = c.configuration AND w.kind = ?2
         WHERE c.configuration = ?1",
        params![configuration, kind.as_str()],
        |row| {
            // By position: a search by name costs as much as the query.
            let settings = decode_settings(row.get(1)?);
            let stored = row.get_ref(3)?.as_blob_or_null()?;
            let window = RemovalWindow::decode(stored.unwrap_or_default(), settings.window_minutes, tx.now);
            let (created_at, exempt_until) = (row.get(0)?, row.get(2)?);
            Ok(CountingState { settings, created_at, exempt_until, window, is_stored: stored.is_some() })
        },
    )
}

/// Stores the window of a kind, with the commit of the transaction.
pub fn save_window(tx: &Tx<'_>, configuration: i64, kind: RemovalKind, state: CountingState) {
    tx.pending_rows().windows.change((configuration, kind), state);
}

/// Writes the changed windows of a transaction to their rows.
pub(in crate::store) fn write_pending_windows(
    connection: &Connection,
    pending: &PendingWindows,
) -> rusqlite::Result<()> {
    for ((configuration, kind), periods, is_stored) in pending.list_changed() {
        connection.prepare_cached(choose_statement(is_stored))?.execute(params![
            configuration,
            kind.as_str(),
            periods
        ])?;
    }
    Ok(())
}

/// Writes the windows that the transaction has changed, and reads all of them again when they are needed: in front of a
/// statement that reads or changes these rows, or the settings of a hold.
pub(super) fn settle_windows(tx: &Tx<'_>) -> Result<()> {
    let pending = &tx.pending_rows().windows;
    for ((configuration, kind), periods, is_stored) in pending.list_changed() {
        tx.run(choose_statement(is_stored), params![configuration, kind.as_str(), periods])?;
    }
    pending.forget();
    Ok(())
}

fn choose_statement(is_stored: bool) -> &'static str {
    if is_stored {
        "UPDATE removal_windows SET periods = ?3 WHERE configuration = ?1 AND kind = ?2"
    } else {
        "INSERT INTO removal_windows (configuration, kind, periods) VALUES (?1, ?2, ?3)"
    }
}

/// Empties the windows of a configuration: what was removed before counts no more.
pub fn reset_windows(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    settle_windows(tx)?;
    tx.run("UPDATE holds SET allowed_at = ?2 WHERE configuration = ?1", [configuration, tx.now])?;
    // The rows stay, so that the removals are found and deleted later.
    tx.run("UPDATE removal_windows SET periods = x'' WHERE configuration = ?1", [configuration])
}

/// The window of one kind of a configuration that is not held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredWindow {
    /// Key of the configuration.
    pub configuration: i64,
    /// What is counted.
    pub kind: RemovalKind,
    /// The stored form.
    pub periods: Vec<u8>,
    /// Length of the window.
    pub minutes: u32,
}

/// Returns at most `limit` windows after this one, in the order of configurations and kinds, without those of configurations that
/// are held.
pub fn list_windows_after(tx: &Tx<'_>, (configuration, kind): (i64, &str), limit: usize) -> Result<Vec<StoredWindow>> {
    settle_windows(tx)?;
    tx.list_rows(
        "SELECT w.configuration, w.kind, w.periods, coalesce(h.settings ->> 'windowMinutes', ?4) AS minutes
         FROM removal_windows w CROSS JOIN configurations c USING (configuration) LEFT JOIN holds h USING (configuration)
         WHERE (w.configuration, w.kind) > (?1, ?2) AND c.held = 0 ORDER BY w.configuration, w.kind LIMIT ?3",
        params![configuration, kind, to_sql_limit(limit), HoldSettings::default().window_minutes],
        |row| read_columns!(row, StoredWindow { configuration, kind, periods, minutes }),
    )
}

/// Deletes the window of a kind.
pub(super) fn delete_window(tx: &Tx<'_>, (configuration, kind): WindowKey) -> Result<()> {
    settle_windows(tx)?;
    tx.run("DELETE FROM removal_windows WHERE configuration = ?1 AND kind = ?2", params![configuration, kind.as_str()])
}

/// Deletes the windows of a configuration.
pub(super) fn delete_windows(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    settle_windows(tx)?;
    tx.run("DELETE FROM removal_windows WHERE configuration = ?1", [configuration])
}
