//! Purge of all data of a configuration, in small steps that do not delay other writes.

use rusqlite::params;

use super::rows::{read_columns, to_sql_limit};
use crate::clock::Millis;
use crate::error::Result;
use crate::model::quota::{QuotaKind, UsageAmounts};
use crate::store::tables::{counts, held_changes, membership_events, removal_windows, usage};
use crate::store::{Snapshot, Tx};

/// A configuration with a running purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingPurge {
    /// Key of the configuration.
    pub configuration: i64,
    /// Id of its account.
    pub account: String,
    /// Events up to this number no longer contain personal data.
    pub redacted_seq: i64,
}

/// Starts the purge of a configuration.
pub fn begin_purge(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    tx.run("UPDATE configurations SET purge_seq = 0 WHERE configuration = ?1 AND purge_seq IS NULL", [configuration])
}

/// Records the number up to which the events are redacted. `None` ends the purge.
pub fn set_purge_progress(tx: &Tx<'_>, configuration: i64, seq: Option<i64>) -> Result<()> {
    tx.run("UPDATE configurations SET purge_seq = ?2 WHERE configuration = ?1", params![configuration, seq])
}

/// Returns the next configuration with a running purge, if there is one.
pub fn find_next_purge(at: &Snapshot<'_>) -> Result<Option<PendingPurge>> {
    at.find_row(
        "SELECT configuration, (SELECT a.id FROM accounts a WHERE a.account = c.account), purge_seq
         FROM configurations c WHERE purge_seq IS NOT NULL
         ORDER BY configuration LIMIT 1",
        [],
        |row| Ok(PendingPurge { configuration: row.get(0)?, account: row.get(1)?, redacted_seq: row.get(2)? }),
    )
}

/// Deletes at most `limit` index values of a configuration. Returns how many were deleted.
pub fn delete_index_values(tx: &Tx<'_>, configuration: i64, limit: usize) -> Result<usize> {
    // One by one: SQLite would search a row-value condition on the key by its first column only.
    let found: Vec<(String, String, i64)> = tx.list_rows(
        "SELECT path, key, resource FROM resource_values WHERE configuration = ?1 LIMIT ?2",
        (configuration, to_sql_limit(limit)),
        |row| row.try_into(),
    )?;
    let mut delete = tx
        .prepare("DELETE FROM resource_values WHERE configuration = ?1 AND path = ?2 AND key = ?3 AND resource = ?4")?;
    for (path, key, resource) in &found {
        delete.execute(params![configuration, path, key, resource])?;
    }
    Ok(found.len())
}

/// Deletes the index values of one resource.
pub fn delete_values_of_resource(
    tx: &Tx<'_>,
    (configuration, resource): (i64, i64),
    values: &[(String, String)],
) -> Result<()> {
    let mut delete = tx
        .prepare("DELETE FROM resource_values WHERE configuration = ?1 AND path = ?2 AND key = ?3 AND resource = ?4")?;
    for (path, key) in values {
        delete.execute(params![configuration, path, key, resource])?;
    }
    Ok(())
}

/// Deletes at most `limit` memberships of a resource, as a group and as a member. Returns how many were deleted.
pub fn delete_memberships(tx: &Tx<'_>, configuration: i64, resource: &ResourceToPurge, limit: usize) -> Result<usize> {
    let Some(key) = resource.key else { return Ok(0) };
    let found: Vec<(i64, i64)> = tx.list_rows(
        "SELECT * FROM (SELECT group_resource, member_resource FROM group_members WHERE group_resource = ?1 LIMIT ?2)
         UNION SELECT * FROM
             (SELECT group_resource, member_resource FROM group_members WHERE member_resource = ?1 LIMIT ?2)
         LIMIT ?2",
        (key, to_sql_limit(limit)),
        |row| row.try_into(),
    )?;
    let mut delete = tx.prepare("DELETE FROM group_members WHERE group_resource = ?1 AND member_resource = ?2")?;
    for (group, member) in &found {
        delete.execute((group, member))?;
    }
    for of_group in found.chunk_by(|one, next| one.0 == next.0) {
        tx.run(
            "UPDATE resources SET member_count = member_count - ?2 WHERE resource = ?1",
            (of_group[0].0, to_sql_limit(of_group.len())),
        )?;
    }
    let amounts = UsageAmounts::default().with(QuotaKind::Members, -to_sql_limit(found.len()));
    usage::add_usage(tx, configuration, &amounts)?;
    Ok(found.len())
}

/// Deletes at most `limit` held memberships of a resource, as a group and as a member. Returns how many were deleted.
pub fn delete_held_memberships(
    tx: &Tx<'_>,
    configuration: i64,
    resource: &ResourceToPurge,
    limit: usize,
) -> Result<usize> {
    let mut deleted = 0;
    // Without the hint SQLite searches the second by the primary key, of which only the configuration is given.
    for (table, side) in [("held_members", "group_id"), ("held_members INDEXED BY held_members_by_member", "member_id")]
    {
        let found: Vec<(String, i64, String)> = tx.list_rows(
            &format!(
                "SELECT group_id, member, member_id FROM {table} WHERE configuration = ?1 AND {side} = ?2 LIMIT ?3"
            ),
            params![configuration, resource.id, to_sql_limit(limit - deleted)],
            |row| row.try_into(),
        )?;
        let mut delete = tx.prepare(
            "DELETE FROM held_members WHERE configuration = ?1 AND group_id = ?2 AND member = ?3 AND member_id = ?4",
        )?;
        for (group, member, id) in &found {
            delete.execute(params![configuration, group, member, id])?;
        }
        deleted += found.len();
    }
    Ok(deleted)
}

/// A resource that a purge deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceToPurge {
    /// Row of the resource, or `None` if only its held state is left.
    key: Option<i64>,
    /// Public id.
    pub id: String,
    /// Resource type name.
    pub resource_type: String,
    /// Whether it is published.
    pub is_published: bool,
    /// Its last version.
    pub version: i64,
    /// Time of that version.
    pub last_modified: Millis,
}

/// Returns a remaining user of a configuration.
pub fn find_remaining_user(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<Option<ResourceToPurge>> {
    at.find_row(
        "SELECT r.resource AS key, r.id, r.type AS resource_type, h.id IS NULL OR h.body IS NOT NULL AS is_published,
             r.version, r.last_modified
         FROM resources r LEFT JOIN held_resources h ON h.id = r.id
         WHERE r.id = ?2 AND r.configuration = ?1 AND r.type = 'User'",
        params![configuration, id],
        |row| read_columns!(row, ResourceToPurge { key, id, resource_type, is_published, version, last_modified }),
    )
}

/// Returns the id of the account of a configuration, and whether it is being purged.
pub fn find_owner(at: &Snapshot<'_>, configuration: i64) -> Result<Option<(String, bool)>> {
    at.find_row(
        "SELECT (SELECT a.id FROM accounts a WHERE a.account = c.account), purge_seq IS NOT NULL
         FROM configurations c WHERE configuration = ?1",
        [configuration],
        |row| row.try_into(),
    )
}

/// Returns at most `limit` remaining resources of a configuration, groups before users. When no resources are left,
/// returns the remaining held ones.
pub fn list_remaining_resources(at: &Snapshot<'_>, configuration: i64, limit: usize) -> Result<Vec<ResourceToPurge>> {
    let parameters = (configuration, to_sql_limit(limit));
    let read = |row: &rusqlite::Row<'_>| {
        read_columns!(row, ResourceToPurge { key, id, resource_type, is_published, version, last_modified })
    };
    let found = at.list_rows(
        "SELECT r.resource AS key, r.id, r.type AS resource_type, h.id IS NULL OR h.body IS NOT NULL AS is_published,
             r.version, r.last_modified
         FROM resources r LEFT JOIN held_resources h ON h.id = r.id
         WHERE r.configuration = ?1 ORDER BY r.type, r.resource LIMIT ?2",
        parameters,
        read,
    )?;
    if !found.is_empty() {
        return Ok(found);
    }
    at.list_rows(
        "SELECT NULL AS key, id, type AS resource_type, body IS NOT NULL AS is_published,
             coalesce(deleted_version, version, 0) AS version,
             coalesce(deleted_modified, last_modified, 0) AS last_modified FROM held_resources
         WHERE configuration = ?1 ORDER BY type, resource LIMIT ?2",
        parameters,
        read,
    )
}

/// Deletes a resource with its password and held state. Its index values and memberships must be deleted first.
pub fn purge_resource(tx: &Tx<'_>, configuration: i64, resource: &ResourceToPurge) -> Result<()> {
    if let Some(key) = resource.key {
        let (bytes, active): (i64, Option<bool>) =
            tx.read_row("SELECT octet_length(body), active FROM resources WHERE resource = ?1", [key], |row| {
                row.try_into()
            })?;
        tx.run("DELETE FROM passwords WHERE resource = ?1", [key])?;
        tx.run("DELETE FROM resources WHERE resource = ?1", [key])?;
        counts::adjust_count(tx, configuration, &resource.resource_type, key, -1)?;
        let active = usage::active_user_change(&resource.resource_type, active, None);
        let amounts = usage::resource_amounts(&resource.resource_type, -1, -bytes);
        let amounts = amounts.with(QuotaKind::ActiveUsers, active);
        usage::add_usage(tx, configuration, &amounts)?;
    }
    membership_events::delete_member(tx, &resource.id)?;
    held_changes::delete_held_resource(tx, &resource.id)
}

/// Deletes the other rows of a configuration, after its resources are deleted.
pub fn purge_remaining_rows(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    for sql in [
        "DELETE FROM resource_counts WHERE configuration = ?1",
        "DELETE FROM pending_references WHERE configuration = ?1",
        "DELETE FROM extensions WHERE configuration = ?1",
        "DELETE FROM tokens WHERE configuration = ?1 AND client IS NOT NULL",
        "DELETE FROM oauth_assertions WHERE client IN (SELECT client FROM oauth_clients WHERE configuration = ?1)",
        "DELETE FROM oauth_secrets WHERE client IN (SELECT client FROM oauth_clients WHERE configuration = ?1)",
        "DELETE FROM oauth_clients WHERE configuration = ?1",
        "DELETE FROM undeclared_attributes WHERE configuration = ?1",
        "DELETE FROM held_members WHERE configuration = ?1",
        "DELETE FROM removals WHERE configuration = ?1",
        "DELETE FROM protected_users WHERE configuration = ?1",
        "DELETE FROM undos WHERE configuration = ?1",
        "DELETE FROM undone_changes WHERE configuration = ?1",
        "UPDATE configurations SET holds = 0, held = 0 WHERE configuration = ?1",
    ] {
        tx.run(sql, [configuration])?;
    }
    removal_windows::delete_windows(tx, configuration)
}
