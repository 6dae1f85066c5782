//! Texts of the panel about the replica.

use crate::replica::ProcessState;

/// Heading of the panel.
pub(in crate::web::portal) const HEADING: &str = "Replica";
/// Label of the state of Litestream.
pub(in crate::web::portal) const PROCESS: &str = "Litestream";
/// Label of the lag.
pub(in crate::web::portal) const LAG: &str = "Changes not yet copied";
/// Label of the time at which everything was in the replica.
pub(in crate::web::portal) const LAST_SUCCESS: &str = "Complete at";
/// Label of the size.
pub(in crate::web::portal) const SIZE: &str = "Size";
/// Label of the oldest state that can be restored.
pub(in crate::web::portal) const OLDEST: &str = "Oldest restore point";
/// Label of the last test.
pub(in crate::web::portal) const PROOF: &str = "Last restore test";
/// Explanation of the panel.
pub(in crate::web::portal) const HELP: &str = "The server copies each change to the replica within seconds, and restores the replica every week to test it. On the server, rollcall restore --from-replica restores it.";
/// Shown in place of a value that is not known yet.
pub(in crate::web::portal) const UNKNOWN: &str = "Not known yet";

/// The state of Litestream.
pub(in crate::web::portal) fn describe_process(process: ProcessState, restarts: u64) -> String {
    let state = match process {
        ProcessState::Starting => "Starting",
        ProcessState::Running => "Running",
        ProcessState::Restarting => "Ended, starts again",
        ProcessState::Stopped => "Stopped",
    };
    match restarts {
        0 => state.to_owned(),
        1 => format!("{state}; started again once"),
        _ => format!("{state}; started again {restarts} times"),
    }
}

/// The lag.
pub(in crate::web::portal) fn describe_lag(seconds: u64) -> String {
    match seconds {
        0 => "None".to_owned(),
        1 => "Those of the last second".to_owned(),
        _ => format!("Those of the last {seconds} seconds"),
    }
}

/// The result of a test.
pub(in crate::web::portal) fn describe_proof(finding: Option<&str>) -> String {
    finding.map_or_else(|| "Good".to_owned(), |finding| format!("Failed: {finding}"))
}
