//! How often one address may come with a wrong token, and how often one user's password may be guessed. A right token
//! always passes, so nobody can lock a customer out by guessing; the guesser is slowed down.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::network::holder;

/// Wrong tokens that an address may send within a minute.
const WRONG_TOKENS_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(599);
/// Times that a user's password may be asked about within a minute.
const GUESSES_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Times that somebody may try to sign in as the same person from the same address within a minute.
const SIGN_INS_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
/// Times that one address may try to sign in as anybody within a minute.
const SIGN_INS_FROM_ONE_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);
/// Times that one address may come back from the provider within a minute: a whole office may share it.
const SINGLE_SIGN_ONS_FROM_ONE_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
/// Addresses or users that are remembered; beyond it those that have been quiet are forgotten.
const REMEMBERED_MAX: usize = 10_000;

type Budget<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock>;

/// The budget of every address, and of every user.
pub struct Guard {
    wrong_tokens: Budget<IpAddr>,
    guesses: Budget<String>,
    sign_ins: Budget<(String, Option<IpAddr>)>,
    sign_ins_from: Budget<Option<IpAddr>>,
    single_sign_ons_from: Budget<Option<IpAddr>>,
    /// Wrong tokens since the start.
    wrong_tokens_ever: AtomicU64,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            wrong_tokens: budget(WRONG_TOKENS_PER_MINUTE),
            guesses: budget(GUESSES_PER_MINUTE),
            sign_ins: budget(SIGN_INS_PER_MINUTE),
            sign_ins_from: budget(SIGN_INS_FROM_ONE_ADDRESS),
            single_sign_ons_from: budget(SINGLE_SIGN_ONS_FROM_ONE_ADDRESS),
            wrong_tokens_ever: AtomicU64::new(0),
        }
    }
}

fn budget<K: Hash + Eq + Clone>(per_minute: NonZeroU32) -> Budget<K> {
    RateLimiter::new(Quota::per_minute(per_minute), HashMapStateStore::default(), MonotonicClock)
}

impl Guard {
    /// Notes a wrong token. Says how long to wait where the budget is spent.
    pub fn note_wrong_token(&self, from: IpAddr) -> Option<Duration> {
        self.wrong_tokens_ever.fetch_add(1, Ordering::Relaxed);
        note(&self.wrong_tokens, &holder(from))
    }

    /// How many wrong tokens came since the start.
    pub fn wrong_tokens(&self) -> u64 {
        self.wrong_tokens_ever.load(Ordering::Relaxed)
    }

    /// Notes that somebody asks about the password of the user with that id. Says how long to wait where the budget is
    /// spent.
    pub fn note_password_guess(&self, user: &str) -> Option<Duration> {
        note(&self.guesses, &user.to_owned())
    }

    /// Notes that somebody tries to sign in as that person. Says how long to wait where a budget is spent. Whoever comes
    /// from elsewhere has a budget of their own, so that nobody is locked out by a stranger.
    pub fn note_sign_in(&self, person: &str, from: Option<IpAddr>) -> Option<Duration> {
        let from = from.map(holder);
        note(&self.sign_ins, &(person.to_owned(), from)).or_else(|| note(&self.sign_ins_from, &from))
    }

    /// Notes that somebody comes back from the provider of single sign-on. Says how long to wait where the budget is spent.
    pub fn note_single_sign_on(&self, from: Option<IpAddr>) -> Option<Duration> {
        note(&self.single_sign_ons_from, &from.map(holder))
    }
}

fn note<K: Hash + Eq + Clone>(budget: &Budget<K>, key: &K) -> Option<Duration> {
    if budget.len() > REMEMBERED_MAX {
        budget.retain_recent();
    }
    let refused = budget.check_key(key).err()?;
    Some(refused.wait_time_from(MonotonicClock.now()))
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

    #[test]
    fn a_stranger_locks_nobody_out_who_comes_from_elsewhere() {
        let guard = Guard::default();
        let (stranger, home) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        for _ in 0..SIGN_INS_PER_MINUTE.get() {
            assert_eq!(guard.note_sign_in("a@x.example", stranger), None);
        }
        assert!(guard.note_sign_in("a@x.example", stranger).is_some());
        assert_eq!(guard.note_sign_in("a@x.example", home), None);
        assert_eq!(guard.note_sign_in("b@x.example", stranger), None);
    }

    #[test]
    fn one_users_password_is_not_guessed_and_anothers_can_still_be_checked() {
        let guard = Guard::default();
        for _ in 0..GUESSES_PER_MINUTE.get() {
            assert_eq!(guard.note_password_guess("one"), None);
        }
        assert!(guard.note_password_guess("one").is_some_and(|wait| wait > Duration::ZERO));
        assert_eq!(guard.note_password_guess("other"), None);
    }
}
