//! Authentication of callers by credential: the secret of an API key, a token issued for an API key, or a user token of
//! the operator's identity system.

use crate::auth::jwt::{TokenKind, TokenValidationError, UserTokens};
use crate::auth::secret;
use crate::clock::{self, Millis};
use crate::error::{Reason, Result};
use crate::management::api_keys::{self, ApiKey};
use crate::model::account::AccountRef;
use crate::model::audit_context::{Actor, ActorKind};
use crate::model::permission::Permissions;
use crate::store::Store;
use crate::web::api::response::ApiError;
use crate::web::state::AppState;

/// A caller with valid credentials.
#[derive(Debug, Clone)]
pub(super) struct AuthenticatedCaller {
    pub(super) actor: Actor,
    /// The accounts of the caller, the default account first. `None` for the operator. The accounts of users are not
    /// resolved.
    pub(super) accounts: Option<Vec<AccountRef>>,
    pub(super) permissions: Permissions,
    /// When the API key of the caller expires.
    pub(super) expires_at: Option<Millis>,
}

impl AuthenticatedCaller {
    fn from_key(store: &Store, key: ApiKey) -> Self {
        store.recent_use().record_key(&key.id, clock::current_millis());
        Self {
            actor: Actor { kind: ActorKind::ApiKey, id: key.id, name: key.name },
            accounts: key.account.map(|account| vec![account]),
            permissions: key.permissions,
            expires_at: key.expires_at,
        }
    }
}

/// Returns the caller with this credential, or `None` if the credential is not valid.
///
/// # Errors
/// 503 if the credential cannot be checked now.
pub(super) async fn authenticate_credential(
    state: &AppState,
    credential: &str,
) -> std::result::Result<Option<AuthenticatedCaller>, ApiError> {
    if credential.starts_with(secret::KEY_PREFIX) {
        return Ok(
            find_key_by_secret(&state.store, credential)?.map(|key| AuthenticatedCaller::from_key(&state.store, key))
        );
    }
    // The token header only selects the verifier. Both verifiers check the whole token.
    if state.signing.key.is_named_by(credential) {
        let key = find_key_by_token(state, credential, |kind| kind != TokenKind::Refresh)?;
        return Ok(key.map(|key| AuthenticatedCaller::from_key(&state.store, key)));
    }
    authenticate_user(state.signing.user_tokens.as_ref(), credential).await
}

/// Returns the live API key with this secret.
pub(super) fn find_key_by_secret(store: &Store, secret: &str) -> Result<Option<ApiKey>> {
    let (digest, now) = (secret::digest_text(secret), clock::current_millis());
    store.read_inline(|at| api_keys::find_live_key_by_digest(at, &digest, now))
}

/// Returns the live API key for which this server issued the token, if `is_accepted` allows the kind of the token. The
/// caller has the current permissions of the key, not those at the time of issue.
pub(super) fn find_key_by_token(
    state: &AppState,
    token: &str,
    is_accepted: fn(TokenKind) -> bool,
) -> Result<Option<ApiKey>> {
    let now = clock::current_millis();
    let token = match state.signing.key.verify(token, &state.server.public_url(), now) {
        Ok(token) if is_accepted(token.kind) => token,
        Ok(_) => return Ok(None),
        Err(reason) => {
            tracing::debug!(%reason, "rejected a token issued by this server");
            return Ok(None);
        }
    };
    let found = state.store.read_inline(|at| api_keys::find_live_key_by_id(at, &token.key, now))?;
    Ok(found.filter(|key| key.account.as_deref() == token.account.as_deref()))
}

async fn authenticate_user(
    user_tokens: Option<&UserTokens>,
    token: &str,
) -> std::result::Result<Option<AuthenticatedCaller>, ApiError> {
    let Some(user_tokens) = user_tokens else { return Ok(None) };
    match user_tokens.authenticate(token, clock::current_millis()).await {
        Ok(user) => Ok(Some(AuthenticatedCaller {
            actor: Actor { kind: ActorKind::User, id: user.id, name: user.name },
            accounts: Some(user.accounts.into_iter().map(AccountRef::unresolved).collect()),
            permissions: user.permissions,
            expires_at: None,
        })),
        Err(TokenValidationError::Rejected(reason)) => {
            tracing::debug!(%reason, "rejected a user token");
            Ok(None)
        }
        Err(TokenValidationError::NoKeys) => Err(Reason::UserTokenKeysUnavailable.into()),
    }
}
