//! Responses of the management API, and the conversion of errors to responses.

use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::openapi::{Content, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::error::{Error, ErrorDetail, ErrorKind, Reason};
use crate::messages::{render_message, template_of};
use crate::scim::ScimType;

/// The result of a handler.
pub(super) type ApiResult = Result<HttpResponse, ApiError>;

/// The body of every error response.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Error)]
pub(super) struct ApiErrorBody {
    /// Messages that name the invalid field and the fix
    #[schema(min_items = 1)]
    errors: Vec<String>,
    /// The reason, such as `connection_name_taken`. Codes do not change between versions; `docs/errors.md` lists them
    #[schema(pattern = "^[a-z][a-z0-9_]*$")]
    error_code: String,
    /// The HTTP status code
    #[schema(minimum = 400, maximum = 599)]
    status_code: u16,
    /// All messages as one text
    message: String,
}

/// An error response.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    /// The stable code of the reason.
    pub(super) code: &'static str,
    pub(super) errors: Vec<String>,
    /// `Retry-After` in seconds.
    pub(super) retry_after: Option<u64>,
    /// The `Allow` header, for 405.
    pub(super) allow: Option<String>,
}

impl ApiError {
    /// An error with this status and one message.
    pub(super) fn new(status: u16, error: impl Into<String>) -> Self {
        // Most causes of a 503 last for less than a second.
        let retry_after = (status == 503).then_some(1);
        Self { status, code: generic_code(status), errors: vec![error.into()], retry_after, allow: None }
    }

    /// 400: the request is not valid. The message names the field and the fix.
    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(400, error)
    }

    /// 403: the caller is authenticated but lacks the permission.
    pub(super) fn forbidden(error: impl Into<String>) -> Self {
        Self::new(403, error)
    }

    /// The message and the code of a reason.
    fn from_detail(status: u16, detail: &ErrorDetail) -> Self {
        Self { code: detail.reason().code(), ..Self::new(status, render_message(detail)) }
    }

    /// 401. The message is the same for every problem with credentials.
    pub(super) fn unauthorized() -> Self {
        Self::new(401, "the request needs a valid environment token, API key or user token")
    }
}

/// The code of an error that has no reason of its own.
const GENERIC_CODES: &[(u16, &str)] = &[
    (400, "invalid_request"),
    (401, "unauthenticated"),
    (403, "forbidden"),
    (404, "not_found"),
    (405, "method_not_allowed"),
    (408, "request_timeout"),
    (409, "conflict"),
    (410, "gone"),
    (413, "body_too_large"),
    (414, "url_too_long"),
    (415, "unsupported_media_type"),
    (422, "idempotency_key_reused"),
    (429, "rate_limited"),
    (503, "unavailable"),
    (507, "disk_full"),
];

/// Every error code with its status and its message: codes of single reasons, of SCIM errors, and general ones.
pub fn list_error_codes() -> Vec<(&'static str, u16, &'static str)> {
    let status = |kind| match kind {
        ErrorKind::Invalid => 400,
        ErrorKind::NotFound => 404,
        ErrorKind::Conflict => 409,
    };
    let reasons = Reason::ALL.iter().map(|&reason| (reason.code(), status(reason.kind()), template_of(reason)));
    let of_scim = ScimType::ALL
        .into_iter()
        .map(|of| (of.code(), of.status(), "the request breaks a rule of SCIM; the message names it"));
    let general = GENERIC_CODES.iter().map(|&(status, code)| (code, status, "any other cause; the message names it"));
    let query = [("query_too_long", 400, "the query takes too long; make it more specific")];
    reasons.chain(of_scim).chain(general).chain(query).collect()
}

fn generic_code(status: u16) -> &'static str {
    GENERIC_CODES.iter().find(|(of, _)| *of == status).map_or("internal_error", |(_, code)| code)
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.errors.join("; "))
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if self.status == 401 {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"management\""));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        // The rest of the body is not read.
        if matches!(self.status, 408 | 413) {
            response.force_close();
        }
        response.json(ApiErrorBody {
            errors: self.errors.clone(),
            error_code: self.code.to_owned(),
            status_code: self.status,
            message: self.errors.join("; "),
        })
    }
}

impl From<Error> for ApiError {
    /// Converts an error to a response. Details of database errors are only logged.
    fn from(error: Error) -> Self {
        match error {
            Error::Scim(error) => {
                let code = error.scim_type.map_or_else(|| generic_code(error.status), ScimType::code);
                Self { code, ..Self::new(error.status, error.detail) }
            }
            Error::NotFound(detail) => Self::from_detail(404, &detail),
            Error::Conflict(detail) => Self::from_detail(409, &detail),
            Error::Refused(detail) => Self::from_detail(400, &detail),
            Error::Busy => Self::new(503, "the server is busy; try again in a few seconds"),
            Error::DiskFull => Self::new(507, "the disk of the server is full; nothing was changed"),
            Error::ScanTooLong => {
                Self { code: "query_too_long", ..Self::new(400, "the query takes too long; make it more specific") }
            }
            Error::Database(problem) => {
                tracing::error!(problem, "a database statement failed");
                Self::new(503, "the server cannot use its database at present; nothing was changed")
            }
        }
    }
}

/// Returns 200 with a JSON document.
pub(super) fn json_response(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

/// Returns 201 with a JSON document.
pub(super) fn created_response(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Created().json(body)
}

/// Returns 204.
pub(super) fn no_content_response() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// The error responses of operations that only read.
pub(super) struct ReadErrors;

/// The error responses of operations that write.
pub(super) struct WriteErrors;

const READ_STATUSES: &[(u16, &str)] = &[
    (400, "A parameter is not valid; the error names it and the fix."),
    (401, "The credentials are absent or not valid."),
    (403, "The caller lacks the permission or has no access to the account."),
    (404, "Nothing with this id exists, or it belongs to another account."),
    (429, "Too many requests with wrong credentials came from this address."),
    (503, "The server is busy or its database is unavailable; try again after the time in Retry-After."),
];

const WRITE_STATUSES: &[(u16, &str)] = &[
    (408, "The body did not arrive in time."),
    (409, "The name is already in use, or the current state does not allow the change."),
    (413, "The body is too large."),
    (415, "The body is not JSON."),
    (422, "The Idempotency-Key was used for another request."),
    (507, "The disk of the server is full; nothing was changed."),
];

fn build_error_responses<'r>(
    listed: impl IntoIterator<Item = &'r (u16, &'r str)>,
) -> BTreeMap<String, RefOr<Response>> {
    let response = |description: &str| {
        let content = Content::new(Some(RefOr::Ref(utoipa::openapi::Ref::from_schema_name("Error"))));
        ResponseBuilder::new().description(description).content("application/json", content).build()
    };
    listed.into_iter().map(|(status, description)| (status.to_string(), response(description).into())).collect()
}

impl IntoResponses for ReadErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        build_error_responses(READ_STATUSES)
    }
}

impl IntoResponses for WriteErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        build_error_responses(READ_STATUSES.iter().chain(WRITE_STATUSES))
    }
}

/// Returns the name and the schema of the body of error responses.
pub(super) fn describe_error_schema() -> (String, RefOr<utoipa::openapi::schema::Schema>) {
    (ApiErrorBody::name().into_owned(), ApiErrorBody::schema())
}
