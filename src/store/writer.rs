//! The single writer: one thread, one connection, and one commit for all the writes that wait at the time. A write is
//! answered after the commit that holds it, so an answered write survives a power cut.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Shared;
use super::batch::WriterThread;
use super::db::OpenError;
use super::snapshot::Tx;
use crate::error::{Error, Result};
use crate::log;

/// Writes that may wait where nobody says otherwise. Beyond it a caller is turned away at once, which is kinder than a long wait and a time-out.
pub(super) const QUEUE_MAX: usize = 1_024;

/// How the changes of a write that fails are undone, while its neighbours in the transaction stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// The write runs in a savepoint of its own: right wherever a statement may fail after another one has written.
    Savepoint,
    /// The only statement that can fail is the first that writes, so there is nothing to undo. Saves a third of an
    /// insert's cost. Should it fail later all the same, the whole batch is rolled back and its neighbours answer `Busy`.
    Unneeded,
}

/// A write that waits, runs, and is answered after the commit.
pub(super) trait Job: Send {
    fn undo(&self) -> Undo;
    /// The request that it is written for.
    fn request(&self) -> Option<&str>;
    /// Runs the write and keeps its result; true where it succeeded. Does not panic.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Gives the caller what the verdict leaves of the kept result.
    fn answer(self: Box<Self>, verdict: Verdict);
}

/// What a write's result is worth once the fate of its transaction is known.
pub(super) enum Verdict {
    /// Committed: the result is true.
    Stands,
    /// Rolled back: no result is true, not even a refusal, which may have been about a neighbour's change.
    Void(Error),
    /// Rolled back because of this very write: its own error, or this one where it has none.
    Guilty(Error),
}

pub(super) enum Message {
    Write(Box<dyn Job>),
    /// Wakes the thread to see that the store is closing.
    Stop,
}

struct Write<T, F, A> {
    undo: Undo,
    request: Option<Arc<str>>,
    job: Option<F>,
    result: Option<Result<T>>,
    answer: A,
}

impl<T, F, A> Job for Write<T, F, A>
where
    T: Send,
    F: FnOnce(&Tx<'_>) -> Result<T> + Send,
    A: FnOnce(Result<T>) + Send,
{
    fn undo(&self) -> Undo {
        self.undo
    }

    fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }

    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let Some(job) = self.job.take() else {
            return false;
        };
        // The closure's state is gone after a panic, and the database's is rolled back: nothing half-done is seen.
        let result = catch_unwind(AssertUnwindSafe(|| log::within(self.request.clone(), || job(tx))))
            .unwrap_or_else(|_| Err(Error::Database("a write panicked".into())));
        let succeeded = result.is_ok();
        self.result = Some(result);
        succeeded
    }

    fn answer(self: Box<Self>, verdict: Verdict) {
        let result = match (verdict, self.result) {
            (Verdict::Void(error), _) | (Verdict::Guilty(error), None | Some(Ok(_))) => Err(error),
            (Verdict::Guilty(_), Some(Err(own))) => Err(own),
            (Verdict::Stands, result) => result.unwrap_or(Err(Error::Busy)),
        };
        (self.answer)(result);
    }
}

/// The handle to the writer thread. Stops it when it goes.
pub(super) struct Writer {
    queue: SyncSender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        shared: Arc<Shared>,
        queue_max: usize,
    ) -> std::result::Result<Self, OpenError> {
        let (queue, receiver): (_, Receiver<Message>) = mpsc::sync_channel(queue_max);
        let writer = WriterThread::new(receiver, connection, Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("rollcall-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| OpenError::io("start the writer of", &shared.files.database, error))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)), shared })
    }

    pub(super) async fn write<T, F>(&self, undo: Undo, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        // A caller that went away does not take its write back.
        self.send(undo, job, move |result| drop(sender.send(result)))?;
        receiver.await.unwrap_or_else(|_| Err(self.unanswered()))
    }

    /// Sends a write that changes nothing; true once it was answered, even where the answer is an error.
    pub(super) async fn answers(&self) -> bool {
        let (sender, receiver) = oneshot::channel();
        let sent = self.send(
            Undo::Unneeded,
            |_| Ok(()),
            move |_| {
                // Whoever asked may have given up.
                let _ = sender.send(());
            },
        );
        sent.is_ok() && receiver.await.is_ok()
    }

    pub(super) fn write_blocking<T, F>(&self, undo: Undo, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.send(undo, job, move |result| drop(sender.send(result)))?;
        receiver.recv().unwrap_or_else(|_| Err(self.unanswered()))
    }

    fn send<T, F, A>(&self, undo: Undo, job: F, answer: A) -> Result<()>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
        A: FnOnce(Result<T>) + Send + 'static,
    {
        if self.shared.is_corrupt() {
            return Err(Error::Database("the file is corrupt".into()));
        }
        let write = Write { undo, request: log::current(), job: Some(job), result: None, answer };
        let counters = &self.shared.counters;
        counters.queued.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(Message::Write(Box::new(write))).map_err(|refused| {
            counters.queued.fetch_sub(1, Ordering::Relaxed);
            if matches!(refused, TrySendError::Disconnected(_)) {
                return self.unanswered();
            }
            counters.turned_away.fetch_add(1, Ordering::Relaxed);
            Error::Busy
        })
    }

    /// The error of a write that the thread did not take up: it is stopping, or it is gone for no good reason.
    fn unanswered(&self) -> Error {
        if self.shared.closing.load(Ordering::SeqCst) {
            Error::Busy
        } else {
            Error::Database("the writer is gone".into())
        }
    }

    /// Lets the thread finish what is queued, and waits for it.
    pub(super) fn stop(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let taken = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = taken else {
            return;
        };
        // The last handle may go with a job, on the writer thread itself; that thread sees the flag on its own.
        if thread.thread().id() == thread::current().id() {
            return;
        }
        // Fails only where the thread has ended already.
        let _ = self.queue.send(Message::Stop);
        if thread.join().is_err() {
            tracing::error!("the writer thread panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}
