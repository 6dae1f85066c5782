//! What is known about a standby at present, for its page, its metrics and its log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::named_enum::named_enum;

named_enum! {
    /// What a standby does.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum StandbyPhase {
        /// The first complete copy is being restored.
        #[default]
        Restoring = "restoring",
        /// The copy follows the replica.
        Following = "following",
        /// A promotion waits for the end of the lease.
        Waiting = "waiting",
        /// A promotion runs.
        Promoting = "promoting",
    }
}

/// What is known at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StandbyFigures {
    /// What it does.
    pub phase: StandbyPhase,
    /// The generation that it follows.
    pub generation: u64,
    /// Age of the oldest change in the replica that is not known to be in the copy. `None` while there is no copy.
    pub lag: Option<Duration>,
    /// The last problem, until the next success.
    pub problem: Option<String>,
}

/// The status of a standby.
#[derive(Debug, Default)]
pub struct StandbyStatus(Mutex<StandbyState>);

#[derive(Debug, Default)]
struct StandbyState {
    figures: StandbyFigures,
    /// Since when the copy may lack something.
    incomplete_since: Option<Instant>,
}

impl StandbyStatus {
    /// Returns what is known now.
    pub fn read_figures(&self) -> StandbyFigures {
        let state = self.lock();
        let lag = state.incomplete_since.map(|since| since.elapsed());
        StandbyFigures { lag, ..state.figures.clone() }
    }

    /// Records what the standby does.
    pub fn record_phase(&self, phase: StandbyPhase) {
        self.lock().figures.phase = phase;
    }

    /// Records which generation is followed. There is no copy of another one yet.
    pub fn record_generation(&self, generation: u64) {
        let mut state = self.lock();
        if state.figures.generation != generation {
            state.incomplete_since = None;
        }
        state.figures.generation = generation;
    }

    /// Records that the copy had everything that was in the replica at this time.
    pub fn record_complete(&self, asked: Instant) {
        let mut state = self.lock();
        state.incomplete_since = Some(asked);
        state.figures.problem = None;
    }

    /// Records a problem.
    pub fn record_problem(&self, problem: String) {
        self.lock().figures.problem = Some(problem);
    }

    fn lock(&self) -> MutexGuard<'_, StandbyState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_begins_when_the_copy_was_complete_for_the_last_time() {
        let status = StandbyStatus::default();
        assert_eq!(status.read_figures().lag, None);
        status.record_generation(2);
        status.record_problem("no route to host".to_owned());
        status.record_complete(Instant::now().checked_sub(Duration::from_secs(5)).unwrap());
        let figures = status.read_figures();
        assert!(figures.lag.unwrap() >= Duration::from_secs(5) && figures.problem.is_none());
        status.record_generation(2);
        assert!(status.read_figures().lag.is_some());
        // Another generation begins with a new copy.
        status.record_generation(3);
        assert_eq!(status.read_figures().lag, None);
    }
}
