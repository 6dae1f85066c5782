//! What a request can get wrong, in the words of RFC 7644 section 3.12.

use serde_json::{Value, json};

use super::urn;

/// The detail word of an error (RFC 7644 table 9, RFC 9865 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScimType {
    /// The filter cannot be parsed, or compares what cannot be compared.
    InvalidFilter,
    /// The query asks for more than the server will work out.
    TooMany,
    /// A value that must be unique is taken.
    Uniqueness,
    /// A read-only or immutable attribute would change.
    Mutability,
    /// The body is not what the operation needs.
    InvalidSyntax,
    /// A PATCH path cannot be parsed or names nothing in the schema.
    InvalidPath,
    /// A PATCH path selects nothing.
    NoTarget,
    /// A value is missing or of the wrong kind.
    InvalidValue,
    /// The protocol version in the URL is not served.
    InvalidVers,
    /// The cursor is not one of this query.
    InvalidCursor,
    /// The cursor is too old.
    ExpiredCursor,
    /// The page size changed during a walk, or is none.
    InvalidCount,
}

impl ScimType {
    /// The word as it stands in an error body.
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

/// A refused request: HTTP status number, detail word where the RFC has one, and a sentence for the administrator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {detail}")]
pub struct Error {
    /// HTTP status code (RFC 7644 table 8).
    pub status: u16,
    /// Detail word, where the RFC defines one for the case.
    pub scim_type: Option<ScimType>,
    /// One sentence that names the attribute and the fix. Never SQL, a path of the machine or a token.
    pub detail: String,
}

impl Error {
    /// Any status without a detail word.
    pub fn plain(status: u16, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into() }
    }

    /// 400 with a detail word.
    pub fn bad(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self { status: 400, scim_type: Some(scim_type), detail: detail.into() }
    }

    /// 400 invalidFilter.
    pub fn filter(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidFilter, detail)
    }

    /// 400 invalidPath.
    pub fn path(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidPath, detail)
    }

    /// 400 invalidValue.
    pub fn value(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidValue, detail)
    }

    /// 400 invalidSyntax.
    pub fn syntax(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidSyntax, detail)
    }

    /// 400 mutability.
    pub fn mutability(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::Mutability, detail)
    }

    /// 400 noTarget.
    pub fn no_target(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::NoTarget, detail)
    }

    /// 409 uniqueness.
    pub fn uniqueness(detail: impl Into<String>) -> Self {
        Self { status: 409, scim_type: Some(ScimType::Uniqueness), detail: detail.into() }
    }

    /// 404 for a resource; foreign, deleted and never issued ids are told apart by nobody.
    pub fn not_found() -> Self {
        Self::plain(404, "there is no such resource in this configuration")
    }

    /// 413: the request is larger than the server takes.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::plain(413, detail)
    }

    /// The same error, its sentence led by where it happened (`Operations[2]: …`).
    #[must_use]
    pub fn within(mut self, place: &str) -> Self {
        self.detail = format!("{place}: {}", self.detail);
        self
    }

    /// The error body (RFC 7644 section 3.12); `status` is a string there.
    pub fn body(&self) -> Value {
        let mut body = json!({"schemas": [urn::ERROR], "status": self.status.to_string()});
        if let Some(word) = self.scim_type {
            body["scimType"] = word.as_str().into();
        }
        body["detail"] = self.detail.as_str().into();
        body
    }
}
