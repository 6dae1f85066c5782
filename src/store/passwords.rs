//! Rows of `passwords`: argon2id digests of the passwords of users. A row goes with its resource.

use rusqlite::{OptionalExtension, params};

use super::resources::Stored;
use super::{Snapshot, Tx};
use crate::error::Result;
use crate::scim::password::PasswordDigest;

/// Sets the password of a resource.
pub fn set(tx: &Tx<'_>, of: &Stored, digest: &PasswordDigest) -> Result<()> {
    let mut statement = tx.prepare(
        "INSERT INTO passwords (resource, digest, changed_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (resource) DO UPDATE SET digest = excluded.digest, changed_at = excluded.changed_at",
    )?;
    statement.execute(params![of.key, digest.0, tx.now])?;
    Ok(())
}

/// Removes the password of a resource.
pub fn remove(tx: &Tx<'_>, of: &Stored) -> Result<()> {
    tx.prepare("DELETE FROM passwords WHERE resource = ?1")?.execute([of.key])?;
    Ok(())
}

/// Removes the passwords of all resources of a configuration.
pub fn remove_all(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    let mut statement = tx
        .prepare("DELETE FROM passwords WHERE resource IN (SELECT resource FROM resources WHERE configuration = ?1)")?;
    statement.execute([configuration])?;
    Ok(())
}

/// What is known of a resource's password.
pub fn digest_of(at: &Snapshot<'_>, of: &Stored) -> Result<Option<PasswordDigest>> {
    let mut statement = at.prepare("SELECT digest FROM passwords WHERE resource = ?1")?;
    let found = statement.query_row([of.key], |row| row.get(0)).optional()?;
    Ok(found.map(PasswordDigest))
}
