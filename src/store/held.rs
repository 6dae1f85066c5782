//! Rows of `held_resources` and `held_members`: what the operator's application knows of resources and memberships that
//! have changed since their configuration was paused. The first change counts, so a row is written once and then left.

use rusqlite::{OptionalExtension, Row, params};

use super::resources::Stored;
use super::{Snapshot, Tx};
use crate::error::Result;
use crate::scim::index::Keys;

/// What decides where the changes of a configuration go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Whether its changes may reach the operator's application.
    pub sync: bool,
    /// Whether earlier changes still wait.
    pub holds: bool,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Whether everything it has is being removed.
    pub purging: bool,
}

/// The gate of a configuration as this transaction sees it; none where there is no such row.
pub fn gate(at: &Snapshot<'_>, configuration: i64) -> Result<Option<Gate>> {
    let mut statement =
        at.prepare("SELECT sync, holds, deleted_at IS NOT NULL, purge_seq IS NOT NULL FROM configurations WHERE configuration = ?1")?;
    let row =
        |row: &Row<'_>| Ok(Gate { sync: row.get(0)?, holds: row.get(1)?, deleted: row.get(2)?, purging: row.get(3)? });
    Ok(statement.query_row([configuration], row).optional()?)
}

/// Notes whether anything of a configuration waits.
pub fn set_holds(tx: &Tx<'_>, configuration: i64, holds: bool) -> Result<()> {
    tx.prepare("UPDATE configurations SET holds = ?2 WHERE configuration = ?1")?
        .execute(params![configuration, holds])?;
    Ok(())
}

/// Holds a resource that has just been made: nobody outside knows it.
pub fn hold_new(tx: &Tx<'_>, resource_type: &str, made: &Stored) -> Result<()> {
    tx.prepare("INSERT OR IGNORE INTO held_resources (configuration, type, id, resource) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![made.configuration, resource_type, made.id, made.key])?;
    Ok(())
}

/// Holds a resource as it was: `before` and its keys are read before the change, the row is written after it.
pub fn hold_image(tx: &Tx<'_>, resource_type: &str, before: &Stored, keys: &Keys) -> Result<()> {
    tx.prepare(
        "INSERT OR IGNORE INTO held_resources (configuration, type, id, resource, version, created_at, last_modified,
             active, user_name_key, external_id, label, member_count, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        before.configuration,
        resource_type,
        before.id,
        before.key,
        before.version,
        before.created_at,
        before.last_modified,
        keys.active,
        keys.user_name,
        keys.external_id,
        keys.label,
        before.member_count,
        before.body
    ])?;
    Ok(())
}

/// What a row that has not changed yet says.
const IMAGE: &str = "INSERT OR IGNORE INTO held_resources (configuration, type, id, resource, version, created_at,
         last_modified, active, user_name_key, external_id, label, member_count, body)
     SELECT r.configuration, r.type, r.id, r.resource, r.version, r.created_at, r.last_modified, r.active,
         r.user_name_key, r.external_id, r.label, r.member_count, r.body FROM resources r";

/// Holds a resource whose row has not changed yet.
pub fn hold_row(tx: &Tx<'_>, stored: &Stored) -> Result<()> {
    tx.prepare(&format!("{IMAGE} WHERE r.resource = ?1 AND r.configuration = ?2"))?
        .execute([stored.key, stored.configuration])?;
    Ok(())
}

/// Holds every group that a resource is in, before their versions move.
pub fn hold_groups_of(tx: &Tx<'_>, member: &Stored) -> Result<()> {
    tx.prepare(&format!(
        "{IMAGE} WHERE r.resource IN (SELECT group_resource FROM group_members WHERE member_resource = ?1)
             AND +r.configuration = ?2"
    ))?
    .execute([member.key, member.configuration])?;
    Ok(())
}

/// The member's side of a membership.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Row of the resource.
    pub key: i64,
    /// Public id.
    pub id: &'a str,
    /// Resource type name.
    pub resource_type: &'a str,
}

/// Holds a membership that changes; `was` tells whether it was there before.
pub fn hold_member(tx: &Tx<'_>, configuration: i64, group: &str, member: Member<'_>, was: bool) -> Result<()> {
    tx.prepare(
        "INSERT OR IGNORE INTO held_members (configuration, group_id, member, member_id, member_type, was)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![configuration, group, member.key, member.id, member.resource_type, was])?;
    Ok(())
}

/// Holds all memberships of a resource that is about to go: those in groups, and those it has as a group.
pub fn hold_memberships_of(tx: &Tx<'_>, stored: &Stored) -> Result<()> {
    tx.prepare(
        "INSERT OR IGNORE INTO held_members (configuration, group_id, member, member_id, member_type, was)
         SELECT m.configuration, g.id, m.resource, m.id, m.type, 1 FROM resources m, group_members e
         JOIN resources g ON g.resource = e.group_resource
         WHERE m.resource = ?1 AND m.configuration = ?2 AND e.member_resource = m.resource",
    )?
    .execute([stored.key, stored.configuration])?;
    if stored.member_count > 0 {
        tx.prepare(
            "INSERT OR IGNORE INTO held_members (configuration, group_id, member, member_id, member_type, was)
             SELECT g.configuration, g.id, m.resource, m.id, m.type, 1 FROM resources g, group_members e
             JOIN resources m ON m.resource = e.member_resource
             WHERE g.resource = ?1 AND g.configuration = ?2 AND e.group_resource = g.resource",
        )?
        .execute([stored.key, stored.configuration])?;
    }
    Ok(())
}

/// Marks a resource as gone, after its memberships were held and before its row goes. What nobody outside knew leaves
/// nothing behind.
pub fn mark_gone(tx: &Tx<'_>, stored: &Stored) -> Result<()> {
    let unknown = tx
        .prepare("DELETE FROM held_resources WHERE id = ?1 AND configuration = ?2 AND body IS NULL")?
        .execute(params![stored.id, stored.configuration])?;
    if unknown == 0 {
        hold_row(tx, stored)?;
        tx.prepare("UPDATE held_resources SET gone = 1 WHERE id = ?1 AND configuration = ?2")?
            .execute(params![stored.id, stored.configuration])?;
    }
    tx.prepare("DELETE FROM held_members WHERE configuration = ?1 AND group_id = ?2 AND was = 0")?
        .execute(params![stored.configuration, stored.id])?;
    // Left to itself SQLite takes the primary key, of which only the configuration is given here.
    tx.prepare(
        "DELETE FROM held_members INDEXED BY held_members_by_member
         WHERE configuration = ?1 AND member_id = ?2 AND was = 0",
    )?
    .execute(params![stored.configuration, stored.id])?;
    Ok(())
}

/// A resource that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Public id.
    pub id: String,
    /// Resource type name.
    pub resource_type: String,
    /// Its text as it is known outside; none where it is not.
    pub before: Option<String>,
    /// Its text as it is; none where it is gone.
    pub now: Option<String>,
}

fn held(row: &Row<'_>) -> rusqlite::Result<Held> {
    Ok(Held { id: row.get(0)?, resource_type: row.get(1)?, before: row.get(2)?, now: row.get(3)? })
}

/// At most `limit` waiting resources that are gone, groups before users.
pub fn gone(at: &Snapshot<'_>, configuration: i64, limit: usize) -> Result<Vec<Held>> {
    let mut statement = at.prepare(
        "SELECT id, type, body, NULL FROM held_resources WHERE configuration = ?1 AND gone = 1
         ORDER BY type LIMIT ?2",
    )?;
    let rows = statement.query_map(params![configuration, as_limit(limit)], held)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// At most `limit` waiting resources of a type, in the order of creation.
pub fn changed(at: &Snapshot<'_>, configuration: i64, resource_type: &str, limit: usize) -> Result<Vec<Held>> {
    let mut statement = at.prepare(
        "SELECT h.id, h.type, h.body, r.body FROM held_resources h LEFT JOIN resources r ON r.id = h.id
         WHERE h.configuration = ?1 AND h.type = ?2 ORDER BY h.resource LIMIT ?3",
    )?;
    let rows = statement.query_map(params![configuration, resource_type, as_limit(limit)], held)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Types that wait.
pub fn types(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<String>> {
    let mut statement = at.prepare("SELECT DISTINCT type FROM held_resources WHERE configuration = ?1")?;
    let rows = statement.query_map([configuration], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A resource waits no more.
pub fn release(tx: &Tx<'_>, configuration: i64, id: &str) -> Result<()> {
    tx.prepare("DELETE FROM held_resources WHERE id = ?1 AND configuration = ?2")?
        .execute(params![id, configuration])?;
    Ok(())
}

/// A membership that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldMember {
    /// Id of the group.
    pub group: String,
    /// Resource type name of the group; none where it is gone and that has been told.
    pub group_type: Option<String>,
    /// Row of the member.
    pub member: i64,
    /// Id of the member.
    pub member_id: String,
    /// Resource type name of the member.
    pub member_type: String,
    /// Whether it is known outside.
    pub was: bool,
    /// Whether it is there.
    pub is: bool,
}

fn held_member(row: &Row<'_>) -> rusqlite::Result<HeldMember> {
    Ok(HeldMember {
        group: row.get(0)?,
        group_type: row.get(1)?,
        member: row.get(2)?,
        member_id: row.get(3)?,
        member_type: row.get(4)?,
        was: row.get(5)?,
        is: row.get(6)?,
    })
}

/// A row number may have been given to another resource since, so the id has to agree too.
fn held_member_sql(table: &str) -> String {
    format!(
        "SELECT h.group_id, coalesce(g.type, k.type), h.member, h.member_id, h.member_type, h.was,
             EXISTS (SELECT 1 FROM group_members e JOIN resources m ON m.resource = e.member_resource
                     WHERE e.group_resource = g.resource AND e.member_resource = h.member AND m.id = h.member_id)
         FROM {table} LEFT JOIN resources g ON g.id = h.group_id LEFT JOIN held_resources k ON k.id = h.group_id"
    )
}

/// At most `limit` waiting memberships, group by group.
pub fn members(at: &Snapshot<'_>, configuration: i64, limit: usize) -> Result<Vec<HeldMember>> {
    let mut statement = at.prepare(&format!(
        "{} WHERE h.configuration = ?1 ORDER BY h.group_id, h.member LIMIT ?2",
        held_member_sql("held_members h")
    ))?;
    let rows = statement.query_map(params![configuration, as_limit(limit)], held_member)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The waiting memberships of one member.
pub fn memberships_of(at: &Snapshot<'_>, configuration: i64, member: &str) -> Result<Vec<HeldMember>> {
    let select = held_member_sql("held_members h INDEXED BY held_members_by_member");
    let mut statement = at.prepare(&format!("{select} WHERE h.configuration = ?1 AND h.member_id = ?2"))?;
    let rows = statement.query_map(params![configuration, member], held_member)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A membership waits no more.
pub fn release_member(tx: &Tx<'_>, configuration: i64, of: &HeldMember) -> Result<()> {
    tx.prepare(
        "DELETE FROM held_members WHERE configuration = ?1 AND group_id = ?2 AND member = ?3 AND member_id = ?4",
    )?
    .execute(params![configuration, of.group, of.member, of.member_id])?;
    Ok(())
}

/// A configuration whose changes wait and may go out, if there is one: its row and its account.
pub fn next_to_catch_up(at: &Snapshot<'_>) -> Result<Option<(i64, String)>> {
    let mut statement = at.prepare(
        "SELECT configuration, account_id FROM configurations WHERE holds = 1 AND sync = 1 AND purge_seq IS NULL
         ORDER BY configuration LIMIT 1",
    )?;
    Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
