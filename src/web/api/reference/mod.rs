//! `/docs/api`: the `OpenAPI` document as a page that is read without a script and without another host.

mod description;
mod example;
mod page;
mod words;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use actix_web::web::{Bytes, Data};
use askama::Template;

use super::answer::{Answered, Refusal};
use super::openapi;
use crate::web::state::State;

/// What the page may load: its own style sheet and icon.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// This reference for people
#[utoipa::path(
    get,
    path = "/docs/api",
    tag = "Server",
    operation_id = "getReference",
    responses((status = 200, description = "The page", body = String, content_type = "text/html")),
    security(())
)]
pub(super) async fn get_page(state: Data<State>) -> Answered {
    let outside = state.public.outside();
    let page = outside.reference.get_or_init(|| rendered(&outside.url)).clone();
    if page.is_empty() {
        return Err(Refusal::new(503, "the page could not be made; /openapi.json has the same in JSON"));
    }
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "same-origin"))
        .body(page))
}

/// The page for a server at that URL; empty where it cannot be made, which is written to the log.
fn rendered(public_url: &str) -> Bytes {
    let document = serde_json::to_value(openapi::document(public_url)).and_then(serde_json::from_value);
    let page = document.and_then(|document| page::of(&document)).map_err(askama::Error::custom);
    let made = page.and_then(|page| page.render());
    made.map_or_else(
        |problem| {
            tracing::error!(%problem, "the reference of the management API could not be made");
            Bytes::new()
        },
        Bytes::from,
    )
}
