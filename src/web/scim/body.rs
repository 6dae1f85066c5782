//! Bodies of SCIM requests: the type is checked before a byte is read, and JSON is read strictly.

use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpMessage, HttpRequest};
use serde_json::Value;

use crate::scim::{Error, json};
use crate::web::aside::block;
use crate::web::body::{self, content_type};
use crate::web::limits::PARSE_ASIDE_BYTES;
use crate::web::requests::Kept;
use crate::web::state::State;

/// Reads and parses the body.
///
/// # Errors
/// 415 for another content type or a compressed body, 413 above the limit (at once where the length is announced),
/// 408 where it does not arrive in time, 400 invalidSyntax where it is no JSON.
pub(super) async fn read(request: &HttpRequest, payload: Payload, strict: bool) -> Result<Value, Error> {
    check_type(content_type(request), strict)?;
    let bytes = body::read(request, payload, max_bytes(request)).await?.freeze();
    let (value, kept) = if bytes.len() < PARSE_ASIDE_BYTES {
        parse(bytes)
    } else {
        block(move || parse(bytes)).await.map_err(|_| Error::plain(503, "the server is stopping"))?
    };
    request.extensions_mut().insert(kept);
    value
}

/// Largest body.
pub(super) fn max_bytes(request: &HttpRequest) -> usize {
    request.app_data::<Data<State>>().map_or(0, |state| state.network.body_max_bytes)
}

/// The document, and what the request log keeps of it: it finds that among the request's extensions.
fn parse(bytes: Bytes) -> (Result<Value, Error>, Kept) {
    let value = json::read(&bytes);
    let kept = Kept::request(bytes, value.as_ref().ok());
    (value, kept)
}

/// SCIM JSON, plain JSON, or no type at all (RFC 7644 sections 3.1 and 8.1), with any parameters. The interop profile
/// wants SCIM JSON.
fn check_type(essence: &str, strict: bool) -> Result<(), Error> {
    if strict && !essence.eq_ignore_ascii_case("application/scim+json") {
        return Err(Error::plain(415, "the content type must be application/scim+json"));
    }
    let known = ["application/scim+json", "application/json"];
    if essence.is_empty() || known.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(Error::plain(415, "the content type must be application/scim+json or application/json"))
}
