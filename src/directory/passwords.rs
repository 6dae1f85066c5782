//! Passwords of users, where a configuration keeps them: written with the user, and looked up to be checked.

use super::Scope;
use super::shown::collection;
use crate::error::{Error, Result};
use crate::model::switches::Passwords;
use crate::scim;
use crate::scim::password::{Password, PasswordDigest};
use crate::scim::schema::USER_TYPE;
use crate::store::resources::{self, Stored};
use crate::store::{Snapshot, Tx, configurations, passwords};

/// Whether a write changes the resource's password. One that is set counts as changed: nobody can see whether it is the
/// same.
pub(super) fn changes(at: &Snapshot<'_>, of: &Stored, password: Option<&Password>) -> Result<bool> {
    match password {
        None => Ok(false),
        Some(Password::Removed) => Ok(passwords::digest_of(at, of)?.is_some()),
        Some(Password::Clear(_) | Password::Hashed(_)) => Ok(true),
    }
}

/// Does to the resource's password what a write says. None is kept where the configuration ceased to keep any while the
/// password was hashed.
pub(super) fn apply(tx: &Tx<'_>, scope: &Scope, to: &Stored, password: Option<&Password>) -> Result<()> {
    match password {
        None => Ok(()),
        Some(Password::Hashed(digest)) => match configurations::switches(tx, scope.configuration)?.passwords {
            Passwords::Verify => passwords::set(tx, to, digest),
            Passwords::Ignore => Ok(()),
        },
        Some(Password::Removed) => passwords::remove(tx, to),
        // Hashing is slow and belongs before the transaction.
        Some(Password::Clear(_)) => Err(Error::Database(format!("a password of {} came unhashed", to.id))),
    }
}

/// What a user's password is checked against; nothing where the user has none.
///
/// # Errors
/// 404 where the configuration has no such user, `Conflict` where it keeps no passwords.
pub fn digest(at: &Snapshot<'_>, scope: &Scope, user: &str) -> Result<Option<PasswordDigest>> {
    if scope.switches.passwords == Passwords::Ignore {
        let fix = "set passwords to verify in its settings; passwords are kept from then on";
        return Err(Error::Conflict(format!("the configuration keeps no passwords: {fix}")));
    }
    let stored = resources::by_id(at, collection(scope, &USER_TYPE), user)?;
    passwords::digest_of(at, &stored.ok_or_else(scim::Error::not_found)?)
}

/// Forgets the passwords of all users of a configuration, because it keeps none any more.
pub fn forget_all(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    passwords::remove_all(tx, configuration)
}
