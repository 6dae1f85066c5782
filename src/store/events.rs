//! Rows of `events`: appended in the transaction that made them true, read in the order of commits.

use rusqlite::{OptionalExtension, Row, named_params, params};

use super::{Snapshot, Tx};
use crate::clock::Millis;
use crate::error::Result;
use crate::model::event::{Event, Kind};

/// What stands for the payload of an event whose configuration was purged.
pub const REDACTED: &str = "{\"redacted\":true}";
/// What the events of a purge say themselves: nothing about anybody.
pub const PURGED: &str = "{\"purged\":true}";

/// Appends a fact and returns its place in the order. `payload` is JSON text without secrets.
pub fn append(
    tx: &Tx<'_>,
    account: &str,
    configuration: i64,
    kind: Kind<'_>,
    resource_id: Option<&str>,
    payload: &str,
) -> Result<i64> {
    insert(tx, account, configuration, kind, resource_id, payload, true)
}

/// Appends a fact that history knows and the feed does not, because its configuration is paused.
pub fn append_held(
    tx: &Tx<'_>,
    account: &str,
    configuration: i64,
    kind: Kind<'_>,
    resource_id: Option<&str>,
    payload: &str,
) -> Result<i64> {
    insert(tx, account, configuration, kind, resource_id, payload, false)
}

fn insert(
    tx: &Tx<'_>,
    account: &str,
    configuration: i64,
    kind: Kind<'_>,
    resource_id: Option<&str>,
    payload: &str,
    published: bool,
) -> Result<i64> {
    let seq = tx
        .connection()
        .prepare_cached(
            "INSERT INTO events (account_id, configuration, kind, resource_id, payload, created_at, published)
             VALUES (:account, :configuration, :kind, :resource_id, :payload, :now, :published)",
        )?
        .insert(named_params! {
            ":account": account,
            ":configuration": configuration,
            ":kind": kind.to_string(),
            ":resource_id": resource_id,
            ":payload": payload,
            ":now": tx.now,
            ":published": published,
        })?;
    if published {
        tx.note_event();
    }
    Ok(seq)
}

/// At most `limit` events that come after `seq`, oldest first, also those that the feed does not show.
pub fn after(snapshot: &Snapshot<'_>, seq: i64, limit: u32) -> Result<Vec<Event>> {
    let mut statement = snapshot.prepare(&format!("{COLUMNS} WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2"))?;
    let events = statement.query_map((seq, limit), event)?.collect::<rusqlite::Result<_>>()?;
    Ok(events)
}

/// Which events of the feed are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Of this account only.
    pub account: Option<String>,
    /// Of the configuration with this id only.
    pub configuration: Option<String>,
    /// None at all: what was asked for is nobody's.
    pub nothing: bool,
}

/// At most `limit` published events behind `after` and up to `until`, oldest first.
pub fn published(at: &Snapshot<'_>, wanted: &Wanted, after: i64, until: i64, limit: u32) -> Result<Vec<Event>> {
    if wanted.nothing {
        return Ok(Vec::new());
    }
    let mut statement = at.prepare(&format!(
        "{COLUMNS} WHERE e.seq > ?1 AND e.seq <= ?2 AND e.published = 1
             AND (?3 IS NULL OR e.account_id = ?3) AND (?4 IS NULL OR c.id = ?4)
         ORDER BY e.seq LIMIT ?5"
    ))?;
    let rows = statement.query_map(params![after, until, wanted.account, wanted.configuration, limit], event)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Where the kept events begin and end: the last one that was removed or never was, and the newest. Both 0 where there
/// are none.
pub fn span(at: &Snapshot<'_>) -> Result<(i64, i64)> {
    // Two statements: either end of the table is one look, both in one statement would walk it.
    let first: Option<i64> = at.prepare("SELECT min(seq) FROM events")?.query_row([], |row| row.get(0))?;
    let last: Option<i64> = at.prepare("SELECT max(seq) FROM events")?.query_row([], |row| row.get(0))?;
    Ok((first.map_or(0, |seq| seq - 1), last.unwrap_or(0)))
}

/// The last event of a stretch of numbers that begins with the first event behind `after`; `after` where there is none.
/// A stretch is bounded, and a gap between two events costs nothing.
pub fn end_of_stretch(at: &Snapshot<'_>, after: i64, numbers: i64) -> Result<i64> {
    let last: Option<i64> = at
        .prepare("SELECT max(seq) FROM events WHERE seq < (SELECT min(seq) FROM events WHERE seq > ?1) + ?2")?
        .query_row((after, numbers), |row| row.get(0))?;
    Ok(last.unwrap_or(after))
}

/// The first published event about a resource that a configuration has, or the beginning of what is kept where that event
/// is too old to be there still; none where nothing of it was published yet.
pub fn first_published(at: &Snapshot<'_>, configuration: i64) -> Result<Option<i64>> {
    let mut oldest =
        at.prepare("SELECT id FROM resources WHERE configuration = ?1 AND type = ?2 ORDER BY resource LIMIT 1")?;
    let mut of_type = |of: &str| oldest.query_row((configuration, of), |row| row.get::<_, String>(0)).optional();
    let id = match of_type("User")? {
        None => of_type("Group")?,
        user => user,
    };
    let Some(id) = id else { return Ok(None) };
    let mut statement = at.prepare(
        "SELECT min(seq) FILTER (WHERE published = 1), count(*) FROM events WHERE resource_id = ?2 AND configuration = ?1",
    )?;
    let (first, kept): (Option<i64>, i64) =
        statement.query_row((configuration, id), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(if kept == 0 { Some(0) } else { first })
}

/// How many published events of a configuration are among the `look` that come behind `after`, and whether there are
/// others behind those.
pub fn waiting(at: &Snapshot<'_>, configuration: i64, after: i64, look: u32) -> Result<(u32, bool)> {
    let mut statement = at.prepare(
        "SELECT count(*) FILTER (WHERE configuration = ?1 AND published = 1), count(*) FROM
             (SELECT configuration, published FROM events WHERE seq > ?2 ORDER BY seq LIMIT ?3)",
    )?;
    let (waiting, looked_at): (u32, u32) =
        statement.query_row((configuration, after, look), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((waiting, looked_at == look))
}

/// When the newest event was written; nothing where there is none.
pub fn newest_time(at: &Snapshot<'_>) -> Result<Option<Millis>> {
    let mut statement = at.prepare("SELECT created_at FROM events ORDER BY seq DESC LIMIT 1")?;
    Ok(statement.query_map([], |row| row.get(0))?.next().transpose()?)
}

/// Removes at most `limit` of the oldest events that were written before a time, never the newest of all. Returns how
/// many went.
pub fn remove_older(tx: &Tx<'_>, before: Millis, limit: u32) -> Result<usize> {
    let mut statement = tx.prepare(
        "DELETE FROM events WHERE seq < (SELECT max(seq) FROM events) AND created_at < ?1
             AND seq <= (SELECT max(seq) FROM (SELECT seq FROM events ORDER BY seq LIMIT ?2))",
    )?;
    Ok(statement.execute(params![before, limit])?)
}

/// Takes what was said about people out of a configuration's events behind `after` and up to `until`.
pub fn redact(tx: &Tx<'_>, configuration: i64, after: i64, until: i64) -> Result<()> {
    let mut statement = tx.prepare(
        "UPDATE events SET payload = ?4 WHERE seq > ?2 AND seq <= ?3 AND configuration = ?1
             AND resource_id IS NOT NULL AND payload NOT IN (?4, ?5)",
    )?;
    statement.execute(params![configuration, after, until, REDACTED, PURGED])?;
    Ok(())
}

/// At most `limit` events of a resource that come before `before`, newest first, also those that the feed does not show.
pub fn of_resource(
    at: &Snapshot<'_>,
    configuration: i64,
    resource_id: &str,
    before: i64,
    limit: u32,
) -> Result<Vec<Event>> {
    let mut statement = at.prepare(&format!(
        "{COLUMNS} WHERE e.resource_id = ?2 AND e.seq < ?3 AND e.configuration = ?1 ORDER BY e.seq DESC LIMIT ?4"
    ))?;
    let rows = statement.query_map(params![configuration, resource_id, before, limit], event)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

const COLUMNS: &str = "SELECT e.seq, e.account_id, e.configuration, c.id AS configuration_id, e.kind, e.resource_id,
         e.payload, e.created_at
     FROM events e LEFT JOIN configurations c ON c.configuration = e.configuration";

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: row.get("seq")?,
        account: row.get("account_id")?,
        configuration: row.get("configuration")?,
        configuration_id: row.get("configuration_id")?,
        kind: row.get("kind")?,
        resource_id: row.get("resource_id")?,
        payload: row.get("payload")?,
        created_at: row.get("created_at")?,
    })
}
