//! Bodies of SCIM requests: the content type is checked before the body is read, and JSON is parsed strictly.

use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest};
use serde_json::Value;

use crate::error::{Error, Reason};
use crate::provisioning::Scope;
use crate::provisioning::resources::build_rules;
use crate::scim::json;
use crate::web::blocking::run_document_work;
use crate::web::body::{self, BodyLimit, ReservedText, read_content_type};
use crate::web::body_budget::BodyOwner;
use crate::web::limits::DOCUMENT_BLOCKING_BYTES;
use crate::web::request_log::RecordedBody;
use crate::web::state::AppState;

/// Reads and parses the body of a request of this configuration.
///
/// # Errors
/// 415 for another content type or a compressed body; 413 above the limit (at once if Content-Length exceeds it); 408
/// if the body does not arrive in time; 400 invalidSyntax if it is not valid JSON; 503 if there is no memory for it now;
/// those of [`run_document_work`].
pub(super) async fn read_json(request: &HttpRequest, payload: Payload, scope: &Scope) -> Result<Value, Error> {
    check_content_type(read_content_type(request), build_rules(scope).strict)?;
    let limit = BodyLimit::new(max_body_bytes(request), Some(BodyOwner::Tenant(scope.work_owner())));
    let bytes = body::read_body(request, payload, limit).await?.freeze();
    let state = request.app_data::<Data<AppState>>();
    let state = state.filter(|_| bytes.len() >= DOCUMENT_BLOCKING_BYTES);
    let text = ReservedText::new(request, bytes);
    let ParsedScimBody { value, logged, text } = match state {
        None => parse_json(text),
        // If the client goes, the reservation lives as long as the work.
        Some(state) => run_document_work(&state.store, scope.work_owner(), move || Ok(parse_json(text))).await?,
    };
    text.store_reservation(request);
    request.extensions_mut().insert(logged);
    value
}

/// Returns the largest accepted body, in bytes.
pub(super) fn max_body_bytes(request: &HttpRequest) -> usize {
    request.app_data::<Data<AppState>>().map_or(0, |state| state.network.body_max_bytes)
}

/// A parsed body.
struct ParsedScimBody {
    value: Result<Value, Error>,
    /// For the request log, which reads it from the request extensions.
    logged: RecordedBody,
    text: ReservedText,
}

fn parse_json(mut text: ReservedText) -> ParsedScimBody {
    let value = match text.reserve_document() {
        Ok(Some(layout)) => json::parse_measured_json(&text.text, &layout),
        Ok(None) => json::parse_json(&text.text),
        Err(refused) => Err(refused),
    };
    let logged = RecordedBody::from_request(text.text.clone(), value.as_ref().ok());
    ParsedScimBody { value, logged, text }
}

/// Accepts SCIM JSON, plain JSON, or no content type (RFC 7644 sections 3.1 and 8.1), with any parameters. The
/// interoperability profile requires SCIM JSON.
fn check_content_type(essence: &str, strict: bool) -> Result<(), Error> {
    if strict && !essence.eq_ignore_ascii_case("application/scim+json") {
        return Err(Reason::ContentTypeUnsupported.with("expected", "application/scim+json"));
    }
    let accepted = ["application/scim+json", "application/json"];
    if essence.is_empty() || accepted.iter().any(|accepted| essence.eq_ignore_ascii_case(accepted)) {
        return Ok(());
    }
    Err(Reason::ContentTypeUnsupported.with("expected", "application/scim+json or application/json"))
}
