//! Settings of the whole server, for the operator, and its health checks.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::management::instance;
use crate::web::api::caller::{AllowedCaller, OperatorOnly, System};
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiError, ApiResult, ReadErrors, WriteErrors, json_response};
use crate::web::state::AppState;

/// Settings of the server
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerSettings)]
pub(super) struct ServerSettingsResponse {
    /// Whether users and API keys of accounts may use the management API
    self_service: bool,
    /// URL at which identity providers reach the server; set with a flag of `rollcall serve`
    public_url: String,
    version: &'static str,
    user_tokens: UserTokensResponse,
}

/// Which user tokens are accepted; set with flags of `rollcall serve`
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UserTokens)]
pub(super) struct UserTokensResponse {
    configured: bool,
    /// Required `iss`
    #[schema(required)]
    issuer: Option<String>,
    /// `aud` must contain one of these
    audience: Vec<String>,
}

/// Changes to the settings of the server. Unknown members are ignored
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerSettingsUpdate)]
pub(super) struct UpdateServerSettingsBody {
    self_service: bool,
}

/// Get the settings of the server
#[utoipa::path(
    get,
    path = "/directory/resources/v1/settings",
    tag = "Server",
    params(("frontegg-tenant-id" = Option<String>, Header, description = "The account; has no effect here")),
    responses((status = 200, description = "The settings", body = ServerSettingsResponse), ReadErrors)
)]
pub(super) async fn get_server_settings(_allowed: AllowedCaller<OperatorOnly<System>>, call: ApiRequest) -> ApiResult {
    Ok(json_response(&read_settings(&call.state)?))
}

/// Switch self-service on or off
///
/// While it is off, users and API keys of accounts get 403 for every request. The operator's credentials and the identity
/// providers continue to work.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/settings",
    tag = "Server",
    params(("frontegg-tenant-id" = Option<String>, Header, description = "The account; has no effect here")),
    request_body = UpdateServerSettingsBody,
    responses((status = 200, description = "The settings after the change", body = ServerSettingsResponse), WriteErrors)
)]
pub(super) async fn update_server_settings(
    allowed: AllowedCaller<OperatorOnly<System>>,
    call: ApiRequest,
) -> ApiResult {
    let context = allowed.context;
    let body = call.body::<UpdateServerSettingsBody>().await?;
    call.write(move |tx| instance::set_self_service(tx, &context, body.self_service)).await?;
    Ok(json_response(&read_settings(&call.state)?))
}

fn read_settings(state: &Data<AppState>) -> Result<ServerSettingsResponse, ApiError> {
    let user_tokens = state.signing.user_tokens.as_ref().map(crate::auth::jwt::UserTokens::settings);
    Ok(ServerSettingsResponse {
        self_service: state.store.read_inline(instance::is_self_service_enabled)?,
        public_url: state.server.public_url().to_string(),
        version: env!("CARGO_PKG_VERSION"),
        user_tokens: UserTokensResponse {
            configured: user_tokens.is_some(),
            issuer: user_tokens.map(|settings| settings.issuer.clone()),
            audience: user_tokens.map(|settings| settings.audiences.clone()).unwrap_or_default(),
        },
    })
}

/// `GET /livez`: 200 while the process responds.
pub async fn check_liveness() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// `GET /readyz`: 200 while the database can be read and written, else 503. Writes that wait for five seconds without
/// progress count as a database that cannot be written. It is not ready either while checkpoints fail: the write-ahead
/// log would grow until the disk is full.
pub async fn check_readiness(state: Data<AppState>) -> HttpResponse {
    let is_readable = state.store.read_inline(instance::get_public_url).is_ok();
    let is_usable = is_readable && state.store.is_intact() && state.store.is_progressing();
    if is_usable && state.store.is_checkpointing() {
        return HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n");
    }
    if is_usable {
        let body = "the write-ahead log cannot be checkpointed\n";
        return HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body(body);
    }
    HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body("the database is unavailable\n")
}
