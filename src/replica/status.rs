//! What is known about the replica at present, shared by the process that writes it, the watch of its lag and the reports.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clock::{self, Millis};
use crate::named_enum::named_enum;
use crate::replica::lag::LagClock;
use crate::replica::lease::LeaseView;
use crate::replica::program::ReplicaContent;

named_enum! {
    /// Whether Litestream runs.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum ProcessState {
        /// It has not been started yet.
        #[default]
        Starting = "starting",
        /// It runs.
        Running = "running",
        /// It has ended, and is started again after a pause.
        Restarting = "restarting",
        /// It was stopped with the server.
        Stopped = "stopped",
    }
}

/// The result of a proof: the replica was restored into a scratch file and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofResult {
    /// When it ended.
    pub at: Millis,
    /// The first finding; `None` if the replica is good.
    pub finding: Option<String>,
    /// Newest event number in the restored file.
    pub newest_event: i64,
    /// Size of the restored file.
    pub bytes: u64,
    /// How long the restore and the checks took, in milliseconds.
    pub took_ms: u64,
}

/// What is known at one time.
#[derive(Debug, Clone, Default)]
pub struct ReplicaFigures {
    /// Whether Litestream runs.
    pub process: ProcessState,
    /// How often it was started again.
    pub restarts: u64,
    /// Age of the oldest commit that is not known to be in the replica.
    pub lag: Duration,
    /// When everything was in the replica for the last time.
    pub last_success: Option<Millis>,
    /// The last problem, until the next success.
    pub problem: Option<String>,
    /// What is in the replica, as of the last look.
    pub content: Option<ReplicaContent>,
    /// The last proof.
    pub proof: Option<ProofResult>,
    /// The lease; `None` if the server needs none.
    pub lease: Option<LeaseView>,
}

/// The status of the replica of this server.
#[derive(Debug, Default)]
pub struct ReplicaStatus(Mutex<StatusState>);

#[derive(Debug, Default)]
struct StatusState {
    figures: ReplicaFigures,
    lag: LagClock,
}

impl ReplicaStatus {
    fn lock(&self) -> MutexGuard<'_, StatusState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is known now.
    pub fn read_figures(&self) -> ReplicaFigures {
        let state = self.lock();
        ReplicaFigures { lag: state.lag.read_lag(Instant::now()), ..state.figures.clone() }
    }

    /// Whether Litestream runs, as far as is known.
    pub fn is_running(&self) -> bool {
        self.lock().figures.process == ProcessState::Running
    }

    /// Whether a commit is not known to be in the replica.
    pub fn is_incomplete(&self) -> bool {
        self.lock().lag.is_incomplete()
    }

    /// Records whether Litestream runs.
    pub(super) fn record_process(&self, process: ProcessState) {
        let mut state = self.lock();
        if process == ProcessState::Restarting {
            state.figures.restarts += 1;
        }
        state.figures.process = process;
    }

    /// Records a problem. It is forgotten after the next success.
    pub fn record_problem(&self, problem: String) {
        self.lock().figures.problem = Some(problem);
    }

    /// Records how many commits the server has made.
    pub fn observe_commits(&self, commits: u64) {
        self.lock().lag.observe_commits(commits, Instant::now());
    }

    /// Records that the first `commits` are in the replica. `asked` is when they were counted.
    pub fn confirm_commits(&self, commits: u64, asked: Instant) {
        let mut state = self.lock();
        state.lag.confirm_commits(commits, asked);
        state.figures.last_success = Some(clock::current_millis());
        state.figures.problem = None;
    }

    /// Records what is in the replica.
    pub fn record_content(&self, content: ReplicaContent) {
        self.lock().figures.content = Some(content);
    }

    /// Records the result of a proof.
    pub fn record_proof(&self, proof: ProofResult) {
        self.lock().figures.proof = Some(proof);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_ends_a_problem_and_restarts_are_counted() {
        let status = ReplicaStatus::default();
        assert!(!status.is_running() && !status.is_incomplete());
        status.record_process(ProcessState::Running);
        status.observe_commits(3);
        status.record_problem("no route to host".to_owned());
        status.record_process(ProcessState::Restarting);
        let figures = status.read_figures();
        assert_eq!((figures.restarts, figures.last_success), (1, None));
        assert_eq!(figures.problem.as_deref(), Some("no route to host"));
        assert!(status.is_incomplete());
        status.confirm_commits(3, Instant::now());
        let figures = status.read_figures();
        assert_eq!((figures.problem, figures.lag), (None, Duration::ZERO));
        assert!(figures.last_success.is_some());
    }
}
