//! Request bodies: type, size and time are bounded before a byte is parsed.

use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{self, Bytes, BytesMut, Payload};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;
use serde_json::Value;

use crate::scim::{Error, json};
use crate::web::limits::{BODY_BYTES_PER_SECOND, BODY_DEADLINE, BODY_MAX_BYTES, PARSE_ASIDE_BYTES};
use crate::web::requests::Kept;

/// Reads and parses the body.
///
/// # Errors
/// 415 for another content type or a compressed body, 413 above the limit (at once where the length is announced),
/// 408 where it does not arrive in time, 400 invalidSyntax where it is no JSON.
pub(super) async fn read(request: &HttpRequest, payload: Payload, strict: bool) -> Result<Value, Error> {
    check_type(request, strict)?;
    let announced = announced_length(request)?;
    let deadline = BODY_DEADLINE + Duration::from_secs(announced.unwrap_or(0) / BODY_BYTES_PER_SECOND);
    let bytes = tokio::time::timeout(deadline, collect(payload))
        .await
        .map_err(|_| Error::plain(408, "the body did not arrive in time"))??;
    let bytes = bytes.freeze();
    let (value, kept) = if bytes.len() < PARSE_ASIDE_BYTES {
        parse(bytes)
    } else {
        web::block(move || parse(bytes)).await.map_err(|_| Error::plain(503, "the server is stopping"))?
    };
    request.extensions_mut().insert(kept);
    value
}

/// The document, and what the request log keeps of it: it finds that among the request's extensions.
fn parse(bytes: Bytes) -> (Result<Value, Error>, Kept) {
    let value = json::read(&bytes);
    let kept = Kept::request(bytes, value.as_ref().ok());
    (value, kept)
}

/// SCIM JSON, plain JSON, or no type at all (RFC 7644 sections 3.1 and 8.1), with any parameters. The interop profile
/// wants SCIM JSON.
fn check_type(request: &HttpRequest, strict: bool) -> Result<(), Error> {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("?").trim());
    if let Some(coding) = header(CONTENT_ENCODING)
        && !coding.eq_ignore_ascii_case("identity")
    {
        return Err(Error::plain(415, "compressed bodies are not taken: leave out Content-Encoding"));
    }
    let given = header(CONTENT_TYPE).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if strict && !essence.eq_ignore_ascii_case("application/scim+json") {
        return Err(Error::plain(415, "the content type must be application/scim+json"));
    }
    let known = ["application/scim+json", "application/json"];
    if essence.is_empty() || known.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(Error::plain(415, "the content type must be application/scim+json or application/json"))
}

fn announced_length(request: &HttpRequest) -> Result<Option<u64>, Error> {
    let Some(header) = request.headers().get(CONTENT_LENGTH) else { return Ok(None) };
    let length = header.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    let length = length.ok_or_else(|| Error::syntax("Content-Length is no number"))?;
    if length > BODY_MAX_BYTES as u64 {
        return Err(too_large());
    }
    Ok(Some(length))
}

async fn collect(mut payload: Payload) -> Result<BytesMut, Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Error::syntax("the body broke off or is badly framed"))?;
        if bytes.len() + chunk.len() > BODY_MAX_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large() -> Error {
    Error::too_large(format!("the body is larger than {BODY_MAX_BYTES} bytes; split the request"))
}
