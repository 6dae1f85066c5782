//! Rows of `idempotent_calls`: answers that are given once more where a call comes once more. What they hold is sealed
//! with a key that is not kept.

use rusqlite::OptionalExtension;

use super::{Snapshot, Tx};
use crate::clock::Millis;
use crate::error::Result;

/// SHA-256 of who calls, where, and the key that was sent.
pub type CallDigest = [u8; 32];

/// A call that came before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// SHA-256 of the key that was sent and of what was asked.
    pub body: [u8; 32],
    /// Its sealed answer; none while it runs, or where it was cut off.
    pub answer: Option<Vec<u8>>,
    /// When it began.
    pub created_at: Millis,
}

/// The call with that digest.
pub fn find(at: &Snapshot<'_>, digest: &CallDigest) -> Result<Option<Kept>> {
    let mut statement = at.prepare("SELECT body, answer, created_at FROM idempotent_calls WHERE digest = ?1")?;
    let found = statement.query_row([digest.as_slice()], |row| {
        Ok(Kept { body: row.get(0)?, answer: row.get(1)?, created_at: row.get(2)? })
    });
    Ok(found.optional()?)
}

/// Keeps that a call has begun, in the place of one that is too old.
pub fn begin(tx: &Tx<'_>, digest: &CallDigest, body: &[u8; 32]) -> Result<()> {
    tx.prepare("INSERT OR REPLACE INTO idempotent_calls (digest, body, created_at) VALUES (?1, ?2, ?3)")?.execute((
        digest.as_slice(),
        body.as_slice(),
        tx.now,
    ))?;
    Ok(())
}

/// Keeps the sealed answer of a call.
pub fn finish(tx: &Tx<'_>, digest: &CallDigest, answer: &[u8]) -> Result<()> {
    tx.prepare("UPDATE idempotent_calls SET answer = ?2 WHERE digest = ?1")?.execute((digest.as_slice(), answer))?;
    Ok(())
}

/// Forgets a call that changed nothing.
pub fn forget(tx: &Tx<'_>, digest: &CallDigest) -> Result<()> {
    tx.prepare("DELETE FROM idempotent_calls WHERE digest = ?1")?.execute([digest.as_slice()])?;
    Ok(())
}

/// Removes at most `limit` calls that began before that time; says how many went.
pub fn remove_before(tx: &Tx<'_>, before: Millis, limit: u32) -> Result<usize> {
    let mut statement = tx.prepare(
        "DELETE FROM idempotent_calls WHERE digest IN (
             SELECT digest FROM idempotent_calls WHERE created_at < ?1 LIMIT ?2)",
    )?;
    Ok(statement.execute((before, limit))?)
}
