//! Rows of `oauth_clients` and `oauth_secrets`. Only the digest of a secret is stored, never the secret itself.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Row, named_params, params};

use super::rows::read_columns;
use crate::clock::Millis;
use crate::error::Result;
use crate::model::configuration::ConfigurationKey;
use crate::model::oauth::scope::OauthScope;
use crate::model::oauth::{AssertionSource, ClientAuthentication, ClientSecret, OauthClient, OauthClientState};
use crate::store::engine::snapshot::remembered::RememberedKey;
use crate::store::{Snapshot, Tx};

const COLUMNS: &str =
    "client, client_id, configuration, label, authentication, scope, token_lifetime, jwks, jwks_url, issuer,
     subject, audience, state, created_at, last_used_at";
const SECRET_COLUMNS: &str = "id, digest, label, hint, created_at, last_used_at, expires_at";

/// Inserts a client and returns its key. `new.key` is ignored.
pub fn insert_client(tx: &Tx<'_>, new: &OauthClient) -> Result<i64> {
    tx.check_restriction()?;
    let mut statement = tx.prepare(
        "INSERT INTO oauth_clients (client_id, configuration, label, authentication, scope, token_lifetime, jwks, jwks_url,
             issuer, subject, audience, state, created_at)
         VALUES (:client_id, :configuration, :label, :authentication, :scope, :token_lifetime, :jwks, :jwks_url,
             :issuer, :subject, :audience, :state, :created_at)",
    )?;
    let key = statement.insert(named_params! {
        ":client_id": new.client_id,
        ":configuration": new.configuration,
        ":label": new.label,
        ":authentication": new.authentication.as_str(),
        ":scope": new.scope.as_str(),
        ":token_lifetime": new.token_lifetime,
        ":jwks": new.assertions.jwks,
        ":jwks_url": new.assertions.jwks_url,
        ":issuer": new.assertions.issuer,
        ":subject": new.assertions.subject,
        ":audience": new.assertions.audience,
        ":state": new.state.as_str(),
        ":created_at": new.created_at,
    })?;
    Ok(key)
}

/// Stores the label, scope, lifetime, assertions and state of a client.
pub fn save_client(tx: &Tx<'_>, changed: &OauthClient) -> Result<()> {
    tx.run(
        "UPDATE oauth_clients SET label = :label, scope = :scope, token_lifetime = :token_lifetime, jwks = :jwks,
             jwks_url = :jwks_url, issuer = :issuer, subject = :subject, audience = :audience, state = :state
         WHERE client = :key",
        named_params! {
            ":key": changed.key,
            ":label": changed.label,
            ":scope": changed.scope.as_str(),
            ":token_lifetime": changed.token_lifetime,
            ":jwks": changed.assertions.jwks,
            ":jwks_url": changed.assertions.jwks_url,
            ":issuer": changed.assertions.issuer,
            ":subject": changed.assertions.subject,
            ":audience": changed.assertions.audience,
            ":state": changed.state.as_str(),
        },
    )
}

/// Deletes a client with its secrets, access tokens and used assertions.
pub fn delete_client(tx: &Tx<'_>, key: i64) -> Result<()> {
    for sql in [
        "DELETE FROM tokens WHERE client = ?1",
        "DELETE FROM oauth_assertions WHERE client = ?1",
        "DELETE FROM oauth_secrets WHERE client = ?1",
        "DELETE FROM oauth_clients WHERE client = ?1",
    ] {
        tx.run(sql, [key])?;
    }
    Ok(())
}

/// A client with what a request of it needs of its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveClient {
    /// The client.
    pub client: OauthClient,
    /// Public id of its configuration.
    pub configuration_id: String,
    /// Key of its configuration.
    pub owner: ConfigurationKey,
}

/// Returns the client with this public id, if its configuration is not deleted.
pub fn find_live_client(at: &Snapshot<'_>, client_id: &str) -> Result<Option<LiveClient>> {
    let sql =
        "SELECT o.client, o.client_id, o.configuration, o.label, o.authentication, o.scope, o.token_lifetime, o.jwks,
                      o.jwks_url, o.issuer, o.subject, o.audience, o.state, o.created_at, o.last_used_at,
                      c.id AS configuration_id, c.account AS account
               FROM oauth_clients o JOIN configurations c ON c.configuration = o.configuration
               WHERE o.client_id = ?1 AND c.deleted_at IS NULL";
    at.find_row(sql, [client_id], |row| {
        let client = read_client(row)?;
        let owner = ConfigurationKey { account: row.get("account")?, key: client.configuration };
        Ok(LiveClient { client, configuration_id: row.get("configuration_id")?, owner })
    })
}

/// Returns the client of a configuration with this public id.
pub fn find_client(at: &Snapshot<'_>, configuration: i64, client_id: &str) -> Result<Option<OauthClient>> {
    let sql = format!("SELECT {COLUMNS} FROM oauth_clients WHERE client_id = ?1 AND configuration = ?2");
    at.find_row(&sql, params![client_id, configuration], read_client)
}

/// Returns the clients of a configuration, oldest first.
pub fn list_clients(at: &Snapshot<'_>, configuration: i64) -> Result<Vec<OauthClient>> {
    let sql = format!("SELECT {COLUMNS} FROM oauth_clients WHERE configuration = ?1 ORDER BY client");
    at.list_rows(&sql, [configuration], read_client)
}

/// Whether a configuration has a client.
pub fn has_client(at: &Snapshot<'_>, configuration: i64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM oauth_clients WHERE configuration = ?1)";
    let found = at.remember(RememberedKey::HasOauthClient(configuration), || at.read_value(sql, [configuration]))?;
    Ok(*found)
}

/// Records that a client got an access token, with this secret.
pub fn record_client_use(tx: &Tx<'_>, client: i64, secret: Option<&str>) -> Result<()> {
    tx.run("UPDATE oauth_clients SET last_used_at = ?2 WHERE client = ?1", (client, tx.now))?;
    let Some(secret) = secret else { return Ok(()) };
    tx.run("UPDATE oauth_secrets SET last_used_at = ?2 WHERE id = ?1", (secret, tx.now))
}

/// Inserts a secret of a client.
pub fn insert_secret(tx: &Tx<'_>, client: i64, secret: &ClientSecret) -> Result<()> {
    tx.run(
        "INSERT INTO oauth_secrets (id, client, digest, label, hint, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            secret.id,
            client,
            secret.digest.as_slice(),
            secret.label,
            secret.hint,
            secret.created_at,
            secret.expires_at
        ],
    )
}

/// Returns the secrets of a client, expired or not, newest first.
pub fn list_secrets(at: &Snapshot<'_>, client: i64) -> Result<Vec<ClientSecret>> {
    let sql = format!("SELECT {SECRET_COLUMNS} FROM oauth_secrets WHERE client = ?1 ORDER BY created_at DESC, id DESC");
    at.list_rows(&sql, [client], read_secret)
}

/// Deletes a secret.
pub fn delete_secret(tx: &Tx<'_>, client: i64, id: &str) -> Result<()> {
    tx.run("DELETE FROM oauth_secrets WHERE client = ?1 AND id = ?2", (client, id))
}

/// Deletes the secrets of a client that expired at or before this time.
pub fn delete_expired_secrets(tx: &Tx<'_>, client: i64, until: Millis) -> Result<()> {
    tx.run("DELETE FROM oauth_secrets WHERE client = ?1 AND expires_at <= ?2", (client, until))
}

/// A secret that ends soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingSecret {
    /// Public id of the configuration.
    pub configuration_id: String,
    /// Name of the connection.
    pub connection_name: String,
    /// Public id of the client.
    pub client_id: String,
    /// Label of the client.
    pub client_label: String,
    /// When the secret ends.
    pub expires_at: Millis,
}

/// Returns the secrets that end between two times and have no later one of the same client, the first to end first. Only of
/// active clients of configurations that are not deleted; of one account, if its key is given.
pub fn list_ending_secrets(
    at: &Snapshot<'_>,
    (after, until): (Millis, Millis),
    account: Option<i64>,
    limit: u32,
) -> Result<Vec<EndingSecret>> {
    at.list_rows(
        "SELECT c.id AS configuration_id, c.connection_name, o.client_id, o.label AS client_label, s.expires_at
         FROM oauth_secrets s
         JOIN oauth_clients o ON o.client = s.client
         JOIN configurations c ON c.configuration = o.configuration
         WHERE s.expires_at > ?1 AND s.expires_at <= ?2 AND o.state = 'active' AND c.deleted_at IS NULL
           AND (?3 IS NULL OR c.account = ?3)
           AND NOT EXISTS (SELECT 1 FROM oauth_secrets n WHERE n.client = s.client AND n.expires_at > s.expires_at)
         ORDER BY s.expires_at LIMIT ?4",
        params![after, until, account, limit],
        |row| {
            read_columns!(row, EndingSecret { configuration_id, connection_name, client_id, client_label, expires_at })
        },
    )
}

fn read_client(row: &Row<'_>) -> rusqlite::Result<OauthClient> {
    let assertions = AssertionSource {
        jwks: row.get("jwks")?,
        jwks_url: row.get("jwks_url")?,
        issuer: row.get("issuer")?,
        subject: row.get("subject")?,
        audience: row.get("audience")?,
    };
    read_columns!(
        row,
        OauthClient {
            key: "client", client_id, configuration, label, authentication, scope, token_lifetime, state, created_at,
            last_used_at;
            assertions: assertions
        }
    )
}

fn read_secret(row: &Row<'_>) -> rusqlite::Result<ClientSecret> {
    read_columns!(row, ClientSecret { id, digest, label, hint, created_at, last_used_at, expires_at })
}

impl FromSql for ClientAuthentication {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|error: String| FromSqlError::Other(error.into()))
    }
}

impl FromSql for OauthClientState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|error: String| FromSqlError::Other(error.into()))
    }
}

impl FromSql for OauthScope {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::parse(value.as_str()?).map_err(|error| FromSqlError::Other(error.into()))
    }
}
