//! `/docs/api`: the API reference as HTML pages, generated from the `OpenAPI` document and from the tables of the code. The
//! pages work without scripts and load nothing from other hosts.

mod guides;
mod pages;
mod parsed_document;
mod samples;
mod schema_pages;
mod schema_text;
mod schema_urls;
mod search;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY};
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;
use serde::Deserialize;
use utoipa::IntoParams;

use self::pages::{GroupPage, ReferenceContent, ReferenceLayout};
use self::search::{SearchIndex, SearchPage};
use super::openapi;
use crate::error::Reason;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::{ApiError, ApiResult, ReadErrors};
use crate::web::assets::EncodedBody;

/// Content security policy: the pages only load own files, and their form only searches here.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                              base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Get the API reference as an HTML page
///
/// The first page: quick start, authentication, pagination and repeated requests.
#[utoipa::path(
    get,
    path = "/docs/api",
    tag = "Server",
    operation_id = "getReference",
    responses((status = 200, description = "The page", body = String, content_type = "text/html"))
)]
pub(super) async fn get_index(call: ApiRequest) -> ApiResult {
    respond_page(&call, "")
}

/// Get a page of the API reference
#[utoipa::path(
    get,
    path = "/docs/api/{page}",
    tag = "Server",
    operation_id = "getReferencePage",
    params(("page" = String, Path, description = "Name of a group of operations, such as `tokens`, or of a guide, such as `errors`")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html"), ReadErrors)
)]
pub(super) async fn get_page(call: ApiRequest) -> ApiResult {
    respond_page(&call, &call.path_parameter("page"))
}

/// What to search
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReferenceQuery {
    /// Text to find in the names and descriptions of operations, schemas, error codes and kinds of events. Only its first 100
    /// characters are compared
    q: Option<String>,
}

/// Search the API reference
#[utoipa::path(
    get,
    path = "/docs/api/search",
    tag = "Server",
    operation_id = "searchReference",
    params(ReferenceQuery),
    responses((status = 200, description = "The page", body = String, content_type = "text/html"), ReadErrors)
)]
pub(super) async fn search_reference(call: ApiRequest) -> ApiResult {
    match call.query::<ReferenceQuery>() {
        Ok(query) => render_search(&call, (StatusCode::OK, "Search"), &query.q.unwrap_or_default()),
        Err(_) if is_browser(&call) => render_search(&call, (StatusCode::BAD_REQUEST, "Search for one text"), ""),
        Err(problem) => Err(problem.into()),
    }
}

/// Whether a browser requests a page: the error of the API would be no page.
fn is_browser(call: &ApiRequest) -> bool {
    let accept = call.request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The page with the search, with a status and a title.
fn render_search(call: &ApiRequest, (status, title): (StatusCode, &str), query: &str) -> ApiResult {
    static INDEX: OnceLock<Option<SearchIndex>> = OnceLock::new();
    let base_url = &call.state.server.public.documents().url;
    // What is found does not depend on the URL of the server.
    let index = INDEX.get_or_init(|| read_reference(base_url).map(SearchIndex::new).map_err(log_problem).ok());
    let index = index.as_ref().ok_or_else(|| ApiError::from(Reason::ReferenceUnavailable))?;
    let layout = ReferenceLayout { base_url: base_url.to_string(), ..index.content.layout(title, "search") };
    let results = search::find_entries(&index.entries, query);
    let page = SearchPage { layout, query: search::shorten(query), results };
    let html = page.render().map_err(|problem| {
        log_problem(problem);
        ApiError::from(Reason::ReferenceUnavailable)
    })?;
    Ok(begin_response().status(status).body(html))
}

fn respond_page(call: &ApiRequest, name: &str) -> ApiResult {
    let outside = call.state.server.public.documents();
    let pages =
        outside.reference.get_or_init(|| render_reference(&outside.url).map_err(log_problem).unwrap_or_default());
    if pages.is_empty() {
        return Err(Reason::ReferenceUnavailable.into());
    }
    match pages.get(name) {
        Some(page) => Ok(page.respond_tagged(begin_response(), call.request.headers())),
        None if is_browser(call) => render_search(call, (StatusCode::NOT_FOUND, "Page not found"), ""),
        None => Err(Reason::RouteNotFound.into()),
    }
}

fn begin_response() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, CONTENT_POLICY))
        .insert_header((REFERRER_POLICY, "same-origin"))
        .insert_header((HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .insert_header((HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"));
    response
}

fn log_problem(problem: askama::Error) {
    tracing::error!(%problem, "cannot render the API reference");
}

/// Reads the content of the reference of a server at this URL.
fn read_reference(public_url: &str) -> askama::Result<ReferenceContent> {
    let document = openapi::build_document(public_url).map_err(askama::Error::custom)?;
    let document = serde_json::from_value(document).map_err(askama::Error::custom)?;
    pages::read_content(&document).map_err(askama::Error::custom)
}

/// Renders all pages except the search, with their names.
fn render_reference(public_url: &str) -> askama::Result<BTreeMap<String, EncodedBody>> {
    let content = read_reference(public_url)?;
    let mut pages = BTreeMap::new();
    let mut add = |name: &str, html: String| {
        pages.insert(name.to_owned(), EncodedBody::new(html.into()));
    };
    for (name, html) in guides::render_guides(&content)? {
        add(name, html);
    }
    for group in &content.groups {
        let layout = content.layout(&group.name, &group.slug);
        add(&group.slug, GroupPage { layout, group }.render()?);
    }
    for (name, html) in schema_pages::render_schemas(&content)? {
        add(&name, html);
    }
    Ok(pages)
}
