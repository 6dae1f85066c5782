//! A queued write as the queue and the writer see it: it runs, and later it gets its verdict.

use crate::error::Error;
use crate::store::engine::snapshot::Tx;

/// How a failing write is isolated from the other writes of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// The write runs in its own savepoint. Required if a statement can fail after another one has written.
    Savepoint,
    /// No savepoint: only the first writing statement can fail, so there is nothing to roll back. Saves a third of the
    /// cost of an insert. If the write fails later, the whole batch is rolled back and its other writes run again.
    None,
}

/// A queued write: runs in the transaction and returns its result after the commit.
pub(crate) trait QueuedWrite: Send {
    fn isolation(&self) -> Isolation;
    /// The id of the request that the write belongs to.
    fn request(&self) -> Option<&str>;
    /// Runs the write and stores its result. Returns true if it succeeded. Does not panic. Runs again if the transaction
    /// was rolled back because of another write.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Sends the result to the caller, as the verdict defines.
    fn send_result(self: Box<Self>, verdict: WriteVerdict);
}

/// How the outcome of the transaction affects the result of a write.
pub(crate) enum WriteVerdict {
    /// Committed: the stored result is valid.
    Committed,
    /// Rolled back: the stored result is invalid, even an error, which may depend on another write of the batch.
    RolledBack(Error),
    /// Rolled back because of this write: returns its own error, or this one if it has none.
    Failed(Error),
}
