//! Manual backups from the portal, their verification and their download: one at a time, in the background, recorded in the
//! audit log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{self, Millis};
use crate::management::backups::{self, BackupDownload, BackupFolder};
use crate::model::audit_context::AuditContext;
use crate::settings::BackupSchedule;
use crate::store::Store;
use crate::web::blocking::run_blocking;

/// State of the manual backup.
#[derive(Debug, Default)]
pub struct ManualBackup {
    is_running: AtomicBool,
    stop: Arc<AtomicBool>,
    /// The last verification of each backup since the start, by the name of its file.
    checks: Mutex<BTreeMap<String, BackupCheck>>,
}

/// Most backups whose verification is remembered.
const CHECKS_MAX: usize = 200;

/// The verification of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackupCheck {
    /// When it ended.
    pub(super) at: Millis,
    /// Why a restore would refuse the backup.
    pub(super) problem: Option<String>,
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

    /// Returns the last verification of the backup with this name.
    pub(super) fn find_check(&self, file: &str) -> Option<BackupCheck> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).get(file).cloned()
    }

    fn record_check(&self, file: String, check: BackupCheck) {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        if checks.len() >= CHECKS_MAX && !checks.contains_key(&file) {
            // The names begin with the time.
            checks.pop_first();
        }
        checks.insert(file, check);
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

/// Verifies the backup with this name in a folder, and records the result.
///
/// # Errors
/// The verification could not run to its end, or the result could not be recorded in the audit log.
pub(super) async fn run_backup_check(
    permit: BackupPermit,
    store: Store,
    (folder, file): (PathBuf, String),
    by: AuditContext,
) -> anyhow::Result<()> {
    let (path, stop) = (folder.join(&file), Arc::clone(&permit.0.stop));
    let problem = match run_blocking(move || backups::verify_backup(&path, &stop)).await? {
        Err(stopped @ backups::BackupError::Stopped) => return Err(stopped.into()),
        found => found.err().map(|problem| problem.to_string()),
    };
    if let Some(problem) = &problem {
        tracing::error!(file, problem, "A BACKUP IS NOT VALID");
    }
    permit.0.record_check(file.clone(), BackupCheck { at: clock::current_millis(), problem: problem.clone() });
    Ok(store.write(move |tx| backups::record_backup_check(tx, &by, &file, problem.as_deref())).await?)
}

/// Writes a backup for one download, and records the download.
///
/// # Errors
/// The backup could not be created, failed its integrity check, or could not be recorded in the audit log.
pub(super) async fn write_download(
    permit: BackupPermit,
    store: Store,
    data_dir: PathBuf,
    by: AuditContext,
) -> anyhow::Result<BackupDownload> {
    let (source, stop) = (store.clone(), Arc::clone(&permit.0.stop));
    let write = move || backups::write_download(&source, &data_dir, clock::current_millis(), &stop);
    let download = run_blocking(write).await??;
    let backup = download.backup.clone();
    store.write(move |tx| backups::record_backup_download(tx, &by, &backup)).await?;
    Ok(download)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifications_of_the_newest_backups_are_remembered() {
        let backup = ManualBackup::default();
        for number in 0..CHECKS_MAX + 5 {
            let check = BackupCheck { at: 1, problem: None };
            backup.record_check(format!("rollcall-{number:04}.db"), check);
        }
        assert_eq!(backup.find_check("rollcall-0004.db"), None);
        let damaged = BackupCheck { at: 2, problem: Some("damaged".to_owned()) };
        backup.record_check("rollcall-0005.db".to_owned(), damaged.clone());
        assert_eq!(backup.find_check("rollcall-0005.db"), Some(damaged));
    }
}
