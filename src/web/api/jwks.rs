//! The public key of our own tokens, for whoever wants to verify them.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::state::State;

/// How long others may keep it. A new key comes with a new start at the earliest.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// A JWK set (RFC 7517)
#[derive(Serialize, ToSchema)]
#[schema(as = JwkSet)]
pub(super) struct Keys {
    #[schema(min_items = 1)]
    keys: Vec<serde_json::Value>,
}

/// The public keys of the tokens that this server issues
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "Callers",
    operation_id = "getJwks",
    responses((status = 200, description = "The keys", body = Keys)),
    security(())
)]
pub(super) async fn keys(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, KEPT)).json(state.callers.signing_key.public())
}
