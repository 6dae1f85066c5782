//! The id of the event feed, and its numbers after a restore. A backup contains fewer events than consumers may have read.
//! If their numbers were assigned again, a consumer would silently skip new events. The feed therefore continues after the
//! highest number that can have been assigned, and a consumer whose position is in the gap must read again from the
//! beginning. It also gets a new id: two restores of one backup continue with the same numbers.
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
/// Key in `instance` of the id of the feed, in hexadecimal digits.
const FEED_ID_KEY: &str = "feed_id";
/// Key in `instance` of the ids that the feed had before restores, each with the last number of that time: `id-number`,
/// separated by spaces.
const EARLIER_IDS_KEY: &str = "feed_ids_before";
/// Length of the id of a feed.
pub const FEED_ID_BYTES: usize = 8;
/// Kind of the row that reserves the number. The feed never shows it.
const RESTORED_KIND: &str = "feed.restored";

/// The id of a feed: random, and another one after each restore.
pub type FeedId = [u8; FEED_ID_BYTES];

/// Stores in a restored file that its feed must continue after `replaced_highest`, the highest number of the replaced
/// database, and after its own highest number.
pub(crate) fn record_gap(restored: &Connection, replaced_highest: i64) -> rusqlite::Result<()> {
    record_next(restored, find_highest_number(restored)?.max(replaced_highest).saturating_add(GAP_SIZE))
}

/// Stores in a copy that its feed must continue after so many gaps: one for each server that may have continued after the same
/// number, this one included.
pub(crate) fn record_gaps(copy: &Connection, gaps: i64) -> rusqlite::Result<()> {
    record_next(copy, find_highest_number(copy)?.saturating_add(GAP_SIZE.saturating_mul(gaps)))
}

fn record_next(restored: &Connection, next: i64) -> rusqlite::Result<()> {
    // A restore in front of a promotion may know of higher numbers.
    let recorded = read_value(restored, PENDING_KEY)?.and_then(|text| text.parse().ok());
    let next = recorded.map_or(next, |recorded: i64| recorded.max(next));
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
    append_to_list(&tx, LOST_KEY, &format!("{first}-{}", reserved - 1))?;
    if let Some(id) = read_value(&tx, FEED_ID_KEY)? {
        append_to_list(&tx, EARLIER_IDS_KEY, &format!("{id}-{}", first - 1))?;
    }
    tx.execute("DELETE FROM instance WHERE key IN (?1, ?2)", [PENDING_KEY, FEED_ID_KEY])?;
    insert_feed_id(&tx)?;
    tx.commit()
}

/// Gives the feed an id if it has none. If that fails, for example because the disk is full, the next start tries again.
pub(crate) fn ensure_feed_id(connection: &Connection) {
    let ensured = read_value(connection, FEED_ID_KEY)
        .and_then(|found| if found.is_some() { Ok(()) } else { insert_feed_id(connection) });
    if let Err(error) = ensured {
        tracing::warn!(%error, "the id of the event feed could not be stored yet");
    }
}

fn insert_feed_id(connection: &Connection) -> rusqlite::Result<()> {
    // Another process may have been first.
    let sql = "INSERT OR IGNORE INTO instance (key, value) VALUES (?1, lower(hex(randomblob(8))))";
    connection.execute(sql, [FEED_ID_KEY]).map(drop)
}

fn append_to_list(connection: &Connection, key: &str, item: &str) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO instance (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = value || ' ' || excluded.value",
        [key, item],
    )?;
    Ok(())
}

fn read_value(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM instance WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// Returns the id of the feed.
pub fn find_feed_id(at: &Snapshot<'_>) -> Result<FeedId> {
    let stored = instance::get_value(at, FEED_ID_KEY)?;
    let Some(text) = stored else { return Ok(FeedId::default()) };
    parse_feed_id(&text).ok_or_else(|| Error::undecodable("the id of the event feed", text))
}

/// Returns the id of the feed of an attached database, in hexadecimal digits.
pub(in crate::store) fn read_feed_id_text(connection: &Connection, database: &str) -> rusqlite::Result<Option<String>> {
    let sql = format!("SELECT value FROM {database}.instance WHERE key = ?1");
    connection.query_row(&sql, [FEED_ID_KEY], |row| row.get(0)).optional()
}

/// Returns the id of a feed in hexadecimal digits.
pub fn format_feed_id(id: FeedId) -> String {
    format!("{:016x}", u64::from_be_bytes(id))
}

/// Returns the last number that the feed had assigned when it lost this id in a restore, or `None` if the feed never had
/// the id. Positions up to this number are positions of the feed.
pub fn find_end_of_earlier_id(at: &Snapshot<'_>, id: FeedId) -> Result<Option<i64>> {
    let earlier = instance::get_value(at, EARLIER_IDS_KEY)?.unwrap_or_default();
    let parse = |item: &str| {
        let (id, last) = item.split_once('-')?;
        Some((parse_feed_id(id)?, last.parse::<i64>().ok()?))
    };
    for item in earlier.split_whitespace() {
        let (found, last) = parse(item).ok_or_else(|| Error::undecodable("an earlier id of the event feed", item))?;
        if found == id {
            return Ok(Some(last));
        }
    }
    Ok(None)
}

fn parse_feed_id(text: &str) -> Option<FeedId> {
    let number = u64::from_str_radix(text, 16).ok();
    number.filter(|_| text.len() == 2 * FEED_ID_BYTES).map(u64::to_be_bytes)
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
