//! Answers under a SCIM path, and the one place where an error becomes one.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder};
use serde_json::Value;

use super::document::Pieces;
use super::route::Route;
use super::sliced::Sliced;
use crate::clock;
use crate::error::Error;
use crate::scim;
use crate::scim::dialect::Notes;
use crate::web::requests::{Call, Kept, Who};

const SCIM_JSON: &str = "application/scim+json";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a handler answers.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Body,
    pub(super) etag: Option<String>,
    pub(super) location: Option<String>,
    pub(super) allow: Option<&'static str>,
    pub(super) notes: Notes,
    pub(super) scim_type: &'static str,
    /// Seconds after which to try again.
    pub(super) retry_after: Option<u64>,
    /// The configuration of an authenticated caller.
    pub(super) configuration: Option<Arc<str>>,
    /// Who called, for the request log of the configuration; none where nobody's log is concerned.
    pub(super) who: Option<Who>,
    /// What became of the operations of a bulk job.
    pub(super) bulk: Option<Counts>,
}

/// Operations of a bulk job, counted; what is left was not reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) operations: usize,
    pub(super) succeeded: usize,
    pub(super) failed: usize,
}

/// What an answer carries.
#[derive(Default)]
pub(super) enum Body {
    #[default]
    Empty,
    Bytes(Vec<u8>),
    Pieces(Pieces),
}

impl Answer {
    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A document.
    pub(super) fn document(status: u16, bytes: Vec<u8>) -> Self {
        Self { status, body: Body::Bytes(bytes), ..Self::default() }
    }

    /// A document that is at hand as a value.
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self::document(status, value.to_string().into_bytes())
    }

    /// Whether anything was done.
    pub(super) fn is_done(&self) -> bool {
        self.status < 300 && self.bulk.is_none_or(|counts| counts.succeeded > 0)
    }

    /// Length of the body where it is known.
    pub(super) fn length(&self) -> u64 {
        match &self.body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Empty | Body::Pieces(_) => 0,
        }
    }

    /// The call that led to it, for the request log; without the id of the request and the address it came from. Takes the notes.
    pub(super) fn call(&mut self, who: Who, request: &HttpRequest, route: Route, took: Duration) -> Call {
        let method = request.method();
        let wrote = route.writes(method) && self.is_done() && matches!(who, Who::Caller { .. });
        let made = if self.status == 201 { self.location.clone() } else { None };
        let (resource_type, id) = route.into_target();
        Call {
            who,
            request_id: String::new(),
            address: None,
            at: clock::now(),
            took,
            method: method.clone(),
            uri: request.uri().clone(),
            status: self.status,
            scim_type: self.scim_type,
            resource_type,
            resource: id.or(made),
            notes: std::mem::take(&mut self.notes),
            wrote,
            sent: request.extensions_mut().remove::<Kept>().unwrap_or_default(),
            answered: match &self.body {
                Body::Bytes(bytes) => Kept::response(bytes),
                Body::Empty | Body::Pieces(_) => Kept::default(),
            },
        }
    }

    /// The HTTP answer.
    pub(super) fn respond(self, request: &HttpRequest, request_id: &str) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        response.insert_header((REQUEST_ID, request_id));
        response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        self.insert_headers(&mut response, request);
        match self.body {
            Body::Empty => response.finish(),
            Body::Bytes(bytes) => response.content_type(content_type(request)).body(Sliced::from(bytes)),
            Body::Pieces(pieces) => response
                .content_type(content_type(request))
                .streaming(futures_util::stream::iter(pieces.map(Ok::<_, std::convert::Infallible>))),
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
            // What is left of the body will not be read.
            408 | 413 => {
                response.force_close();
            }
            _ => {}
        }
    }
}

/// The SCIM type, unless the client takes plain JSON only (RFC 7644 section 3.8).
fn content_type(request: &HttpRequest) -> &'static str {
    let Some(accept) = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
        return SCIM_JSON;
    };
    let takes = |wanted: &str| {
        accept.split(',').any(|range| range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted))
    };
    if takes("application/json") && !takes(SCIM_JSON) && !takes("*/*") && !takes("application/*") {
        return "application/json";
    }
    SCIM_JSON
}

/// An error as the caller may see it; what concerns the operator goes to the log.
pub(super) fn shown(error: Error) -> scim::Error {
    match error {
        Error::Scim(error) => error,
        Error::NotFound(detail) => scim::Error::plain(404, detail),
        Error::Conflict(detail) => scim::Error::plain(409, detail),
        Error::Refused(detail) => scim::Error::value(detail),
        Error::Busy => scim::Error::plain(503, "the server has too much to do; try again in a moment"),
        Error::DiskFull => scim::Error::plain(507, "the server has no room left; nothing was changed"),
        Error::ScanTooLong => scim::Error::bad(
            scim::ScimType::TooMany,
            "the query takes too long; ask for less, or for an indexed attribute",
        ),
        Error::Database(problem) => {
            tracing::error!(problem, "the database refused a statement");
            scim::Error::plain(503, "the server cannot use its database at present; nothing was changed")
        }
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        shown(error).into()
    }
}

impl From<scim::Error> for Answer {
    fn from(error: scim::Error) -> Self {
        let mut answer = Self::json(error.status, &error.body());
        answer.scim_type = error.scim_type.map_or("", scim::ScimType::as_str);
        // What is unavailable now is a moment later, more often than not.
        answer.retry_after = (error.status == 503).then_some(1);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_inside_stays_inside() {
        let answer = Answer::from(Error::Database("no such column: secret".to_owned()));
        let Body::Bytes(bytes) = &answer.body else { panic!("an error has a body") };
        let text = String::from_utf8_lossy(bytes);
        assert!(answer.status == 503 && text.contains("nothing was changed") && !text.contains("secret"), "{text}");
    }
}
