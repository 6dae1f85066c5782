//! Rows of `resource_counts`: how many resources of each type a configuration has.

use rusqlite::{OptionalExtension, named_params};

use super::{Snapshot, Tx};
use crate::error::Result;

/// Moves a count by `delta`, in the transaction that made or removed the resources.
pub fn add(tx: &Tx<'_>, configuration: i64, resource_type: &str, delta: i64) -> Result<()> {
    tx.connection()
        .prepare_cached(
            "INSERT INTO resource_counts (configuration, type, total) VALUES (:configuration, :type, :delta)
             ON CONFLICT (configuration, type) DO UPDATE SET total = total + excluded.total",
        )?
        .execute(named_params! {
            ":configuration": configuration,
            ":type": resource_type,
            ":delta": delta,
        })?;
    Ok(())
}

/// How many resources of that type there are.
pub fn total(snapshot: &Snapshot<'_>, configuration: i64, resource_type: &str) -> Result<i64> {
    let total = snapshot
        .connection()
        .prepare_cached("SELECT total FROM resource_counts WHERE configuration = ?1 AND type = ?2")?
        .query_row((configuration, resource_type), |row| row.get(0))
        .optional()?;
    Ok(total.unwrap_or(0))
}

/// Type and number of everything a configuration has, ordered by type.
pub fn all(snapshot: &Snapshot<'_>, configuration: i64) -> Result<Vec<(String, i64)>> {
    let counts = snapshot
        .connection()
        .prepare_cached("SELECT type, total FROM resource_counts WHERE configuration = ?1 AND total > 0 ORDER BY type")?
        .query_map([configuration], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(counts)
}
