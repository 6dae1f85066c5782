//! The single writer: one thread, one connection, and one commit for all queued writes (group commit). A write returns
//! after the commit that contains it, so an acknowledged write survives a power failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
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
use crate::store::engine::queued_write::{
    Isolation, QueuedWrite, ResultSender, WithdrawableWrite, WriteTicket, WriteVerdict,
};
use crate::store::engine::service::monitor::refuse_write;
use crate::store::engine::snapshot::Tx;
use crate::store::engine::write_queue::{PushError, WriteQueue};
use crate::store::replication::confirmation::Confirmer;

/// Default limit of queued writes, shared by their owners. If the share of an owner is full, its write fails at once
/// instead of waiting until it times out.
pub(crate) const QUEUE_MAX: usize = 1_024;

/// Longest time between two looks for writes that wait too long.
const DEADLINE_INTERVAL: Duration = Duration::from_secs(1);

struct PendingWrite<T, F> {
    isolation: Isolation,
    request: Option<Arc<str>>,
    ticket: Arc<WriteTicket<T>>,
    job: Option<F>,
    result: Option<Result<T>>,
}

impl<T, F> QueuedWrite for PendingWrite<T, F>
where
    T: Send + 'static,
    F: FnMut(&Tx<'_>) -> Result<T> + Send,
{
    fn isolation(&self) -> Isolation {
        self.isolation
    }

    fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }

    fn ticket(&self) -> Arc<dyn WithdrawableWrite> {
        Arc::clone(&self.ticket) as Arc<dyn WithdrawableWrite>
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
            (WriteVerdict::Unconfirmed, None | Some(Ok(_))) => Err(Error::new(Reason::NotReplicated)),
            (WriteVerdict::Failed(_) | WriteVerdict::Unconfirmed, Some(Err(own))) => Err(own),
            (WriteVerdict::Committed, result) => result.unwrap_or(Err(Error::new(Reason::ServerBusy))),
        };
        self.ticket.answer(result);
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
        start_deadline_watch(&queue)
            .map_err(|error| OpenError::io("start the writer of", &shared.files.database, error))?;
        let thread = thread::Builder::new()
            .name("rollcall-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| OpenError::io("start the writer of", &shared.files.database, error))?;
        Ok(Self { queue, queue_max, thread: Mutex::new(Some(thread)), shared })
    }

    /// A handle whose writes are run by the caller of [`WriterThread::run_queued`].
    #[cfg(feature = "simulation")]
    pub(crate) fn without_thread(
        connection: Connection,
        shared: &Arc<SharedState>,
        checkpointer: Checkpointer,
    ) -> (Self, WriterThread) {
        let queue = Arc::clone(&shared.queue);
        let writer = WriterThread::new(Arc::clone(&queue), connection, Arc::clone(shared));
        let writer = writer.with_checkpointer(checkpointer);
        writer.watch_first_connection();
        (Self { queue, queue_max: QUEUE_MAX, thread: Mutex::new(None), shared: Arc::clone(shared) }, writer)
    }

    pub(crate) async fn write<T, F>(&self, owner: WorkOwner, isolation: Isolation, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        // If the caller drops the future, the write still runs.
        self.send((owner, isolation), job, ResultSender::Task(sender))?;
        self.check_permit(receiver.await.unwrap_or_else(|_| Err(self.lost_write_error())))
    }

    /// Refuses a success that arrives after the end of the lease: another server may have accepted writes meanwhile.
    fn check_permit<T>(&self, result: Result<T>) -> Result<T> {
        if result.is_ok() && !self.shared.has_permit() {
            return Err(Error::new(Reason::WriteOutcomeUnknown));
        }
        result
    }

    /// Sends a write that changes nothing. Returns true when it completes, even with an error.
    pub(crate) async fn is_responsive(&self) -> bool {
        let (sender, receiver) = oneshot::channel();
        let sent = self.send((WorkOwner::Background, Isolation::None), |_| Ok(()), ResultSender::Task(sender));
        match sent {
            Ok(()) => receiver.await.is_ok(),
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
        self.send((owner, isolation), job, ResultSender::Thread(sender))?;
        self.check_permit(receiver.recv().unwrap_or_else(|_| Err(self.lost_write_error())))
    }

    fn send<T, F>(&self, (owner, isolation): (WorkOwner, Isolation), job: F, sender: ResultSender<T>) -> Result<()>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        if let Some(cause) = self.shared.find_refusal() {
            return Err(refuse_write(cause));
        }
        if owner != WorkOwner::Background && self.shared.confirmer.get().is_some_and(Confirmer::is_refusing) {
            return Err(Error::new(Reason::ReplicaUnavailable));
        }
        let ticket = Arc::new(WriteTicket::new(sender));
        let request = log::current_request_id();
        let write = PendingWrite { isolation, request, ticket, job: Some(job), result: None };
        let counters = &self.shared.counters;
        counters.queued.fetch_add(1, Ordering::Relaxed);
        self.queue.push(owner, Box::new(write)).map_err(|error| {
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

/// Starts the thread that ends writes which wait too long. It ends after the writer, and does not use the disk.
fn start_deadline_watch(queue: &Arc<WriteQueue>) -> std::io::Result<()> {
    let watched = Arc::downgrade(queue);
    let run = move || {
        while let Some(queue) = watched.upgrade().filter(|queue| !queue.has_ended()) {
            let next = queue.withdraw_overdue();
            drop(queue);
            thread::sleep(next.map_or(DEADLINE_INTERVAL, |next| next.min(DEADLINE_INTERVAL)));
        }
    };
    thread::Builder::new().name("rollcall-deadline".into()).spawn(run).map(drop)
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}
