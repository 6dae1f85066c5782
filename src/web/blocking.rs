//! Blocking work off the event loop.

use actix_web::error::BlockingError;
use actix_web::web;

use crate::error::{Error, Reason, Result};
use crate::log;
use crate::store::{Snapshot, Store, WorkOwner};
use crate::thread_priority::lower_priority;

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
    let work = move || {
        lower_priority();
        log::resume_request(request, work)
    };
    web::block(work).await
}

/// Runs a read off the event loop, when it is the turn of the owner. The read includes what follows from it, such as the
/// rendering of the response, so that all its time counts for the owner. It ends early if the future is dropped.
///
/// # Errors
/// `QueriesLimited` if too many reads of the owner wait, `ServerBusy` if it could not start in time, `QueryTooLong` if it
/// took too long; errors of `read`.
pub(super) async fn read_blocking<T: Send + 'static>(
    store: &Store,
    owner: WorkOwner,
    read: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    run_scan(store, owner, false, read).await
}

/// Like [`read_blocking`], for what a write needs: it has more time.
///
/// # Errors
/// `QueriesLimited` if too many reads of the owner wait, `ServerBusy` if it could not start or end in time; errors of `read`.
pub(super) async fn read_for_write<T: Send + 'static>(
    store: &Store,
    owner: WorkOwner,
    read: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    run_scan(store, owner, true, read).await
}

async fn run_scan<T: Send + 'static>(
    store: &Store,
    owner: WorkOwner,
    is_for_write: bool,
    read: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let permit = store.admit_scan(owner).await?;
    let (cancellation, waiting) = Store::create_cancellation();
    let store = store.clone();
    let read = move || {
        let result = if is_for_write {
            store.read_for_write(&cancellation, read)
        } else {
            store.read_until_cancelled(&cancellation, read)
        };
        drop(permit);
        result
    };
    let result = run_blocking(read).await;
    drop(waiting);
    result.map_err(|_| Error::from(Reason::ServerBusy))?
}

/// Runs work on a large document off the event loop, when it is the turn of the owner.
///
/// # Errors
/// `RequestsLimited` if too many documents of the owner wait, `ServerBusy` if it could not start in time, `ServerStopping`;
/// errors of `work`.
pub(super) async fn run_document_work<T: Send + 'static>(
    store: &Store,
    owner: WorkOwner,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let permit = store.admit_document(owner).await?;
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
