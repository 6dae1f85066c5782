//! Times of last use that are not stored yet. Reads add them to the rows, so that a read after a call shows the call,
//! although the row is written later and once for many calls. Also counts of refused calls, which reads do not add.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::clock::Millis;
use crate::sync::{Mutex, MutexGuard};

/// How long an entry stays in memory after it was stored. Longer than any read, so that a read whose snapshot is older
/// than the row still finds the entry.
const RETENTION: Duration = Duration::from_mins(1);

/// Times of the last calls of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSeen {
    /// The last authenticated call.
    pub last_call: Millis,
    /// The last successful write.
    pub last_write: Option<Millis>,
}

/// Times of the uses of a token since the last one that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenUse {
    /// The first of these uses.
    pub first: Millis,
    /// The last use.
    pub last: Millis,
}

/// Calls that were refused because of a limit of active users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedUsers {
    /// Number of the calls.
    pub count: i64,
    /// Time of the last one.
    pub last: Millis,
}

impl RefusedUsers {
    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.last = self.last.max(other.last);
    }
}

/// Recent uses of configurations, tokens and API keys in memory. A crash loses those that are not stored.
#[derive(Debug, Default)]
pub struct RecentUse(Mutex<RecentTables>);

#[derive(Debug, Default)]
struct RecentTables {
    configurations: RecentTable<i64, LastSeen>,
    tokens: RecentTable<String, TokenUse>,
    keys: RecentTable<String, Millis>,
    /// By key of the configuration, since they were stored.
    refused: HashMap<i64, RefusedUsers>,
}

/// Uses to store.
#[derive(Debug, Default, Clone)]
pub struct UnsavedUse {
    /// By key of the configuration.
    pub configurations: Vec<(i64, LastSeen)>,
    /// By id of the token.
    pub tokens: Vec<(String, TokenUse)>,
    /// By id of the API key.
    pub keys: Vec<(String, Millis)>,
    /// By key of the configuration: calls since the last ones that were stored.
    pub refused: Vec<(i64, RefusedUsers)>,
}

impl UnsavedUse {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.configurations.is_empty() && self.tokens.is_empty() && self.keys.is_empty() && self.refused.is_empty()
    }
}

impl RecentUse {
    fn lock(&self) -> MutexGuard<'_, RecentTables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call with a valid token.
    pub fn record_call(&self, configuration: i64, token: &str, at: Millis, is_write: bool) {
        let mut tables = self.lock();
        let seen = LastSeen { last_call: at, last_write: is_write.then_some(at) };
        tables.configurations.record(&configuration, seen, |known| {
            known.last_call = known.last_call.max(at);
            known.last_write = known.last_write.max(seen.last_write);
        });
        tables.tokens.record(token, TokenUse { first: at, last: at }, |known| known.last = known.last.max(at));
    }

    /// Records a use of the API key with this id.
    pub fn record_key(&self, id: &str, at: Millis) {
        self.lock().keys.record(id, at, |known| *known = (*known).max(at));
    }

    /// Counts a call of a configuration that was refused because of a limit of active users.
    pub fn record_refused_user(&self, configuration: i64, at: Millis) {
        self.lock().add_refused(configuration, RefusedUsers { count: 1, last: at });
    }

    /// Returns the times of the last calls of a configuration, if it was called recently.
    pub fn find_last_seen(&self, configuration: i64) -> Option<LastSeen> {
        self.lock().configurations.find(&configuration)
    }

    /// Returns the recent uses of a token.
    pub fn find_token_use(&self, id: &str) -> Option<TokenUse> {
        self.lock().tokens.find(id)
    }

    /// Returns the time of the recent use of an API key.
    pub fn find_key_use(&self, id: &str) -> Option<Millis> {
        self.lock().keys.find(id)
    }

    /// Returns what is to be stored. It counts as stored from now on: after a failure, pass it to
    /// [`Self::restore_unsaved`].
    pub fn take_unsaved(&self) -> UnsavedUse {
        let (mut tables, now) = (self.lock(), Instant::now());
        UnsavedUse {
            configurations: tables.configurations.take_unsaved(now),
            tokens: tables.tokens.take_unsaved(now),
            keys: tables.keys.take_unsaved(now),
            refused: tables.refused.drain().collect(),
        }
    }

    /// Marks what could not be stored, so that it is stored next time.
    pub fn restore_unsaved(&self, failed: &UnsavedUse) {
        let mut tables = self.lock();
        tables.configurations.mark_unsaved(&failed.configurations);
        tables.tokens.mark_unsaved(&failed.tokens);
        tables.keys.mark_unsaved(&failed.keys);
        for (configuration, refused) in &failed.refused {
            tables.add_refused(*configuration, *refused);
        }
    }
}

impl RecentTables {
    fn add_refused(&mut self, configuration: i64, more: RefusedUsers) {
        self.refused.entry(configuration).or_insert(RefusedUsers { count: 0, last: more.last }).add(more);
    }
}

/// Entries by key. An entry is unsaved, or was stored at a time.
#[derive(Debug)]
struct RecentTable<K, V>(HashMap<K, RecentEntry<V>>);

#[derive(Debug)]
struct RecentEntry<V> {
    value: V,
    saved_at: Option<Instant>,
}

impl<K, V> Default for RecentTable<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone, V: Copy> RecentTable<K, V> {
    fn record<Q>(&mut self, key: &Q, new: V, update: impl FnOnce(&mut V))
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        match self.0.get_mut(key) {
            Some(entry) => {
                update(&mut entry.value);
                entry.saved_at = None;
            }
            None => {
                self.0.insert(key.to_owned(), RecentEntry { value: new, saved_at: None });
            }
        }
    }

    fn find<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(key).map(|entry| entry.value)
    }

    fn take_unsaved(&mut self, now: Instant) -> Vec<(K, V)> {
        self.0.retain(|_, entry| entry.saved_at.is_none_or(|at| now.duration_since(at) < RETENTION));
        let unsaved = self.0.iter_mut().filter(|(_, entry)| entry.saved_at.is_none());
        unsaved
            .map(|(key, entry)| {
                entry.saved_at = Some(now);
                (key.clone(), entry.value)
            })
            .collect()
    }

    fn mark_unsaved(&mut self, failed: &[(K, V)]) {
        for (key, _) in failed {
            if let Some(entry) = self.0.get_mut(key) {
                entry.saved_at = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_before_and_after_it_is_stored_and_stored_once() {
        let recent = RecentUse::default();
        recent.record_call(1, "t", 10, true);
        recent.record_call(1, "t", 12, false);
        recent.record_call(1, "t", 11, false);
        let seen = LastSeen { last_call: 12, last_write: Some(10) };
        assert_eq!(recent.find_last_seen(1), Some(seen));
        let unsaved = recent.take_unsaved();
        assert_eq!(unsaved.configurations, [(1, seen)]);
        assert_eq!(unsaved.tokens, [("t".to_owned(), TokenUse { first: 10, last: 12 })]);
        assert!(recent.take_unsaved().is_empty());
        assert_eq!((recent.find_last_seen(1), recent.find_last_seen(2)), (Some(seen), None));
        recent.restore_unsaved(&unsaved);
        assert_eq!(recent.take_unsaved().configurations, unsaved.configurations);
    }

    #[test]
    fn refused_calls_are_counted_once_and_again_after_a_failure() {
        let recent = RecentUse::default();
        recent.record_refused_user(1, 10);
        recent.record_refused_user(1, 9);
        let unsaved = recent.take_unsaved();
        assert_eq!(unsaved.refused, [(1, RefusedUsers { count: 2, last: 10 })]);
        assert!(recent.take_unsaved().is_empty());
        recent.record_refused_user(1, 12);
        recent.restore_unsaved(&unsaved);
        assert_eq!(recent.take_unsaved().refused, [(1, RefusedUsers { count: 3, last: 12 })]);
    }

    #[test]
    fn a_stored_entry_leaves_after_the_retention() {
        let mut table = RecentTable::<i64, Millis>::default();
        let start = Instant::now();
        table.record(&1, 5, |_| {});
        assert_eq!(table.take_unsaved(start), [(1, 5)]);
        assert!(table.take_unsaved(start + RETENTION / 2).is_empty());
        assert_eq!(table.find(&1), Some(5));
        assert!(table.take_unsaved(start + RETENTION).is_empty());
        assert_eq!(table.find(&1), None);
    }
}
