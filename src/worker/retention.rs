//! Removes what is kept for a time only: old calls of the request log, and answers to calls that might have come twice.

use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::clock;
use crate::directory::{idempotency, requests};
use crate::error::{Error, Result};
use crate::store::{Store, Undo};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(600);
/// How long after the start it looks first.
const AT_FIRST: Duration = Duration::from_secs(60);
/// Rows that go in one transaction, so that no other write waits long for it.
const ROWS_AT_ONCE: u32 = 500;
/// How long the writer is left to others between two of them.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks from time to time, for ever.
pub async fn run(store: Store) {
    tokio::time::sleep(AT_FIRST).await;
    loop {
        if let Err(problem) = look(&store).await {
            tracing::warn!(%problem, "what is too old was not removed; it is tried again");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(store: &Store) -> Result<()> {
    let (reader, now) = (store.clone(), clock::now());
    let overdue = spawn_blocking(move || reader.read_pooled(|at| requests::overdue(at, now)));
    for configuration in overdue.await.map_err(|_| Error::Busy)?? {
        while store.write(Undo::Savepoint, move |tx| requests::prune(tx, configuration, ROWS_AT_ONCE)).await? > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    while store.write(Undo::Savepoint, |tx| idempotency::prune(tx, ROWS_AT_ONCE)).await? > 0 {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
