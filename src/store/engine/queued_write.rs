//! A queued write as the queue and the writer see it: it runs, and later it gets its verdict.

use std::mem;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use crate::error::{Error, Reason, Result};
use crate::store::engine::snapshot::Tx;
use crate::sync::{Mutex, MutexGuard};

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
    /// The part of the write that ends it when it waits too long.
    fn ticket(&self) -> Arc<dyn WithdrawableWrite>;
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
    /// Committed, but not known to be in the replica: a stored success is not sent.
    Unconfirmed,
    /// Rolled back: the stored result is invalid, even an error, which may depend on another write of the batch.
    RolledBack(Error),
    /// Rolled back because of this write: returns its own error, or this one if it has none.
    Failed(Error),
}

/// A write whose caller can get an answer before the writer has one.
pub(crate) trait WithdrawableWrite: Send + Sync {
    /// Answers that the disk stalls: the write never starts, or its outcome is unknown if it has started.
    fn withdraw(&self);
}

/// The caller that waits for a result.
pub(crate) enum ResultSender<T> {
    Task(oneshot::Sender<Result<T>>),
    Thread(SyncSender<Result<T>>),
}

impl<T> ResultSender<T> {
    /// Sends the result, unless the caller has gone.
    fn send(self, result: Result<T>) {
        match self {
            Self::Task(sender) => drop(sender.send(result)),
            Self::Thread(sender) => drop(sender.send(result)),
        }
    }
}

/// How far a write is.
enum TicketState<T> {
    Waiting(ResultSender<T>),
    Started(ResultSender<T>),
    Answered,
}

/// How far a write is, for the writer and for the thread that ends overdue writes.
pub(crate) struct WriteTicket<T>(Mutex<TicketState<T>>);

impl<T> WriteTicket<T> {
    pub(crate) fn new(sender: ResultSender<T>) -> Self {
        Self(Mutex::new(TicketState::Waiting(sender)))
    }

    /// Starts the write. Returns false if it was withdrawn.
    pub(crate) fn start(&self) -> bool {
        let mut progress = self.lock();
        *progress = match mem::replace(&mut *progress, TicketState::Answered) {
            TicketState::Waiting(sender) | TicketState::Started(sender) => TicketState::Started(sender),
            TicketState::Answered => return false,
        };
        true
    }

    /// Sends the result, unless the write was withdrawn.
    pub(crate) fn answer(&self, result: Result<T>) {
        if let TicketState::Waiting(sender) | TicketState::Started(sender) = self.end() {
            sender.send(result);
        }
    }

    fn end(&self) -> TicketState<T> {
        mem::replace(&mut *self.lock(), TicketState::Answered)
    }

    fn lock(&self) -> MutexGuard<'_, TicketState<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send> WithdrawableWrite for WriteTicket<T> {
    fn withdraw(&self) {
        match self.end() {
            TicketState::Waiting(sender) => sender.send(Err(Error::new(Reason::DiskStalled))),
            TicketState::Started(sender) => sender.send(Err(Error::new(Reason::WriteOutcomeUnknown))),
            TicketState::Answered => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    fn new_ticket() -> (WriteTicket<u8>, Receiver<Result<u8>>) {
        let (sender, receiver) = sync_channel(1);
        (WriteTicket::new(ResultSender::Thread(sender)), receiver)
    }

    #[test]
    fn a_withdrawn_write_never_starts() {
        let (ticket, receiver) = new_ticket();
        ticket.withdraw();
        assert_eq!(receiver.recv().unwrap().unwrap_err().reason(), Reason::DiskStalled);
        assert!(!ticket.start());
        ticket.answer(Ok(1));
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn the_outcome_of_a_withdrawn_write_that_has_started_is_unknown() {
        let (ticket, receiver) = new_ticket();
        // A write starts again if another one broke its transaction.
        assert!(ticket.start() && ticket.start());
        ticket.withdraw();
        assert_eq!(receiver.recv().unwrap().unwrap_err().reason(), Reason::WriteOutcomeUnknown);
        ticket.answer(Ok(1));
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn an_answered_write_is_not_withdrawn() {
        let (ticket, receiver) = new_ticket();
        assert!(ticket.start());
        ticket.answer(Ok(1));
        ticket.withdraw();
        assert_eq!(receiver.recv().unwrap().unwrap(), 1);
        assert!(receiver.try_recv().is_err());
    }
}
