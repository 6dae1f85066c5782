//! The ID of the request that the running code handles, available to every line it logs on any thread.

use std::sync::Arc;

tokio::task_local! {
    static REQUEST: Arc<str>;
}

/// Runs the future as work of the request with that ID.
pub async fn run_for_request<F: Future>(id: &str, work: F) -> F::Output {
    REQUEST.scope(Arc::from(id), work).await
}

/// Returns the ID of the current request. Pass it to [`resume_request`] to continue the work on another thread.
pub fn current_request_id() -> Option<Arc<str>> {
    REQUEST.try_with(Arc::clone).ok()
}

/// Runs the closure as work of the request, on any thread; without a request, just runs it.
pub fn resume_request<T>(request: Option<Arc<str>>, work: impl FnOnce() -> T) -> T {
    match request {
        Some(id) => REQUEST.sync_scope(id, work),
        None => work(),
    }
}
