//! Responses of the management API, and the conversion of errors to responses.

use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::{Content, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::error::{Error, Reason};
use crate::messages::{render_message, template_of};
use crate::web::chunked_body::BodyChunks;

/// The result of a handler.
pub(super) type ApiResult = Result<HttpResponse, ApiError>;

/// The body of every error response.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiError)]
pub(super) struct ApiErrorBody {
    /// Messages that name the invalid field and the fix
    #[schema(min_items = 1)]
    errors: Vec<String>,
    /// The reason, such as `connection_name_taken`. Codes do not change between versions; `docs/errors.md` lists them
    #[schema(pattern = "^[a-z][a-z0-9_]*$")]
    error_code: &'static str,
    /// The HTTP status code
    #[schema(minimum = 400, maximum = 599)]
    status_code: u16,
    /// All messages as one text
    message: String,
    /// Only with 410 of the event feed: the position at which to continue, after all users and groups were read again
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    restart_from: Option<String>,
}

/// An error response.
#[derive(Debug)]
pub(super) struct ApiError {
    error: Error,
    /// `Retry-After` in seconds.
    retry_after: Option<u64>,
    /// The `Allow` header, for 405.
    allow: Option<String>,
}

impl ApiError {
    /// Sets `Retry-After`, in seconds.
    pub(super) fn with_retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Sets the `Allow` header.
    pub(super) fn with_allow(self, methods: &str) -> Self {
        Self { allow: Some(methods.to_owned()), ..self }
    }
}

/// Every error code with its status and its message.
pub fn list_error_codes() -> Vec<(&'static str, u16, &'static str)> {
    Reason::ALL.iter().map(|&reason| (reason.code(), reason.kind().status(), template_of(reason))).collect()
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        let status = self.error.status();
        if status == 401 {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"management\""));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        // The rest of the body is not read.
        if matches!(status, 408 | 413) {
            response.force_close();
        }
        response.json(describe_error(&self.error))
    }
}

/// Builds the body of an error response.
pub(super) fn describe_error(error: &Error) -> ApiErrorBody {
    let message = render_message(error);
    ApiErrorBody {
        errors: vec![message.clone()],
        error_code: error.reason().code(),
        status_code: error.status(),
        message,
        restart_from: error.param("restartFrom").map(str::to_owned),
    }
}

impl From<Reason> for ApiError {
    fn from(reason: Reason) -> Self {
        Error::from(reason).into()
    }
}

impl From<Error> for ApiError {
    /// Converts an error to a response. Details of database errors are only logged.
    fn from(error: Error) -> Self {
        crate::web::log_failure(&error);
        let retry_after = error.retry_seconds();
        Self { error, retry_after, allow: None }
    }
}

/// Returns 200 with a JSON document.
pub(super) fn json_response(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

/// Returns 200 with the text of a JSON document, which is sent in slices.
pub(super) fn rendered_response(text: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(BodyChunks::from(text))
}

/// Renders a large JSON document, off the event loop.
pub(super) fn render_json(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|problem| Error::database(format!("a response cannot be rendered: {problem}")))
}

/// Returns stored JSON as a part of a response.
///
/// # Errors
/// The text is not valid JSON.
pub(super) fn embed_json(text: String, subject: &str) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text).map_err(|problem| Error::undecodable(format_args!("stored text of {subject}"), problem))
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
        let content = Content::new(Some(RefOr::Ref(utoipa::openapi::Ref::from_schema_name("ApiError"))));
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
