//! API keys of the operator and of accounts.

use actix_web::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::auth::secret::BearerToken;
use crate::clock;
use crate::error::Reason;
use crate::management::api_keys::{self, ApiKey, NewApiKey};
use crate::model::audit_context::AuditContext;
use crate::model::permission::Permission;
use crate::store::Tx;
use crate::web::api::caller::{AllowedCaller, OperatorOnly, System};
use crate::web::api::configurations::map_random_error;
use crate::web::api::cursor::{CursorPage, PageQuery};
use crate::web::api::idempotency::write_and_respond;
use crate::web::api::request_types::{ApiRequest, DisplayName, RequestTimestamp};
use crate::web::api::response::{ApiError, ApiResult, ReadErrors, WriteErrors, json_response, no_content_response};
use crate::web::api::tokens::resolve_expiry;

/// A permission, deserialized from its API name.
#[derive(Debug, Clone, Copy)]
pub(super) struct PermissionValue(Permission);

impl<'de> Deserialize<'de> for PermissionValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl PartialSchema for PermissionValue {
    fn schema() -> RefOr<Schema> {
        let names = Permission::ALL.map(Permission::as_str);
        let schema: Object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build();
        RefOr::T(Schema::Object(schema))
    }
}

impl ToSchema for PermissionValue {}

/// An API key, without its secret
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKey)]
pub(super) struct ApiKeyResponse {
    client_id: String,
    name: String,
    /// The account of the key; null for a key of the operator
    #[schema(required)]
    account_id: Option<String>,
    #[schema(value_type = Vec<PermissionValue>, inline)]
    permissions: Vec<&'static str>,
    /// The last four characters of the secret
    hint: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// When the key was last used, accurate to about a second; null if it was never used
    #[schema(format = DateTime, required)]
    last_used_at: Option<String>,
    /// When the key expires; null for never
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
}

impl From<ApiKey> for ApiKeyResponse {
    fn from(key: ApiKey) -> Self {
        Self {
            client_id: key.id,
            name: key.name,
            account_id: key.account.map(|account| account.id),
            permissions: key.permissions.iter().map(Permission::as_str).collect(),
            hint: key.hint,
            created_at: clock::format_rfc3339(key.created_at),
            last_used_at: key.last_used_at.map(clock::format_rfc3339),
            expires_at: key.expires_at.map(clock::format_rfc3339),
        }
    }
}

/// A new API key with its secret, which cannot be read again
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedApiKey {
    #[serde(flatten)]
    #[schema(inline)]
    key: ApiKeyResponse,
    secret: String,
}

/// An API key to create. Unknown members are ignored
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewApiKey)]
pub(super) struct CreateApiKeyBody {
    name: DisplayName,
    /// The account of the key, created if it does not exist; default: the account in `frontegg-tenant-id`, otherwise all
    /// accounts
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    account_id: Option<String>,
    /// Permissions of the key, only such that the caller has; default: all permissions of the caller. The key of an
    /// account cannot have `system.admin`
    #[schema(min_items = 1, value_type = Option<Vec<PermissionValue>>, inline)]
    permissions: Option<Vec<PermissionValue>>,
    /// When the key expires; default: never, or when the key of the caller expires. It cannot be later than that. A time in the past is a conflict
    expires_at: Option<RequestTimestamp>,
    /// Lifetime in seconds; with `expiresAt`, the earlier time applies
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in: Option<u32>,
}

/// Filters
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ListApiKeysQuery {
    /// Id of the account
    account_id: Option<String>,
}

/// List API keys
#[utoipa::path(
    get,
    path = "/directory/resources/v1/api-keys",
    tag = "Authentication",
    params(PageQuery, ListApiKeysQuery),
    responses((status = 200, description = "The keys that are not revoked, oldest first", body = CursorPage<ApiKeyResponse>), ReadErrors)
)]
pub(super) async fn list_api_keys(allowed: AllowedCaller<OperatorOnly<System>>, call: ApiRequest) -> ApiResult {
    let (page, filter) = (call.query::<PageQuery>()?, call.query::<ListApiKeysQuery>()?);
    let (limit, after) = (page.limit()?, page.position::<String>()?);
    let scope = allowed.account_scope();
    if filter.account_id.as_deref().is_some_and(|account| !scope.covers_id(account)) {
        return Ok(json_response(&CursorPage::<ApiKeyResponse>::from_rows(
            Vec::<ApiKey>::new(),
            limit,
            |key| key.id.clone(),
            ApiKeyResponse::from,
        )));
    }
    let filter = scope.filter(filter.account_id);
    let found = call.read(move |at| api_keys::list_api_keys(at, filter.as_ref(), after.as_deref(), limit + 1)).await?;
    Ok(json_response(&CursorPage::from_rows(found, limit, |key| key.id.clone(), ApiKeyResponse::from)))
}

/// Create an API key
///
/// The secret works as a bearer token. Together with the client id, it can also be exchanged for a token at
/// `POST /auth/vendor`.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/api-keys",
    tag = "Authentication",
    params(("frontegg-tenant-id" = Option<String>, Header, min_length = 1, max_length = 128,
        pattern = r"^([^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?)?$",
        description = "The account")),
    request_body = CreateApiKeyBody,
    responses((status = 201, description = "The key, with its secret", body = CreatedApiKey), WriteErrors)
)]
pub(super) async fn create_api_key(allowed: AllowedCaller<OperatorOnly<System>>, call: ApiRequest) -> ApiResult {
    let context = allowed.context;
    let body = call.body::<CreateApiKeyBody>().await?;
    let secret = map_random_error(BearerToken::generate_key())?;
    let new = read_new_key(body, &context, &secret)?;
    let create = move |tx: &Tx<'_>| api_keys::create_api_key(tx, &context, &new);
    let render = move |key: ApiKey| CreatedApiKey { key: key.into(), secret: secret.reveal().to_owned() };
    write_and_respond(&call, StatusCode::CREATED, create, render).await
}

/// Reads a request to create a key.
///
/// # Errors
/// 403 for an account outside the account scope of the call. 400 for a lifetime out of range.
fn read_new_key(body: CreateApiKeyBody, context: &AuditContext, secret: &BearerToken) -> Result<NewApiKey, ApiError> {
    let mut new = NewApiKey::new(clock::new_id(), secret, body.name.0);
    new.account = body.account_id.or(context.scope.account_id().map(str::to_owned));
    if new.account.as_deref().is_some_and(|account| !context.scope.covers_id(account)) {
        return Err(Reason::AccountMismatch.into());
    }
    let default = api_keys::default_permissions(new.account.as_deref(), context.authority.permissions);
    new.permissions =
        body.permissions.map_or(default, |given| given.into_iter().map(|permission| permission.0).collect());
    new.expires_at = context.authority.limit_expiry(resolve_expiry(body.expires_at, body.expires_in)?);
    Ok(new)
}

/// Get an API key
#[utoipa::path(
    get,
    path = "/directory/resources/v1/api-keys/{id}",
    tag = "Authentication",
    responses((status = 200, description = "The key", body = ApiKeyResponse), ReadErrors)
)]
pub(super) async fn get_api_key(allowed: AllowedCaller<OperatorOnly<System>>, call: ApiRequest) -> ApiResult {
    let id = call.path_parameter("id");
    let found = call.read_inline(|at| api_keys::find_api_key(at, &allowed.context.scope, &id))?;
    Ok(json_response(&ApiKeyResponse::from(found)))
}

/// Revoke an API key
///
/// The key and all tokens issued for it stop working immediately. Provisioning tokens and setup links that were created
/// with it stay valid: the audit log lists them, and each can be revoked. A caller can revoke only keys that have no permission
/// which the caller lacks.
#[utoipa::path(
    delete,
    path = "/directory/resources/v1/api-keys/{id}",
    tag = "Authentication",
    responses((status = 204, description = "Done"), WriteErrors)
)]
pub(super) async fn revoke_api_key(allowed: AllowedCaller<OperatorOnly<System>>, call: ApiRequest) -> ApiResult {
    let (context, id) = (allowed.context, call.path_parameter("id"));
    call.write(move |tx| api_keys::revoke_api_key(tx, &context, &id)).await?;
    Ok(no_content_response())
}
