//! Idempotency keys: a repeated call gets the response of the first call. The response is stored in the transaction of the
//! effect, so there is never one without the other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::store::tables::idempotency as rows;
use crate::store::tables::idempotency::{CallDigest, StoredCall};
use crate::store::{Snapshot, Tx};

/// Retention of a stored response in milliseconds.
pub(crate) const RETENTION_MS: Millis = 24 * 60 * 60 * 1_000;

/// State of a call with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallState {
    /// No call with this key has had an effect.
    First,
    /// A call of an earlier version was interrupted before its response. Its effect is unknown.
    Interrupted,
    /// The key was used for a different request.
    DifferentRequest,
    /// The first call is complete: its sealed response.
    Completed(Vec<u8>),
}

/// Returns what is stored about the key. `body` is the digest of the request.
pub fn find_call_state(at: &Snapshot<'_>, digest: &CallDigest, body: &[u8; 32], now: Millis) -> Result<CallState> {
    let found = rows::find_call(at, digest)?.filter(|found| now - found.created_at < RETENTION_MS);
    Ok(match found {
        None => CallState::First,
        Some(StoredCall { body: other, .. }) if other != *body => CallState::DifferentRequest,
        Some(StoredCall { answer: Some(answer), .. }) => CallState::Completed(answer),
        Some(_) => CallState::Interrupted,
    })
}

/// Stores the sealed response of a call, in the transaction of its effect.
///
/// # Errors
/// `IdempotencyInProgress` if another call with the key has been faster: the effect of this one must be undone.
pub fn record_response(tx: &Tx<'_>, digest: &CallDigest, body: &[u8; 32], answer: &[u8]) -> Result<()> {
    tx.allow_on_full_disk();
    if find_call_state(tx, digest, body, tx.now)? != CallState::First {
        return Err(Reason::IdempotencyInProgress.into());
    }
    rows::insert_call(tx, digest, body, answer)
}

/// Removes at most `limit` responses older than the retention and returns how many were removed.
pub fn remove_expired_calls(tx: &Tx<'_>, limit: u32) -> Result<usize> {
    tx.allow_on_full_disk();
    rows::delete_calls_before(tx, tx.now - RETENTION_MS, limit)
}

/// The keys of the calls that run in this process, with the digests of their requests.
#[derive(Default)]
pub struct RunningCalls(Mutex<HashMap<[u8; 32], [u8; 32]>>);

impl RunningCalls {
    /// Registers a call. Returns the digest of the request of a running call with the same key.
    pub fn register(&self, digest: [u8; 32], request_digest: [u8; 32]) -> Option<[u8; 32]> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(digest) {
            Entry::Occupied(running) => Some(*running.get()),
            Entry::Vacant(free) => {
                free.insert(request_digest);
                None
            }
        }
    }

    /// Ends a call.
    pub fn remove(&self, digest: &[u8; 32]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::store::Store;
    use crate::store::tables::instance;

    const CALL: CallDigest = [1; 32];

    #[test]
    fn an_effect_and_its_response_are_stored_together_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_server(folder.path()).unwrap();
        let state = |body: [u8; 32]| {
            store.read_inline(|at| find_call_state(at, &CALL, &body, clock::current_millis())).unwrap()
        };
        let run = |effect: &'static str| {
            store.write_blocking(move |tx| {
                instance::set_value(tx, effect, "done")?;
                record_response(tx, &CALL, &[2; 32], b"sealed")
            })
        };
        assert_eq!(state([2; 32]), CallState::First);
        run("first").unwrap();
        assert_eq!(state([2; 32]), CallState::Completed(b"sealed".to_vec()));
        assert_eq!(state([3; 32]), CallState::DifferentRequest);
        assert_eq!(run("second").unwrap_err().reason(), Reason::IdempotencyInProgress);
        let effects = ["first", "second"].map(|key| store.read_inline(|at| instance::get_value(at, key)).unwrap());
        assert_eq!(effects, [Some("done".to_owned()), None]);
    }

    #[test]
    fn a_key_is_registered_until_its_call_ends() {
        let running = RunningCalls::default();
        assert_eq!(running.register([1; 32], [2; 32]), None);
        assert_eq!(running.register([1; 32], [3; 32]), Some([2; 32]));
        assert_eq!(running.register([2; 32], [3; 32]), None);
        running.remove(&[1; 32]);
        assert_eq!(running.register([1; 32], [3; 32]), None);
    }
}
