//! Rows of `undos`: the last undo of each configuration, and how far it is.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Row, named_params, params};
use serde::{Deserialize, Serialize};

use super::rows::{read_columns, to_sql_limit};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::store::{Snapshot, Tx};

/// An undo of what a configuration changed since a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReversal {
    /// Changes from this time on are undone.
    pub since: Millis,
    /// When it was started. Later changes stay.
    pub started_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// Number of the last event before `since`.
    pub first_seq: i64,
    /// Number of the last event before the start.
    pub last_seq: i64,
    /// How far it is. `None` after the end.
    pub progress: Option<ReversalProgress>,
    /// Id of the request that started it.
    pub request_id: Option<String>,
    /// What was undone so far.
    pub counts: ReversalCounts,
    /// The first users and groups with a change that could not be undone, each with the code of the reason.
    pub conflict_list: Vec<(String, String)>,
}

/// Most conflicts that are stored.
const CONFLICTS_MAX: usize = 100;

impl StoredReversal {
    /// Adds a change that could not be undone.
    pub fn add_conflict(&mut self, id: &str, reason: &str) {
        self.counts.conflicts += 1;
        if self.conflict_list.len() < CONFLICTS_MAX {
            self.conflict_list.push((id.to_owned(), reason.to_owned()));
        }
    }
}

/// How many changes an undo undoes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReversalCounts {
    /// Deleted users and groups that return.
    pub restored: i64,
    /// Users that are active again.
    pub activated: i64,
    /// Users that are inactive again.
    pub deactivated: i64,
    /// Memberships that return.
    pub joined: i64,
    /// Memberships that end.
    pub left: i64,
    /// Changes that cannot be undone.
    pub conflicts: i64,
}

/// How far an undo is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReversalProgress {
    /// Deletions, newest first: time and id of the last one.
    Deletions {
        /// `None` at the begin.
        after: Option<(Millis, String)>,
    },
    /// Events, oldest first: all up to this number are undone.
    Events {
        /// Number of the event.
        after: i64,
    },
    /// The rows about changes that were undone are deleted.
    Cleanup,
}

impl FromSql for ReversalProgress {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map_err(|problem| FromSqlError::Other(problem.into()))
    }
}

/// Stores an undo in place of the last one.
pub fn save_reversal(tx: &Tx<'_>, configuration: i64, reversal: &StoredReversal) -> Result<()> {
    let progress = reversal.progress.as_ref().map(serde_json::to_string).transpose();
    let progress = progress.map_err(|problem| Error::undecodable("progress of an undo", problem))?;
    let conflict_list = serde_json::to_string(&reversal.conflict_list);
    let conflict_list = conflict_list.map_err(|problem| Error::undecodable("conflicts of an undo", problem))?;
    tx.run(
        "INSERT OR REPLACE INTO undos (configuration, since, started_at, ended_at, first_seq, last_seq, progress, request_id, restored,
             activated, deactivated, joined, left_groups, conflicts, conflict_list)
         VALUES (:configuration, :since, :started_at, :ended_at, :first_seq, :last_seq, :progress, :request_id, :restored, :activated,
             :deactivated, :joined, :left_groups, :conflicts, :conflict_list)",
        named_params! {
            ":configuration": configuration,
            ":since": reversal.since,
            ":started_at": reversal.started_at,
            ":ended_at": reversal.ended_at,
            ":first_seq": reversal.first_seq,
            ":last_seq": reversal.last_seq,
            ":progress": progress,
            ":request_id": reversal.request_id,
            ":restored": reversal.counts.restored,
            ":activated": reversal.counts.activated,
            ":deactivated": reversal.counts.deactivated,
            ":joined": reversal.counts.joined,
            ":left_groups": reversal.counts.left,
            ":conflicts": reversal.counts.conflicts,
            ":conflict_list": conflict_list,
        },
    )
}

/// Returns the last undo of a configuration.
pub fn find_reversal(at: &Snapshot<'_>, configuration: i64) -> Result<Option<StoredReversal>> {
    at.find_row("SELECT * FROM undos WHERE configuration = ?1", [configuration], |row| {
        let counts = read_counts(row)?;
        let text: String = row.get("conflict_list")?;
        let conflict_list = serde_json::from_str(&text).map_err(|problem| FromSqlError::Other(problem.into()))?;
        read_columns!(
            row,
            StoredReversal {
                since, started_at, ended_at, first_seq, last_seq, progress, request_id;
                counts: counts, conflict_list: conflict_list
            }
        )
    })
}

fn read_counts(row: &Row<'_>) -> rusqlite::Result<ReversalCounts> {
    read_columns!(row, ReversalCounts { restored, activated, deactivated, joined, left: "left_groups", conflicts })
}

/// Returns the next configuration whose undo is running, after the configuration `after` or else from the first one.
pub fn find_next_reversal(at: &Snapshot<'_>, after: i64) -> Result<Option<i64>> {
    at.find_value(
        "SELECT configuration FROM undos WHERE progress IS NOT NULL ORDER BY configuration <= ?1, configuration LIMIT 1",
        [after],
    )
}

/// A change of a configuration in its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoneEvent {
    /// Number.
    pub seq: i64,
    /// Kind.
    pub kind: String,
    /// The user or group.
    pub resource_id: String,
    /// JSON text.
    pub payload: String,
}

/// Returns at most `limit` changes of activity and memberships of a configuration with numbers after `after` and up to `until`,
/// oldest first, also those that were not published. Events that publish such changes later are left out.
pub fn list_changes_after(
    at: &Snapshot<'_>,
    configuration: i64,
    (after, until): (i64, i64),
    limit: usize,
) -> Result<Vec<UndoneEvent>> {
    at.list_rows(
        "SELECT seq, kind, resource_id, payload FROM events
         WHERE seq > ?2 AND seq <= ?3 AND configuration = ?1 AND resource_id IS NOT NULL AND restated = 0
             AND kind IN ('user.deactivated', 'user.reactivated', 'group.member_added', 'group.member_removed')
         ORDER BY seq LIMIT ?4",
        params![configuration, after, until, to_sql_limit(limit)],
        |row| read_columns!(row, UndoneEvent { seq, kind, resource_id, payload }),
    )
}

/// Records that the oldest change of a user or a membership is being undone. `member` is empty for a user. Returns false if an
/// older one was.
pub fn record_undone(tx: &Tx<'_>, configuration: i64, subject: &str, member: &str) -> Result<bool> {
    let sql = "INSERT OR IGNORE INTO undone_changes (configuration, subject, member) VALUES (?1, ?2, ?3)";
    Ok(tx.execute(sql, params![configuration, subject, member])? > 0)
}

/// Deletes at most `limit` rows about changes that were undone. Returns whether none is left.
pub fn delete_undone(tx: &Tx<'_>, configuration: i64, limit: usize) -> Result<bool> {
    let deleted = tx.execute(
        "DELETE FROM undone_changes WHERE (configuration, subject, member) IN
             (SELECT configuration, subject, member FROM undone_changes WHERE configuration = ?1 LIMIT ?2)",
        params![configuration, to_sql_limit(limit)],
    )?;
    Ok(deleted < limit)
}

/// Returns the number of the last event before a time, or the number before the oldest stored event. The times of events
/// increase with their numbers.
pub fn find_seq_before(at: &Snapshot<'_>, time: Millis, (removed, end): (i64, i64)) -> Result<i64> {
    let (mut low, mut high) = (removed, end);
    while low < high {
        let middle = low + (high - low) / 2;
        // The first event after the middle, because numbers have gaps.
        let found: Option<(i64, Millis)> =
            at.find_row("SELECT seq, created_at FROM events WHERE seq > ?1 ORDER BY seq LIMIT 1", [middle], |row| {
                row.try_into()
            })?;
        match found {
            Some((seq, created_at)) if created_at < time => low = seq,
            _ => high = middle,
        }
    }
    Ok(low)
}
