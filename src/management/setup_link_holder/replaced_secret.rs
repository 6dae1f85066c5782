//! A link that replaces the secret of an OAuth client: its holder creates the new secret, and deletes the old one when the new one is
//! in use. The old one is valid until then, or until its end.

use crate::auth::secret::TokenDigest;
use crate::clock::Millis;
use crate::error::{Reason, Result};
use crate::management::oauth::{self, SecretDraft};
use crate::management::setup_link_holder::{LinkHolder, OpenLink, TOKENS_MAX, build_audit_context, find_open_link};
use crate::model::oauth::{ClientSecret, LIVE_SECRETS_MAX, OauthClient, OauthClientState};
use crate::store::Tx;
use crate::store::tables::setup_links as rows;

/// The client of a link that replaces a secret, and its valid secrets.
#[derive(Debug, Clone)]
pub struct ReplacedSecret {
    /// The client.
    pub client: OauthClient,
    /// The secret that was created last with the link.
    pub new: Option<ClientSecret>,
    /// The other secrets, newest first.
    pub others: Vec<ClientSecret>,
}

impl ReplacedSecret {
    /// Whether the secret of the link is in use.
    pub fn is_new_used(&self) -> bool {
        self.new.as_ref().is_some_and(|secret| secret.last_used_at.is_some())
    }

    /// The secret that the one of the link replaces: the one that was used last.
    pub fn old(&self) -> Option<&ClientSecret> {
        self.others.iter().max_by_key(|secret| (secret.last_used_at, secret.created_at))
    }

    /// Whether the client may get another secret. One of the link that is not used does not count: the next one replaces it.
    pub fn has_room(&self) -> bool {
        self.others.len() + usize::from(self.is_new_used()) < LIVE_SECRETS_MAX
    }
}

impl OpenLink {
    /// Whether the link is for the secret of an OAuth client.
    pub fn replaces_secret(&self) -> bool {
        self.link.replaced_client().is_some()
    }

    /// The client and its secrets, of a link that replaces a secret. `None` if the client was deleted or disabled since.
    pub fn replaced_secret(&self, now: Millis) -> Option<ReplacedSecret> {
        let found = self.client.as_ref().filter(|found| found.client.state == OauthClientState::Active)?;
        let live = found.secrets.iter().filter(|secret| secret.is_live(now)).cloned();
        let is_new = |secret: &ClientSecret| self.link.token_made.as_ref() == Some(&secret.id);
        let (mut new, others): (Vec<ClientSecret>, Vec<ClientSecret>) = live.partition(is_new);
        self.replaces_secret().then(|| ReplacedSecret { client: found.client.clone(), new: new.pop(), others })
    }
}

/// Creates a secret for the client of the link. One that the link created before and that is not used is deleted.
///
/// # Errors
/// Those of [`find_open_link`]. 403 if the link is for something else, or the client was deleted or disabled. `Conflict` if the link has
/// created [`TOKENS_MAX`], or the client has two other valid secrets. It can fail after its first change: run it with `Store::write`.
pub fn create_secret(tx: &Tx<'_>, holder: &LinkHolder, digest: &TokenDigest, draft: &SecretDraft) -> Result<()> {
    let found = find_open_link(tx, digest, tx.now)?;
    let replaced = found.replaced_secret(tx.now).ok_or(Reason::LinkActionNotAllowed)?;
    if found.link.tokens_made >= TOKENS_MAX {
        return Err(Reason::LinkTokensSpent.with("max", TOKENS_MAX));
    }
    let context = build_audit_context(holder, &found);
    let ids = (found.configuration.id.as_str(), replaced.client.client_id.as_str());
    rows::count_token(tx, &found.link.id)?;
    if let Some(before) = replaced.new.as_ref().filter(|secret| secret.last_used_at.is_none()) {
        oauth::delete_secret(tx, &context, ids, &before.id)?;
    }
    let secret = oauth::add_secret(tx, &context, ids, draft)?;
    rows::set_link_token(tx, &found.link.id, &secret.id)
}

/// Deletes the secret that the one of the link has replaced.
///
/// # Errors
/// 403 if that of the link is not in use, or there is no other.
pub(super) fn delete_old_secret(tx: &Tx<'_>, holder: &LinkHolder, found: &OpenLink) -> Result<()> {
    let replaced = found.replaced_secret(tx.now).filter(ReplacedSecret::is_new_used);
    let replaced = replaced.ok_or(Reason::LinkActionNotAllowed)?;
    let old = replaced.old().ok_or(Reason::LinkActionNotAllowed)?;
    let context = build_audit_context(holder, found);
    oauth::delete_secret(tx, &context, (&found.configuration.id, &replaced.client.client_id), &old.id)
}
