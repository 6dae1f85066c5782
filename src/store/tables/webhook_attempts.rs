//! Rows of `webhook_attempts`: attempts to send events, without the events.

use rusqlite::{Row, named_params, params};

use super::rows::{read_columns, to_sql_limit};
use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Snapshot, Tx};

/// An attempt to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WebhookAttempt {
    /// Number of the row. Later attempts have higher numbers.
    pub attempt: i64,
    /// Key of the webhook.
    pub webhook: i64,
    /// Key of the configuration; 0 for a test.
    pub configuration: i64,
    /// First event; none for tests and current resources.
    pub from_seq: Option<i64>,
    /// Last event.
    pub to_seq: Option<i64>,
    /// Id of the request.
    pub message_id: String,
    /// How often the batch was tried, with this attempt.
    pub number: u32,
    /// Whether an admin asked to send it again.
    pub resend: bool,
    /// Whether the response had a status of success.
    pub succeeded: bool,
    /// HTTP status of the response.
    pub status: Option<u16>,
    /// Why there is no response.
    pub error: Option<String>,
    /// Start of the body of the response.
    pub response: Option<String>,
    /// Time until the response.
    pub duration_ms: i64,
    /// Time of the attempt.
    pub at: Millis,
}

/// Inserts an attempt.
pub fn insert_attempt(tx: &Tx<'_>, new: &WebhookAttempt) -> Result<()> {
    tx.run(
        "INSERT INTO webhook_attempts (webhook, configuration, from_seq, to_seq, message_id, number, resend, succeeded,
             status, error, response, duration_ms, at)
         VALUES (:webhook, :configuration, :from_seq, :to_seq, :message_id, :number, :resend, :succeeded, :status, :error,
             :response, :duration_ms, :at)",
        named_params! {
            ":webhook": new.webhook,
            ":configuration": new.configuration,
            ":from_seq": new.from_seq,
            ":to_seq": new.to_seq,
            ":message_id": new.message_id,
            ":number": new.number,
            ":resend": new.resend,
            ":succeeded": new.succeeded,
            ":status": new.status,
            ":error": new.error,
            ":response": new.response,
            ":duration_ms": new.duration_ms,
            ":at": new.at,
        },
    )
}

/// Selects attempts of a webhook.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttemptsQuery {
    /// Key of the webhook.
    pub webhook: i64,
    /// Only attempts of this configuration.
    pub configuration: Option<i64>,
    /// Only attempts with this result.
    pub succeeded: Option<bool>,
    /// Only attempts before the one with this number.
    pub before: Option<i64>,
}

const COLUMNS: &str =
    "attempt, webhook, configuration, from_seq, to_seq, message_id, number, resend, succeeded, status,
     error, response, duration_ms, at";

/// Returns at most `limit` attempts, newest first.
pub fn list_attempts(at: &Snapshot<'_>, query: AttemptsQuery, limit: u32) -> Result<Vec<WebhookAttempt>> {
    at.list_rows(
        &format!(
            "SELECT {COLUMNS} FROM webhook_attempts
             WHERE webhook = ?1 AND attempt < coalesce(?2, 9223372036854775807)
                 AND (?3 IS NULL OR configuration = ?3) AND (?4 IS NULL OR succeeded = ?4)
             ORDER BY attempt DESC LIMIT ?5"
        ),
        params![query.webhook, query.before, query.configuration, query.succeeded, limit],
        read_attempt,
    )
}

/// Returns the attempt with this number.
pub fn find_attempt(at: &Snapshot<'_>, webhook: i64, attempt: i64) -> Result<Option<WebhookAttempt>> {
    let sql = format!("SELECT {COLUMNS} FROM webhook_attempts WHERE webhook = ?1 AND attempt = ?2");
    at.find_row(&sql, (webhook, attempt), read_attempt)
}

/// Returns the batches of live events that were delivered and contain an event of a range, in order: numbers before the first
/// and of the last event of each. At most `limit`.
pub fn list_delivered_batches(
    at: &Snapshot<'_>,
    (webhook, configuration): (i64, i64),
    (from, to): (i64, i64),
    limit: u32,
) -> Result<Vec<(i64, i64)>> {
    at.list_rows(
        "SELECT DISTINCT from_seq, to_seq FROM webhook_attempts
         WHERE configuration = ?2 AND to_seq >= ?3 AND from_seq <= ?4 AND webhook = ?1 AND succeeded = 1
         ORDER BY to_seq LIMIT ?5",
        params![webhook, configuration, from, to, limit],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Returns the last attempts to deliver an event, newest first, at most `limit`.
pub fn list_attempts_of_event(
    at: &Snapshot<'_>,
    configuration: i64,
    seq: i64,
    limit: u32,
) -> Result<Vec<WebhookAttempt>> {
    // The batch of the event is among the first that end at it or later.
    at.list_rows(
        &format!(
            "SELECT {COLUMNS} FROM
                 (SELECT * FROM webhook_attempts WHERE configuration = ?1 AND to_seq >= ?2 ORDER BY to_seq LIMIT 1000)
             WHERE from_seq <= ?2 ORDER BY attempt DESC LIMIT ?3"
        ),
        params![configuration, seq, limit],
        read_attempt,
    )
}

/// Returns how many attempts of a webhook since a time succeeded, and how many there are, of the last `limit` ones.
pub fn count_recent_attempts(at: &Snapshot<'_>, webhook: i64, since: Millis, limit: u32) -> Result<(u32, u32)> {
    at.read_row(
        "SELECT coalesce(sum(succeeded), 0), count(*) FROM
             (SELECT succeeded, at FROM webhook_attempts WHERE webhook = ?1 ORDER BY attempt DESC LIMIT ?3)
         WHERE at >= ?2",
        params![webhook, since, limit],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Deletes at most `limit` of the oldest attempts: those before a time, and those in front of the newest `most`. Returns how
/// many were deleted.
pub fn delete_old_attempts(tx: &Tx<'_>, before: Millis, most: i64, limit: u32) -> Result<usize> {
    tx.execute(
        "DELETE FROM webhook_attempts WHERE attempt IN
             (SELECT attempt FROM webhook_attempts
              WHERE at < ?1 OR attempt <= (SELECT max(attempt) FROM webhook_attempts) - ?2
              ORDER BY attempt LIMIT ?3)",
        params![before, most, limit],
    )
}

/// Deletes at most `limit` attempts of a configuration that is purged: responses can contain personal data.
pub fn delete_attempts_of_configuration(tx: &Tx<'_>, configuration: i64, limit: usize) -> Result<usize> {
    tx.execute(
        "DELETE FROM webhook_attempts WHERE attempt IN
             (SELECT attempt FROM webhook_attempts WHERE configuration = ?1 AND to_seq IS NOT NULL LIMIT ?2)",
        params![configuration, to_sql_limit(limit)],
    )
}

fn read_attempt(row: &Row<'_>) -> rusqlite::Result<WebhookAttempt> {
    read_columns!(
        row,
        WebhookAttempt {
            attempt,
            webhook,
            configuration,
            from_seq,
            to_seq,
            message_id,
            number,
            resend,
            succeeded,
            status,
            error,
            response,
            duration_ms,
            at
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn attempts_are_listed_newest_first_and_old_ones_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_command(folder.path()).unwrap();
        let job = |tx: &Tx<'_>| {
            for number in 1..=6 {
                let new = WebhookAttempt {
                    webhook: 1,
                    configuration: 2,
                    from_seq: Some(i64::from(number) * 10),
                    to_seq: Some(i64::from(number) * 10 + 9),
                    number,
                    succeeded: number % 2 == 0,
                    at: i64::from(number),
                    ..WebhookAttempt::default()
                };
                insert_attempt(tx, &new)?;
            }
            Ok(())
        };
        store.write_blocking(job).unwrap();
        let list = |query: AttemptsQuery| -> Vec<u32> {
            let found = store.read_inline(|at| list_attempts(at, query, 10)).unwrap();
            found.iter().map(|attempt| attempt.number).collect()
        };
        let all = AttemptsQuery { webhook: 1, ..AttemptsQuery::default() };
        assert_eq!(list(all), [6, 5, 4, 3, 2, 1]);
        assert_eq!(list(AttemptsQuery { succeeded: Some(false), before: Some(5), ..all }), [3, 1]);
        assert_eq!(list(AttemptsQuery { configuration: Some(9), ..all }), [0_u32; 0]);
        let of_event = store.read_inline(|at| list_attempts_of_event(at, 2, 34, 10)).unwrap();
        assert_eq!(of_event.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [3]);
        let batches = store.read_inline(|at| list_delivered_batches(at, (1, 2), (25, 44), 10)).unwrap();
        assert_eq!(batches, [(20, 29), (40, 49)]);
        assert_eq!(store.read_inline(|at| count_recent_attempts(at, 1, 3, 100)).unwrap(), (2, 4));
        assert_eq!(store.write_blocking(|tx| delete_old_attempts(tx, 3, 100, 10)).unwrap(), 2);
        assert_eq!(store.write_blocking(|tx| delete_old_attempts(tx, 0, 3, 10)).unwrap(), 1);
        assert_eq!(list(all), [6, 5, 4]);
    }
}
