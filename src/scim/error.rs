//! Errors of the SCIM protocol (RFC 7644 section 3.12).

use serde_json::{Value, json};

use super::urn;

/// The `scimType` of an error (RFC 7644 table 9, RFC 9865 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScimType {
    /// The filter cannot be parsed, or its comparison does not fit the attribute type.
    InvalidFilter,
    /// The query is more expensive than the server allows.
    TooMany,
    /// A value that must be unique is already in use.
    Uniqueness,
    /// A read-only or immutable attribute would change.
    Mutability,
    /// The body does not have the structure that the operation requires.
    InvalidSyntax,
    /// A PATCH path cannot be parsed, or the schema does not have the attribute.
    InvalidPath,
    /// A PATCH path selects nothing.
    NoTarget,
    /// A required value is absent, or a value has the wrong type.
    InvalidValue,
    /// The protocol version in the URL is not served.
    InvalidVers,
    /// The cursor was not issued for this query.
    InvalidCursor,
    /// The cursor has expired.
    ExpiredCursor,
    /// The page size changed between pages, or is not a number.
    InvalidCount,
}

impl ScimType {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::InvalidFilter,
        Self::TooMany,
        Self::Uniqueness,
        Self::Mutability,
        Self::InvalidSyntax,
        Self::InvalidPath,
        Self::NoTarget,
        Self::InvalidValue,
        Self::InvalidVers,
        Self::InvalidCursor,
        Self::ExpiredCursor,
        Self::InvalidCount,
    ];

    /// HTTP status of an error with this code (RFC 7644 table 8).
    pub fn status(self) -> u16 {
        if self == Self::Uniqueness { 409 } else { 400 }
    }

    /// The same as a stable code of the management API.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalid_filter",
            Self::TooMany => "too_many",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalid_syntax",
            Self::InvalidPath => "invalid_path",
            Self::NoTarget => "no_target",
            Self::InvalidValue => "invalid_value",
            Self::InvalidVers => "invalid_version",
            Self::InvalidCursor => "invalid_cursor",
            Self::ExpiredCursor => "expired_cursor",
            Self::InvalidCount => "invalid_count",
        }
    }

    /// The value of `scimType` in an error body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
            Self::InvalidVers => "invalidVers",
            Self::InvalidCursor => "invalidCursor",
            Self::ExpiredCursor => "expiredCursor",
            Self::InvalidCount => "invalidCount",
        }
    }
}

/// A rejected request: HTTP status code, `scimType` if the RFC defines one, and a sentence for the administrator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {detail}")]
pub struct ScimError {
    /// HTTP status code (RFC 7644 table 8).
    pub status: u16,
    /// The `scimType`, if the RFC defines one for the case.
    pub scim_type: Option<ScimType>,
    /// One sentence that names the attribute and the fix. It never contains SQL, a file path or a token.
    pub detail: String,
}

impl ScimError {
    /// An error with any status and no `scimType`.
    pub fn with_status(status: u16, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into() }
    }

    /// 400 with a `scimType`.
    pub fn bad_request(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self { status: 400, scim_type: Some(scim_type), detail: detail.into() }
    }

    /// 400 invalidFilter.
    pub fn invalid_filter(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidFilter, detail)
    }

    /// 400 invalidPath.
    pub fn invalid_path(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidPath, detail)
    }

    /// 400 invalidValue.
    pub fn invalid_value(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidValue, detail)
    }

    /// 400 invalidSyntax.
    pub fn invalid_syntax(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidSyntax, detail)
    }

    /// 400 mutability.
    pub fn mutability(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::Mutability, detail)
    }

    /// 400 noTarget.
    pub fn no_target(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::NoTarget, detail)
    }

    /// 409 uniqueness.
    pub fn uniqueness(detail: impl Into<String>) -> Self {
        Self { status: 409, scim_type: Some(ScimType::Uniqueness), detail: detail.into() }
    }

    /// 404 for a resource. The error is the same for ids of other configurations, deleted ids and ids that were never
    /// issued.
    pub fn not_found() -> Self {
        Self::with_status(404, "there is no such resource in this configuration")
    }

    /// 413: the request is larger than the server accepts.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::with_status(413, detail)
    }

    /// The same error with the location in front of its sentence (`Operations[2]: …`).
    #[must_use]
    pub fn with_location(mut self, location: &str) -> Self {
        self.detail = format!("{location}: {}", self.detail);
        self
    }

    /// The error body (RFC 7644 section 3.12); `status` is a string there.
    pub fn body(&self) -> Value {
        let mut body = json!({"schemas": [urn::ERROR], "status": self.status.to_string()});
        if let Some(scim_type) = self.scim_type {
            body["scimType"] = scim_type.as_str().into();
        }
        body["detail"] = self.detail.as_str().into();
        body
    }
}
