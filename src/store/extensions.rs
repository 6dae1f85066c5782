//! Rows of `extensions`: the schemas that configurations add to resource types.

use rusqlite::params;

use super::{Snapshot, Tx, violated};
use crate::clock::Millis;
use crate::error::{Error, Result};

/// A schema of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// URN of the schema.
    pub id: String,
    /// Name of the resource type that it extends.
    pub resource_type: String,
    /// Whether each resource must carry it.
    pub required: bool,
    /// The Schema document, as JSON text.
    pub document: String,
    /// When it was added.
    pub created_at: Millis,
}

/// The schemas of a configuration, in the order of their URNs.
pub fn list(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<Extension>> {
    let mut statement = at.prepare(
        "SELECT id, resource_type, required, document, created_at FROM extensions WHERE configuration = ?1 ORDER BY id",
    )?;
    let rows = statement.query_map(params![configuration], |row| {
        Ok(Extension {
            id: row.get(0)?,
            resource_type: row.get(1)?,
            required: row.get(2)?,
            document: row.get(3)?,
            created_at: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Keeps a schema; `created_at` is the time of the write.
///
/// # Errors
/// `Conflict` where the configuration has one of that URN.
pub fn insert(tx: &Tx<'_>, configuration: i64, new: &Extension) -> Result<()> {
    let mut statement = tx.prepare(
        "INSERT INTO extensions (configuration, id, resource_type, required, document, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let row = params![configuration, new.id, new.resource_type, new.required, new.document, tx.now];
    let inserted = statement.execute(row);
    inserted.map(drop).map_err(|problem| match violated(&problem) {
        Some(_) => Error::Conflict(format!("the configuration has a schema {} already", new.id)),
        None => problem.into(),
    })
}

/// Removes a schema; false where there was none.
pub fn delete(tx: &Tx<'_>, configuration: i64, id: &str) -> Result<bool> {
    let mut statement = tx.prepare("DELETE FROM extensions WHERE configuration = ?1 AND id = ?2")?;
    Ok(statement.execute(params![configuration, id])? == 1)
}
