//! Rows of `holds`, `removal_windows` and `removals`: the settings and the state of the hold of a configuration, and what its
//! identity provider removed in the last minutes.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Row, named_params, params};
use serde::{Deserialize, Serialize};

use super::removal_windows::{self, decode_settings, settle_windows};
use super::rows::{read_by_name, read_columns, to_sql_limit};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::hold::{HoldDecision, HoldReason, HoldSettings, RemovalKind};
use crate::store::{Snapshot, Tx};

/// The hold of a configuration: its settings, and its last state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHold {
    /// When it is held.
    pub settings: HoldSettings,
    /// When the configuration was created.
    pub created_at: Millis,
    /// Until then it is not held.
    pub exempt_until: Option<Millis>,
    /// When a hold was last allowed.
    pub allowed_at: Option<Millis>,
    /// The last hold.
    pub last: Option<HoldRecord>,
    /// Whether changes wait for a decision, or for the end of a rejection.
    pub held: bool,
    /// Whether there are changes that are not published yet.
    pub holds: bool,
    /// Whether changes are published, and not paused.
    pub sync: bool,
}

/// Why and when a hold began, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRecord {
    /// Start.
    pub since: Millis,
    /// The kind whose counter reached its threshold, or a protected user.
    pub reason: HoldReason,
    /// Removals of that kind in the window, and of the time of the hold.
    pub counted: i64,
    /// How many of them are published.
    pub published: i64,
    /// With how many the hold began.
    pub threshold: i64,
    /// Length of the window.
    pub window_minutes: u32,
    /// Start of the window.
    pub window_start: Millis,
    /// The decision of the admin.
    pub decision: Option<HoldDecision>,
}

/// Creates the row of a configuration, and counts its removals if the settings say so.
pub fn insert_hold(tx: &Tx<'_>, configuration: i64, settings: &HoldSettings) -> Result<()> {
    tx.run(
        "INSERT INTO holds (configuration, settings) VALUES (?1, ?2)",
        params![configuration, encode_settings(settings)?],
    )?;
    set_counting(tx, configuration, settings.enabled)
}

/// Stores the settings.
pub fn save_settings(tx: &Tx<'_>, configuration: i64, settings: &HoldSettings) -> Result<()> {
    settle_windows(tx)?;
    tx.run(
        "INSERT INTO holds (configuration, settings) VALUES (?1, ?2)
             ON CONFLICT (configuration) DO UPDATE SET settings = excluded.settings",
        params![configuration, encode_settings(settings)?],
    )?;
    set_counting(tx, configuration, settings.enabled)
}

fn encode_settings(settings: &HoldSettings) -> Result<String> {
    serde_json::to_string(settings).map_err(|problem| Error::undecodable("settings of a hold", problem))
}

fn set_counting(tx: &Tx<'_>, configuration: i64, enabled: bool) -> Result<()> {
    if enabled { set_flag(tx, configuration, COUNTS) } else { clear_flag(tx, configuration, COUNTS) }
}

/// Bit of `hold_flags`: removals are counted.
const COUNTS: i64 = 1;
/// Bit of `hold_flags`: an admin rejected removals.
const HAS_REJECTED: i64 = 16;
/// Bit of `hold_flags`: there are protected users.
const PROTECTS: i64 = 32;

/// What a write must look at for the hold of its configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HoldFlags(i64);

impl HoldFlags {
    /// Whether something of this kind was removed that can come back.
    pub fn watches(self, kind: RemovalKind) -> bool {
        self.0 & kind_flag(kind) != 0
    }

    /// Whether a write that removes something must be examined.
    pub fn examines_removals(self) -> bool {
        self.0 & (COUNTS | PROTECTS) != 0
    }

    /// Whether there are protected users.
    pub fn protects_users(self) -> bool {
        self.0 & PROTECTS != 0
    }

    /// Whether an admin rejected removals.
    pub fn has_rejected(self) -> bool {
        self.0 & HAS_REJECTED != 0
    }
}

impl FromSql for HoldFlags {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

fn kind_flag(kind: RemovalKind) -> i64 {
    match kind {
        RemovalKind::Users => 2,
        RemovalKind::Memberships => 4,
        RemovalKind::Groups => 8,
    }
}

fn set_flag(tx: &Tx<'_>, configuration: i64, flag: i64) -> Result<()> {
    tx.run(
        "UPDATE configurations SET hold_flags = hold_flags | ?2 WHERE configuration = ?1 AND hold_flags & ?2 = 0",
        [configuration, flag],
    )
}

fn clear_flag(tx: &Tx<'_>, configuration: i64, flag: i64) -> Result<()> {
    tx.run(
        "UPDATE configurations SET hold_flags = hold_flags & ~?2 WHERE configuration = ?1 AND hold_flags & ?2 <> 0",
        [configuration, flag],
    )
}

/// Returns the hold of a configuration. One without a row has the settings of earlier versions: it is not held.
pub fn load_hold(at: &Snapshot<'_>, configuration: i64) -> Result<StoredHold> {
    at.read_row(
        "SELECT c.created_at, c.held, c.holds, c.sync, h.* FROM configurations c LEFT JOIN holds h USING (configuration)
         WHERE c.configuration = ?1",
        [configuration],
        |row| {
            let settings = decode_settings(row.get("settings")?);
            let since: Option<Millis> = row.get("held_since")?;
            let last = since.map(|since| read_record(row, since)).transpose()?;
            read_columns!(row, StoredHold { created_at, exempt_until, allowed_at, held, holds, sync; settings: settings, last: last })
        },
    )
}

fn read_record(row: &Row<'_>, since: Millis) -> rusqlite::Result<HoldRecord> {
    read_columns!(
        row,
        HoldRecord { reason, counted, published, threshold, window_minutes, window_start, decision; since: since }
    )
}

read_by_name!(HoldReason, RemovalKind, HoldDecision);

/// Starts a hold, or changes its record.
pub fn save_record(tx: &Tx<'_>, configuration: i64, record: &HoldRecord) -> Result<()> {
    tx.run(
        "UPDATE holds SET held_since = :since, reason = :reason, counted = :counted, published = :published,
             threshold = :threshold, window_minutes = :minutes, window_start = :start, decision = :decision
         WHERE configuration = :configuration",
        named_params! {
            ":configuration": configuration,
            ":since": record.since,
            ":reason": record.reason.as_str(),
            ":counted": record.counted,
            ":published": record.published,
            ":threshold": record.threshold,
            ":minutes": record.window_minutes,
            ":start": record.window_start,
            ":decision": record.decision.map(HoldDecision::as_str),
        },
    )
}

/// Stores which request decided.
pub fn save_deciding_request(tx: &Tx<'_>, configuration: i64, request: Option<&str>) -> Result<()> {
    tx.run("UPDATE holds SET request_id = ?2 WHERE configuration = ?1", params![configuration, request])
}

/// Returns the request that decided.
pub fn find_deciding_request(at: &Snapshot<'_>, configuration: i64) -> Result<Option<String>> {
    Ok(at.find_value("SELECT request_id FROM holds WHERE configuration = ?1", [configuration])?.flatten())
}

/// Removes the record of a hold that has ended.
pub fn forget_ended_hold(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    tx.run(
        "UPDATE holds SET held_since = NULL, reason = NULL, decision = NULL
         WHERE configuration = ?1 AND (SELECT held FROM configurations c WHERE c.configuration = ?1) = 0",
        [configuration],
    )
}

/// Sets whether the changes of a configuration wait for a decision.
pub fn set_held(tx: &Tx<'_>, configuration: i64, held: bool) -> Result<()> {
    tx.run("UPDATE configurations SET held = ?2 WHERE configuration = ?1", params![configuration, held])
}

/// Sets the time until which a configuration is not held.
pub fn set_exempt_until(tx: &Tx<'_>, configuration: i64, until: Option<Millis>) -> Result<()> {
    settle_windows(tx)?;
    tx.run("UPDATE holds SET exempt_until = ?2 WHERE configuration = ?1", params![configuration, until])
}

/// Adds to the removals of a running hold that has this reason.
pub fn add_counted(tx: &Tx<'_>, configuration: i64, kind: RemovalKind, counted: i64) -> Result<()> {
    tx.run(
        "UPDATE holds SET counted = max(counted + ?3, published) WHERE configuration = ?1 AND reason = ?2",
        params![configuration, kind.as_str(), counted],
    )
}

/// Replaces the protected users: each with its normalized name.
pub fn save_protected_users(tx: &Tx<'_>, configuration: i64, users: &[(String, String)]) -> Result<()> {
    tx.run("DELETE FROM protected_users WHERE configuration = ?1", [configuration])?;
    for (name, key) in users {
        add_protected_user(tx, configuration, name, key)?;
    }
    if users.is_empty() { clear_flag(tx, configuration, PROTECTS) } else { set_flag(tx, configuration, PROTECTS) }
}

/// Protects another user.
pub fn add_protected_user(tx: &Tx<'_>, configuration: i64, name: &str, key: &str) -> Result<()> {
    tx.run(
        "INSERT OR IGNORE INTO protected_users (configuration, name, key) VALUES (?1, ?2, ?3)",
        params![configuration, name, key],
    )
}

/// Returns the names of the protected users, ordered.
pub fn list_protected_users(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<String>> {
    at.list_values("SELECT name FROM protected_users WHERE configuration = ?1 ORDER BY name", [configuration])
}

/// Whether a user with this normalized name or this `externalId` is protected.
pub fn is_protected(at: &Snapshot<'_>, configuration: i64, key: &str, external_id: Option<&str>) -> Result<bool> {
    at.read_value(
        "SELECT EXISTS (SELECT 1 FROM protected_users WHERE configuration = ?1 AND (key = ?2 OR name = ?3))",
        params![configuration, key, external_id],
    )
}

/// What was removed: the id of a user or group, or the ids of a group and its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedItem<'a> {
    /// Id of the user or group.
    pub subject: &'a str,
    /// Id of the member, empty unless a membership was removed.
    pub member: &'a str,
}

/// Stores a removal of now, instead of an earlier one of the same item.
pub fn insert_removal(tx: &Tx<'_>, configuration: i64, kind: RemovalKind, item: RemovedItem<'_>) -> Result<()> {
    // REPLACE would need a statement journal.
    tx.run(
        "INSERT INTO removals (configuration, kind, subject, member, removed_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET removed_at = excluded.removed_at, rejected_at = NULL",
        params![configuration, kind.as_str(), item.subject, item.member, tx.now],
    )
}

/// Records that something may come back, so that later writes look.
pub fn watch_kind(tx: &Tx<'_>, configuration: i64, kind: RemovalKind) -> Result<()> {
    set_flag(tx, configuration, kind_flag(kind))
}

/// Deletes a removal that was not rejected, because the item is there again. Returns when it was removed.
pub fn delete_removal(
    tx: &Tx<'_>,
    configuration: i64,
    kind: RemovalKind,
    item: RemovedItem<'_>,
) -> Result<Option<Millis>> {
    let key = (configuration, kind.as_str(), item.subject, item.member);
    // RETURNING would need a statement journal.
    let found = tx.find_value(
        "SELECT removed_at FROM removals WHERE configuration = ?1 AND kind = ?2 AND subject = ?3 AND member = ?4
             AND rejected_at IS NULL",
        key,
    )?;
    if found.is_some() {
        tx.run("DELETE FROM removals WHERE configuration = ?1 AND kind = ?2 AND subject = ?3 AND member = ?4", key)?;
    }
    Ok(found)
}

/// Whether an admin rejected the removal of this item after `since`.
pub fn was_rejected(
    at: &Snapshot<'_>,
    configuration: i64,
    kind: RemovalKind,
    item: RemovedItem<'_>,
    since: Millis,
) -> Result<bool> {
    at.read_value(
        "SELECT EXISTS (SELECT 1 FROM removals WHERE configuration = ?1 AND kind = ?2 AND subject = ?3 AND member = ?4
             AND rejected_at > ?5)",
        params![configuration, kind.as_str(), item.subject, item.member, since],
    )
}

/// Returns when an item was removed whose removal an admin rejected.
pub fn find_rejected(
    at: &Snapshot<'_>,
    configuration: i64,
    kind: RemovalKind,
    item: RemovedItem<'_>,
) -> Result<Option<Millis>> {
    at.find_value(
        "SELECT removed_at FROM removals WHERE configuration = ?1 AND kind = ?2 AND subject = ?3 AND member = ?4
             AND rejected_at IS NOT NULL",
        params![configuration, kind.as_str(), item.subject, item.member],
    )
}

/// Whether an admin rejected after `since` that one of these members leaves a group.
pub fn has_rejected_member(
    at: &Snapshot<'_>,
    (configuration, group): (i64, &str),
    since: Millis,
    mut leaves: impl FnMut(&str) -> bool,
) -> Result<bool> {
    let mut statement = at.prepare(
        "SELECT member FROM removals WHERE configuration = ?1 AND kind = 'memberships' AND subject = ?2
             AND rejected_at > ?3",
    )?;
    let mut rows = statement.query(params![configuration, group, since])?;
    while let Some(row) = rows.next()? {
        if leaves(row.get_ref(0)?.as_str().unwrap_or_default()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns how many removals of a kind there are since that time which were not rejected.
pub fn count_removals(at: &Snapshot<'_>, (configuration, kind): (i64, RemovalKind), since: Millis) -> Result<i64> {
    at.read_value(
        "SELECT count(*) FROM removals WHERE configuration = ?1 AND kind = ?2 AND removed_at > ?3 AND rejected_at IS NULL",
        params![configuration, kind.as_str(), since],
    )
}

/// Whether the changes of a configuration wait for a decision.
pub fn is_held(at: &Snapshot<'_>, configuration: i64) -> Result<bool> {
    Ok(at.find_value("SELECT held FROM configurations WHERE configuration = ?1", [configuration])?.unwrap_or(false))
}

/// Stores that an admin rejected the removal of this item.
pub fn mark_rejected(tx: &Tx<'_>, configuration: i64, kind: RemovalKind, item: RemovedItem<'_>) -> Result<()> {
    // The time of the removal stays, because the window still counts it. A removal without a row was not counted.
    tx.run(
        "INSERT INTO removals (configuration, kind, subject, member, removed_at, rejected_at)
             VALUES (?1, ?2, ?3, ?4, 0, ?5)
             ON CONFLICT DO UPDATE SET rejected_at = excluded.rejected_at",
        params![configuration, kind.as_str(), item.subject, item.member, tx.now],
    )?;
    set_flag(tx, configuration, HAS_REJECTED)
}

/// A removed item with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedName {
    /// Id of the user or group.
    pub subject: String,
    /// Id of the member, empty unless a membership was removed.
    pub member: String,
    /// `userName` or `displayName` of the user or group, or its id if the name is not stored any more.
    pub name: String,
    /// The same of the member.
    pub member_name: Option<String>,
}

/// The name of the resource with that id, as a subquery.
macro_rules! name_of {
    ($id:literal) => {
        concat!(
            "coalesce((SELECT coalesce(r.body ->> 'userName', r.body ->> 'displayName') FROM resources r WHERE r.id = ",
            $id,
            " AND r.configuration = m.configuration),
             (SELECT coalesce(k.body ->> 'userName', k.body ->> 'displayName') FROM held_resources k WHERE k.id = ",
            $id,
            " AND k.configuration = m.configuration),
             (SELECT t.name FROM tombstones t WHERE t.id = ",
            $id,
            " AND t.configuration = m.configuration), ",
            $id,
            ")"
        )
    };
}

/// Returns at most `limit` removals of a kind since that time which were not rejected, ordered by their ids, after the item.
pub fn list_removals(
    at: &Snapshot<'_>,
    (configuration, kind): (i64, RemovalKind),
    since: Millis,
    after: RemovedItem<'_>,
    limit: usize,
) -> Result<Vec<RemovedName>> {
    at.list_rows(
        concat!(
            "SELECT m.subject, m.member, ",
            name_of!("m.subject"),
            " AS name, CASE WHEN m.member <> '' THEN ",
            name_of!("m.member"),
            " END AS member_name FROM removals m
             WHERE m.configuration = ?1 AND m.kind = ?2 AND (m.subject, m.member) > (?3, ?4) AND m.removed_at > ?5
                 AND m.rejected_at IS NULL
             ORDER BY m.subject, m.member LIMIT ?6"
        ),
        params![configuration, kind.as_str(), after.subject, after.member, since, to_sql_limit(limit)],
        |row| read_columns!(row, RemovedName { subject, member, name, member_name }),
    )
}

/// Deletes at most `limit` removals of a kind that were not rejected, and the window when none is left. Returns the number of
/// rows.
pub fn delete_old_removals(tx: &Tx<'_>, configuration: i64, kind: RemovalKind, limit: usize) -> Result<usize> {
    let deleted = tx.execute(
        "DELETE FROM removals WHERE (configuration, kind, subject, member) IN
             (SELECT configuration, kind, subject, member FROM removals
              WHERE configuration = ?1 AND kind = ?2 AND rejected_at IS NULL LIMIT ?3)",
        params![configuration, kind.as_str(), to_sql_limit(limit)],
    )?;
    if deleted < limit {
        removal_windows::delete_window(tx, (configuration, kind))?;
        clear_flag(tx, configuration, kind_flag(kind))?;
    }
    Ok(deleted)
}

/// Deletes at most `limit` rejections up to that time.
pub fn delete_old_rejections(tx: &Tx<'_>, until: Millis, limit: usize) -> Result<usize> {
    tx.execute(
        "DELETE FROM removals WHERE (configuration, kind, subject, member) IN
             (SELECT configuration, kind, subject, member FROM removals WHERE rejected_at <= ?1 LIMIT ?2)",
        params![until, to_sql_limit(limit)],
    )
}

/// Returns the names of at most `limit` configurations that are held, as `account: name`.
pub fn list_held_connections(at: &Snapshot<'_>, limit: usize) -> Result<Vec<String>> {
    at.list_values(
        "SELECT a.id || ': ' || c.connection_name FROM configurations c CROSS JOIN accounts a USING (account)
         WHERE c.held = 1 AND c.deleted_at IS NULL ORDER BY c.configuration LIMIT ?1",
        [to_sql_limit(limit)],
    )
}

/// How far the removals of a rejected hold are undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RejectionProgress {
    /// Resources up to this type and row number.
    Resources {
        /// Type and row number of the last one.
        after: (String, i64),
    },
    /// References to deleted resources, of the resources up to this type and row number.
    References {
        /// Type and row number of the last one.
        after: (String, i64),
    },
    /// Memberships up to this group and member.
    Members {
        /// Id of the group and row number of the member of the last one.
        after: (String, i64),
    },
}

impl FromSql for RejectionProgress {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map_err(|problem| FromSqlError::Other(problem.into()))
    }
}

/// Stores how far the removals are undone.
pub fn save_rejection(tx: &Tx<'_>, configuration: i64, progress: Option<&RejectionProgress>) -> Result<()> {
    let text = progress.map(serde_json::to_string).transpose();
    let text = text.map_err(|problem| Error::undecodable("progress of a rejection", problem))?;
    tx.run("UPDATE holds SET rejection = ?2 WHERE configuration = ?1", params![configuration, text])
}

/// Returns how far the removals of a configuration are undone, or `None` if they are not being undone.
pub fn find_rejection(at: &Snapshot<'_>, configuration: i64) -> Result<Option<RejectionProgress>> {
    at.find_value("SELECT rejection FROM holds WHERE configuration = ?1 AND rejection IS NOT NULL", [configuration])
}

/// Returns the next configuration whose removals are being undone, after the configuration `after` or else from the first one.
pub fn find_next_rejection(at: &Snapshot<'_>, after: i64) -> Result<Option<i64>> {
    at.find_value(
        "SELECT configuration FROM holds WHERE rejection IS NOT NULL ORDER BY configuration <= ?1, configuration LIMIT 1",
        [after],
    )
}

/// Most conflicts that are stored.
const CONFLICTS_MAX: i64 = 100;

/// Removes the conflicts of an earlier rejection.
pub fn clear_conflicts(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    tx.run("UPDATE holds SET conflicts = '[]' WHERE configuration = ?1", [configuration])
}

/// Adds a removal that could not be undone, and the code of the reason. Beyond 100 of them, it is left out.
pub fn add_conflict(tx: &Tx<'_>, configuration: i64, id: &str, reason: &str) -> Result<()> {
    tx.run(
        "UPDATE holds SET conflicts = json_insert(conflicts, '$[#]', json_array(?2, ?3))
         WHERE configuration = ?1 AND json_array_length(conflicts) < ?4",
        params![configuration, id, reason, CONFLICTS_MAX],
    )
}

/// Returns the removals that could not be undone: ids, each with the code of the reason.
pub fn list_conflicts(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<(String, String)>> {
    at.list_rows(
        "SELECT c.value ->> 0, c.value ->> 1 FROM holds h CROSS JOIN json_each(h.conflicts) c WHERE h.configuration = ?1",
        [configuration],
        |row| row.try_into(),
    )
}
