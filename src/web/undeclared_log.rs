//! Undeclared attributes of requests, counted in memory and stored in batches: a new name soon, a known one once a minute.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Millis;
use crate::error::Result;
use crate::management::schema_extensions::undeclared::{UNDECLARED_MAX, UndeclaredUse, store_undeclared_use};
use crate::model::configuration::ConfigurationKey;
use crate::scim::schema::undeclared::{UndeclaredAttribute, UndeclaredAttributes};
use crate::store::{Store, WorkOwner};

/// How long a stored name stays in memory, and how often its count is stored.
const INTERVAL: Duration = Duration::from_mins(1);
/// Most names in memory, of all configurations. Those of one are limited to [`UNDECLARED_MAX`].
const NAMES_MAX: usize = 20_000;
/// Most names in memory, of all configurations of one account.
const ACCOUNT_NAMES_MAX: usize = NAMES_MAX / 8;
/// Most names per transaction.
const NAMES_PER_BATCH: usize = 200;

/// Undeclared attributes that are not stored yet. A crash loses at most the counts of the last minute.
#[derive(Debug, Default)]
pub struct UndeclaredLog(Mutex<PendingNames>);

#[derive(Debug, Default)]
struct PendingNames {
    configurations: HashMap<i64, ConfigurationNames>,
    names: usize,
    /// Names by account.
    accounts: HashMap<i64, usize>,
}

/// The names of one configuration.
#[derive(Debug)]
struct ConfigurationNames {
    account: i64,
    names: Vec<PendingName>,
}

#[derive(Debug)]
struct PendingName {
    /// The attribute with the calls that are not stored.
    used: UndeclaredUse,
    /// Number of the calls in `used` that are being stored, and of the refused ones among them.
    in_flight: i64,
    in_flight_refused: i64,
    saved_at: Option<Instant>,
}

impl PendingName {
    fn has_name(&self, found: &UndeclaredAttribute) -> bool {
        self.used.has_name(&found.resource_type, &found.name)
    }
}

/// The names of one configuration to store.
#[derive(Debug, Clone)]
struct NameBatch {
    configuration: i64,
    uses: Vec<UndeclaredUse>,
}

impl UndeclaredLog {
    fn lock(&self) -> MutexGuard<'_, PendingNames> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the undeclared attributes of one call.
    pub fn record(&self, configuration: ConfigurationKey, found: UndeclaredAttributes, is_refused: bool, now: Millis) {
        if found.is_empty() {
            return;
        }
        let mut pending = self.lock();
        for attribute in found {
            pending.add(configuration, attribute, i64::from(is_refused), now);
        }
    }

    /// Returns the calls of a configuration that are not stored yet.
    pub fn list_pending(&self, configuration: i64) -> Vec<UndeclaredUse> {
        let pending = self.lock();
        let names = pending.configurations.get(&configuration).into_iter().flat_map(|found| &found.names);
        names.filter(|name| name.used.calls > 0).map(|name| name.used.clone()).collect()
    }

    /// Stores what is due. `all` also stores the names that were stored a short time ago.
    ///
    /// # Errors
    /// Errors of the store. What was not stored stays in memory.
    pub async fn flush(&self, store: &Store, all: bool) -> Result<()> {
        let mut result = Ok(());
        for batch in self.take_due(Instant::now(), all) {
            let copy = batch.clone();
            let written = store
                .write_as(WorkOwner::Background, move |tx| store_undeclared_use(tx, copy.configuration, &copy.uses))
                .await;
            self.lock().complete(&batch, written.is_ok());
            result = result.and(written);
        }
        result
    }

    fn take_due(&self, now: Instant, all: bool) -> Vec<NameBatch> {
        self.lock().take_due(now, all)
    }
}

impl PendingNames {
    fn add(&mut self, configuration: ConfigurationKey, found: UndeclaredAttribute, refused: i64, now: Millis) {
        let of_account = self.accounts.entry(configuration.account).or_default();
        let is_full = self.names >= NAMES_MAX || *of_account >= ACCOUNT_NAMES_MAX;
        let ConfigurationKey { account, key } = configuration;
        let names = self.configurations.entry(key).or_insert_with(|| ConfigurationNames { account, names: Vec::new() });
        let names = &mut names.names;
        let position = names.iter().position(|name| name.has_name(&found));
        if position.is_none() && (is_full || names.len() >= UNDECLARED_MAX) {
            return;
        }
        let used = UndeclaredUse {
            resource_type: found.resource_type.into_owned(),
            name: found.name,
            kind: found.kind,
            multi_valued: found.multi_valued,
            calls: 1,
            refused,
            first_seen: now,
            last_seen: now,
        };
        match position {
            Some(position) if names[position].used.calls > 0 => names[position].used.add(&used),
            Some(position) => names[position].used = used,
            None => {
                names.push(PendingName { used, in_flight: 0, in_flight_refused: 0, saved_at: None });
                self.names += 1;
                *of_account += 1;
            }
        }
    }

    fn take_due(&mut self, now: Instant, all: bool) -> Vec<NameBatch> {
        let is_recent = |name: &PendingName| name.saved_at.is_some_and(|at| now.duration_since(at) < INTERVAL);
        let mut batches: Vec<NameBatch> = Vec::new();
        self.configurations.retain(|configuration, ConfigurationNames { names, .. }| {
            names.retain(|name| name.used.calls > 0 || is_recent(name));
            for name in names.iter_mut().filter(|name| name.used.calls > 0 && name.in_flight == 0) {
                if !all && is_recent(name) {
                    continue;
                }
                (name.in_flight, name.in_flight_refused) = (name.used.calls, name.used.refused);
                name.saved_at = Some(now);
                match batches.last_mut() {
                    Some(last) if last.configuration == *configuration && last.uses.len() < NAMES_PER_BATCH => {
                        last.uses.push(name.used.clone());
                    }
                    _ => batches.push(NameBatch { configuration: *configuration, uses: vec![name.used.clone()] }),
                }
            }
            !names.is_empty()
        });
        self.names = self.configurations.values().map(|found| found.names.len()).sum();
        self.accounts.clear();
        for ConfigurationNames { account, names } in self.configurations.values() {
            *self.accounts.entry(*account).or_default() += names.len();
        }
        batches
    }

    /// Removes the calls of a batch that is stored.
    fn complete(&mut self, batch: &NameBatch, is_stored: bool) {
        let Some(ConfigurationNames { names, .. }) = self.configurations.get_mut(&batch.configuration) else { return };
        for used in &batch.uses {
            let Some(name) = names.iter_mut().find(|name| name.used.has_name(&used.resource_type, &used.name)) else {
                continue;
            };
            if is_stored {
                name.used.calls -= name.in_flight;
                name.used.refused -= name.in_flight_refused;
            } else {
                name.saved_at = None;
            }
            (name.in_flight, name.in_flight_refused) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::dialect::DialectRules;
    use crate::scim::schema::USER_TYPE;
    use crate::scim::schema::undeclared::find_undeclared;
    use crate::scim::validate::read_resource;
    use serde_json::{Value, json};

    fn found(body: &Value) -> UndeclaredAttributes {
        let mut read = read_resource(body, &USER_TYPE, DialectRules::LENIENT);
        find_undeclared(&mut read, body, &USER_TYPE)
    }

    fn record(log: &UndeclaredLog, names: std::ops::Range<usize>) {
        for number in names {
            log.record(
                ConfigurationKey { account: 1, key: 1 },
                found(&json!({"userName": "a", format!("x{number}"): 1})),
                false,
                7,
            );
        }
    }

    #[test]
    fn a_new_name_is_due_at_once_and_a_known_one_after_a_minute() {
        let (log, start) = (UndeclaredLog::default(), Instant::now());
        record(&log, 0..1);
        let first = log.take_due(start, false);
        assert_eq!((first.len(), first[0].uses.len(), first[0].uses[0].calls), (1, 1, 1));
        // While the batch is being stored, its calls are pending, and more of them arrive.
        record(&log, 0..1);
        assert_eq!(log.list_pending(1)[0].calls, 2);
        assert!(log.take_due(start, true).is_empty());
        log.lock().complete(&first[0], true);
        assert_eq!(log.list_pending(1)[0].calls, 1);
        assert!(log.take_due(start + INTERVAL / 2, false).is_empty());
        let second = log.take_due(start + INTERVAL, false);
        assert_eq!(second[0].uses[0].calls, 1);
        log.lock().complete(&second[0], false);
        assert_eq!(log.take_due(start + INTERVAL, false).len(), 1);
    }

    #[test]
    fn a_configuration_stores_a_bounded_number_of_names_per_minute() {
        let (log, start) = (UndeclaredLog::default(), Instant::now());
        let mut stored = 0;
        for round in (0_u32..59).step_by(4) {
            record(&log, 0..100 * usize::try_from(round).unwrap() + 100);
            for batch in log.take_due(start + Duration::from_secs(u64::from(round)), false) {
                stored += batch.uses.len();
                log.lock().complete(&batch, true);
            }
        }
        assert_eq!(stored, UNDECLARED_MAX);
    }

    #[test]
    fn the_names_of_all_configurations_are_bounded() {
        let log = UndeclaredLog::default();
        let mut body = json!({"userName": "a"});
        (0..50).for_each(|number| body[format!("x{number}")] = json!(1));
        for configuration in 0..1_000 {
            log.record(ConfigurationKey { account: configuration, key: configuration }, found(&body), false, 7);
        }
        assert_eq!(log.lock().names, NAMES_MAX);
        let batches = log.take_due(Instant::now(), true);
        assert_eq!(batches.iter().map(|batch| batch.uses.len()).sum::<usize>(), NAMES_MAX);
        for batch in &batches {
            log.lock().complete(batch, true);
        }
        assert!(log.take_due(Instant::now() + INTERVAL, true).is_empty());
        assert_eq!(log.lock().names, 0);
    }

    #[test]
    fn the_names_of_one_account_are_bounded() {
        let log = UndeclaredLog::default();
        let mut body = json!({"userName": "a"});
        (0..50).for_each(|number| body[format!("x{number}")] = json!(1));
        for key in 0..1_000 {
            log.record(ConfigurationKey { account: 1, key }, found(&body), false, 7);
        }
        assert_eq!(log.lock().names, ACCOUNT_NAMES_MAX);
        log.record(ConfigurationKey { account: 2, key: 5_000 }, found(&body), false, 7);
        assert_eq!(log.list_pending(5_000).len(), 50);
        for batch in log.take_due(Instant::now(), true) {
            log.lock().complete(&batch, true);
        }
        log.take_due(Instant::now() + INTERVAL, true);
        log.record(ConfigurationKey { account: 1, key: 1 }, found(&body), false, 7);
        assert_eq!(log.list_pending(1).len(), 50, "stored names make room");
    }
}
