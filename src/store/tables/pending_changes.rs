//! Rows of `pending_changes` and `pending_member_slices`: large changes that run in steps.

use rusqlite::params;

use super::rows::read_columns;
use crate::error::Result;
use crate::store::{Snapshot, Tx};

/// A large change of a resource that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingChange {
    /// Row of the resource.
    pub resource: i64,
    /// Key of its configuration.
    pub configuration: i64,
    /// Resource type name.
    pub resource_type: String,
    /// Whether the resource is deleted, or only its members change.
    pub deletes: bool,
    /// Growth of the members that already counts for the quotas.
    pub reserved: i64,
    /// Change of the number of members so far.
    pub changed: i64,
}

/// Some of the members that a change adds or removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSlice {
    /// Its number. Slices are applied in this order.
    pub number: i64,
    /// Whether the members join.
    pub joins: bool,
    /// The encoded members.
    pub members: Vec<u8>,
}

const SELECT: &str =
    "SELECT resource, configuration, type AS resource_type, deletes, reserved, changed FROM pending_changes";

fn read_pending_change(row: &rusqlite::Row<'_>) -> rusqlite::Result<PendingChange> {
    read_columns!(row, PendingChange { resource, configuration, resource_type, deletes, reserved, changed })
}

/// Whether a large change of this resource has not ended.
pub fn is_changing(at: &Snapshot<'_>, resource: i64) -> Result<bool> {
    Ok(at.prepare("SELECT 1 FROM pending_changes WHERE resource = ?1")?.exists([resource])?)
}

/// Returns the change of this resource, if one has not ended.
pub fn find_change(at: &Snapshot<'_>, resource: i64) -> Result<Option<PendingChange>> {
    at.find_row(&format!("{SELECT} WHERE resource = ?1"), [resource], read_pending_change)
}

/// Returns the next change after this resource, or the first one after the last, if there is any.
pub fn find_next_change(at: &Snapshot<'_>, after: i64) -> Result<Option<PendingChange>> {
    at.find_row(&format!("{SELECT} ORDER BY resource <= ?1, resource LIMIT 1"), [after], read_pending_change)
}

/// Returns the changes of a configuration. Few changes run at the same time, so there is no index.
pub fn list_changes(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<PendingChange>> {
    at.list_rows(&format!("{SELECT} WHERE configuration = ?1"), [configuration], read_pending_change)
}

/// Whether a configuration has changes that have not ended. Few changes run at the same time, so there is no index.
pub fn has_changes(at: &Snapshot<'_>, configuration: i64) -> Result<bool> {
    Ok(at.prepare("SELECT 1 FROM pending_changes WHERE configuration = ?1")?.exists([configuration])?)
}

/// Inserts a change.
pub fn insert_change(tx: &Tx<'_>, change: &PendingChange) -> Result<()> {
    tx.run(
        "INSERT INTO pending_changes (resource, configuration, type, deletes, reserved, changed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            change.resource,
            change.configuration,
            change.resource_type,
            change.deletes,
            change.reserved,
            change.changed
        ],
    )
}

/// Adds to the number of members that a change has added.
pub fn add_changed_members(tx: &Tx<'_>, resource: i64, members: i64) -> Result<()> {
    tx.run("UPDATE pending_changes SET changed = changed + ?2 WHERE resource = ?1", [resource, members])
}

/// Deletes a change with the slices that are left.
pub fn delete_change(tx: &Tx<'_>, resource: i64) -> Result<()> {
    tx.run("DELETE FROM pending_member_slices WHERE resource = ?1", [resource])?;
    tx.run("DELETE FROM pending_changes WHERE resource = ?1", [resource])
}

/// Inserts a slice of a change.
pub fn insert_slice(tx: &Tx<'_>, resource: i64, slice: &MemberSlice) -> Result<()> {
    tx.run(
        "INSERT INTO pending_member_slices (resource, slice, joins, members) VALUES (?1, ?2, ?3, ?4)",
        params![resource, slice.number, slice.joins, slice.members],
    )
}

/// Returns the next slice of a change, and whether there are more.
pub fn find_next_slice(at: &Snapshot<'_>, resource: i64) -> Result<Option<(MemberSlice, bool)>> {
    at.find_row(
        "SELECT slice, joins, members,
             EXISTS (SELECT 1 FROM pending_member_slices n WHERE n.resource = s.resource AND n.slice > s.slice)
         FROM pending_member_slices s WHERE resource = ?1 ORDER BY slice LIMIT 1",
        [resource],
        |row| Ok((MemberSlice { number: row.get(0)?, joins: row.get(1)?, members: row.get(2)? }, row.get(3)?)),
    )
}

/// Deletes a slice after it was applied.
pub fn delete_slice(tx: &Tx<'_>, resource: i64, number: i64) -> Result<()> {
    tx.run("DELETE FROM pending_member_slices WHERE resource = ?1 AND slice = ?2", [resource, number])
}
