//! Blocking work off the event loop.

use std::time::{Duration, Instant};

use actix_web::error::BlockingError;
use actix_web::web;

use crate::error::{Error, Reason, Result};
use crate::log;
use crate::store::{Snapshot, Store};

/// How long a read may wait for a thread. After that time the client has timed out or will retry.
const READ_WAIT_MAX: Duration = Duration::from_secs(10);

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

/// Runs a read off the event loop, with a limit on the waiting time.
///
/// # Errors
/// `Busy` if no thread was available in time; errors of `read`.
pub(super) async fn read_blocking<T: Send + 'static>(
    store: &Store,
    read: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (store, queued) = (store.clone(), Instant::now());
    let read =
        move || if queued.elapsed() > READ_WAIT_MAX { Err(Reason::ServerBusy.into()) } else { store.read_pooled(read) };
    run_blocking(read).await.map_err(|_| Error::from(Reason::ServerBusy))?
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
