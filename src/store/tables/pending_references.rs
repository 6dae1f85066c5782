//! Rows of `pending_references`: deleted resources that other resources of the configuration may still refer to.

use rusqlite::params;

use crate::error::Result;
use crate::store::{Snapshot, Tx};

/// A deleted resource to which references may be left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingReferences {
    /// Key of the configuration.
    pub configuration: i64,
    /// Id of the deleted resource.
    pub deleted: String,
}

/// Records that references may be left.
pub fn insert_references(tx: &Tx<'_>, pending: &PendingReferences) -> Result<()> {
    tx.run(
        "INSERT OR IGNORE INTO pending_references (configuration, deleted_id) VALUES (?1, ?2)",
        params![pending.configuration, pending.deleted],
    )
}

/// Records that no reference is left.
pub fn delete_references(tx: &Tx<'_>, pending: &PendingReferences) -> Result<()> {
    tx.run(
        "DELETE FROM pending_references WHERE configuration = ?1 AND deleted_id = ?2",
        params![pending.configuration, pending.deleted],
    )
}

/// Returns the first one, if there is any.
pub fn find_next_references(at: &Snapshot<'_>) -> Result<Option<PendingReferences>> {
    at.find_row("SELECT configuration, deleted_id FROM pending_references LIMIT 1", [], |row| {
        Ok(PendingReferences { configuration: row.get(0)?, deleted: row.get(1)? })
    })
}

/// Whether references to a deleted resource may be left.
pub fn has_references(at: &Snapshot<'_>, pending: &PendingReferences) -> Result<bool> {
    let mut statement = at.prepare("SELECT 1 FROM pending_references WHERE configuration = ?1 AND deleted_id = ?2")?;
    Ok(statement.exists(params![pending.configuration, pending.deleted])?)
}
