//! How many requests each configuration may make with a right token while others call too, so that no customer uses up
//! what is there for all. Who calls alone takes nothing from anybody: a first synchronisation may go as fast as it can.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use governor::clock::{Clock, MonotonicClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// Seconds' worth of requests that may come at once: a first synchronisation comes in a burst.
const BURST_SECONDS: u32 = 20;
/// For how long after two configurations called in turn the server counts as shared.
const SHARED_FOR: Duration = Duration::from_secs(10);
/// No configuration has this key.
const NOBODY: i64 = 0;

type Budget = RateLimiter<NotKeyed, InMemoryState, MonotonicClock>;

/// The budgets of all configurations, by their keys.
pub struct Rates {
    /// None where there is no limit.
    quota: Option<Quota>,
    budgets: RwLock<HashMap<i64, Arc<Budget>>>,
    turns: Turns,
}

/// Whether more than one configuration calls.
struct Turns {
    begun: Instant,
    /// Who called last.
    last: AtomicI64,
    /// Until when the server counts as shared, in milliseconds since the beginning.
    shared_until: AtomicU64,
}

impl Turns {
    fn new() -> Self {
        Self { begun: Instant::now(), last: AtomicI64::new(NOBODY), shared_until: AtomicU64::new(0) }
    }

    /// Written only when the turn changes: one caller alone costs one look.
    fn note(&self, configuration: i64) {
        let last = self.last.load(Ordering::Relaxed);
        if last == configuration {
            return;
        }
        self.last.store(configuration, Ordering::Relaxed);
        if last != NOBODY {
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

impl Rates {
    /// That many requests a second for each; 0 for no limit.
    pub fn new(per_second: u32) -> Self {
        let burst = NonZeroU32::new(per_second.saturating_mul(BURST_SECONDS));
        let quota = NonZeroU32::new(per_second).zip(burst);
        let quota = quota.map(|(per_second, burst)| Quota::per_second(per_second).allow_burst(burst));
        Self { quota, budgets: RwLock::default(), turns: Turns::new() }
    }

    /// Counts a request of the configuration with that key. Says how long to wait where its budget is spent and others
    /// call too.
    pub fn spend(&self, configuration: i64) -> Option<Duration> {
        let quota = self.quota?;
        self.turns.note(configuration);
        let budgets = self.budgets.read().unwrap_or_else(PoisonError::into_inner);
        let refused = if let Some(budget) = budgets.get(&configuration) {
            budget.check().err()?
        } else {
            drop(budgets);
            self.first(configuration, quota).check().err()?
        };
        self.turns.is_shared().then(|| refused.wait_time_from(MonotonicClock.now()))
    }

    fn first(&self, configuration: i64, quota: Quota) -> Arc<Budget> {
        let mut budgets = self.budgets.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(RateLimiter::direct_with_clock(quota, MonotonicClock));
        Arc::clone(budgets.entry(configuration).or_insert_with(fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_configuration_that_asks_too_much_waits_and_its_neighbour_does_not() {
        let rates = Rates::new(50);
        assert_eq!(rates.spend(2), None);
        let granted = (0..10_000).take_while(|_| rates.spend(1).is_none()).count();
        assert!((1_000..2_000).contains(&granted), "{granted}");
        assert!(rates.spend(1).is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(rates.spend(2), None);
    }

    #[test]
    fn who_calls_alone_never_waits() {
        let rates = Rates::new(50);
        assert!((0..10_000).all(|_| rates.spend(1).is_none()));
        assert_eq!(rates.spend(2), None);
        assert!(rates.spend(1).is_some());
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let rates = Rates::new(0);
        assert!((0..100_000).all(|_| rates.spend(1).is_none()));
    }
}
