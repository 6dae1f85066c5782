//! The OAuth endpoints of identity providers: access tokens (RFC 6749), their revocation (RFC 7009) and metadata (RFC 8414).

mod client;
mod form;
mod metadata;
mod request;
mod response;
mod revocation;
mod token;

use actix_web::guard::GuardContext;
use actix_web::web::{self, ServiceConfig};

/// Path of the token endpoint, below the public URL and below each provisioning URL.
pub(crate) const TOKEN_PATH: &str = "/oauth2/token";
/// Path of the revocation endpoint, below both.
pub(crate) const REVOCATION_PATH: &str = "/oauth2/revoke";
/// Path of the metadata (RFC 8414 section 3).
const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";

/// Returns whether a path below a provisioning URL is one of these endpoints.
pub fn is_oauth_path(context: &GuardContext<'_>) -> bool {
    let path = context.head().uri.path().trim_end_matches('/');
    path.ends_with(TOKEN_PATH) || path.ends_with(REVOCATION_PATH)
}

/// Adds the routes to an application. Those below a provisioning URL begin with a SCIM prefix, whose scope does not serve them.
pub fn configure_oauth(app: &mut ServiceConfig) {
    app.service(web::resource(list_patterns(TOKEN_PATH, "/?")).to(token::serve_token_request))
        .service(web::resource(list_patterns(REVOCATION_PATH, "/?")).to(revocation::serve_revocation))
        .service(web::resource(list_patterns(METADATA_PATH, ".*")).to(metadata::serve_metadata));
}

/// Returns the patterns of a path at the root and below any other path, with a pattern for the rest of it.
fn list_patterns(path: &str, rest: &str) -> Vec<String> {
    vec![format!("{path}{{rest:{rest}}}"), format!("/{{base:.+}}{path}{{rest:{rest}}}")]
}

/// Returns the path of a URL, without a slash at the end.
fn find_url_path(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + "://".len());
    url[start..].find('/').map_or("", |at| url[start + at..].trim_end_matches('/'))
}
