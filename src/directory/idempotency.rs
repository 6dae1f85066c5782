//! Calls that may come twice: the second one gets the answer of the first.

use crate::clock::Millis;
use crate::error::Result;
use crate::store::Tx;
use crate::store::idempotency::{self as rows, CallDigest, Kept};

/// How long an answer is kept, in milliseconds.
const KEPT_MS: Millis = 24 * 60 * 60 * 1_000;
/// How long a call can be running, in milliseconds. One that has no answer by then was cut off.
const RUNS_MS: Millis = 2 * 60 * 1_000;

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is the first, and has begun.
    First,
    /// It is running.
    Running,
    /// It was cut off before it was answered; nobody knows what it did.
    CutOff,
    /// The key was used for something else.
    Another,
    /// It was answered: the sealed answer.
    Answered(Vec<u8>),
}

/// Begins a call, unless it came before. `body` is the digest of what it asks.
pub fn begin(tx: &Tx<'_>, digest: &CallDigest, body: &[u8; 32]) -> Result<Known> {
    let found = rows::find(tx, digest)?.filter(|found| tx.now - found.created_at < KEPT_MS);
    Ok(match found {
        None => {
            rows::begin(tx, digest, body)?;
            Known::First
        }
        Some(Kept { body: other, .. }) if other != *body => Known::Another,
        Some(Kept { answer: Some(answer), .. }) => Known::Answered(answer),
        Some(Kept { created_at, .. }) if tx.now - created_at < RUNS_MS => Known::Running,
        Some(_) => Known::CutOff,
    })
}

/// Keeps the sealed answer of a call that did something, or forgets one that was refused: it may be tried again.
pub fn end(tx: &Tx<'_>, digest: &CallDigest, answer: Option<&[u8]>) -> Result<()> {
    match answer {
        Some(answer) => rows::finish(tx, digest, answer),
        None => rows::forget(tx, digest),
    }
}

/// Removes at most `limit` answers that are too old; says how many went.
pub fn prune(tx: &Tx<'_>, limit: u32) -> Result<usize> {
    rows::remove_before(tx, tx.now - KEPT_MS, limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Access, Store, Undo};

    const CALL: CallDigest = [1; 32];

    #[test]
    fn a_call_runs_once_is_answered_again_and_is_forgotten_when_it_was_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Access::Serve).unwrap();
        let begin =
            |asked: [u8; 32]| store.write_blocking(Undo::Savepoint, move |tx| begin(tx, &CALL, &asked)).unwrap();
        let end = |answer: Option<&'static [u8]>| {
            store.write_blocking(Undo::Savepoint, move |tx| end(tx, &CALL, answer)).unwrap();
        };
        assert_eq!(begin([2; 32]), Known::First);
        assert_eq!(begin([2; 32]), Known::Running);
        assert_eq!(begin([3; 32]), Known::Another);
        end(None);
        assert_eq!(begin([3; 32]), Known::First);
        end(Some(b"sealed"));
        assert_eq!(begin([3; 32]), Known::Answered(b"sealed".to_vec()));
        assert_eq!(begin([2; 32]), Known::Another);
    }
}
