//! Rows of `api_keys`. The plain secret never comes here: only its digest does.

use rusqlite::{OptionalExtension, Row, named_params};

use super::{Snapshot, Tx};
use crate::clock::Millis;
use crate::error::Result;
use crate::model::permission::Permissions;
use crate::secret::{self, TokenDigest};

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, which is the client id.
    pub id: String,
    /// The last four characters of the secret.
    pub hint: String,
    /// What people call it.
    pub name: String,
    /// The one account it may touch; all of them where there is none.
    pub account: Option<String>,
    /// What it may do.
    pub permissions: Permissions,
    /// When it was made.
    pub created_at: Millis,
    /// When it was last used.
    pub last_used_at: Option<Millis>,
    /// When it stops working by itself.
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
}

impl ApiKey {
    /// Whether it works at that time.
    pub fn is_live(&self, now: Millis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

const BY_ID: &str =
    "SELECT digest, id, hint, name, account_id, permissions, created_at, last_used_at, expires_at, revoked_at
     FROM api_keys WHERE id = ?1";
const UNREVOKED: &str =
    "SELECT id, hint, name, account_id, permissions, created_at, last_used_at, expires_at, revoked_at
     FROM api_keys
     WHERE revoked_at IS NULL AND id > :after AND (:account IS NULL OR account_id = :account)
     ORDER BY id LIMIT :limit";
const BY_DIGEST: &str =
    "SELECT digest, id, hint, name, account_id, permissions, created_at, last_used_at, expires_at, revoked_at
     FROM api_keys WHERE digest = ?1";

/// The key with that secret, live or not.
pub fn authenticate(at: &Snapshot<'_>, digest: &TokenDigest) -> Result<Option<ApiKey>> {
    let found = at
        .prepare(BY_DIGEST)?
        .query_row([digest.as_slice()], |row| Ok((row.get::<_, TokenDigest>(0)?, api_key(row)?)))
        .optional()?;
    Ok(found.and_then(|(stored, key)| secret::same(&stored, digest).then_some(key)))
}

/// The key with that id, live or not.
pub fn by_id(at: &Snapshot<'_>, id: &str) -> Result<Option<ApiKey>> {
    Ok(at.prepare(BY_ID)?.query_row([id], api_key).optional()?)
}

/// Keeps a key under the digest of its secret.
pub fn insert(tx: &Tx<'_>, digest: &TokenDigest, key: &ApiKey) -> Result<()> {
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
        ":permissions": key.permissions.words(),
        ":created_at": key.created_at,
        ":expires_at": key.expires_at,
    })?;
    Ok(())
}

/// The keys that are not revoked, oldest first: of one account, or of all and of the operator; those after that id.
pub fn list(at: &Snapshot<'_>, account: Option<&str>, after: Option<&str>, limit: u32) -> Result<Vec<ApiKey>> {
    let mut statement = at.prepare(UNREVOKED)?;
    let parameters = named_params! {":after": after.unwrap_or_default(), ":account": account, ":limit": limit};
    let rows = statement.query_map(parameters, api_key)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Revokes a key.
pub fn revoke(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.prepare("UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?.execute((id, tx.now))?;
    Ok(())
}

/// Keeps when a key was used. Notes may come late, so the time never runs back.
pub fn note_use(tx: &Tx<'_>, id: &str, at: Millis) -> Result<()> {
    tx.prepare("UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1")?
        .execute((id, at))?;
    Ok(())
}

fn api_key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: row.get("id")?,
        hint: row.get("hint")?,
        name: row.get("name")?,
        account: row.get("account_id")?,
        permissions: Permissions::from_words(&row.get::<_, String>("permissions")?),
        created_at: row.get("created_at")?,
        last_used_at: row.get("last_used_at")?,
        expires_at: row.get("expires_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}
