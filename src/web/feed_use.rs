//! How far the event feed was read: gathered in memory, written down with everything else of that kind.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;
use crate::directory::delivery::{self, Asked};
use crate::error::Result;
use crate::store::events::Wanted;
use crate::store::{Store, Undo};

/// Places that wait at most: callers may ask for any account.
const WAITING_MAX: usize = 1_000;

/// Places that are not written down yet. A crash loses at most the last second of them.
#[derive(Debug, Default)]
pub struct FeedUse(Mutex<HashMap<Asked, (i64, Millis)>>);

impl FeedUse {
    /// Notes that somebody has dealt with everything up to a place, because they ask for what comes after it.
    pub fn note(&self, wanted: &Wanted, after: i64, now: Millis) {
        if wanted.nothing {
            return;
        }
        let asked = Asked {
            account: wanted.account.clone().unwrap_or_default(),
            configuration_id: wanted.configuration.clone().unwrap_or_default(),
        };
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= WAITING_MAX && !places.contains_key(&asked) {
            return;
        }
        let (place, at) = places.entry(asked).or_default();
        (*place, *at) = ((*place).max(after), now);
    }

    /// Writes down what was noted since the last time.
    ///
    /// # Errors
    /// What the store says; the notes are lost then.
    pub async fn write_down(&self, store: &Store) -> Result<()> {
        let places = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if places.is_empty() {
            return Ok(());
        }
        let written = store.write(Undo::Savepoint, move |tx| {
            places.iter().try_for_each(|(asked, (seq, at))| delivery::note(tx, asked, *seq, *at))
        });
        written.await
    }
}
