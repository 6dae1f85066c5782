//! Manual backups from the portal: one at a time, in the background, recorded in the audit log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock;
use crate::management::backups::{self, BackupFolder};
use crate::model::audit_context::AuditContext;
use crate::settings::BackupSchedule;
use crate::store::Store;
use crate::web::blocking::run_blocking;

/// State of the manual backup.
#[derive(Debug, Default)]
pub struct ManualBackup {
    is_running: AtomicBool,
    stop: Arc<AtomicBool>,
}

/// Permit for one manual backup; released on drop.
pub(super) struct BackupPermit(Arc<ManualBackup>);

impl Drop for BackupPermit {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::SeqCst);
    }
}

impl ManualBackup {
    /// Cancels a running backup, because the server stops.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Returns a permit, or none while another manual backup runs.
pub(super) fn acquire_permit(backup: &Arc<ManualBackup>) -> Option<BackupPermit> {
    let was_running = backup.is_running.swap(true, Ordering::SeqCst);
    (!was_running).then(|| BackupPermit(Arc::clone(backup)))
}

/// Creates a backup in the folder of the scheduled backups. Its name has the current timestamp, and it counts for their
/// retention.
///
/// # Errors
/// The backup could not be created, failed its integrity check, or could not be recorded in the audit log.
pub(super) async fn run_manual_backup(
    permit: BackupPermit,
    store: Store,
    schedule: BackupSchedule,
    by: AuditContext,
) -> anyhow::Result<()> {
    let (source, stop) = (store.clone(), Arc::clone(&permit.0.stop));
    let write = move || {
        let folder = BackupFolder::of_schedule(&schedule, clock::find_start_doubt().is_some());
        backups::write_backup_to_folder(&source, &folder, clock::current_millis(), &stop)
    };
    let (written, removed) = run_blocking(write).await?.inspect_err(|problem| {
        tracing::error!(%problem, "THE MANUAL BACKUP FAILED");
    })?;
    tracing::info!(file = %written.path.display(), bytes = written.bytes, removed, "manual backup created");
    Ok(store.write(move |tx| backups::record_manual_backup(tx, &by, &written)).await?)
}
