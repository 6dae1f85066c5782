//! Follows the replica: starts the process that copies changes, starts it again after a pause if it ends, and measures how far the
//! copy is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::jobs::replication::{find_newest_content, locate_generation, write_location};
use crate::replica::lease::LeaseObject;
use crate::replica::{
    Follower, LitestreamProgram, ReplicaFiles, StandbyPhase, StandbyStatus, copy_path, read_copied_transaction,
};
use crate::settings::ReplicaLocation;

/// Pause in front of the first restart; it doubles with each one.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause in front of a restart.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// Name of the settings file with which the replica is listed.
const ASKED_FILE: &str = "litestream-list.yml";
/// How often the replica is listed, to compare it with the copy.
const LIST_INTERVAL: Duration = Duration::from_secs(3);

/// The copy of one replica.
#[derive(Debug)]
pub(super) struct ReplicaFollower {
    data_dir: PathBuf,
    location: ReplicaLocation,
    program: LitestreamProgram,
    files: ReplicaFiles,
    /// The same with another settings file: the process reads its own when it starts.
    asked: ReplicaFiles,
    status: Arc<StandbyStatus>,
    process: Option<(u64, Follower)>,
    pause: Duration,
    next_start: Instant,
    listed_at: Option<Instant>,
}

impl ReplicaFollower {
    pub(super) fn open(
        data_dir: &Path,
        location: &ReplicaLocation,
        status: Arc<StandbyStatus>,
    ) -> anyhow::Result<Self> {
        let program = LitestreamProgram::find(location)?;
        let files = ReplicaFiles::in_folder(data_dir)?;
        let asked = ReplicaFiles { configuration: files.configuration.with_file_name(ASKED_FILE), ..files.clone() };
        Ok(Self {
            data_dir: data_dir.canonicalize()?,
            location: location.clone(),
            program,
            files,
            asked,
            status,
            process: None,
            pause: PAUSE_MIN,
            next_start: Instant::now(),
            listed_at: None,
        })
    }

    /// Whether a complete copy follows.
    pub(super) fn is_warm(&self) -> bool {
        self.status.read_figures().lag.is_some() && self.process.is_some()
    }

    /// Starts the process if it is due, and compares the copy with the replica.
    pub(super) fn tick(&mut self, lease: Option<&LeaseObject>, stop: &AtomicBool) {
        let is_due = self.listed_at.is_none_or(|at| at.elapsed() >= LIST_INTERVAL);
        if self.process.as_mut().is_some_and(|(_, process)| !process.is_running()) {
            tracing::warn!("the process that follows the replica has ended and is started again");
            self.process = None;
            self.next_start = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
        if !(is_due || self.process.is_none() && Instant::now() >= self.next_start) {
            return;
        }
        self.listed_at = Some(Instant::now());
        let newest = lease.map_or(0, |lease| lease.record.generation);
        if let Err(problem) = self.compare_with_replica(newest, stop) {
            self.status.record_problem(format!("{problem:#}"));
            tracing::warn!(problem = format!("{problem:#}"), "the replica cannot be followed");
        }
    }

    /// Follows the newest generation that has something, and records how far the copy is.
    fn compare_with_replica(&mut self, newest: u64, stop: &AtomicBool) -> anyhow::Result<()> {
        let asked = Instant::now();
        let (generation, content) = find_newest_content(&self.program, &self.asked, (&self.location, newest), stop)?;
        if self.process.as_ref().is_none_or(|(followed, _)| *followed != generation) && asked >= self.next_start {
            self.start_process(generation)?;
        }
        let copied = self.process.as_ref().and_then(|(_, process)| read_copied_transaction(process.copy()));
        if copied.is_some_and(|copied| copied >= content.last_transaction) {
            self.status.record_complete(asked);
            self.status.record_phase(StandbyPhase::Following);
            self.pause = PAUSE_MIN;
        }
        Ok(())
    }

    fn start_process(&mut self, generation: u64) -> anyhow::Result<()> {
        // It ends in front of the next one, which has the same file.
        drop(self.process.take());
        self.status.record_generation(generation);
        self.status.record_phase(StandbyPhase::Restoring);
        write_location(&self.files, &locate_generation(&self.location, generation))?;
        let process = Follower::start(&self.program, &self.files, &copy_path(&self.data_dir, generation))?;
        tracing::info!(generation, "the copy follows the replica");
        self.process = Some((generation, process));
        self.next_start = Instant::now() + self.pause;
        Ok(())
    }

    /// Brings the copy to the end of the newest generation up to `newest` that has something, and ends the process. Returns that
    /// generation and the copy, or `None` if that takes longer: call it again.
    ///
    /// # Errors
    /// The replica cannot be read, or the process cannot be started.
    pub(super) fn catch_up(&mut self, newest: u64, stop: &AtomicBool) -> anyhow::Result<Option<(u64, PathBuf)>> {
        let (generation, content) = find_newest_content(&self.program, &self.asked, (&self.location, newest), stop)?;
        let Some((_, process)) = self.process.as_mut().filter(|(followed, _)| *followed == generation) else {
            self.start_process(generation)?;
            return Ok(None);
        };
        if !process.is_running() {
            self.process = None;
            return Ok(None);
        }
        let copy = process.copy().to_owned();
        if read_copied_transaction(&copy).is_none_or(|copied| copied < content.last_transaction) {
            return Ok(None);
        }
        let is_complete = process.stop();
        self.process = None;
        anyhow::ensure!(
            is_complete,
            "the process that follows the replica did not end as expected; the copy is restored again"
        );
        // The Litestream of the other server can still send what it had not sent. A change that arrived meanwhile may be in the
        // copy in part.
        let (_, after) = find_newest_content(&self.program, &self.asked, (&self.location, generation), stop)?;
        if read_copied_transaction(&copy).is_none_or(|copied| copied < after.last_transaction) {
            tracing::warn!("the replica has changed at the end of the copy, which is restored again");
            return Ok(None);
        }
        Ok(Some((generation, copy)))
    }
}
