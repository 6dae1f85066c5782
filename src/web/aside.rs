//! Reads that may take a while leave the event loop.

use std::time::{Duration, Instant};

use actix_web::error::BlockingError;
use actix_web::web;

use super::state::State;
use crate::error::{Error, Result};
use crate::log;
use crate::store::Snapshot;

/// How long a read may wait for its turn; whoever asked has given up by then, or will ask again.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Works off the event loop, for the same request.
pub(super) async fn block<T, F>(work: F) -> std::result::Result<T, BlockingError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let request = log::current();
    web::block(move || log::within(request, work)).await
}

/// Reads off the event loop, with a limit in time.
///
/// # Errors
/// `Busy` where its turn comes too late.
pub(super) async fn read_aside<T: Send + 'static>(
    state: &State,
    read: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (store, asked) = (state.store.clone(), Instant::now());
    let read = move || if asked.elapsed() > WAIT_MAX { Err(Error::Busy) } else { store.read_pooled(read) };
    block(read).await.map_err(|_| Error::Busy)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_beside_the_event_loop_is_for_the_same_request() {
        let known = actix_web::rt::System::new().block_on(log::during("the-request", block(log::current)));
        assert_eq!(known.unwrap().as_deref(), Some("the-request"));
    }
}
