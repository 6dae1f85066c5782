//! Backups that somebody asks for in the portal: one at a time, beside everything else, and in the audit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::web::Data;
use serde_json::json;

use super::aside::block;
use super::state::State;
use crate::clock;
use crate::model::actor::By;
use crate::settings::BackupSchedule;
use crate::store::audit::{self, Entry};
use crate::store::backup::{BackupError, Written, scheduled};
use crate::store::{Store, Undo};

/// Whether one is being made, and whether it is to be given up.
#[derive(Debug, Default)]
pub struct ByHand {
    is_running: AtomicBool,
    stop: Arc<AtomicBool>,
}

/// The turn of one backup; given back when it goes.
pub(super) struct Turn(Data<State>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.by_hand.is_running.store(false, Ordering::SeqCst);
    }
}

impl ByHand {
    /// Gives up what is being made, because the server stops.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// The turn to make one; nothing while another is being made.
pub(super) fn turn(state: &Data<State>) -> Option<Turn> {
    let was_running = state.by_hand.is_running.swap(true, Ordering::SeqCst);
    (!was_running).then(|| Turn(state.clone()))
}

/// Makes one in the folder of the scheduled ones, by the name of the moment; it counts as one of them.
///
/// # Errors
/// No sound copy could be made, or it could not be named in the audit.
pub(super) async fn back_up(turn: Turn, schedule: BackupSchedule, by: By) -> anyhow::Result<()> {
    let (store, stop) = (turn.0.store.clone(), Arc::clone(&turn.0.by_hand.stop));
    let written = block(move || copy(&store, &schedule, &stop)).await?.inspect_err(|problem| {
        tracing::error!(%problem, "THE BACKUP THAT SOMEBODY ASKED FOR FAILED");
    })?;
    tracing::info!(file = %written.path.display(), bytes = written.bytes, "backed up because somebody asked for it");
    let name = written.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let noted = turn.0.store.write(Undo::Savepoint, move |tx| {
        let after = Some(json!({"file": name, "bytes": written.bytes}));
        audit::append(tx, &by, &Entry { action: "backup.created", after, ..Entry::default() })
    });
    Ok(noted.await?)
}

fn copy(store: &Store, schedule: &BackupSchedule, stop: &Arc<AtomicBool>) -> Result<Written, BackupError> {
    let file = scheduled::place(&schedule.folder, clock::now())?;
    let written = store.back_up(&file, stop)?;
    scheduled::prune(&schedule.folder, schedule.keep, &written.path)?;
    Ok(written)
}
