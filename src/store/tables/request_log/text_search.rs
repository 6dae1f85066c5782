//! Search for a text in the calls of one configuration, with their bodies.

use super::{SCANNED_BODIES_PER_STEP, find_scan_end, read_request_with_bodies};
use crate::error::Result;
use crate::model::request::LoggedCall;
use crate::store::Snapshot;

/// Whether a call mentions the text ?2, or its path the text ?3.
const MENTIONS: &str = "(instr(lower(path || ' ' || coalesce(detail, '') || ' '
                    || coalesce(request_body, logged_request(bodies), '')), lower(?2))
             OR instr(lower(path), lower(?3)))";

/// Searches the last `scanned` failed calls of a configuration like [`search_requests`], in one statement. Returns at most
/// `limit` calls with their bodies, newest first.
pub fn search_failed_requests(
    at: &Snapshot<'_>,
    configuration: i64,
    [plain, encoded]: [&str; 2],
    (scanned, limit): (u32, u32),
) -> Result<Vec<LoggedCall>> {
    let sql = format!(
        "SELECT * FROM (SELECT * FROM requests WHERE configuration = ?1 AND failed = 1 ORDER BY id DESC LIMIT ?4)
         WHERE {MENTIONS} ORDER BY id DESC LIMIT ?5"
    );
    at.list_rows(&sql, (configuration, plain, encoded, scanned, limit), read_request_with_bodies)
}

/// Searches the last `scanned` calls of a configuration for two texts: the plain one in path, detail and request body,
/// the encoded one in the path, ignoring ASCII case. Returns at most `limit` calls with their bodies, newest first. It reads
/// in steps, as [`list_requests`] does.
pub fn search_requests(
    at: &Snapshot<'_>,
    configuration: i64,
    texts: [&str; 2],
    scanned: u32,
    limit: u32,
) -> Result<Vec<LoggedCall>> {
    let sql = format!(
        "SELECT * FROM requests
         WHERE configuration = ?1 AND id >= ifnull(?4, '') AND id < ifnull(?5, '~') AND {MENTIONS}
         ORDER BY id DESC LIMIT ?6"
    );
    let [plain, encoded] = texts;
    let (mut found, mut before, mut left) = (Vec::new(), None::<String>, scanned);
    loop {
        let rows = left.min(SCANNED_BODIES_PER_STEP);
        let end = find_scan_end(at, configuration, before.as_deref(), rows)?;
        let missing = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(found.len());
        let missing = i64::try_from(missing).unwrap_or(i64::MAX);
        found.extend(at.list_rows(
            &sql,
            (configuration, plain, encoded, &end, &before, missing),
            read_request_with_bodies,
        )?);
        left -= rows;
        if end.is_none() || left == 0 || found.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return Ok(found);
        }
        before = end;
        at.renew_if_due()?;
    }
}
