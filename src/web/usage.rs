//! Uses of API keys and positions of event feed readers, collected in memory and stored in batches.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;
use crate::error::Result;
use crate::management::api_keys;
use crate::provisioning::delivery::{self, FeedFilter};
use crate::provisioning::feed::EventsQuery;
use crate::store::{Store, WorkOwner};
use crate::web::call_log::CallActivity;

/// Uses that requests record in memory.
#[derive(Default)]
pub struct UsageRecorders {
    /// Last use of API keys.
    pub keys: KeyUse,
    /// Positions of event feed readers.
    pub feeds: FeedUse,
    /// Logged calls and last-seen times.
    pub calls: CallActivity,
}

impl UsageRecorders {
    /// Stores what was recorded. A failure is logged; what was recorded is lost then.
    pub async fn flush(&self, store: &Store) {
        if let Err(problem) = self.calls.flush(store).await {
            tracing::warn!(%problem, "activity was not stored");
        }
        if let Err(problem) = self.keys.flush(store).await {
            tracing::warn!(%problem, "uses of API keys were not stored");
        }
        if let Err(problem) = self.feeds.flush(store).await {
            tracing::warn!(%problem, "positions in the event feed were not stored");
        }
    }
}

/// Most positions in memory; callers may request any account.
const WAITING_MAX: usize = 1_000;

/// Positions of event feed readers that are not stored yet. A crash loses at most the last second.
#[derive(Debug, Default)]
pub struct FeedUse(Mutex<HashMap<FeedFilter, (i64, Millis)>>);

impl FeedUse {
    /// Records that a reader has processed all events up to `after`, because it requests those that follow.
    pub fn record(&self, query: &EventsQuery, after: i64, now: Millis) {
        if query.matches_nothing {
            return;
        }
        let reader = FeedFilter {
            account: query.account.clone().unwrap_or_default(),
            configuration_id: query.configuration.clone().unwrap_or_default(),
        };
        let mut positions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if positions.len() >= WAITING_MAX && !positions.contains_key(&reader) {
            return;
        }
        let (position, at) = positions.entry(reader).or_default();
        (*position, *at) = ((*position).max(after), now);
    }

    /// Stores the collected positions.
    ///
    /// # Errors
    /// Errors of the store; the positions are lost then.
    async fn flush(&self, store: &Store) -> Result<()> {
        let positions = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if positions.is_empty() {
            return Ok(());
        }
        let written = store.write_as(WorkOwner::Background, move |tx| {
            positions.iter().try_for_each(|(reader, (seq, at))| delivery::record_position(tx, reader, *seq, *at))
        });
        written.await
    }
}

/// Uses of API keys that are not stored yet. A crash loses at most the last second.
#[derive(Debug, Default)]
pub struct KeyUse(Mutex<HashMap<String, Millis>>);

impl KeyUse {
    /// Records a use of the key with this id.
    pub fn record(&self, id: &str, now: Millis) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match used.get_mut(id) {
            Some(last) => *last = now,
            None => {
                used.insert(id.to_owned(), now);
            }
        }
    }

    /// Stores the collected uses.
    ///
    /// # Errors
    /// Errors of the store; the uses are lost then.
    async fn flush(&self, store: &Store) -> Result<()> {
        let used = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if used.is_empty() {
            return Ok(());
        }
        store.write_as(WorkOwner::Background, move |tx| api_keys::record_key_uses(tx, &used)).await
    }
}
