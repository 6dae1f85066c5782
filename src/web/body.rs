//! Reading of request bodies, with limits of size and time.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::web::{BytesMut, Payload};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::limits::{BODY_BYTES_PER_SECOND, BODY_DEADLINE};
use crate::error::{Error, Reason};

/// Reads a body of at most `max` bytes.
///
/// # Errors
/// 415 for a compressed body; 413 above the limit (at once if Content-Length exceeds it); 408 if the body does not
/// arrive in time; 400 if it is incomplete.
pub(super) async fn read_body(request: &HttpRequest, payload: Payload, max: usize) -> Result<BytesMut, Error> {
    if let Some(coding) = header_text(request, CONTENT_ENCODING)
        && !coding.eq_ignore_ascii_case("identity")
    {
        return Err(Error::new(Reason::BodyCompressed));
    }
    check_announced_length(request, max)?;
    collect_body(payload, max).await
}

/// Returns the content type without parameters; empty if the header is absent.
pub(super) fn read_content_type(request: &HttpRequest) -> &str {
    header_text(request, CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

fn header_text(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    request.headers().get(name).map(|value| value.to_str().unwrap_or("?").trim())
}

fn check_announced_length(request: &HttpRequest, max: usize) -> Result<(), Error> {
    let Some(length) = header_text(request, CONTENT_LENGTH) else { return Ok(()) };
    let length = length.parse::<u64>().map_err(|_| Error::new(Reason::ContentLengthInvalid))?;
    if length > max as u64 {
        return Err(too_large(max));
    }
    Ok(())
}

/// Reads the whole body. The deadline is extended by the bytes received, not by the announced length: a client that
/// stops sending times out soon.
async fn collect_body(mut payload: Payload, max: usize) -> Result<BytesMut, Error> {
    let (mut bytes, started) = (BytesMut::new(), Instant::now());
    loop {
        let extension = Duration::from_secs(bytes.len() as u64 / BODY_BYTES_PER_SECOND);
        let next = timeout_at(started + BODY_DEADLINE + extension, payload.next()).await;
        let Some(chunk) = next.map_err(|_| Error::new(Reason::BodyTimeout))? else {
            break;
        };
        let chunk = chunk.map_err(|_| Error::new(Reason::BodyIncomplete))?;
        if bytes.len() + chunk.len() > max {
            return Err(too_large(max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large(max: usize) -> Error {
    Reason::BodyTooLarge.with("max", max)
}
