//! Middleware of the management API and the portal: request id, log line and metrics. Also the middleware that adds
//! `Strict-Transport-Security` to every response, and the caller address of a request.

use std::net::IpAddr;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderValue, STRICT_TRANSPORT_SECURITY};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};

use crate::web::metrics::{CompletedRequest, Surface};
use crate::web::public_url::is_https;
use crate::web::state::AppState;
use crate::{clock, log};

/// Value of `Strict-Transport-Security`: one year. Without `includeSubDomains`, because subdomains may belong to other services.
const STRICT_TRANSPORT_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// The request id, stored in the extensions of the request.
#[derive(Debug, Clone)]
struct RequestId(String);

/// Returns the id of a request that passed the middleware.
pub(super) fn find_request_id(request: &HttpRequest) -> Option<String> {
    request.extensions().get::<RequestId>().map(|id| id.0.clone())
}

/// Returns the network address of the caller, with trusted proxies taken into account. This is the only function that
/// determines the origin of a request. Host and scheme always come from the public URL, never from the request.
pub(super) fn caller_address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let state = request.app_data::<Data<AppState>>()?;
    Some(state.network.proxies.caller_address(peer, request.headers()))
}

/// Returns [`caller_address`] as text.
pub(super) fn caller_address_text(request: &HttpRequest) -> Option<String> {
    caller_address(request).map(|address| address.to_string())
}

/// Runs a request with its id, log line and metrics. `mark` adds the response headers; it gets the request id.
pub(super) async fn track_request<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
    surface: Surface,
    mark: fn(&mut HeaderMap, &str),
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let started = Instant::now();
    let id = clock::new_id();
    request.extensions_mut().insert(RequestId(id.clone()));
    let state = request.app_data::<Data<AppState>>().cloned();
    let mut response = log::run_for_request(&id, next.call(request)).await?;
    let address = caller_address(response.request()).map(tracing::field::display);
    let route = response.request().match_pattern().unwrap_or_default();
    let took = started.elapsed();
    if let Some(state) = state {
        let head = response.request().head();
        let status = response.status().as_u16();
        state.metrics.record_request(&CompletedRequest { surface, route: &route, method: &head.method, status, took });
    }
    tracing::info!(
        target: "rollcall::request",
        request_id = id,
        method = response.request().method().as_str(),
        route,
        address,
        status = response.status().as_u16(),
        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "request"
    );
    mark(response.headers_mut(), &id);
    Ok(response)
}

/// Middleware that adds `Strict-Transport-Security` (RFC 6797) to every response if the public URL is HTTPS.
pub async fn add_strict_transport<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let https = request.app_data::<Data<AppState>>().is_some_and(|state| is_https(&state.server.public_url()));
    let mut response = next.call(request).await?;
    if https {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_YEAR);
    }
    Ok(response)
}
