//! Rows of `feed_positions`: how far readers have read the event feed.

use rusqlite::named_params;

use super::rows::{build_account_condition, read_columns};
use crate::clock::Millis;
use crate::error::Result;
use crate::model::account::AccountFilter;
use crate::store::{Snapshot, Tx};

/// How far the readers with one filter have read.
#[derive(Debug, Clone)]
pub struct ReaderPosition {
    /// Id of the account of the filter. `None`: all accounts.
    pub account_id: Option<String>,
    /// Name of the configuration of the filter. `None`: all configurations, or one that no longer exists.
    pub connection_name: Option<String>,
    /// Id of the configuration of the filter; empty for all.
    pub configuration_id: String,
    /// Number of the last event that was read.
    pub seq: i64,
    /// Time of the last read.
    pub read_at: Millis,
}

/// Records that the events up to `seq` were read. A position never decreases.
pub fn record_position(tx: &Tx<'_>, account: i64, configuration_id: &str, seq: i64, at: Millis) -> Result<()> {
    tx.run(
        "INSERT INTO feed_positions (account, configuration_id, seq, read_at)
         VALUES (:account, :configuration, :seq, :at)
         ON CONFLICT (account, configuration_id)
         DO UPDATE SET seq = max(seq, excluded.seq), read_at = max(read_at, excluded.read_at)",
        named_params! {":account": account, ":configuration": configuration_id, ":seq": seq, ":at": at},
    )
}

/// Returns at most `limit` positions, the last read first.
pub fn list_positions(at: &Snapshot<'_>, filter: Option<&AccountFilter>, limit: u32) -> Result<Vec<ReaderPosition>> {
    let (condition, account) = build_account_condition(filter);
    let sql = format!(
        "SELECT a.id AS account_id, c.connection_name, p.configuration_id, p.seq, p.read_at
         FROM (SELECT * FROM feed_positions WHERE {condition}) p
              LEFT JOIN accounts a ON a.account = p.account
              LEFT JOIN configurations c ON c.id = p.configuration_id AND c.deleted_at IS NULL
         ORDER BY p.read_at DESC LIMIT ?2"
    );
    at.list_rows(&sql, (account, limit), |row| {
        read_columns!(row, ReaderPosition { account_id, connection_name, configuration_id, seq, read_at })
    })
}

/// Whether anything was ever read.
pub fn has_positions(at: &Snapshot<'_>) -> Result<bool> {
    at.read_value("SELECT EXISTS (SELECT 1 FROM feed_positions)", [])
}

/// Returns the highest event number of a configuration that any reader has read, and the time of the last read. Returns
/// `None` if the events of the configuration were never read.
pub fn find_furthest_position(
    at: &Snapshot<'_>,
    account: i64,
    configuration_id: &str,
) -> Result<Option<(i64, Millis)>> {
    at.find_row(
        "SELECT max(seq), max(read_at) FROM feed_positions
         WHERE account IN (0, ?1) AND configuration_id IN ('', ?2) HAVING count(*) > 0",
        (account, configuration_id),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
