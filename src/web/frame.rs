//! What goes around every call of the management API and every page: an id and a log line; what headers they get is theirs.
//! And what both ask of a request besides.

use std::net::IpAddr;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};

use super::metrics::Surface;
use super::state::State;
use crate::{clock, log};

/// The id of a request, in its extensions.
#[derive(Debug, Clone)]
struct RequestId(String);

/// The id of a request that went through the frame.
pub(super) fn request_id(request: &HttpRequest) -> Option<String> {
    request.extensions().get::<RequestId>().map(|id| id.0.clone())
}

/// Network address of the caller, who may have come through trusted proxies. Nothing else looks at where a request came
/// from. Under which name and scheme the world reaches the server is not the request's to say, but the public URL's.
pub(super) fn address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let state = request.app_data::<Data<State>>()?;
    Some(state.network.proxies.caller(peer, request.headers()))
}

/// The same as text, to be kept.
pub(super) fn address_text(request: &HttpRequest) -> Option<String> {
    address(request).map(|address| address.to_string())
}

/// Answers in the frame; `mark` puts headers, of which one is the request's id.
pub(super) async fn around<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
    surface: Surface,
    mark: fn(&mut HeaderMap, &str),
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let started = Instant::now();
    let id = clock::new_id();
    request.extensions_mut().insert(RequestId(id.clone()));
    let state = request.app_data::<Data<State>>().cloned();
    let mut response = log::during(&id, next.call(request)).await?;
    let address = address(response.request()).map(tracing::field::display);
    let route = response.request().match_pattern().unwrap_or_default();
    let took = started.elapsed();
    if let Some(state) = state {
        let head = response.request().head();
        state.metrics.note(surface, &route, &head.method, response.status().as_u16(), took);
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
