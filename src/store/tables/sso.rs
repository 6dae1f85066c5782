//! Rows of `sso_provider` and `sso_identities`: the OpenID provider settings, and the identities of admins.

use rusqlite::{OptionalExtension, named_params};

use crate::error::{Error, Result};
use crate::model::sso::ProviderConfiguration;
use crate::store::{Snapshot, Tx};

/// The stored OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredProvider {
    /// Settings of the provider.
    pub provider_configuration: ProviderConfiguration,
    /// The encrypted client secret.
    pub client_secret: Option<Vec<u8>>,
    /// Increases with every change.
    pub revision: i64,
}

/// Returns the OpenID provider, if one is configured.
pub fn find_provider(at: &Snapshot<'_>) -> Result<Option<StoredProvider>> {
    let mut statement = at.prepare("SELECT agreement, client_secret, revision FROM sso_provider WHERE one = 1")?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
    let Some((provider_configuration, client_secret, revision)) = statement.query_row([], row).optional()? else {
        return Ok(None);
    };
    let provider_configuration = serde_json::from_str(&provider_configuration)
        .map_err(|problem| Error::undecodable("the OpenID provider", problem))?;
    Ok(Some(StoredProvider { provider_configuration, client_secret, revision }))
}

/// Stores a provider, and replaces the previous one.
pub fn save_provider(
    tx: &Tx<'_>,
    provider_configuration: &ProviderConfiguration,
    client_secret: Option<&[u8]>,
) -> Result<()> {
    let text = serde_json::to_string(provider_configuration).map_err(|problem| Error::database(problem.to_string()))?;
    tx.run(
        "INSERT INTO sso_provider (one, agreement, client_secret, revision) VALUES (1, :configuration, :secret, :now)
         ON CONFLICT (one) DO UPDATE SET agreement = excluded.agreement, client_secret = excluded.client_secret,
             revision = max(revision + 1, excluded.revision)",
        named_params! {":configuration": text, ":secret": client_secret, ":now": tx.now},
    )
}

/// Deletes the provider. Identities stay, in case it is configured again. Returns false if there was none.
pub fn delete_provider(tx: &Tx<'_>) -> Result<bool> {
    Ok(tx.execute("DELETE FROM sso_provider", [])? > 0)
}

/// Returns the id of the admin with this identity, and whether sign-in manages the role.
pub fn find_admin_by_identity(at: &Snapshot<'_>, issuer: &str, subject: &str) -> Result<Option<(String, bool)>> {
    at.find_row(
        "SELECT admin_id, managed FROM sso_identities WHERE issuer = ?1 AND subject = ?2",
        [issuer, subject],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Returns the subject of the admin at this provider.
pub fn find_subject(at: &Snapshot<'_>, issuer: &str, admin: &str) -> Result<Option<String>> {
    at.find_row("SELECT subject FROM sso_identities WHERE admin_id = ?2 AND issuer = ?1", [issuer, admin], |row| {
        row.get(0)
    })
}

/// Returns the identities of an admin as (issuer, subject), oldest first.
pub fn list_identities(at: &Snapshot<'_>, admin: &str) -> Result<Vec<(String, String)>> {
    at.list_rows("SELECT issuer, subject FROM sso_identities WHERE admin_id = ?1 ORDER BY created_at", [admin], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

/// Links an identity to an admin. `is_managed` is whether sign-in manages the role.
pub fn link_identity(tx: &Tx<'_>, issuer: &str, subject: &str, admin: &str, is_managed: bool) -> Result<()> {
    tx.run(
        "INSERT INTO sso_identities (issuer, subject, admin_id, managed, created_at)
         VALUES (:issuer, :subject, :admin, :managed, :now)
         ON CONFLICT (issuer, subject) DO UPDATE SET managed = excluded.managed",
        named_params! {
            ":issuer": issuer,
            ":subject": subject,
            ":admin": admin,
            ":managed": is_managed,
            ":now": tx.now,
        },
    )
}

/// Deletes all identities of an admin. Returns how many were deleted.
pub fn delete_identities(tx: &Tx<'_>, admin: &str) -> Result<usize> {
    tx.execute("DELETE FROM sso_identities WHERE admin_id = ?1", [admin])
}
