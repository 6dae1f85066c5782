//! Event numbers after a restore. A backup contains fewer events than consumers may have read. If their numbers were
//! assigned again, a consumer would silently skip new events. The feed therefore continues after the highest number
//! that can have been assigned, and a consumer whose position is in the gap must read again from the beginning.
//!
//! The restore stores the next number in the restored file, for any schema version. The next start applies it.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::error::{Error, Result};
use crate::store::Snapshot;
use crate::store::engine::sqlite_errors::undecodable_column;
use crate::store::tables::instance;

/// Key in `instance` of the number after which the feed continues. Present from the restore until the next start.
const PENDING_KEY: &str = "feed_goes_on_behind";
/// Key in `instance` of the ranges of numbers whose events are lost: `first-last`, separated by spaces.
const LOST_KEY: &str = "feed_numbers_lost";
/// Gap after the highest known number: larger than the number of events between two backups, because the database that
/// assigned the numbers may be lost.
const GAP_SIZE: i64 = 100_000_000;
/// Kind of the row that reserves the number. The feed never shows it.
const RESTORED_KIND: &str = "feed.restored";

/// Stores in a restored file that its feed must continue after `replaced_highest`, the highest number of the replaced
/// database, and after its own highest number.
pub(crate) fn record_gap(restored: &Connection, replaced_highest: i64) -> rusqlite::Result<()> {
    let next = find_highest_number(restored)?.max(replaced_highest).saturating_add(GAP_SIZE);
    restored.execute(
        "INSERT INTO instance (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![PENDING_KEY, next.to_string()],
    )?;
    Ok(())
}

/// Returns the highest event number, 0 if there are no events.
pub(crate) fn find_highest_number(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))
}

/// Applies the number stored by a restore, if there is one: reserves it and records the lost range.
pub(crate) fn apply_recorded_gap(connection: &mut Connection) -> rusqlite::Result<()> {
    if read_value(connection, PENDING_KEY)?.is_none() {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first.
    let Some(reserved) = read_value(&tx, PENDING_KEY)? else { return Ok(()) };
    let reserved: i64 = reserved.parse().map_err(|problem| undecodable_column(PENDING_KEY, problem))?;
    let first = find_highest_number(&tx)? + 1;
    tx.execute(
        "INSERT INTO events (seq, account_id, configuration, kind, resource_id, payload, created_at, published)
         VALUES (?1, '', 0, ?2, NULL, '{}', ?3, 0)",
        params![reserved, RESTORED_KIND, crate::clock::current_millis()],
    )?;
    let before = read_value(&tx, LOST_KEY)?.map(|text| text + " ").unwrap_or_default();
    tx.execute(
        "INSERT INTO instance (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![LOST_KEY, format!("{before}{first}-{}", reserved - 1)],
    )?;
    tx.execute("DELETE FROM instance WHERE key = ?1", [PENDING_KEY])?;
    tx.commit()
}

fn read_value(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM instance WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// Whether a consumer that has read up to `after` has read events that are lost.
pub fn has_read_lost_events(at: &Snapshot<'_>, after: i64) -> Result<bool> {
    let lost = instance::get_value(at, LOST_KEY)?.unwrap_or_default();
    let parse = |range: &str| {
        let (first, last) = range.split_once('-')?;
        Some(first.parse::<i64>().ok()?..=last.parse().ok()?)
    };
    for range in lost.split_whitespace() {
        let range = parse(range).ok_or_else(|| Error::undecodable("the range of lost events", range))?;
        if range.contains(&after) {
            return Ok(true);
        }
    }
    Ok(false)
}
