//! Routes of the portal: a path with a handler for each method, the middleware of every page, and paths without a route.
//! The router and the list of routes for tests are both built from them.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::guard::GuardContext;
use actix_web::http::header::ACCEPT;
use actix_web::middleware::Next;
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, web};

use crate::web::metrics::Surface;
use crate::web::portal::layout::{self, PageError, PageResult};
use crate::web::portal::setup::error_page;
use crate::web::portal::sign_in::session;
use crate::web::portal::texts;
use crate::web::portal::time_zone::{self, TimeZoneChoice};
use crate::web::portal::{page_compression, print_line};
use crate::web::request_middleware;

/// A path of the portal with its handlers.
pub(super) struct PortalRoute {
    pub(super) path: &'static str,
    pub(super) methods: Vec<&'static str>,
    pub(super) resource: Resource,
}

/// Creates a route without handlers. Methods without a handler answer 405.
pub(super) fn route_at(path: &'static str) -> PortalRoute {
    let resource = web::resource(path).default_service(web::to(reject_method));
    PortalRoute { path, methods: Vec::new(), resource }
}

impl PortalRoute {
    /// Adds the handler of `GET`, which shows a page.
    pub(super) fn get<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push("GET");
        Self { resource: self.resource.route(web::get().to(handler)), ..self }
    }

    /// Adds the handler of `POST`, which receives a form.
    pub(super) fn post<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push("POST");
        Self { resource: self.resource.route(web::post().to(handler)), ..self }
    }
}

async fn reject_method() -> Result<HttpResponse, PageError> {
    Err(PageError::Failed { status: 405, detail: texts::errors::METHOD_NOT_ACCEPTED.to_owned() })
}

/// Wraps every page: request id, metrics, headers and time zone.
pub(super) async fn wrap_page<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let zone = TimeZoneChoice::from_cookie(request.request());
    let is_compressible = page_compression::may_compress(request.request());
    let response = request_middleware::track_request(request, next, Surface::Portal, layout::add_headers)
        .await?
        .map_into_boxed_body();
    let response = print_line::add_print_line(complete_error_page(response));
    let response = match zone {
        Some(zone) => time_zone::localize_times(response, &zone),
        None => response,
    };
    Ok(if is_compressible { page_compression::compress_page(response) } else { response })
}

/// Replaces the page of an error. Below a setup link, the customer's IT admin sees it, with the branding; anywhere else, an admin,
/// with the navigation. An error holds neither, so the page is rendered again. This is the only place that decides between them.
fn complete_error_page(mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let refusal = response.response().error().and_then(|error| error.as_error::<PageError>());
    if let Some(page) = error_page::render_link_error(response.request(), response.response(), refusal) {
        for (name, value) in page.headers() {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        return response.map_body(|_, _| page.into_body());
    }
    let Some(refusal) = refusal.filter(|refusal| !matches!(refusal, PageError::SignIn { .. })) else { return response };
    let Ok(signed) = session::find_signed_in(response.request()) else { return response };
    let page = refusal.page(Some(&signed)).into_body();
    response.map_body(|_, _| page)
}

/// First path segments of the APIs, which answer in their own error format.
const API_PREFIXES: [&str; 8] = ["directory", "frontegg", "scim", "api", "auth", "assets", "livez", "readyz"];

/// Whether a browser requests a page: it accepts HTML, and the path is not that of an API. Below a setup link are only pages.
pub(super) fn is_browser_request(asked: &GuardContext<'_>) -> bool {
    let path = asked.head().uri.path();
    if error_page::is_link_path(path) {
        return true;
    }
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let accept = asked.head().headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html")) && !API_PREFIXES.contains(&first)
}

/// Any path without a route: 404.
pub(super) async fn show_not_found() -> PageResult {
    Err(PageError::NotFound)
}
