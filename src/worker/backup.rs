//! Backups on a schedule. One that fails is said loudly and tried again; the server goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock;
use crate::settings::BackupSchedule;
use crate::store::Store;
use crate::store::backup::{BackupError, scheduled};

/// How long after a failure the next try comes, where the schedule itself is not sooner.
const TRY_AGAIN: Duration = Duration::from_mins(10);
/// The wait before the first backup of a folder that has none: the server answers first.
const FIRST: Duration = Duration::from_secs(1);

/// The running schedule. Dropped, it gives up what it is at and ends.
pub struct Backups {
    stopping: Arc<AtomicBool>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Backups {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been logged, and nothing is left to end.
            let _ = thread.join();
        }
    }
}

/// Starts the schedule.
///
/// # Errors
/// The thread cannot be started.
pub fn start(store: Store, schedule: BackupSchedule) -> io::Result<Backups> {
    let stopping = Arc::new(AtomicBool::new(false));
    let watched = Arc::clone(&stopping);
    let (stop, stopped) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("rollcall-backup".to_owned())
        .spawn(move || run(&store, &schedule, &stopped, &watched))?;
    Ok(Backups { stopping, stop: Some(stop), thread: Some(thread) })
}

fn run(store: &Store, schedule: &BackupSchedule, stopped: &Receiver<()>, stopping: &Arc<AtomicBool>) {
    let mut wait = first_wait(schedule);
    while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        let begun = Instant::now();
        wait = match back_up(store, schedule, stopping) {
            Ok(()) => schedule.every.saturating_sub(begun.elapsed()),
            Err(BackupError::Stopped) => return,
            Err(problem) => {
                tracing::error!(folder = %schedule.folder.display(), %problem, "THE SCHEDULED BACKUP FAILED");
                schedule.every.min(TRY_AGAIN)
            }
        };
    }
}

/// The time until the newest backup is as old as the schedule allows: a restart makes none that is not due.
fn first_wait(schedule: &BackupSchedule) -> Duration {
    let present = scheduled::present(&schedule.folder).unwrap_or_default();
    let Some(age) = present.last().and_then(|path| path.metadata().ok()?.modified().ok()?.elapsed().ok()) else {
        return FIRST;
    };
    schedule.every.saturating_sub(age).max(FIRST)
}

fn back_up(store: &Store, schedule: &BackupSchedule, stopping: &Arc<AtomicBool>) -> Result<(), BackupError> {
    let begun = Instant::now();
    let file = scheduled::place(&schedule.folder, clock::now())?;
    let written = store.back_up(&file, stopping)?;
    let removed = scheduled::prune(&schedule.folder, schedule.keep, &written.path)?;
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(file = %written.path.display(), bytes = written.bytes, took_ms = took, removed, "backed up");
    Ok(())
}
