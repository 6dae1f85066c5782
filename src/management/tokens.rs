//! Bearer tokens of a configuration. At most two are live, so that a token can be replaced without an outage.

use serde_json::{Value, json};

use crate::clock::{self, Millis};
use crate::error::{Error, Reason, Result};
use crate::management::configurations;
use crate::management::oauth::has_client;
use crate::model::audit_context::{AccountScope, AuditContext};
use crate::model::configuration::Configuration;
use crate::model::event::EventAction;
use crate::model::field_change::FieldChange;
use crate::model::names;
use crate::model::permission::Permissions;
use crate::model::rights::TokenState;
use crate::store::tables::access_tokens;
use crate::store::tables::audit::NewAuditEntry;
use crate::store::tables::tokens as rows;
pub use crate::store::tables::tokens::{StoredToken, TokenDraft, insert_token, list_expiring_tokens};
use crate::store::{Snapshot, Tx};

/// Maximum number of live tokens of a configuration.
pub(crate) const LIVE_TOKENS_MAX: u32 = 2;

/// Changes to a token.
#[derive(Debug, Clone, Default)]
pub struct TokenChange {
    /// New label.
    pub label: Option<String>,
    /// New expiry.
    pub expires_at: FieldChange<Millis>,
}

/// Returns at most `limit` tokens of a configuration, live or not, newest first. With `before`, the creation time and
/// id of a token, only older tokens are returned.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn list_tokens(
    at: &Snapshot<'_>,
    scope: &AccountScope,
    configuration_id: &str,
    before: Option<(Millis, &str)>,
    limit: u32,
) -> Result<Vec<StoredToken>> {
    let configuration = configurations::find_configuration(at, scope, configuration_id)?;
    rows::list_tokens(at, configuration.key, before, limit)
}

/// Returns the token of a configuration with this id, live or not.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope, or has no such token.
pub fn find_token(at: &Snapshot<'_>, scope: &AccountScope, configuration_id: &str, id: &str) -> Result<StoredToken> {
    find_token_by_id(at, &configurations::find_configuration(at, scope, configuration_id)?, id)
}

/// Adds a token to a configuration and returns the configuration. The two newest live tokens remain live, the others
/// are revoked. With `others_end_after`, the other live token expires after that many milliseconds.
///
/// # Errors
/// `NotFound` if there is no such configuration. `Invalid` if the label is invalid. 403 if the caller may not create
/// tokens, or if the token would be valid longer than the caller. `Conflict` if the expiry is in the past. It can fail after its first change: run it with `Store::write`.
pub fn rotate_token(
    tx: &Tx<'_>,
    context: &AuditContext,
    configuration_id: &str,
    draft: &TokenDraft,
    others_end_after: Option<Millis>,
) -> Result<Configuration> {
    let configuration = configurations::find_configuration(tx, &context.scope, configuration_id)?;
    context.authority.check_power_over(Permissions::MINT_TOKENS)?;
    names::check_name("label", &draft.label)?;
    check_expiry(tx, draft.expires_at)?;
    context.authority.check_expiry(draft.expires_at)?;
    insert_token(tx, configuration.key, draft)?;
    let revoked = rows::revoke_all_but_newest(tx, configuration.key, LIVE_TOKENS_MAX)?;
    if let Some(after) = others_end_after {
        rows::expire_other_tokens(tx, configuration.key, &draft.id, tx.now.saturating_add(after))?;
    }
    let token = json!({
        "id": draft.id,
        "hint": draft.hint,
        "label": draft.label.trim(),
        "rights": draft.rights,
        "expiresAt": draft.expires_at.map(clock::format_rfc3339),
    });
    let payload = json!({"token": token, "revokedTokens": revoked, "othersEndAfterMs": others_end_after});
    let entry = NewAuditEntry::new("token.created", None, Some(payload.clone()));
    append_change(tx, context, &configuration, (&draft.id, &payload), entry)?;
    Ok(configuration)
}

/// Changes the label or the expiry of a live token.
///
/// # Errors
/// `NotFound`. `Invalid` if the label is invalid. 403 if the token would be valid longer and the caller may not create it so. `Conflict` if the token is revoked or expired, which cannot be
/// undone, or if the new expiry is in the past.
pub fn update_token(
    tx: &Tx<'_>,
    context: &AuditContext,
    configuration_id: &str,
    id: &str,
    change: &TokenChange,
) -> Result<()> {
    let configuration = configurations::find_configuration(tx, &context.scope, configuration_id)?;
    let found = find_token_by_id(tx, &configuration, id)?;
    if found.state(tx.now) != TokenState::Live {
        return Err(Reason::TokenNotLive.into());
    }
    let label = change.label.as_deref().unwrap_or(&found.label);
    let label = names::check_name("label", label)?;
    let expires_at = match change.expires_at {
        FieldChange::Keep => found.expires_at,
        FieldChange::Clear => None,
        FieldChange::Set(end) => Some(end),
    };
    check_expiry(tx, expires_at)?;
    if label == found.label && expires_at == found.expires_at {
        return Ok(());
    }
    if prolongs(found.expires_at, expires_at) {
        // A longer life is a new grant of what the token reads. A shorter one is a revocation.
        context.authority.check_power_over(Permissions::MINT_TOKENS)?;
        context.authority.check_expiry(expires_at)?;
    } else if expires_at != found.expires_at {
        tx.allow_on_full_disk();
    }
    rows::update_token(tx, id, label, expires_at)?;
    let values =
        |label: &str, end: Option<Millis>| json!({"label": label, "expiresAt": end.map(clock::format_rfc3339)});
    let (before, after) = (values(&found.label, found.expires_at), values(label, expires_at));
    let mut payload = after.clone();
    payload["tokenUpdated"] = json!(id);
    let entry = NewAuditEntry::new("token.updated", Some(before), Some(after));
    append_change(tx, context, &configuration, (id, &payload), entry)
}

/// Revokes a token. It is invalid from the commit on.
///
/// # Errors
/// `NotFound` if there is none, or it is already revoked.
pub fn revoke_token(tx: &Tx<'_>, context: &AuditContext, configuration_id: &str, id: &str) -> Result<()> {
    tx.allow_on_full_disk();
    let configuration = configurations::find_configuration(tx, &context.scope, configuration_id)?;
    let found = find_token_by_id(tx, &configuration, id)?;
    if found.revoked_at.is_some() {
        return Err(token_not_found());
    }
    rows::revoke_token(tx, id)?;
    let before = json!({"label": found.label, "hint": found.hint, "rights": found.rights});
    let entry = NewAuditEntry::new("token.revoked", Some(before), None);
    append_change(tx, context, &configuration, (id, &json!({"tokenRevoked": id})), entry)
}

/// Revokes all live tokens of a configuration, also the access tokens of its OAuth clients, and returns the number of the
/// former. They are invalid from the commit on. OAuth clients still get new access tokens.
///
/// # Errors
/// `NotFound` if the configuration does not exist within the account scope.
pub fn revoke_all_tokens(tx: &Tx<'_>, context: &AuditContext, configuration_id: &str) -> Result<usize> {
    tx.allow_on_full_disk();
    let configuration = configurations::find_configuration(tx, &context.scope, configuration_id)?;
    // At most two tokens are live, and they are among the newest hundred.
    let newest = rows::list_tokens(tx, configuration.key, None, 100)?;
    let live: Vec<StoredToken> = newest.into_iter().filter(|token| token.state(tx.now) == TokenState::Live).collect();
    live.iter().try_for_each(|token| revoke_token(tx, context, configuration_id, &token.id))?;
    if has_client(tx, configuration.key)? {
        access_tokens::revoke_all_access_tokens(tx, configuration.key)?;
        let entry = NewAuditEntry::new("oauth_client.tokens_revoked", None, None);
        configurations::append_audit_entry(tx, context, &configuration, entry)?;
    }
    Ok(live.len())
}

fn find_token_by_id(at: &Snapshot<'_>, configuration: &Configuration, id: &str) -> Result<StoredToken> {
    rows::find_token_by_id(at, configuration.key, id)?.ok_or_else(token_not_found)
}

fn token_not_found() -> Error {
    Reason::TokenNotFound.into()
}

/// Whether the second expiry is later than the first. `None` is never.
fn prolongs(before: Option<Millis>, after: Option<Millis>) -> bool {
    before.is_some_and(|before| after.is_none_or(|after| after > before))
}

fn check_expiry(tx: &Tx<'_>, end: Option<Millis>) -> Result<()> {
    if end.is_some_and(|end| end <= tx.now) {
        return Err(Reason::ExpiryPast.into());
    }
    Ok(())
}

/// Appends the event with this payload, and the audit entry, of a change to the token with this id.
fn append_change(
    tx: &Tx<'_>,
    context: &AuditContext,
    configuration: &Configuration,
    (id, payload): (&str, &Value),
    entry: NewAuditEntry<'_>,
) -> Result<()> {
    configurations::append_event(tx, configuration, EventAction::Updated, payload)?;
    let entry = NewAuditEntry { subject_id: Some(id), ..entry };
    configurations::append_audit_entry(tx, context, configuration, entry)
}

pub(crate) fn revoke_tokens_on_delete(tx: &Tx<'_>, configuration: i64) -> Result<()> {
    rows::revoke_all_but_newest(tx, configuration, 0)?;
    access_tokens::revoke_all_access_tokens(tx, configuration)
}
