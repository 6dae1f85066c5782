//! Rows of `webhook_lanes`: how far the events of each configuration were sent to each webhook. A lane without a row is at the
//! start of its webhook.

use rusqlite::{Row, named_params, params};

use super::rows::read_columns;
use crate::clock::Millis;
use crate::error::Result;
use crate::model::event::Event;
use crate::model::webhook::sent_kinds::SentKinds;
use crate::store::tables::events::{self, read_event_rows};
use crate::store::{Snapshot, Tx};

/// A stored lane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaneRow {
    /// Key of the webhook.
    pub webhook: i64,
    /// Key of the configuration.
    pub configuration: i64,
    /// Number of the last event that was delivered or skipped.
    pub position: i64,
    /// Number of the last event of a batch that was begun.
    pub batch_end: Option<i64>,
    /// Position in the current resources. `None`: live events.
    pub backfill: Option<String>,
    /// End of a page of current resources that was begun.
    pub backfill_end: Option<String>,
    /// Number of pages of current resources that were delivered.
    pub backfill_page: i64,
    /// Failed attempts of the batch.
    pub failures: u32,
    /// Time of the first of them.
    pub failing_since: Option<Millis>,
    /// Time of the next attempt.
    pub next_attempt_at: Option<Millis>,
    /// When the last retry failed.
    pub stopped_at: Option<Millis>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

impl LaneRow {
    /// Ends the retries: the batch was delivered, or is not sent any more.
    pub fn clear_failures(&mut self) {
        self.failures = 0;
        (self.failing_since, self.next_attempt_at, self.last_error) = (None, None, None);
    }
}

const COLUMNS: &str = "webhook, configuration, position, batch_end, backfill, backfill_end, backfill_page, failures,
     failing_since, next_attempt_at, stopped_at, last_error";

fn read_lane(row: &Row<'_>) -> rusqlite::Result<LaneRow> {
    read_columns!(
        row,
        LaneRow {
            webhook,
            configuration,
            position,
            batch_end,
            backfill,
            backfill_end,
            backfill_page,
            failures,
            failing_since,
            next_attempt_at,
            stopped_at,
            last_error
        }
    )
}

/// Returns a lane.
pub fn find_lane(at: &Snapshot<'_>, webhook: i64, configuration: i64) -> Result<Option<LaneRow>> {
    let sql = format!("SELECT {COLUMNS} FROM webhook_lanes WHERE webhook = ?1 AND configuration = ?2");
    at.find_row(&sql, (webhook, configuration), read_lane)
}

/// Returns all lanes of a webhook that have a row.
pub fn list_lanes(at: &Snapshot<'_>, webhook: i64) -> Result<Vec<LaneRow>> {
    at.list_rows(&format!("SELECT {COLUMNS} FROM webhook_lanes WHERE webhook = ?1"), [webhook], read_lane)
}

/// Returns at most `limit` lanes whose last attempt failed.
pub fn list_failing_lanes(at: &Snapshot<'_>, limit: u32) -> Result<Vec<LaneRow>> {
    let sql = format!("SELECT {COLUMNS} FROM webhook_lanes WHERE failing_since IS NOT NULL LIMIT ?1");
    at.list_rows(&sql, [limit], read_lane)
}

/// Stores a lane.
pub fn save_lane(tx: &Tx<'_>, lane: &LaneRow) -> Result<()> {
    tx.run(
        "INSERT INTO webhook_lanes (webhook, configuration, position, batch_end, backfill, backfill_end, backfill_page,
             failures, failing_since, next_attempt_at, stopped_at, last_error)
         VALUES (:webhook, :configuration, :position, :batch_end, :backfill, :backfill_end, :backfill_page, :failures,
             :failing_since, :next_attempt_at, :stopped_at, :last_error)
         ON CONFLICT (webhook, configuration) DO UPDATE SET position = excluded.position, batch_end = excluded.batch_end,
             backfill = excluded.backfill, backfill_end = excluded.backfill_end, backfill_page = excluded.backfill_page,
             failures = excluded.failures, failing_since = excluded.failing_since,
             next_attempt_at = excluded.next_attempt_at, stopped_at = excluded.stopped_at,
             last_error = excluded.last_error",
        named_params! {
            ":webhook": lane.webhook,
            ":configuration": lane.configuration,
            ":position": lane.position,
            ":batch_end": lane.batch_end,
            ":backfill": lane.backfill,
            ":backfill_end": lane.backfill_end,
            ":backfill_page": lane.backfill_page,
            ":failures": lane.failures,
            ":failing_since": lane.failing_since,
            ":next_attempt_at": lane.next_attempt_at,
            ":stopped_at": lane.stopped_at,
            ":last_error": lane.last_error,
        },
    )
}

/// Cuts the batches of a webhook again: the content of its requests has changed.
pub fn clear_batches(tx: &Tx<'_>, webhook: i64) -> Result<()> {
    tx.run(
        "UPDATE webhook_lanes SET batch_end = NULL, backfill_end = NULL
         WHERE webhook = ?1 AND (batch_end IS NOT NULL OR backfill_end IS NOT NULL)",
        [webhook],
    )
}

/// Makes all failing lanes of a webhook try again at once. Returns how many there are.
pub fn resume_lanes(tx: &Tx<'_>, webhook: i64) -> Result<usize> {
    tx.execute(
        "UPDATE webhook_lanes SET failures = 0, failing_since = NULL, next_attempt_at = NULL, stopped_at = NULL
         WHERE webhook = ?1 AND failing_since IS NOT NULL",
        [webhook],
    )
}

/// The newest published event of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigurationEnd {
    /// Key of the configuration.
    pub configuration: i64,
    /// Key of its account.
    pub account: i64,
    /// Number of the newest published event; 0 if there is none.
    pub end: i64,
}

/// Returns at most `limit` configurations with a key after `after`, also deleted ones, with the ends of their events.
pub fn list_configuration_ends(at: &Snapshot<'_>, after: i64, limit: u32) -> Result<Vec<ConfigurationEnd>> {
    at.list_rows(
        "SELECT configuration, account,
             coalesce((SELECT max(e.seq) FROM events e
                       WHERE e.configuration = c.configuration AND e.published = 1), 0) AS end
         FROM configurations c WHERE configuration > ?1 ORDER BY configuration LIMIT ?2",
        (after, limit),
        |row| read_columns!(row, ConfigurationEnd { configuration, account, end }),
    )
}

/// A configuration with new events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSighting {
    /// Key of the configuration.
    pub configuration: i64,
    /// Key of the account.
    pub account: i64,
}

/// Returns the configurations with published events after `after`, in a range of `length` numbers, and the end of the range:
/// `after` if there are no more events.
pub fn list_event_sightings(at: &Snapshot<'_>, after: i64, length: i64) -> Result<(Vec<EventSighting>, i64)> {
    let until = events::find_range_end(at, after, length)?;
    let found = at.list_rows(
        "SELECT DISTINCT e.configuration AS configuration, c.account AS account
         FROM events e JOIN configurations c ON c.configuration = e.configuration
         WHERE e.seq > ?1 AND e.seq <= ?2 AND e.published = 1",
        (after, until),
        |row| read_columns!(row, EventSighting { configuration, account }),
    )?;
    Ok((found, until))
}

/// Selects events of one configuration.
#[derive(Debug, Clone, Copy)]
pub struct LaneEvents<'a> {
    /// Key of the configuration.
    pub configuration: i64,
    /// Events after this number.
    pub after: i64,
    /// Events up to this number, if given.
    pub until: Option<i64>,
    /// Only events of these kinds.
    pub kinds: &'a SentKinds,
}

/// Events whose kinds are compared: `?1` is the configuration, then the range, the kinds and the number of rows. The index has
/// the configuration and the number only, so the rows are limited. SQLite stops with the last row that the outer query needs.
const SEARCHED: &str = "(SELECT seq, kind FROM events
     WHERE configuration = ?1 AND published = 1 AND seq > ?2 AND seq <= coalesce(?3, 9223372036854775807)
     ORDER BY seq LIMIT ?5)
     WHERE (?4 IS NULL OR seq > json_extract(?4, '$.\"' || kind || '\"'))";

/// Returns the last of the next `length` published events of a configuration after a number, or that number if there is none,
/// and how many there are.
pub fn find_scan_end(at: &Snapshot<'_>, selection: LaneEvents<'_>, length: u32) -> Result<(i64, u32)> {
    at.read_row(
        "SELECT coalesce(max(seq), ?2), count(*) FROM
             (SELECT seq FROM events WHERE configuration = ?1 AND published = 1 AND seq > ?2
                  AND seq <= coalesce(?3, 9223372036854775807) ORDER BY seq LIMIT ?4)",
        params![selection.configuration, selection.after, selection.until, length],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// How much of the events a query reads.
#[derive(Debug, Clone, Copy)]
pub struct LaneLimit {
    /// Most events of the result.
    pub events: u32,
    /// The last event is the first with which the sum of their payloads is above this.
    pub bytes: usize,
    /// Most events whose kinds are compared.
    pub searched: u32,
}

/// Returns the next events of a configuration, in order.
pub fn list_lane_events(at: &Snapshot<'_>, selection: LaneEvents<'_>, limit: LaneLimit) -> Result<Vec<Event>> {
    let LaneEvents { configuration, after, until, kinds } = selection;
    let sql = format!("e.seq IN (SELECT seq FROM {SEARCHED} LIMIT ?6) ORDER BY e.seq");
    let parameters = params![configuration, after, until, kinds.to_json(), limit.searched, limit.events];
    read_event_rows(at, &sql, parameters, limit.bytes)
}

/// Returns the number and the time of the first of the next `searched` events that is selected.
pub fn find_first_event(at: &Snapshot<'_>, selection: LaneEvents<'_>, searched: u32) -> Result<Option<(i64, Millis)>> {
    let LaneEvents { configuration, after, until, kinds } = selection;
    at.find_row(
        &format!("SELECT seq, created_at FROM events WHERE seq = (SELECT seq FROM {SEARCHED} LIMIT 1)"),
        params![configuration, after, until, kinds.to_json(), searched],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Returns how many of the next `searched` events are selected, and the time of the first one.
pub fn count_waiting(at: &Snapshot<'_>, selection: LaneEvents<'_>, searched: u32) -> Result<(u32, Option<Millis>)> {
    let LaneEvents { configuration, after, until, kinds } = selection;
    at.read_row(
        &format!(
            "SELECT count, (SELECT created_at FROM events WHERE seq = first)
             FROM (SELECT count(*) AS count, min(seq) AS first FROM {SEARCHED})"
        ),
        params![configuration, after, until, kinds.to_json(), searched],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn explain(store: &Store, sql: &str) -> String {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let plan: Vec<String> =
            store.read_inline(|at| at.list_rows(&sql, [], |row| row.get::<_, String>("detail"))).unwrap();
        plan.join("\n")
    }

    #[test]
    fn the_events_of_a_configuration_are_found_in_their_index_without_sorting() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        for sql in [
            "SELECT created_at FROM events WHERE configuration = 1 AND published = 1 AND seq > 5 ORDER BY seq LIMIT 1",
            "SELECT max(e.seq) FROM events e WHERE e.configuration = 1 AND e.published = 1",
        ] {
            let plan = explain(&store, sql);
            assert!(plan.contains("events_by_configuration") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }

    #[test]
    fn a_lane_is_stored_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let lane = LaneRow {
            webhook: 1,
            configuration: 2,
            position: 3,
            batch_end: Some(4),
            failures: 5,
            failing_since: Some(6),
            next_attempt_at: Some(7),
            last_error: Some("refused".to_owned()),
            ..LaneRow::default()
        };
        let stored = lane.clone();
        let job = move |tx: &Tx<'_>| {
            tx.run("PRAGMA defer_foreign_keys = ON", [])?;
            tx.run(
                "INSERT INTO webhooks (webhook, id, url, description, format, payload, batch_size, signature, headers, state,
                     start_seq, created_at, updated_at)
                 VALUES (1, 'w', '', '', 'standard', 'full', 1, 'hmac', '{}', 'active', 0, 0, 0)",
                [],
            )?;
            save_lane(tx, &LaneRow { position: 1, ..stored.clone() })?;
            save_lane(tx, &stored)
        };
        store.write_blocking(job).unwrap();
        assert_eq!(store.read_inline(|at| find_lane(at, 1, 2)).unwrap(), Some(lane.clone()));
        assert_eq!(store.read_inline(|at| list_failing_lanes(at, 9)).unwrap(), [lane]);
        assert_eq!(store.write_blocking(|tx| resume_lanes(tx, 1)).unwrap(), 1);
        assert_eq!(store.read_inline(|at| list_failing_lanes(at, 9)).unwrap(), []);
    }
}
