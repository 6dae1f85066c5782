//! Limits of failed attempts: wrong tokens per address, password checks per user, sign-ins per admin and address. A
//! valid token always passes, so that an attacker cannot lock out a customer by guessing.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::web::network::limit_key;

/// Wrong tokens per address and minute.
pub(crate) const WRONG_TOKENS_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(599);
/// Failed requests for access tokens per OAuth client and minute.
pub(crate) const WRONG_CLIENTS_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
/// Password checks per user and minute.
pub(crate) const PASSWORD_CHECKS_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Sign-in attempts per admin, address and minute.
pub(crate) const SIGN_INS_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
/// Sign-in attempts per address and minute, for all admins.
pub(crate) const SIGN_INS_FROM_ONE_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);
/// Sign-in attempts per known device and minute.
pub(crate) const SIGN_INS_OF_KNOWN_DEVICE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Sign-in attempts of all unknown devices per second: about a fifth of one core.
pub(crate) const SIGN_INS_OF_NEW_DEVICES: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Sign-in attempts of all unknown devices at once, after a pause.
pub(crate) const SIGN_INS_OF_NEW_DEVICES_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(39);
/// Single sign-on callbacks per address and minute. A whole office may share one address.
pub(crate) const SINGLE_SIGN_ONS_FROM_ONE_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
/// Log lines about failed sign-ins per address and minute.
pub(crate) const FAILURE_LINES_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Most keys in one limiter; above it, keys without recent attempts are removed.
const KEYS_MAX: usize = 10_000;

type KeyedLimiter<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock>;

/// Limiters by address, user and admin.
pub struct LoginThrottle {
    wrong_tokens: KeyedLimiter<IpAddr>,
    wrong_clients: KeyedLimiter<String>,
    password_checks: KeyedLimiter<String>,
    sign_ins: KeyedLimiter<(String, Option<IpAddr>)>,
    sign_ins_by_address: KeyedLimiter<Option<IpAddr>>,
    sign_ins_by_device: KeyedLimiter<String>,
    sign_ins_of_new_devices: RateLimiter<NotKeyed, InMemoryState, MonotonicClock>,
    single_sign_ons_by_address: KeyedLimiter<Option<IpAddr>>,
    failure_lines: KeyedLimiter<Option<IpAddr>>,
    /// Wrong tokens since start.
    wrong_token_count: AtomicU64,
}

impl Default for LoginThrottle {
    fn default() -> Self {
        Self {
            wrong_tokens: per_minute_limiter(WRONG_TOKENS_PER_MINUTE),
            wrong_clients: per_minute_limiter(WRONG_CLIENTS_PER_MINUTE),
            password_checks: per_minute_limiter(PASSWORD_CHECKS_PER_MINUTE),
            sign_ins: per_minute_limiter(SIGN_INS_PER_MINUTE),
            sign_ins_by_address: per_minute_limiter(SIGN_INS_FROM_ONE_ADDRESS),
            sign_ins_by_device: per_minute_limiter(SIGN_INS_OF_KNOWN_DEVICE),
            sign_ins_of_new_devices: RateLimiter::direct_with_clock(
                Quota::per_second(SIGN_INS_OF_NEW_DEVICES).allow_burst(SIGN_INS_OF_NEW_DEVICES_BURST),
                MonotonicClock,
            ),
            single_sign_ons_by_address: per_minute_limiter(SINGLE_SIGN_ONS_FROM_ONE_ADDRESS),
            failure_lines: per_minute_limiter(FAILURE_LINES_PER_MINUTE),
            wrong_token_count: AtomicU64::new(0),
        }
    }
}

fn per_minute_limiter<K: Hash + Eq + Clone>(per_minute: NonZeroU32) -> KeyedLimiter<K> {
    RateLimiter::new(Quota::per_minute(per_minute), HashMapStateStore::default(), MonotonicClock)
}

impl LoginThrottle {
    /// Records a wrong token. Returns how long to wait if the limit is exceeded.
    pub fn record_wrong_token(&self, from: IpAddr) -> Option<Duration> {
        self.wrong_token_count.fetch_add(1, Ordering::Relaxed);
        record_attempt(&self.wrong_tokens, &limit_key(from))
    }

    /// Records a failed request for an access token: a wrong token of the address, and of the client with this id. Returns how
    /// long to wait if a limit is exceeded. A right credential always passes.
    pub fn record_wrong_client(&self, from: Option<IpAddr>, client_id: &str) -> Option<Duration> {
        let of_address = from.and_then(|from| self.record_wrong_token(from));
        let of_client = record_attempt(&self.wrong_clients, &client_id.to_owned());
        of_address.max(of_client)
    }

    /// Returns the number of wrong tokens since start.
    pub fn wrong_token_count(&self) -> u64 {
        self.wrong_token_count.load(Ordering::Relaxed)
    }

    /// Records a password check of the user with this id. Returns how long to wait if the limit is exceeded.
    pub fn record_password_check(&self, user: &str) -> Option<Duration> {
        record_attempt(&self.password_checks, &user.to_owned())
    }

    /// Records a sign-in attempt of an unknown device. Returns how long to wait if a limit is exceeded. Each address has
    /// its own limit, so that an attacker at another address cannot lock out the admin; all of them share one budget, so
    /// that many addresses cannot occupy the machine.
    pub fn record_sign_in(&self, admin: &str, from: Option<IpAddr>) -> Option<Duration> {
        let from = from.map(limit_key);
        record_attempt(&self.sign_ins, &(admin.to_owned(), from))
            .or_else(|| record_attempt(&self.sign_ins_by_address, &from))
            .or_else(|| {
                let refused = self.sign_ins_of_new_devices.check().err()?;
                Some(refused.wait_time_from(MonotonicClock.now()))
            })
    }

    /// Records a sign-in attempt of a known device. Returns how long to wait if its limit is exceeded.
    pub fn record_known_device(&self, device: &str) -> Option<Duration> {
        record_attempt(&self.sign_ins_by_device, &device.to_owned())
    }

    /// Whether another failed sign-in of the address may be logged.
    pub fn may_log_failure(&self, from: Option<IpAddr>) -> bool {
        record_attempt(&self.failure_lines, &from.map(limit_key)).is_none()
    }

    /// Records a single sign-on callback. Returns how long to wait if the limit is exceeded.
    pub fn record_single_sign_on(&self, from: Option<IpAddr>) -> Option<Duration> {
        record_attempt(&self.single_sign_ons_by_address, &from.map(limit_key))
    }
}

fn record_attempt<K: Hash + Eq + Clone>(budget: &KeyedLimiter<K>, key: &K) -> Option<Duration> {
    if budget.len() > KEYS_MAX {
        budget.retain_recent();
    }
    let refused = budget.check_key(key).err()?;
    Some(refused.wait_time_from(MonotonicClock.now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_guessing_address_is_limited() {
        let throttle = LoginThrottle::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        for _ in 0..WRONG_TOKENS_PER_MINUTE.get() {
            assert_eq!(throttle.record_wrong_token(one), None);
        }
        assert!(throttle.record_wrong_token(one).is_some_and(|wait| wait > Duration::ZERO));
        assert_eq!(throttle.record_wrong_token(other), None);
    }

    #[test]
    fn an_attacker_cannot_lock_out_another_address() {
        let throttle = LoginThrottle::default();
        let (attacker, home) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        for _ in 0..SIGN_INS_PER_MINUTE.get() {
            assert_eq!(throttle.record_sign_in("a@x.example", attacker), None);
        }
        assert!(throttle.record_sign_in("a@x.example", attacker).is_some());
        assert_eq!(throttle.record_sign_in("a@x.example", home), None);
        assert_eq!(throttle.record_sign_in("b@x.example", attacker), None);
    }

    #[test]
    fn many_addresses_share_the_budget_of_new_devices_and_known_devices_have_their_own() {
        let throttle = LoginThrottle::default();
        let attempts = 0..5_000_u32;
        let allowed = attempts.filter(|number| {
            let from = Some(IpAddr::from(number.to_be_bytes()));
            throttle.record_sign_in(&format!("{number}@x.example"), from).is_none()
        });
        let begun = std::time::Instant::now();
        let allowed = allowed.count();
        let refilled = usize::try_from(begun.elapsed().as_secs()).unwrap() * 10 + 10;
        assert!((40..=40 + refilled).contains(&allowed), "{allowed}");
        for _ in 0..SIGN_INS_OF_KNOWN_DEVICE.get() {
            assert_eq!(throttle.record_known_device("laptop"), None);
        }
        assert!(throttle.record_known_device("laptop").is_some());
        assert_eq!(throttle.record_known_device("phone"), None);
    }

    #[test]
    fn password_checks_are_limited_per_user() {
        let throttle = LoginThrottle::default();
        for _ in 0..PASSWORD_CHECKS_PER_MINUTE.get() {
            assert_eq!(throttle.record_password_check("one"), None);
        }
        assert!(throttle.record_password_check("one").is_some_and(|wait| wait > Duration::ZERO));
        assert_eq!(throttle.record_password_check("other"), None);
    }
}
