//! Answers of the management API, and the one place where an error becomes one.

use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::openapi::{Content, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::error::Error;

/// What a handler gives.
pub(super) type Answered = Result<HttpResponse, Refusal>;

/// The body of every refusal.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Error)]
pub(super) struct Problem {
    /// What is wrong, in sentences that name the field and the fix
    #[schema(min_items = 1)]
    errors: Vec<String>,
    /// `RC-` and a number that stays the same between versions
    #[schema(pattern = "^RC-[0-9]{5}$")]
    error_code: String,
    /// The HTTP status once more
    #[schema(minimum = 400, maximum = 599)]
    status_code: u16,
    /// The sentences as one text
    message: String,
}

/// A refused call.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) errors: Vec<String>,
    /// Seconds after which to try again.
    pub(super) retry_after: Option<u64>,
    /// The methods that are served, where another one was tried.
    pub(super) allow: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, error: impl Into<String>) -> Self {
        // What is unavailable now is a moment later, more often than not.
        let retry_after = (status == 503).then_some(1);
        Self { status, errors: vec![error.into()], retry_after, allow: None }
    }

    /// 400: something in the request cannot be used; the text names it and the fix.
    pub(super) fn bad(error: impl Into<String>) -> Self {
        Self::new(400, error)
    }

    /// 403: the caller is known and may not do it.
    pub(super) fn forbidden(error: impl Into<String>) -> Self {
        Self::new(403, error)
    }

    /// The one 401, whatever was wrong with the credentials.
    pub(super) fn unauthorized() -> Self {
        Self::new(401, "the request needs an environment token, an API key or a user token that is valid now")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.errors.join("; "))
    }
}

impl ResponseError for Refusal {
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
        // What is left of the body will not be read.
        if matches!(self.status, 408 | 413) {
            response.force_close();
        }
        response.json(Problem {
            errors: self.errors.clone(),
            error_code: format!("RC-{:05}", self.status),
            status_code: self.status,
            message: self.errors.join("; "),
        })
    }
}

impl From<Error> for Refusal {
    /// An error as the caller may see it; what concerns the operator goes to the log.
    fn from(error: Error) -> Self {
        match error {
            Error::Scim(refused) => Self::new(refused.status, refused.detail),
            Error::NotFound(detail) => Self::new(404, detail),
            Error::Conflict(detail) => Self::new(409, detail),
            Error::Refused(detail) => Self::new(400, detail),
            Error::Busy => Self::new(503, "the server has too much to do; try again in a moment"),
            Error::DiskFull => Self::new(507, "the server has no room left; nothing was changed"),
            Error::ScanTooLong => Self::new(400, "the query takes too long; ask for less"),
            Error::Database(problem) => {
                tracing::error!(problem, "the database refused a statement");
                Self::new(503, "the server cannot use its database at present; nothing was changed")
            }
        }
    }
}

/// 200 with a document.
pub(super) fn document(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

/// 201 with a document.
pub(super) fn created(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Created().json(body)
}

/// 204.
pub(super) fn done() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// What every call that only reads may be refused with.
pub(super) struct ReadRefusals;

/// What every call that changes something may be refused with.
pub(super) struct WriteRefusals;

const READ: &[(u16, &str)] = &[
    (400, "A parameter cannot be used; the error names it and the fix."),
    (401, "No credentials, or none that are valid now."),
    (403, "The caller lacks the permission, or the account is not the caller's."),
    (404, "Nothing of that id is within the caller's reach."),
    (429, "Too many requests with wrong credentials came from this address."),
    (503, "The server is busy or cannot use its database; Retry-After says when to come again."),
];

const WRITE: &[(u16, &str)] = &[
    (408, "The body did not arrive in time."),
    (409, "The name is taken, or the state does not allow it."),
    (413, "The body is too large."),
    (415, "The body is not JSON."),
    (422, "The Idempotency-Key was used for another request."),
    (507, "The server has no room left; nothing was changed."),
];

fn refusals<'r>(listed: impl IntoIterator<Item = &'r (u16, &'r str)>) -> BTreeMap<String, RefOr<Response>> {
    let response = |description: &str| {
        let content = Content::new(Some(RefOr::Ref(utoipa::openapi::Ref::from_schema_name("Error"))));
        ResponseBuilder::new().description(description).content("application/json", content).build()
    };
    listed.into_iter().map(|(status, description)| (status.to_string(), response(description).into())).collect()
}

impl IntoResponses for ReadRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(READ)
    }
}

impl IntoResponses for WriteRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(READ.iter().chain(WRITE))
    }
}

/// The schema that every refusal refers to.
pub(super) fn problem_schema() -> (String, RefOr<utoipa::openapi::schema::Schema>) {
    (Problem::name().into_owned(), Problem::schema())
}
