//! Rows of `extensions`: the schemas that configurations add to resource types.

use rusqlite::params;

use super::rows::read_columns;
use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::store::{Snapshot, Tx, find_violated_columns};

/// A schema of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredExtension {
    /// URN of the schema.
    pub id: String,
    /// Name of the extended resource type.
    pub resource_type: String,
    /// Whether each resource must have it.
    pub required: bool,
    /// The Schema document, as JSON text.
    pub document: String,
    /// Time of creation.
    pub created_at: Millis,
}

/// Returns the schemas of a configuration, ordered by URN.
pub fn list_extensions(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<StoredExtension>> {
    at.list_rows(
        "SELECT id, resource_type, required, document, created_at FROM extensions WHERE configuration = ?1 ORDER BY id",
        params![configuration],
        |row| read_columns!(row, StoredExtension { id, resource_type, required, document, created_at }),
    )
}

/// Inserts a schema, with the time of the write as `created_at`.
///
/// # Errors
/// `Conflict` if the configuration already has a schema with this URN.
pub fn insert_extension(tx: &Tx<'_>, configuration: i64, new: &StoredExtension) -> Result<()> {
    let mut statement = tx.prepare(
        "INSERT INTO extensions (configuration, id, resource_type, required, document, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let row = params![configuration, new.id, new.resource_type, new.required, new.document, tx.now];
    let inserted = statement.execute(row);
    inserted.map(drop).map_err(|problem| match find_violated_columns(&problem) {
        Some(_) => Reason::SchemaExists.with("id", &new.id),
        None => problem.into(),
    })
}

/// Replaces the document of a schema.
pub fn update_document(tx: &Tx<'_>, configuration: i64, id: &str, document: &str) -> Result<()> {
    tx.run(
        "UPDATE extensions SET document = ?3 WHERE configuration = ?1 AND id = ?2",
        params![configuration, id, document],
    )
}

/// Deletes a schema. Returns false if it does not exist.
pub fn delete_extension(tx: &Tx<'_>, configuration: i64, id: &str) -> Result<bool> {
    Ok(tx.execute("DELETE FROM extensions WHERE configuration = ?1 AND id = ?2", params![configuration, id])? == 1)
}
