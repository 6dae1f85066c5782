//! Rows of `events`: appended in the transaction of the change, read in commit order.

use rusqlite::{OptionalExtension, Params, Row, named_params, params};

use super::rows::read_columns;
use crate::clock::Millis;
use crate::error::Result;
use crate::log;
use crate::model::account::AccountFilter;
use crate::model::event::{CONFIGURATION_HELD, Event, EventKind, REDACTED};
use crate::store::{Snapshot, Tx};

/// Member of the data of the events that a purge itself appends. They contain no personal data.
pub const PURGED: &str = "\"purged\":true";

/// A new event.
#[derive(Debug)]
pub struct NewEvent<'a> {
    /// Account that the event belongs to.
    pub account: &'a str,
    /// Key of the configuration.
    pub configuration: i64,
    /// What happened.
    pub kind: EventKind<'a>,
    /// Id of the resource, if the event is about one.
    pub resource_id: Option<&'a str>,
    /// JSON text without secrets.
    pub payload: &'a str,
    /// Whether the feed shows it. An event of a paused configuration is only in the history.
    pub is_published: bool,
}

/// Appends an event and returns its sequence number.
pub fn append_event(tx: &Tx<'_>, event: &NewEvent<'_>) -> Result<i64> {
    insert_event(tx, event, false)
}

/// Appends an event that publishes changes of a pause or a hold. Earlier events that are not published have them one by one.
pub fn append_restated_event(tx: &Tx<'_>, event: &NewEvent<'_>) -> Result<i64> {
    insert_event(tx, event, true)
}

fn insert_event(tx: &Tx<'_>, event: &NewEvent<'_>, restated: bool) -> Result<i64> {
    let seq = tx
        .connection()
        .prepare_cached(
            "INSERT INTO events (account_id, configuration, kind, resource_id, payload, created_at, published, request_id,
                 restated)
             VALUES (:account, :configuration, :kind, :resource_id, :payload, :now, :published, :request_id, :restated)",
        )?
        .insert(named_params! {
            ":account": event.account,
            ":configuration": event.configuration,
            ":kind": event.kind.to_string(),
            ":resource_id": event.resource_id,
            ":payload": event.payload,
            ":now": tx.now,
            ":published": event.is_published,
            ":request_id": log::current_request_id().as_deref(),
            ":restated": restated,
        })?;
    if event.is_published {
        tx.mark_event_published();
    }
    Ok(seq)
}

/// Kind of the row that marks when the id of a deleted account got a new account. The feed never shows it.
const ACCOUNT_KIND: &str = "account.created";

/// Appends the marker of a new account with the id of a deleted one, and returns its number. Positions before it and after it
/// are positions of different accounts.
pub fn append_account_marker(tx: &Tx<'_>) -> Result<i64> {
    let mut statement = tx.connection().prepare_cached(
        "INSERT INTO events (account_id, configuration, kind, resource_id, payload, created_at, published)
         VALUES ('', 0, ?1, NULL, '{}', ?2, 0)",
    )?;
    Ok(statement.insert(params![ACCOUNT_KIND, tx.now])?)
}

/// Returns at most `limit` events after `seq`, oldest first, including unpublished ones.
pub fn list_events_after(snapshot: &Snapshot<'_>, seq: i64, limit: u32) -> Result<Vec<Event>> {
    let mut statement = snapshot.prepare(&format!("{COLUMNS} WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2"))?;
    let events = statement.query_map((seq, limit), read_event)?.collect::<rusqlite::Result<_>>()?;
    Ok(events)
}

/// Selects events of the feed.
#[derive(Debug, Clone, Default)]
pub struct EventsQuery {
    /// Only events of these accounts.
    pub account: Option<AccountFilter>,
    /// Only events of the configuration with this id.
    pub configuration: Option<String>,
    /// Only events of these kinds.
    pub kinds: Option<Vec<&'static str>>,
    /// Whether events for the operator are left out, because the caller belongs to an account.
    pub hides_operator_events: bool,
    /// Matches no events: the requested account or configuration does not exist.
    pub matches_nothing: bool,
}

/// Limits of a page of events.
#[derive(Debug, Clone, Copy)]
pub struct EventsLimit {
    /// Most events.
    pub count: u32,
    /// Most bytes of their payloads. The first event is always included.
    pub bytes: usize,
}

/// Whether an event was imported with its account. Readers of all accounts have got it from the other instance.
const IMPORTED: &str = "SELECT 1 FROM (
        SELECT r.first, r.last, r.new_first FROM account_import_ranges r
        WHERE r.kind = 'event' AND r.new_first <= e.seq ORDER BY r.new_first DESC LIMIT 1) one
    WHERE e.seq <= one.new_first + (one.last - one.first)";

/// Returns published events after `after` and up to and including `until`, oldest first, and whether the limit ended the
/// list, so that more may follow.
pub fn list_published_events(
    at: &Snapshot<'_>,
    query: &EventsQuery,
    after: i64,
    until: i64,
    limit: EventsLimit,
) -> Result<(Vec<Event>, bool)> {
    if query.matches_nothing {
        return Ok((Vec::new(), false));
    }
    let mut statement = at.prepare(&format!(
        "{COLUMNS} WHERE e.seq > ?1 AND e.seq <= ?2 AND e.published = 1
             AND (?3 IS NULL OR e.account_id = ?3) AND (?4 IS NULL OR c.account = ?4)
             AND (?5 IS NULL OR c.id = ?5)
             AND (?7 IS NULL OR e.kind IN (SELECT value FROM json_each(?7)))
             AND (?8 = 0 OR e.kind <> '{CONFIGURATION_HELD}')
             AND (?4 IS NOT NULL OR ?5 IS NOT NULL OR NOT EXISTS ({IMPORTED}))
         ORDER BY e.seq LIMIT ?6"
    ))?;
    let account = query.account.as_ref();
    let parameters = params![
        after,
        until,
        account.map(AccountFilter::id),
        account.and_then(AccountFilter::key),
        query.configuration,
        limit.count,
        query.kinds.as_ref().map(|kinds| serde_json::json!(kinds).to_string()),
        query.hides_operator_events
    ];
    let (mut events, mut bytes) = (Vec::new(), 0);
    for event in statement.query_map(parameters, read_event)? {
        let event: Event = event?;
        bytes += event.payload.len();
        if bytes > limit.bytes && !events.is_empty() {
            return Ok((events, true));
        }
        events.push(event);
    }
    let is_full = events.len() >= usize::try_from(limit.count).unwrap_or(usize::MAX);
    Ok((events, is_full))
}

/// Returns the events that a condition selects, in the order of the condition. The last one is the first with which the sum of
/// their payloads is above `bytes`.
pub(super) fn read_event_rows(
    at: &Snapshot<'_>,
    condition: &str,
    parameters: impl Params,
    bytes: usize,
) -> Result<Vec<Event>> {
    let mut statement = at.prepare(&format!("{COLUMNS} WHERE {condition}"))?;
    let (mut events, mut sum) = (Vec::new(), 0);
    for event in statement.query_map(parameters, read_event)? {
        let event: Event = event?;
        sum += event.payload.len();
        events.push(event);
        if sum > bytes {
            break;
        }
    }
    Ok(events)
}

/// Whether there is a published event of the resource after this number.
pub fn has_later_event(at: &Snapshot<'_>, resource_id: &str, seq: i64) -> Result<bool> {
    let mut statement =
        at.prepare("SELECT 1 FROM events WHERE resource_id = ?1 AND seq > ?2 AND published = 1 LIMIT 1")?;
    Ok(statement.exists(params![resource_id, seq])?)
}

/// Whether there is a published event of this kind about the resource after this number.
pub fn has_later_event_of_kind(at: &Snapshot<'_>, resource_id: &str, kind: EventKind<'_>, seq: i64) -> Result<bool> {
    let mut statement =
        at.prepare("SELECT 1 FROM events WHERE resource_id = ?1 AND seq > ?2 AND kind = ?3 AND published = 1 LIMIT 1")?;
    Ok(statement.exists(params![resource_id, seq, kind.to_string()])?)
}

/// Returns the range of the stored events: the number before the oldest event, and the number of the newest. Both are 0
/// if there are no events.
pub fn find_event_range(at: &Snapshot<'_>) -> Result<(i64, i64)> {
    // Two statements: each is one index lookup. A single statement with min and max would scan the table.
    let first: Option<i64> = at.prepare("SELECT min(seq) FROM events")?.query_row([], |row| row.get(0))?;
    let last: Option<i64> = at.prepare("SELECT max(seq) FROM events")?.query_row([], |row| row.get(0))?;
    Ok((first.map_or(0, |seq| seq - 1), last.unwrap_or(0)))
}

/// Returns the last event in a range of `length` numbers that starts with the first event after `after`, or `after` if
/// there is none. The range limits the scan, and skips a gap between two events.
pub fn find_range_end(at: &Snapshot<'_>, after: i64, length: i64) -> Result<i64> {
    let last: Option<i64> = at
        .prepare("SELECT max(seq) FROM events WHERE seq < (SELECT min(seq) FROM events WHERE seq > ?1) + ?2")?
        .query_row((after, length), |row| row.get(0))?;
    Ok(last.unwrap_or(after))
}

/// Returns the number of the first published event about the oldest resource of a configuration, 0 if that event is no
/// longer stored, or `None` if nothing was published yet.
pub fn find_first_published(at: &Snapshot<'_>, configuration: i64) -> Result<Option<i64>> {
    let mut oldest =
        at.prepare("SELECT id FROM resources WHERE configuration = ?1 AND type = ?2 ORDER BY resource LIMIT 1")?;
    let mut find = |name: &str| oldest.query_row((configuration, name), |row| row.get::<_, String>(0)).optional();
    let id = match find("User")? {
        None => find("Group")?,
        user => user,
    };
    let Some(id) = id else { return Ok(None) };
    let mut statement = at.prepare(
        "SELECT min(seq) FILTER (WHERE published = 1), count(*) FROM events WHERE resource_id = ?2 AND configuration = ?1",
    )?;
    let (first, stored): (Option<i64>, i64) =
        statement.query_row((configuration, id), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(if stored == 0 { Some(0) } else { first })
}

/// Returns how many of the next `limit` events after `after` are published events of the configuration, and whether
/// there may be more events after those.
pub fn count_waiting_events(at: &Snapshot<'_>, configuration: i64, after: i64, limit: u32) -> Result<(u32, bool)> {
    let mut statement = at.prepare(
        "SELECT count(*) FILTER (WHERE configuration = ?1 AND published = 1), count(*) FROM
             (SELECT configuration, published FROM events WHERE seq > ?2 ORDER BY seq LIMIT ?3)",
    )?;
    let (waiting, scanned): (u32, u32) =
        statement.query_row((configuration, after, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((waiting, scanned == limit))
}

/// Returns the number of the first event from this time on, or a number after the newest event. Times never decrease with the
/// numbers, so it is found in some 20 steps.
pub fn find_seq_at_time(at: &Snapshot<'_>, time: Millis) -> Result<i64> {
    let (removed, end) = find_event_range(at)?;
    let (mut first, mut after) = (removed + 1, end + 1);
    let mut statement = at.prepare("SELECT created_at FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    while first < after {
        let middle = first + (after - first) / 2;
        let created_at: Option<Millis> = statement.query_row([middle], |row| row.get(0)).optional()?;
        if created_at.is_some_and(|created_at| created_at < time) {
            first = middle + 1;
        } else {
            after = middle;
        }
    }
    Ok(first)
}

/// Returns the events of a request among the first `limit` events from a number on.
pub fn list_events_of_request(at: &Snapshot<'_>, from: i64, request_id: &str, limit: u32) -> Result<Vec<Event>> {
    let until: Option<i64> = at.read_value(
        "SELECT max(seq) FROM (SELECT seq FROM events WHERE seq >= ?1 ORDER BY seq LIMIT ?2)",
        (from, limit),
    )?;
    let condition = "e.seq >= ?1 AND e.seq <= ?2 AND e.request_id = ?3 ORDER BY e.seq";
    read_event_rows(at, condition, params![from, until.unwrap_or(0), request_id], usize::MAX)
}

/// Returns the time of the newest event, or `None` if there are no events.
pub fn find_newest_time(at: &Snapshot<'_>) -> Result<Option<Millis>> {
    let mut statement = at.prepare("SELECT created_at FROM events ORDER BY seq DESC LIMIT 1")?;
    Ok(statement.query_map([], |row| row.get(0))?.next().transpose()?)
}

/// The number of the first of the ?2 oldest events that is not from before the time ?1, or the number after them. Imported events
/// are older than some with lower numbers. They stay until those expire, so that the numbers have no gap that a consumer would not
/// notice.
const FIRST_TO_STAY: &str = "SELECT coalesce(min(seq) FILTER (WHERE created_at >= ?1), max(seq) + 1)
     FROM (SELECT seq, created_at FROM events ORDER BY seq LIMIT ?2)";

/// Deletes at most `limit` of the oldest events from before a time, but never the newest event. Returns how many were
/// deleted.
pub fn delete_events_before(tx: &Tx<'_>, before: Millis, limit: u32) -> Result<usize> {
    let mut statement = tx.prepare(&format!(
        "DELETE FROM events WHERE seq < (SELECT max(seq) FROM events) AND seq < ({FIRST_TO_STAY})"
    ))?;
    Ok(statement.execute(params![before, limit])?)
}

/// An event that may expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldEvent {
    /// Its number.
    pub seq: i64,
    /// Key of its configuration.
    pub configuration: i64,
    /// Key of the account; 0 if the configuration has no row.
    pub account: i64,
    /// Its kind.
    pub kind: String,
    /// Whether the feed shows it.
    pub is_published: bool,
    /// When the change was committed.
    pub created_at: Millis,
}

/// Returns at most `limit` of the oldest events from before a time.
pub fn list_old_events(at: &Snapshot<'_>, before: Millis, limit: u32) -> Result<Vec<OldEvent>> {
    at.list_rows(
        &format!(
            "SELECT e.seq, e.configuration, coalesce(c.account, 0) AS account, e.kind, e.published AS is_published, e.created_at
             FROM (SELECT * FROM events ORDER BY seq LIMIT ?2) e LEFT JOIN configurations c ON c.configuration = e.configuration
             WHERE e.seq < ({FIRST_TO_STAY}) ORDER BY e.seq"
        ),
        params![before, limit],
        |row| read_columns!(row, OldEvent { seq, configuration, account, kind, is_published, created_at }),
    )
}

/// Like [`delete_events_before`], up to and including the event with a number.
pub fn delete_events_until(tx: &Tx<'_>, until: i64, before: Millis, limit: u32) -> Result<usize> {
    tx.execute(
        &format!(
            "DELETE FROM events WHERE seq < (SELECT max(seq) FROM events) AND seq <= ?3 AND seq < ({FIRST_TO_STAY})"
        ),
        params![before, limit, until],
    )
}

/// Replaces the data of a configuration's resource events after `after` and up to `until`, which contain personal data. The
/// versions stay.
pub fn redact_events(tx: &Tx<'_>, configuration: i64, after: i64, until: i64) -> Result<()> {
    // Data that ends with this member has no other: the attributes of a resource are one level deeper.
    let mut statement = tx.prepare(
        "UPDATE events SET payload = CASE WHEN payload LIKE '{\"version\":%' AND json_valid(payload)
             THEN json_object('version', payload ->> 'version', 'lastModified', payload ->> 'lastModified', 'redacted',
                 json('true'))
             ELSE '{' || ?4 || '}' END
         WHERE seq > ?2 AND seq <= ?3 AND configuration = ?1 AND resource_id IS NOT NULL
             AND payload NOT LIKE '%' || ?4 || '}' AND payload NOT LIKE '%' || ?5 || '}'",
    )?;
    statement.execute(params![configuration, after, until, REDACTED, PURGED])?;
    Ok(())
}

/// Returns at most `limit` events of a resource before `before`, newest first, including unpublished ones.
pub fn list_resource_events(
    at: &Snapshot<'_>,
    configuration: i64,
    resource_id: &str,
    before: i64,
    limit: u32,
) -> Result<Vec<Event>> {
    let mut statement = at.prepare(&format!(
        "{COLUMNS} WHERE e.resource_id = ?2 AND e.seq < ?3 AND e.configuration = ?1 ORDER BY e.seq DESC LIMIT ?4"
    ))?;
    let rows = statement.query_map(params![configuration, resource_id, before, limit], read_event)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

const COLUMNS: &str = "SELECT e.seq, e.account_id, e.configuration, c.id AS configuration_id, e.kind, e.resource_id,
         e.payload, e.created_at, e.request_id
     FROM events e LEFT JOIN configurations c ON c.configuration = e.configuration";

fn read_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: row.get("seq")?,
        account: row.get("account_id")?,
        configuration: row.get("configuration")?,
        configuration_id: row.get("configuration_id")?,
        kind: row.get("kind")?,
        resource_id: row.get("resource_id")?,
        payload: row.get("payload")?,
        created_at: row.get("created_at")?,
        request_id: row.get("request_id")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::EventAction;
    use crate::store::Store;

    #[test]
    fn events_expire_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let expire = |tx: &Tx<'_>| {
            for _ in 0..4 {
                let event = NewEvent {
                    account: "a",
                    configuration: 1,
                    kind: EventKind::Resource("User", EventAction::Updated),
                    resource_id: None,
                    payload: "{}",
                    is_published: true,
                };
                append_event(tx, &event)?;
            }
            // Imported events are older than the first one.
            tx.run("UPDATE events SET created_at = 1 WHERE seq > 1", [])?;
            let removed = [delete_events_before(tx, tx.now, 10)?, delete_events_until(tx, 4, tx.now, 10)?];
            Ok((removed, list_old_events(tx, tx.now, 10)?.len(), delete_events_before(tx, tx.now + 1, 10)?))
        };
        assert_eq!(store.write_blocking(expire).unwrap(), ([0, 0], 0, 3));
    }
}
