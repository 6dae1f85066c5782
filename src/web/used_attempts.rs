//! Single sign-on attempts that were completed: an attempt works once, even if the cookie that holds it is copied.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::auth::secret::TokenDigest;
use crate::clock::Millis;

/// Most attempts that are remembered. Beyond it, the oldest are forgotten first.
const ATTEMPTS_MAX: usize = 10_000;

#[derive(Default)]
struct RecordedAttempts {
    /// Digests of the states, with the time until which they are remembered, oldest first.
    in_order: VecDeque<(Millis, TokenDigest)>,
    digests: HashSet<TokenDigest>,
}

/// The completed attempts that have not expired.
#[derive(Default)]
pub struct UsedAttempts(Mutex<RecordedAttempts>);

impl UsedAttempts {
    /// Records that the attempt with this digest is used at `now`, and remembers it until `until`, when it has expired.
    /// Returns false if it was used before.
    pub fn use_attempt(&self, digest: TokenDigest, now: Millis, until: Millis) -> bool {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((expiry, oldest)) = recorded.in_order.front().copied() {
            if expiry > now && recorded.in_order.len() < ATTEMPTS_MAX {
                break;
            }
            recorded.in_order.pop_front();
            recorded.digests.remove(&oldest);
        }
        if !recorded.digests.insert(digest) {
            return false;
        }
        recorded.in_order.push_back((until, digest));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_used_once_and_the_memory_is_bounded() {
        let used = UsedAttempts::default();
        assert!(used.use_attempt([1; 32], 0, 100));
        assert!(!used.use_attempt([1; 32], 99, 199));
        assert!(used.use_attempt([2; 32], 100, 200));
        assert_eq!(used.0.lock().unwrap().digests.len(), 1);
        for number in 0..30_000_u32 {
            let mut digest = [3; 32];
            digest[..4].copy_from_slice(&number.to_be_bytes());
            assert!(used.use_attempt(digest, 100, 200));
        }
        let recorded = used.0.lock().unwrap();
        assert_eq!((recorded.in_order.len(), recorded.digests.len()), (ATTEMPTS_MAX, ATTEMPTS_MAX));
    }
}
