//! Idempotency keys: a repeated call gets the response of the first call.

use crate::clock::Millis;
use crate::error::Result;
use crate::store::Tx;
use crate::store::tables::idempotency as rows;
use crate::store::tables::idempotency::{CallDigest, StoredCall};

/// Retention of a stored response in milliseconds.
pub(crate) const RETENTION_MS: Millis = 24 * 60 * 60 * 1_000;
/// Maximum duration of a call in milliseconds. A call without a response after that time was interrupted.
const RUNNING_MAX_MS: Millis = 2 * 60 * 1_000;

/// State of a call with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallState {
    /// The call is the first with this key, and is now registered.
    First,
    /// The first call is still running.
    Running,
    /// The first call was interrupted before its response. Its effect is unknown.
    Interrupted,
    /// The key was used for a different request.
    DifferentRequest,
    /// The first call is complete: its sealed response.
    Completed(Vec<u8>),
}

/// Registers a call unless one with the same key is stored. `body` is the digest of the request body.
pub fn begin_call(tx: &Tx<'_>, digest: &CallDigest, body: &[u8; 32]) -> Result<CallState> {
    let found = rows::find_call(tx, digest)?.filter(|found| tx.now - found.created_at < RETENTION_MS);
    Ok(match found {
        None => {
            rows::begin_call(tx, digest, body)?;
            CallState::First
        }
        Some(StoredCall { body: other, .. }) if other != *body => CallState::DifferentRequest,
        Some(StoredCall { answer: Some(answer), .. }) => CallState::Completed(answer),
        Some(StoredCall { created_at, .. }) if tx.now - created_at < RUNNING_MAX_MS => CallState::Running,
        Some(_) => CallState::Interrupted,
    })
}

/// Stores the sealed response of a call. With `None` (the call was rejected) the call is removed, so that the client
/// can retry it.
pub fn end_call(tx: &Tx<'_>, digest: &CallDigest, answer: Option<&[u8]>) -> Result<()> {
    match answer {
        Some(answer) => rows::store_response(tx, digest, answer),
        None => rows::delete_call(tx, digest),
    }
}

/// Removes at most `limit` responses older than the retention and returns how many were removed.
pub fn remove_expired_calls(tx: &Tx<'_>, limit: u32) -> Result<usize> {
    rows::delete_calls_before(tx, tx.now - RETENTION_MS, limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    const CALL: CallDigest = [1; 32];

    #[test]
    fn a_call_runs_once_its_response_is_repeated_and_a_rejected_call_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_server(folder.path()).unwrap();
        let begin = |body: [u8; 32]| store.write_blocking(move |tx| begin_call(tx, &CALL, &body)).unwrap();
        let end = |answer: Option<&'static [u8]>| {
            store.write_blocking(move |tx| end_call(tx, &CALL, answer)).unwrap();
        };
        assert_eq!(begin([2; 32]), CallState::First);
        assert_eq!(begin([2; 32]), CallState::Running);
        assert_eq!(begin([3; 32]), CallState::DifferentRequest);
        end(None);
        assert_eq!(begin([3; 32]), CallState::First);
        end(Some(b"sealed"));
        assert_eq!(begin([3; 32]), CallState::Completed(b"sealed".to_vec()));
        assert_eq!(begin([2; 32]), CallState::DifferentRequest);
    }
}
