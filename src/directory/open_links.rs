//! What whoever holds a set-up link may do with it: open it, make a first token, and say that all is done.

use serde_json::json;

use super::tokens::{self, TokenDraft};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::model::actor::{Actor, ActorKind, By, Reach};
use crate::model::configuration::Configuration;
use crate::secret::TokenDigest;
use crate::store::audit::{self, Entry};
use crate::store::links::{self as rows, Link};
use crate::store::{Snapshot, Tx, configurations as configuration_rows, tokens as token_rows};

/// Somebody who has nothing but a link: where the call came from.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Network address.
    pub address: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
}

/// A link that may be used.
#[derive(Debug, Clone)]
pub struct OpenLink {
    /// The link.
    pub link: Link,
    /// What it is for.
    pub configuration: Configuration,
    /// Whether a user has arrived since it was made: its work is done, and it opens nothing any more.
    pub is_done: bool,
    /// Whether no token of the configuration was used yet, so that one may be made here.
    pub may_make_token: bool,
}

/// The live link with that secret.
///
/// # Errors
/// `NotFound` where there is none, or it has ended.
pub fn find(at: &Snapshot<'_>, digest: &TokenDigest, now: Millis) -> Result<OpenLink> {
    let not_found = || Error::NotFound("there is no such link, or it has ended".to_owned());
    let link = rows::by_digest(at, digest)?.filter(|link| link.is_live(now)).ok_or_else(not_found)?;
    let configuration = configuration_rows::by_key(at, link.configuration)?.ok_or_else(not_found)?;
    let is_done = rows::newest_user(at, configuration.key)?.is_some_and(|made| made >= link.created_at);
    let may_make_token = !is_done && !token_rows::any_used(at, configuration.key)?;
    Ok(OpenLink { link, configuration, is_done, may_make_token })
}

/// Notes that a link was opened; one whose work is done ends with that.
///
/// # Errors
/// `NotFound` where there is none, or it has ended.
pub fn open(tx: &Tx<'_>, holder: &Holder, digest: &TokenDigest) -> Result<()> {
    let found = find(tx, digest, tx.now)?;
    rows::note_opened(tx, &found.link.id)?;
    tell(tx, holder, &found, "link.opened")?;
    if found.is_done { end(tx, holder, &found) } else { Ok(()) }
}

/// Makes a token of the link's configuration, as long as none was used.
///
/// # Errors
/// `NotFound` where the link has ended, `Conflict` where the configuration is in use already. Run it with
/// `Undo::Savepoint`.
pub fn make_token(tx: &Tx<'_>, holder: &Holder, digest: &TokenDigest, draft: &TokenDraft) -> Result<()> {
    let found = find(tx, digest, tx.now)?;
    if !found.may_make_token {
        let refused = "a token of this connection is in use already; who sent you the link can make another";
        return Err(Error::Conflict(refused.to_owned()));
    }
    tokens::rotate(tx, &by(holder, &found), &found.configuration.id, draft, None)?;
    Ok(())
}

/// Ends a link, because whoever holds it says that the work is done.
///
/// # Errors
/// `NotFound` where there is none, or it has ended.
pub fn finish(tx: &Tx<'_>, holder: &Holder, digest: &TokenDigest) -> Result<()> {
    let found = find(tx, digest, tx.now)?;
    end(tx, holder, &found)
}

fn end(tx: &Tx<'_>, holder: &Holder, found: &OpenLink) -> Result<()> {
    rows::end(tx, &found.link.id)?;
    tell(tx, holder, found, "link.ended")
}

fn by(holder: &Holder, found: &OpenLink) -> By {
    let name = if found.link.note.is_empty() { "set-up link" } else { &found.link.note };
    By {
        actor: Actor { kind: ActorKind::SetupLink, id: found.link.id.clone(), name: name.to_owned() },
        reach: Reach::Account(found.configuration.account.clone()),
        address: holder.address.clone(),
        request_id: holder.request_id.clone(),
    }
}

fn tell(tx: &Tx<'_>, holder: &Holder, found: &OpenLink, action: &str) -> Result<()> {
    let entry = Entry {
        action,
        account: Some(&found.configuration.account),
        configuration_id: Some(&found.configuration.id),
        subject_id: Some(&found.link.id),
        before: None,
        after: Some(json!({"note": found.link.note})),
    };
    audit::append(tx, &by(holder, found), &entry)
}
