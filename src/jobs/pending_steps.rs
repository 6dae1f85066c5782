//! Continues long operations in small steps: the catch-up after a long pause, the purge of configurations, the removal of
//! references to deleted resources, and large changes whose request has ended. The remaining work is in the database, so it
//! continues after a restart.

use std::time::Duration;

use crate::error::{Reason, Result};
use crate::provisioning::large_changes::steps;
use crate::provisioning::safety_net::{rejections, reversals};
use crate::provisioning::{catch_up, deletion, purge};
use crate::store::{Store, Tx, WorkOwner};

/// Interval of the checks for pending work.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between two steps, so that other writes can run.
const PAUSE: Duration = Duration::from_millis(10);

/// Steps of interrupted changes that run before the server accepts requests. The job runs the others: a start takes seconds,
/// not minutes.
const FIRST_STEPS_MAX: usize = 500;

/// Runs pending steps. Never returns.
pub async fn run_pending_steps(store: Store) {
    let mut last_change = 0;
    loop {
        match run_step(&store, &mut last_change).await {
            Ok(true) => tokio::time::sleep(PAUSE).await,
            Ok(false) => tokio::time::sleep(CHECK_INTERVAL).await,
            Err(problem) => {
                tracing::warn!(%problem, "a step of a catch-up, a purge, a deletion or a large change failed and will be retried");
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
        }
    }
}

/// Completes the large changes that a crash or a stop has interrupted. The server does this before it accepts requests, so
/// that no caller sees half of a change that is not running.
///
/// # Errors
/// Errors of the store.
pub fn complete_changes(store: &Store) -> Result<()> {
    for _ in 0..FIRST_STEPS_MAX {
        let Some((resource, _)) = store.read_inline(|at| steps::find_next_change(at, 0))? else { break };
        store.write_blocking(move |tx| steps::run_change_step(tx, resource))?;
    }
    Ok(())
}

/// Runs one step of each kind. Returns false if there is none. `last_change` is the resource of the last large change: the
/// next step is one of another change, if there is another.
///
/// # Errors
/// The first error of a step. A step that fails does not stop the others.
async fn run_step(store: &Store, last_change: &mut i64) -> Result<bool> {
    let after = *last_change;
    let (pending, purging, references, change) = store.read_inline(|at| {
        let (references, change) = (deletion::find_next_references(at)?, steps::find_next_change(at, after)?);
        Ok((catch_up::find_next_pending(at)?, purge::find_next_purge(at)?, references, change))
    })?;
    let (rejected, undone) =
        store.read_inline(|at| Ok((rejections::find_next_rejection(at)?, reversals::find_next_reversal(at)?)))?;
    let is_any = pending.is_some()
        || purging.is_some()
        || references.is_some()
        || change.is_some()
        || rejected.is_some()
        || undone.is_some();
    let mut outcome = Ok(());
    if let Some(configuration) = rejected {
        let step = move |tx: &Tx<'_>| rejections::run_rejection_step(tx, configuration, rejections::CHANGES_PER_STEP);
        outcome = outcome.and(store.write_as(WorkOwner::Background, step).await);
    }
    if let Some(configuration) = undone {
        let step = move |tx: &Tx<'_>| reversals::run_reversal_step(tx, configuration);
        outcome = outcome.and(store.write_as(WorkOwner::Background, step).await);
    }
    if let Some((resource, owner)) = change {
        *last_change = resource;
        outcome = outcome.and(run_change_step(store, resource, owner).await);
    }
    if let Some(pending) = pending {
        let step = move |tx: &Tx<'_>| catch_up::catch_up(tx, &pending, catch_up::CHANGES_PER_STEP).map(drop);
        outcome = outcome.and(store.write_as(WorkOwner::Background, step).await);
    }
    if let Some(purging) = purging {
        let step = move |tx: &Tx<'_>| purge::run_purge_step(tx, &purging, purge::ROWS_PER_STEP);
        outcome = outcome.and(store.write_as(WorkOwner::Background, step).await);
    }
    if let Some(references) = references {
        let step = move |tx: &Tx<'_>| deletion::run_reference_step(tx, &references);
        outcome = outcome.and(store.write_as(WorkOwner::Background, step).await);
    }
    outcome.map(|()| is_any)
}

/// Runs a step of a large change in the share of its configuration. If that is impossible, because the queue of the
/// configuration is full or the disk is too slow for the time limit of its writes, the step runs as work of the server: what
/// was accepted is completed.
async fn run_change_step(store: &Store, resource: i64, owner: WorkOwner) -> Result<()> {
    let step = move |tx: &Tx<'_>| steps::run_change_step(tx, resource).map(drop);
    match store.write_as(owner, step).await {
        Err(error) if matches!(error.reason(), Reason::ServerBusy | Reason::WriteTooLong) => {
            store.write_as(WorkOwner::Background, step).await
        }
        result => result,
    }
}
