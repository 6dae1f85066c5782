//! Exchange of an API key for a token that is valid for an hour, at the two URLs that clients of the configuration API use.
//! Both URLs accept both kinds of keys: the key determines the permissions of the token, not the URL.
//! Also the public keys with which others can verify the tokens that this server issues.

use std::time::{Duration, UNIX_EPOCH};

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, HttpDate};
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::jwt::{TokenGrant, TokenKind};
use crate::clock::{self, Millis};
use crate::error::Reason;
use crate::management::api_keys::ApiKey;
use crate::store::Store;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiError, ApiResult, WriteErrors, json_response};
use crate::web::api::{authenticate, caller};
use crate::web::state::AppState;

/// How long others may cache the keys. The keys only change when the server restarts.
const CACHE_FOR_FIVE_MINUTES: HeaderValue = HeaderValue::from_static("public, max-age=300");
/// Lifetime of a token.
const TOKEN_SECONDS: i64 = 3_600;
/// Lifetime of a refresh token: a week.
const REFRESH_SECONDS: i64 = 7 * 24 * 3_600;

/// The client id and the secret of an API key. Unknown members are ignored
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KeyCredentials)]
pub(super) struct ApiKeyCredentials {
    /// Id of the API key
    client_id: String,
    /// Secret of the API key
    secret: String,
}

/// A refresh token
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RefreshToken)]
pub(super) struct RefreshTokenBody {
    refresh_token: String,
}

/// An environment token
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EnvironmentToken)]
pub(super) struct EnvironmentTokenResponse {
    token: String,
    /// Lifetime in seconds: an hour, or until the key expires
    #[schema(minimum = 0)]
    expires_in: i64,
}

/// An access token and its refresh token
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountToken)]
pub(super) struct AccountTokenResponse {
    access_token: String,
    /// Can be exchanged for new tokens within a week, unless the key is revoked or expires
    refresh_token: String,
    /// Lifetime of the access token in seconds
    #[schema(minimum = 1)]
    expires_in: i64,
    /// When the access token expires, in the HTTP date format
    expires: String,
}

/// Exchange an API key for an environment token
///
/// The token has the permissions of the key until it expires or the key is revoked. For the key of an account, it is
/// limited to that account.
#[utoipa::path(
    post,
    path = "/auth/vendor",
    tag = "Authentication",
    operation_id = "authenticateVendor",
    request_body = ApiKeyCredentials,
    responses((status = 200, description = "A token", body = EnvironmentTokenResponse), WriteErrors)
)]
pub(super) async fn issue_environment_token(call: ApiRequest) -> ApiResult {
    let credentials = call.body::<ApiKeyCredentials>().await?;
    let key = find_key(&call.state.store, &credentials)?
        .ok_or_else(|| caller::reject_credentials(&call.request, &call.state.limits.login_throttle))?;
    let now = clock::current_millis();
    let token = issue_token(&call.state, &key, select_token_kind(&key), now, TOKEN_SECONDS)?;
    Ok(json_response(&EnvironmentTokenResponse { token, expires_in: limit_lifetime(&key, now, TOKEN_SECONDS) }))
}

/// Exchange the API key of an account for a token
///
/// The token contains the account in `tenantId` and the permissions of the key. The operator's keys are also accepted.
#[utoipa::path(
    post,
    path = "/identity/resources/auth/v1/api-token",
    tag = "Authentication",
    operation_id = "authenticateAccount",
    request_body = ApiKeyCredentials,
    responses((status = 200, description = "Tokens", body = AccountTokenResponse), WriteErrors)
)]
pub(super) async fn issue_account_token(call: ApiRequest) -> ApiResult {
    let credentials = call.body::<ApiKeyCredentials>().await?;
    let key = find_key(&call.state.store, &credentials)?
        .ok_or_else(|| caller::reject_credentials(&call.request, &call.state.limits.login_throttle))?;
    Ok(json_response(&build_account_token(&call.state, &key, clock::current_millis())?))
}

/// Renew the token of an account
#[utoipa::path(
    post,
    path = "/identity/resources/auth/v1/api-token/token/refresh",
    tag = "Authentication",
    operation_id = "refreshAccount",
    request_body = RefreshTokenBody,
    responses((status = 200, description = "New tokens", body = AccountTokenResponse), WriteErrors)
)]
pub(super) async fn refresh_account_token(call: ApiRequest) -> ApiResult {
    let refresh = call.body::<RefreshTokenBody>().await?;
    let found =
        authenticate::find_key_by_token(&call.state, &refresh.refresh_token, |kind| kind == TokenKind::Refresh)?;
    let key = found.ok_or_else(|| caller::reject_credentials(&call.request, &call.state.limits.login_throttle))?;
    Ok(json_response(&build_account_token(&call.state, &key, clock::current_millis())?))
}

/// A JWK set (RFC 7517)
#[derive(Serialize, ToSchema)]
#[schema(as = JwkSet)]
pub(super) struct JwkSetResponse {
    #[schema(min_items = 1)]
    keys: Vec<serde_json::Value>,
}

/// The public keys of the tokens that this server issues
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "Authentication",
    responses((status = 200, description = "The keys", body = JwkSetResponse))
)]
pub(super) async fn get_jwks(state: Data<AppState>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, CACHE_FOR_FIVE_MINUTES)).json(state.signing.key.public_keys())
}

/// Returns the live key with this id and secret. The secret is always looked up first, so that a wrong id and a wrong secret
/// take the same time.
fn find_key(store: &Store, credentials: &ApiKeyCredentials) -> Result<Option<ApiKey>, ApiError> {
    let found = authenticate::find_key_by_secret(store, &credentials.secret)?;
    Ok(found.filter(|key| key.id == credentials.client_id))
}

/// Returns the kind of token that is issued for a key.
fn select_token_kind(key: &ApiKey) -> TokenKind {
    if key.account.is_some() { TokenKind::Account } else { TokenKind::Environment }
}

/// Issues an access token and a refresh token.
fn build_account_token(state: &AppState, key: &ApiKey, now: Millis) -> Result<AccountTokenResponse, ApiError> {
    let expires_in = limit_lifetime(key, now, TOKEN_SECONDS);
    let expiry = u64::try_from(now / 1_000 + expires_in).unwrap_or_default();
    Ok(AccountTokenResponse {
        access_token: issue_token(state, key, select_token_kind(key), now, TOKEN_SECONDS)?,
        refresh_token: issue_token(state, key, TokenKind::Refresh, now, REFRESH_SECONDS)?,
        expires_in,
        expires: HttpDate::from(UNIX_EPOCH + Duration::from_secs(expiry)).to_string(),
    })
}

/// Returns the lifetime of a token, which is not valid longer than its key.
fn limit_lifetime(key: &ApiKey, now: Millis, seconds: i64) -> i64 {
    key.expires_at.map_or(seconds, |end| seconds.min(end / 1_000 - now / 1_000)).max(0)
}

/// Issues one token, and records the use of the key.
///
/// # Errors
/// 403 for the key of an account while self-service is off, 503 if the token cannot be signed.
fn issue_token(state: &AppState, key: &ApiKey, kind: TokenKind, now: Millis, seconds: i64) -> Result<String, ApiError> {
    if key.account.is_some() {
        caller::require_self_service(&state.store)?;
    }
    state.store.recent_use().record_key(&key.id, now);
    let seconds = limit_lifetime(key, now, seconds);
    let account = key.account.as_deref();
    let (id, issuer, permissions) = (clock::new_id(), state.server.public_url(), key.permissions);
    let grant = TokenGrant { issuer: &issuer, key: &key.id, kind, account, permissions, id, now, seconds };
    state.signing.key.issue(&grant).map_err(|problem| {
        tracing::error!(%problem, "cannot sign a token");
        Reason::SigningUnavailable.into()
    })
}
