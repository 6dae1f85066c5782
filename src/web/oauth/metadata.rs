//! The metadata of the authorization server (RFC 8414).

use actix_web::http::Method;
use actix_web::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::model::oauth::scope::list_scope_names;
use crate::web::oauth::token::GRANT_TYPES;
use crate::web::oauth::{METADATA_PATH, REVOCATION_PATH, TOKEN_PATH, find_url_path};
use crate::web::state::AppState;

/// Ways of authentication of clients at both endpoints.
const AUTHENTICATION_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
/// Algorithms of assertions.
const ALGORITHMS: [&str; 10] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"];

/// Serves the metadata. A public URL with a path has them at two URLs: the path is in front of the well-known part, or after it
/// (RFC 8414 section 3.1). Behind a proxy that removes the path, both arrive without it.
pub(super) async fn serve_metadata(request: HttpRequest, state: Data<AppState>) -> HttpResponse {
    let public_url = state.server.public_url();
    let path = find_url_path(&public_url);
    let (before, after) = request.path().split_once(METADATA_PATH).unwrap_or_default();
    let after = after.trim_end_matches('/');
    let is_known = [(path, ""), ("", path), ("", "")].contains(&(before, after));
    if !is_known || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpResponse::NotFound().json(json!({"error": "not_found"}));
    }
    let document = json!({
        "issuer": &*public_url,
        "token_endpoint": format!("{public_url}{TOKEN_PATH}"),
        "revocation_endpoint": format!("{public_url}{REVOCATION_PATH}"),
        "grant_types_supported": GRANT_TYPES,
        // There is no authorization endpoint.
        "response_types_supported": Vec::<String>::new(),
        "token_endpoint_auth_methods_supported": AUTHENTICATION_METHODS,
        "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": AUTHENTICATION_METHODS,
        "revocation_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "scopes_supported": list_scope_names(),
        "service_documentation": format!("{public_url}/docs/api"),
    });
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .json(document)
}
