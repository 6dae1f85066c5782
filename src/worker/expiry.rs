//! Removes events that were kept long enough.

use std::time::Duration;

use crate::directory::feed;
use crate::store::{Store, Undo};

/// How often it looks.
const EVERY: Duration = Duration::from_mins(10);
/// How long the writer is left to others between two steps.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks from time to time, for ever.
pub async fn run(store: Store) {
    loop {
        tokio::time::sleep(EVERY).await;
        loop {
            match store.write(Undo::Savepoint, feed::remove_expired).await {
                Ok(true) => tokio::time::sleep(PAUSE).await,
                Ok(false) => break,
                Err(problem) => {
                    tracing::warn!(%problem, "old events were not removed; it is tried again");
                    break;
                }
            }
        }
    }
}
