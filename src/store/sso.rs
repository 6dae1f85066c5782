//! Rows of `sso_provider` and `sso_identities`: what is agreed with the OpenID provider, and whose identities there are.

use rusqlite::{OptionalExtension, named_params};

use super::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::sso::Agreement;

/// The provider as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What is agreed.
    pub agreement: Agreement,
    /// The client's secret, sealed.
    pub client_secret: Option<Vec<u8>>,
    /// Moves with every change.
    pub revision: i64,
}

/// The provider, where there is one.
pub fn provider(at: &Snapshot<'_>) -> Result<Option<Kept>> {
    let mut statement = at.prepare("SELECT agreement, client_secret, revision FROM sso_provider WHERE one = 1")?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
    let Some((agreement, client_secret, revision)) = statement.query_row([], row).optional()? else { return Ok(None) };
    let agreement = serde_json::from_str(&agreement).map_err(|problem| Error::Database(problem.to_string()))?;
    Ok(Some(Kept { agreement, client_secret, revision }))
}

/// Keeps a provider in place of the one before.
pub fn keep_provider(tx: &Tx<'_>, agreement: &Agreement, client_secret: Option<&[u8]>) -> Result<()> {
    let text = serde_json::to_string(agreement).map_err(|problem| Error::Database(problem.to_string()))?;
    tx.prepare(
        "INSERT INTO sso_provider (one, agreement, client_secret, revision) VALUES (1, :agreement, :secret, :now)
         ON CONFLICT (one) DO UPDATE SET agreement = excluded.agreement, client_secret = excluded.client_secret,
             revision = max(revision + 1, excluded.revision)",
    )?
    .execute(named_params! {":agreement": text, ":secret": client_secret, ":now": tx.now})?;
    Ok(())
}

/// Forgets the provider; identities stay, for when it comes back.
pub fn remove_provider(tx: &Tx<'_>) -> Result<bool> {
    Ok(tx.prepare("DELETE FROM sso_provider")?.execute([])? > 0)
}

/// Whose identity that is, and whether it gave the role.
pub fn person(at: &Snapshot<'_>, issuer: &str, subject: &str) -> Result<Option<(String, bool)>> {
    let mut statement =
        at.prepare("SELECT admin_id, managed FROM sso_identities WHERE issuer = ?1 AND subject = ?2")?;
    Ok(statement.query_row([issuer, subject], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// The person's id at that provider.
pub fn subject(at: &Snapshot<'_>, issuer: &str, admin: &str) -> Result<Option<String>> {
    let mut statement = at.prepare("SELECT subject FROM sso_identities WHERE admin_id = ?2 AND issuer = ?1")?;
    Ok(statement.query_row([issuer, admin], |row| row.get(0)).optional()?)
}

/// The identities of a person: issuer and id there.
pub fn identities(at: &Snapshot<'_>, admin: &str) -> Result<Vec<(String, String)>> {
    let mut statement =
        at.prepare("SELECT issuer, subject FROM sso_identities WHERE admin_id = ?1 ORDER BY created_at")?;
    let found = statement.query_map([admin], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Keeps whose identity that is, and whether it gives the role.
pub fn link(tx: &Tx<'_>, issuer: &str, subject: &str, admin: &str, is_managed: bool) -> Result<()> {
    tx.prepare(
        "INSERT INTO sso_identities (issuer, subject, admin_id, managed, created_at)
         VALUES (:issuer, :subject, :admin, :managed, :now)
         ON CONFLICT (issuer, subject) DO UPDATE SET managed = excluded.managed",
    )?
    .execute(named_params! {
        ":issuer": issuer,
        ":subject": subject,
        ":admin": admin,
        ":managed": is_managed,
        ":now": tx.now,
    })?;
    Ok(())
}

/// Forgets all identities of a person.
pub fn unlink(tx: &Tx<'_>, admin: &str) -> Result<usize> {
    Ok(tx.prepare("DELETE FROM sso_identities WHERE admin_id = ?1")?.execute([admin])?)
}
