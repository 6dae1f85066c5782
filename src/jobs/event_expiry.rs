//! Removes events that are older than the retention.

use std::time::Duration;

use crate::clock;
use crate::provisioning::feed;
use crate::store::{Store, WorkOwner};

/// Interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_mins(10);
/// Pause between two steps, so that other writes can run.
const PAUSE: Duration = Duration::from_millis(50);

/// Removes expired events at the interval. Never returns.
pub async fn expire_events(store: Store) {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        while clock::find_start_doubt().is_none() {
            match store.write_as(WorkOwner::Background, feed::remove_expired_events).await {
                Ok(true) => tokio::time::sleep(PAUSE).await,
                Ok(false) => break,
                Err(problem) => {
                    tracing::warn!(%problem, "removal of expired events failed and will be retried");
                    break;
                }
            }
        }
    }
}
