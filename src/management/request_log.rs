//! The request log: calls are stored in batches, and each batch updates the health of its configurations.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::management::configurations;
use crate::model::account::AccountState;
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::configuration::Configuration;
use crate::model::ids;
use crate::model::quota::{QuotaDefaults, QuotaKind};
use crate::model::request::{CallHealth, CallOutcome, LoggedCall};
use crate::model::traffic::{HourlyCalls, fill_hours};
use crate::provisioning::lists::ANSWER_MAX_BYTES;
use crate::store::recent_use::UnsavedUse;
use crate::store::tables::audit::NewAuditEntry;
use crate::store::tables::request_log::{self as rows, RequestLogLimit};
pub use crate::store::tables::request_log::{AllCallsPage, AllCallsQuery, RequestLogPage, RequestLogQuery};
use crate::store::tables::{
    api_keys, configurations as configuration_rows, held_changes, instance, tokens, traffic, usage,
};
use crate::store::{Snapshot, Tx};

/// Retention of a call in days.
pub const RETENTION_DAYS: i64 = 30;
/// Maximum number of stored calls of one configuration.
pub const STORED_CALLS_MAX: u32 = 200_000;
/// Maximum number of stored calls of one configuration without a known token, so that they do not displace the others.
pub const STORED_REFUSED_CALLS_MAX: u32 = 1_000;
/// Replays that the page of a call lists.
const LISTED_REPLAYS_MAX: u32 = 20;
/// Maximum number of calls that one transaction removes.
const REMOVED_PER_STEP: u32 = 500;

/// The configuration that a call belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CallTarget {
    /// Its key in this database.
    Key(i64),
    /// The id given by the caller. It may not exist.
    Id(String),
}

/// A call to be logged.
#[derive(Debug, Clone)]
pub struct RequestLogEntry {
    /// The configuration of the call.
    pub target: CallTarget,
    /// Effect of the call on the health of the configuration.
    pub verdict: CallOutcome,
    /// The row.
    pub call: LoggedCall,
}

/// Stores the times of last use of configurations, tokens and API keys, and the counts of refused calls. The stored times
/// never decrease.
pub fn store_recent_use(tx: &Tx<'_>, unsaved: &UnsavedUse) -> Result<()> {
    for (configuration, seen) in &unsaved.configurations {
        configuration_rows::record_activity(tx, *configuration, seen.last_call, seen.last_write)?;
    }
    for (token, used) in &unsaved.tokens {
        tokens::record_token_use(tx, token, *used)?;
    }
    for (configuration, refused) in &unsaved.refused {
        usage::add_refused_users(tx, *configuration, *refused)?;
    }
    unsaved.keys.iter().try_for_each(|(key, at)| api_keys::record_key_use(tx, key, *at))
}

/// Stores calls in the order of their responses. Calls of an unknown or deleted configuration are skipped. Removes the
/// oldest calls of a log that exceeds its quota of bytes, up to a limit per transaction.
pub fn store_calls(tx: &Tx<'_>, entries: &[RequestLogEntry]) -> Result<()> {
    // A configuration is the target by its key and by its id in one batch: it has one health.
    let mut keys: HashMap<&CallTarget, Option<i64>> = HashMap::new();
    let mut states: BTreeMap<i64, (CallHealth, CallHealth)> = BTreeMap::new();
    let mut hours: HashMap<(i64, i64), HourlyCalls> = HashMap::new();
    let mut bytes: HashMap<i64, i64> = HashMap::new();
    for RequestLogEntry { target, verdict, call } in entries {
        if !keys.contains_key(target) {
            let found = find_target_health(tx, target)?;
            if let Some((key, health)) = found {
                states.entry(key).or_insert((health, health));
            }
            keys.insert(target, found.map(|(key, _)| key));
        }
        let Some(key) = keys.get(target).copied().flatten() else { continue };
        if let Some((_, health)) = states.get_mut(&key) {
            health.add_call(*verdict, call.at, call.failure_cause());
            *bytes.entry(key).or_default() += rows::insert_request(tx, key, call)?;
            let calls = HourlyCalls::from_call(call);
            hours.entry((key, calls.hour)).and_modify(|hour| hour.add(&calls)).or_insert(calls);
        }
    }
    for ((key, _), calls) in &hours {
        traffic::add_calls(tx, *key, calls)?;
    }
    for (key, added) in bytes {
        usage::add_request_log_bytes(tx, key, added)?;
        shorten_log(tx, key, REMOVED_PER_STEP)?;
    }
    for (key, (before, health)) in states {
        if health != before {
            rows::set_health(tx, key, &health)?;
        }
    }
    Ok(())
}

/// The bytes by which the log of a configuration exceeds its quota.
fn find_excess_bytes(at: &Snapshot<'_>, configuration: i64, defaults: &QuotaDefaults) -> Result<i64> {
    let found = usage::load_usage(at, configuration)?.configuration;
    let limit = i64::try_from(found.limit(QuotaKind::RequestLogBytes, defaults)).unwrap_or(i64::MAX);
    let excess = found.used.get(QuotaKind::RequestLogBytes) - limit;
    Ok(if limit > 0 { excess.max(0) } else { 0 })
}

/// Removes the oldest calls of a log that exceeds its quota of bytes, at most `limit`. Returns how many were removed.
fn shorten_log(tx: &Tx<'_>, configuration: i64, limit: u32) -> Result<usize> {
    match find_excess_bytes(tx, configuration, tx.quota_defaults())? {
        0 => Ok(0),
        excess => rows::delete_oldest_bytes(tx, configuration, excess, limit),
    }
}

/// Removes at most `limit` of the oldest calls, and at most a quarter of the bytes, of the largest log if all logs together have
/// more than `most` bytes. So a configuration that is called often shortens its own log, not those of others, and no log is
/// emptied while others are long. Returns how many were removed. Repeat it until it returns 0.
pub fn prune_largest_log(tx: &Tx<'_>, most: u64, limit: u32) -> Result<usize> {
    tx.allow_on_full_disk();
    let excess = usage::sum_request_log_bytes(tx)?.saturating_sub_unsigned(most);
    match usage::find_largest_request_log(tx)? {
        Some(configuration) if most > 0 && excess > 0 => {
            let bytes = usage::load_usage(tx, configuration)?.configuration.used.get(QuotaKind::RequestLogBytes);
            rows::delete_oldest_bytes(tx, configuration, excess.min(bytes / 4 + 1), limit)
        }
        _ => Ok(0),
    }
}

/// Whether all logs together have more than `most` bytes. 0 stands for no limit.
pub fn are_logs_too_large(at: &Snapshot<'_>, most: u64) -> Result<bool> {
    Ok(most > 0 && usage::sum_request_log_bytes(at)?.unsigned_abs() > most)
}

fn find_target_health(tx: &Tx<'_>, target: &CallTarget) -> Result<Option<(i64, CallHealth)>> {
    let key = match target {
        CallTarget::Key(key) => Some(*key),
        CallTarget::Id(id) => rows::find_configuration_key(tx, id)?,
    };
    let Some(key) = key else { return Ok(None) };
    // The log of an account that is being imported has only what comes with it.
    if find_account_state(tx, key)? == AccountState::Importing {
        return Ok(None);
    }
    Ok(rows::load_health(tx, key)?.map(|health| (key, health)))
}

fn find_account_state(at: &Snapshot<'_>, configuration: i64) -> Result<AccountState> {
    Ok(held_changes::load_gate(at, configuration)?.unwrap_or_default().account_state)
}

/// Returns a page of the log of a configuration without bodies, newest first.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn list_calls(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    configuration_id: &str,
    query: &RequestLogQuery,
    limit: u32,
) -> Result<RequestLogPage> {
    let key = configurations::find_configuration(at, scope, configuration_id)?.key;
    rows::list_requests(at, key, query, RequestLogLimit { count: limit, bytes: ANSWER_MAX_BYTES })
}

/// Returns a page of the log of a configuration with the bodies of each call, newest first.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn list_calls_with_bodies(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    configuration_id: &str,
    query: &RequestLogQuery,
    limit: u32,
) -> Result<RequestLogPage> {
    let key = configurations::find_configuration(at, scope, configuration_id)?.key;
    let limit = RequestLogLimit { count: limit, bytes: ANSWER_MAX_BYTES };
    let RequestLogPage { calls, next } = rows::list_requests(at, key, query, limit)?;
    let with_bodies = |call: LoggedCall| Ok(rows::find_request_by_id(at, key, &call.id)?.unwrap_or(call));
    Ok(RequestLogPage { calls: calls.into_iter().map(with_bodies).collect::<Result<_>>()?, next })
}

/// Returns a configuration and the health of its recent calls.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn find_configuration_health(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    configuration_id: &str,
) -> Result<(Configuration, CallHealth)> {
    let found = configurations::find_configuration(at, scope, configuration_id)?;
    let health = rows::load_health(at, found.key)?.unwrap_or_default();
    Ok((found, health))
}

/// Returns one call with its bodies.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope, or has no such call.
pub fn find_call(at: &Snapshot<'_>, scope: &AccountScope, configuration_id: &str, id: &str) -> Result<LoggedCall> {
    let key = configurations::find_configuration(at, scope, configuration_id)?.key;
    let found = if ids::is_id(id) { rows::find_request_by_id(at, key, id)? } else { None };
    found.ok_or_else(|| Reason::CallNotFound.into())
}

/// Returns the newest calls that repeat this one, newest first.
pub fn list_replays(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<Vec<String>> {
    rows::list_replays(at, configuration, id, LISTED_REPLAYS_MAX)
}

/// Appends the audit entry of a replay. `ids` are those of the call and of the one that repeats it.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn record_replay(tx: &Tx<'_>, context: &AuditContext, configuration_id: &str, ids: (&str, &str)) -> Result<()> {
    let found = configurations::find_configuration(tx, &context.scope, configuration_id)?;
    let after = json!({"request": ids.0, "replay": ids.1});
    let entry = NewAuditEntry::new("requests.replayed", None, Some(after));
    configurations::append_audit_entry(tx, context, &found, entry)
}

/// Returns the ids of the calls directly before and after this one in the log of a configuration.
pub fn find_adjacent_ids(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<(Option<String>, Option<String>)> {
    rows::find_adjacent_ids(at, configuration, id)
}

/// Returns a page of the logs of all configurations of the account scope with the bodies of each call, newest first. Each call
/// has the key of its configuration. `before` is the `next` of the page before.
pub fn list_all_calls(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    query: &AllCallsQuery,
    limit: u32,
) -> Result<AllCallsPage> {
    rows::list_all_requests(
        at,
        scope.filter(None).as_ref(),
        query,
        RequestLogLimit { count: limit, bytes: ANSWER_MAX_BYTES },
    )
}

/// Returns the traffic of a configuration in each of the last `count` hours. The current hour is last.
pub fn count_calls_by_hour(at: &Snapshot<'_>, configuration: i64, now: Millis, count: i64) -> Result<Vec<HourlyCalls>> {
    let first = fill_hours(&[], now, count).first().map_or(0, |hour| hour.hour);
    Ok(fill_hours(&traffic::list_hours_since(at, configuration, first)?, now, count))
}

/// Returns the same for all configurations of the account scope together.
pub fn sum_calls_by_hour(at: &Snapshot<'_>, scope: &AccountScope, now: Millis, count: i64) -> Result<Vec<HourlyCalls>> {
    let first = fill_hours(&[], now, count).first().map_or(0, |hour| hour.hour);
    Ok(fill_hours(&traffic::sum_hours_since(at, scope.filter(None).as_ref(), first)?, now, count))
}

/// Starts to empty the log of a configuration and appends an audit entry. [`remove_calls`] removes the calls.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn start_emptying_log(tx: &Tx<'_>, context: &AuditContext, configuration_id: &str) -> Result<LogRemoval> {
    tx.allow_on_full_disk();
    let found = configurations::find_configuration(tx, &context.scope, configuration_id)?;
    let before = json!({"calls": rows::count_requests(tx, found.key)?});
    let entry = NewAuditEntry::new("requests.emptied", Some(before), None);
    configurations::append_audit_entry(tx, context, &found, entry)?;
    Ok(LogRemoval { configuration: found.key, before: ids::first_id_at(tx.now + 1) })
}

/// The calls of a log to remove.
#[derive(Debug, Clone)]
pub struct LogRemoval {
    /// Key of the configuration.
    pub configuration: i64,
    /// Calls with smaller ids are removed.
    pub before: String,
}

/// Removes a batch of calls permanently. Returns false when nothing is left.
pub fn remove_calls(tx: &Tx<'_>, removal: &LogRemoval) -> Result<bool> {
    tx.allow_on_full_disk();
    Ok(rows::delete_requests(tx, removal.configuration, Some(&removal.before), REMOVED_PER_STEP)? > 0)
}

/// Removes at most `limit` calls of one configuration: calls that are older than the retention, calls beyond the
/// maximum number, and all calls if the configuration is purged. Returns how many were removed. Repeat until it returns
/// 0.
pub fn prune_log(tx: &Tx<'_>, configuration: i64, limit: u32) -> Result<usize> {
    tx.allow_on_full_disk();
    if rows::is_deletion_pending(tx, configuration)? {
        let removed = rows::delete_requests(tx, configuration, None, limit)?;
        if removed == 0 {
            rows::set_deletion_pending(tx, configuration, false)?;
        }
        return Ok(removed);
    }
    traffic::delete_hours_before(tx, configuration, retention_start(tx.now))?;
    if let Some(excess) = rows::find_refused_id_at_offset(tx, configuration, STORED_REFUSED_CALLS_MAX)? {
        let removed = rows::delete_refused_requests(tx, configuration, &excess, limit)?;
        if removed > 0 {
            return Ok(removed);
        }
    }
    let oldest = ids::first_id_at(retention_start(tx.now));
    let excess = rows::find_id_at_offset(tx, configuration, STORED_CALLS_MAX - 1)?;
    let before = excess.map_or_else(|| oldest.clone(), |id| id.max(oldest.clone()));
    let removed = rows::delete_requests(tx, configuration, Some(&before), limit)?;
    if removed == 0 { shorten_log(tx, configuration, limit) } else { Ok(removed) }
}

/// Returns the configurations whose log exceeds the retention or the maximum number of calls.
pub fn list_overdue_logs(at: &Snapshot<'_>, now: Millis) -> Result<Vec<i64>> {
    let oldest = ids::first_id_at(retention_start(now));
    let defaults = instance::load_quota_defaults(at)?;
    let mut overdue = Vec::new();
    for key in rows::list_logged_configurations(at)? {
        let is_old = rows::find_oldest_id(at, key)?.is_some_and(|id| id < oldest);
        if is_old
            || rows::is_deletion_pending(at, key)?
            || rows::find_id_at_offset(at, key, STORED_CALLS_MAX)?.is_some()
            || rows::find_refused_id_at_offset(at, key, STORED_REFUSED_CALLS_MAX)?.is_some()
            || find_excess_bytes(at, key, &defaults)? > 0
        {
            overdue.push(key);
        }
    }
    Ok(overdue)
}

fn retention_start(now: Millis) -> Millis {
    now - RETENTION_DAYS * 24 * 60 * 60 * 1_000
}

#[cfg(test)]
mod tests;
