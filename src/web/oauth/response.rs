//! Responses of the OAuth endpoints (RFC 6749 sections 5.1 and 5.2), and their entries in the request log.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, HeaderName, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use crate::clock;
use crate::error::{Error, ErrorKind, Reason};
use crate::management::oauth::access_tokens::LiveClient;
use crate::management::request_log::CallTarget;
use crate::messages::render_message;
use crate::model::request::TokenRefusal;
use crate::scim::dialect::DialectNotes;
use crate::web::metrics::{CompletedRequest, Surface};
use crate::web::request_log::{CallerIdentity, RecordedBody, RecordedCall};
use crate::web::request_middleware;
use crate::web::state::AppState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The description of every failed authentication: it does not say whether the client exists.
const AUTHENTICATION_FAILED: &str = "the client could not be authenticated: check the client id, and its secret or assertion; the request log of the connection has the reason";

/// The answer of an endpoint.
#[derive(Debug)]
pub(super) struct OauthAnswer {
    status: u16,
    /// `None` for a response without a body.
    body: Option<Value>,
    error: Option<Error>,
    /// Whether the response asks for HTTP Basic.
    asks_for_basic: bool,
    /// The configuration in whose request log the request is.
    target: Option<CallTarget>,
    /// The request without secrets.
    request: String,
}

impl OauthAnswer {
    /// A successful request of a client.
    pub(super) fn succeeded(body: Option<Value>, client: &LiveClient) -> Self {
        let target = Some(CallTarget::Key(client.owner.key));
        Self { status: 200, body, error: None, asks_for_basic: false, target, request: String::new() }
    }

    /// A failed request with an error code of RFC 6749.
    pub(super) fn failed(error: Error, code: &str) -> Self {
        crate::web::log_failure(&error);
        let is_client = code == "invalid_client";
        let is_hidden = is_client || code == "invalid_grant";
        let description = if is_hidden { AUTHENTICATION_FAILED.to_owned() } else { render_message(&error) };
        let status = match error.kind() {
            _ if is_client => 401,
            ErrorKind::Unauthenticated => 400,
            kind => kind.status(),
        };
        let body = json!({"error": code, "error_description": description});
        let (body, error) = (Some(body), Some(error));
        Self { status, body, error, asks_for_basic: false, target: None, request: String::new() }
    }

    /// The same in the request log of this configuration.
    pub(super) fn logged_for(self, target: Option<CallTarget>) -> Self {
        Self { target: target.or(self.target), ..self }
    }

    /// The same with the request, without secrets.
    pub(super) fn with_request(self, request: String) -> Self {
        Self { request, ..self }
    }

    /// The same; a refused authentication asks for HTTP Basic if the request had it (RFC 6749 section 5.2).
    pub(super) fn asking_for_basic(self, asks: bool) -> Self {
        Self { asks_for_basic: asks && self.status == 401, ..self }
    }
}

/// A request to one of the endpoints.
pub(super) struct OauthCall<'r> {
    request: &'r HttpRequest,
    state: &'r AppState,
    /// Path of the endpoint.
    route: &'static str,
    request_id: String,
    started: Instant,
}

impl<'r> OauthCall<'r> {
    /// Begins a request.
    pub(super) fn begin(request: &'r HttpRequest, state: &'r AppState, route: &'static str) -> Self {
        Self { request, state, route, request_id: clock::new_id(), started: Instant::now() }
    }

    /// The id of the request.
    pub(super) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Records the request and returns its response.
    pub(super) fn respond(self, answer: OauthAnswer) -> HttpResponse {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        response.insert_header((REQUEST_ID, self.request_id.as_str()));
        response.insert_header((CACHE_CONTROL, "no-store"));
        response.insert_header((PRAGMA, "no-cache"));
        if let Some(seconds) = answer.error.as_ref().and_then(Error::retry_seconds) {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if answer.asks_for_basic {
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"oauth\", charset=\"UTF-8\""));
        }
        match answer.status {
            405 => {
                response.insert_header((ALLOW, "POST"));
            }
            // The rest of the body is not read.
            408 | 413 => {
                response.force_close();
            }
            _ => {}
        }
        let body = answer.body.clone();
        self.record(answer);
        match body {
            Some(body) => response.json(body),
            None => response.finish(),
        }
    }

    /// Writes the log line and the metrics, and records the call in the request log of the configuration.
    fn record(self, answer: OauthAnswer) {
        let (request, took) = (self.request, self.started.elapsed());
        let address = request_middleware::caller_address(request);
        let status = answer.status;
        let completed =
            CompletedRequest { surface: Surface::Scim, route: self.route, method: request.method(), status, took };
        self.state.metrics.record_request(&completed);
        crate::log::write_request_line(&self.request_id, |line| {
            line.text("method", request.method().as_str());
            line.text("route", self.route);
            line.address("address", address);
            line.number("status", status.into());
            line.optional_text("reason", answer.error.as_ref().map(|error| error.reason().code()));
            line.duration(took);
        });
        let Some(configuration) = answer.target else { return };
        let has_expired = answer.error.as_ref().is_some_and(|error| error.reason() == Reason::ClientSecretExpired);
        let refusal = has_expired.then_some(TokenRefusal::ExpiredSecret);
        let response = answer.body.map(hide_token).map(|body| RecordedBody::from_redacted(body.to_string()));
        self.state.usage.calls.record(RecordedCall {
            replay: None,
            caller: CallerIdentity::TokenRequest { configuration, refusal },
            request_id: self.request_id,
            address,
            at: clock::current_millis(),
            duration: took,
            method: request.method().clone(),
            uri: request.uri().clone(),
            status,
            scim_type: "",
            error: answer.error,
            resource_type: None,
            resource: None,
            notes: DialectNotes::default(),
            is_successful_write: false,
            request_body: RecordedBody::from_redacted(answer.request),
            response_body: response.unwrap_or_default(),
        });
    }
}

/// Returns a response without its access token.
fn hide_token(mut body: Value) -> Value {
    if let Some(token) = body.get_mut("access_token") {
        *token = "***".into();
    }
    body
}
