//! Settings of the whole server, for the operator, and its health checks.

use actix_web::web::Data;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock;
use crate::doctor;
use crate::management::instance::{self, branding};
use crate::model::branding::Branding;
use crate::model::field_change::FieldChange;
use crate::model::service_state::{ReadOnlyCause, ServiceState};
use crate::replica::ReplicaFigures;
use crate::store::{Store, Tx};
use crate::web::api::caller::{AllowedCaller, OperatorOnly, System};
use crate::web::api::request_types::{ApiRequest, read_object};
use crate::web::api::response::{ApiError, ApiResult, ReadErrors, WriteErrors, json_response};
use crate::web::state::AppState;

/// Settings of the server
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerSettings)]
pub(super) struct ServerSettingsResponse {
    /// Whether users and API keys of accounts may use the management API
    self_service: bool,
    /// Whether users and API keys of accounts may manage webhooks for the events of their own account
    account_webhooks: bool,
    /// URL at which identity providers reach the server; set with a flag of `rollcall serve`
    public_url: String,
    branding: BrandingResponse,
    version: &'static str,
    user_tokens: UserTokensResponse,
    clock: ClockResponse,
    service: ServiceStatusResponse,
}

/// How the pages of setup links are named and look
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Branding)]
pub(super) struct BrandingResponse {
    /// Name of the product; empty if none is set
    product_name: String,
    /// Accent color, such as `#0b7a75`
    #[schema(required)]
    accent: Option<String>,
    /// E-mail address or https URL where the customer gets help
    #[schema(required)]
    support: Option<String>,
    /// https URL to which the customer returns after the setup
    #[schema(required)]
    return_url: Option<String>,
    /// Whether there is a logo; it is uploaded and removed in the portal
    has_logo: bool,
}

/// Changes to the branding
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BrandingUpdate)]
pub(super) struct UpdateBrandingBody {
    /// Absent: no change. Null: no name
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 60)]
    product_name: FieldChange<String>,
    /// Absent: no change. Null: the default. White text on it must have a contrast of at least 4.5 to 1
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^#[0-9a-fA-F]{6}$")]
    accent: FieldChange<String>,
    /// Absent: no change. Null: none
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 500)]
    support: FieldChange<String>,
    /// Absent: no change. Null: none
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 500)]
    return_url: FieldChange<String>,
}

impl UpdateBrandingBody {
    fn apply(&self, before: &Branding) -> Branding {
        let choose = |change: &FieldChange<String>, before: &Option<String>| match change {
            FieldChange::Keep => before.clone(),
            FieldChange::Clear => None,
            FieldChange::Set(value) => Some(value.clone()),
        };
        let product_name = choose(&self.product_name, &Some(before.product_name.clone())).unwrap_or_default();
        Branding {
            product_name: product_name.trim().to_owned(),
            accent: choose(&self.accent, &before.accent).map(|accent| accent.to_ascii_lowercase()),
            support: choose(&self.support, &before.support).filter(|text| !text.trim().is_empty()),
            return_url: choose(&self.return_url, &before.return_url).filter(|text| !text.trim().is_empty()),
        }
    }
}

/// Whether the server accepts writes
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServiceStatus)]
pub(super) struct ServiceStatusResponse {
    /// `ready`, or why writes are rejected: `file_missing`, `file_replaced`, `damaged`, `disk_full`, `stalled`,
    /// `checkpoint_failing` or `lease_lost`
    state: &'static str,
    /// The cause in one sentence
    #[schema(required)]
    message: Option<String>,
    /// What the operator does
    #[schema(required)]
    next_step: Option<&'static str>,
}

impl ServiceStatusResponse {
    fn of_store(store: &Store) -> Self {
        let state = store.service_state();
        let cause = state.cause();
        Self {
            state: state.as_str(),
            message: cause.map(|cause| doctor::describe_cause(store, cause)),
            next_step: cause.map(ReadOnlyCause::next_step),
        }
    }
}

/// The time of the server and, if it differs, of its machine. The server does not follow a leap of more than five minutes
/// until it is accepted or has lasted for an hour
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerClock)]
pub(super) struct ClockResponse {
    /// Time that the server uses
    #[schema(format = DateTime)]
    time: String,
    /// Time of the machine minus time of the server, while a leap is not followed
    #[schema(required)]
    difference_seconds: Option<i64>,
    /// When the leap was noticed
    #[schema(required, format = DateTime)]
    leaped_at: Option<String>,
    /// Last time that was recorded before the start, while the server deletes no expired data because the time at the start
    /// is more than 24 hours later, or more than five minutes earlier
    #[schema(required, format = DateTime)]
    recorded_at: Option<String>,
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
    /// Absent: no change
    self_service: Option<bool>,
    /// Absent: no change
    account_webhooks: Option<bool>,
    /// Absent: no change
    #[serde(default, deserialize_with = "read_object")]
    branding: Option<UpdateBrandingBody>,
}

/// Get the settings of the server
#[utoipa::path(
    get,
    path = "/directory/resources/v1/settings",
    tag = "Server",
    params(("frontegg-tenant-id" = Option<String>, Header, min_length = 1, description = "The account; has no effect here")),
    responses((status = 200, description = "The settings", body = ServerSettingsResponse), ReadErrors)
)]
pub(super) async fn get_server_settings(_allowed: AllowedCaller<OperatorOnly<System>>, call: ApiRequest) -> ApiResult {
    Ok(json_response(&read_settings(&call.state)?))
}

/// Change the settings of the server
///
/// While self-service is off, users and API keys of accounts get 403 for every request. The operator's credentials and the identity
/// providers continue to work.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/settings",
    tag = "Server",
    params(("frontegg-tenant-id" = Option<String>, Header, min_length = 1, description = "The account; has no effect here")),
    request_body = UpdateServerSettingsBody,
    responses((status = 200, description = "The settings after the change", body = ServerSettingsResponse), WriteErrors)
)]
pub(super) async fn update_server_settings(
    allowed: AllowedCaller<OperatorOnly<System>>,
    call: ApiRequest,
) -> ApiResult {
    let context = allowed.context;
    let body = call.body::<UpdateServerSettingsBody>().await?;
    let change = move |tx: &Tx<'_>| {
        body.self_service.map_or(Ok(()), |on| instance::set_self_service(tx, &context, on))?;
        body.account_webhooks.map_or(Ok(()), |on| instance::set_account_webhooks(tx, &context, on))?;
        let Some(change) = &body.branding else { return Ok(()) };
        let changed = change.apply(&branding::get_branding(tx)?.branding);
        branding::update_branding(tx, &context, &changed, &FieldChange::Keep)
    };
    call.write(change).await?;
    Ok(json_response(&read_settings(&call.state)?))
}

/// Accept the time of the machine
///
/// After a leap of the machine's clock the server continues with its own time for an hour, because a wrong clock would end
/// tokens and delete data. If the new time is right, this makes the server follow it at once. If the time at the start did
/// not match the last recorded time, this lets the server delete expired data at once. Otherwise it has no effect.
#[utoipa::path(
    post,
    path = "/directory/resources/v1/settings/clock",
    tag = "Server",
    params(("frontegg-tenant-id" = Option<String>, Header, min_length = 1, description = "The account; has no effect here")),
    responses((status = 200, description = "The settings after the change", body = ServerSettingsResponse), WriteErrors)
)]
pub(super) async fn accept_clock(allowed: AllowedCaller<OperatorOnly<System>>, call: ApiRequest) -> ApiResult {
    call.accept_machine_time(allowed.context).await?;
    Ok(json_response(&read_settings(&call.state)?))
}

fn read_settings(state: &Data<AppState>) -> Result<ServerSettingsResponse, ApiError> {
    let leap = clock::find_held_leap();
    let stored = state.store.read_inline(branding::get_branding)?;
    let user_tokens = state.signing.user_tokens.as_ref().map(crate::auth::jwt::UserTokens::settings);
    Ok(ServerSettingsResponse {
        self_service: state.store.read_inline(instance::is_self_service_enabled)?,
        account_webhooks: state.store.read_inline(instance::are_account_webhooks_enabled)?,
        public_url: state.server.public_url().to_string(),
        branding: BrandingResponse {
            product_name: stored.branding.product_name,
            accent: stored.branding.accent,
            support: stored.branding.support,
            return_url: stored.branding.return_url,
            has_logo: stored.has_logo,
        },
        version: crate::VERSION,
        user_tokens: UserTokensResponse {
            configured: user_tokens.is_some(),
            issuer: user_tokens.map(|settings| settings.issuer.clone()),
            audience: user_tokens.map(|settings| settings.audiences.clone()).unwrap_or_default(),
        },
        clock: ClockResponse {
            time: clock::format_rfc3339(clock::current_millis()),
            difference_seconds: leap.map(|leap| leap.difference / 1000),
            leaped_at: leap.map(|leap| clock::format_rfc3339(leap.since)),
            recorded_at: clock::find_start_doubt().map(|doubt| clock::format_rfc3339(doubt.recorded_at)),
        },
        service: ServiceStatusResponse::of_store(&state.store),
    })
}

/// `GET /livez`: 200 while the process responds.
pub async fn check_liveness() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// A server whose replica is behind is ready: it accepts writes. The text is for a reader.
fn describe_ready(replica: Option<ReplicaFigures>) -> String {
    match replica.map(|replica| replica.lag).filter(|lag| *lag >= doctor::LAG_MAX) {
        Some(lag) => format!("ready; the replica lacks the changes of the last {} s\n", lag.as_secs()),
        None => "ready\n".to_owned(),
    }
}

/// `GET /readyz`: 200 while the database can be read and written, else 503 with the state of the service.
pub async fn check_readiness(state: Data<AppState>) -> HttpResponse {
    let text =
        |mut response: HttpResponseBuilder, body: String| response.content_type("text/plain; charset=utf-8").body(body);
    if let ServiceState::ReadOnly(cause) = state.store.service_state() {
        let body = format!("read-only ({}): {}\n", cause.as_str(), cause.describe());
        return text(HttpResponse::ServiceUnavailable(), body);
    }
    match state.store.read_inline(instance::get_public_url) {
        Ok(_) => text(HttpResponse::Ok(), describe_ready(state.server.read_replica())),
        Err(_) => text(HttpResponse::ServiceUnavailable(), "the database is unavailable\n".to_owned()),
    }
}
