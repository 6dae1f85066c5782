//! The single writer: one thread, one connection, and one commit for all queued writes (group commit). A write returns
//! after the commit that contains it, so an acknowledged write survives a power failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::{Error, Reason, Result};
use crate::log;
use crate::model::service_state::STALL_MAX;
use crate::store::SharedState;
use crate::store::engine::batch::WriterThread;
use crate::store::engine::checkpointer::Checkpointer;
use crate::store::engine::fair_queue;
use crate::store::engine::open_error::OpenError;
use crate::store::engine::owner::WorkOwner;
use crate::store::engine::queued_write::{Isolation, QueuedWrite, WriteVerdict};
use crate::store::engine::service::monitor::refuse_write;
use crate::store::engine::snapshot::Tx;
use crate::store::engine::write_queue::{PushError, WriteQueue};

/// Default limit of queued writes, shared by their owners. If the share of an owner is full, its write fails at once
/// instead of waiting until it times out.
pub(crate) const QUEUE_MAX: usize = 1_024;

/// How long a caller waits for its write in any case.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// A write that has waited for longer ends when the writer makes no progress for this time.
const PROGRESS_MAX: Duration = Duration::from_secs(1);

/// What has happened to a queued write.
#[derive(Default)]
struct WriteTicket(AtomicU8);

impl WriteTicket {
    const STARTED: u8 = 1;
    const WITHDRAWN: u8 = 2;

    /// Starts the write, unless it was withdrawn.
    fn start(&self) -> bool {
        self.0.compare_exchange(0, Self::STARTED, Ordering::SeqCst, Ordering::SeqCst) != Err(Self::WITHDRAWN)
    }

    /// Withdraws the write. Returns the error of its caller, which depends on whether the write has started.
    fn withdraw(&self) -> Error {
        let withdrawn = self.0.compare_exchange(0, Self::WITHDRAWN, Ordering::SeqCst, Ordering::SeqCst);
        Error::new(if withdrawn.is_ok() { Reason::DiskStalled } else { Reason::WriteOutcomeUnknown })
    }
}

struct PendingWrite<T, F, A> {
    isolation: Isolation,
    request: Option<Arc<str>>,
    ticket: Arc<WriteTicket>,
    job: Option<F>,
    result: Option<Result<T>>,
    answer: A,
}

impl<T, F, A> QueuedWrite for PendingWrite<T, F, A>
where
    T: Send,
    F: FnMut(&Tx<'_>) -> Result<T> + Send,
    A: FnOnce(Result<T>) + Send,
{
    fn isolation(&self) -> Isolation {
        self.isolation
    }

    fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }

    fn run(&mut self, tx: &Tx<'_>) -> bool {
        if !self.ticket.start() {
            return false;
        }
        let Some(job) = self.job.as_mut() else {
            return false;
        };
        let request = self.request.clone();
        // Unwind safe: after a panic the closure does not run again and the transaction is rolled back.
        let result = catch_unwind(AssertUnwindSafe(|| log::resume_request(request, || job(tx)))).unwrap_or_else(|_| {
            self.job = None;
            Err(Error::database("a write panicked"))
        });
        // A statement of the writer is interrupted only at the deadline of the job.
        let result = result.map_err(|error| match error.reason() {
            Reason::QueryTooLong => Error::new(Reason::WriteTooLong),
            _ => error,
        });
        let succeeded = result.is_ok();
        self.result = Some(result);
        succeeded
    }

    fn send_result(self: Box<Self>, verdict: WriteVerdict) {
        let result = match (verdict, self.result) {
            (WriteVerdict::RolledBack(error), _) | (WriteVerdict::Failed(error), None | Some(Ok(_))) => Err(error),
            (WriteVerdict::Failed(_), Some(Err(own))) => Err(own),
            (WriteVerdict::Committed, result) => result.unwrap_or(Err(Error::new(Reason::ServerBusy))),
        };
        (self.answer)(result);
    }
}

/// The handle to the writer thread. Dropping it stops the thread.
pub(crate) struct Writer {
    queue: Arc<WriteQueue>,
    queue_max: usize,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<SharedState>,
}

impl Writer {
    pub(crate) fn start(
        connection: Connection,
        shared: Arc<SharedState>,
        queue_max: usize,
        checkpointer: Option<Checkpointer>,
    ) -> std::result::Result<Self, OpenError> {
        let queue = Arc::clone(&shared.queue);
        let mut writer = WriterThread::new(Arc::clone(&queue), connection, Arc::clone(&shared));
        if let Some(checkpointer) = checkpointer {
            writer = writer.with_checkpointer(checkpointer);
        }
        let thread = thread::Builder::new()
            .name("rollcall-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| OpenError::io("start the writer of", &shared.files.database, error))?;
        Ok(Self { queue, queue_max, thread: Mutex::new(Some(thread)), shared })
    }

    pub(crate) async fn write<T, F>(&self, owner: WorkOwner, isolation: Isolation, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, mut receiver) = oneshot::channel();
        // If the caller drops the future, the write still runs.
        let ticket = self.send((owner, isolation), job, move |result| drop(sender.send(result)))?;
        let mut wait = WRITE_DEADLINE;
        // Tests poll without a runtime, and then there is no deadline.
        if tokio::runtime::Handle::try_current().is_err() {
            return receiver.await.unwrap_or_else(|_| Err(self.lost_write_error()));
        }
        loop {
            match tokio::time::timeout(wait, &mut receiver).await {
                Ok(result) => return result.unwrap_or_else(|_| Err(self.lost_write_error())),
                Err(_) if self.queue.stalled_for() >= PROGRESS_MAX => return Err(ticket.withdraw()),
                Err(_) => wait = PROGRESS_MAX,
            }
        }
    }

    /// Sends a write that changes nothing. Returns true when it completes, even with an error.
    pub(crate) async fn is_responsive(&self) -> bool {
        let (sender, receiver) = oneshot::channel();
        let sent = self.send(
            (WorkOwner::Background, Isolation::None),
            |_| Ok(()),
            move |_| {
                // The caller may have dropped the future.
                let _ = sender.send(());
            },
        );
        match sent {
            Ok(_) => receiver.await.is_ok(),
            // The lane of the owner is full: the writer responds as long as it makes progress.
            Err(_) => self.queue.stalled_for() < STALL_MAX && !self.shared.closing.load(Ordering::SeqCst),
        }
    }

    /// How many writes of one owner are accepted in any case.
    pub(crate) fn smallest_share(&self) -> usize {
        fair_queue::smallest_share(self.queue_max)
    }

    /// How long the oldest write has waited for its result.
    pub(crate) fn oldest_age(&self) -> Duration {
        self.queue.oldest_age()
    }

    pub(crate) fn write_blocking<T, F>(&self, owner: WorkOwner, isolation: Isolation, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        let ticket = self.send((owner, isolation), job, move |result| drop(sender.send(result)))?;
        let mut wait = WRITE_DEADLINE;
        loop {
            match receiver.recv_timeout(wait) {
                Ok(result) => return result,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(self.lost_write_error()),
                Err(_) if self.queue.stalled_for() >= PROGRESS_MAX => return Err(ticket.withdraw()),
                Err(_) => wait = PROGRESS_MAX,
            }
        }
    }

    fn send<T, F, A>(&self, (owner, isolation): (WorkOwner, Isolation), job: F, answer: A) -> Result<Arc<WriteTicket>>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
        A: FnOnce(Result<T>) + Send + 'static,
    {
        if let Some(cause) = self.shared.find_refusal() {
            return Err(refuse_write(cause));
        }
        let ticket = Arc::new(WriteTicket::default());
        let request = log::current_request_id();
        let write =
            PendingWrite { isolation, request, ticket: Arc::clone(&ticket), job: Some(job), result: None, answer };
        let counters = &self.shared.counters;
        counters.queued.fetch_add(1, Ordering::Relaxed);
        self.queue.push(owner, Box::new(write)).map(|()| ticket).map_err(|error| {
            counters.queued.fetch_sub(1, Ordering::Relaxed);
            if matches!(error, PushError::Ended) {
                return self.lost_write_error();
            }
            counters.rejected.fetch_add(1, Ordering::Relaxed);
            Error::new(Reason::ServerBusy)
        })
    }

    /// Returns the error of a write that the thread did not run: `Unavailable` if the store is closing, otherwise `DatabaseUnavailable`.
    fn lost_write_error(&self) -> Error {
        if self.shared.closing.load(Ordering::SeqCst) {
            Error::new(Reason::ServerBusy)
        } else {
            Error::database("the writer thread ended unexpectedly")
        }
    }

    /// Waits until the thread has completed the queued writes and ended.
    pub(crate) fn stop(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let running = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = running else {
            return;
        };
        self.queue.close();
        // A job may drop the last handle on the writer thread itself. That thread checks the flag after the batch.
        if thread.thread().id() == thread::current().id() {
            return;
        }
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
