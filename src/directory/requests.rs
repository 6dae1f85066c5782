//! The request log: what is gathered while calls are served goes in here, in batches, with what it says about the
//! health of each configuration.

use std::collections::HashMap;

use serde_json::json;

use super::configurations;
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::actor::{By, Reach};
use crate::model::ids;
use crate::model::request::{Health, LoggedCall, Verdict};
use crate::store::requests::{self as rows, Page, Wanted};
use crate::store::{Snapshot, Tx};

/// How long a call is kept.
pub const KEPT_DAYS: i64 = 30;
/// Calls of one configuration that are kept.
pub const KEPT_CALLS: u32 = 200_000;
/// Calls that go in one transaction.
const FORGOTTEN_AT_ONCE: u32 = 500;

/// Which configuration a call was about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Of {
    /// By its key in this database.
    Key(i64),
    /// By the id that the caller gave, which need not exist.
    Id(String),
}

/// A call to be logged.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The configuration it was about.
    pub of: Of,
    /// What it says about it.
    pub verdict: Verdict,
    /// The row.
    pub call: LoggedCall,
}

/// Logs calls in the order in which they were answered. Those about no configuration, or one that is deleted by now,
/// are left out.
pub fn keep(tx: &Tx<'_>, entries: &[Entry]) -> Result<()> {
    let mut known: HashMap<&Of, Option<(i64, Health, Health)>> = HashMap::new();
    for Entry { of, verdict, call } in entries {
        if !known.contains_key(of) {
            known.insert(of, health(tx, of)?.map(|(key, health)| (key, health, health)));
        }
        if let Some(Some((key, _, health))) = known.get_mut(of) {
            health.note(*verdict, call.at);
            rows::insert(tx, *key, call)?;
        }
    }
    for (key, before, health) in known.into_values().flatten() {
        if health != before {
            rows::set_health(tx, key, &health)?;
        }
    }
    Ok(())
}

fn health(tx: &Tx<'_>, of: &Of) -> Result<Option<(i64, Health)>> {
    let key = match of {
        Of::Key(key) => Some(*key),
        Of::Id(id) => rows::configuration(tx, id)?,
    };
    let Some(key) = key else { return Ok(None) };
    Ok(rows::health(tx, key)?.map(|health| (key, health)))
}

/// A page of a configuration's log, newest first.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach.
pub fn page(at: &Snapshot<'_>, reach: &Reach, configuration_id: &str, wanted: &Wanted, limit: u32) -> Result<Page> {
    rows::page(at, configurations::within(at, reach, configuration_id)?.key, wanted, limit)
}

/// One call with its bodies.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach, or no such call of it.
pub fn by_id(at: &Snapshot<'_>, reach: &Reach, configuration_id: &str, id: &str) -> Result<LoggedCall> {
    let key = configurations::within(at, reach, configuration_id)?.key;
    let found = if ids::is_id(id) { rows::by_id(at, key, id)? } else { None };
    found.ok_or_else(|| Error::NotFound("there is no such call in the log of this configuration".to_owned()))
}

/// Begins to empty a configuration's log, which is noted in the audit log. [`forget`] does it.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach.
pub fn empty(tx: &Tx<'_>, by: &By, configuration_id: &str) -> Result<Emptying> {
    let found = configurations::within(tx, &by.reach, configuration_id)?;
    let before = json!({"calls": rows::count(tx, found.key)?});
    configurations::audited(tx, by, &found, "requests.emptied", Some(before), None)?;
    Ok(Emptying { configuration: found.key, before: ids::first_at(tx.now + 1) })
}

/// Which part of a log is to go.
#[derive(Debug, Clone)]
pub struct Emptying {
    /// Key of the configuration.
    pub configuration: i64,
    /// Calls with smaller ids go.
    pub before: String,
}

/// Removes a batch for good; the freed pages are overwritten, because they hold personal data. False once nothing is left.
pub fn forget(tx: &Tx<'_>, which: &Emptying) -> Result<bool> {
    Ok(rows::remove_for_good(tx, which.configuration, &which.before, FORGOTTEN_AT_ONCE)? > 0)
}

/// Removes what is older than it may be, or beyond the number that is kept: at most `limit` rows of one configuration.
/// Says how many went; run it again until none go.
pub fn prune(tx: &Tx<'_>, configuration: i64, limit: u32) -> Result<usize> {
    let oldest_kept = ids::first_at(oldest_kept(tx.now));
    let beyond = rows::id_behind(tx, configuration, KEPT_CALLS - 1)?;
    let before = beyond.map_or_else(|| oldest_kept.clone(), |beyond| beyond.max(oldest_kept.clone()));
    rows::remove(tx, configuration, Some(&before), limit)
}

/// The configurations whose log is longer or older than it may be.
pub fn overdue(at: &Snapshot<'_>, now: Millis) -> Result<Vec<i64>> {
    let oldest_kept = ids::first_at(oldest_kept(now));
    let mut overdue = Vec::new();
    for key in rows::configurations(at)? {
        let is_old = rows::oldest(at, key)?.is_some_and(|id| id < oldest_kept);
        if is_old || rows::id_behind(at, key, KEPT_CALLS)?.is_some() {
            overdue.push(key);
        }
    }
    Ok(overdue)
}

fn oldest_kept(now: Millis) -> Millis {
    now - KEPT_DAYS * 24 * 60 * 60 * 1_000
}
