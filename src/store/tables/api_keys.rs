//! Rows of `api_keys`. Only the digest of a secret is stored, never the secret itself.

use rusqlite::{Row, named_params};

use super::rows::{ACCOUNT_ID, build_account_condition, find_by_digest, read_account_ref, read_columns};
use crate::auth::secret::TokenDigest;
use crate::clock::Millis;
use crate::error::Result;
use crate::model::account::{AccountFilter, AccountRef};
use crate::model::permission::Permissions;
use crate::store::{Snapshot, Tx};

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Id of the key, which is also the client id.
    pub id: String,
    /// Last four characters of the secret.
    pub hint: String,
    /// Name chosen by the admin.
    pub name: String,
    /// Account that the key is limited to. `None` means all accounts.
    pub account: Option<AccountRef>,
    /// Permissions of the key.
    pub permissions: Permissions,
    /// Time of creation.
    pub created_at: Millis,
    /// Time of the last use.
    pub last_used_at: Option<Millis>,
    /// Time of expiry.
    pub expires_at: Option<Millis>,
    /// Time of revocation.
    pub revoked_at: Option<Millis>,
}

impl ApiKey {
    /// Whether the key is valid at this time.
    pub fn is_live(&self, now: Millis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

fn build_select(condition: &str) -> String {
    format!(
        "SELECT digest, id, hint, name, account, {ACCOUNT_ID}, permissions, created_at, last_used_at, expires_at,
                revoked_at
         FROM api_keys c WHERE {condition}"
    )
}

/// Returns the key with this digest of the secret, live or not.
pub fn find_key_by_digest(at: &Snapshot<'_>, digest: &TokenDigest) -> Result<Option<ApiKey>> {
    find_by_digest(at, &build_select("digest = ?1"), digest, read_key)
        .map(|found| found.map(|found| add_recent_use(at, found)))
}

/// Returns the key with this id, live or not.
pub fn find_key_by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<ApiKey>> {
    let found = at.find_row(&build_select("id = ?1"), [id], read_key)?;
    Ok(found.map(|found| add_recent_use(at, found)))
}

/// Inserts a key with the digest of its secret.
pub fn insert_key(tx: &Tx<'_>, digest: &TokenDigest, key: &ApiKey) -> Result<()> {
    tx.run(
        "INSERT INTO api_keys (id, digest, hint, name, account, permissions, created_at, expires_at)
         VALUES (:id, :digest, :hint, :name, :account, :permissions, :created_at, :expires_at)",
        named_params! {
            ":id": key.id,
            ":digest": digest.as_slice(),
            ":hint": key.hint,
            ":name": key.name,
            ":account": key.account.as_ref().map(|account| account.key),
            ":permissions": key.permissions.key_list(),
            ":created_at": key.created_at,
            ":expires_at": key.expires_at,
        },
    )
}

/// Returns at most `limit` keys that are not revoked, ordered by id (oldest first): those with ids after `after`, of
/// one account or, without `account`, of all accounts and of the operator.
pub fn list_keys(
    at: &Snapshot<'_>,
    filter: Option<&AccountFilter>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<ApiKey>> {
    let (condition, account) = build_account_condition(filter);
    let sql = build_select(&format!("revoked_at IS NULL AND id > ?2 AND {condition} ORDER BY id LIMIT ?3"));
    let found = at.list_rows(&sql, (account, after.unwrap_or_default(), limit), read_key)?;
    Ok(found.into_iter().map(|found| add_recent_use(at, found)).collect())
}

/// Revokes a key.
pub fn revoke_key(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.run("UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL", (id, tx.now))
}

/// Records a use of the key. Uses may be recorded out of order, so the time never decreases.
pub fn record_key_use(tx: &Tx<'_>, id: &str, at: Millis) -> Result<()> {
    tx.run("UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1", (id, at))
}

/// Adds the use that is not stored yet.
fn add_recent_use(at: &Snapshot<'_>, mut found: ApiKey) -> ApiKey {
    let recent = at.recent_use().and_then(|recent| recent.find_key_use(&found.id));
    found.last_used_at = found.last_used_at.max(recent);
    found
}

fn read_key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    read_columns!(
        row,
        ApiKey {
            id, hint, name, permissions, created_at, last_used_at, expires_at, revoked_at;
            account: read_account_ref(row)?
        }
    )
}
