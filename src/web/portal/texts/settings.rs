//! The settings of the server: address, backups, health, roles, single sign-on, branding.

use super::labels;
use crate::model::permission::Permission;
use crate::replica::{ProcessState, StandbyPhase};

pub(crate) const GENERAL: &str = "General";
pub(crate) const BRANDING: &str = "Branding";
pub(crate) const ABOUT: &str = "About Rollcall";
pub(crate) const LICENCES: &str = "Licences";

pub(crate) const HEALTH: &str = "Health";
pub(crate) const PROBLEM: &str = "Problem";
pub(crate) const WARNING: &str = "Warning";

/// `problem` is a sentence without its capital letter and full stop, here and below.
pub(crate) fn say_url_invalid(problem: &str) -> String {
    format!("Write the public URL as https://scim.example.com: {problem}.")
}

pub(crate) fn say_url_is_fixed(present: &str) -> String {
    format!("The public URL was given when the server was started, so it stays {present}.")
}

/// `address` is this page over HTTPS.
pub(crate) fn ask_for_https(address: &str) -> String {
    format!(
        "With that URL admins sign in over HTTPS only, and you opened this page without. Open {address} and save it there, so \
         that it is certain that HTTPS works."
    )
}

pub(crate) const BACKUPS: &str = "Backups";
pub(crate) const SERVER_IS_STOPPING: &str = "The server is stopping.";
pub(crate) const BACKUP_IS_RUNNING: &str = "Another backup is being created or verified. Wait until it has ended.";
pub(crate) const BACKUP_NOT_VERIFIED: &str = "The backup was not verified.";
pub(crate) const BACKUP_NOT_MADE: &str = "No backup was created.";
pub(crate) const NO_BACKUP_FOLDER: &str = "No backup folder is set: start the server with --backup-dir.";
/// A problem of [`explain_no_backup`].
pub(crate) const STOPPING: &str = "the server is stopping";

pub(crate) fn explain_no_backup(problem: &str) -> String {
    format!("No backup was created: {problem}.")
}

pub(crate) const ROLES: &str = "Roles";
pub(crate) const ADD_ROLE: &str = "Add role";
pub(crate) const TEMPLATE_EVENT_READER: &str = "Event reader";
pub(crate) const TEMPLATE_PROVISIONING: &str = "Provisioning";
pub(crate) const TEMPLATE_ADMIN: &str = "Admin";

pub(crate) fn title_role(name: &str) -> String {
    format!("Role · {name}")
}

/// Description of a permission for admins.
pub(crate) fn describe_permission(permission: Permission) -> &'static str {
    match permission {
        Permission::ProvisioningRead => "View connections",
        Permission::ProvisioningCreate => "Add connections and change their settings",
        Permission::ProvisioningDelete => "Delete connections and purge retained data",
        Permission::ProvisioningTokens => "Create and revoke tokens and setup links",
        Permission::DirectoryRead => "View users and groups",
        Permission::RequestsRead => "View the request log",
        Permission::AuditRead => "View the audit log",
        Permission::WebhooksManage => "Manage webhooks",
        Permission::SystemAdmin => "Administer Rollcall (people, roles, API keys, settings)",
    }
}

pub(crate) const SSO: &str = "Single sign-on";
pub(crate) const GIVE_CLIENT_SECRET: &str = "Give the client secret, or say that there is none.";
pub(crate) const GIVE_CLIENT_SECRET_AGAIN: &str =
    "Give the client secret again: the stored one belongs to another issuer or client.";
pub(crate) const CLIENT_SECRET_TOO_LONG: &str = "This is too long for a client secret.";
pub(crate) const NO_RANDOM_NUMBERS: &str = "The server has no random numbers. Try again.";
pub(crate) const NOT_STORED: &str = "It cannot be stored. Try again.";

pub(crate) fn say_line_invalid(line: &str) -> String {
    format!("“{line}” is not a valid line. Write it like: admins = provisioning-manager")
}

pub(crate) fn say_issuer_refused(problem: &str) -> String {
    format!("The issuer cannot be used: {problem}.")
}

/// A problem of [`say_issuer_refused`].
pub(crate) fn explain_issuer_not_url(problem: url::ParseError) -> String {
    format!("{problem}; write https://host/path")
}

// The panel about the replica.

/// Heading of the panel.
pub(crate) const REPLICA: &str = "Replica";
/// Label of the state of Litestream.
pub(crate) const REPLICA_PROCESS: &str = "Litestream";
/// Label of the lag.
pub(crate) const REPLICA_LAG: &str = "Changes not yet copied";
/// Label of the time at which everything was in the replica.
pub(crate) const REPLICA_COMPLETE_AT: &str = "Complete at";
/// Label of the role and the lease.
pub(crate) const LEASE: &str = "Lease";

/// Whether the server holds the lease.
pub(crate) fn describe_lease(is_held: bool, generation: u64) -> String {
    let state = if is_held { "Held: this server is the primary" } else { "Not held: writes are refused" };
    format!("{state}, generation {generation}")
}

/// Title of the page of a standby.
pub(crate) const STANDBY_TITLE: &str = "Standby";

/// What a standby does.
pub(crate) fn describe_standby_phase(phase: StandbyPhase) -> &'static str {
    match phase {
        StandbyPhase::Restoring => "Restores the first copy",
        StandbyPhase::Following => "Follows the replica",
        StandbyPhase::Waiting => "Waits for the end of the lease, then takes over",
        StandbyPhase::Promoting => "Takes over",
    }
}

/// How far the copy of a standby is behind the replica.
pub(crate) fn describe_standby_lag(seconds: Option<u64>) -> String {
    match seconds {
        None => "No copy yet".to_owned(),
        Some(1) => "1 second".to_owned(),
        Some(seconds) => format!("{seconds} seconds"),
    }
}

/// Label of the size.
pub(crate) const REPLICA_SIZE: &str = "Size";
/// Label of the oldest state that can be restored.
pub(crate) const REPLICA_OLDEST: &str = "Oldest restore point";
/// Label of the last test.
pub(crate) const REPLICA_PROOF: &str = "Last restore test";
/// Explanation of the panel.
pub(crate) const REPLICA_HELP: &str = "The server copies each change to the replica within seconds, and restores the replica every week to test it. On the server, rollcall restore --from-replica restores it.";
/// For a value that is not known yet.
pub(crate) const REPLICA_UNKNOWN: &str = "Not known yet";

/// The state of Litestream.
pub(crate) fn describe_replica_process(process: ProcessState, restarts: u64) -> String {
    let state = match process {
        ProcessState::Starting => "Starting",
        ProcessState::Running => "Running",
        ProcessState::Restarting => "Ended, starts again",
        ProcessState::Stopped => labels::STOPPED,
    };
    match restarts {
        0 => state.to_owned(),
        1 => format!("{state}; started again once"),
        _ => format!("{state}; started again {restarts} times"),
    }
}

/// The lag.
pub(crate) fn describe_replica_lag(seconds: u64) -> String {
    match seconds {
        0 => "None".to_owned(),
        1 => "Those of the last second".to_owned(),
        _ => format!("Those of the last {seconds} seconds"),
    }
}

/// The result of a test.
pub(crate) fn describe_replica_proof(finding: Option<&str>) -> String {
    finding.map_or_else(|| "Good".to_owned(), |finding| format!("Failed: {finding}"))
}
