//! Blocking work off the event loop.

use actix_web::error::BlockingError;
use actix_web::web;

use crate::log;

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
