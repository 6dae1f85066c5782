//! Calls from pages of other origins (the Fetch standard's CORS protocol), for those that the operator has named.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::web::state::State;

/// How long a browser may remember the answer to its question, in seconds.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");
/// The headers of ours that a page may read.
const READABLE: HeaderValue =
    HeaderValue::from_static("frontegg-trace-id, x-request-id, www-authenticate, retry-after, etag, location");

/// The middleware around every place. It decides nothing about who may call: that is what the credentials are for.
pub(super) async fn around<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let named = origin(&request);
    let asked = preflight(&request);
    let is_used = request.app_data::<Data<State>>().is_some_and(|state| !state.callers.allowed_origins.is_empty());
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    if is_used {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = named {
        allow(headers, origin, asked);
    }
    Ok(response)
}

/// The origin of the page, where it is one of those that are named.
fn origin(request: &ServiceRequest) -> Option<HeaderValue> {
    let origin = request.headers().get(header::ORIGIN)?;
    let state = request.app_data::<Data<State>>()?;
    let is_named = state.callers.allowed_origins.iter().any(|named| named.as_bytes() == origin.as_bytes());
    is_named.then(|| origin.clone())
}

/// Where the browser only asks whether it may call: the headers that it wants to send, maybe none.
fn preflight(request: &ServiceRequest) -> Option<HeaderValue> {
    let headers = request.headers();
    let is_question =
        *request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    is_question.then(|| wanted.unwrap_or(HeaderValue::from_static("")))
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue, asked: Option<HeaderValue>) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    // Browser clients of this API send `credentials: include`; no cookie opens anything here.
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, READABLE);
    let Some(wanted) = asked else { return };
    // The origin is trusted with whatever it sends.
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED);
    if let Some(methods) = headers.get(header::ALLOW).cloned() {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
}
