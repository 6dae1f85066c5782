//! The request log: what is gathered while calls are served goes in here, in batches, with what it says about the
//! health of each configuration.

use std::collections::HashMap;

use serde_json::json;

use super::configurations;
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::actor::{By, Reach};
use crate::model::configuration::Configuration;
use crate::model::ids;
use crate::model::request::{Health, LoggedCall, Verdict};
use crate::model::traffic::{Hour, filled};
use crate::store::requests::{self as rows, Page, Wanted};
use crate::store::{Snapshot, Tx, traffic};

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
    let mut hours: HashMap<(i64, i64), Hour> = HashMap::new();
    for Entry { of, verdict, call } in entries {
        if !known.contains_key(of) {
            known.insert(of, health(tx, of)?.map(|(key, health)| (key, health, health)));
        }
        if let Some(Some((key, _, health))) = known.get_mut(of) {
            health.note(*verdict, call.at);
            rows::insert(tx, *key, call)?;
            let calls = Hour::of(call);
            hours.entry((*key, calls.hour)).and_modify(|hour| hour.add(&calls)).or_insert(calls);
        }
    }
    for ((key, _), calls) in &hours {
        traffic::add(tx, *key, calls)?;
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

/// The same page with the bodies of each call.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach.
pub fn whole_page(
    at: &Snapshot<'_>,
    reach: &Reach,
    configuration_id: &str,
    wanted: &Wanted,
    limit: u32,
) -> Result<Page> {
    let key = configurations::within(at, reach, configuration_id)?.key;
    let Page { calls, next } = rows::page(at, key, wanted, limit)?;
    let whole = |call: LoggedCall| Ok(rows::by_id(at, key, &call.id)?.unwrap_or(call));
    Ok(Page { calls: calls.into_iter().map(whole).collect::<Result<_>>()?, next })
}

/// A configuration and how its last calls went.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach.
pub fn fares(at: &Snapshot<'_>, reach: &Reach, configuration_id: &str) -> Result<(Configuration, Health)> {
    let found = configurations::within(at, reach, configuration_id)?;
    let health = rows::health(at, found.key)?.unwrap_or_default();
    Ok((found, health))
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

/// Calls of a configuration in each of the last `count` hours, the running one last.
///
/// # Errors
/// What the store says.
pub fn by_hour(at: &Snapshot<'_>, configuration: i64, now: Millis, count: i64) -> Result<Vec<Hour>> {
    let first = filled(&[], now, count).first().map_or(0, |hour| hour.hour);
    Ok(filled(&traffic::since(at, configuration, first)?, now, count))
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
    Ok(rows::remove_for_good(tx, which.configuration, Some(&which.before), FORGOTTEN_AT_ONCE)? > 0)
}

/// Removes what is older than it may be, what is beyond the number that is kept, and everything where a purge wants it:
/// at most `limit` rows of one configuration. Says how many went; run it again until none go.
pub fn prune(tx: &Tx<'_>, configuration: i64, limit: u32) -> Result<usize> {
    if rows::is_forgotten(tx, configuration)? {
        let removed = rows::remove_for_good(tx, configuration, None, limit)?;
        if removed == 0 {
            rows::set_forgotten(tx, configuration, false)?;
        }
        return Ok(removed);
    }
    traffic::remove_older(tx, configuration, oldest_kept(tx.now))?;
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
        if is_old || rows::is_forgotten(at, key)? || rows::id_behind(at, key, KEPT_CALLS)?.is_some() {
            overdue.push(key);
        }
    }
    Ok(overdue)
}

fn oldest_kept(now: Millis) -> Millis {
    now - KEPT_DAYS * 24 * 60 * 60 * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::directory::configurations::{Content, NewConfiguration, create, delete};
    use crate::directory::tokens::TokenDraft;
    use crate::model::configuration::Source;
    use crate::secret::Token;
    use crate::store::{Access, Store, Undo};

    struct Fixture {
        store: Store,
        id: String,
        key: i64,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), Access::Serve).unwrap();
            let new = NewConfiguration {
                id: clock::new_id(),
                account: "acme".to_owned(),
                connection_name: None,
                source: Source::Okta,
                provider: None,
                preset: None,
                sync: true,
                token: TokenDraft::new(clock::new_id(), &Token::generate().unwrap(), "first"),
            };
            let made = store.write_blocking(Undo::Savepoint, move |tx| create(tx, &By::server(), &new)).unwrap();
            Self { store, id: made.id, key: made.key, _folder: folder }
        }

        fn write<T: Send + 'static>(&self, job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static) -> T {
            self.store.write_blocking(Undo::Savepoint, job).unwrap()
        }

        /// Logs calls that were made at these times.
        fn log(&self, of: &Of, verdict: Verdict, times: impl IntoIterator<Item = Millis>) {
            let entry = |(number, at)| {
                let id = ids::first_at(at).replacen("0000-0000", &format!("{number:04}-0000"), 1);
                Entry { of: of.clone(), verdict, call: LoggedCall { id, at, ..LoggedCall::default() } }
            };
            let entries: Vec<Entry> = times.into_iter().enumerate().map(entry).collect();
            self.write(move |tx| keep(tx, &entries));
        }

        fn page(&self, wanted: &Wanted, limit: u32) -> Page {
            self.store.read_inline(|at| page(at, &Reach::Everywhere, &self.id, wanted, limit)).unwrap()
        }

        fn health(&self) -> Option<Health> {
            self.store.read_inline(|at| rows::health(at, self.key)).unwrap()
        }
    }

    #[test]
    fn calls_are_kept_in_the_order_of_time_and_say_how_the_configuration_fares() {
        let fixture = Fixture::new();
        fixture.log(&Of::Key(fixture.key), Verdict::Fine, [1_000, 3_000]);
        fixture.log(&Of::Id(fixture.id.clone()), Verdict::Stranger, [2_000]);
        let first = fixture.page(&Wanted::default(), 2);
        assert_eq!(first.calls.iter().map(|call| call.at).collect::<Vec<_>>(), [3_000, 2_000]);
        let second = fixture.page(&Wanted { before: first.next, ..Wanted::default() }, 2);
        assert_eq!(second.calls.iter().map(|call| call.at).collect::<Vec<_>>(), [1_000]);
        assert_eq!(second.next, None);
        let health = fixture.health().unwrap();
        assert_eq!((health.auth_failures, health.recent_failures(), health.last_failure), (1, 1, Some(2_000)));
    }

    #[test]
    fn what_is_about_nobody_is_left_out() {
        let fixture = Fixture::new();
        fixture.log(&Of::Id(clock::new_id()), Verdict::Stranger, [1]);
        fixture.log(&Of::Key(fixture.key + 1), Verdict::Fine, [1]);
        let id = fixture.id.clone();
        fixture.write(move |tx| delete(tx, &By::server(), &id, Content::Keep));
        fixture.log(&Of::Key(fixture.key), Verdict::Fine, [1]);
        let left = fixture.store.read_inline(rows::configurations).unwrap();
        assert_eq!(left, [0_i64; 0]);
    }

    #[test]
    fn old_calls_go_in_batches_and_young_ones_stay() {
        let fixture = Fixture::new();
        let now = clock::now();
        fixture.log(&Of::Key(fixture.key), Verdict::Fine, [1, 2, 3, now]);
        let overdue = |at: Millis| fixture.store.read_inline(|snapshot| overdue(snapshot, at)).unwrap();
        assert_eq!(overdue(now), [fixture.key]);
        let key = fixture.key;
        assert_eq!(fixture.write(move |tx| prune(tx, key, 2)), 2);
        assert_eq!(fixture.write(move |tx| prune(tx, key, 2)), 1);
        assert_eq!(fixture.write(move |tx| prune(tx, key, 2)), 0);
        assert_eq!(overdue(now), [0_i64; 0]);
        assert_eq!(fixture.page(&Wanted::default(), 10).calls.len(), 1);
    }

    #[test]
    fn a_purge_takes_the_log_with_it() {
        let fixture = Fixture::new();
        let now = clock::now();
        fixture.log(&Of::Key(fixture.key), Verdict::Fine, [now - 1, now]);
        let (id, key) = (fixture.id.clone(), fixture.key);
        fixture.write(move |tx| delete(tx, &By::server(), &id, Content::Purge));
        assert_eq!(fixture.store.read_inline(|at| overdue(at, now)).unwrap(), [key]);
        while fixture.write(move |tx| prune(tx, key, 1)) > 0 {}
        assert_eq!(fixture.store.read_inline(|at| rows::count(at, key)).unwrap(), 0);
    }

    #[test]
    fn a_search_that_finds_little_stops_and_says_where_to_go_on() {
        let fixture = Fixture::new();
        fixture.log(&Of::Key(fixture.key), Verdict::Fine, 1..=4_500);
        fixture.log(&Of::Key(fixture.key), Verdict::Fine, 5_001..=9_500);
        fixture.log(&Of::Key(fixture.key), Verdict::Fine, 10_001..=14_500);
        let mut wanted = Wanted { method: Some("NONE".to_owned()), ..Wanted::default() };
        let first = fixture.page(&wanted, 10);
        assert!(first.calls.is_empty() && first.next.is_some());
        wanted.before = first.next;
        let second = fixture.page(&wanted, 10);
        assert!(second.calls.is_empty() && second.next.is_none());
    }
}
