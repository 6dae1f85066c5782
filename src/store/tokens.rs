//! Rows of `tokens`. The plain token never comes here: only its digest does.

use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, named_params, params};

use super::{Snapshot, Tx};
use crate::clock::Millis;
use crate::error::Result;
use crate::model::rights::{Rights, TokenState};
use crate::secret::{self, TokenDigest};

/// A token to be kept.
#[derive(Debug, Clone)]
pub struct NewToken<'a> {
    /// Its id, made by the caller.
    pub id: &'a str,
    /// Digest of its text.
    pub digest: &'a TokenDigest,
    /// Its last four characters.
    pub hint: &'a str,
    /// What people call it.
    pub label: &'a str,
    /// What it may do.
    pub rights: Rights,
    /// When it stops working by itself.
    pub expires_at: Option<Millis>,
}

/// What a presented token stands for. The caller decides whether it may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Id of the token.
    pub token: String,
    /// Key of its configuration in this database.
    pub configuration: i64,
    /// Id of its configuration.
    pub configuration_id: String,
    /// Account of its configuration.
    pub account: String,
    /// Revision of the configuration's switches.
    pub revision: i64,
    /// What it may do.
    pub rights: Rights,
    /// When it stops working by itself.
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
    /// When its configuration was deleted.
    pub deleted_at: Option<Millis>,
}

impl TokenRow {
    /// Whether the token opens its configuration at that time.
    pub fn is_live(&self, now: Millis) -> bool {
        self.revoked_at.is_none() && self.deleted_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Finds the token with that digest, live or not, with what a request needs of its configuration. Runs before every
/// request: one statement, two tree walks.
pub fn authenticate(snapshot: &Snapshot<'_>, digest: &TokenDigest) -> Result<Option<TokenRow>> {
    let found = snapshot
        .connection()
        .prepare_cached(
            "SELECT t.digest, t.id, t.configuration, t.rights, t.expires_at, t.revoked_at,
                    c.id AS configuration_id, c.account_id, c.revision, c.deleted_at
             FROM tokens t JOIN configurations c ON c.configuration = t.configuration
             WHERE t.digest = ?1",
        )?
        .query_row([digest.as_slice()], |row| Ok((row.get::<_, TokenDigest>(0)?, token_row(row)?)))
        .optional()?;
    Ok(found.and_then(|(stored, row)| secret::same(&stored, digest).then_some(row)))
}

// By position: this row is read for every request, and a look-up by name costs a comparison per column.
fn token_row(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        token: row.get(1)?,
        configuration: row.get(2)?,
        rights: rights(row, 3)?,
        expires_at: row.get(4)?,
        revoked_at: row.get(5)?,
        configuration_id: row.get(6)?,
        account: row.get(7)?,
        revision: row.get(8)?,
        deleted_at: row.get(9)?,
    })
}

fn rights(row: &Row<'_>, at: usize) -> rusqlite::Result<Rights> {
    let word = row.get_ref(at)?.as_str()?;
    word.parse().map_err(|refused: String| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, refused.into()))
}

/// A token as people see it, live or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptToken {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// The last four characters of its text.
    pub hint: String,
    /// What it may do.
    pub rights: Rights,
    /// When it was made.
    pub created_at: Millis,
    /// When it was used for the first time.
    pub first_used_at: Option<Millis>,
    /// When it was last used.
    pub last_used_at: Option<Millis>,
    /// When it stops working by itself.
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
}

impl KeptToken {
    /// Whether it works at that time.
    pub fn state(&self, now: Millis) -> TokenState {
        match self.revoked_at {
            Some(_) => TokenState::Revoked,
            None if self.expires_at.is_some_and(|end| end <= now) => TokenState::Expired,
            None => TokenState::Live,
        }
    }
}

const KEPT: &str = "SELECT id, label, hint, rights, created_at, first_used_at, last_used_at, expires_at, revoked_at
     FROM tokens WHERE configuration = ?1";

fn kept(row: &Row<'_>) -> rusqlite::Result<KeptToken> {
    Ok(KeptToken {
        id: row.get(0)?,
        label: row.get(1)?,
        hint: row.get(2)?,
        rights: rights(row, 3)?,
        created_at: row.get(4)?,
        first_used_at: row.get(5)?,
        last_used_at: row.get(6)?,
        expires_at: row.get(7)?,
        revoked_at: row.get(8)?,
    })
}

/// At most `limit` tokens of a configuration, live or not, newest first; those older than the place `before`, which is
/// the time and the id of one of them.
pub fn list(
    at: &Snapshot<'_>,
    configuration: i64,
    before: Option<(Millis, &str)>,
    limit: u32,
) -> Result<Vec<KeptToken>> {
    let (time, id) = before.unwrap_or((Millis::MAX, ""));
    let mut statement =
        at.prepare(&format!("{KEPT} AND (created_at, id) < (?2, ?3) ORDER BY created_at DESC, id DESC LIMIT ?4"))?;
    let rows = statement.query_map(params![configuration, time, id, limit], kept)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The configurations, by name, with a live token that ends in that time; one for each such token.
pub fn ending(at: &Snapshot<'_>, now: Millis, until: Millis) -> Result<Vec<String>> {
    let mut statement = at.prepare(
        "SELECT c.connection_name FROM tokens t JOIN configurations c ON c.configuration = t.configuration
         WHERE t.expires_at > ?1 AND t.expires_at <= ?2 AND t.revoked_at IS NULL AND c.deleted_at IS NULL
         ORDER BY t.expires_at",
    )?;
    Ok(statement.query_map([now, until], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// The token of a configuration with that id.
pub fn by_id(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<Option<KeptToken>> {
    Ok(at.prepare(&format!("{KEPT} AND id = ?2"))?.query_row(params![configuration, id], kept).optional()?)
}

/// Whether any token of a configuration was ever used, live or not.
pub fn any_used(at: &Snapshot<'_>, configuration: i64) -> Result<bool> {
    let mut statement =
        at.prepare("SELECT EXISTS (SELECT 1 FROM tokens WHERE configuration = ?1 AND first_used_at IS NOT NULL)")?;
    Ok(statement.query_row([configuration], |row| row.get(0))?)
}

/// Gives a token another name and another end.
pub fn update(tx: &Tx<'_>, id: &str, label: &str, expires_at: Option<Millis>) -> Result<()> {
    tx.prepare("UPDATE tokens SET label = ?2, expires_at = ?3 WHERE id = ?1")?
        .execute(params![id, label, expires_at])?;
    Ok(())
}

/// Revokes a token.
pub fn revoke(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.prepare("UPDATE tokens SET revoked_at = ?2 WHERE id = ?1")?.execute(params![id, tx.now])?;
    Ok(())
}

/// Lets the live tokens of a configuration end at `end`, but for the one with the id `except`; one that ends before stays
/// as it is.
pub fn end_others(tx: &Tx<'_>, configuration: i64, except: &str, end: Millis) -> Result<()> {
    tx.prepare(
        "UPDATE tokens SET expires_at = ?3
         WHERE configuration = ?1 AND id <> ?2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)",
    )?
    .execute(params![configuration, except, end])?;
    Ok(())
}

/// Keeps a token of a configuration.
pub fn insert(tx: &Tx<'_>, configuration: i64, token: &NewToken<'_>) -> Result<()> {
    tx.connection()
        .prepare_cached(
            "INSERT INTO tokens (digest, id, configuration, hint, label, rights, created_at, expires_at)
             VALUES (:digest, :id, :configuration, :hint, :label, :rights, :now, :expires_at)",
        )?
        .execute(named_params! {
            ":digest": token.digest.as_slice(),
            ":id": token.id,
            ":configuration": configuration,
            ":hint": token.hint,
            ":label": token.label,
            ":rights": token.rights.as_str(),
            ":now": tx.now,
            ":expires_at": token.expires_at,
        })?;
    Ok(())
}

/// Revokes all live tokens of a configuration but the `keep` newest. Returns how many there were to revoke.
pub fn revoke_all_but(tx: &Tx<'_>, configuration: i64, keep: u32) -> Result<usize> {
    let revoked = tx
        .connection()
        .prepare_cached(
            "UPDATE tokens SET revoked_at = :now WHERE digest IN (
                 SELECT digest FROM tokens
                 WHERE configuration = :configuration AND revoked_at IS NULL
                   AND (expires_at IS NULL OR expires_at > :now)
                 ORDER BY created_at DESC, id DESC LIMIT -1 OFFSET :keep)",
        )?
        .execute(named_params! {
            ":now": tx.now,
            ":configuration": configuration,
            ":keep": keep,
        })?;
    Ok(revoked)
}

/// Notes that a token was used, at a time no earlier than the last.
pub fn note_use(tx: &Tx<'_>, id: &str, at: Millis) -> Result<()> {
    tx.connection()
        .prepare_cached(
            "UPDATE tokens SET first_used_at = coalesce(first_used_at, :at),
                               last_used_at = max(coalesce(last_used_at, :at), :at)
             WHERE id = :id",
        )?
        .execute(named_params! {":id": id, ":at": at})?;
    Ok(())
}
