//! Rate limits of configurations. A limit applies only while several configurations call, so that none of them uses up
//! the shared capacity. A single caller is not limited: its first synchronization may run at full speed.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use governor::clock::{Clock, MonotonicClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// Size of a burst, in seconds of the rate: a first synchronization is a burst.
pub(crate) const BURST_SECONDS: u32 = 20;
/// How long the server counts as shared after the calling configuration changed.
const SHARED_FOR: Duration = Duration::from_secs(10);
/// Key that no configuration has.
const NO_CONFIGURATION: i64 = 0;

type ConfigurationLimiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock>;

/// Rate limiters by configuration key.
pub struct RateLimits {
    /// None if there is no limit.
    quota: Option<Quota>,
    limiters: RwLock<HashMap<i64, Arc<ConfigurationLimiter>>>,
    load: SharedLoad,
}

/// Detects whether more than one configuration calls.
struct SharedLoad {
    begun: Instant,
    /// Key of the last caller.
    last: AtomicI64,
    /// End of the shared period, in milliseconds since `begun`.
    shared_until: AtomicU64,
}

impl SharedLoad {
    fn new() -> Self {
        Self { begun: Instant::now(), last: AtomicI64::new(NO_CONFIGURATION), shared_until: AtomicU64::new(0) }
    }

    /// Records a call. Writes only when the caller changes, so that a single caller costs one atomic load.
    fn record_caller(&self, configuration: i64) {
        let last = self.last.load(Ordering::Relaxed);
        if last == configuration {
            return;
        }
        self.last.store(configuration, Ordering::Relaxed);
        if last != NO_CONFIGURATION {
            let until = self.millis().saturating_add(u64::try_from(SHARED_FOR.as_millis()).unwrap_or(u64::MAX));
            self.shared_until.store(until, Ordering::Relaxed);
        }
    }

    fn is_shared(&self) -> bool {
        self.millis() < self.shared_until.load(Ordering::Relaxed)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl RateLimits {
    /// Creates limiters of `per_second` requests per configuration; 0 for no limit.
    pub fn new(per_second: u32) -> Self {
        let burst = NonZeroU32::new(per_second.saturating_mul(BURST_SECONDS));
        let quota = NonZeroU32::new(per_second).zip(burst);
        let quota = quota.map(|(per_second, burst)| Quota::per_second(per_second).allow_burst(burst));
        Self { quota, limiters: RwLock::default(), load: SharedLoad::new() }
    }

    /// Counts a request of the configuration with this key. Returns how long to wait if its limit is exceeded and other
    /// configurations call too.
    pub fn count_request(&self, configuration: i64) -> Option<Duration> {
        let quota = self.quota?;
        self.load.record_caller(configuration);
        let budgets = self.limiters.read().unwrap_or_else(PoisonError::into_inner);
        let refused = if let Some(budget) = budgets.get(&configuration) {
            budget.check().err()?
        } else {
            drop(budgets);
            self.add_limiter(configuration, quota).check().err()?
        };
        self.load.is_shared().then(|| refused.wait_time_from(MonotonicClock.now()))
    }

    fn add_limiter(&self, configuration: i64, quota: Quota) -> Arc<ConfigurationLimiter> {
        let mut budgets = self.limiters.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(RateLimiter::direct_with_clock(quota, MonotonicClock));
        Arc::clone(budgets.entry(configuration).or_insert_with(fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_configuration_above_its_limit_waits() {
        let rates = RateLimits::new(50);
        assert_eq!(rates.count_request(2), None);
        let granted = (0..10_000).take_while(|_| rates.count_request(1).is_none()).count();
        assert!((1_000..2_000).contains(&granted), "{granted}");
        assert!(rates.count_request(1).is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(rates.count_request(2), None);
    }

    #[test]
    fn a_single_caller_never_waits() {
        let rates = RateLimits::new(50);
        assert!((0..10_000).all(|_| rates.count_request(1).is_none()));
        assert_eq!(rates.count_request(2), None);
        assert!(rates.count_request(1).is_some());
    }

    #[test]
    fn without_a_limit_no_configuration_waits() {
        let rates = RateLimits::new(0);
        assert!((0..100_000).all(|_| rates.count_request(1).is_none()));
    }
}
