//! Rows of `traffic`: the number of calls of each configuration per hour.

use rusqlite::{named_params, params};

use crate::clock::Millis;
use crate::error::Result;
use crate::model::account::AccountFilter;
use crate::model::traffic::{HOUR_MS, HourlyCalls};
use crate::store::tables::rows::build_account_condition;
use crate::store::{Snapshot, Tx};

/// Adds the counts in `calls` to those of the same hour.
pub fn add_calls(tx: &Tx<'_>, configuration: i64, calls: &HourlyCalls) -> Result<()> {
    tx.run(
        "INSERT INTO traffic (configuration, hour, accepted, refused, missed)
         VALUES (:configuration, :hour, :accepted, :refused, :missed)
         ON CONFLICT (configuration, hour) DO UPDATE SET accepted = accepted + excluded.accepted,
             refused = refused + excluded.refused, missed = missed + excluded.missed",
        named_params! {
            ":configuration": configuration,
            ":hour": calls.hour,
            ":accepted": calls.accepted,
            ":refused": calls.refused,
            ":missed": calls.missed,
        },
    )
}

/// Returns the hours with calls, from `hour` on, in ascending order.
pub fn list_hours_since(at: &Snapshot<'_>, configuration: i64, hour: i64) -> Result<Vec<HourlyCalls>> {
    at.list_rows(
        "SELECT hour, accepted, refused, missed FROM traffic WHERE configuration = ?1 AND hour >= ?2 ORDER BY hour",
        (configuration, hour),
        |row| Ok(HourlyCalls { hour: row.get(0)?, accepted: row.get(1)?, refused: row.get(2)?, missed: row.get(3)? }),
    )
}

/// Returns the sums over all configurations of the accounts, by hour, from `hour` on, in ascending order.
pub fn sum_hours_since(at: &Snapshot<'_>, filter: Option<&AccountFilter>, hour: i64) -> Result<Vec<HourlyCalls>> {
    let (condition, account) = build_account_condition(filter);
    at.list_rows(
        &format!(
            "SELECT hour, sum(accepted), sum(refused), sum(missed)
             FROM configurations CROSS JOIN traffic USING (configuration)
             WHERE {condition} AND deleted_at IS NULL AND hour >= ?2 GROUP BY hour ORDER BY hour"
        ),
        params![account, hour],
        |row| Ok(HourlyCalls { hour: row.get(0)?, accepted: row.get(1)?, refused: row.get(2)?, missed: row.get(3)? }),
    )
}

/// Deletes the counts of a configuration for the hours before a time.
pub fn delete_hours_before(tx: &Tx<'_>, configuration: i64, before: Millis) -> Result<()> {
    tx.run("DELETE FROM traffic WHERE configuration = ?1 AND hour < ?2", (configuration, before.div_euclid(HOUR_MS)))
}
