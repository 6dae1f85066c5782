//! Rows of other tables that can contain personal data of a user of an account, in ranges of bounded size, and their change.

use rusqlite::{Row, named_params, params};

use super::rows::{read_columns, to_sql_limit};
use super::usage;
use crate::clock::Millis;
use crate::error::Result;
use crate::model::logged_bodies::pack_bodies;
use crate::model::request::LoggedCall;
use crate::store::tables::held_changes;
use crate::store::tables::request_log::{LOGGED_ROW_BYTES, read_request_with_bodies};
use crate::store::{Snapshot, Tx};

/// A range of row numbers of a table that one step reads.
#[derive(Debug, Clone, Copy)]
pub struct NumberRange {
    /// Only rows with a greater number.
    pub after: i64,
    /// The last number of the whole work.
    pub until: i64,
    /// Most rows, of any account.
    pub rows: i64,
    /// Most bytes of the texts. The row with which they are exceeded is the last.
    pub bytes: usize,
}

/// Rows of a range, and the number after which the next one begins; `None` if there is none.
#[derive(Debug)]
pub struct RowsFound<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The next position.
    pub next: Option<i64>,
}

/// Reads a range of a table. `select` has the condition `{number} > ?1 AND {number} <= ?2`, and the keys of the configurations
/// as ?3; its first column is the number.
fn read_rows<T>(
    at: &Snapshot<'_>,
    (table, number): (&str, &str),
    (select, keys): (&str, &str),
    range: NumberRange,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<(T, usize)>,
) -> Result<RowsFound<T>> {
    let end: Option<i64> = at.read_value(
        &format!(
            "SELECT max(n) FROM (SELECT {number} AS n FROM {table} WHERE {number} > ?1 AND {number} <= ?2
                 ORDER BY {number} LIMIT ?3)"
        ),
        params![range.after, range.until, range.rows],
    )?;
    let Some(end) = end else { return Ok(RowsFound { rows: Vec::new(), next: None }) };
    let mut statement = at.prepare(select)?;
    let mut rows = statement.query(params![range.after, end, keys])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let (item, length) = read(row)?;
        found.push(item);
        bytes += length;
        if bytes > range.bytes {
            return Ok(RowsFound { rows: found, next: Some(number).filter(|number| *number < range.until) });
        }
    }
    Ok(RowsFound { rows: found, next: Some(end).filter(|end| *end < range.until) })
}

/// The statements of [`read_rows`]. The sign keeps SQLite from an index of the configuration, which is not in the order of the
/// numbers.
const SELECT_TOMBSTONES: &str = "SELECT tombstone AS number, configuration, type, id, deleted_at, body FROM tombstones
         WHERE tombstone > ?1 AND tombstone <= ?2 AND +configuration IN (SELECT value FROM json_each(?3)) ORDER BY tombstone";
const SELECT_HELD_DOCUMENTS: &str =
    "SELECT rowid AS number, configuration, type, id, NULL AS deleted_at, body FROM held_resources
         WHERE rowid > ?1 AND rowid <= ?2 AND +configuration IN (SELECT value FROM json_each(?3)) ORDER BY rowid";
const SELECT_EVENTS: &str =
    "SELECT seq, configuration, kind, resource_id, payload, created_at, published AS is_published, request_id
         FROM events WHERE seq > ?1 AND seq <= ?2 AND +configuration IN (SELECT value FROM json_each(?3)) ORDER BY seq";
const SELECT_AUDIT_ENTRIES: &str =
    "SELECT entry, at, action, actor_name, configuration_id, subject_id, before, after FROM audit
         WHERE entry > ?1 AND entry <= ?2 AND account = CAST(?3 AS INTEGER) ORDER BY entry";
const SELECT_ATTEMPT_TEXTS: &str = "SELECT attempt, configuration, at, error, response FROM webhook_attempts
         WHERE attempt > ?1 AND attempt <= ?2 AND +configuration IN (SELECT value FROM json_each(?3))
             AND (error IS NOT NULL OR response IS NOT NULL) ORDER BY attempt";

/// The keys of configurations, as the row functions expect them.
pub fn format_keys(configurations: &[i64]) -> String {
    serde_json::json!(configurations).to_string()
}

/// Returns the keys of all configurations of an account, also of deleted ones, and their ids, in order.
pub fn list_configurations(at: &Snapshot<'_>, account: i64) -> Result<Vec<(i64, String)>> {
    at.list_rows(
        "SELECT configuration, id FROM configurations WHERE account = ?1 ORDER BY configuration",
        [account],
        |row| row.try_into(),
    )
}

/// A user in a table, of any state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedUser {
    /// Key of the configuration.
    pub configuration: i64,
    /// Public id.
    pub id: String,
    /// Its document; none if the state has none.
    pub body: Option<String>,
}

fn read_matched_user(row: &Row<'_>) -> rusqlite::Result<MatchedUser> {
    read_columns!(row, MatchedUser { configuration, id, body })
}

/// Returns the user with this id: as it is, as it was published before a pause, and as it was deleted.
pub fn find_user_by_id(at: &Snapshot<'_>, id: &str) -> Result<Vec<MatchedUser>> {
    at.list_rows(
        "SELECT configuration, id, body FROM resources WHERE id = ?1 AND type = 'User'
         UNION ALL SELECT configuration, id, body FROM held_resources WHERE id = ?1 AND type = 'User'
         UNION ALL SELECT configuration, id, body FROM tombstones WHERE id = ?1 AND type = 'User'",
        [id],
        read_matched_user,
    )
}

/// Returns the users of a configuration with this address, normalized for comparison, as `userName` or as an e-mail address.
pub fn list_users_by_address(at: &Snapshot<'_>, configuration: i64, address: &str) -> Result<Vec<MatchedUser>> {
    at.list_rows(
        "SELECT configuration, id, body FROM resources WHERE configuration = ?1 AND type = 'User' AND user_name_key = ?2
         UNION ALL SELECT r.configuration, r.id, r.body FROM resource_values v CROSS JOIN resources r ON r.resource = v.resource
             WHERE v.configuration = ?1 AND v.path = 'emails.value' AND v.key = ?2 AND r.type = 'User'",
        params![configuration, address],
        read_matched_user,
    )
}

/// Whether the user with this id exists.
pub fn has_user(at: &Snapshot<'_>, id: &str) -> Result<bool> {
    Ok(at.prepare("SELECT 1 FROM resources WHERE id = ?1")?.exists([id])?)
}

/// A document with personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// Number of the row.
    pub number: i64,
    /// Key of the configuration.
    pub configuration: i64,
    /// Resource type name.
    pub resource_type: String,
    /// Public id of the resource.
    pub id: String,
    /// Time of the deletion, of a tombstone.
    pub deleted_at: Option<Millis>,
    /// The JSON text.
    pub body: Option<String>,
}

fn read_document(row: &Row<'_>) -> rusqlite::Result<(StoredDocument, usize)> {
    let document: rusqlite::Result<StoredDocument> =
        read_columns!(row, StoredDocument { number, configuration, resource_type: "type", id, deleted_at, body });
    let document = document?;
    let length = document.body.as_ref().map_or(0, String::len);
    Ok((document, length))
}

/// Returns tombstones of configurations.
pub fn list_tombstones(at: &Snapshot<'_>, keys: &str, range: NumberRange) -> Result<RowsFound<StoredDocument>> {
    read_rows(at, ("tombstones", "tombstone"), (SELECT_TOMBSTONES, keys), range, read_document)
}

/// Returns the ids of the groups that a deleted resource was a member of.
pub fn list_tombstone_groups(at: &Snapshot<'_>, tombstone: i64) -> Result<Vec<String>> {
    let slices: Vec<Vec<u8>> = at.list_values(
        "SELECT ids FROM tombstone_members WHERE tombstone = ?1 AND role = 'group' ORDER BY slice",
        [tombstone],
    )?;
    Ok(slices.iter().flat_map(|ids| super::tombstones::decode_ids(ids)).collect())
}

/// Replaces the document of a tombstone.
pub fn set_tombstone_body(tx: &Tx<'_>, tombstone: i64, body: &str) -> Result<()> {
    tx.run("UPDATE tombstones SET body = ?2 WHERE tombstone = ?1", params![tombstone, body])
}

/// Returns the document of a tombstone.
pub fn find_tombstone_body(at: &Snapshot<'_>, tombstone: i64) -> Result<Option<(String, String)>> {
    at.find_row("SELECT id, body FROM tombstones WHERE tombstone = ?1", [tombstone], |row| row.try_into())
}

/// Returns states of configurations that were published before a pause.
pub fn list_held_documents(at: &Snapshot<'_>, keys: &str, range: NumberRange) -> Result<RowsFound<StoredDocument>> {
    read_rows(at, ("held_resources", "rowid"), (SELECT_HELD_DOCUMENTS, keys), range, read_document)
}

/// Returns the id and the document of a held state.
pub fn find_held_document(at: &Snapshot<'_>, number: i64) -> Result<Option<(String, Option<String>)>> {
    at.find_row("SELECT id, body FROM held_resources WHERE rowid = ?1", [number], |row| row.try_into())
}

/// Replaces the document of a held state.
pub fn set_held_body(tx: &Tx<'_>, number: i64, body: &str) -> Result<()> {
    tx.run("UPDATE held_resources SET body = ?2 WHERE rowid = ?1", params![number, body])
}

/// Replaces the document and the names of the held state of a user.
pub fn erase_held_user(tx: &Tx<'_>, (number, id): (i64, &str), (body, name): (&str, &str)) -> Result<()> {
    // By the addresses in the document, so before it is replaced.
    held_changes::delete_held_emails(tx, id)?;
    tx.run(
        "UPDATE held_resources SET body = ?2, user_name_key = ?3, external_id = NULL, label = NULL, display_name_key = NULL
         WHERE rowid = ?1 AND body IS NOT NULL",
        params![number, body, name],
    )
}

/// Returns the greatest row number of a table, 0 for an empty one.
pub fn find_last_number(at: &Snapshot<'_>, table: NumberedTable) -> Result<i64> {
    let (name, number) = table.names();
    Ok(at.read_value::<Option<i64>>(&format!("SELECT max({number}) FROM {name}"), [])?.unwrap_or(0))
}

/// A table whose rows are read by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberedTable {
    /// `tombstones`
    Tombstones,
    /// `held_resources`
    HeldResources,
    /// `events`
    Events,
    /// `audit`
    Audit,
    /// `webhook_attempts`
    WebhookAttempts,
}

impl NumberedTable {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Tombstones => ("tombstones", "tombstone"),
            Self::HeldResources => ("held_resources", "rowid"),
            Self::Events => ("events", "seq"),
            Self::Audit => ("audit", "entry"),
            Self::WebhookAttempts => ("webhook_attempts", "attempt"),
        }
    }
}

/// An event with its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number.
    pub seq: i64,
    /// Key of the configuration.
    pub configuration: i64,
    /// Its kind.
    pub kind: String,
    /// Id of the resource.
    pub resource_id: Option<String>,
    /// Payload.
    pub payload: String,
    /// Time of the change.
    pub created_at: Millis,
    /// Whether the feed has it.
    pub is_published: bool,
    /// Id of the request that made the change.
    pub request_id: Option<String>,
}

/// Returns events of configurations.
pub fn list_events(at: &Snapshot<'_>, keys: &str, range: NumberRange) -> Result<RowsFound<StoredEvent>> {
    read_rows(at, ("events", "seq"), (SELECT_EVENTS, keys), range, |row| {
        let event: rusqlite::Result<StoredEvent> = read_columns!(
            row,
            StoredEvent { seq, configuration, kind, resource_id, payload, created_at, is_published, request_id }
        );
        let event = event?;
        let length = event.payload.len();
        Ok((event, length))
    })
}

/// Returns the payloads of at most `limit` events of a user after an event, oldest first.
pub fn list_user_payloads(at: &Snapshot<'_>, id: &str, after: i64, limit: usize) -> Result<Vec<(i64, i64, String)>> {
    at.list_rows(
        "SELECT seq, configuration, payload FROM events WHERE resource_id = ?1 AND seq > ?2 AND kind LIKE 'user.%'
         ORDER BY seq LIMIT ?3",
        params![id, after, to_sql_limit(limit)],
        |row| row.try_into(),
    )
}

/// Replaces the payload of an event, unless it has changed. Returns whether it was replaced.
pub fn set_payload(tx: &Tx<'_>, seq: i64, (before, after): (&str, &str)) -> Result<bool> {
    let changed =
        tx.execute("UPDATE events SET payload = ?3 WHERE seq = ?1 AND payload = ?2", params![seq, before, after])?;
    Ok(changed > 0)
}

/// Returns logged calls of a configuration with ids after `after`, oldest first, and the id after which the next page begins.
pub fn list_calls(
    at: &Snapshot<'_>,
    configuration: i64,
    after: &str,
    (rows, bytes): (i64, usize),
) -> Result<(Vec<LoggedCall>, Option<String>)> {
    let mut statement =
        at.prepare("SELECT * FROM requests WHERE configuration = ?1 AND id > ?2 ORDER BY id LIMIT ?3")?;
    let mut found = statement.query(params![configuration, after, rows])?;
    let (mut calls, mut sum, mut count) = (Vec::new(), 0, 0);
    while let Some(row) = found.next()? {
        let call = read_request_with_bodies(row)?;
        sum += [&call.request.text, &call.response.text].into_iter().flatten().map(String::len).sum::<usize>();
        calls.push(call);
        count += 1;
        if sum > bytes {
            break;
        }
    }
    let next = calls.last().map(|last: &LoggedCall| last.id.clone()).filter(|_| count >= rows || sum > bytes);
    Ok((calls, next))
}

/// Replaces the texts of a logged call: path, detail, notes and bodies.
pub fn set_call_texts(tx: &Tx<'_>, configuration: i64, call: &LoggedCall) -> Result<()> {
    let measure = || -> Result<Option<i64>> {
        tx.find_value(
            &format!("SELECT {LOGGED_ROW_BYTES} FROM requests WHERE configuration = ?1 AND id = ?2"),
            params![configuration, call.id],
        )
    };
    // It can have been removed meanwhile.
    let Some(before) = measure()? else { return Ok(()) };
    tx.run(
        "UPDATE requests SET path = :path, detail = :detail, notes = :notes, request_body = NULL, response_body = NULL,
             bodies = :bodies
         WHERE configuration = :configuration AND id = :id",
        named_params! {
            ":configuration": configuration,
            ":id": call.id,
            ":path": call.path,
            ":detail": call.detail,
            ":notes": serde_json::to_string(&call.notes).unwrap_or_default(),
            ":bodies": pack_bodies(call.request.text.as_deref(), call.response.text.as_deref()),
        },
    )?;
    usage::add_request_log_bytes(tx, configuration, measure()?.unwrap_or(before) - before)
}

/// An audit entry with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAuditEntry {
    /// Its number.
    pub entry: i64,
    /// Time of the change.
    pub at: Millis,
    /// The action.
    pub action: String,
    /// Name of the actor.
    pub actor_name: String,
    /// Id of the configuration.
    pub configuration_id: Option<String>,
    /// Id of the changed object.
    pub subject_id: Option<String>,
    /// State before the change: JSON.
    pub before: Option<String>,
    /// State after the change: JSON.
    pub after: Option<String>,
}

fn read_audit_entry(row: &Row<'_>) -> rusqlite::Result<(StoredAuditEntry, usize)> {
    let entry: rusqlite::Result<StoredAuditEntry> = read_columns!(
        row,
        StoredAuditEntry { entry, at, action, actor_name, configuration_id, subject_id, before, after }
    );
    let entry = entry?;
    let length = [&entry.before, &entry.after].into_iter().flatten().map(String::len).sum();
    Ok((entry, length))
}

/// Returns audit entries of an account, whose key is `account` as text.
pub fn list_audit_entries(at: &Snapshot<'_>, account: i64, range: NumberRange) -> Result<RowsFound<StoredAuditEntry>> {
    read_rows(at, ("audit", "entry"), (SELECT_AUDIT_ENTRIES, &account.to_string()), range, read_audit_entry)
}

/// Replaces the values of an audit entry.
pub fn set_audit_values(tx: &Tx<'_>, entry: i64, before: Option<&str>, after: Option<&str>) -> Result<()> {
    tx.run("UPDATE audit SET before = ?2, after = ?3 WHERE entry = ?1", params![entry, before, after])
}

/// Returns the values of an audit entry.
pub fn find_audit_entry(at: &Snapshot<'_>, entry: i64) -> Result<Option<StoredAuditEntry>> {
    let sql =
        "SELECT entry, at, action, actor_name, configuration_id, subject_id, before, after FROM audit WHERE entry = ?1";
    Ok(at.find_row(sql, [entry], read_audit_entry)?.map(|(entry, _)| entry))
}

/// Texts of an attempt to send events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptTexts {
    /// Number of the attempt.
    pub attempt: i64,
    /// Key of the configuration.
    pub configuration: i64,
    /// Time of the attempt.
    pub at: Millis,
    /// Why there is no response.
    pub error: Option<String>,
    /// Start of the body of the response.
    pub response: Option<String>,
}

/// Returns the texts of attempts for configurations.
pub fn list_attempt_texts(at: &Snapshot<'_>, keys: &str, range: NumberRange) -> Result<RowsFound<AttemptTexts>> {
    read_rows(at, ("webhook_attempts", "attempt"), (SELECT_ATTEMPT_TEXTS, keys), range, |row| {
        let texts: rusqlite::Result<AttemptTexts> =
            read_columns!(row, AttemptTexts { attempt, configuration, at, error, response });
        let texts = texts?;
        let length = [&texts.error, &texts.response].into_iter().flatten().map(String::len).sum();
        Ok((texts, length))
    })
}

/// Removes the texts of an attempt.
pub fn clear_attempt_texts(tx: &Tx<'_>, attempt: i64) -> Result<()> {
    tx.run("UPDATE webhook_attempts SET response = NULL, error = NULL WHERE attempt = ?1", [attempt])
}

/// Returns the last errors of the lanes of a configuration: key of the webhook, and the text.
pub fn list_lane_errors(at: &Snapshot<'_>, keys: &str) -> Result<Vec<(i64, i64, String)>> {
    at.list_rows(
        "SELECT webhook, configuration, last_error FROM webhook_lanes
         WHERE last_error IS NOT NULL AND configuration IN (SELECT value FROM json_each(?1))",
        [keys],
        |row| row.try_into(),
    )
}

/// Replaces the last error of a lane.
pub fn set_lane_error(tx: &Tx<'_>, (webhook, configuration): (i64, i64), text: &str) -> Result<()> {
    tx.run(
        "UPDATE webhook_lanes SET last_error = ?3 WHERE webhook = ?1 AND configuration = ?2",
        params![webhook, configuration, text],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_database() -> rusqlite::Connection {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        connection
    }

    #[test]
    fn a_range_ends_after_its_rows_or_its_bytes() {
        let connection = open_database();
        for number in 1..=10 {
            let text = "x".repeat(100);
            connection
                .execute(
                    "INSERT INTO events (seq, account_id, configuration, kind, payload, created_at)
                     VALUES (?1, 'a', ?1 / 10 % 2, 'user.created', ?2, 0)",
                    params![number * 10, text],
                )
                .unwrap();
        }
        let at = Snapshot::new(&connection);
        let list = |after: i64, rows: i64, bytes: usize| {
            let found = list_events(&at, "[0]", NumberRange { after, until: 90, rows, bytes }).unwrap();
            (found.rows.into_iter().map(|event| event.seq).collect::<Vec<_>>(), found.next)
        };
        assert_eq!(list(0, 4, 1_000), (vec![20, 40], Some(40)));
        assert_eq!(list(40, 100, 1_000), (vec![60, 80], None));
        assert_eq!(list(0, 100, 150), (vec![20, 40], Some(40)));
        assert_eq!(list(90, 100, 150), (vec![], None));
    }

    #[test]
    fn ranges_are_read_in_the_order_of_the_table() {
        let connection = open_database();
        let all = [SELECT_TOMBSTONES, SELECT_HELD_DOCUMENTS, SELECT_EVENTS, SELECT_AUDIT_ENTRIES, SELECT_ATTEMPT_TEXTS];
        for sql in all {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = statement.query_map(params![1, 2, "[1]"], |row| row.get(3)).unwrap();
            let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
            assert!(steps[0].contains("INTEGER PRIMARY KEY (rowid>? AND rowid<?)"), "{sql}: {steps:?}");
            assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER")), "{sql}: {steps:?}");
        }
    }
}
