//! Rows of `api_keys`. Only the digest of a secret is stored, never the secret itself.

use rusqlite::{OptionalExtension, Row, named_params};

use crate::auth::secret::{self, TokenDigest};
use crate::clock::Millis;
use crate::error::Result;
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
    pub account: Option<String>,
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

const SELECT_BY_ID: &str =
    "SELECT digest, id, hint, name, account_id, permissions, created_at, last_used_at, expires_at, revoked_at
     FROM api_keys WHERE id = ?1";
const SELECT_UNREVOKED: &str =
    "SELECT id, hint, name, account_id, permissions, created_at, last_used_at, expires_at, revoked_at
     FROM api_keys
     WHERE revoked_at IS NULL AND id > :after AND (:account IS NULL OR account_id = :account)
     ORDER BY id LIMIT :limit";
const SELECT_BY_DIGEST: &str =
    "SELECT digest, id, hint, name, account_id, permissions, created_at, last_used_at, expires_at, revoked_at
     FROM api_keys WHERE digest = ?1";

/// Returns the key with this digest of the secret, live or not.
pub fn find_key_by_digest(at: &Snapshot<'_>, digest: &TokenDigest) -> Result<Option<ApiKey>> {
    let found = at
        .prepare(SELECT_BY_DIGEST)?
        .query_row([digest.as_slice()], |row| Ok((row.get::<_, TokenDigest>(0)?, read_key(row)?)))
        .optional()?;
    Ok(found.and_then(|(stored, key)| secret::digests_match(&stored, digest).then_some(key)))
}

/// Returns the key with this id, live or not.
pub fn find_key_by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<ApiKey>> {
    Ok(at.prepare(SELECT_BY_ID)?.query_row([id], read_key).optional()?)
}

/// Inserts a key with the digest of its secret.
pub fn insert_key(tx: &Tx<'_>, digest: &TokenDigest, key: &ApiKey) -> Result<()> {
    tx.prepare(
        "INSERT INTO api_keys (id, digest, hint, name, account_id, permissions, created_at, expires_at)
         VALUES (:id, :digest, :hint, :name, :account, :permissions, :created_at, :expires_at)",
    )?
    .execute(named_params! {
        ":id": key.id,
        ":digest": digest.as_slice(),
        ":hint": key.hint,
        ":name": key.name,
        ":account": key.account,
        ":permissions": key.permissions.key_list(),
        ":created_at": key.created_at,
        ":expires_at": key.expires_at,
    })?;
    Ok(())
}

/// Returns at most `limit` keys that are not revoked, ordered by id (oldest first): those with ids after `after`, of
/// one account or, without `account`, of all accounts and of the operator.
pub fn list_keys(at: &Snapshot<'_>, account: Option<&str>, after: Option<&str>, limit: u32) -> Result<Vec<ApiKey>> {
    let mut statement = at.prepare(SELECT_UNREVOKED)?;
    let parameters = named_params! {":after": after.unwrap_or_default(), ":account": account, ":limit": limit};
    let rows = statement.query_map(parameters, read_key)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Revokes a key.
pub fn revoke_key(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.prepare("UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?.execute((id, tx.now))?;
    Ok(())
}

/// Records a use of the key. Uses may be recorded out of order, so the time never decreases.
pub fn record_key_use(tx: &Tx<'_>, id: &str, at: Millis) -> Result<()> {
    tx.prepare("UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1")?
        .execute((id, at))?;
    Ok(())
}

fn read_key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: row.get("id")?,
        hint: row.get("hint")?,
        name: row.get("name")?,
        account: row.get("account_id")?,
        permissions: Permissions::from_key_list(&row.get::<_, String>("permissions")?),
        created_at: row.get("created_at")?,
        last_used_at: row.get("last_used_at")?,
        expires_at: row.get("expires_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}
