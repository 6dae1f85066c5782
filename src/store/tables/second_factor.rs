//! Rows of `sign_in_claims` and `wrong_codes`: sign-ins that wait for a one-time code, and the wrong codes of admins.

use rusqlite::params;

use super::rows::{find_by_digest, read_columns};
use crate::auth::secret::TokenDigest;
use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Snapshot, Tx};

/// A password check that passed and waits for the one-time code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInClaim {
    /// Id of the admin.
    pub admin: String,
    /// Time of the password check.
    pub created_at: Millis,
}

/// The wrong codes of an admin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WrongCodes {
    /// Wrong codes since the last right one.
    pub failures: i64,
    /// Codes are refused until this time.
    pub blocked_until: Option<Millis>,
    /// Wrong codes that the admin has not confirmed to know of.
    pub unseen: i64,
    /// Time of the first of those.
    pub unseen_since: Millis,
}

/// Inserts a claim. Deletes those of the admin beyond the newest `keep`, and all that were created at `expired` or
/// earlier.
pub fn insert_claim(tx: &Tx<'_>, digest: &TokenDigest, admin: &str, keep: u32, expired: Millis) -> Result<()> {
    tx.run("DELETE FROM sign_in_claims WHERE created_at <= ?1", [expired])?;
    tx.run(
        "INSERT INTO sign_in_claims (digest, admin_id, created_at) VALUES (?1, ?2, ?3)",
        params![digest.as_slice(), admin, tx.now],
    )?;
    tx.run(
        "DELETE FROM sign_in_claims WHERE digest IN (SELECT digest FROM sign_in_claims WHERE admin_id = ?1
             ORDER BY created_at DESC, digest = ?3 DESC LIMIT -1 OFFSET ?2)",
        params![admin, keep, digest.as_slice()],
    )
}

/// Returns the claim with this digest. The caller checks whether it has expired.
pub fn find_claim(at: &Snapshot<'_>, digest: &TokenDigest) -> Result<Option<SignInClaim>> {
    let sql = "SELECT digest, admin_id, created_at FROM sign_in_claims WHERE digest = ?1";
    find_by_digest(at, sql, digest, |row| read_columns!(row, SignInClaim { admin: "admin_id", created_at }))
}

/// Deletes a claim.
pub fn delete_claim(tx: &Tx<'_>, digest: &TokenDigest) -> Result<()> {
    tx.run("DELETE FROM sign_in_claims WHERE digest = ?1", [digest.as_slice()])
}

/// Deletes all claims of an admin.
pub fn delete_admin_claims(tx: &Tx<'_>, admin: &str) -> Result<()> {
    tx.run("DELETE FROM sign_in_claims WHERE admin_id = ?1", [admin])
}

/// Returns the wrong codes of an admin.
pub fn read_wrong_codes(at: &Snapshot<'_>, admin: &str) -> Result<WrongCodes> {
    let sql = "SELECT failures, blocked_until, unseen, unseen_since FROM wrong_codes WHERE admin_id = ?1";
    let found = at.find_row(sql, [admin], |row| {
        read_columns!(row, WrongCodes { failures, blocked_until, unseen, unseen_since })
    })?;
    Ok(found.unwrap_or_default())
}

/// Replaces the wrong codes of an admin.
pub fn save_wrong_codes(tx: &Tx<'_>, admin: &str, codes: &WrongCodes) -> Result<()> {
    tx.run(
        "INSERT INTO wrong_codes (admin_id, failures, blocked_until, unseen, unseen_since) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (admin_id) DO UPDATE SET failures = excluded.failures, blocked_until = excluded.blocked_until,
             unseen = excluded.unseen, unseen_since = excluded.unseen_since",
        params![admin, codes.failures, codes.blocked_until, codes.unseen, codes.unseen_since],
    )
}
