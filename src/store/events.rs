//! Rows of `events`: appended in the transaction that made them true, read in the order of commits.

use rusqlite::{Row, named_params};

use super::{Snapshot, Tx};
use crate::error::Result;
use crate::model::event::{Event, Kind};

/// Appends a fact and returns its place in the order. `payload` is JSON text without secrets.
pub fn append(
    tx: &Tx<'_>,
    account: &str,
    configuration: i64,
    kind: Kind<'_>,
    resource_id: Option<&str>,
    payload: &str,
) -> Result<i64> {
    let seq = tx
        .connection()
        .prepare_cached(
            "INSERT INTO events (account_id, configuration, kind, resource_id, payload, created_at)
             VALUES (:account, :configuration, :kind, :resource_id, :payload, :now)",
        )?
        .insert(named_params! {
            ":account": account,
            ":configuration": configuration,
            ":kind": kind.to_string(),
            ":resource_id": resource_id,
            ":payload": payload,
            ":now": tx.now,
        })?;
    Ok(seq)
}

/// At most `limit` events that come after `seq`, oldest first; 0 begins at the start.
pub fn after(snapshot: &Snapshot<'_>, seq: i64, limit: u32) -> Result<Vec<Event>> {
    let events = snapshot
        .connection()
        .prepare_cached(
            "SELECT seq, account_id, configuration, kind, resource_id, payload, created_at
             FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?
        .query_map((seq, limit), event)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(events)
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: row.get("seq")?,
        account: row.get("account_id")?,
        configuration: row.get("configuration")?,
        kind: row.get("kind")?,
        resource_id: row.get("resource_id")?,
        payload: row.get("payload")?,
        created_at: row.get("created_at")?,
    })
}
