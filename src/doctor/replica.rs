//! Checks of the replica: the program, the lag, the content and the last proof.

use std::time::Duration;

use crate::clock::Millis;
use crate::doctor::{Finding, ServerStatus, format_duration, format_size};
use crate::replica::lease::{FolderRole, LeaseView, RoleKind};
use crate::replica::{ControlSocket, LitestreamProgram, ProcessState, ProofResult, ReplicaFigures, ReplicaFiles};
use crate::settings::{ReplicaSettings, Settings};

/// Lag from which it is a problem.
pub const LAG_MAX: Duration = Duration::from_mins(1);
/// How long a command waits until the replica has everything.
const SYNC_MAX: Duration = Duration::from_secs(5);
/// Age of the last proof from which it is late. It is made every seven days.
const PROOF_MAX_AGE: Millis = 15 * 24 * 60 * 60 * 1000;
const ABOUT: &str = "Replica";

/// Returns the findings; none if the database is not replicated. A command asks Litestream itself.
pub(super) fn check_replica(
    settings: &Settings,
    proof: Option<&ProofResult>,
    running: Option<&ServerStatus>,
    now: Millis,
) -> Vec<Finding> {
    let Some(replica) = &settings.replica else { return Vec::new() };
    let lag = match running.and_then(|running| running.replica.as_ref()) {
        Some(figures) => check_replica_lag(figures),
        None => ask_litestream(settings, replica),
    };
    let lease = match running.and_then(|running| running.replica.as_ref()) {
        Some(figures) => figures.lease.as_ref().map(check_lease),
        None => replica.location.lease.then(|| describe_folder(settings)),
    };
    lease.into_iter().chain([lag, check_proof(proof, now)]).collect()
}

/// The finding about the lease of a running server.
pub fn check_lease(lease: &LeaseView) -> Finding {
    const ABOUT: &str = "Lease";
    let generation = lease.generation;
    if lease.is_held {
        return Finding::fine(
            ABOUT,
            format!("This server is the primary and holds the lease, in generation {generation}."),
        );
    }
    let cause =
        lease.problem.as_ref().map_or_else(String::new, |problem| format!(" {}.", problem.trim_end_matches('.')));
    let next = "Check the object storage of the replica and the network. Writes are accepted again when the lease was written.";
    Finding::problem(ABOUT, format!("This server does not hold the lease of generation {generation}.{cause}"), next)
}

/// The finding of a command about the role of the data folder.
fn describe_folder(settings: &Settings) -> Finding {
    const ABOUT: &str = "Lease";
    match FolderRole::read(&settings.data_dir) {
        Ok(Some(FolderRole { kind: RoleKind::Primary, generation, .. })) => {
            Finding::fine(ABOUT, format!("This data folder is that of the primary of generation {generation}."))
        }
        Ok(Some(FolderRole { kind: RoleKind::Standby, .. })) => {
            Finding::fine(ABOUT, "This data folder is that of a standby.")
        }
        Ok(Some(FolderRole { kind: RoleKind::Promoting { .. }, .. })) => {
            let next = "Run rollcall promote, or start the standby again.";
            Finding::warning(ABOUT, "A promotion of this data folder is not complete.", next)
        }
        Ok(None) => {
            Finding::fine(ABOUT, "This data folder has no role yet; the next start of the server takes the lease.")
        }
        Err(problem) => Finding::problem(
            ABOUT,
            format!("The role of the data folder cannot be read: {problem}."),
            "Check lease.json.",
        ),
    }
}

/// Returns the findings of a running server that are urgent.
pub(super) fn check_running_replica(running: &ServerStatus, now: Millis) -> Vec<Finding> {
    let Some(figures) = &running.replica else { return Vec::new() };
    let proof = figures.proof.as_ref().map(|proof| check_proof(Some(proof), now));
    let lease = figures.lease.as_ref().map(check_lease);
    std::iter::once(check_replica_lag(figures)).chain(proof).chain(lease).collect()
}

/// The finding about the lag of a running server.
pub fn check_replica_lag(figures: &ReplicaFigures) -> Finding {
    let cause =
        figures.problem.as_ref().map_or_else(String::new, |problem| format!(" {}.", problem.trim_end_matches('.')));
    let next = "Check the storage of the replica, its credentials and the log of the server. The server continues, and sends the missing changes when it can.";
    if figures.lag >= LAG_MAX {
        let seconds = figures.lag.as_secs();
        let message = format!("The replica lacks the changes of the last {seconds} seconds.{cause}");
        return Finding::problem(ABOUT, message, next);
    }
    if figures.process == ProcessState::Restarting {
        return Finding::warning(ABOUT, format!("Litestream has ended and is started again.{cause}"), next);
    }
    let Some(content) = figures.content else {
        return Finding::fine(ABOUT, format!("The replica lacks the changes of {} seconds.", figures.lag.as_secs()));
    };
    let size = format_size(content.bytes);
    Finding::fine(ABOUT, format!("The replica lacks the changes of {} seconds and has {size}.", figures.lag.as_secs()))
}

/// The finding of a command: whether the program is there, and whether the Litestream of the running server has sent everything.
fn ask_litestream(settings: &Settings, replica: &ReplicaSettings) -> Finding {
    if let Err(problem) = LitestreamProgram::find(&replica.location) {
        return Finding::problem(ABOUT, format!("{problem}."), "Install Litestream, and start the server again.");
    }
    let files = match ReplicaFiles::in_folder(&settings.data_dir) {
        Ok(files) => files,
        Err(problem) => return Finding::problem(ABOUT, problem.to_string(), "Use another data folder."),
    };
    if !files.socket.exists() {
        let next = "Start the server.";
        return Finding::warning(ABOUT, "Nothing is replicated, because the server does not run.", next);
    }
    match ControlSocket::new(&files.socket, &files.database).sync_database(true, SYNC_MAX) {
        Ok(()) => Finding::fine(ABOUT, "Everything is in the replica."),
        Err(problem) => {
            let next = "Check the storage of the replica, its credentials and the log of the server.";
            Finding::problem(ABOUT, format!("The replica is not complete: {problem}."), next)
        }
    }
}

fn check_proof(proof: Option<&ProofResult>, now: Millis) -> Finding {
    const ABOUT: &str = "Proof of the replica";
    const NEXT: &str = "Run rollcall replica prove, and look into the log of the server.";
    let Some(proof) = proof else {
        return Finding::fine(
            ABOUT,
            "The replica has not been restored for a test yet. The server does it every week.",
        );
    };
    let ago = format_duration(now - proof.at);
    if let Some(finding) = &proof.finding {
        return Finding::problem(ABOUT, format!("The test {ago} ago failed: {}.", finding.trim_end_matches('.')), NEXT);
    }
    let message = format!("The replica was restored and checked {ago} ago, and is good.");
    if now - proof.at > PROOF_MAX_AGE { Finding::warning(ABOUT, message, NEXT) } else { Finding::fine(ABOUT, message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn a_lease_that_is_not_held_is_a_problem() {
        let mut lease = LeaseView { generation: 2, is_held: true, problem: None };
        assert_eq!(check_lease(&lease).grade, Severity::Fine);
        lease.is_held = false;
        lease.problem = Some("no answer within 3 s".to_owned());
        let found = check_lease(&lease);
        assert_eq!(found.grade, Severity::Problem);
        assert!(found.message.contains("generation 2. no answer within 3 s."), "{found:?}");
    }

    #[test]
    fn a_lag_of_a_minute_and_a_bad_proof_are_problems() {
        let mut figures = ReplicaFigures { process: ProcessState::Running, ..ReplicaFigures::default() };
        figures.lag = Duration::from_secs(59);
        assert_eq!(check_replica_lag(&figures).grade, Severity::Fine);
        figures.lag = LAG_MAX;
        figures.problem = Some("no route to host".to_owned());
        let found = check_replica_lag(&figures);
        assert_eq!(found.grade, Severity::Problem);
        assert!(found.message.contains("60 seconds") && found.message.contains("no route to host."), "{found:?}");
        figures.lag = Duration::ZERO;
        figures.process = ProcessState::Restarting;
        assert_eq!(check_replica_lag(&figures).grade, Severity::Warning);
        let proof = |at, finding: Option<&str>| ProofResult {
            at,
            finding: finding.map(str::to_owned),
            newest_event: 0,
            bytes: 0,
            took_ms: 0,
        };
        let grade = |proof: Option<&ProofResult>| check_proof(proof, PROOF_MAX_AGE + 1).grade;
        assert_eq!(grade(None), Severity::Fine);
        assert_eq!(grade(Some(&proof(0, None))), Severity::Warning);
        assert_eq!(grade(Some(&proof(1, None))), Severity::Fine);
        assert_eq!(grade(Some(&proof(1, Some("page 3 is damaged")))), Severity::Problem);
    }
}
