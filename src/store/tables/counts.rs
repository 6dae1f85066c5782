//! Rows of `resource_counts`: how many resources of each type a configuration has, per range of row numbers.

use std::collections::BTreeMap;

use rusqlite::named_params;

use crate::error::Result;
use crate::store::{Snapshot, Tx};

/// Row numbers per range, as a power of two. To find a position, the rows of one range are counted.
const RANGE_BITS: u32 = 12;

/// Adds 1 or -1 to the count for a resource, in the transaction that inserts or deletes its row.
pub fn adjust_count(tx: &Tx<'_>, configuration: i64, resource_type: &str, row: i64, delta: i64) -> Result<()> {
    tx.run(
        "INSERT INTO resource_counts (configuration, type, stretch, total)
             VALUES (:configuration, :type, :stretch, :delta)
             ON CONFLICT (configuration, type, stretch) DO UPDATE SET total = total + excluded.total",
        named_params! {
            ":configuration": configuration,
            ":type": resource_type,
            ":stretch": row >> RANGE_BITS,
            ":delta": delta,
        },
    )
}

/// Counts the resources of a configuration again, after rows were inserted without [`adjust_count`].
pub fn count_again(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    tx.run("DELETE FROM resource_counts WHERE configuration = ?1", [configuration])?;
    tx.run(
        "INSERT INTO resource_counts (configuration, type, stretch, total)
         SELECT configuration, type, resource >> ?2, count(*) FROM resources WHERE configuration = ?1 GROUP BY 2, 3",
        (configuration, RANGE_BITS),
    )
}

/// Returns the number of resources of this type.
pub fn count_resources(at: &Snapshot<'_>, configuration: i64, resource_type: &str) -> Result<i64> {
    at.read_value(
        "SELECT coalesce(sum(total), 0) FROM resource_counts WHERE configuration = ?1 AND type = ?2",
        (configuration, resource_type),
    )
}

/// Returns the resource types of a configuration and the number of resources of each, ordered by type.
pub fn list_counts(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<(String, i64)>> {
    at.list_rows(
        "SELECT type, sum(total) FROM resource_counts WHERE configuration = ?1
             GROUP BY type HAVING sum(total) > 0 ORDER BY type",
        [configuration],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Divides the row numbers of a type into ranges of at least `least` resources, and returns the first row number of each
/// range except the first one. The last range has no end, so that it includes resources that are created later.
pub fn list_range_starts(at: &Snapshot<'_>, configuration: i64, resource_type: &str, least: i64) -> Result<Vec<i64>> {
    let totals: Vec<(i64, i64)> = at.list_rows(
        "SELECT stretch, total FROM resource_counts WHERE configuration = ?1 AND type = ?2 ORDER BY stretch",
        (configuration, resource_type),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (mut starts, mut sum) = (Vec::new(), 0);
    for (range, total) in totals {
        if sum >= least {
            starts.push(range << RANGE_BITS);
            sum = 0;
        }
        sum += total;
    }
    Ok(starts)
}

/// A row number shortly before a position in the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedPosition {
    /// The position comes after this row number.
    pub row: i64,
    /// Number of resources between this row number and the position.
    pub skip: u64,
}

/// Finds a row number near the resource with `skip` resources before it, in the combined sequence of these types.
/// Returns `None` if there are not that many resources.
pub fn locate_position(
    at: &Snapshot<'_>,
    configuration: i64,
    types: &[&str],
    skip: u64,
) -> Result<Option<CountedPosition>> {
    let mut totals = BTreeMap::<i64, u64>::new();
    let mut statement = at
        .connection()
        .prepare_cached("SELECT stretch, total FROM resource_counts WHERE configuration = ?1 AND type = ?2")?;
    for resource_type in types {
        let mut rows = statement.query((configuration, resource_type))?;
        while let Some(row) = rows.next()? {
            *totals.entry(row.get(0)?).or_default() += row.get::<_, i64>(1)?.unsigned_abs();
        }
    }
    let mut skip = skip;
    for (range, total) in totals {
        if skip < total {
            return Ok(Some(CountedPosition { row: (range << RANGE_BITS) - 1, skip }));
        }
        skip -= total;
    }
    Ok(None)
}
