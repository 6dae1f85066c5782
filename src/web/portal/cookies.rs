//! Cookies of the portal. With an HTTPS public URL, every name begins with `__Host-`: browsers accept such a cookie only
//! over HTTPS, for all paths and from this host, so that neither a subdomain nor a network can plant one.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::web::Data;

use crate::web::public_url::is_https;
use crate::web::state::{AppState, ServerContext};

/// Prefix of a name if the public URL is HTTPS (RFC 6265bis section 4.1.3.2).
const HOST_PREFIX: &str = "__Host-";

/// Builds a cookie that scripts cannot read and other sites cannot send with a form. Its lifetime is in seconds.
pub(crate) fn new_cookie(server: &ServerContext, name: &str, value: String, seconds: i64) -> Cookie<'static> {
    Cookie::build(full_name(server, name), value)
        .path("/")
        .http_only(true)
        .secure(is_https(&server.public_url()))
        .same_site(SameSite::Lax)
        .max_age(Duration::seconds(seconds))
        .finish()
}

/// An expired cookie, which removes the cookie of that name from the browser.
pub(crate) fn expired_cookie(server: &ServerContext, name: &str) -> Cookie<'static> {
    new_cookie(server, name, String::new(), 0)
}

/// The cookie of that name in a request.
pub(crate) fn find_cookie(request: &HttpRequest, name: &str) -> Option<Cookie<'static>> {
    let state = request.app_data::<Data<AppState>>()?;
    request.cookie(&full_name(&state.server, name))
}

fn full_name(server: &ServerContext, name: &str) -> String {
    if is_https(&server.public_url()) { format!("{HOST_PREFIX}{name}") } else { name.to_owned() }
}
