//! Numbers of the event feed after a restore. A backup knows fewer events than consumers have read already; were their
//! numbers given again, a consumer would take new events for old ones and pass over them in silence. So the feed goes on
//! behind every number that can have been given, and whoever stands in between is told to start anew.
//!
//! The restore leaves a note in the restored file, whatever its version; the first start behind it acts on the note.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{Snapshot, instance};
use crate::error::Result;

/// Key in `instance` of the number behind which the feed goes on: there from the restore to the next start.
const PENDING: &str = "feed_goes_on_behind";
/// Key in `instance` of the stretches of numbers whose events are lost: `first-last`, with blanks between.
const LOST: &str = "feed_numbers_lost";
/// What is left free behind the highest number that is known: more than is given between two backups, for the case that
/// the database that gave them is lost.
const LEAP: i64 = 100_000_000;
/// Kind of the row that holds the place. The feed never shows it.
const KIND: &str = "feed.restored";

/// Notes in a restored file that its feed must go on behind `given`, the highest number of the database it replaces, and
/// behind its own.
pub(super) fn note(restored: &Connection, given: i64) -> rusqlite::Result<()> {
    let behind = highest(restored)?.max(given).saturating_add(LEAP);
    restored.execute(
        "INSERT INTO instance (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![PENDING, behind.to_string()],
    )?;
    Ok(())
}

/// The highest number that was given, 0 for none.
pub(super) fn highest(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))
}

/// Acts on the note of a restore, where there is one.
pub(super) fn act_on_note(connection: &mut Connection) -> rusqlite::Result<()> {
    if value(connection, PENDING)?.is_none() {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first.
    let Some(behind) = value(&tx, PENDING)?.and_then(|text| text.parse::<i64>().ok()) else { return Ok(()) };
    let first = highest(&tx)? + 1;
    tx.execute(
        "INSERT INTO events (seq, account_id, configuration, kind, resource_id, payload, created_at, published)
         VALUES (?1, '', 0, ?2, NULL, '{}', ?3, 0)",
        params![behind, KIND, crate::clock::now()],
    )?;
    let before = value(&tx, LOST)?.map(|text| text + " ").unwrap_or_default();
    tx.execute(
        "INSERT INTO instance (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![LOST, format!("{before}{first}-{}", behind - 1)],
    )?;
    tx.execute("DELETE FROM instance WHERE key = ?1", [PENDING])?;
    tx.commit()
}

fn value(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM instance WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// Whether a consumer that has read up to that number has read events that are lost.
pub fn has_read_what_is_lost(at: &Snapshot<'_>, after: i64) -> Result<bool> {
    let lost = instance::get(at, LOST)?.unwrap_or_default();
    Ok(lost.split(' ').filter_map(|stretch| stretch.split_once('-')).any(|(first, last)| {
        let bound = |text: &str| text.parse::<i64>().ok();
        bound(first).zip(bound(last)).is_some_and(|(first, last)| (first..=last).contains(&after))
    }))
}
