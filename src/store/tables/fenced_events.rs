//! The events that only a fenced database has.

use rusqlite::Connection;

use crate::clock::Millis;

/// Most events that are listed.
const EVENTS_MAX: u32 = 100_000;

/// One event of a fenced database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FencedEvent {
    /// Its number. The newer servers can have assigned a higher one only.
    pub seq: i64,
    /// When it happened.
    pub created_at: Millis,
    /// Account that it belongs to.
    pub account_id: String,
    /// Id of the configuration; `None` if the event is about none.
    pub configuration_id: Option<String>,
    /// What happened.
    pub kind: String,
    /// Id of the resource, if the event is about one.
    pub resource_id: Option<String>,
    /// Its data, as JSON text.
    pub payload: String,
}

/// Returns the events after a number, oldest first.
pub(crate) fn list_fenced_events(connection: &Connection, after: i64) -> rusqlite::Result<Vec<FencedEvent>> {
    let mut statement = connection.prepare(
        "SELECT e.seq, e.created_at, e.account_id, c.id, e.kind, e.resource_id, e.payload
         FROM events e LEFT JOIN configurations c ON c.configuration = e.configuration
         WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2",
    )?;
    let rows = statement.query_map((after, EVENTS_MAX), |row| {
        Ok(FencedEvent {
            seq: row.get(0)?,
            created_at: row.get(1)?,
            account_id: row.get(2)?,
            configuration_id: row.get(3)?,
            kind: row.get(4)?,
            resource_id: row.get(5)?,
            payload: row.get(6)?,
        })
    })?;
    rows.collect()
}
