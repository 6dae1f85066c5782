//! Bearer tokens of a configuration: list, create, update, revoke.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{AllowedCaller, MintTokens, Read, Tokens};
use super::configurations::{find_configuration, generate_token};
use super::cursor::{CursorPage, PageQuery};
use crate::clock::{self, Millis};
use crate::error::Reason;
use crate::management::tokens::{self, StoredToken, TokenChange, TokenDraft};
use crate::model::field_change::FieldChange;
use crate::model::rights::{TokenRights, TokenState};
use crate::store::Tx;
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::{ApiRequest, DisplayName, RequestTimestamp};
use crate::web::api::response::{ApiError, ApiResult, ReadErrors, WriteErrors, json_response, no_content_response};

/// Maximum of `expiresIn` in seconds: ten years.
pub(crate) const EXPIRES_IN_MAX: u32 = 315_360_000;
/// Maximum of `revokeOldAfter` in seconds: thirty days.
const OVERLAP_MAX: u32 = 2_592_000;

/// A token, without its secret
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token)]
pub(super) struct TokenResponse {
    id: String,
    label: String,
    /// The last four characters of the token
    hint: String,
    rights: TokenRights,
    state: TokenState,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime, required)]
    first_used_at: Option<String>,
    #[schema(format = DateTime, required)]
    last_used_at: Option<String>,
    /// When the token expires; null for never
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
    #[schema(format = DateTime, required)]
    revoked_at: Option<String>,
}

impl TokenResponse {
    fn from_token(token: StoredToken, now: Millis) -> Self {
        Self {
            state: token.state(now),
            id: token.id,
            label: token.label,
            hint: token.hint,
            rights: token.rights,
            created_at: clock::format_rfc3339(token.created_at),
            first_used_at: token.first_used_at.map(clock::format_rfc3339),
            last_used_at: token.last_used_at.map(clock::format_rfc3339),
            expires_at: token.expires_at.map(clock::format_rfc3339),
            revoked_at: token.revoked_at.map(clock::format_rfc3339),
        }
    }
}

/// List the tokens of a configuration
///
/// Newest first, including expired and revoked tokens. The secrets are never returned.
#[utoipa::path(
    get,
    path = "/directory/resources/v1/configurations/scim2/{id}/tokens",
    tag = "Tokens",
    params(("id" = String, Path, description = "The configuration"), PageQuery),
    responses((status = 200, description = "One page", body = CursorPage<TokenResponse>), ReadErrors)
)]
pub(super) async fn list_tokens(allowed: AllowedCaller<Read>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let query = call.query::<PageQuery>()?;
    let (limit, position) = (query.limit()?, query.position::<(Millis, String)>()?);
    let found = call.read(move |at| {
        let before = position.as_ref().map(|(time, id)| (*time, id.as_str()));
        tokens::list_tokens(at, &context.scope, &id, before, limit + 1)
    });
    let now = clock::current_millis();
    let position = |token: &StoredToken| (token.created_at, token.id.clone());
    Ok(json_response(&CursorPage::from_rows(found.await?, limit, position, |token| {
        TokenResponse::from_token(token, now)
    })))
}

/// A token to create; all members are optional
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewToken)]
pub(super) struct CreateTokenBody {
    label: Option<DisplayName>,
    /// When the token expires; default: never, or when the API key of the caller expires. It cannot be later than that
    expires_at: Option<RequestTimestamp>,
    /// Lifetime in seconds; with `expiresAt`, the earlier time applies
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in: Option<u32>,
    /// Rights of the token; default `all`
    rights: Option<TokenRights>,
    /// Seconds until the previous token stops working; default: until the next rotation
    #[schema(minimum = 0, maximum = 2_592_000)]
    revoke_old_after: Option<u32>,
}

impl CreateTokenBody {
    fn validate(&self) -> Result<(), ApiError> {
        if self.revoke_old_after.is_some_and(|seconds| seconds > OVERLAP_MAX) {
            let error = Reason::SecondsOutOfRange.on_field("revokeOldAfter");
            return Err(error.with("min", 0).with("max", OVERLAP_MAX).into());
        }
        Ok(())
    }
}

/// Returns the earlier one of a requested expiry and the end of a requested lifetime in seconds.
///
/// # Errors
/// 400 for a lifetime out of range.
pub(super) fn resolve_expiry(at: Option<RequestTimestamp>, lifetime: Option<u32>) -> Result<Option<Millis>, ApiError> {
    if lifetime.is_some_and(|seconds| !(1..=EXPIRES_IN_MAX).contains(&seconds)) {
        let error = Reason::SecondsOutOfRange.on_field("expiresIn");
        return Err(error.with("min", 1).with("max", EXPIRES_IN_MAX).into());
    }
    let after = lifetime.map(|seconds| clock::current_millis() + seconds_to_millis(seconds));
    Ok(at.map(|timestamp| timestamp.0).into_iter().chain(after).min())
}

fn seconds_to_millis(seconds: u32) -> Millis {
    Millis::from(seconds) * 1_000
}

/// A new token with its secret, which cannot be read again
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedToken {
    id: String,
    token: String,
    label: String,
    /// The last four characters of the token
    hint: String,
    rights: TokenRights,
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
}

/// Create a token
///
/// The token of the identity provider can be replaced without an outage. At most two tokens are live: the previous one
/// works until the next rotation, its expiry, or the end of `revokeOldAfter`.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/tokens",
    tag = "Tokens",
    params(("id" = String, Path, description = "The configuration")),
    request_body = Option<CreateTokenBody>,
    responses((status = 201, description = "The token", body = CreatedToken), WriteErrors)
)]
pub(super) async fn create_token(allowed: AllowedCaller<MintTokens>, call: ApiRequest) -> ApiResult {
    issue_token(allowed, call).await
}

/// Rotate a token (alias)
///
/// The same as creating a token.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/configurations/scim2/{id}/token",
    tag = "Tokens",
    params(("id" = String, Path, description = "The configuration")),
    request_body = Option<CreateTokenBody>,
    responses((status = 201, description = "The token", body = CreatedToken), WriteErrors)
)]
pub(super) async fn rotate_token(allowed: AllowedCaller<MintTokens>, call: ApiRequest) -> ApiResult {
    issue_token(allowed, call).await
}

async fn issue_token(allowed: AllowedCaller<MintTokens>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    find_configuration(&call.state.store, &context, &id)?;
    let body = call.optional_body::<CreateTokenBody>().await?;
    body.validate()?;
    let expires_at = context.authority.limit_expiry(resolve_expiry(body.expires_at, body.expires_in)?);
    let token = generate_token()?;
    let overlap = body.revoke_old_after.map(seconds_to_millis);
    let label = body.label.map_or_else(|| "rotated token".to_owned(), |label| label.0);
    let rights = body.rights.unwrap_or(TokenRights::All);
    let draft = TokenDraft { rights, expires_at, ..TokenDraft::new(clock::new_id(), &token, label) };
    let response = CreatedToken {
        id: draft.id.clone(),
        token: token.reveal().to_owned(),
        label: draft.label.clone(),
        hint: draft.hint.clone(),
        rights,
        expires_at: expires_at.map(clock::format_rfc3339),
    };
    let rotate = move |tx: &Tx<'_>| tokens::rotate_token(tx, &context, &id, &draft, overlap);
    write_and_respond(&call, StatusCode::CREATED, rotate, move |_| response.clone()).await
}

/// Changes to a token; absent members keep their value
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TokenUpdate)]
pub(super) struct UpdateTokenBody {
    label: Option<DisplayName>,
    /// When the token expires; null for never
    #[serde(default)]
    #[schema(value_type = Option<RequestTimestamp>)]
    expires_at: FieldChange<RequestTimestamp>,
}

/// Change the label or the expiry of a token
///
/// 409 for an expired or revoked token, which cannot be reactivated.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/configurations/scim2/{id}/tokens/{token}",
    tag = "Tokens",
    params(("id" = String, Path, description = "The configuration")),
    request_body = UpdateTokenBody,
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn update_token(allowed: AllowedCaller<Tokens>, call: ApiRequest) -> ApiResult {
    let (context, id, token) = (allowed.context, call.path_parameter("id"), call.path_parameter("token"));
    find_configuration(&call.state.store, &context, &id)?;
    call.read_inline(|at| tokens::find_token(at, &context.scope, &id, &token))?;
    let body = call.body::<UpdateTokenBody>().await?;
    let expires_at = body.expires_at.map(|timestamp| timestamp.0);
    let change = TokenChange { label: body.label.map(|label| label.0), expires_at };
    call.write(move |tx| tokens::update_token(tx, &context, &id, &token, &change)).await?;
    Ok(no_content_response())
}

/// Revoke a token
///
/// The token stops working immediately.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/configurations/scim2/{id}/tokens/{token}",
    tag = "Tokens",
    params(("id" = String, Path, description = "The configuration")),
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn revoke_token(allowed: AllowedCaller<Tokens>, call: ApiRequest) -> ApiResult {
    let (context, id, token) = (allowed.context, call.path_parameter("id"), call.path_parameter("token"));
    call.write(move |tx| tokens::revoke_token(tx, &context, &id, &token)).await?;
    Ok(no_content_response())
}
