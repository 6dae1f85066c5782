//! What the operator decides about the whole server.

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Answered, ReadRefusals, Refusal, WriteRefusals, document};
use super::call::{Call, write};
use super::caller::{Allowed, Operator, System};
use crate::directory;
use crate::store::instance;
use crate::web::state::State;

/// Settings of the server
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerSettings)]
pub(super) struct Shown {
    /// Whether users and keys of accounts may do anything here
    self_service: bool,
    /// URL at which identity providers reach the server; it is a flag of `rollcall serve`
    public_url: String,
    version: &'static str,
    user_tokens: ShownUserTokens,
}

/// Which tokens of users are taken; flags of `rollcall serve`
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UserTokens)]
pub(super) struct ShownUserTokens {
    configured: bool,
    /// Their `iss`
    #[schema(required)]
    issuer: Option<String>,
    /// One of these is in their `aud`
    audience: Vec<String>,
}

/// What can be changed. Unknown members are passed over
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerSettingsUpdate)]
pub(super) struct Update {
    self_service: bool,
}

/// The settings of the server
#[utoipa::path(
    get,
    path = "/directory/resources/v1/settings",
    tag = "Server",
    operation_id = "getServerSettings",
    params(("frontegg-tenant-id" = Option<String>, Header, description = "The account; changes nothing here")),
    responses((status = 200, description = "The settings", body = Shown), ReadRefusals),
    security(("bearer" = []))
)]
pub(super) async fn read(_allowed: Allowed<Operator<System>>, call: Call) -> Answered {
    Ok(document(&shown(&call.state)?))
}

/// Switch self-service on or off
///
/// While it is off, users and keys of accounts get 403 for everything; the operator's credentials and the identity
/// providers go on working.
#[utoipa::path(
    patch,
    path = "/directory/resources/v1/settings",
    tag = "Server",
    operation_id = "updateServerSettings",
    params(("frontegg-tenant-id" = Option<String>, Header, description = "The account; changes nothing here")),
    request_body = Update,
    responses((status = 200, description = "The settings as they are now", body = Shown), WriteRefusals),
    security(("bearer" = []))
)]
pub(super) async fn update(allowed: Allowed<Operator<System>>, call: Call) -> Answered {
    let by = allowed.by;
    let (body, state) = call.body::<Update>().await?;
    write(&state, move |tx| directory::instance::set_self_service(tx, &by, body.self_service)).await?;
    Ok(document(&shown(&state)?))
}

fn shown(state: &Data<State>) -> Result<Shown, Refusal> {
    let user_tokens = state.callers.user_tokens.as_ref().map(crate::jwt::UserTokens::settings);
    Ok(Shown {
        self_service: state.store.read_inline(instance::self_service)?,
        public_url: state.public_url().to_string(),
        version: env!("CARGO_PKG_VERSION"),
        user_tokens: ShownUserTokens {
            configured: user_tokens.is_some(),
            issuer: user_tokens.map(|settings| settings.issuer.clone()),
            audience: user_tokens.map(|settings| settings.audiences.clone()).unwrap_or_default(),
        },
    })
}
