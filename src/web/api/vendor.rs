//! The exchange of an API key for a token that lives an hour, at the two places where clients of the configuration API
//! look for it. Either takes either kind of key: what a token opens is the key's business, not the place's.

use std::time::{Duration, UNIX_EPOCH};

use actix_web::http::header::HttpDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answered, Refusal, WriteRefusals, document};
use super::call::Call;
use super::{caller, known};
use crate::clock::{self, Millis};
use crate::jwt::{Grant, TokenKind};
use crate::store::api_keys::ApiKey;
use crate::web::state::State;

/// Life of a token.
const TOKEN_SECONDS: i64 = 3_600;
/// Life of what it can be renewed with: a week.
const REFRESH_SECONDS: i64 = 7 * 24 * 3_600;

/// An API key. Unknown members are passed over
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KeyCredentials)]
pub(super) struct Credentials {
    /// Id of the key
    client_id: String,
    /// Its secret
    secret: String,
}

/// What a token can be renewed with
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RefreshToken)]
pub(super) struct Refresh {
    refresh_token: String,
}

/// An environment token
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvironmentToken {
    token: String,
    /// Its life in seconds
    #[schema(minimum = 1)]
    expires_in: i64,
}

/// A token and what it can be renewed with
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountToken {
    access_token: String,
    /// Exchanged for new tokens within a week, as long as the key lives
    refresh_token: String,
    /// Life of the access token in seconds
    #[schema(minimum = 1)]
    expires_in: i64,
    /// When the access token ends, as HTTP writes dates
    expires: String,
}

/// Exchange an API key for an environment token
///
/// The token is good for everything that the key is good for, until it expires or the key is revoked. The key of an
/// account gives a token for that account.
#[utoipa::path(
    post,
    path = "/auth/vendor",
    tag = "Callers",
    operation_id = "authenticateVendor",
    request_body = Credentials,
    responses((status = 200, description = "A token", body = EnvironmentToken), WriteRefusals),
    security(())
)]
pub(super) async fn environment_token(call: Call) -> Answered {
    let request = call.request.clone();
    let (credentials, state) = call.body::<Credentials>().await?;
    let key = key(&state, &credentials)?.ok_or_else(|| caller::stranger(&request, &state))?;
    let token = issue(&state, &key, kind_for(&key), clock::now(), TOKEN_SECONDS)?;
    Ok(document(&EnvironmentToken { token, expires_in: TOKEN_SECONDS }))
}

/// Exchange the API key of an account for a token
///
/// The token carries the account in `tenantId` and the permissions of the key. The operator's keys are taken too.
#[utoipa::path(
    post,
    path = "/identity/resources/auth/v1/api-token",
    tag = "Callers",
    operation_id = "authenticateAccount",
    request_body = Credentials,
    responses((status = 200, description = "Tokens", body = AccountToken), WriteRefusals),
    security(())
)]
pub(super) async fn account_token(call: Call) -> Answered {
    let request = call.request.clone();
    let (credentials, state) = call.body::<Credentials>().await?;
    let key = key(&state, &credentials)?.ok_or_else(|| caller::stranger(&request, &state))?;
    Ok(document(&tokens(&state, &key, clock::now())?))
}

/// Renew the token of an account
#[utoipa::path(
    post,
    path = "/identity/resources/auth/v1/api-token/token/refresh",
    tag = "Callers",
    operation_id = "refreshAccount",
    request_body = Refresh,
    responses((status = 200, description = "New tokens", body = AccountToken), WriteRefusals),
    security(())
)]
pub(super) async fn renewed_token(call: Call) -> Answered {
    let request = call.request.clone();
    let (refresh, state) = call.body::<Refresh>().await?;
    let found = known::key_of_token(&state, &refresh.refresh_token, |kind| kind == TokenKind::Refresh)?;
    let key = found.ok_or_else(|| caller::stranger(&request, &state))?;
    Ok(document(&tokens(&state, &key, clock::now())?))
}

/// The live key with that id and secret. The secret is looked up whatever the id is, so that a wrong id and a wrong secret
/// cost the same.
fn key(state: &State, credentials: &Credentials) -> Result<Option<ApiKey>, Refusal> {
    let found = known::key_of_secret(state, &credentials.secret)?;
    Ok(found.filter(|key| key.id == credentials.client_id))
}

fn kind_for(key: &ApiKey) -> TokenKind {
    if key.account.is_some() { TokenKind::Account } else { TokenKind::Environment }
}

fn tokens(state: &State, key: &ApiKey, now: Millis) -> Result<AccountToken, Refusal> {
    let ends = u64::try_from(now / 1_000 + TOKEN_SECONDS).unwrap_or_default();
    Ok(AccountToken {
        access_token: issue(state, key, kind_for(key), now, TOKEN_SECONDS)?,
        refresh_token: issue(state, key, TokenKind::Refresh, now, REFRESH_SECONDS)?,
        expires_in: TOKEN_SECONDS,
        expires: HttpDate::from(UNIX_EPOCH + Duration::from_secs(ends)).to_string(),
    })
}

fn issue(state: &State, key: &ApiKey, kind: TokenKind, now: Millis, seconds: i64) -> Result<String, Refusal> {
    if key.account.is_some() {
        caller::self_service(state)?;
    }
    state.key_use.note(&key.id, now);
    let account = key.account.as_deref();
    let (id, issuer, permissions) = (clock::new_id(), state.public_url(), key.permissions);
    let grant = Grant { issuer: &issuer, key: &key.id, kind, account, permissions, id, now, seconds };
    state.callers.signing_key.issue(&grant).map_err(|problem| {
        tracing::error!(%problem, "a token could not be signed");
        Refusal::new(503, "the server cannot sign tokens at present")
    })
}
