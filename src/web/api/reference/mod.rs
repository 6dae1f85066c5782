//! `/docs/api`: the `OpenAPI` document as an HTML page, without scripts and without resources from other hosts.

mod example;
mod page;
mod parsed_document;
mod schema_text;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use actix_web::web::Bytes;
use askama::Template;

use super::openapi;
use crate::error::Reason;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::ApiResult;
use crate::web::assets::EncodedBody;

/// Content security policy: the page only loads its own style sheet and icon.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Get the API reference as an HTML page
#[utoipa::path(
    get,
    path = "/docs/api",
    tag = "Server",
    operation_id = "getReference",
    responses((status = 200, description = "The page", body = String, content_type = "text/html"))
)]
pub(super) async fn get_page(call: ApiRequest) -> ApiResult {
    let outside = call.state.server.public.documents();
    let page = outside.reference.get_or_init(|| EncodedBody::new(render_page(&outside.url)));
    if page.is_empty() {
        return Err(Reason::ReferenceUnavailable.into());
    }
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, CONTENT_POLICY))
        .insert_header((REFERRER_POLICY, "same-origin"));
    Ok(page.respond_tagged(response, call.request.headers()))
}

/// Renders the page for a server at this URL. On error, logs the problem and returns no bytes.
fn render_page(public_url: &str) -> Bytes {
    let document = serde_json::to_value(openapi::build_document(public_url)).and_then(serde_json::from_value);
    let page = document.and_then(|document| page::build_page(&document)).map_err(askama::Error::custom);
    let html = page.and_then(|page| page.render());
    html.map_or_else(
        |problem| {
            tracing::error!(%problem, "cannot render the API reference");
            Bytes::new()
        },
        Bytes::from,
    )
}
