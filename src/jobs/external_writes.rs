//! Detects events that another process (a command) has written, and wakes the feed requests that wait for events.

use std::time::Duration;

use crate::provisioning::feed;
use crate::store::Store;

/// Interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Checks for new events at the interval. Never returns.
pub async fn watch_external_writes(store: Store) {
    let mut seen = None;
    loop {
        // A failed read is retried at the next interval. Requests that need the data report the error.
        if let Ok(end) = store.read_inline(feed::find_end)
            && seen.replace(end) != Some(end)
        {
            store.notify_event_waiters();
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}
