//! Finishes in small steps what a call has begun: telling what waited during a long pause, and emptying configurations
//! that are purged. What is left stands in the database, so it goes on after a restart.

use std::time::Duration;

use crate::directory::{leftovers, sync};
use crate::error::Result;
use crate::store::{Store, Undo};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// How long the writer is left to others between two steps.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks from time to time, for ever.
pub async fn run(store: Store) {
    loop {
        match step(&store).await {
            Ok(true) => tokio::time::sleep(PAUSE).await,
            Ok(false) => tokio::time::sleep(EVERY).await,
            Err(problem) => {
                tracing::warn!(%problem, "a step of catching up failed; it is tried again");
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}

/// One step, if there is one to take.
async fn step(store: &Store) -> Result<bool> {
    let (behind, purging) = store.read_inline(|at| Ok((sync::next_behind(at)?, leftovers::next(at)?)))?;
    let is_any = behind.is_some() || purging.is_some();
    if let Some(behind) = behind {
        store.write(Undo::Savepoint, move |tx| sync::catch_up(tx, &behind, sync::PER_STEP)).await?;
    }
    if let Some(purging) = purging {
        store.write(Undo::Savepoint, move |tx| leftovers::step(tx, &purging, leftovers::PER_STEP)).await?;
    }
    Ok(is_any)
}
