//! Which request the running code works for: known to every line it logs, on whatever thread.

use std::sync::Arc;

tokio::task_local! {
    static REQUEST: Arc<str>;
}

/// Does the work of the request with that id.
pub async fn during<F: Future>(id: &str, work: F) -> F::Output {
    REQUEST.scope(Arc::from(id), work).await
}

/// The id of the request that is worked for; to be handed to the thread that goes on with it.
pub fn current() -> Option<Arc<str>> {
    REQUEST.try_with(Arc::clone).ok()
}

/// Goes on with the work of a request on another thread.
pub fn within<T>(request: Option<Arc<str>>, work: impl FnOnce() -> T) -> T {
    match request {
        Some(id) => REQUEST.sync_scope(id, work),
        None => work(),
    }
}
