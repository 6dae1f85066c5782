//! Rows of `resource_counts`: how many resources of each type a configuration has, and where in the order of creation
//! they lie.

use std::collections::BTreeMap;

use rusqlite::named_params;

use super::{Snapshot, Tx};
use crate::error::Result;

/// Row numbers in one stretch, as a power of two. A stretch is what a position has to be counted through.
const STRETCH_BITS: u32 = 12;

/// Counts a resource in (`delta` 1) or out (-1), in the transaction that made or removed its row.
pub fn add(tx: &Tx<'_>, configuration: i64, resource_type: &str, row: i64, delta: i64) -> Result<()> {
    tx.connection()
        .prepare_cached(
            "INSERT INTO resource_counts (configuration, type, stretch, total)
             VALUES (:configuration, :type, :stretch, :delta)
             ON CONFLICT (configuration, type, stretch) DO UPDATE SET total = total + excluded.total",
        )?
        .execute(named_params! {
            ":configuration": configuration,
            ":type": resource_type,
            ":stretch": row >> STRETCH_BITS,
            ":delta": delta,
        })?;
    Ok(())
}

/// How many resources of that type there are.
pub fn total(snapshot: &Snapshot<'_>, configuration: i64, resource_type: &str) -> Result<i64> {
    let total = snapshot
        .connection()
        .prepare_cached("SELECT coalesce(sum(total), 0) FROM resource_counts WHERE configuration = ?1 AND type = ?2")?
        .query_row((configuration, resource_type), |row| row.get(0))?;
    Ok(total)
}

/// Type and number of everything a configuration has, ordered by type.
pub fn all(snapshot: &Snapshot<'_>, configuration: i64) -> Result<Vec<(String, i64)>> {
    let counts = snapshot
        .connection()
        .prepare_cached(
            "SELECT type, sum(total) FROM resource_counts WHERE configuration = ?1
             GROUP BY type HAVING sum(total) > 0 ORDER BY type",
        )?
        .query_map([configuration], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(counts)
}

/// A row number shortly before a position in the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near {
    /// The position lies behind this row number.
    pub row: i64,
    /// Resources between that row number and the position.
    pub skip: u64,
}

/// Leads near the resource that has `skip` others before it, all of these types taken as one sequence. `None` where
/// there are not that many.
pub fn near(snapshot: &Snapshot<'_>, configuration: i64, types: &[&str], skip: u64) -> Result<Option<Near>> {
    let mut totals = BTreeMap::<i64, u64>::new();
    let mut statement = snapshot
        .connection()
        .prepare_cached("SELECT stretch, total FROM resource_counts WHERE configuration = ?1 AND type = ?2")?;
    for resource_type in types {
        let mut rows = statement.query((configuration, resource_type))?;
        while let Some(row) = rows.next()? {
            *totals.entry(row.get(0)?).or_default() += row.get::<_, i64>(1)?.unsigned_abs();
        }
    }
    let mut skip = skip;
    for (stretch, total) in totals {
        if skip < total {
            return Ok(Some(Near { row: (stretch << STRETCH_BITS) - 1, skip }));
        }
        skip -= total;
    }
    Ok(None)
}
