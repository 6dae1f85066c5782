//! Blocking work off the event loop.

use actix_web::error::BlockingError;
use actix_web::web;
use tokio::sync::Semaphore;

use crate::error::{Error, Reason, Result};
use crate::log;
use crate::store::{Snapshot, Store, WorkOwner};
use crate::web::limits::DOCUMENT_THREADS;

/// Runs blocking work off the event loop, with the same request id in the log.
///
/// # Errors
/// `BlockingError` if the thread pool has stopped.
pub(super) async fn run_blocking<T, F>(work: F) -> std::result::Result<T, BlockingError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let request = log::current_request_id();
    web::block(move || log::resume_request(request, work)).await
}

/// Runs a read off the event loop, when it is the turn of the owner. The read includes what follows from it, such as the
/// rendering of the response, so that all its time counts for the owner.
///
/// # Errors
/// `QueriesLimited` if too many reads of the owner wait, `ServerBusy` if it could not start in time, `QueryTooLong` if it
/// took too long; errors of `read`.
pub(super) async fn read_blocking<T: Send + 'static>(
    store: &Store,
    owner: WorkOwner,
    read: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let permit = store.admit_scan(owner).await?;
    let store = store.clone();
    let read = move || {
        let result = store.read_pooled(read);
        drop(permit);
        result
    };
    run_blocking(read).await.map_err(|_| Error::from(Reason::ServerBusy))?
}

/// The threads of [`run_document_work`] that are free.
static DOCUMENT_WORK: Semaphore = Semaphore::const_new(DOCUMENT_THREADS);

/// Runs work on a large document off the event loop. Only a few threads do such work.
///
/// # Errors
/// `Unavailable` if the server is stopping; errors of `work`.
pub(super) async fn run_document_work<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let permit = DOCUMENT_WORK.acquire().await.map_err(|_| Error::new(Reason::ServerStopping))?;
    let work = move || {
        // The work continues if the caller drops the future, so it holds the permit itself.
        let _permit = permit;
        work()
    };
    run_blocking(work).await.map_err(|_| Error::new(Reason::ServerStopping))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocking_work_has_the_same_request_id() {
        let request_id = actix_web::rt::System::new()
            .block_on(log::run_for_request("the-request", run_blocking(log::current_request_id)));
        assert_eq!(request_id.unwrap().as_deref(), Some("the-request"));
    }
}
