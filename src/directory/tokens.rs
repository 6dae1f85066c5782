//! Tokens of a configuration: at most two live, so that one can be replaced without an outage.

use serde_json::{Value, json};

use super::configurations;
use crate::clock::{self, Millis};
use crate::error::{Error, Result};
use crate::model::actor::{By, Reach};
use crate::model::change::Change;
use crate::model::configuration::Configuration;
use crate::model::event::{Happening, Kind};
use crate::model::names;
use crate::model::rights::{Rights, TokenState};
use crate::secret::{Token, TokenDigest};
use crate::store::audit::{self, Entry};
use crate::store::tokens::{self as rows, KeptToken, NewToken};
use crate::store::{Snapshot, Tx, events};

/// Live tokens of a configuration.
const LIVE_MAX: u32 = 2;

/// A token to be kept, without its text.
#[derive(Debug, Clone)]
pub struct TokenDraft {
    /// A new id, made by the caller.
    pub id: String,
    /// Digest of the token.
    pub digest: TokenDigest,
    /// Its last four characters.
    pub hint: String,
    /// What people call it.
    pub label: String,
    /// What it may do.
    pub rights: Rights,
    /// When it stops working by itself.
    pub expires_at: Option<Millis>,
}

impl TokenDraft {
    /// What is kept of `token`, which may do everything and never expires by itself.
    pub fn new(id: String, token: &Token, label: impl Into<String>) -> Self {
        let (digest, hint) = (token.digest(), token.hint().to_owned());
        Self { id, digest, hint, label: label.into(), rights: Rights::All, expires_at: None }
    }
}

/// What is to be different with a token.
#[derive(Debug, Clone, Default)]
pub struct TokenChange {
    /// Another name.
    pub label: Option<String>,
    /// Another end, or none.
    pub expires_at: Change<Millis>,
}

/// Tokens of a configuration, live or not, newest first: at most `limit`, and only those older than the place `before`,
/// which is the time and the id of one of them.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach.
pub fn list(
    at: &Snapshot<'_>,
    reach: &Reach,
    configuration_id: &str,
    before: Option<(Millis, &str)>,
    limit: u32,
) -> Result<Vec<KeptToken>> {
    let configuration = configurations::within(at, reach, configuration_id)?;
    rows::list(at, configuration.key, before, limit)
}

/// The token of a configuration with that id, live or not.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach, or no such token.
pub fn within(at: &Snapshot<'_>, reach: &Reach, configuration_id: &str, id: &str) -> Result<KeptToken> {
    by_id(at, &configurations::within(at, reach, configuration_id)?, id)
}

/// Adds a token to a configuration; of the live ones the two newest stay. With `others_end_after` the one that stays
/// beside the new one ends that many milliseconds from now.
///
/// # Errors
/// `NotFound` where there is no such configuration, `Refused` where the label breaks a rule, `Conflict` where the token
/// would be dead already. Run it with `Undo::Savepoint`.
pub fn rotate(
    tx: &Tx<'_>,
    by: &By,
    configuration_id: &str,
    draft: &TokenDraft,
    others_end_after: Option<Millis>,
) -> Result<Configuration> {
    let configuration = configurations::within(tx, &by.reach, configuration_id)?;
    names::check("label", &draft.label).map_err(Error::Refused)?;
    check_end(tx, draft.expires_at)?;
    keep(tx, configuration.key, draft)?;
    let revoked = rows::revoke_all_but(tx, configuration.key, LIVE_MAX)?;
    if let Some(after) = others_end_after {
        rows::end_others(tx, configuration.key, &draft.id, tx.now.saturating_add(after))?;
    }
    let token = json!({
        "id": draft.id,
        "hint": draft.hint,
        "label": draft.label.trim(),
        "rights": draft.rights,
        "expiresAt": draft.expires_at.map(clock::rfc3339),
    });
    let payload = json!({"token": token, "revokedTokens": revoked, "othersEndAfterMs": others_end_after});
    tell(tx, by, &configuration, ("token.created", &draft.id), None, Some(payload))?;
    Ok(configuration)
}

/// Changes the name or the end of a live token.
///
/// # Errors
/// `NotFound`; `Refused` where the label breaks a rule; `Conflict` where the token is dead, because what was revoked or has
/// expired stays so, and where the new end has passed already.
pub fn change(tx: &Tx<'_>, by: &By, configuration_id: &str, id: &str, change: &TokenChange) -> Result<()> {
    let configuration = configurations::within(tx, &by.reach, configuration_id)?;
    let found = by_id(tx, &configuration, id)?;
    if found.state(tx.now) != TokenState::Live {
        return Err(Error::Conflict("the token is dead for good: make a new one".to_owned()));
    }
    let label = change.label.as_deref().unwrap_or(&found.label);
    let label = names::check("label", label).map_err(Error::Refused)?;
    let expires_at = match change.expires_at {
        Change::Keep => found.expires_at,
        Change::Clear => None,
        Change::Set(end) => Some(end),
    };
    check_end(tx, expires_at)?;
    if label == found.label && expires_at == found.expires_at {
        return Ok(());
    }
    rows::update(tx, id, label, expires_at)?;
    let shown = |label: &str, end: Option<Millis>| json!({"label": label, "expiresAt": end.map(clock::rfc3339)});
    let (before, after) = (shown(&found.label, found.expires_at), shown(label, expires_at));
    tell(tx, by, &configuration, ("token.updated", id), Some(before), Some(after))
}

/// Revokes a token; it is dead with the commit.
///
/// # Errors
/// `NotFound` where there is none, or it was revoked before.
pub fn revoke(tx: &Tx<'_>, by: &By, configuration_id: &str, id: &str) -> Result<()> {
    let configuration = configurations::within(tx, &by.reach, configuration_id)?;
    let found = by_id(tx, &configuration, id)?;
    if found.revoked_at.is_some() {
        return Err(not_found());
    }
    rows::revoke(tx, id)?;
    let before = json!({"label": found.label, "hint": found.hint, "rights": found.rights});
    tell(tx, by, &configuration, ("token.revoked", id), Some(before), None)
}

/// Revokes every token of a configuration that still works; they are dead with the commit. Says how many there were.
///
/// # Errors
/// `NotFound` where there is no such configuration within reach.
pub fn revoke_every(tx: &Tx<'_>, by: &By, configuration_id: &str) -> Result<usize> {
    let configuration = configurations::within(tx, &by.reach, configuration_id)?;
    // Of those that live there are two at most; the newest hundred have them among them.
    let kept = rows::list(tx, configuration.key, None, 100)?;
    let live: Vec<KeptToken> = kept.into_iter().filter(|token| token.state(tx.now) == TokenState::Live).collect();
    live.iter().try_for_each(|token| revoke(tx, by, configuration_id, &token.id))?;
    Ok(live.len())
}

fn by_id(at: &Snapshot<'_>, configuration: &Configuration, id: &str) -> Result<KeptToken> {
    rows::by_id(at, configuration.key, id)?.ok_or_else(not_found)
}

fn not_found() -> Error {
    Error::NotFound("the configuration has no live token with this id; the list of its tokens shows them".to_owned())
}

fn check_end(tx: &Tx<'_>, end: Option<Millis>) -> Result<()> {
    if end.is_some_and(|end| end <= tx.now) {
        return Err(Error::Conflict("expiresAt has passed already: give a time in the future".to_owned()));
    }
    Ok(())
}

/// Tells the operator's application and the audit log what became of a token.
fn tell(
    tx: &Tx<'_>,
    by: &By,
    of: &Configuration,
    (action, id): (&str, &str),
    before: Option<Value>,
    after: Option<Value>,
) -> Result<()> {
    let kind = Kind::Configuration(Happening::Updated);
    let payload = after.clone().unwrap_or_else(|| json!({"tokenRevoked": id}));
    events::append(tx, &of.account, of.key, kind, None, &payload.to_string())?;
    let (account, configuration_id) = (Some(of.account.as_str()), Some(of.id.as_str()));
    audit::append(tx, by, &Entry { action, account, configuration_id, subject_id: Some(id), before, after })
}

pub(super) fn keep(tx: &Tx<'_>, configuration: i64, draft: &TokenDraft) -> Result<()> {
    let token = NewToken {
        id: &draft.id,
        digest: &draft.digest,
        hint: &draft.hint,
        label: draft.label.trim(),
        rights: draft.rights,
        expires_at: draft.expires_at,
    };
    rows::insert(tx, configuration, &token)
}

pub(super) fn revoke_all(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    rows::revoke_all_but(tx, configuration, 0)?;
    Ok(())
}
