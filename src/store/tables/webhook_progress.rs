//! Progress of webhooks over all of their lanes, for lists and for the pages of connections.

use std::collections::HashMap;

use rusqlite::{Row, params};

use super::rows::read_columns;
use crate::clock::Millis;
use crate::error::Result;
use crate::model::webhook::DeliveryHealth;
use crate::model::webhook::sent_kinds::SentKinds;
use crate::store::Snapshot;
use crate::store::tables::webhook_lanes::{self, LaneEvents};

/// Selects the lanes of a webhook.
#[derive(Debug, Clone, Copy)]
pub struct WebhookLanes<'a> {
    /// Key of the webhook.
    pub webhook: i64,
    /// Key of its account, if it has one.
    pub account: Option<i64>,
    /// Lanes without a row begin after this number.
    pub start_seq: i64,
    /// Only events of these kinds.
    pub kinds: &'a SentKinds,
}

/// How much of the lanes of a webhook is searched.
#[derive(Debug, Clone, Copy)]
pub struct WaitingLimit {
    /// The newest configurations, in addition to lanes that fail.
    pub lanes: u32,
    /// Events of one lane.
    pub lane_events: u32,
    /// Events of all lanes.
    pub events: u32,
}

/// Lanes with events after their positions, and the time of the first of them.
const LANES_WITH_EVENTS: &str = "
    SELECT configuration, position,
        (SELECT e.created_at FROM events e
         WHERE e.configuration = c.configuration AND e.published = 1 AND e.seq > c.position ORDER BY e.seq LIMIT 1) AS since
    FROM (SELECT one.configuration, coalesce(l.position, ?2) AS position
          FROM (SELECT * FROM (SELECT configuration FROM configurations WHERE ?3 IS NULL OR account = ?3
                               ORDER BY configuration DESC LIMIT ?4)
                UNION SELECT configuration FROM webhook_lanes WHERE webhook = ?1 AND failing_since IS NOT NULL) one
              LEFT JOIN webhook_lanes l ON l.webhook = ?1 AND l.configuration = one.configuration) c
    WHERE since IS NOT NULL ORDER BY since";

/// Returns the time of the oldest event that waits in the lanes of a webhook, as far as the limit allows.
pub fn find_oldest_waiting(at: &Snapshot<'_>, lanes: WebhookLanes<'_>, limit: WaitingLimit) -> Result<Option<Millis>> {
    let parameters = params![lanes.webhook, lanes.start_seq, lanes.account, limit.lanes];
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let waiting: Vec<(i64, i64, Millis)> = at.list_rows(LANES_WITH_EVENTS, parameters, read)?;
    if lanes.kinds.is_all() {
        return Ok(waiting.first().map(|(_, _, since)| *since));
    }
    let (mut oldest, mut events) = (None, limit.events);
    for (configuration, after, since) in waiting {
        // Events of this lane and of the next ones are newer.
        if events == 0 || oldest.is_some_and(|oldest| since >= oldest) {
            break;
        }
        let length = limit.lane_events.min(events);
        let selection = LaneEvents { configuration, after, until: None, kinds: lanes.kinds };
        let first = webhook_lanes::find_first_event(at, selection, length)?;
        if let Some((_, created_at)) = first {
            oldest = [oldest, Some(created_at)].into_iter().flatten().min();
        }
        let searched = LaneEvents { until: first.map(|(seq, _)| seq), ..selection };
        events -= webhook_lanes::find_scan_end(at, searched, length)?.1;
    }
    Ok(oldest)
}

/// Selects lanes that fail.
#[derive(Debug, Clone, Copy)]
pub struct FailingDeliveries {
    /// Only of the webhooks of this account.
    pub account: Option<i64>,
    /// Only those that fail since this time or before it, or have stopped.
    pub since: Millis,
}

const FAILING: &str =
    "SELECT l.configuration, count(*) - count(l.stopped_at) AS retrying, count(l.stopped_at) AS stopped,
         min(l.failing_since) AS since
     FROM webhooks w CROSS JOIN webhook_lanes l ON l.webhook = w.webhook
     WHERE w.state = 'active' AND (?1 IS NULL OR w.account = ?1)
         AND l.failing_since IS NOT NULL AND (l.failing_since <= ?2 OR l.stopped_at IS NOT NULL)";

fn read_delivery_health(row: &Row<'_>) -> rusqlite::Result<DeliveryHealth> {
    read_columns!(row, DeliveryHealth { retrying, stopped, since })
}

/// Returns the health of the deliveries of a configuration.
pub fn find_delivery_health(
    at: &Snapshot<'_>,
    configuration: i64,
    failing: FailingDeliveries,
) -> Result<DeliveryHealth> {
    let sql = format!("{FAILING} AND l.configuration = ?3");
    at.read_row(&sql, params![failing.account, failing.since, configuration], read_delivery_health)
}

/// Returns the health of the deliveries of all configurations with a lane that fails, by key.
pub fn list_delivery_health(at: &Snapshot<'_>, failing: FailingDeliveries) -> Result<HashMap<i64, DeliveryHealth>> {
    let sql = format!("{FAILING} GROUP BY l.configuration");
    let read = |row: &Row<'_>| Ok((row.get(0)?, read_delivery_health(row)?));
    Ok(at.list_rows(&sql, params![failing.account, failing.since], read)?.into_iter().collect())
}

/// An event that a webhook has delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveredEvent {
    /// Number of the event.
    pub seq: i64,
    /// Time of the delivery.
    pub at: Millis,
}

/// Returns the first event of a configuration that a webhook has delivered, as far as its attempts are stored.
pub fn find_first_delivery(at: &Snapshot<'_>, configuration: i64) -> Result<Option<DeliveredEvent>> {
    at.find_row(
        "SELECT from_seq, at FROM webhook_attempts
         WHERE configuration = ?1 AND to_seq IS NOT NULL AND succeeded = 1 ORDER BY to_seq LIMIT 1",
        [configuration],
        |row| Ok(DeliveredEvent { seq: row.get(0)?, at: row.get(1)? }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{EventAction, EventKind};
    use crate::model::webhook::sent_kinds::KindsSince;
    use crate::store::tables::events::{self, NewEvent};
    use crate::store::tables::webhook_attempts::{WebhookAttempt, insert_attempt};
    use crate::store::tables::webhook_lanes::{LaneRow, save_lane};
    use crate::store::{Store, Tx};

    const INSERT_WEBHOOK: &str =
        "INSERT INTO webhooks (webhook, id, url, description, format, payload, batch_size, signature,
         headers, state, start_seq, created_at, updated_at)
         VALUES (1, 'w', '', '', 'standard', 'full', 1, 'hmac', '{}', 'active', 0, 0, 0)";

    fn append(tx: &Tx<'_>, action: EventAction) -> Result<i64> {
        let kind = EventKind::Resource("User", action);
        let event = NewEvent {
            account: "a",
            configuration: 5,
            kind,
            resource_id: Some("x"),
            payload: "{}",
            is_published: true,
        };
        events::append_event(tx, &event)
    }

    #[test]
    fn the_oldest_waiting_event_is_after_the_position_of_its_lane() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let job = |tx: &Tx<'_>| {
            tx.run("PRAGMA defer_foreign_keys = ON", [])?;
            tx.run(INSERT_WEBHOOK, [])?;
            let first = append(tx, EventAction::Created)?;
            append(tx, EventAction::Updated)?;
            let lane =
                LaneRow { webhook: 1, configuration: 5, position: first, failing_since: Some(1), ..LaneRow::default() };
            save_lane(tx, &lane)?;
            let find = |kinds: Option<Vec<&'static str>>| {
                let kinds = SentKinds::new(kinds, &KindsSince::new());
                let lanes = WebhookLanes { webhook: 1, account: None, start_seq: 0, kinds: &kinds };
                find_oldest_waiting(tx, lanes, WaitingLimit { lanes: 10, lane_events: 10, events: 10 })
            };
            Ok(((find(None)?, find(Some(vec!["user.created"]))?, find(Some(vec!["user.updated"]))?), tx.now))
        };
        let ((all, passed, waiting), now) = store.write_blocking(job).unwrap();
        assert_eq!((all, passed, waiting), (Some(now), None, Some(now)));
    }

    #[test]
    fn only_webhooks_that_fail_for_long_or_have_stopped_count_as_failing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let job = |tx: &Tx<'_>| {
            tx.run("PRAGMA defer_foreign_keys = ON", [])?;
            tx.run(INSERT_WEBHOOK, [])?;
            for (configuration, failing_since, stopped_at) in
                [(5, Some(100), None), (6, Some(101), None), (7, Some(500), Some(600)), (8, None, None)]
            {
                let lane = LaneRow { webhook: 1, configuration, failing_since, stopped_at, ..LaneRow::default() };
                save_lane(tx, &lane)?;
            }
            let failing = FailingDeliveries { account: None, since: 100 };
            let all = list_delivery_health(tx, failing)?;
            let found = (5..9).map(|configuration| find_delivery_health(tx, configuration, failing));
            let found = found.collect::<Result<Vec<_>>>()?;
            let others = list_delivery_health(tx, FailingDeliveries { account: Some(1), ..failing })?;
            tx.run("UPDATE webhooks SET state = 'paused'", [])?;
            Ok((all, found, others.len() + list_delivery_health(tx, failing)?.len()))
        };
        let (all, found, others) = store.write_blocking(job).unwrap();
        let retrying = DeliveryHealth { retrying: 1, stopped: 0, since: Some(100) };
        let stopped = DeliveryHealth { retrying: 0, stopped: 1, since: Some(500) };
        assert_eq!(found, [retrying, DeliveryHealth::default(), stopped, DeliveryHealth::default()]);
        assert_eq!(all, HashMap::from([(5, retrying), (7, stopped)]));
        assert_eq!(others, 0);
    }

    #[test]
    fn the_first_delivered_event_is_found_without_sorting() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let job = |tx: &Tx<'_>| {
            for (seq, succeeded) in [(3, false), (8, true), (6, true)] {
                let attempt = WebhookAttempt {
                    webhook: 1,
                    configuration: 5,
                    from_seq: Some(seq),
                    to_seq: Some(seq),
                    succeeded,
                    at: seq * 10,
                    ..WebhookAttempt::default()
                };
                insert_attempt(tx, &attempt)?;
            }
            Ok(())
        };
        store.write_blocking(job).unwrap();
        let found = store.read_inline(|at| find_first_delivery(at, 5)).unwrap();
        assert_eq!(found, Some(DeliveredEvent { seq: 6, at: 60 }));
        assert_eq!(store.read_inline(|at| find_first_delivery(at, 6)).unwrap(), None);
        let plan = "EXPLAIN QUERY PLAN SELECT from_seq, at FROM webhook_attempts
             WHERE configuration = 1 AND to_seq IS NOT NULL AND succeeded = 1 ORDER BY to_seq LIMIT 1";
        let plan: Vec<String> =
            store.read_inline(|at| at.list_rows(plan, [], |row| row.get::<_, String>("detail"))).unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("webhook_attempts_by_events") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}
