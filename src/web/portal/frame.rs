//! What goes around every page: an id, a log line, and headers.

use std::time::Instant;

use actix_web::HttpMessage;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use super::page;
use crate::clock;

/// The id of a request, in its extensions.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// The middleware around every page.
pub(super) async fn around<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let started = Instant::now();
    let id = clock::new_id();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.call(request).await?;
    let route = response.request().match_pattern().unwrap_or_default();
    tracing::info!(
        target: "rollcall::request",
        request_id = id,
        method = response.request().method().as_str(),
        route,
        status = response.status().as_u16(),
        duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        "request"
    );
    page::mark(response.headers_mut(), &id);
    Ok(response)
}
