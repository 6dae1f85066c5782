//! Passwords of SCIM users, for configurations that store them: written with the user and read for verification.

use crate::error::{Error, Reason, Result};
use crate::model::switches::PasswordHandling;
use crate::provisioning::Scope;
use crate::provisioning::rendered::collection_for;
use crate::scim::password::{PasswordChange, PasswordDigest};
use crate::scim::schema::USER_TYPE;
use crate::store::tables::resources::{self, StoredResource};
use crate::store::tables::{configurations, passwords, tombstones};
use crate::store::{Snapshot, Tx};

/// Removes the password digests of all resources of a configuration, also of deleted ones that can be restored.
pub fn remove_all_passwords(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    passwords::delete_all_passwords(tx, configuration)?;
    tombstones::forget_digests(tx, configuration)
}

/// Whether a write changes the password of the resource. A password that is set counts as a change, because it cannot
/// be compared with the stored digest here.
pub(super) fn changes_password(
    at: &Snapshot<'_>,
    resource: &StoredResource,
    password: Option<&PasswordChange>,
) -> Result<bool> {
    match password {
        None => Ok(false),
        Some(PasswordChange::Remove) => Ok(passwords::find_digest(at, resource)?.is_some()),
        Some(PasswordChange::SetClearText(_) | PasswordChange::SetDigest(_)) => Ok(true),
    }
}

/// Applies the password change of a write. A hashed password is discarded if the configuration stopped storing
/// passwords while it was hashed.
pub(super) fn apply_password(
    tx: &Tx<'_>,
    scope: &Scope,
    resource: &StoredResource,
    password: Option<&PasswordChange>,
) -> Result<()> {
    match password {
        None => Ok(()),
        Some(PasswordChange::SetDigest(digest)) => {
            match configurations::load_switches(tx, scope.configuration)?.passwords {
                PasswordHandling::Verify => passwords::set_password(tx, resource, digest),
                PasswordHandling::Ignore => Ok(()),
            }
        }
        Some(PasswordChange::Remove) => passwords::delete_password(tx, resource),
        // Hashing is slow and must happen before the transaction.
        Some(PasswordChange::SetClearText(_)) => {
            Err(Error::database(format!("the password of {} is not hashed", resource.id)))
        }
    }
}

/// Returns the digest that a password of the user is verified against, or `None` if the user has no password.
///
/// # Errors
/// 404 if the configuration has no such user. `Conflict` if it does not store passwords.
pub fn find_password_digest(at: &Snapshot<'_>, scope: &Scope, user: &str) -> Result<Option<PasswordDigest>> {
    if scope.switches.passwords == PasswordHandling::Ignore {
        return Err(Reason::PasswordsNotStored.into());
    }
    let stored = resources::find_resource_by_id(at, collection_for(scope, &USER_TYPE), user)?;
    passwords::find_digest(at, &stored.ok_or(Reason::ScimResourceNotFound)?)
}
