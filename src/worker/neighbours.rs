//! Wakes who waits for events when a command beside the server has written some: its commits are not the server's.

use std::time::Duration;

use crate::directory::feed;
use crate::store::Store;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);

/// Looks from time to time, for ever.
pub async fn run(store: Store) {
    let mut seen = None;
    loop {
        // A read that fails is tried again, and noted by those who need it.
        if let Ok(end) = store.read_inline(feed::end)
            && seen.replace(end) != Some(end)
        {
            store.wake();
        }
        tokio::time::sleep(EVERY).await;
    }
}
