//! Who is known by a credential: the secret of an API key, a token that we issued for one, or a token of the operator's
//! identity system.

use super::answer::Refusal;
use crate::clock;
use crate::error::Result;
use crate::jwt::{Denied, TokenKind};
use crate::model::actor::{Actor, ActorKind};
use crate::model::permission::Permissions;
use crate::secret;
use crate::store::api_keys::{self, ApiKey};
use crate::web::state::State;

/// Somebody whose credentials are right.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) actor: Actor,
    /// The accounts of a user, the one that is meant by default first; nothing for the operator.
    pub(super) accounts: Option<Vec<String>>,
    pub(super) permissions: Permissions,
}

impl Known {
    fn by_key(state: &State, key: ApiKey) -> Self {
        state.key_use.note(&key.id, clock::now());
        Self {
            actor: Actor { kind: ActorKind::ApiKey, id: key.id, name: key.name },
            accounts: key.account.map(|account| vec![account]),
            permissions: key.permissions,
        }
    }
}

/// Whoever has that credential, if anybody.
///
/// # Errors
/// 503 where it cannot be judged at present.
pub(super) async fn by_credential(state: &State, credential: &str) -> std::result::Result<Option<Known>, Refusal> {
    if credential.starts_with(secret::KEY_PREFIX) {
        return Ok(key_of_secret(state, credential)?.map(|key| Known::by_key(state, key)));
    }
    // The header only chooses who judges the token; each of the two checks everything.
    if state.callers.signing_key.is_named_by(credential) {
        let key = key_of_token(state, credential, |kind| kind != TokenKind::Refresh)?;
        return Ok(key.map(|key| Known::by_key(state, key)));
    }
    user(state, credential).await
}

/// The live key with that secret.
pub(super) fn key_of_secret(state: &State, secret: &str) -> Result<Option<ApiKey>> {
    let digest = secret::digest(secret);
    let found = state.store.read_inline(|at| api_keys::authenticate(at, &digest))?;
    Ok(found.filter(|key| key.is_live(clock::now())))
}

/// The live key that a token of ours of such a kind stands for. What it may do is what the key may do now.
pub(super) fn key_of_token(state: &State, token: &str, is_wanted: fn(TokenKind) -> bool) -> Result<Option<ApiKey>> {
    let now = clock::now();
    let token = match state.callers.signing_key.verified(token, &state.public_url(), now) {
        Ok(token) if is_wanted(token.kind) => token,
        Ok(_) => return Ok(None),
        Err(reason) => {
            tracing::debug!(%reason, "a token of ours was refused");
            return Ok(None);
        }
    };
    let found = state.store.read_inline(|at| api_keys::by_id(at, &token.key))?;
    Ok(found.filter(|key| key.is_live(now) && key.account == token.account))
}

async fn user(state: &State, token: &str) -> std::result::Result<Option<Known>, Refusal> {
    let Some(user_tokens) = &state.callers.user_tokens else { return Ok(None) };
    match user_tokens.user(token, clock::now()).await {
        Ok(user) => Ok(Some(Known {
            actor: Actor { kind: ActorKind::User, id: user.id, name: user.name },
            accounts: Some(user.accounts),
            permissions: user.permissions,
        })),
        Err(Denied::Rejected(reason)) => {
            tracing::debug!(%reason, "a user token was refused");
            Ok(None)
        }
        Err(Denied::NoKeys) => {
            Err(Refusal::new(503, "the keys of the identity system could not be fetched yet; try again in a moment"))
        }
    }
}
