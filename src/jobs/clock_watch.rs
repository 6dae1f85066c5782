//! Follows the system clock, and reports its leaps.

use std::time::Duration;

use crate::clock;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Compares the believed time with the system clock at the interval. Never returns.
pub async fn watch_clock() {
    loop {
        clock::follow_system_clock().log();
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}
