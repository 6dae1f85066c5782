//! The error type of the crate: a reason with a stable code, the field it is about, and parameters. It has no sentence: the
//! edges (`web`, `cli`) render one from `messages`. Code matches on [`Reason`] and [`ErrorKind`], never on text.

mod reasons;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

pub use reasons::{Reason, ScimType};

/// Result of the protocol core, the store and the use cases.
pub type Result<T> = std::result::Result<T, Error>;

thread_local! {
    static UNDECODABLE: Cell<bool> = const { Cell::new(false) };
}

/// Class of an error. It decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// An argument, a body or a query is not valid: 400.
    Invalid,
    /// There is no valid credential: 401.
    Unauthenticated,
    /// The credential does not allow the operation: 403.
    Forbidden,
    /// The name, id or path does not exist: 404.
    NotFound,
    /// The path does not support the method: 405.
    MethodNotAllowed,
    /// The body did not arrive in time: 408.
    Timeout,
    /// The state does not allow it, or a unique name is in use: 409.
    Conflict,
    /// The position is no longer stored: 410.
    Gone,
    /// The resource has another version than the request requires: 412.
    PreconditionFailed,
    /// The body, or a part of it, is larger than its limit: 413.
    TooLarge,
    /// The URL is too long: 414.
    UrlTooLong,
    /// The content type or encoding is not supported: 415.
    UnsupportedMediaType,
    /// The idempotency key was used for another request: 422.
    Unprocessable,
    /// There are too many requests: 429.
    RateLimited,
    /// The server does not offer the feature: 501.
    NotImplemented,
    /// The server is busy or not ready; the caller can retry shortly: 503.
    Unavailable,
    /// The disk is full; reads still work: 507.
    DiskFull,
}

impl ErrorKind {
    /// HTTP status code (RFC 9110 section 15).
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::Conflict => 409,
            Self::Gone => 410,
            Self::PreconditionFailed => 412,
            Self::TooLarge => 413,
            Self::UrlTooLong => 414,
            Self::UnsupportedMediaType => 415,
            Self::Unprocessable => 422,
            Self::RateLimited => 429,
            Self::NotImplemented => 501,
            Self::Unavailable => 503,
            Self::DiskFull => 507,
        }
    }
}

/// Why an operation failed. Boxed, so that a `Result` stays small.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Details>);

#[derive(Clone, PartialEq, Eq)]
struct Details {
    reason: Reason,
    field: Option<Cow<'static, str>>,
    location: Option<String>,
    scim_type: Option<ScimType>,
    params: Vec<(&'static str, String)>,
    /// The operator's own sentence.
    sentence: Option<String>,
    /// After how many seconds to try again, if it differs from the usual time of the reason.
    retry_seconds: Option<u64>,
    log_detail: Option<String>,
}

impl Error {
    /// An error without a field and parameters.
    pub fn new(reason: Reason) -> Self {
        Self(Box::new(Details {
            reason,
            field: None,
            location: None,
            scim_type: None,
            params: Vec::new(),
            sentence: None,
            retry_seconds: None,
            log_detail: None,
        }))
    }

    /// The database cannot be used. `detail` is for the log only and must not be sent to a caller.
    pub fn database(detail: impl Into<String>) -> Self {
        let mut error = Self::new(Reason::DatabaseUnavailable);
        error.0.log_detail = Some(detail.into());
        error
    }

    /// Stored content cannot be decoded: the database is damaged. The store rejects writes after the next read or write of
    /// this thread.
    pub fn undecodable(subject: impl fmt::Display, problem: impl fmt::Display) -> Self {
        UNDECODABLE.set(true);
        Self::database(format!("{subject} cannot be decoded: {problem}"))
    }

    /// Whether this thread has read content that cannot be decoded since the last call.
    pub(crate) fn take_undecodable() -> bool {
        UNDECODABLE.replace(false)
    }

    /// Sets a parameter of the message, such as a limit or a name. `Reason::params` has the names.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.params.push((name, value.to_string()));
        self
    }

    /// Sets the sentence of the message, which the operator has written.
    #[must_use]
    pub fn with_sentence(mut self, sentence: String) -> Self {
        self.0.sentence = Some(sentence);
        self
    }

    /// Names the attribute or argument that the error is about, in the spelling of the wire format.
    #[must_use]
    pub fn on_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Names the part of the request that is not valid, such as `Operations[2]`. An outer part comes first.
    #[must_use]
    pub fn within(mut self, part: &str) -> Self {
        self.0.location = Some(match self.0.location.take() {
            Some(inner) => format!("{part}: {inner}"),
            None => part.to_owned(),
        });
        self
    }

    /// Replaces the usual time after which a client may try again.
    #[must_use]
    pub fn with_retry_seconds(mut self, seconds: u64) -> Self {
        self.0.retry_seconds = Some(seconds);
        self
    }

    /// Replaces the `scimType`: an invalid path is `invalidPath` in a PATCH operation, and `invalidFilter` in a filter.
    #[must_use]
    pub fn as_scim_type(mut self, scim_type: ScimType) -> Self {
        self.0.scim_type = Some(scim_type);
        self
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The class.
    pub fn kind(&self) -> ErrorKind {
        self.0.reason.kind()
    }

    /// HTTP status code.
    pub fn status(&self) -> u16 {
        self.kind().status()
    }

    /// After how many seconds a client may try again, if that can help.
    pub fn retry_seconds(&self) -> Option<u64> {
        if self.0.retry_seconds.is_some() {
            return self.0.retry_seconds;
        }
        match self.reason() {
            Reason::DiskFull | Reason::DatabaseDamaged | Reason::DatabaseFileMissing | Reason::DatabaseFileReplaced => {
                Some(60)
            }
            Reason::AccountMoving | Reason::NotReplicated | Reason::ReplicaUnavailable => Some(5),
            Reason::AccountImporting | Reason::AccountMoved => Some(60),
            Reason::DiskStalled | Reason::CheckpointFailing | Reason::TestEventLimited => Some(10),
            Reason::LeaseLost => Some(2),
            // Most causes of a 503 last for less than a second.
            reason => (self.status() == 503 || reason == Reason::QueriesLimited).then_some(1),
        }
    }

    /// The `scimType` of a SCIM error response, if the RFC defines one for the case.
    pub fn scim_type(&self) -> Option<ScimType> {
        self.0.scim_type.or_else(|| self.0.reason.scim_type())
    }

    /// The attribute or argument that the error is about; the usual one of the reason if none was named.
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref().or_else(|| self.0.reason.field())
    }

    /// The part of the request that is not valid.
    pub fn location(&self) -> Option<&str> {
        self.0.location.as_deref()
    }

    /// The operator's own sentence, which replaces that of the reason.
    pub fn sentence(&self) -> Option<&str> {
        self.0.sentence.as_deref()
    }

    /// A parameter of the message.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.0.params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the caller can correct it: an argument is not valid, or the state does not allow it.
    pub fn is_about_input(&self) -> bool {
        matches!(self.kind(), ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Conflict)
    }

    /// Detail for the log, never for a caller.
    pub fn log_detail(&self) -> Option<&str> {
        self.0.log_detail.as_deref()
    }
}

/// Location, code, field and parameters, for logs and tests.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.0.location {
            write!(f, "{location}: ")?;
        }
        f.write_str(self.0.reason.code())?;
        if let Some(field) = &self.0.field {
            write!(f, " field={field}")?;
        }
        self.0.params.iter().try_for_each(|(name, value)| write!(f, " {name}={value:?}"))?;
        self.0.log_detail.iter().try_for_each(|detail| write!(f, " ({detail})"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}
