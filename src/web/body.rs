//! Request bodies as bytes: size and time are bounded before anybody parses them.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::web::{BytesMut, Payload};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::limits::{BODY_BYTES_PER_SECOND, BODY_DEADLINE};
use crate::scim::Error;

/// Reads the body of at most `max` bytes.
///
/// # Errors
/// 415 for a compressed body, 413 above the limit (at once where the length is announced), 408 where it does not
/// arrive in time, 400 where it breaks off.
pub(super) async fn read(request: &HttpRequest, payload: Payload, max: usize) -> Result<BytesMut, Error> {
    if let Some(coding) = header(request, CONTENT_ENCODING)
        && !coding.eq_ignore_ascii_case("identity")
    {
        return Err(Error::plain(415, "compressed bodies are not taken: leave out Content-Encoding"));
    }
    check_announced_length(request, max)?;
    collect(payload, max).await
}

/// The content type without its parameters; empty where none is given.
pub(super) fn content_type(request: &HttpRequest) -> &str {
    header(request, CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

fn header(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    request.headers().get(name).map(|value| value.to_str().unwrap_or("?").trim())
}

fn check_announced_length(request: &HttpRequest, max: usize) -> Result<(), Error> {
    let Some(length) = header(request, CONTENT_LENGTH) else { return Ok(()) };
    let length = length.parse::<u64>().map_err(|_| Error::syntax("Content-Length is no number"))?;
    if length > max as u64 {
        return Err(too_large(max));
    }
    Ok(())
}

/// Gathers the body. What has arrived buys time for the rest, what was announced does not: who stops sending is given up
/// soon, however much there was to come.
async fn collect(mut payload: Payload, max: usize) -> Result<BytesMut, Error> {
    let (mut bytes, begun) = (BytesMut::new(), Instant::now());
    loop {
        let bought = Duration::from_secs(bytes.len() as u64 / BODY_BYTES_PER_SECOND);
        let next = timeout_at(begun + BODY_DEADLINE + bought, payload.next()).await;
        let Some(chunk) = next.map_err(|_| Error::plain(408, "the body did not arrive in time"))? else { break };
        let chunk = chunk.map_err(|_| Error::syntax("the body broke off or is badly framed"))?;
        if bytes.len() + chunk.len() > max {
            return Err(too_large(max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large(max: usize) -> Error {
    Error::too_large(format!("the body is larger than {max} bytes; split the request"))
}
