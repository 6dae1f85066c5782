//! Rate limits of configurations and accounts. A limit applies only while several configurations call, so that none of them
//! uses up the shared capacity. A single caller is not limited: its first synchronization may run at full speed.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use governor::clock::{Clock, MonotonicClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};

use crate::model::configuration::ConfigurationKey;

/// Rate of all configurations of one account, as a multiple of the rate of one configuration.
pub(crate) const ACCOUNT_FACTOR: u32 = 2;
/// Size of a burst, in seconds of the rate: a first synchronization is a burst.
pub(crate) const BURST_SECONDS: u32 = 20;
/// How long the server counts as shared after the calling configuration changed.
const SHARED_FOR: Duration = Duration::from_secs(10);
/// Key that no configuration has.
const NO_CONFIGURATION: i64 = 0;

type RequestLimiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock>;

/// The limiters of a configuration.
#[derive(Clone)]
struct ConfigurationLimiters {
    own: Arc<RequestLimiter>,
    /// Shared with the other configurations of the account.
    account: Arc<RequestLimiter>,
}

impl ConfigurationLimiters {
    fn check(&self) -> Result<(), NotUntil<<MonotonicClock as Clock>::Instant>> {
        self.own.check()?;
        self.account.check()
    }
}

/// Rate limiters by configuration key.
pub struct RateLimits {
    /// None if there is no limit.
    quota: Option<AllowedRates>,
    limiters: RwLock<Limiters>,
    load: SharedLoad,
}

#[derive(Default)]
struct Limiters {
    configurations: HashMap<i64, ConfigurationLimiters>,
    accounts: HashMap<i64, Arc<RequestLimiter>>,
}

#[derive(Clone, Copy)]
struct AllowedRates {
    configuration: Quota,
    account: Quota,
}

impl AllowedRates {
    /// The rates for `per_second` requests of one configuration. `None` for 0.
    fn from_setting(per_second: u32) -> Option<Self> {
        let quota = |per_second: u32| {
            let burst = NonZeroU32::new(per_second.saturating_mul(BURST_SECONDS))?;
            Some(Quota::per_second(NonZeroU32::new(per_second)?).allow_burst(burst))
        };
        let account = quota(per_second.saturating_mul(ACCOUNT_FACTOR))?;
        Some(Self { configuration: quota(per_second)?, account })
    }
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
        let quota = AllowedRates::from_setting(per_second);
        Self { quota, limiters: RwLock::default(), load: SharedLoad::new() }
    }

    /// Counts a request of the configuration. Returns how long to wait if its limit, or that of its account, is exceeded and
    /// other configurations call too.
    pub fn count_request(&self, configuration: ConfigurationKey) -> Option<Duration> {
        let quota = self.quota?;
        self.load.record_caller(configuration.key);
        let budgets = self.limiters.read().unwrap_or_else(PoisonError::into_inner);
        let refused = if let Some(budget) = budgets.configurations.get(&configuration.key) {
            budget.check().err()?
        } else {
            drop(budgets);
            self.add_limiter(configuration, quota).check().err()?
        };
        self.load.is_shared().then(|| refused.wait_time_from(MonotonicClock.now()))
    }

    fn add_limiter(&self, configuration: ConfigurationKey, rates: AllowedRates) -> ConfigurationLimiters {
        let mut budgets = self.limiters.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = |quota| Arc::new(RateLimiter::direct_with_clock(quota, MonotonicClock));
        let account = budgets.accounts.entry(configuration.account).or_insert_with(|| fresh(rates.account));
        let account = Arc::clone(account);
        let limiters = || ConfigurationLimiters { own: fresh(rates.configuration), account };
        budgets.configurations.entry(configuration.key).or_insert_with(limiters).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only configuration of an account.
    fn alone(key: i64) -> ConfigurationKey {
        ConfigurationKey { account: key, key }
    }

    #[test]
    fn only_the_configuration_above_its_limit_waits() {
        let rates = RateLimits::new(50);
        assert_eq!(rates.count_request(alone(2)), None);
        let granted = (0..10_000).take_while(|_| rates.count_request(alone(1)).is_none()).count();
        assert!((1_000..2_000).contains(&granted), "{granted}");
        assert!(rates.count_request(alone(1)).is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(rates.count_request(alone(2)), None);
    }

    #[test]
    fn a_single_caller_never_waits() {
        let rates = RateLimits::new(50);
        assert!((0..10_000).all(|_| rates.count_request(alone(1)).is_none()));
        assert_eq!(rates.count_request(alone(2)), None);
        assert!(rates.count_request(alone(1)).is_some());
    }

    #[test]
    fn without_a_limit_no_configuration_waits() {
        let rates = RateLimits::new(0);
        assert!((0..100_000).all(|_| rates.count_request(alone(1)).is_none()));
    }

    #[test]
    fn the_configurations_of_one_account_share_a_limit() {
        let rates = RateLimits::new(50);
        assert_eq!(rates.count_request(alone(2)), None);
        let of_account = |number: i64| ConfigurationKey { account: 1, key: 10 + number % 48 };
        let granted = (0..20_000).filter(|number| rates.count_request(of_account(*number)).is_none()).count();
        assert!((2_000..4_000).contains(&granted), "{granted}");
        assert_eq!(rates.count_request(alone(2)), None);
    }
}
