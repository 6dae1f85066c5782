//! Progress of webhooks over all of their lanes, for lists and for the pages of connections.

use rusqlite::params;

use crate::clock::Millis;
use crate::error::Result;
use crate::store::Snapshot;

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
    pub kinds: Option<&'a [&'static str]>,
}

const OLDEST_WAITING: &str = "
    SELECT min((SELECT e.created_at FROM events e
                WHERE e.configuration = c.configuration AND e.published = 1 AND e.seq > coalesce(l.position, ?2)
                    AND (?3 IS NULL OR e.kind IN (SELECT value FROM json_each(?3))) ORDER BY e.seq LIMIT 1))
    FROM (SELECT * FROM (SELECT configuration FROM configurations WHERE ?4 IS NULL OR account = ?4
                         ORDER BY configuration DESC LIMIT ?5)
          UNION SELECT configuration FROM webhook_lanes WHERE webhook = ?1 AND failing_since IS NOT NULL) c
        LEFT JOIN webhook_lanes l ON l.webhook = ?1 AND l.configuration = c.configuration";

/// Returns the time of the oldest event that waits in the lanes of a webhook. It looks at the lanes that fail, and at those of
/// the `limit` newest configurations.
pub fn find_oldest_waiting(at: &Snapshot<'_>, lanes: WebhookLanes<'_>, limit: u32) -> Result<Option<Millis>> {
    let kinds = lanes.kinds.map(|kinds| serde_json::json!(kinds).to_string());
    at.read_value(OLDEST_WAITING, params![lanes.webhook, lanes.start_seq, kinds, lanes.account, limit])
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
            let lanes = WebhookLanes { webhook: 1, account: None, start_seq: 0, kinds: None };
            let found = (
                find_oldest_waiting(tx, lanes, 10)?,
                find_oldest_waiting(tx, WebhookLanes { kinds: Some(&["user.created"]), ..lanes }, 10)?,
                find_oldest_waiting(tx, WebhookLanes { kinds: Some(&["user.updated"]), ..lanes }, 10)?,
            );
            Ok((found, tx.now))
        };
        let ((all, passed, waiting), now) = store.write_blocking(job).unwrap();
        assert_eq!((all, passed, waiting), (Some(now), None, Some(now)));
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
