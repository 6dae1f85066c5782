//! Paths without a route: browsers get an error page, API clients the error format of their own surface.

use actix_web::guard::GuardContext;
use actix_web::http::header::ACCEPT;

use crate::web::portal::layout::{PageError, PageResult};

/// First path segments of the APIs, which answer in their own error format.
const API_PREFIXES: [&str; 8] = ["directory", "frontegg", "scim", "api", "auth", "assets", "livez", "readyz"];

/// Whether a browser requests a page: it accepts HTML, and the path is not that of an API.
pub(super) fn is_browser_request(asked: &GuardContext<'_>) -> bool {
    let path = asked.head().uri.path();
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let accept = asked.head().headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html")) && !API_PREFIXES.contains(&first)
}

/// Any path without a route: 404.
pub(super) async fn show_not_found() -> PageResult {
    Err(PageError::NotFound)
}
