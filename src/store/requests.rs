//! Rows of `requests`: the request log of each configuration. Passwords and tokens are gone before a call comes here.

use rusqlite::{OptionalExtension, Row, named_params};

use super::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::request::{Health, LoggedBody, LoggedCall};

/// Rows that one page looks at; a filter that finds little is carried on from there.
const LOOKED_AT_MAX: u32 = 10_000;
/// The same where a text is looked for in what was sent: those rows are read whole.
const READ_WHOLE_MAX: u32 = 4_000;

/// Which rows to list.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only rows with a smaller id than this.
    pub before: Option<String>,
    /// Only rows with this id or a greater one.
    pub from: Option<String>,
    /// Smallest status.
    pub status_min: Option<u16>,
    /// Largest status.
    pub status_max: Option<u16>,
    /// Only failed calls, or only the others.
    pub failed: Option<bool>,
    /// Only this method.
    pub method: Option<String>,
    /// Only calls on the resource with this id.
    pub resource: Option<String>,
    /// Only rows that hold this text, in any letter case of ASCII.
    pub text: Option<String>,
    /// Whether the text is looked for in what may hold personal data: path, detail, notes and what was sent. Ids are looked at always.
    pub text_everywhere: bool,
}

impl Wanted {
    /// Whether rows may be passed over. Those of one resource, and the failed ones, are found by an index of their own.
    fn filters(&self) -> bool {
        let Self { status_min, status_max, failed, method, text, .. } = self;
        let by_status = status_min.is_some() || status_max.is_some() || *failed == Some(false);
        by_status || method.is_some() || text.is_some()
    }
}

/// A page of the log.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Newest first; without bodies.
    pub calls: Vec<LoggedCall>,
    /// Where to go on: the id to begin before.
    pub next: Option<String>,
}

/// Adds a row.
pub fn insert(tx: &Tx<'_>, configuration: i64, call: &LoggedCall) -> Result<()> {
    let notes = serde_json::to_string(&call.notes).unwrap_or_default();
    tx.prepare(
        "INSERT INTO requests (configuration, id, at, duration_us, method, path, status, failed, scim_type, detail,
                refusal, token_hint, token_id, resource_type, resource_id, notes, missed,
                request_bytes, response_bytes, request_body, response_body, address)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
    )?
    .execute(rusqlite::params![
        configuration,
        call.id,
        call.at,
        call.duration_us,
        call.method,
        call.path,
        call.status,
        call.failed,
        call.scim_type,
        call.detail,
        call.refusal,
        call.token_hint,
        call.token_id,
        call.resource_type,
        call.resource_id,
        notes,
        call.missed,
        length(&call.request),
        length(&call.response),
        call.request.text,
        call.response.text,
        call.address,
    ])?;
    Ok(())
}

fn length(body: &LoggedBody) -> Option<i64> {
    body.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// A page of at most `limit` rows, newest first. Where the filter finds little, it may have fewer and still a next one.
pub fn page(at: &Snapshot<'_>, configuration: i64, wanted: &Wanted, limit: u32) -> Result<Page> {
    let end = end_of_look(at, configuration, wanted)?;
    let from = [end.as_deref(), wanted.from.as_deref()].into_iter().flatten().max().unwrap_or_default();
    let mut statement = at.prepare(&page_sql(wanted))?;
    let parameters = named_params! {
        ":configuration": configuration,
        ":from": from,
        ":before": wanted.before,
        ":status_min": wanted.status_min,
        ":status_max": wanted.status_max,
        ":failed": wanted.failed,
        ":method": wanted.method,
        ":resource": wanted.resource,
        ":text": wanted.text,
        ":everywhere": wanted.text_everywhere,
        ":limit": i64::from(limit) + 1,
    };
    let found = statement.query_map(parameters, call)?;
    let mut calls: Vec<LoggedCall> = found.collect::<rusqlite::Result<_>>()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = calls.len() > limit;
    calls.truncate(limit);
    let end = end.filter(|end| wanted.from.as_ref().is_none_or(|from| end > from));
    let next = if more { calls.last().map(|last| last.id.clone()) } else { end };
    Ok(Page { calls, next })
}

/// The statement of a page: what is found by an index says so in so many words. Behind every id stands `~`: a page begins
/// where it is told to, and passes over nothing that is newer.
fn page_sql(wanted: &Wanted) -> String {
    let resource = if wanted.resource.is_some() { "resource_id = :resource" } else { ":resource IS NULL" };
    let failed = match wanted.failed {
        Some(true) => "failed = 1 AND :failed = 1",
        Some(false) => "failed = :failed",
        None => ":failed IS NULL",
    };
    format!(
        "SELECT id, at, duration_us, method, path, status, failed, scim_type, detail, refusal, token_hint, token_id,
                resource_type, resource_id, notes, missed, request_bytes, response_bytes,
                address
         FROM requests
         WHERE configuration = :configuration AND id >= :from AND id < ifnull(:before, '~')
           AND (:status_min IS NULL OR status >= :status_min) AND (:status_max IS NULL OR status <= :status_max)
           AND {failed} AND (:method IS NULL OR method = :method) AND {resource}
           AND (:text IS NULL OR instr(lower(id || ' ' || coalesce(token_id, '') || ' ' || coalesce(resource_id, '')),
                                       lower(:text))
                OR :everywhere AND (instr(lower(path || ' ' || coalesce(detail, '') || ' ' || notes), lower(:text))
                                  OR instr(lower(request_body), lower(:text))))
         ORDER BY id DESC LIMIT :limit"
    )
}

/// Calls among the last `looked_at` of a configuration that hold one of two texts in path, detail or what was sent, in any
/// letter case of ASCII; newest first, at most `limit`, with their bodies.
pub fn mentioning(
    at: &Snapshot<'_>,
    configuration: i64,
    texts: [&str; 2],
    looked_at: u32,
    limit: u32,
) -> Result<Vec<LoggedCall>> {
    let mut statement = at.prepare(
        "SELECT * FROM (SELECT * FROM requests WHERE configuration = ?1 ORDER BY id DESC LIMIT ?4)
         WHERE instr(lower(path || ' ' || coalesce(detail, '') || ' ' || coalesce(request_body, '')), lower(?2))
            OR instr(lower(path), lower(?3))
         ORDER BY id DESC LIMIT ?5",
    )?;
    let [plain, encoded] = texts;
    let found = statement.query_map((configuration, plain, encoded, looked_at, limit), whole)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// A row with its bodies.
fn whole(row: &Row<'_>) -> rusqlite::Result<LoggedCall> {
    let mut call = call(row)?;
    call.request.text = row.get("request_body")?;
    call.response.text = row.get("response_body")?;
    Ok(call)
}

/// The id at which the look for one page ends; none where the log ends first.
fn end_of_look(at: &Snapshot<'_>, configuration: i64, wanted: &Wanted) -> Result<Option<String>> {
    if !wanted.filters() {
        return Ok(None);
    }
    let reads_whole = wanted.text.is_some() && wanted.text_everywhere;
    let looked_at = if reads_whole { READ_WHOLE_MAX } else { LOOKED_AT_MAX };
    let mut statement = at.prepare(
        "SELECT id FROM requests WHERE configuration = ?1 AND id < ifnull(?2, '~')
         ORDER BY id DESC LIMIT 1 OFFSET ?3",
    )?;
    let parameters = (configuration, wanted.before.as_deref(), looked_at - 1);
    Ok(statement.query_row(parameters, |row| row.get(0)).optional()?)
}

/// The call with that id, with its bodies.
pub fn by_id(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<Option<LoggedCall>> {
    let mut statement = at.prepare(
        "SELECT id, at, duration_us, method, path, status, failed, scim_type, detail, refusal, token_hint, token_id,
                resource_type, resource_id, notes, missed, request_bytes, response_bytes, address, request_body, response_body
         FROM requests WHERE configuration = ?1 AND id = ?2",
    )?;
    Ok(statement.query_row((configuration, id), whole).optional()?)
}

fn call(row: &Row<'_>) -> rusqlite::Result<LoggedCall> {
    let notes: String = row.get("notes")?;
    let body = |name: &str| -> rusqlite::Result<LoggedBody> {
        let bytes: Option<i64> = row.get(name)?;
        Ok(LoggedBody { bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()), text: None })
    };
    Ok(LoggedCall {
        id: row.get("id")?,
        at: row.get("at")?,
        duration_us: row.get("duration_us")?,
        address: row.get("address")?,
        method: row.get("method")?,
        path: row.get("path")?,
        status: row.get("status")?,
        failed: row.get("failed")?,
        scim_type: row.get("scim_type")?,
        detail: row.get("detail")?,
        refusal: row.get("refusal")?,
        token_hint: row.get("token_hint")?,
        token_id: row.get("token_id")?,
        resource_type: row.get("resource_type")?,
        resource_id: row.get("resource_id")?,
        notes: serde_json::from_str(&notes).unwrap_or_default(),
        missed: row.get("missed")?,
        request: body("request_bytes")?,
        response: body("response_bytes")?,
    })
}

/// Removes at most `limit` rows, those with an id below `before` or all. Says how many went. Run it again until none go.
pub fn remove(tx: &Tx<'_>, configuration: i64, before: Option<&str>, limit: u32) -> Result<usize> {
    let mut statement = tx.prepare(
        "DELETE FROM requests WHERE request IN (
             SELECT request FROM requests WHERE configuration = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id LIMIT ?3)",
    )?;
    Ok(statement.execute((configuration, before, limit))?)
}

/// The same, and what they leave in the file is overwritten.
pub fn remove_for_good(tx: &Tx<'_>, configuration: i64, before: Option<&str>, limit: u32) -> Result<usize> {
    tx.connection().pragma_update(None, "secure_delete", true)?;
    let removed = remove(tx, configuration, before, limit);
    tx.connection().pragma_update(None, "secure_delete", false)?;
    removed
}

/// The id of the row that has exactly `count` newer ones.
pub fn id_behind(at: &Snapshot<'_>, configuration: i64, count: u32) -> Result<Option<String>> {
    let mut statement =
        at.prepare("SELECT id FROM requests WHERE configuration = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2")?;
    Ok(statement.query_row((configuration, count), |row| row.get(0)).optional()?)
}

/// Id of the oldest row.
pub fn oldest(at: &Snapshot<'_>, configuration: i64) -> Result<Option<String>> {
    let mut statement = at.prepare("SELECT id FROM requests WHERE configuration = ?1 ORDER BY id LIMIT 1")?;
    Ok(statement.query_row([configuration], |row| row.get(0)).optional()?)
}

/// Says that all rows of a configuration have to go, or that they are gone.
pub fn set_forgotten(tx: &Tx<'_>, configuration: i64, forgets: bool) -> Result<()> {
    tx.prepare("UPDATE configurations SET forgets_requests = ?2 WHERE configuration = ?1")?
        .execute((configuration, forgets))?;
    Ok(())
}

/// Whether all rows of a configuration have to go.
pub fn is_forgotten(at: &Snapshot<'_>, configuration: i64) -> Result<bool> {
    let mut statement = at.prepare("SELECT forgets_requests FROM configurations WHERE configuration = ?1")?;
    Ok(statement.query_row([configuration], |row| row.get(0)).optional()?.unwrap_or_default())
}

/// How many rows there are.
pub fn count(at: &Snapshot<'_>, configuration: i64) -> Result<u64> {
    let mut statement = at.prepare("SELECT count(*) FROM requests WHERE configuration = ?1")?;
    let found: i64 = statement.query_row([configuration], |row| row.get(0))?;
    Ok(found.unsigned_abs())
}

/// The configurations that have a log, by key.
pub fn configurations(at: &Snapshot<'_>) -> Result<Vec<i64>> {
    // A walk from one configuration to the next, because the log is much longer than their list.
    let mut statement = at.prepare(
        "WITH RECURSIVE of (configuration) AS (
             SELECT min(configuration) FROM requests
             UNION ALL
             SELECT (SELECT min(configuration) FROM requests WHERE configuration > of.configuration)
             FROM of WHERE of.configuration IS NOT NULL)
         SELECT configuration FROM of WHERE configuration IS NOT NULL",
    )?;
    let found = statement.query_map([], |row| row.get(0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// How the last calls of a configuration went; none where it is deleted or unknown.
pub fn health(at: &Snapshot<'_>, configuration: i64) -> Result<Option<Health>> {
    let mut statement = at.prepare(
        "SELECT failures, auth_failures, recent_calls, last_failure FROM configurations
         WHERE configuration = ?1 AND deleted_at IS NULL",
    )?;
    let found = statement.query_row([configuration], |row| {
        Ok(Health { failures: row.get(0)?, auth_failures: row.get(1)?, recent: row.get(2)?, last_failure: row.get(3)? })
    });
    Ok(found.optional()?)
}

/// Keeps how the last calls went.
pub fn set_health(tx: &Tx<'_>, configuration: i64, health: &Health) -> Result<()> {
    let mut statement = tx.prepare(
        "UPDATE configurations SET failures = ?2, auth_failures = ?3, recent_calls = ?4, last_failure = ?5
         WHERE configuration = ?1",
    )?;
    let Health { failures, auth_failures, recent, last_failure } = health;
    statement.execute((configuration, failures, auth_failures, recent, last_failure))?;
    Ok(())
}

/// Key of the configuration with that id, unless it is deleted.
pub fn configuration(at: &Snapshot<'_>, id: &str) -> Result<Option<i64>> {
    let mut statement = at.prepare("SELECT configuration FROM configurations WHERE id = ?1 AND deleted_at IS NULL")?;
    statement.query_row([id], |row| row.get(0)).optional().map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_calls_and_those_of_one_resource_are_found_by_an_index() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../schema.sql")).unwrap();
        for (wanted, index) in [
            (Wanted::default(), "requests_by_configuration"),
            (Wanted { failed: Some(true), ..Wanted::default() }, "requests_failed"),
            (Wanted { resource: Some("x".to_owned()), ..Wanted::default() }, "requests_by_resource"),
        ] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", page_sql(&wanted))).unwrap();
            let steps = statement.raw_query().mapped(|row| row.get(3));
            let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
            assert!(steps.len() == 1 && steps[0].contains(index), "{wanted:?}: {steps:?}");
            assert!(steps[0].contains("id>? AND id<?"), "{wanted:?} walks over newer calls: {steps:?}");
        }
    }
}
