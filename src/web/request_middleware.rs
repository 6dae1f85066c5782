//! Middleware of the management API and the portal: request id, log line and metrics. Also the middleware of every
//! request, and the caller address of a request.

use std::cell::RefCell;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderValue, STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use pin_project_lite::pin_project;

use crate::web::metrics::{CompletedRequest, Surface};
use crate::web::network::ActiveRequest;
use crate::web::public_url::is_https;
use crate::web::state::AppState;
use crate::{clock, log};

/// Value of `Strict-Transport-Security`: one year. Without `includeSubDomains` by default, because subdomains may belong
/// to other services.
const STRICT_TRANSPORT_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// The same for subdomains too.
const STRICT_TRANSPORT_SUBDOMAINS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

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
    let route = response.request().match_pattern().unwrap_or_default();
    let took = started.elapsed();
    if let Some(state) = state {
        let head = response.request().head();
        let status = response.status().as_u16();
        state.metrics.record_request(&CompletedRequest { surface, route: &route, method: &head.method, status, took });
    }
    log::write_request_line(&id, |line| {
        line.text("method", response.request().method().as_str());
        line.text("route", &route);
        line.address("address", caller_address(response.request()));
        line.number("status", response.status().as_u16().into());
        line.duration(took);
    });
    mark(response.headers_mut(), &id);
    Ok(response)
}

/// Middleware of every request. It records that the connection is in use, bounds an unread body, and adds
/// `Strict-Transport-Security` (RFC 6797) to every response if the public URL is HTTPS.
pub async fn wrap_every_request<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<TrackedBody<B>>, actix_web::Error> {
    let active = ActiveRequest::begin(request.request());
    let state = request.app_data::<Data<AppState>>().filter(|state| is_https(&state.server.public_url()));
    let strict_transport = state.map(|state| {
        if state.server.settings.portal.hsts_subdomains { STRICT_TRANSPORT_SUBDOMAINS } else { STRICT_TRANSPORT_YEAR }
    });
    let (request, unread) = share_chunked_payload(request);
    let mut response = next.call(request).await?;
    if let Some(value) = strict_transport {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, value);
    }
    Ok(response.map_body(|_, body| TrackedBody { body, _active: active, _unread: unread }))
}

/// The body of a request, which the handler and the response share.
type SharedPayload = Rc<RefCell<Payload>>;

pin_project! {
    /// A response body, with what lasts until it is sent: the request of its connection, and an unread body. Dropping it
    /// ends the request.
    pub struct TrackedBody<B> {
        #[pin]
        body: B,
        _active: ActiveRequest,
        _unread: Option<SharedPayload>,
    }
}

impl<B: MessageBody> MessageBody for TrackedBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.project().body.poll_next(context)
    }
}

/// Shares the body of a chunked request with its response. If the handler dropped it, actix would read the rest without a
/// limit. While it exists, actix closes the connection after the response if the body is not complete.
fn share_chunked_payload(request: ServiceRequest) -> (ServiceRequest, Option<SharedPayload>) {
    if !request.headers().contains_key(TRANSFER_ENCODING) {
        return (request, None);
    }
    let (http, payload) = request.into_parts();
    let shared = Rc::new(RefCell::new(payload));
    let reader = Rc::clone(&shared);
    let stream = poll_fn(move |context| reader.borrow_mut().poll_next_unpin(context));
    (ServiceRequest::from_parts(http, Payload::Stream { payload: Box::pin(stream) }), Some(shared))
}
