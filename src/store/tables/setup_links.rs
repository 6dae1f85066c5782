//! Rows of `setup_links`. Only the digest of a link's secret is stored, never the secret itself.

use rusqlite::{Row, named_params};

use super::rows::{find_by_digest, read_by_name, read_columns};
use crate::auth::secret::TokenDigest;
use crate::clock::Millis;
use crate::error::Result;
use crate::model::setup_link::LinkPurpose;
use crate::store::{Snapshot, Tx};

/// A setup link without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupLink {
    /// Id of the link.
    pub id: String,
    /// Key of its configuration.
    pub configuration: i64,
    /// Note about the recipient or purpose.
    pub note: String,
    /// The identity provider that the link is for.
    pub provider: Option<String>,
    /// Time of creation.
    pub created_at: Millis,
    /// Time of expiry.
    pub expires_at: Millis,
    /// Time at which it was last opened.
    pub last_opened_at: Option<Millis>,
    /// How often it was opened.
    pub opened: u32,
    /// Tokens created with it.
    pub tokens_made: u32,
    /// Time at which it was revoked or the setup was completed.
    pub ended_at: Option<Millis>,
    /// Latest expiry of a token that is created with the link: the expiry of the link's creator.
    pub tokens_end_at: Option<Millis>,
    /// Public id of the OAuth client that was created last with it. If it replaces a client secret, of the client of that secret.
    pub client_made: Option<String>,
    /// What it is for.
    pub purpose: LinkPurpose,
    /// Id of the token or, if it replaces a client secret, of the secret that was created last with it.
    pub token_made: Option<String>,
}

read_by_name!(LinkPurpose);

impl SetupLink {
    /// Whether the link is valid at this time.
    pub fn is_live(&self, now: Millis) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }

    /// Public id of the OAuth client whose secret the link replaces; `None` if it is for a token, or for the setup.
    pub fn replaced_client(&self) -> Option<&str> {
        self.client_made.as_deref().filter(|_| self.purpose == LinkPurpose::ReplaceToken)
    }
}

/// Inserts a link with the digest of its secret.
pub fn insert_link(tx: &Tx<'_>, digest: &TokenDigest, link: &SetupLink) -> Result<()> {
    tx.run(
        "INSERT INTO setup_links (id, digest, configuration, note, provider, created_at, expires_at, tokens_end_at,
                                  purpose, client_made)
         VALUES (:id, :digest, :configuration, :note, :provider, :created_at, :expires_at, :tokens_end_at, :purpose,
                 :client)",
        named_params! {
            ":id": link.id,
            ":digest": digest.as_slice(),
            ":configuration": link.configuration,
            ":note": link.note,
            ":provider": link.provider,
            ":created_at": link.created_at,
            ":expires_at": link.expires_at,
            ":tokens_end_at": link.tokens_end_at,
            ":purpose": link.purpose.as_str(),
            ":client": link.client_made,
        },
    )
}

const SELECT_LINKS: &str =
    "SELECT digest, id, configuration, note, provider, created_at, expires_at, last_opened_at, opened,
        ended_at, tokens_made, tokens_end_at, client_made, purpose, token_made
     FROM setup_links";

/// Returns at most `limit` links of a configuration, newest first. With `before`, only links with smaller ids.
pub fn list_links(at: &Snapshot<'_>, configuration: i64, before: Option<&str>, limit: u32) -> Result<Vec<SetupLink>> {
    let sql = format!("{SELECT_LINKS} WHERE configuration = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3");
    at.list_rows(&sql, (configuration, before, limit), read_link)
}

/// Returns the link of a configuration with this id, live or not.
pub fn find_link_by_id(at: &Snapshot<'_>, configuration: i64, id: &str) -> Result<Option<SetupLink>> {
    at.find_row(&format!("{SELECT_LINKS} WHERE configuration = ?1 AND id = ?2"), (configuration, id), read_link)
}

/// Returns the link with this digest of the secret, live or not.
pub fn find_link_by_digest(at: &Snapshot<'_>, digest: &TokenDigest) -> Result<Option<SetupLink>> {
    find_by_digest(at, &format!("{SELECT_LINKS} WHERE digest = ?1"), digest, read_link)
}

/// Returns the number of live links of a configuration.
pub fn count_live_links(at: &Snapshot<'_>, configuration: i64, now: Millis) -> Result<u32> {
    at.read_value(
        "SELECT count(*) FROM setup_links WHERE configuration = ?1 AND ended_at IS NULL AND expires_at > ?2",
        (configuration, now),
    )
}

/// Records that a link was opened.
pub fn record_link_opened(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.run("UPDATE setup_links SET opened = opened + 1, last_opened_at = ?2 WHERE id = ?1", (id, tx.now))
}

/// Counts a token that was created with a link.
pub fn count_token(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.run("UPDATE setup_links SET tokens_made = tokens_made + 1 WHERE id = ?1", [id])
}

/// Records the OAuth client that was created last with a link; `None` if it is deleted.
pub fn set_link_client(tx: &Tx<'_>, id: &str, client_id: Option<&str>) -> Result<()> {
    tx.run("UPDATE setup_links SET client_made = ?2 WHERE id = ?1", (id, client_id))
}

/// Records the token or client secret that was created last with a link.
pub fn set_link_token(tx: &Tx<'_>, id: &str, token: &str) -> Result<()> {
    tx.run("UPDATE setup_links SET token_made = ?2 WHERE id = ?1", (id, token))
}

/// Records that a link was opened from an address on a day. Returns false if that is known already, or if the link was
/// opened from `max` addresses on that day. Deletes the records of earlier days.
pub fn record_visit(tx: &Tx<'_>, id: &str, day: i64, address: &str, max: u32) -> Result<bool> {
    tx.run("DELETE FROM setup_link_visits WHERE link_id = ?1 AND day < ?2", (id, day))?;
    let inserted = tx.execute(
        "INSERT INTO setup_link_visits (link_id, day, address) SELECT ?1, ?2, ?3
         WHERE (SELECT count(*) FROM setup_link_visits WHERE link_id = ?1 AND day = ?2) < ?4
         ON CONFLICT DO NOTHING",
        (id, day, address, max),
    )?;
    Ok(inserted == 1)
}

/// Ends a link.
pub fn end_link(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.run("DELETE FROM setup_link_visits WHERE link_id = ?1", [id])?;
    tx.run("UPDATE setup_links SET ended_at = ?2 WHERE id = ?1", (id, tx.now))
}

/// Ends all links of a configuration.
pub fn end_all_links(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    tx.run(
        "DELETE FROM setup_link_visits WHERE link_id IN (SELECT id FROM setup_links WHERE configuration = ?1)",
        [configuration],
    )?;
    tx.run(
        "UPDATE setup_links SET ended_at = ?2 WHERE configuration = ?1 AND ended_at IS NULL",
        (configuration, tx.now),
    )
}

fn read_link(row: &Row<'_>) -> rusqlite::Result<SetupLink> {
    read_columns!(
        row,
        SetupLink {
            id,
            configuration,
            note,
            provider,
            created_at,
            expires_at,
            last_opened_at,
            opened,
            ended_at,
            tokens_made,
            tokens_end_at,
            client_made,
            purpose,
            token_made
        }
    )
}
