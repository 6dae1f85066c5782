//! Rows of `idempotent_calls`: stored responses that are returned again when a call is repeated. The responses are
//! encrypted with a key that is not stored.

use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Snapshot, Tx};

/// SHA-256 of the caller, the URL and the `Idempotency-Key`.
pub type CallDigest = [u8; 32];

/// An earlier call with the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCall {
    /// SHA-256 of the key and the request content.
    pub body: [u8; 32],
    /// The encrypted response. `None` while the call runs, or if it was interrupted.
    pub answer: Option<Vec<u8>>,
    /// Time at which the call started.
    pub created_at: Millis,
}

/// Returns the call with this digest.
pub fn find_call(at: &Snapshot<'_>, digest: &CallDigest) -> Result<Option<StoredCall>> {
    at.find_row("SELECT body, answer, created_at FROM idempotent_calls WHERE digest = ?1", [digest.as_slice()], |row| {
        Ok(StoredCall { body: row.get(0)?, answer: row.get(1)?, created_at: row.get(2)? })
    })
}

/// Records the start of a call, and replaces an expired one with the same digest.
pub fn begin_call(tx: &Tx<'_>, digest: &CallDigest, body: &[u8; 32]) -> Result<()> {
    tx.run(
        "INSERT OR REPLACE INTO idempotent_calls (digest, body, created_at) VALUES (?1, ?2, ?3)",
        (digest.as_slice(), body.as_slice(), tx.now),
    )
}

/// Stores the encrypted response of a call.
pub fn store_response(tx: &Tx<'_>, digest: &CallDigest, answer: &[u8]) -> Result<()> {
    tx.run("UPDATE idempotent_calls SET answer = ?2 WHERE digest = ?1", (digest.as_slice(), answer))
}

/// Deletes a call that changed nothing.
pub fn delete_call(tx: &Tx<'_>, digest: &CallDigest) -> Result<()> {
    tx.run("DELETE FROM idempotent_calls WHERE digest = ?1", [digest.as_slice()])
}

/// Deletes at most `limit` calls that started before this time. Returns how many were deleted.
pub fn delete_calls_before(tx: &Tx<'_>, before: Millis, limit: u32) -> Result<usize> {
    tx.execute(
        "DELETE FROM idempotent_calls WHERE digest IN (
             SELECT digest FROM idempotent_calls WHERE created_at < ?1 LIMIT ?2)",
        (before, limit),
    )
}
