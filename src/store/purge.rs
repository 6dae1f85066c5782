//! Removal of everything a configuration holds, in steps that do not keep other writes waiting. The freed pages are
//! overwritten, because they hold personal data.

use rusqlite::{OptionalExtension, params};

use super::{Snapshot, Tx, counts};
use crate::error::Result;

/// A configuration that is being emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purging {
    /// Its row.
    pub configuration: i64,
    /// Its account.
    pub account: String,
    /// Events up to this one say nothing about people any more.
    pub redacted: i64,
}

/// Notes that everything of a configuration is to go.
pub fn begin(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    tx.prepare("UPDATE configurations SET purge_seq = 0 WHERE configuration = ?1 AND purge_seq IS NULL")?
        .execute([configuration])?;
    Ok(())
}

/// Notes how far the events are redacted; `None` where the purge is done.
pub fn set_redacted(tx: &Tx<'_>, configuration: i64, seq: Option<i64>) -> Result<()> {
    tx.prepare("UPDATE configurations SET purge_seq = ?2 WHERE configuration = ?1")?
        .execute(params![configuration, seq])?;
    Ok(())
}

/// The next configuration that is being emptied, if there is one.
pub fn next(at: &Snapshot<'_>) -> Result<Option<Purging>> {
    let mut statement = at.prepare(
        "SELECT configuration, account_id, purge_seq FROM configurations WHERE purge_seq IS NOT NULL
         ORDER BY configuration LIMIT 1",
    )?;
    let found = statement
        .query_row([], |row| Ok(Purging { configuration: row.get(0)?, account: row.get(1)?, redacted: row.get(2)? }));
    Ok(found.optional()?)
}

/// Runs a removal with freed pages overwritten.
pub fn overwriting<T>(tx: &Tx<'_>, remove: impl FnOnce() -> Result<T>) -> Result<T> {
    tx.connection().pragma_update(None, "secure_delete", true)?;
    let removed = remove();
    tx.connection().pragma_update(None, "secure_delete", false)?;
    removed
}

/// Removes index values of a configuration, at most `limit`. Returns how many went.
pub fn remove_values(tx: &Tx<'_>, configuration: i64, limit: usize) -> Result<usize> {
    // One by one: a condition over all columns of the key would only be looked up by the first of them.
    let mut statement =
        tx.prepare("SELECT path, key, resource FROM resource_values WHERE configuration = ?1 LIMIT ?2")?;
    let rows = statement.query_map(params![configuration, limit_of(limit)], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    })?;
    let found: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    let mut delete = tx
        .prepare("DELETE FROM resource_values WHERE configuration = ?1 AND path = ?2 AND key = ?3 AND resource = ?4")?;
    for (path, key, resource) in &found {
        delete.execute(params![configuration, path, key, resource])?;
    }
    Ok(found.len())
}

/// A resource that a purge removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// Row of the resource; none where only its held image was left.
    key: Option<i64>,
    /// Public id.
    pub id: String,
    /// Resource type name.
    pub resource_type: String,
    /// Whether it is known outside.
    pub is_known: bool,
}

/// At most `limit` resources of a configuration that are still there, groups before users.
pub fn remaining(at: &Snapshot<'_>, configuration: i64, limit: usize) -> Result<Vec<Leaving>> {
    let mut statement = at.prepare(
        "SELECT r.resource, r.id, r.type, h.id IS NULL OR h.body IS NOT NULL
         FROM resources r LEFT JOIN held_resources h ON h.id = r.id
         WHERE r.configuration = ?1 ORDER BY r.type, r.resource LIMIT ?2",
    )?;
    let leaving = |row: &rusqlite::Row<'_>| {
        Ok(Leaving { key: row.get(0)?, id: row.get(1)?, resource_type: row.get(2)?, is_known: row.get(3)? })
    };
    let rows = statement.query_map(params![configuration, limit_of(limit)], leaving)?;
    let mut found: Vec<Leaving> = rows.collect::<rusqlite::Result<_>>()?;
    if found.is_empty() {
        let mut statement = at.prepare(
            "SELECT NULL, id, type, body IS NOT NULL FROM held_resources
             WHERE configuration = ?1 ORDER BY type, resource LIMIT ?2",
        )?;
        let rows = statement.query_map(params![configuration, limit_of(limit)], leaving)?;
        found = rows.collect::<rusqlite::Result<_>>()?;
    }
    Ok(found)
}

/// Removes a resource with its memberships and what was held of it; its index values are gone already.
pub fn remove(tx: &Tx<'_>, configuration: i64, leaving: &Leaving) -> Result<()> {
    if let Some(key) = leaving.key {
        for sql in [
            "DELETE FROM group_members WHERE group_resource = ?1",
            "DELETE FROM group_members WHERE member_resource = ?1",
            "DELETE FROM passwords WHERE resource = ?1",
            "DELETE FROM resources WHERE resource = ?1",
        ] {
            tx.prepare(sql)?.execute([key])?;
        }
        counts::add(tx, configuration, &leaving.resource_type, key, -1)?;
    }
    for side in ["group_id", "member_id"] {
        tx.prepare(&format!("DELETE FROM held_members WHERE configuration = ?1 AND {side} = ?2"))?
            .execute(params![configuration, leaving.id])?;
    }
    tx.prepare("DELETE FROM held_resources WHERE id = ?1")?.execute([&leaving.id])?;
    Ok(())
}

/// Removes what a configuration has besides resources, once those are gone.
pub fn remove_rest(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    for sql in [
        "DELETE FROM resource_counts WHERE configuration = ?1",
        "DELETE FROM extensions WHERE configuration = ?1",
        "DELETE FROM held_members WHERE configuration = ?1",
        "UPDATE configurations SET holds = 0 WHERE configuration = ?1",
    ] {
        tx.prepare(sql)?.execute([configuration])?;
    }
    Ok(())
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
