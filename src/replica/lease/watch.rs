//! What is known about the lease at present, for the reports.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The lease as a report shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseView {
    /// Generation of this server.
    pub generation: u64,
    /// Whether this server may accept writes.
    pub is_held: bool,
    /// The last problem, until the next success.
    pub problem: Option<String>,
}

/// The status of the lease of this server.
#[derive(Debug, Default)]
pub struct LeaseStatus(Mutex<LeaseView>);

impl LeaseStatus {
    /// Returns what is known. The caller adds whether it is held at this time.
    pub fn read(&self) -> LeaseView {
        self.lock().clone()
    }

    /// Records a lease of this generation.
    pub fn record_success(&self, generation: u64) {
        let mut view = self.lock();
        view.generation = generation;
        view.problem = None;
    }

    /// Records a problem.
    pub fn record_problem(&self, problem: String) {
        self.lock().problem = Some(problem);
    }

    fn lock(&self) -> MutexGuard<'_, LeaseView> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
