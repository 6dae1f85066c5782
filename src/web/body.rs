//! Request bodies as bytes: size and time are bounded before anybody parses them.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::web::{BytesMut, Payload};
use futures_util::StreamExt;

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
    let announced = announced_length(request, max)?;
    let deadline = BODY_DEADLINE + Duration::from_secs(announced.unwrap_or(0) / BODY_BYTES_PER_SECOND);
    tokio::time::timeout(deadline, collect(payload, max))
        .await
        .map_err(|_| Error::plain(408, "the body did not arrive in time"))?
}

/// The content type without its parameters; empty where none is given.
pub(super) fn content_type(request: &HttpRequest) -> &str {
    header(request, CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

fn header(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    request.headers().get(name).map(|value| value.to_str().unwrap_or("?").trim())
}

fn announced_length(request: &HttpRequest, max: usize) -> Result<Option<u64>, Error> {
    let Some(length) = header(request, CONTENT_LENGTH) else { return Ok(None) };
    let length = length.parse::<u64>().map_err(|_| Error::syntax("Content-Length is no number"))?;
    if length > max as u64 {
        return Err(too_large(max));
    }
    Ok(Some(length))
}

async fn collect(mut payload: Payload, max: usize) -> Result<BytesMut, Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
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
