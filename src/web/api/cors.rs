//! CORS (Fetch standard) for the origins that the operator has configured.
//!
//! Why not the crate `actix-cors`: version 0.7 sends `Access-Control-Allow-Credentials` to origins that are not allowed,
//! and rejects their preflight requests with plain text instead of the errors of this API.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::web::state::AppState;

/// Time in seconds for which a browser may cache the response to a preflight request.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// Response headers that scripts may read.
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("frontegg-trace-id, x-request-id, www-authenticate, retry-after, etag, location");

/// The middleware of every route. It does not authorize calls: the credentials do.
pub(super) async fn apply_cors<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let origin = find_allowed_origin(&request);
    let preflight = read_preflight_headers(&request);
    let is_enabled =
        request.app_data::<Data<AppState>>().is_some_and(|state| !state.server.settings.allowed_origins.is_empty());
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    if is_enabled {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = origin {
        set_cors_headers(headers, origin, preflight);
    }
    Ok(response)
}

/// Returns the origin of the request if it is one of the configured origins.
fn find_allowed_origin(request: &ServiceRequest) -> Option<HeaderValue> {
    let origin = request.headers().get(header::ORIGIN)?;
    let state = request.app_data::<Data<AppState>>()?;
    let is_allowed =
        state.server.settings.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes());
    is_allowed.then(|| origin.clone())
}

/// Returns the requested headers, possibly empty, if this is a preflight request.
fn read_preflight_headers(request: &ServiceRequest) -> Option<HeaderValue> {
    let headers = request.headers();
    let is_preflight =
        *request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let requested = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    is_preflight.then(|| requested.unwrap_or(HeaderValue::from_static("")))
}

fn set_cors_headers(headers: &mut HeaderMap, origin: HeaderValue, preflight: Option<HeaderValue>) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    // Browser clients of this API send `credentials: include`, although the API does not use cookies.
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    let Some(requested) = preflight else { return };
    // Allowed origins may send any header.
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, requested);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE);
    if let Some(methods) = headers.get(header::ALLOW).cloned() {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
}
