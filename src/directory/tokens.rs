//! Tokens of a configuration: at most two live, so that one can be replaced without an outage.

use serde_json::json;

use super::configurations;
use crate::clock::Millis;
use crate::error::Result;
use crate::model::actor::By;
use crate::model::configuration::Configuration;
use crate::model::event::{Happening, Kind};
use crate::secret::{Token, TokenDigest};
use crate::store::tokens::{self as rows, NewToken};
use crate::store::{Tx, events};

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
    /// When it stops working by itself.
    pub expires_at: Option<Millis>,
}

impl TokenDraft {
    /// What is kept of `token`, which never expires by itself.
    pub fn new(id: String, token: &Token, label: impl Into<String>) -> Self {
        Self { id, digest: token.digest(), hint: token.hint().to_owned(), label: label.into(), expires_at: None }
    }
}

/// Adds a token to a configuration; of the live ones the two newest stay. `NotFound` where there is no such configuration.
pub fn rotate(tx: &Tx<'_>, by: &By, configuration_id: &str, draft: &TokenDraft) -> Result<Configuration> {
    let configuration = configurations::within(tx, &by.reach, configuration_id)?;
    keep(tx, configuration.key, draft)?;
    let revoked = rows::revoke_all_but(tx, configuration.key, LIVE_MAX)?;
    let payload = json!({"token": {"id": draft.id, "hint": draft.hint}, "revokedTokens": revoked});
    let kind = Kind::Configuration(Happening::Updated);
    events::append(tx, &configuration.account, configuration.key, kind, None, &payload.to_string())?;
    configurations::audited(tx, by, &configuration, "token.created", None, Some(payload))?;
    Ok(configuration)
}

pub(super) fn keep(tx: &Tx<'_>, configuration: i64, draft: &TokenDraft) -> Result<()> {
    let token = NewToken {
        id: &draft.id,
        digest: &draft.digest,
        hint: &draft.hint,
        label: &draft.label,
        expires_at: draft.expires_at,
    };
    rows::insert(tx, configuration, &token)
}

pub(super) fn revoke_all(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    rows::revoke_all_but(tx, configuration, 0)?;
    Ok(())
}
