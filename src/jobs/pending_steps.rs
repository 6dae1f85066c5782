//! Continues long operations in small steps: the catch-up after a long pause, the purge of configurations, the removal of
//! references to deleted resources, and large changes whose request has ended. The remaining work is in the database, so it
//! continues after a restart.

use std::time::Duration;

use crate::error::{Error, Reason, Result};
use crate::provisioning::large_changes::steps;
use crate::provisioning::safety_net::{rejections, reversals};
use crate::provisioning::{catch_up, deletion, purge};
use crate::store::{Store, Tx, WorkOwner};

/// Interval of the checks for pending work.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between two steps, so that other writes can run.
const PAUSE: Duration = Duration::from_millis(10);
/// The same if one of the steps failed.
const PAUSE_AFTER_PROBLEM: Duration = Duration::from_millis(100);

/// Steps of interrupted changes that run before the server accepts requests. The job runs the others: a start takes seconds,
/// not minutes.
const FIRST_STEPS_MAX: usize = 500;

/// The last steps of each kind: the next ones are of others, if there are others. So what cannot be completed now stops nothing
/// else.
#[derive(Debug, Default)]
struct LastSteps {
    /// The resource of a large change.
    change: i64,
    /// The configuration of a rejected hold.
    rejection: i64,
    /// The configuration of an undo.
    reversal: i64,
    /// The configuration of a catch-up.
    catch_up: i64,
}

/// The result of one step of each kind.
#[derive(Debug, Default)]
struct StepsResult {
    /// Whether a step succeeded.
    has_progress: bool,
    problem: Option<Error>,
}

impl StepsResult {
    fn add(&mut self, result: Result<()>) {
        match result {
            Ok(()) => self.has_progress = true,
            Err(problem) => self.problem = Some(problem),
        }
    }
}

/// Runs pending steps. Never returns.
pub async fn run_pending_steps(store: Store) {
    let mut last = LastSteps::default();
    loop {
        let done = run_step(&store, &mut last)
            .await
            .unwrap_or_else(|problem| StepsResult { problem: Some(problem), has_progress: false });
        let pause = match (&done.problem, done.has_progress) {
            (None, true) => PAUSE,
            (Some(_), true) => PAUSE_AFTER_PROBLEM,
            (_, false) => CHECK_INTERVAL,
        };
        if let Some(problem) = done.problem {
            tracing::warn!(%problem, "a step of a catch-up, a purge, a deletion, an undo or a large change failed and will be retried");
        }
        tokio::time::sleep(pause).await;
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

/// Runs one step of each kind. A step that fails does not stop the others.
///
/// # Errors
/// The pending work cannot be read.
async fn run_step(store: &Store, last: &mut LastSteps) -> Result<StepsResult> {
    let (pending, purging, references, change) = store.read_inline(|at| {
        let (references, change) = (deletion::find_next_references(at)?, steps::find_next_change(at, last.change)?);
        Ok((catch_up::find_next_pending(at, last.catch_up)?, purge::find_next_purge(at)?, references, change))
    })?;
    let (rejected, undone) = store.read_inline(|at| {
        let rejected = rejections::find_next_rejection(at, last.rejection)?;
        Ok((rejected, reversals::find_next_reversal(at, last.reversal)?))
    })?;
    let mut done = StepsResult::default();
    if let Some(configuration) = rejected {
        last.rejection = configuration;
        let step = move |tx: &Tx<'_>| rejections::run_rejection_step(tx, configuration, rejections::CHANGES_PER_STEP);
        done.add(store.write_as(WorkOwner::Background, step).await);
    }
    if let Some(configuration) = undone {
        last.reversal = configuration;
        let step = move |tx: &Tx<'_>| reversals::run_reversal_step(tx, configuration);
        done.add(store.write_as(WorkOwner::Background, step).await);
    }
    if let Some((resource, owner)) = change {
        last.change = resource;
        done.add(run_change_step(store, resource, owner).await);
    }
    if let Some(pending) = pending {
        last.catch_up = pending.configuration;
        let step = move |tx: &Tx<'_>| catch_up::catch_up(tx, &pending, catch_up::CHANGES_PER_STEP).map(drop);
        done.add(store.write_as(WorkOwner::Background, step).await);
    }
    if let Some(purging) = purging {
        let step = move |tx: &Tx<'_>| purge::run_purge_step(tx, &purging, purge::ROWS_PER_STEP);
        done.add(store.write_as(WorkOwner::Background, step).await);
    }
    if let Some(references) = references {
        let step = move |tx: &Tx<'_>| deletion::run_reference_step(tx, &references);
        done.add(store.write_as(WorkOwner::Background, step).await);
    }
    Ok(done)
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
