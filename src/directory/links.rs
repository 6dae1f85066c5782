//! Set-up links: who holds one may set up the one configuration it was made for, until it ends.

use serde_json::json;

use super::configurations;
use crate::error::{Error, Result};
use crate::model::actor::{By, Reach};
use crate::model::configuration::check_provider;
use crate::secret::TokenDigest;
use crate::store::audit::{self, Entry};
use crate::store::links::{self as rows, Link};
use crate::store::{Snapshot, Tx};

/// Shortest and longest life of a link, in seconds, and the one where nobody says otherwise.
pub const LIFE_MIN_SECONDS: i64 = 300;
/// See [`LIFE_MIN_SECONDS`].
pub const LIFE_MAX_SECONDS: i64 = 30 * 24 * 60 * 60;
/// See [`LIFE_MIN_SECONDS`].
pub const LIFE_DEFAULT_SECONDS: i64 = 24 * 60 * 60;
/// Links of one configuration that may live at the same time.
pub const LIVE_MAX: u32 = 20;
/// Longest note, in characters.
pub const NOTE_MAX_CHARS: usize = 200;

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// A new id, made by the caller.
    pub id: String,
    /// Digest of its secret.
    pub digest: TokenDigest,
    /// How long it works, in seconds.
    pub life_seconds: i64,
    /// Whom it is for, or why.
    pub note: String,
    /// The identity provider that it is meant for.
    pub provider: Option<String>,
}

/// Makes a link.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach, `Refused` names what breaks a rule, `Conflict` where
/// there are enough live links already. Run it with `Undo::Savepoint`.
pub fn create(tx: &Tx<'_>, by: &By, configuration_id: &str, new: &NewLink) -> Result<Link> {
    let found = configurations::within(tx, &by.reach, configuration_id)?;
    if !(LIFE_MIN_SECONDS..=LIFE_MAX_SECONDS).contains(&new.life_seconds) {
        let refused = format!("expiresIn must be a number of seconds from {LIFE_MIN_SECONDS} to {LIFE_MAX_SECONDS}");
        return Err(Error::Refused(refused));
    }
    let note = new.note.trim();
    if note.chars().count() > NOTE_MAX_CHARS || note.chars().any(char::is_control) {
        return Err(Error::Refused(format!(
            "note must have at most {NOTE_MAX_CHARS} characters and no control characters"
        )));
    }
    let provider = new.provider.as_deref().map(check_provider).transpose().map_err(Error::Refused)?;
    if rows::count_live(tx, found.key, tx.now)? >= LIVE_MAX {
        return Err(Error::Conflict(format!("the configuration has {LIVE_MAX} live links: revoke one first")));
    }
    let link = Link {
        id: new.id.clone(),
        configuration: found.key,
        note: note.to_owned(),
        provider: provider.map(str::to_owned),
        created_at: tx.now,
        expires_at: tx.now + new.life_seconds * 1_000,
        last_opened_at: None,
        opened: 0,
        ended_at: None,
    };
    rows::insert(tx, &new.digest, &link)?;
    let after = json!({"note": link.note, "provider": link.provider, "expiresIn": new.life_seconds});
    let entry = Entry {
        action: "link.created",
        account: Some(&found.account),
        configuration_id: Some(&found.id),
        subject_id: Some(&link.id),
        before: None,
        after: Some(after),
    };
    audit::append(tx, by, &entry)?;
    Ok(link)
}

/// At most `limit` links of a configuration, newest first, from below that id; the ended ones too.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach.
pub fn page(
    at: &Snapshot<'_>,
    reach: &Reach,
    configuration_id: &str,
    before: Option<&str>,
    limit: u32,
) -> Result<Vec<Link>> {
    rows::page(at, configurations::within(at, reach, configuration_id)?.key, before, limit)
}

/// Revokes a link; it is dead with the commit.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach, or it has no such link that lives.
pub fn revoke(tx: &Tx<'_>, by: &By, configuration_id: &str, id: &str) -> Result<()> {
    let found = configurations::within(tx, &by.reach, configuration_id)?;
    let link = rows::by_id(tx, found.key, id)?.filter(|link| link.ended_at.is_none());
    let link = link.ok_or_else(|| Error::NotFound("the configuration has no such link, or it has ended".to_owned()))?;
    rows::end(tx, &link.id)?;
    let entry = Entry {
        action: "link.revoked",
        account: Some(&found.account),
        configuration_id: Some(&found.id),
        subject_id: Some(&link.id),
        before: Some(json!({"note": link.note, "provider": link.provider, "opened": link.opened})),
        after: None,
    };
    audit::append(tx, by, &entry)
}
