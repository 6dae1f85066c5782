//! Reads that may take a while leave the event loop.

use actix_web::web;

use super::state::State;
use crate::error::{Error, Result};
use crate::store::Snapshot;

/// Reads off the event loop, with a limit in time.
pub(super) async fn read_aside<T: Send + 'static>(
    state: &State,
    read: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let store = state.store.clone();
    web::block(move || store.read_pooled(read)).await.map_err(|_| Error::Busy)?
}
