//! The error type of all layers above the protocol core. It has a reason with a stable code, the field it is about and
//! parameters, but no sentence: the edges (`web`, `cli`) render one from `messages`.

mod reasons;

use std::fmt;

pub use reasons::{ErrorKind, Reason};

use crate::scim;

/// Result of the store and of the use cases.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation failed. The edges convert it to a SCIM error, an API error, a page or a message on the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A protocol rule was violated; the SCIM error says which one.
    #[error(transparent)]
    Scim(#[from] scim::ScimError),
    /// The name or id does not exist.
    #[error("{0}")]
    NotFound(ErrorDetail),
    /// The state does not allow it, or a unique name is in use.
    #[error("{0}")]
    Conflict(ErrorDetail),
    /// An argument of a management call is not valid.
    #[error("{0}")]
    Refused(ErrorDetail),
    /// The write queue is full, or a read waited too long for a reader. The caller can retry shortly.
    #[error("the server is busy")]
    Busy,
    /// The disk is full; reads still work.
    #[error("the disk is full")]
    DiskFull,
    /// A scan exceeded its time limit.
    #[error("the query would take too long")]
    ScanTooLong,
    /// The database cannot be used. The message is for the log only and must not be sent to a caller.
    #[error("database: {0}")]
    Database(String),
}

/// A reason with the field it is about and the parameters of its message. Boxed, so that a `Result` stays small.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorDetail(Box<Details>);

#[derive(Clone, PartialEq, Eq)]
struct Details {
    reason: Reason,
    field: Option<String>,
    params: Vec<(&'static str, String)>,
}

impl ErrorDetail {
    /// A detail without a field and parameters.
    pub fn new(reason: Reason) -> Self {
        Self(Box::new(Details { reason, field: None, params: Vec::new() }))
    }

    /// Sets a parameter of the message, such as a limit or a name. `Reason::params` has the names.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.params.push((name, value.to_string()));
        self
    }

    /// Names the argument that the error is about, in the spelling of the management API.
    #[must_use]
    pub fn on_field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The argument that the error is about; the usual one of the reason if none was named.
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref().or_else(|| self.0.reason.field())
    }

    /// A parameter of the message.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.0.params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }
}

/// Code, field and parameters, for logs and tests.
impl fmt::Display for ErrorDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.reason.code())?;
        if let Some(field) = &self.0.field {
            write!(f, " field={field}")?;
        }
        self.0.params.iter().try_for_each(|(name, value)| write!(f, " {name}={value:?}"))
    }
}

impl fmt::Debug for ErrorDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ErrorDetail> for Error {
    fn from(detail: ErrorDetail) -> Self {
        match detail.reason().kind() {
            ErrorKind::NotFound => Self::NotFound(detail),
            ErrorKind::Conflict => Self::Conflict(detail),
            ErrorKind::Invalid => Self::Refused(detail),
        }
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        ErrorDetail::new(reason).into()
    }
}
