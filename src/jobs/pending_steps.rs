//! Continues long operations in small steps: the catch-up after a long pause, the purge of configurations, and the removal of
//! references to deleted resources. The remaining work is in the database, so it continues after a restart.

use std::time::Duration;

use crate::error::Result;
use crate::provisioning::{catch_up, deletion, purge};
use crate::store::{Store, WorkOwner};

/// Interval of the checks for pending work.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between two steps, so that other writes can run.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs pending steps. Never returns.
pub async fn run_pending_steps(store: Store) {
    loop {
        match run_step(&store).await {
            Ok(true) => tokio::time::sleep(PAUSE).await,
            Ok(false) => tokio::time::sleep(CHECK_INTERVAL).await,
            Err(problem) => {
                tracing::warn!(%problem, "a step of a catch-up, a purge or a deletion failed and will be retried");
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
        }
    }
}

/// Runs one pending step. Returns false if there is none.
async fn run_step(store: &Store) -> Result<bool> {
    let (pending, purging, references) = store.read_inline(|at| {
        let references = deletion::find_next_references(at)?;
        Ok((catch_up::find_next_pending(at)?, purge::find_next_purge(at)?, references))
    })?;
    let is_any = pending.is_some() || purging.is_some() || references.is_some();
    if let Some(pending) = pending {
        store
            .write_as(WorkOwner::Background, move |tx| catch_up::catch_up(tx, &pending, catch_up::CHANGES_PER_STEP))
            .await?;
    }
    if let Some(purging) = purging {
        store
            .write_as(WorkOwner::Background, move |tx| purge::run_purge_step(tx, &purging, purge::ROWS_PER_STEP))
            .await?;
    }
    if let Some(references) = references {
        store.write_as(WorkOwner::Background, move |tx| deletion::run_reference_step(tx, &references)).await?;
    }
    Ok(is_any)
}
