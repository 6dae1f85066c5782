//! Rows of `resources`, their index values and their count.

use rusqlite::{OptionalExtension, Row, params};

use super::{Snapshot, Tx, counts, violated};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::scim::index::Keys;

/// A stored resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Row number; grows in the order of creation.
    pub key: i64,
    /// Row of its configuration.
    pub configuration: i64,
    /// Public id.
    pub id: String,
    /// How often the resource has changed, from 1.
    pub version: i64,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed; never runs backwards.
    pub last_modified: Millis,
    /// Members it has.
    pub member_count: i64,
    /// The stored text: `schemas` and the attributes.
    pub body: String,
}

pub(in crate::store) const COLUMNS: &str =
    "r.resource, r.id, r.version, r.created_at, r.last_modified, r.member_count, r.body,
     r.configuration";

pub(in crate::store) fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        key: row.get(0)?,
        id: row.get(1)?,
        version: row.get(2)?,
        created_at: row.get(3)?,
        last_modified: row.get(4)?,
        member_count: row.get(5)?,
        body: row.get(6)?,
        configuration: row.get(7)?,
    })
}

/// The collection that a statement works on: one type of one configuration.
#[derive(Debug, Clone, Copy)]
pub struct Collection<'a> {
    /// Row of the configuration.
    pub configuration: i64,
    /// Resource type name.
    pub resource_type: &'a str,
}

/// The resource with that id, if the collection has it.
pub fn by_id(at: &Snapshot<'_>, of: Collection<'_>, id: &str) -> Result<Option<Stored>> {
    let mut statement = at.prepare(&format!(
        "SELECT {COLUMNS} FROM resources r WHERE r.id = ?1 AND r.configuration = ?2 AND r.type = ?3"
    ))?;
    Ok(statement.query_row(params![id, of.configuration, of.resource_type], stored).optional()?)
}

/// Rows of the resources with these ids, whatever their type, as (id, row, type). Unknown ids are left out.
pub fn known(at: &Snapshot<'_>, configuration: i64, ids: &[String]) -> Result<Vec<Option<(i64, String)>>> {
    let mut statement = at.prepare("SELECT resource, type FROM resources WHERE id = ?1 AND configuration = ?2")?;
    ids.iter()
        .map(|id| {
            let row = statement.query_row(params![id, configuration], |row| Ok((row.get(0)?, row.get(1)?)));
            Ok(row.optional()?)
        })
        .collect()
}

/// The configuration's resource of that row.
pub fn by_key(at: &Snapshot<'_>, configuration: i64, key: i64) -> Result<Option<Stored>> {
    let mut statement =
        at.prepare(&format!("SELECT {COLUMNS} FROM resources r WHERE r.resource = ?1 AND r.configuration = ?2"))?;
    Ok(statement.query_row([key, configuration], stored).optional()?)
}

/// A resource to be stored.
#[derive(Debug)]
pub struct New<'a> {
    /// Public id.
    pub id: &'a str,
    /// Keys for filters.
    pub keys: &'a Keys,
    /// Prepared name that must be unique beside `userName`.
    pub unique_name: Option<&'a str>,
    /// The text to store.
    pub body: &'a str,
}

/// Stores a new resource and counts it. The first statement is the only one that can be refused.
///
/// # Errors
/// 409 uniqueness where its name is taken.
pub fn insert(tx: &Tx<'_>, of: Collection<'_>, new: &New<'_>) -> Result<Stored> {
    let mut statement = tx.prepare(
        "INSERT INTO resources (configuration, type, id, version, created_at, last_modified, active, user_name_key,
             display_name_key, external_id, unique_name_key, label, body)
         VALUES (?1, ?2, ?3, 1, ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let keys = new.keys;
    let inserted = statement.insert(params![
        of.configuration,
        of.resource_type,
        new.id,
        tx.now,
        keys.active,
        keys.user_name,
        keys.display_name,
        keys.external_id,
        new.unique_name,
        keys.label,
        new.body
    ]);
    let key = inserted.map_err(taken)?;
    insert_values(tx, of.configuration, key, &keys.values)?;
    counts::add(tx, of.configuration, of.resource_type, key, 1)?;
    Ok(Stored {
        key,
        configuration: of.configuration,
        id: new.id.to_owned(),
        version: 1,
        created_at: tx.now,
        last_modified: tx.now,
        member_count: 0,
        body: new.body.to_owned(),
    })
}

/// Replaces the text of a stored resource and moves its version. `before` and `after` are the keys of the old and new text.
///
/// # Errors
/// 409 uniqueness where the new name is taken.
pub fn update(tx: &Tx<'_>, of: Collection<'_>, stored: &mut Stored, before: &Keys, new: &New<'_>) -> Result<()> {
    move_version(tx, stored);
    let after = new.keys;
    let same_names = before.user_name == after.user_name
        && before.display_name == after.display_name
        && before.external_id == after.external_id
        && before.label == after.label;
    // An index is written anew for each column that is named, changed or not; most changes leave the names alone.
    if same_names {
        let mut statement = tx.prepare(
            "UPDATE resources SET version = ?2, last_modified = ?3, active = ?4, body = ?5
             WHERE resource = ?1 AND configuration = ?6",
        )?;
        let row =
            params![stored.key, stored.version, stored.last_modified, after.active, new.body, stored.configuration];
        statement.execute(row)?;
    } else {
        let mut statement = tx.prepare(
            "UPDATE resources SET version = ?2, last_modified = ?3, active = ?4, body = ?5, user_name_key = ?6,
                 display_name_key = ?7, external_id = ?8, unique_name_key = ?9, label = ?10
             WHERE resource = ?1 AND configuration = ?11",
        )?;
        let updated = statement.execute(params![
            stored.key,
            stored.version,
            stored.last_modified,
            after.active,
            new.body,
            after.user_name,
            after.display_name,
            after.external_id,
            new.unique_name,
            after.label,
            stored.configuration
        ]);
        updated.map_err(taken)?;
    }
    if before.values != after.values {
        delete_values(tx, of.configuration, stored.key, &before.values)?;
        insert_values(tx, of.configuration, stored.key, &after.values)?;
    }
    new.body.clone_into(&mut stored.body);
    Ok(())
}

/// Moves the version of a resource whose text stays: its members changed.
pub fn touch(tx: &Tx<'_>, stored: &mut Stored) -> Result<()> {
    move_version(tx, stored);
    let mut statement =
        tx.prepare("UPDATE resources SET version = ?2, last_modified = ?3, member_count = ?4 WHERE resource = ?1 AND configuration = ?5")?;
    statement.execute(params![
        stored.key,
        stored.version,
        stored.last_modified,
        stored.member_count,
        stored.configuration
    ])?;
    Ok(())
}

/// RFC 7643 section 3.1: `lastModified` tells changes apart, so two within a millisecond still differ, and a clock
/// that was set back does not take it back.
fn move_version(tx: &Tx<'_>, stored: &mut Stored) {
    stored.version += 1;
    stored.last_modified = tx.now.max(stored.last_modified + 1);
}

/// Removes a resource that no membership names any more.
pub fn delete(tx: &Tx<'_>, of: Collection<'_>, stored: &Stored, keys: &Keys) -> Result<()> {
    delete_values(tx, of.configuration, stored.key, &keys.values)?;
    tx.prepare("DELETE FROM resources WHERE resource = ?1 AND configuration = ?2")?
        .execute(params![stored.key, stored.configuration])?;
    counts::add(tx, of.configuration, of.resource_type, stored.key, -1)
}

/// Resources of the collection that have this key at this path, in the order of creation.
pub fn with_value(at: &Snapshot<'_>, of: Collection<'_>, path: &str, key: &str) -> Result<Vec<Stored>> {
    let mut statement = at.prepare(&format!(
        "SELECT {COLUMNS} FROM resource_values v JOIN resources r ON r.resource = v.resource
         WHERE v.configuration = ?1 AND v.path = ?2 AND v.key = ?3 AND r.type = ?4 ORDER BY r.resource"
    ))?;
    let rows = statement.query_map(params![of.configuration, path, key, of.resource_type], stored)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The resource of the collection that holds this `userName`, prepared for comparison.
pub fn by_user_name(at: &Snapshot<'_>, of: Collection<'_>, key: &str) -> Result<Option<Stored>> {
    let mut statement = at.prepare(&format!(
        "SELECT {COLUMNS} FROM resources r WHERE r.configuration = ?1 AND r.type = ?2 AND r.user_name_key = ?3"
    ))?;
    Ok(statement.query_row(params![of.configuration, of.resource_type, key], stored).optional()?)
}

/// How many resources the collection has.
pub fn total(at: &Snapshot<'_>, of: Collection<'_>) -> Result<u64> {
    Ok(counts::total(at, of.configuration, of.resource_type)?.unsigned_abs())
}

fn insert_values(tx: &Tx<'_>, configuration: i64, key: i64, values: &[(String, String)]) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    let mut statement =
        tx.prepare("INSERT INTO resource_values (configuration, path, key, resource) VALUES (?1, ?2, ?3, ?4)")?;
    for (path, value) in values {
        statement.execute(params![configuration, path, value, key])?;
    }
    Ok(())
}

fn delete_values(tx: &Tx<'_>, configuration: i64, key: i64, values: &[(String, String)]) -> Result<()> {
    let mut statement = tx
        .prepare("DELETE FROM resource_values WHERE configuration = ?1 AND path = ?2 AND key = ?3 AND resource = ?4")?;
    for (path, value) in values {
        statement.execute(params![configuration, path, value, key])?;
    }
    Ok(())
}

/// Translates a refused insert or update into the rule it broke.
fn taken(problem: rusqlite::Error) -> Error {
    let what = match violated(&problem) {
        Some(columns) if columns.contains("user_name_key") => "userName is taken by another resource of this type",
        Some(columns) if columns.contains("unique_name_key") => "displayName is taken by another group",
        _ => return problem.into(),
    };
    crate::scim::Error::uniqueness(what).into()
}

/// Writes the number of members of a resource whose version has moved already.
pub fn set_member_count(tx: &Tx<'_>, stored: &Stored) -> Result<()> {
    let mut statement =
        tx.prepare("UPDATE resources SET member_count = ?2 WHERE resource = ?1 AND configuration = ?3")?;
    statement.execute(params![stored.key, stored.member_count, stored.configuration])?;
    Ok(())
}

/// At most `limit` resources of the collection that have values under an extension's URN, in the order of creation.
pub fn with_extension(at: &Snapshot<'_>, of: Collection<'_>, urn: &str, limit: u32) -> Result<Vec<Stored>> {
    let mut statement = at.prepare(&format!(
        "SELECT {COLUMNS} FROM resources r
         WHERE r.configuration = ?1 AND r.type = ?2 AND json_type(r.body, ?3) IS NOT NULL
         ORDER BY r.resource LIMIT ?4"
    ))?;
    // A URN is checked to hold no quote, so it can stand between them in a JSON path.
    let path = format!("$.\"{urn}\"");
    let rows = statement.query_map(params![of.configuration, of.resource_type, path, limit], stored)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
