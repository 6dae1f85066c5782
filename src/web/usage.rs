//! What requests record in memory, stored in batches: calls, times of use, and positions of event feed readers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;
use crate::error::Result;
use crate::management::request_log;
use crate::model::account::AccountFilter;
use crate::provisioning::delivery::{self, FeedFilter};
use crate::provisioning::feed::EventsQuery;
use crate::store::{Store, WorkOwner};
use crate::web::call_log::CallActivity;
use crate::web::sign_in_failures::PendingSignInFailures;
use crate::web::undeclared_log::UndeclaredLog;

/// Uses that requests record in memory.
#[derive(Default)]
pub struct UsageRecorders {
    /// Positions of event feed readers.
    pub feeds: FeedUse,
    /// Failed sign-ins.
    pub sign_ins: PendingSignInFailures,
    /// Logged calls.
    pub calls: CallActivity,
    /// Attributes that no schema declares.
    pub undeclared: UndeclaredLog,
}

impl UsageRecorders {
    /// Stores what was recorded and is due. A failure is logged.
    pub async fn flush(&self, store: &Store) {
        self.flush_due(store, false).await;
    }

    /// Stores all that was recorded, before the server stops.
    pub async fn flush_all(&self, store: &Store) {
        self.flush_due(store, true).await;
    }

    async fn flush_due(&self, store: &Store, all: bool) {
        if let Err(problem) = self.calls.flush(store).await {
            tracing::warn!(%problem, "activity was not stored");
        }
        if let Err(problem) = store_recent_use(store).await {
            tracing::warn!(%problem, "times of last use are not stored yet");
        }
        if let Err(problem) = self.undeclared.flush(store, all).await {
            tracing::warn!(%problem, "undeclared attributes are not stored yet");
        }
        if let Err(problem) = self.sign_ins.flush(store).await {
            tracing::warn!(%problem, "failed sign-ins were not stored in the audit log");
        }
        if let Err(problem) = self.feeds.flush(store).await {
            tracing::warn!(%problem, "positions in the event feed were not stored");
        }
    }
}

/// Stores the times of last use. After a failure they are stored next time.
async fn store_recent_use(store: &Store) -> Result<()> {
    let unsaved = store.recent_use().take_unsaved();
    if unsaved.is_empty() {
        return Ok(());
    }
    let copy = unsaved.clone();
    let written = store.write_as(WorkOwner::Background, move |tx| request_log::store_recent_use(tx, &copy)).await;
    written.inspect_err(|_| store.recent_use().restore_unsaved(&unsaved))
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
            account: query.account.as_ref().map(|filter| filter.id().to_owned()).unwrap_or_default(),
            account_key: query.account.as_ref().and_then(AccountFilter::key),
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
