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
    /// The encrypted response. `None` for an interrupted call of an earlier version.
    pub answer: Option<Vec<u8>>,
    /// Time of the response.
    pub created_at: Millis,
}

/// Returns the call with this digest.
pub fn find_call(at: &Snapshot<'_>, digest: &CallDigest) -> Result<Option<StoredCall>> {
    at.find_row("SELECT body, answer, created_at FROM idempotent_calls WHERE digest = ?1", [digest.as_slice()], |row| {
        Ok(StoredCall { body: row.get(0)?, answer: row.get(1)?, created_at: row.get(2)? })
    })
}

/// Stores a call with its encrypted response, and replaces an expired one with the same digest.
pub fn insert_call(tx: &Tx<'_>, digest: &CallDigest, body: &[u8; 32], answer: &[u8]) -> Result<()> {
    tx.run(
        "INSERT OR REPLACE INTO idempotent_calls (digest, body, answer, created_at) VALUES (?1, ?2, ?3, ?4)",
        (digest.as_slice(), body.as_slice(), answer, tx.now),
    )
}

/// Deletes at most `limit` calls older than this time. Returns how many were deleted.
pub fn delete_calls_before(tx: &Tx<'_>, before: Millis, limit: u32) -> Result<usize> {
    tx.execute(
        "DELETE FROM idempotent_calls WHERE digest IN (
             SELECT digest FROM idempotent_calls WHERE created_at < ?1 LIMIT ?2)",
        (before, limit),
    )
}
