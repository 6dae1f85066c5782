//! Rows of `feed_positions`: how far the event feed was read, and by whom.

use rusqlite::{OptionalExtension, named_params};

use super::{Snapshot, Tx};
use crate::clock::Millis;
use crate::error::Result;

/// Keeps that everything up to `seq` was read. A place never moves back.
pub fn note(tx: &Tx<'_>, account: &str, configuration_id: &str, seq: i64, at: Millis) -> Result<()> {
    tx.prepare(
        "INSERT INTO feed_positions (account_id, configuration_id, seq, read_at)
         VALUES (:account, :configuration, :seq, :at)
         ON CONFLICT (account_id, configuration_id)
         DO UPDATE SET seq = max(seq, excluded.seq), read_at = max(read_at, excluded.read_at)",
    )?
    .execute(named_params! {":account": account, ":configuration": configuration_id, ":seq": seq, ":at": at})?;
    Ok(())
}

/// How far the events of a configuration were read by anybody whose question took them in, and when somebody last asked;
/// none where nobody ever did.
pub fn furthest(at: &Snapshot<'_>, account: &str, configuration_id: &str) -> Result<Option<(i64, Millis)>> {
    let mut statement = at.prepare(
        "SELECT max(seq), max(read_at) FROM feed_positions
         WHERE account_id IN ('', ?1) AND configuration_id IN ('', ?2) HAVING count(*) > 0",
    )?;
    Ok(statement.query_row((account, configuration_id), |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}
