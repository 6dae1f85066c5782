//! Rows of `passwords`: Argon2id digests of users' passwords. A row is deleted together with its resource.

use rusqlite::params;

use crate::error::Result;
use crate::scim::password::PasswordDigest;
use crate::store::tables::resources::StoredResource;
use crate::store::{Snapshot, Tx};

/// Stores the password digest of a resource.
pub fn set_password(tx: &Tx<'_>, resource: &StoredResource, digest: &PasswordDigest) -> Result<()> {
    tx.run(
        "INSERT INTO passwords (resource, digest, changed_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (resource) DO UPDATE SET digest = excluded.digest, changed_at = excluded.changed_at",
        params![resource.key, digest.0, tx.now],
    )
}

/// Deletes the password digest of a resource.
pub fn delete_password(tx: &Tx<'_>, resource: &StoredResource) -> Result<()> {
    tx.run("DELETE FROM passwords WHERE resource = ?1", [resource.key])
}

/// Deletes the password digests of all resources of a configuration.
pub fn delete_all_passwords(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    tx.run(
        "DELETE FROM passwords WHERE resource IN (SELECT resource FROM resources WHERE configuration = ?1)",
        [configuration],
    )
}

/// Returns the password digest of a resource, or `None` if it has no password.
pub fn find_digest(at: &Snapshot<'_>, resource: &StoredResource) -> Result<Option<PasswordDigest>> {
    let found = at.find_value("SELECT digest FROM passwords WHERE resource = ?1", [resource.key])?;
    Ok(found.map(PasswordDigest))
}
