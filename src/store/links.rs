//! Rows of `setup_links`. The secret of a link never comes here: only its digest does.

use rusqlite::{OptionalExtension, Row, named_params};

use super::{Snapshot, Tx};
use crate::clock::Millis;
use crate::error::Result;
use crate::secret::{self, TokenDigest};

/// A set-up link without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its id.
    pub id: String,
    /// Key of its configuration.
    pub configuration: i64,
    /// Whom it was made for, or why.
    pub note: String,
    /// The identity provider that it is meant for.
    pub provider: Option<String>,
    /// When it was made.
    pub created_at: Millis,
    /// When it stops working by itself.
    pub expires_at: Millis,
    /// When somebody last opened it.
    pub last_opened_at: Option<Millis>,
    /// How often.
    pub opened: u32,
    /// When it was revoked or had done its work.
    pub ended_at: Option<Millis>,
}

impl Link {
    /// Whether it works at that time.
    pub fn is_live(&self, now: Millis) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}

/// Keeps a link under the digest of its secret.
pub fn insert(tx: &Tx<'_>, digest: &TokenDigest, link: &Link) -> Result<()> {
    tx.prepare(
        "INSERT INTO setup_links (id, digest, configuration, note, provider, created_at, expires_at)
         VALUES (:id, :digest, :configuration, :note, :provider, :created_at, :expires_at)",
    )?
    .execute(named_params! {
        ":id": link.id,
        ":digest": digest.as_slice(),
        ":configuration": link.configuration,
        ":note": link.note,
        ":provider": link.provider,
        ":created_at": link.created_at,
        ":expires_at": link.expires_at,
    })?;
    Ok(())
}

/// At most `limit` links of a configuration, newest first, from below that id.
pub fn page(at: &Snapshot<'_>, configuration: i64, before: Option<&str>, limit: u32) -> Result<Vec<Link>> {
    let mut statement = at.prepare(
        "SELECT id, configuration, note, provider, created_at, expires_at, last_opened_at, opened, ended_at
         FROM setup_links WHERE configuration = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
    )?;
    let found = statement.query_map((configuration, before, limit), link)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// The link of a configuration with that id, live or not.
pub fn by_id(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<Option<Link>> {
    let mut statement = at.prepare(
        "SELECT id, configuration, note, provider, created_at, expires_at, last_opened_at, opened, ended_at
         FROM setup_links WHERE configuration = ?1 AND id = ?2",
    )?;
    Ok(statement.query_row((configuration, id), link).optional()?)
}

/// The link with that secret, live or not.
pub fn by_digest(at: &Snapshot<'_>, digest: &TokenDigest) -> Result<Option<Link>> {
    let mut statement = at.prepare(
        "SELECT id, configuration, note, provider, created_at, expires_at, last_opened_at, opened, ended_at, digest
         FROM setup_links WHERE digest = ?1",
    )?;
    let found = statement.query_row([digest.as_slice()], |row| Ok((row.get::<_, TokenDigest>("digest")?, link(row)?)));
    Ok(found.optional()?.and_then(|(stored, link)| secret::same(&stored, digest).then_some(link)))
}

/// How many live links a configuration has.
pub fn count_live(at: &Snapshot<'_>, configuration: i64, now: Millis) -> Result<u32> {
    let mut statement = at.prepare(
        "SELECT count(*) FROM setup_links WHERE configuration = ?1 AND ended_at IS NULL AND expires_at > ?2",
    )?;
    Ok(statement.query_row((configuration, now), |row| row.get(0))?)
}

/// Notes that a link was opened.
pub fn note_opened(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.prepare("UPDATE setup_links SET opened = opened + 1, last_opened_at = ?2 WHERE id = ?1")?
        .execute((id, tx.now))?;
    Ok(())
}

/// When the newest user of a configuration was made.
pub fn newest_user(at: &Snapshot<'_>, configuration: i64) -> Result<Option<Millis>> {
    let mut statement = at.prepare(
        "SELECT created_at FROM resources WHERE configuration = ?1 AND type = 'User' ORDER BY resource DESC LIMIT 1",
    )?;
    Ok(statement.query_row([configuration], |row| row.get(0)).optional()?)
}

/// Ends a link.
pub fn end(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.prepare("UPDATE setup_links SET ended_at = ?2 WHERE id = ?1")?.execute((id, tx.now))?;
    Ok(())
}

/// Ends all links of a configuration.
pub fn end_all(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    tx.prepare("UPDATE setup_links SET ended_at = ?2 WHERE configuration = ?1 AND ended_at IS NULL")?
        .execute((configuration, tx.now))?;
    Ok(())
}

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        id: row.get("id")?,
        configuration: row.get("configuration")?,
        note: row.get("note")?,
        provider: row.get("provider")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        last_opened_at: row.get("last_opened_at")?,
        opened: row.get("opened")?,
        ended_at: row.get("ended_at")?,
    })
}
