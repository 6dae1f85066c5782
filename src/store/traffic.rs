//! Rows of `traffic`: how many calls each configuration had in an hour.

use rusqlite::named_params;

use super::{Snapshot, Tx};
use crate::clock::Millis;
use crate::error::Result;
use crate::model::traffic::{HOUR_MS, Hour};

/// Adds calls to what an hour had.
pub fn add(tx: &Tx<'_>, configuration: i64, calls: &Hour) -> Result<()> {
    tx.prepare(
        "INSERT INTO traffic (configuration, hour, accepted, refused, missed)
         VALUES (:configuration, :hour, :accepted, :refused, :missed)
         ON CONFLICT (configuration, hour) DO UPDATE SET accepted = accepted + excluded.accepted,
             refused = refused + excluded.refused, missed = missed + excluded.missed",
    )?
    .execute(named_params! {
        ":configuration": configuration,
        ":hour": calls.hour,
        ":accepted": calls.accepted,
        ":refused": calls.refused,
        ":missed": calls.missed,
    })?;
    Ok(())
}

/// The hours from that one on in which there were calls, in order.
pub fn since(at: &Snapshot<'_>, configuration: i64, hour: i64) -> Result<Vec<Hour>> {
    let mut statement = at.prepare(
        "SELECT hour, accepted, refused, missed FROM traffic WHERE configuration = ?1 AND hour >= ?2 ORDER BY hour",
    )?;
    let hours = statement.query_map((configuration, hour), |row| {
        Ok(Hour { hour: row.get(0)?, accepted: row.get(1)?, refused: row.get(2)?, missed: row.get(3)? })
    })?;
    Ok(hours.collect::<rusqlite::Result<_>>()?)
}

/// Removes what was counted of a configuration before a time.
pub fn remove_older(tx: &Tx<'_>, configuration: i64, before: Millis) -> Result<()> {
    tx.prepare("DELETE FROM traffic WHERE configuration = ?1 AND hour < ?2")?
        .execute((configuration, before.div_euclid(HOUR_MS)))?;
    Ok(())
}
