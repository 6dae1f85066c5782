//! Scheduled backups. A failed backup is logged as an error and retried. The server keeps running.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock;
use crate::management::backups::{self, BackupError, BackupFolder};
use crate::settings::BackupSchedule;
use crate::store::Store;

/// Delay of the retry after a failure, if the schedule itself is not sooner.
const RETRY_DELAY: Duration = Duration::from_mins(10);
/// Delay of the first backup if the folder has none, so that the server starts first.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The running schedule. Dropping it cancels the current backup and ends the thread.
pub struct BackupJob {
    stopping: Arc<AtomicBool>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for BackupJob {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread is already logged, and the thread has ended.
            let _ = thread.join();
        }
    }
}

/// Starts the backup schedule in its own thread.
///
/// # Errors
/// The thread cannot be started.
pub fn start_schedule(store: Store, schedule: BackupSchedule) -> io::Result<BackupJob> {
    let stopping = Arc::new(AtomicBool::new(false));
    let stopping_in_thread = Arc::clone(&stopping);
    let (stop, stopped) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("rollcall-backup".to_owned())
        .spawn(move || run_schedule(&store, &schedule, &stopped, &stopping_in_thread))?;
    Ok(BackupJob { stopping, stop: Some(stop), thread: Some(thread) })
}

fn run_schedule(store: &Store, schedule: &BackupSchedule, stopped: &Receiver<()>, stopping: &Arc<AtomicBool>) {
    let mut wait = first_wait(schedule);
    while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        let started = Instant::now();
        wait = match make_backup(store, schedule, stopping) {
            Ok(()) => schedule.interval.saturating_sub(started.elapsed()),
            Err(BackupError::Stopped) => return,
            Err(problem) => {
                tracing::error!(folder = %schedule.folder.display(), %problem, "THE SCHEDULED BACKUP FAILED");
                schedule.interval.min(RETRY_DELAY)
            }
        };
    }
}

/// Time until the newest backup is as old as the backup interval. So a restart does not make a backup that is not due.
fn first_wait(schedule: &BackupSchedule) -> Duration {
    let now = clock::current_millis();
    let age = backups::find_newest_backup_time(&schedule.folder, now).map(|at| now - at);
    let Some(age) = age.and_then(|age| u64::try_from(age).ok()) else { return FIRST_DELAY };
    schedule.interval.saturating_sub(Duration::from_millis(age)).max(FIRST_DELAY)
}

fn make_backup(store: &Store, schedule: &BackupSchedule, stopping: &Arc<AtomicBool>) -> Result<(), BackupError> {
    let started = Instant::now();
    let now = clock::current_millis();
    let folder = BackupFolder::of_schedule(schedule, clock::find_start_doubt().is_some());
    let (written, removed) = backups::write_backup_to_folder(store, &folder, now, stopping)?;
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(file = %written.path.display(), bytes = written.bytes, took_ms, removed, "backup completed");
    Ok(())
}
