//! The one error above the protocol core: what stopped an operation, whichever layer noticed it.

use crate::scim;

/// Result of the store and of `directory`.
pub type Result<T> = std::result::Result<T, Error>;

/// What stopped an operation. The edges turn it into a SCIM error, an API error or a sentence on the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A protocol rule was broken; the body says which.
    #[error(transparent)]
    Scim(#[from] scim::Error),
    /// Nothing has that name or id; the text names what was looked for.
    #[error("{0}")]
    NotFound(String),
    /// The name is taken; the text names it.
    #[error("{0}")]
    Conflict(String),
    /// An argument of a management call cannot be used; the text names the argument and the fix.
    #[error("{0}")]
    Refused(String),
    /// More writes are waiting than the queue takes, or a read waited too long for its turn: try again shortly.
    #[error("there is too much to do")]
    Busy,
    /// The disk is full; reads go on.
    #[error("the disk is full")]
    DiskFull,
    /// A scan took longer than it may.
    #[error("the query would take too long")]
    ScanTooLong,
    /// The database cannot be used; the text is for the log, never for a caller.
    #[error("database: {0}")]
    Database(String),
}
