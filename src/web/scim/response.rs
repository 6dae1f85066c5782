//! SCIM responses, and the conversion of errors to responses.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder};
use serde_json::{Value, json};

use crate::clock;
use crate::error::{Error, ErrorKind, Reason, ScimType};
use crate::messages::render_message;
use crate::model::request::LOGGED_BODY_MAX_BYTES;
use crate::model::switches::ResponseMediaType;
use crate::scim::dialect::DialectNotes;
use crate::scim::urn;
use crate::web::chunked_body::BodyChunks;
use crate::web::request_log::{CallerIdentity, RecordedBody, RecordedCall};
use crate::web::scim::route::ScimRoute;

const SCIM_JSON: &str = "application/scim+json";
const PLAIN_JSON: &str = "application/json";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The response of a handler.
#[derive(Default)]
pub(super) struct ScimResponse {
    pub(super) status: u16,
    pub(super) body: ResponseBody,
    pub(super) etag: Option<String>,
    pub(super) location: Option<String>,
    pub(super) allow: Option<&'static str>,
    pub(super) notes: DialectNotes,
    pub(super) scim_type: &'static str,
    /// Why the request failed.
    pub(super) error: Option<Error>,
    /// Whether the scope of the access token does not include the request (RFC 6750 section 3.1).
    pub(super) is_scope_insufficient: bool,
    /// Value of Retry-After, in seconds.
    pub(super) retry_after: Option<u64>,
    /// Content type of the body, by the switch of the configuration.
    pub(super) media_type: ResponseMediaType,
    /// The configuration of an authenticated caller.
    pub(super) configuration: Option<Arc<str>>,
    /// The caller, for the request log of the configuration; none if the call belongs to no configuration.
    pub(super) caller: Option<CallerIdentity>,
    /// Counts of a bulk request.
    pub(super) bulk: Option<BulkCounts>,
}

/// Counts of the operations in a bulk request. The rest was not processed.
#[derive(Debug, Clone, Copy)]
pub(super) struct BulkCounts {
    pub(super) operations: usize,
    pub(super) succeeded: usize,
    pub(super) failed: usize,
}

/// The body of a response.
#[derive(Default)]
pub(super) enum ResponseBody {
    #[default]
    Empty,
    Bytes(Vec<u8>),
    /// A document that several responses have.
    Shared(Bytes),
    Chunks(BodyChunks),
}

impl ScimResponse {
    /// A response without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A response with a rendered document.
    pub(super) fn document(status: u16, bytes: Vec<u8>) -> Self {
        Self { status, body: ResponseBody::Bytes(bytes), ..Self::default() }
    }

    /// A response with a JSON value.
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self::document(status, value.to_string().into_bytes())
    }

    /// Returns whether the request had an effect.
    pub(super) fn has_effect(&self) -> bool {
        self.status < 300 && self.bulk.is_none_or(|counts| counts.succeeded > 0)
    }

    /// Returns the length of the body.
    pub(super) fn length(&self) -> u64 {
        match &self.body {
            ResponseBody::Bytes(bytes) => bytes.len() as u64,
            ResponseBody::Shared(bytes) => bytes.len() as u64,
            ResponseBody::Chunks(chunks) => chunks.length(),
            ResponseBody::Empty => 0,
        }
    }

    /// Returns the call for the request log, without request id and caller address. Moves the notes out of the
    /// response.
    pub(super) fn take_call(
        &mut self,
        caller: CallerIdentity,
        request: &HttpRequest,
        route: ScimRoute,
        took: Duration,
    ) -> RecordedCall {
        let method = request.method();
        let wrote = route.writes(method) && self.has_effect() && matches!(caller, CallerIdentity::Caller { .. });
        let created = if self.status == 201 { self.location.clone() } else { None };
        let (resource_type, id) = route.into_target();
        RecordedCall {
            replay: None,
            caller,
            request_id: String::new(),
            address: None,
            at: clock::current_millis(),
            duration: took,
            method: method.clone(),
            uri: request.uri().clone(),
            status: self.status,
            scim_type: self.scim_type,
            error: self.error.take(),
            resource_type,
            resource: id.or(created),
            notes: std::mem::take(&mut self.notes),
            is_successful_write: wrote,
            request_body: request.extensions_mut().remove::<RecordedBody>().unwrap_or_default(),
            response_body: match &self.body {
                ResponseBody::Bytes(bytes) => RecordedBody::from_response(bytes),
                ResponseBody::Shared(bytes) => RecordedBody::from_shared_response(bytes),
                ResponseBody::Chunks(chunks) => {
                    RecordedBody::from_response_start(chunks.start(LOGGED_BODY_MAX_BYTES), chunks.length())
                }
                ResponseBody::Empty => RecordedBody::default(),
            },
        }
    }

    /// Converts to the HTTP response.
    pub(super) fn into_http(self, request: &HttpRequest, request_id: &str) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        response.insert_header((REQUEST_ID, request_id));
        response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        self.insert_headers(&mut response, request);
        let content_type = self.content_type(request);
        match self.body {
            ResponseBody::Empty => response.finish(),
            ResponseBody::Bytes(bytes) => response.content_type(content_type).body(BodyChunks::from(bytes)),
            ResponseBody::Shared(bytes) => response.content_type(content_type).body(BodyChunks::from(bytes)),
            ResponseBody::Chunks(chunks) => response.content_type(content_type).body(chunks),
        }
    }

    fn content_type(&self, request: &HttpRequest) -> &'static str {
        match self.media_type {
            ResponseMediaType::Negotiated => negotiate_content_type(request),
            ResponseMediaType::Json => PLAIN_JSON,
        }
    }

    fn insert_headers(&self, response: &mut HttpResponseBuilder, request: &HttpRequest) {
        if let Some(etag) = &self.etag {
            response.insert_header((header::ETAG, etag.as_str()));
        }
        if let Some(location) = &self.location {
            response.insert_header((header::LOCATION, location.as_str()));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, allow));
        }
        match self.status {
            401 if request.headers().contains_key(header::AUTHORIZATION) => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"scim\", error=\"invalid_token\""));
            }
            401 => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"scim\""));
            }
            403 if self.is_scope_insufficient => {
                let challenge = "Bearer realm=\"scim\", error=\"insufficient_scope\"";
                response.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            // The rest of the body is not read.
            408 | 413 => {
                response.force_close();
            }
            _ => {}
        }
    }
}

/// Returns SCIM JSON, or plain JSON if the client accepts only that (RFC 7644 section 3.8).
fn negotiate_content_type(request: &HttpRequest) -> &'static str {
    let Some(accept) = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
        return SCIM_JSON;
    };
    let accepts = |media_type: &str| {
        accept
            .split(',')
            .any(|range| range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type))
    };
    if accepts(PLAIN_JSON) && !accepts(SCIM_JSON) && !accepts("*/*") && !accepts("application/*") {
        return PLAIN_JSON;
    }
    SCIM_JSON
}

/// Returns the body of an error response (RFC 7644 section 3.12); `status` is a string there.
pub(super) fn render_error(error: &Error) -> Value {
    let mut body = json!({"schemas": [urn::ERROR], "status": error.status().to_string()});
    if let Some(scim_type) = scim_type_of(error) {
        body["scimType"] = scim_type.as_str().into();
    }
    body["detail"] = render_message(error).into();
    body
}

fn scim_type_of(error: &Error) -> Option<ScimType> {
    error.scim_type().or((error.kind() == ErrorKind::Invalid).then_some(ScimType::InvalidValue))
}

impl From<Reason> for ScimResponse {
    fn from(reason: Reason) -> Self {
        Error::from(reason).into()
    }
}

impl From<Error> for ScimResponse {
    fn from(error: Error) -> Self {
        crate::web::log_failure(&error);
        let mut answer = Self::json(error.status(), &render_error(&error));
        answer.scim_type = scim_type_of(&error).map_or("", ScimType::as_str);
        answer.retry_after = error.retry_seconds();
        answer.is_scope_insufficient = error.reason() == Reason::ScopeInsufficient;
        answer.error = Some(error);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_error_details_are_not_returned() {
        let answer = ScimResponse::from(Error::database("no such column: secret".to_owned()));
        let ResponseBody::Bytes(bytes) = &answer.body else { panic!("an error has a body") };
        let text = String::from_utf8_lossy(bytes);
        assert!(answer.status == 503 && text.contains("nothing was changed") && !text.contains("secret"), "{text}");
    }
}
