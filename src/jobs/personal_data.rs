//! Runs the steps of exports and erasures of personal data, and removes exports whose time has ended. The remaining work is in
//! the database, so it continues after a restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::clock;
use crate::error::{Error, Reason, Result};
use crate::log;
use crate::management::personal_data::steps::{self, PlannedStep};
use crate::management::personal_data::{self, BackupCopy};
use crate::store::{Store, Tx, WorkOwner};
use crate::thread_priority::lower_priority;

/// Interval of the checks for requests.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between two steps, so that other writes can run.
const PAUSE: Duration = Duration::from_millis(10);
/// Pause after a step that must wait. Other requests go on then.
const EARLY_PAUSE: Duration = Duration::from_millis(100);
/// Checks between two looks for exports whose time has ended.
const CHECKS_PER_RETENTION: u32 = 600;

/// Runs the steps. `backup_folder` is that of the scheduled backups. Never returns.
pub async fn run_personal_data(store: Store, backup_folder: Option<PathBuf>) {
    let (mut last, mut checks) = (0, 0_u32);
    loop {
        match run_step(&store, backup_folder.as_ref(), &mut last).await {
            Ok(true) => tokio::time::sleep(PAUSE).await,
            Ok(false) => tokio::time::sleep(CHECK_INTERVAL).await,
            Err(problem) => {
                tracing::warn!(%problem, "a step of an export or erasure of personal data failed and will be retried");
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
        }
        checks = (checks + 1) % CHECKS_PER_RETENTION;
        if checks == 0 && clock::find_start_doubt().is_none() {
            remove_expired(&store).await;
        }
    }
}

async fn remove_expired(store: &Store) {
    loop {
        match store.write_as(WorkOwner::Background, personal_data::remove_expired_exports).await {
            Ok(true) => tokio::time::sleep(PAUSE).await,
            Ok(false) => return,
            Err(problem) => {
                tracing::warn!(%problem, "the removal of exports of personal data failed and will be retried");
                return;
            }
        }
    }
}

/// Runs a step. Returns false if there is nothing to do now. `last` is the request of the last step: the next one is of another
/// request, if there is another.
async fn run_step(store: &Store, backup_folder: Option<&PathBuf>, last: &mut i64) -> Result<bool> {
    let (reader, after, now) = (store.clone(), *last, clock::current_millis());
    let read = move || {
        lower_priority();
        reader.read_pooled(|at| steps::plan_next_step(at, after, now))
    };
    let planned = spawn_blocking(read).await.map_err(|_| Error::new(Reason::ServerBusy))??;
    let Some(planned) = planned else { return Ok(false) };
    *last = planned.request();
    if planned.is_early() {
        tokio::time::sleep(EARLY_PAUSE).await;
        return Ok(true);
    }
    let mut copies = Vec::new();
    if planned.clears_files() {
        match clear_files(store, backup_folder).await? {
            Some(found) => copies = found,
            None => return Ok(false),
        }
    }
    apply_step(store, planned, copies).await?;
    Ok(true)
}

async fn apply_step(store: &Store, planned: PlannedStep, copies: Vec<BackupCopy>) -> Result<()> {
    let request_id = planned.request_id().map(str::to_owned);
    let planned = Arc::new(planned);
    let step = move |tx: &Tx<'_>| steps::apply_step(tx, &planned, &copies);
    let write = store.write_as(WorkOwner::Background, step);
    match request_id {
        Some(id) => log::run_for_request(&id, write).await,
        None => write.await,
    }
}

/// Clears the files, and lists the copies that are left. `None` if readers use the log.
async fn clear_files(store: &Store, backup_folder: Option<&PathBuf>) -> Result<Option<Vec<BackupCopy>>> {
    let (store, folder) = (store.clone(), backup_folder.cloned());
    let clear = move || {
        if !store.truncate_log()? {
            return Ok(None);
        }
        Ok(Some(steps::list_backup_copies(store.read_space().0, folder.as_deref())))
    };
    spawn_blocking(clear).await.map_err(|_| Error::new(Reason::ServerBusy))?
}
