//! Rows of `admin_invites`. Only the digest of the secret in the link is stored, never the secret itself.

use rusqlite::{Row, named_params};

use super::rows::{ACCOUNT_ID, find_by_digest, read_account_ref, read_columns};
use crate::auth::secret::TokenDigest;
use crate::clock::Millis;
use crate::error::Result;
use crate::model::account::AccountRef;
use crate::store::{Snapshot, Tx};

/// An invitation of an admin, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminInvite {
    /// Id of the invitation.
    pub id: String,
    /// E-mail address of the invited admin.
    pub email: String,
    /// The address, normalized for comparison.
    pub email_key: String,
    /// Id of the role.
    pub role: String,
    /// The account that the role is limited to. `None`: all accounts.
    pub account: Option<AccountRef>,
    /// Id of the admin who created it.
    pub invited_by: String,
    /// Time of creation.
    pub created_at: Millis,
    /// Time of expiry.
    pub expires_at: Millis,
    /// Time at which it was accepted, replaced or revoked.
    pub ended_at: Option<Millis>,
}

fn build_select(condition: &str) -> String {
    format!(
        "SELECT c.digest, c.id, c.email, c.email_key, c.role_id AS role, c.account, {ACCOUNT_ID}, c.invited_by,
             c.created_at, c.expires_at, c.ended_at
         FROM admin_invites c WHERE {condition}"
    )
}

fn read_invite(row: &Row<'_>) -> rusqlite::Result<AdminInvite> {
    read_columns!(row, AdminInvite {
        id, email, email_key, role, invited_by, created_at, expires_at, ended_at; account: read_account_ref(row)?
    })
}

/// Inserts an invitation with the digest of its secret.
pub fn insert_invite(tx: &Tx<'_>, digest: &TokenDigest, invite: &AdminInvite) -> Result<()> {
    tx.run(
        "INSERT INTO admin_invites (id, digest, email, email_key, role_id, account, invited_by, created_at, expires_at)
         VALUES (:id, :digest, :email, :email_key, :role, :account, :invited_by, :created_at, :expires_at)",
        named_params! {
            ":id": invite.id,
            ":digest": digest.as_slice(),
            ":email": invite.email,
            ":email_key": invite.email_key,
            ":role": invite.role,
            ":account": invite.account.as_ref().map(|account| account.key),
            ":invited_by": invite.invited_by,
            ":created_at": invite.created_at,
            ":expires_at": invite.expires_at,
        },
    )
}

/// Returns the invitation with this digest of the secret, open or not.
pub fn find_invite_by_digest(at: &Snapshot<'_>, digest: &TokenDigest) -> Result<Option<AdminInvite>> {
    find_by_digest(at, &build_select("c.digest = ?1"), digest, read_invite)
}

/// Returns the invitation with this id, open or not.
pub fn find_invite_by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<AdminInvite>> {
    at.find_row(&build_select("c.id = ?1"), [id], read_invite)
}

/// Returns the invitations that were neither accepted nor revoked, newest first, also expired ones.
pub fn list_unanswered_invites(at: &Snapshot<'_>) -> Result<Vec<AdminInvite>> {
    at.list_rows(&build_select("c.ended_at IS NULL ORDER BY c.id DESC"), [], read_invite)
}

/// Returns the number of invitations that can be accepted.
pub fn count_open_invites(at: &Snapshot<'_>, now: Millis) -> Result<u32> {
    at.read_value("SELECT count(*) FROM admin_invites WHERE ended_at IS NULL AND expires_at > ?1", [now])
}

/// Ends an invitation.
pub fn end_invite(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.run("UPDATE admin_invites SET ended_at = ?2 WHERE id = ?1", (id, tx.now))
}

/// Ends the invitations of an address.
pub fn end_invites_of_address(tx: &Tx<'_>, email_key: &str) -> Result<()> {
    tx.run("UPDATE admin_invites SET ended_at = ?2 WHERE email_key = ?1 AND ended_at IS NULL", (email_key, tx.now))
}

/// Deletes the invitations that expired before this time.
pub fn delete_old_invites(tx: &Tx<'_>, before: Millis) -> Result<()> {
    tx.run("DELETE FROM admin_invites WHERE expires_at < ?1", [before])
}
