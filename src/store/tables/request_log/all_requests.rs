//! The request logs of all configurations together, in the order in which the calls were stored.

use rusqlite::named_params;

use super::{RequestLogLimit, read_request, read_request_with_bodies};
use crate::error::Result;
use crate::model::account::AccountFilter;
use crate::model::request::LoggedCall;
use crate::store::Snapshot;
use crate::store::tables::rows::build_account_condition;

/// Maximum rows that one page scans. If the filter matches few rows, the next page continues from there.
const SCANNED_ROWS_MAX: i64 = 8_000;
/// Rows that are scanned in one statement, after which a scan can give up its snapshot.
const SCANNED_ROWS_PER_STEP: i64 = 2_000;

/// Selects calls of all configurations.
#[derive(Debug, Clone, Default)]
pub struct AllCallsQuery {
    /// Only calls that were stored before the one with this number.
    pub before: Option<i64>,
    /// Only failed calls.
    pub failed: bool,
    /// Only calls that read, or only calls that can change something. A search by POST reads.
    pub reads: Option<bool>,
}

/// A page of calls of all configurations.
#[derive(Debug, Clone, Default)]
pub struct AllCallsPage {
    /// The calls with the keys of their configurations, newest first.
    pub calls: Vec<(i64, LoggedCall)>,
    /// Where the next page starts. `None` on the last page.
    pub next: Option<i64>,
}

/// Returns a page up to the limit, newest first, with bodies. Calls of deleted configurations are left out. It scans a bounded
/// number of rows, so a page can have fewer calls and still be followed by another.
pub fn list_all_requests(
    at: &Snapshot<'_>,
    accounts: Option<&AccountFilter>,
    query: &AllCallsQuery,
    limit: RequestLogLimit,
) -> Result<AllCallsPage> {
    let (condition, account) = build_account_condition(accounts);
    let condition = condition.replace("?1", ":account");
    let sql = format!(
        "SELECT r.request, r.configuration AS of_configuration, r.*
         FROM requests r
         WHERE r.request >= :first AND r.request < :before AND (NOT :failed OR r.failed = 1)
           AND (:reads IS NULL OR :reads = (r.method IN ('GET', 'HEAD', 'OPTIONS')
                                            OR r.method = 'POST' AND instr(r.path, '/.search') > 0))
           AND EXISTS (SELECT 1 FROM configurations
                       WHERE configuration = r.configuration AND deleted_at IS NULL AND {condition})
         ORDER BY r.request DESC LIMIT :limit"
    );
    let most = usize::try_from(limit.count).unwrap_or(usize::MAX);
    let newest: Option<i64> = at.read_value("SELECT max(request) FROM requests", [])?;
    let oldest = at.read_value::<Option<i64>>("SELECT min(request) FROM requests", [])?.unwrap_or(0);
    let Some(newest) = newest else { return Ok(AllCallsPage::default()) };
    let mut before = query.before.unwrap_or(i64::MAX).min(newest.saturating_add(1));
    let (mut calls, mut bytes, mut scanned) = (Vec::new(), 0_usize, 0);
    while before > oldest && scanned < SCANNED_ROWS_MAX {
        let first = before.saturating_sub(SCANNED_ROWS_PER_STEP).max(oldest);
        let mut statement = at.prepare(&sql)?;
        let mut rows = statement.query(named_params! {
            ":account": account, ":first": first, ":before": before, ":failed": query.failed, ":reads": query.reads,
            ":limit": i64::try_from(most.saturating_sub(calls.len())).unwrap_or(i64::MAX).saturating_add(1),
        })?;
        while let Some(row) = rows.next()? {
            if calls.len() >= most || bytes > limit.bytes {
                return Ok(AllCallsPage { calls, next: Some(before) });
            }
            let call = read_request_with_bodies(row).or_else(|_| read_request(row))?;
            bytes += [&call.request.text, &call.response.text].into_iter().flatten().map(String::len).sum::<usize>();
            before = row.get("request")?;
            calls.push((row.get("of_configuration")?, call));
        }
        drop(rows);
        drop(statement);
        (before, scanned) = (first, scanned + SCANNED_ROWS_PER_STEP);
        at.renew_if_due()?;
    }
    Ok(AllCallsPage { calls, next: (before > oldest).then_some(before) })
}
