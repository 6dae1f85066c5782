//! What goes around every call of the management API: an id, a log line, and headers.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;

use crate::web::frame;
use crate::web::metrics::Surface;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The name under which clients of the configuration API look for the id.
const TRACE_ID: HeaderName = HeaderName::from_static("frontegg-trace-id");

/// The middleware around every place.
pub(super) async fn around<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    frame::around(request, next, Surface::Management, mark).await
}

/// Puts the headers of every answer.
pub(super) fn mark(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id.clone());
        headers.insert(TRACE_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
