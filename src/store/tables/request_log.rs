//! Rows of `requests`: the request log of each configuration. The caller masks passwords and tokens first.

mod all_requests;
mod text_search;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Row, named_params};

use super::rows::read_columns;
use super::usage;
use crate::error::{Reason, Result};
use crate::messages::template_of_note;
use crate::model::logged_bodies::{BodyTexts, pack_bodies, unpack_bodies};
use crate::model::request::{CallHealth, FailureCause, LoggedBody, LoggedCall};
use crate::scim::dialect::NoteCode;
use crate::store::engine::sqlite_errors::undecodable_column;
use crate::store::{Snapshot, Tx};

pub use self::all_requests::{AllCallsPage, AllCallsQuery, list_all_requests};
pub use self::text_search::{search_failed_requests, search_requests};

/// Maximum rows that an export scans. If a filter matches few rows, the next page continues from there.
const SCANNED_ROWS_MAX: u32 = 10_000;
/// The same limit for a text search in the bodies, which reads complete rows.
const SCANNED_BODIES_MAX: u32 = 4_000;
/// Largest page for which less is scanned, so that it is there within 50 ms, and the limits for it.
const SHORT_PAGE_ROWS: u32 = 100;
const SCANNED_ROWS_OF_SHORT_PAGE: u32 = 4_096;
const SCANNED_BODIES_OF_SHORT_PAGE: u32 = 1_536;
/// Rows that are scanned in one statement, after which a scan can give up its snapshot.
const SCANNED_ROWS_PER_STEP: u32 = 2_048;
/// The same for rows whose bodies are unpacked.
const SCANNED_BODIES_PER_STEP: u32 = 128;

/// Selects the rows to list.
#[derive(Debug, Clone, Default)]
pub struct RequestLogQuery {
    /// Only rows with a smaller id than this.
    pub before: Option<String>,
    /// Only rows with this id or a greater one.
    pub from: Option<String>,
    /// Smallest status.
    pub status_min: Option<u16>,
    /// Largest status.
    pub status_max: Option<u16>,
    /// Only failed calls, or only successful ones.
    pub failed: Option<bool>,
    /// Only failed calls with this cause: a code of a token refusal or of a reason.
    pub cause: Option<String>,
    /// Only calls that read, or only calls that can change something. A search by POST reads.
    pub reads: Option<bool>,
    /// Only this method.
    pub method: Option<String>,
    /// Only calls on the resource with this id.
    pub resource: Option<String>,
    /// Only rows that contain this text, ignoring ASCII case.
    pub text: Option<String>,
    /// Whether the text is also searched in the fields that may contain personal data: path, detail, notes and request
    /// body. Ids are always searched.
    pub search_content: bool,
}

impl RequestLogQuery {
    /// Whether the scan may skip rows. The rows of one resource, and the failed calls, are found by an index of their
    /// own.
    fn skips_rows(&self) -> bool {
        let Self { status_min, status_max, failed, method, text, cause, reads, .. } = self;
        let by_status = status_min.is_some() || status_max.is_some() || *failed == Some(false);
        by_status || method.is_some() || text.is_some() || cause.is_some() || reads.is_some()
    }
}

/// A page of the request log.
#[derive(Debug, Clone, Default)]
pub struct RequestLogPage {
    /// The calls, newest first, without bodies.
    pub calls: Vec<LoggedCall>,
    /// Where the next page starts: its rows have smaller ids than this. `None` on the last page.
    pub next: Option<String>,
}

/// Bytes that are counted for the other columns of a row and the indexes.
const ROW_BASE_BYTES: i64 = 400;
/// The bytes of a row: its texts, and [`ROW_BASE_BYTES`]. [`insert_request`], `integrity` and step 6 of the upgrade have the
/// same rule.
pub(super) const LOGGED_ROW_BYTES: &str =
    "400 + octet_length(path) + octet_length(notes) + ifnull(octet_length(detail), 0)
     + ifnull(octet_length(request_body), 0) + ifnull(octet_length(response_body), 0)
     + ifnull(octet_length(bodies), 0)";

/// Removes all rows from a copy of the database.
pub(crate) fn empty_log(copy: &Connection) -> rusqlite::Result<()> {
    copy.execute_batch("DELETE FROM requests; UPDATE configuration_usage SET request_log_bytes = 0;")
}

/// Adds the function that returns the request of compressed bodies.
pub(crate) fn register_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("logged_request", 1, flags, |context| {
        let packed = context.get_raw(0).as_blob_or_null().unwrap_or_default();
        Ok(packed.and_then(unpack_bodies).and_then(|texts| texts.request))
    })
}

/// Inserts a logged call. Returns its bytes, which the caller adds to the counter of the configuration. They are computed
/// here: RETURNING would need a temporary table and a statement journal for each call.
pub fn insert_request(tx: &Tx<'_>, configuration: i64, call: &LoggedCall) -> Result<i64> {
    let notes = serde_json::to_string(&call.notes).unwrap_or_default();
    // The server has compressed them already, outside of the transaction.
    let packed = pack_bodies(call.request.text.as_deref(), call.response.text.as_deref());
    let bodies = call.packed_bodies.as_ref().or(packed.as_ref());
    tx.run(
        "INSERT INTO requests (configuration, id, at, duration_us, method, path, status, failed, scim_type, detail,
                refusal, token_hint, token_id, resource_type, resource_id, notes, missed,
                request_bytes, response_bytes, address, reason, reason_field, bodies, replay_of, replayed_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
                 ?23, ?24, ?25)",
        rusqlite::params![
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
            get_body_length(&call.request),
            get_body_length(&call.response),
            call.address,
            call.reason.map(Reason::code),
            call.reason_field,
            bodies,
            call.replay_of,
            call.replayed_by,
        ],
    )?;
    let lengths =
        [call.path.len(), notes.len(), call.detail.as_ref().map_or(0, String::len), bodies.map_or(0, Vec::len)];
    Ok(ROW_BASE_BYTES + lengths.into_iter().map(|length| i64::try_from(length).unwrap_or(i64::MAX)).sum::<i64>())
}

fn get_body_length(body: &LoggedBody) -> Option<i64> {
    body.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// Limits of a page of the request log.
#[derive(Debug, Clone, Copy)]
pub struct RequestLogLimit {
    /// Most rows.
    pub count: u32,
    /// Most bytes of their paths and details. The first row is always included.
    pub bytes: usize,
}

/// Bytes of a row without its path and details, approximately.
const CALL_BYTES: usize = 500;

/// Returns a page up to the limit, newest first. If the filter matches few rows, or the rows are large, a page can have fewer
/// rows and still be followed by another.
///
/// A scan that skips rows reads them in steps, between which it gives up a snapshot that is older than 100 ms. A step needs
/// less than that: 2,048 rows, or 128 rows whose bodies of at most 64 KiB are unpacked and searched.
pub fn list_requests(
    at: &Snapshot<'_>,
    configuration: i64,
    query: &RequestLogQuery,
    limit: RequestLogLimit,
) -> Result<RequestLogPage> {
    let mut page = PageRows::new(limit);
    let reads_bodies = query.text.is_some() && query.search_content;
    let is_short = limit.count <= SHORT_PAGE_ROWS;
    let (scanned_max, step) = match (query.skips_rows(), reads_bodies) {
        (false, _) => return page.read_range(at, configuration, query, None).map(|()| page.finish(None)),
        (true, false) if is_short => (SCANNED_ROWS_OF_SHORT_PAGE, SCANNED_ROWS_PER_STEP),
        (true, false) => (SCANNED_ROWS_MAX, SCANNED_ROWS_PER_STEP),
        (true, true) if is_short => (SCANNED_BODIES_OF_SHORT_PAGE, SCANNED_BODIES_PER_STEP),
        (true, true) => (SCANNED_BODIES_MAX, SCANNED_BODIES_PER_STEP),
    };
    let (mut query, mut scanned) = (query.clone(), 0);
    loop {
        let rows = step.min(scanned_max - scanned);
        let end = find_scan_end(at, configuration, query.before.as_deref(), rows)?;
        page.read_range(at, configuration, &query, end.as_deref())?;
        scanned += rows;
        let end = end.filter(|end| query.from.as_ref().is_none_or(|from| end > from));
        if page.has_more || end.is_none() || scanned >= scanned_max {
            return Ok(page.finish(end));
        }
        query.before = end;
        at.renew_if_due()?;
    }
}

/// The rows of a page while they are read.
struct PageRows {
    limit: RequestLogLimit,
    calls: Vec<LoggedCall>,
    bytes: usize,
    /// Whether the page is full, and a further row matches.
    has_more: bool,
}

impl PageRows {
    fn new(limit: RequestLogLimit) -> Self {
        Self { limit, calls: Vec::new(), bytes: 0, has_more: false }
    }

    /// Adds the matching rows of the query, from this id on, until the page is full.
    fn read_range(
        &mut self,
        at: &Snapshot<'_>,
        configuration: i64,
        query: &RequestLogQuery,
        end: Option<&str>,
    ) -> Result<()> {
        let most = usize::try_from(self.limit.count).unwrap_or(usize::MAX);
        let from = [end, query.from.as_deref()].into_iter().flatten().max().unwrap_or_default();
        let parameters = named_params! {
            ":configuration": configuration,
            ":from": from,
            ":before": query.before,
            ":status_min": query.status_min,
            ":status_max": query.status_max,
            ":failed": query.failed,
            ":method": query.method,
            ":cause": query.cause,
            ":reads": query.reads,
            ":resource": query.resource,
            ":text": query.text,
            ":everywhere": query.search_content,
            ":limit": i64::try_from(most.saturating_sub(self.calls.len())).unwrap_or(i64::MAX).saturating_add(1),
        };
        let mut statement = at.prepare(&build_page_sql(query))?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            let call = read_request(row)?;
            self.bytes += CALL_BYTES + call.path.len() + call.detail.as_ref().map_or(0, String::len);
            self.has_more = self.calls.len() >= most || (self.bytes > self.limit.bytes && !self.calls.is_empty());
            if self.has_more {
                break;
            }
            self.calls.push(call);
        }
        Ok(())
    }

    /// The page, which is followed by another after its last row or after `end`.
    fn finish(self, end: Option<String>) -> RequestLogPage {
        let next = if self.has_more { self.calls.last().map(|last| last.id.clone()) } else { end };
        RequestLogPage { calls: self.calls, next }
    }
}

/// Builds the statement of a page. The conditions repeat those of the partial indexes, so that SQLite uses them. `~`
/// sorts after every id, so a page without a start is also a range search that does not scan newer rows.
fn build_page_sql(query: &RequestLogQuery) -> String {
    let resource = if query.resource.is_some() { "resource_id = :resource" } else { ":resource IS NULL" };
    let failed = match query.failed {
        Some(true) => "failed = 1 AND :failed = 1",
        Some(false) => "failed = :failed",
        None => ":failed IS NULL",
    };
    // Notes are stored as codes, and a caller searches for the text that is shown.
    let notes = NoteCode::ALL.iter().fold("notes".to_owned(), |sql, code| {
        format!("replace({sql}, '{}', '{}')", code.as_str(), template_of_note(*code))
    });
    format!(
        "SELECT id, at, duration_us, method, path, status, failed, scim_type, detail, refusal, token_hint, token_id,
                resource_type, resource_id, notes, missed, request_bytes, response_bytes,
                address, reason, reason_field, replay_of, replayed_by
         FROM requests
         WHERE configuration = :configuration AND id >= :from AND id < ifnull(:before, '~')
           AND (:status_min IS NULL OR status >= :status_min) AND (:status_max IS NULL OR status <= :status_max)
           AND {failed} AND (:method IS NULL OR method = :method) AND {resource}
           AND (:cause IS NULL OR coalesce(refusal, reason) = :cause)
           AND (:reads IS NULL OR :reads = (method IN ('GET', 'HEAD', 'OPTIONS')
                                            OR method = 'POST' AND instr(path, '/.search') > 0))
           AND (:text IS NULL OR instr(lower(id || ' ' || coalesce(token_id, '') || ' ' || coalesce(resource_id, '')),
                                       lower(:text))
                OR :everywhere AND (instr(lower(path || ' ' || coalesce(detail, '') || ' ' || {notes}), lower(:text))
                                  OR instr(lower(coalesce(request_body, logged_request(bodies))), lower(:text))))
         ORDER BY id DESC LIMIT :limit"
    )
}

/// Reads a row with its bodies.
pub(super) fn read_request_with_bodies(row: &Row<'_>) -> rusqlite::Result<LoggedCall> {
    let mut call = read_request(row)?;
    let packed: Option<Vec<u8>> = row.get("bodies")?;
    let texts = match packed {
        Some(packed) => unpack_bodies(&packed).ok_or_else(|| undecodable_column("bodies", "not compressed bodies"))?,
        None => BodyTexts::default(),
    };
    call.request.text = row.get::<_, Option<String>>("request_body")?.or(texts.request);
    call.response.text = row.get::<_, Option<String>>("response_body")?.or(texts.response);
    Ok(call)
}

/// Returns the id of the last of this number of rows before `before`, or `None` if the log ends first.
fn find_scan_end(at: &Snapshot<'_>, configuration: i64, before: Option<&str>, rows: u32) -> Result<Option<String>> {
    at.find_value(
        "SELECT id FROM requests WHERE configuration = ?1 AND id < ifnull(?2, '~') ORDER BY id DESC LIMIT 1 OFFSET ?3",
        (configuration, before, rows.saturating_sub(1)),
    )
}

/// Returns the call with this id, with its bodies.
pub fn find_request_by_id(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<Option<LoggedCall>> {
    let sql = "SELECT * FROM requests WHERE configuration = ?1 AND id = ?2";
    at.find_row(sql, (configuration, id), read_request_with_bodies)
}

/// Returns the newest call without its bodies.
pub fn find_newest_request(at: &Snapshot<'_>, configuration: i64) -> Result<Option<LoggedCall>> {
    let sql = "SELECT * FROM requests WHERE configuration = ?1 ORDER BY id DESC LIMIT 1";
    Ok(at.find_row(sql, [configuration], read_request)?.filter(|call| call.missed == 0))
}

/// Returns the ids of the rows directly before and after this one.
pub fn find_adjacent_ids(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<(Option<String>, Option<String>)> {
    let older = "SELECT max(id) FROM requests WHERE configuration = ?1 AND id < ?2 AND missed = 0";
    let newer = "SELECT min(id) FROM requests WHERE configuration = ?1 AND id > ?2 AND missed = 0";
    let parameters = (configuration, id);
    Ok((at.read_value(older, parameters)?, at.read_value(newer, parameters)?))
}

const REPLAYS_SQL: &str =
    "SELECT id FROM requests WHERE configuration = ?1 AND replay_of = ?2 ORDER BY id DESC LIMIT ?3";

/// Returns the ids of the newest calls that repeat this one, newest first.
pub fn list_replays(at: &Snapshot<'_>, configuration: i64, id: &str, limit: u32) -> Result<Vec<String>> {
    at.list_values(REPLAYS_SQL, (configuration, id, limit))
}

fn read_request(row: &Row<'_>) -> rusqlite::Result<LoggedCall> {
    let notes: String = row.get("notes")?;
    let notes = serde_json::from_str(&notes).map_err(|problem| undecodable_column("notes", problem))?;
    let body = |name: &str| -> rusqlite::Result<LoggedBody> {
        let bytes = row.get::<_, Option<i64>>(name)?.map(u64::try_from).transpose();
        Ok(LoggedBody { bytes: bytes.map_err(|problem| undecodable_column(name, problem))?, text: None })
    };
    read_columns!(row, LoggedCall {
        id, at, duration_us, address, method, path, status, failed, scim_type, reason_field, detail, refusal,
        token_hint, token_id, resource_type, resource_id, missed, replay_of, replayed_by;
        reason: row.get::<_, Option<String>>("reason")?.as_deref().and_then(Reason::from_code),
        notes: notes,
        request: body("request_bytes")?,
        response: body("response_bytes")?,
        packed_bodies: None
    })
}

/// Deletes at most `limit` rows with an id below `before`, or any rows without `before`. Returns how many were deleted.
/// Call it again until it returns 0.
pub fn delete_requests(tx: &Tx<'_>, configuration: i64, before: Option<&str>, limit: u32) -> Result<usize> {
    let removed: Vec<i64> = tx.list_values(
        &format!(
            "DELETE FROM requests WHERE request IN (
                 SELECT request FROM requests WHERE configuration = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id LIMIT ?3)
             RETURNING {LOGGED_ROW_BYTES}"
        ),
        (configuration, before, limit),
    )?;
    if !removed.is_empty() {
        usage::add_request_log_bytes(tx, configuration, -removed.iter().sum::<i64>())?;
    }
    Ok(removed.len())
}

/// Deletes the oldest rows until they have at least `bytes` bytes together, at most `limit` rows. Returns how many were
/// deleted.
pub fn delete_oldest_bytes(tx: &Tx<'_>, configuration: i64, bytes: i64, limit: u32) -> Result<usize> {
    let mut statement = tx.prepare(&format!(
        "SELECT request, {LOGGED_ROW_BYTES} FROM requests WHERE configuration = ?1 ORDER BY id LIMIT ?2"
    ))?;
    let mut rows = statement.query((configuration, limit))?;
    let (mut oldest, mut sum) = (Vec::new(), 0_i64);
    while let Some(row) = rows.next()?.filter(|_| sum < bytes) {
        oldest.push(row.get::<_, i64>(0)?);
        sum += row.get::<_, i64>(1)?;
    }
    drop(rows);
    let mut delete = tx.prepare("DELETE FROM requests WHERE request = ?1")?;
    for request in &oldest {
        delete.execute([request])?;
    }
    usage::add_request_log_bytes(tx, configuration, -sum)?;
    Ok(oldest.len())
}

/// Returns the id of the row that has exactly `count` newer rows.
pub fn find_id_at_offset(at: &Snapshot<'_>, configuration: i64, count: u32) -> Result<Option<String>> {
    at.find_value(
        "SELECT id FROM requests WHERE configuration = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2",
        (configuration, count),
    )
}

/// Returns the id of the row of a call without a known token that has exactly `count` newer rows of such calls.
pub fn find_refused_id_at_offset(at: &Snapshot<'_>, configuration: i64, count: u32) -> Result<Option<String>> {
    at.find_value(
        "SELECT id FROM requests WHERE configuration = ?1 AND token_id IS NULL AND missed = 0
         ORDER BY id DESC LIMIT 1 OFFSET ?2",
        (configuration, count),
    )
}

/// Deletes at most `limit` rows of calls without a known token with an id up to `last`. Returns how many were deleted.
pub fn delete_refused_requests(tx: &Tx<'_>, configuration: i64, last: &str, limit: u32) -> Result<usize> {
    let removed: Vec<i64> = tx.list_values(
        &format!(
            "DELETE FROM requests WHERE request IN (
                 SELECT request FROM requests WHERE configuration = ?1 AND token_id IS NULL AND missed = 0 AND id <= ?2
                 ORDER BY id LIMIT ?3)
             RETURNING {LOGGED_ROW_BYTES}"
        ),
        (configuration, last, limit),
    )?;
    if !removed.is_empty() {
        usage::add_request_log_bytes(tx, configuration, -removed.iter().sum::<i64>())?;
    }
    Ok(removed.len())
}

/// Returns the id of the oldest row.
pub fn find_oldest_id(at: &Snapshot<'_>, configuration: i64) -> Result<Option<String>> {
    at.find_row("SELECT id FROM requests WHERE configuration = ?1 ORDER BY id LIMIT 1", [configuration], |row| {
        row.get(0)
    })
}

/// Sets whether all rows of a configuration still have to be deleted.
pub fn set_deletion_pending(tx: &Tx<'_>, configuration: i64, is_pending: bool) -> Result<()> {
    tx.run("UPDATE configurations SET forgets_requests = ?2 WHERE configuration = ?1", (configuration, is_pending))
}

/// Whether all rows of a configuration still have to be deleted.
pub fn is_deletion_pending(at: &Snapshot<'_>, configuration: i64) -> Result<bool> {
    Ok(at
        .find_row("SELECT forgets_requests FROM configurations WHERE configuration = ?1", [configuration], |row| {
            row.get(0)
        })?
        .unwrap_or_default())
}

/// Returns the number of rows of a configuration.
pub fn count_requests(at: &Snapshot<'_>, configuration: i64) -> Result<u64> {
    let found: i64 = at.read_value("SELECT count(*) FROM requests WHERE configuration = ?1", [configuration])?;
    Ok(found.unsigned_abs())
}

/// Returns the keys of the configurations that have logged calls.
pub fn list_logged_configurations(at: &Snapshot<'_>) -> Result<Vec<i64>> {
    // Steps from one configuration to the next by index, because the log has far more rows than there are
    // configurations.
    at.list_values(
        "WITH RECURSIVE of (configuration) AS (
             SELECT min(configuration) FROM requests
             UNION ALL
             SELECT (SELECT min(configuration) FROM requests WHERE configuration > of.configuration)
             FROM of WHERE of.configuration IS NOT NULL)
         SELECT configuration FROM of WHERE configuration IS NOT NULL",
        [],
    )
}

/// Returns the health counters of a configuration, or `None` if it is deleted or unknown.
pub fn load_health(at: &Snapshot<'_>, configuration: i64) -> Result<Option<CallHealth>> {
    at.find_row(
        "SELECT failures, auth_failures, recent_calls, last_failure, last_cause FROM configurations
         WHERE configuration = ?1 AND deleted_at IS NULL",
        [configuration],
        |row| {
            Ok(CallHealth {
                failures: row.get(0)?,
                auth_failures: row.get(1)?,
                recent: row.get(2)?,
                last_failure: row.get(3)?,
                last_cause: row.get::<_, Option<String>>(4)?.as_deref().and_then(FailureCause::from_code),
            })
        },
    )
}

/// Stores the health counters of a configuration.
pub fn set_health(tx: &Tx<'_>, configuration: i64, health: &CallHealth) -> Result<()> {
    let CallHealth { failures, auth_failures, recent, last_failure, last_cause } = health;
    let last_cause = last_cause.map(FailureCause::code);
    tx.run(
        "UPDATE configurations SET failures = ?2, auth_failures = ?3, recent_calls = ?4, last_failure = ?5, last_cause = ?6
         WHERE configuration = ?1",
        (configuration, failures, auth_failures, recent, last_failure, last_cause),
    )
}

/// Returns the key of the configuration with this id, or `None` if it is unknown or deleted.
pub fn find_configuration_key(at: &Snapshot<'_>, id: &str) -> Result<Option<i64>> {
    at.find_value("SELECT configuration FROM configurations WHERE id = ?1 AND deleted_at IS NULL", [id])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::engine::snapshot_gate::{ScanSnapshot, SnapshotGate};

    #[test]
    fn failed_calls_and_those_of_one_resource_are_found_by_an_index() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        register_functions(&connection).unwrap();
        for (query, index) in [
            (RequestLogQuery::default(), "requests_by_configuration"),
            (RequestLogQuery { failed: Some(true), ..RequestLogQuery::default() }, "requests_failed"),
            (RequestLogQuery { resource: Some("x".to_owned()), ..RequestLogQuery::default() }, "requests_by_resource"),
        ] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", build_page_sql(&query))).unwrap();
            let steps = statement.raw_query().mapped(|row| row.get(3));
            let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
            assert!(steps.len() == 1 && steps[0].contains(index), "{query:?}: {steps:?}");
            assert!(steps[0].contains("id>? AND id<?"), "{query:?} scans newer calls: {steps:?}");
        }
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {REPLAYS_SQL}")).unwrap();
        let steps = statement.raw_query().mapped(|row| row.get(3));
        let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().unwrap();
        assert!(steps.len() == 1 && steps[0].contains("requests_replays"), "{steps:?}");
    }

    #[test]
    fn a_search_in_several_snapshots_finds_what_a_search_in_one_finds() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        register_functions(&connection).unwrap();
        connection
            .execute_batch(
                "INSERT INTO requests (configuration, id, at, duration_us, method, path, status, failed, notes, request_body)
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
                 SELECT 1 + i % 2, printf('id %05d', i), i, 1, iif(i % 3, 'GET', 'POST'), '/Users', 200, 0, '[]',
                        'body ' || (i % 100) FROM n;
                 BEGIN",
            )
            .unwrap();
        let gate = SnapshotGate::default();
        let later = std::time::Instant::now() + std::time::Duration::from_mins(10);
        let scan = ScanSnapshot::enter(&gate, later).unwrap().with_age_max(std::time::Duration::ZERO);
        let (one, several) = (Snapshot::new(&connection), Snapshot::of_scan(&connection, &scan));
        let limit = RequestLogLimit { count: 20, bytes: 1 << 20 };
        let text = |text: &str| RequestLogQuery {
            text: Some(text.to_owned()),
            search_content: true,
            ..RequestLogQuery::default()
        };
        let by_method = RequestLogQuery { method: Some("POST".to_owned()), ..RequestLogQuery::default() };
        let from = RequestLogQuery { from: Some("id 02000".to_owned()), ..text("body 7") };
        // Each hundredth call has a text, and each third one is a POST; the other half is of another configuration.
        for (query, count) in [
            (text("body 42"), 50),
            (text("no such text"), 0),
            (by_method, 833),
            (from, 150),
            (RequestLogQuery::default(), 2_500),
        ] {
            let mut page = query.clone();
            let (mut pages, mut found) = (0, Vec::new());
            loop {
                let expected = list_requests(&one, 1, &page, limit).unwrap();
                let read = list_requests(&several, 1, &page, limit).unwrap();
                assert_eq!((&read.calls, &read.next), (&expected.calls, &expected.next), "{page:?}");
                found.extend(read.calls.into_iter().map(|call| call.id));
                pages += 1;
                page.before = read.next;
                if page.before.is_none() {
                    break;
                }
            }
            assert!(found.is_sorted_by(|newer, older| newer > older) && pages > found.len() / 21, "{query:?}");
            assert_eq!(found.len(), count, "{query:?}");
        }
        let counted = |at, scanned| search_requests(at, 1, ["BODY 42", "none"], scanned, 1_000).unwrap().len();
        assert_eq!((counted(&several, 2_500), counted(&one, 2_500), counted(&several, 1_000)), (50, 50, 20));
        assert!(scan.renewals() > 50, "{}", scan.renewals());
    }
}
