//! The route table of the management API. The routing and the `OpenAPI` document are generated from the same list, so that
//! they always match. Also the middleware of every request: request id, log line and response headers.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::Data;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Responder, ResponseError, Route, web};
use utoipa::__dev::{SchemaReferences, Tags};
use utoipa::openapi::path::HttpMethod;

use crate::clock;
use crate::error::Reason;
use crate::model::permission::Permission;
use crate::web::api::caller::{AllowedCaller, RequiredPermission};
use crate::web::api::query_parameters::AcceptedQueryParameters;
use crate::web::api::request_types::ApiRequest;
use crate::web::api::response::ApiError;
use crate::web::api::{cors, idempotency};
use crate::web::metrics::Surface;
use crate::web::request_middleware;
use crate::web::state::AppState;

/// Prefix that browser clients add to every path.
const ALIAS_PREFIX: &str = "/frontegg";
/// Prefix that a proxy may have removed from paths that start with it.
const SERVER_BASE: &str = "/directory";

/// The request id of the response.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Alternative name of the request id, for clients of the configuration API.
const TRACE_ID: HeaderName = HeaderName::from_static("frontegg-trace-id");

/// A required permission, a second one, and whether they are reserved for the operator.
pub(super) type AccessRule = (Permission, Option<Permission>, bool);

/// The access rule that follows from the arguments of a handler.
pub(super) trait HandlerArguments {
    /// The required permissions, and whether only the operator may call. `None` if no credentials are needed.
    const NEEDS: Option<AccessRule>;
}

impl<N: RequiredPermission> HandlerArguments for (AllowedCaller<N>, ApiRequest) {
    const NEEDS: Option<AccessRule> = Some((N::PERMISSION, N::SECOND_PERMISSION, N::OPERATOR_ONLY));
}

impl HandlerArguments for (ApiRequest,) {
    const NEEDS: Option<AccessRule> = None;
}

impl HandlerArguments for (Data<AppState>,) {
    const NEEDS: Option<AccessRule> = None;
}

/// The documentation that `#[utoipa::path]` generates for a handler.
pub(super) trait DocumentedHandler: utoipa::Path + SchemaReferences + Tags<'static> {}

impl<D: utoipa::Path + SchemaReferences + Tags<'static>> DocumentedHandler for D {}

/// Collects routes.
pub(super) trait RouteCollector {
    /// Adds the route that `D` documents and `handler` serves.
    fn add_route<D, F, Args>(&mut self, handler: F)
    where
        D: DocumentedHandler,
        F: Handler<Args>,
        Args: FromRequest + HandlerArguments + 'static,
        F::Output: Responder + 'static;
}

/// Collects the routes for actix-web.
#[derive(Default)]
pub(super) struct RouteTable {
    routes: Vec<(String, PathRoutes)>,
}

/// The routes of one path.
#[derive(Default)]
struct PathRoutes {
    methods: Vec<(Method, Route)>,
    parameters: AcceptedQueryParameters,
}

impl RouteCollector for RouteTable {
    fn add_route<D, F, Args>(&mut self, handler: F)
    where
        D: DocumentedHandler,
        F: Handler<Args>,
        Args: FromRequest + HandlerArguments + 'static,
        F::Output: Responder + 'static,
    {
        let path = D::path();
        let at = self.routes.iter().position(|(existing, _)| *existing == path).unwrap_or_else(|| {
            self.routes.push((path.clone(), PathRoutes::default()));
            self.routes.len() - 1
        });
        let PathRoutes { methods: routes, parameters } = &mut self.routes[at].1;
        let operation = D::operation();
        for method in D::methods().iter().map(convert_method) {
            parameters.add_operation(&path, &method, &operation);
            if method == Method::GET {
                routes.push((Method::HEAD, web::head().to(handler.clone())));
            }
            routes.push((method.clone(), web::method(method).to(handler.clone())));
        }
    }
}

impl RouteTable {
    /// Adds the routes to the application, with the middleware of the management API.
    pub(super) fn configure(self, app: &mut web::ServiceConfig) {
        for (path, PathRoutes { methods: routes, parameters }) in self.routes {
            let mut methods: Vec<&str> = routes.iter().map(|(method, _)| method.as_str()).collect();
            methods.sort_unstable();
            let allow = methods.join(", ");
            let resource = web::resource(list_path_variants(&path)).app_data(parameters);
            let resource = routes.into_iter().fold(resource, |resource, (_, route)| resource.route(route));
            let fallback = move |request: HttpRequest| std::future::ready(reject_method(&request, &allow));
            let resource =
                resource.default_service(web::to(fallback)).wrap(from_fn(idempotency::handle_idempotency_key));
            app.service(resource.wrap(from_fn(wrap_request)).wrap(from_fn(cors::apply_cors)));
        }
    }
}

/// The middleware of every route.
async fn wrap_request<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    request_middleware::track_request(request, next, Surface::Management, set_headers).await
}

/// Sets the headers of every response.
fn set_headers(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id.clone());
        headers.insert(TRACE_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// The response for unknown paths: 404.
pub async fn respond_not_found() -> HttpResponse {
    let mut response = ApiError::from(Reason::RouteNotFound).error_response();
    set_headers(response.headers_mut(), &clock::new_id());
    response
}

/// Returns all paths under which a route is served: with `/frontegg`, without `/directory`, and each with a final slash.
fn list_path_variants(path: &str) -> Vec<String> {
    let mut variants = vec![path.to_owned(), format!("{ALIAS_PREFIX}{path}")];
    variants.extend(path.strip_prefix(SERVER_BASE).map(str::to_owned));
    let slashed: Vec<String> = variants.iter().map(|path| format!("{path}/")).collect();
    variants.extend(slashed);
    variants
}

/// Answers a method that the route does not have: 204 with `Allow` for OPTIONS, else 405.
fn reject_method(request: &HttpRequest, allow: &str) -> Result<HttpResponse, ApiError> {
    if request.method() == Method::OPTIONS {
        return Ok(HttpResponse::NoContent().insert_header(("Allow", allow)).finish());
    }
    let method: String = request.method().as_str().chars().take(20).collect();
    let error = Reason::MethodNotAllowed.with("method", method).with("allowed", allow);
    Err(ApiError::from(error).with_allow(allow))
}

fn convert_method(documented: &HttpMethod) -> Method {
    match documented {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
    }
}
