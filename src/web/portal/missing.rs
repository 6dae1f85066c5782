//! Addresses that are nothing: people get a page that says so, programs what their part of the server answers.

use actix_web::guard::GuardContext;
use actix_web::http::header::ACCEPT;

use super::page::{Refusal, Shown};

/// Where programs call: what is missing there is told in their own form.
const PROGRAMS: [&str; 8] = ["directory", "frontegg", "scim", "api", "auth", "assets", "livez", "readyz"];

/// Whether a person asks, with a browser.
pub(super) fn is_for_people(asked: &GuardContext<'_>) -> bool {
    let path = asked.head().uri.path();
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let accept = asked.head().headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html")) && !PROGRAMS.contains(&first)
}

/// Anything else.
pub(super) async fn show() -> Shown {
    Err(Refusal::NotFound)
}
