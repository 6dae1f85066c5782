//! How often one address may come with a wrong token. A right token always passes, so nobody can lock a customer out
//! by guessing; the guesser is slowed down.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// Wrong tokens that an address may send within a minute.
const WRONG_TOKENS_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(599);
/// Addresses that are remembered; beyond it those that have been quiet are forgotten.
const ADDRESSES_MAX: usize = 10_000;

/// The budget of every address.
pub struct Guard {
    budget: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, MonotonicClock>,
}

impl Default for Guard {
    fn default() -> Self {
        let clock = MonotonicClock;
        Self {
            budget: RateLimiter::new(Quota::per_minute(WRONG_TOKENS_PER_MINUTE), HashMapStateStore::default(), clock),
        }
    }
}

impl Guard {
    /// Notes a wrong token. Says how long to wait where the budget is spent.
    pub fn note_wrong_token(&self, from: IpAddr) -> Option<Duration> {
        if self.budget.len() > ADDRESSES_MAX {
            self.budget.retain_recent();
        }
        let refused = self.budget.check_key(&from).err()?;
        Some(refused.wait_time_from(MonotonicClock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guesser_is_slowed_down_and_nobody_else() {
        let guard = Guard::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        for _ in 0..WRONG_TOKENS_PER_MINUTE.get() {
            assert_eq!(guard.note_wrong_token(one), None);
        }
        assert!(guard.note_wrong_token(one).is_some_and(|wait| wait > Duration::ZERO));
        assert_eq!(guard.note_wrong_token(other), None);
    }
}
