//! Rows of `feed_positions`: how far readers have read the event feed.

use rusqlite::named_params;

use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Snapshot, Tx};

/// Records that the events up to `seq` were read. A position never decreases.
pub fn record_position(tx: &Tx<'_>, account: i64, configuration_id: &str, seq: i64, at: Millis) -> Result<()> {
    tx.run(
        "INSERT INTO feed_positions (account, configuration_id, seq, read_at)
         VALUES (:account, :configuration, :seq, :at)
         ON CONFLICT (account, configuration_id)
         DO UPDATE SET seq = max(seq, excluded.seq), read_at = max(read_at, excluded.read_at)",
        named_params! {":account": account, ":configuration": configuration_id, ":seq": seq, ":at": at},
    )
}

/// Whether anything was ever read.
pub fn has_positions(at: &Snapshot<'_>) -> Result<bool> {
    at.read_value("SELECT EXISTS (SELECT 1 FROM feed_positions)", [])
}

/// Returns the highest event number of a configuration that any reader has read, and the time of the last read. Returns
/// `None` if the events of the configuration were never read.
pub fn find_furthest_position(
    at: &Snapshot<'_>,
    account: i64,
    configuration_id: &str,
) -> Result<Option<(i64, Millis)>> {
    at.find_row(
        "SELECT max(seq), max(read_at) FROM feed_positions
         WHERE account IN (0, ?1) AND configuration_id IN ('', ?2) HAVING count(*) > 0",
        (account, configuration_id),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
