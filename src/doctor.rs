//! Health checks of the server: one finding for each check, with a message and the next step if there is one. The
//! command line and the portal show the same findings.

mod database;
mod files;
mod network;
mod replica;

use std::net::IpAddr;

use crate::clock::{self, Millis};
use crate::error::Result;
use crate::management::instance::StoreStatistics;
use crate::model::service_state::ReadOnlyCause;
use crate::named_enum::named_enum;
use crate::replica::ReplicaFigures;
use crate::settings::Settings;
use crate::store::{Snapshot, Store};

pub use crate::doctor::database::DatabaseSummary;
pub use crate::doctor::replica::{LAG_MAX, check_lease, check_replica_lag};
pub use files::{check_backups, check_disk_space, find_copy_obstacle};

named_enum! {
    /// Severity of a finding.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Severity {
        /// Nothing to do.
        Fine = "ok",
        /// A condition to check soon.
        Warning = "warning",
        /// A condition that causes a failure now or soon.
        Problem = "problem",
    }
}

/// Result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Subject of the check, in one or two words.
    pub subject: &'static str,
    /// Severity.
    pub grade: Severity,
    /// Result, in one sentence.
    pub message: String,
    /// Next step, if action is needed.
    pub next_step: Option<String>,
}

impl Finding {
    fn fine(subject: &'static str, message: impl Into<String>) -> Self {
        Self { subject, grade: Severity::Fine, message: message.into(), next_step: None }
    }

    fn warning(subject: &'static str, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { subject, grade: Severity::Warning, message: message.into(), next_step: Some(next_step.into()) }
    }

    /// Returns a finding of grade [`Severity::Problem`].
    pub fn problem(subject: &'static str, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { subject, grade: Severity::Problem, message: message.into(), next_step: Some(next_step.into()) }
    }
}

/// Data that only the running server has.
#[derive(Debug, Clone, Default)]
pub struct ServerStatus {
    /// Expiry of the served certificate. `None` if there is none, or only a self-signed one.
    pub certificate_expires_at: Option<Millis>,
    /// Address of a client that sent a forwarding header and is not a trusted proxy.
    pub untrusted_proxy: Option<IpAddr>,
    /// Calls that were served but not stored in the request log, since the start.
    pub calls_dropped: u64,
    /// Log lines that were dropped because standard error was read too slowly, since the start.
    pub lines_dropped: u64,
    /// What is known about the replica; `None` if the database is not replicated.
    pub replica: Option<ReplicaFigures>,
}

/// Reads the data of the checks from the database.
pub fn read_summary(at: &Snapshot<'_>, now: Millis) -> Result<DatabaseSummary> {
    DatabaseSummary::read(at, now)
}

/// Runs all checks. `running` is the data of the running server. A command passes `None`.
pub fn list_findings(
    settings: &Settings,
    store: &Store,
    rows: &DatabaseSummary,
    running: Option<&ServerStatus>,
    now: Millis,
) -> Vec<Finding> {
    let figures = store.statistics();
    let mut found = vec![check_state(store), check_scrub(settings, &figures, now), check_wal(&figures)];
    found.extend(files::check_files(settings, &figures, now));
    found.extend(replica::check_replica(settings, rows.replica_proof.as_ref(), running, now));
    found.extend(network::check_network(settings, rows, running, now));
    found.extend(database::check_rows(rows, now));
    found.extend(running.map(check_dropped_entries));
    found
}

/// Runs the checks that the start page of the portal shows to server admins: failures that occur during operation, not
/// choices such as running without backups. It reads file metadata.
pub fn list_urgent_findings(settings: &Settings, store: &Store, running: &ServerStatus, now: Millis) -> Vec<Finding> {
    let figures = store.statistics();
    let mut found = vec![check_state(store), check_wal(&figures), files::check_disk_space(settings, &figures)];
    found.extend(settings.backups.is_some().then(|| files::check_backups(settings, now)));
    found.extend(replica::check_running_replica(running, now));
    found.extend(network::check_certificate(settings, Some(running), now));
    found.push(database::check_doubts(clock::find_held_leap(), clock::find_start_doubt(), now));
    found.extend(running.untrusted_proxy.map(network::report_untrusted_proxy));
    found.retain(|finding| finding.grade > Severity::Fine);
    found
}

/// The findings of the home page: the urgent ones, and what a new server lacks, such as backups. `public_url` is the URL that
/// identity providers use. For a page that must be shown in a few milliseconds.
pub fn list_home_findings(
    settings: &Settings,
    store: &Store,
    running: &ServerStatus,
    (public_url, now): (&str, Millis),
) -> Vec<Finding> {
    let mut found = list_urgent_findings(settings, store, running, now);
    if settings.backups.is_none() {
        found.push(files::check_backups(settings, now));
    }
    found.push(network::check_public_url(public_url));
    found.retain(|finding| finding.grade > Severity::Fine);
    found
}

fn check_state(store: &Store) -> Finding {
    const ABOUT: &str = "Database";
    match store.service_state().cause() {
        None => Finding::fine(ABOUT, "Writable. No corruption found (quick check)."),
        Some(cause) => Finding::problem(ABOUT, describe_cause(store, cause), cause.next_step()),
    }
}

/// The cause in one sentence. On a full disk, the folder and its free space follow.
pub fn describe_cause(store: &Store, cause: ReadOnlyCause) -> String {
    match (cause, store.read_space()) {
        (ReadOnlyCause::DiskFull, (folder, Some(free))) => {
            format!("{} Free space of {}: {}.", cause.describe(), folder.display(), format_size(free))
        }
        _ => cause.describe().to_owned(),
    }
}

/// Returns the finding about a running server from the answer of its `/readyz`.
pub fn check_readiness_answer(status: u16, text: &str) -> Finding {
    const ABOUT: &str = "Server";
    if status == 200 {
        return Finding::fine(ABOUT, "The running server accepts writes.");
    }
    let message = format!("The running server is not ready: {}", text.trim());
    Finding::problem(ABOUT, message, "Look into the log of the server.")
}

/// The scrub reads all pages, also those that no request needs.
fn check_scrub(settings: &Settings, figures: &StoreStatistics, now: Millis) -> Finding {
    const ABOUT: &str = "Scrub";
    let scrub = figures.scrub;
    if scrub.has_damage {
        let next = "Stop the server, run rollcall check --deep, and restore the last good backup.";
        return Finding::problem(ABOUT, "The scrub found damaged pages in the database file.", next);
    }
    if !scrub.has_checksums {
        let next =
            "Stop the server and other programs that use the database, run rollcall backup FILE, and restore the file.";
        return Finding::warning(
            ABOUT,
            "The pages of the database have no checksums, so that damage stays unnoticed.",
            next,
        );
    }
    match scrub.finished_at {
        _ if settings.scrub_bytes_per_second.is_none() => {
            Finding::warning(ABOUT, "The daily check of all pages is off.", "Remove the setting scrub_rate.")
        }
        Some(at) => {
            let ago = format_duration(now - at);
            Finding::fine(ABOUT, format!("All pages of the database file were read {ago} ago, and none is damaged."))
        }
        None => Finding::fine(ABOUT, "The pages of the database file have not all been read since the start."),
    }
}

/// Size of the write-ahead log above which a checkpoint is considered blocked.
const WAL_MAX_BYTES: u64 = 64 << 20;

fn check_wal(figures: &StoreStatistics) -> Finding {
    const ABOUT: &str = "Write-ahead log";
    let bytes = figures.log_bytes.unwrap_or_default();
    let size = format_size(bytes);
    if figures.checkpoints.is_failing {
        let failures = figures.checkpoints.failures;
        let message = format!("Checkpoints of the write-ahead log ({size}) fail: {failures} times since the start.");
        return Finding::problem(ABOUT, message, "Check the disk and the log of the server.");
    }
    if bytes <= WAL_MAX_BYTES {
        return Finding::fine(ABOUT, format!("WAL size {size}."));
    }
    let next = "Look for failed checkpoints in the log of the server, and for a program that keeps the database open, such as sqlite3.";
    Finding::warning(ABOUT, format!("The write-ahead log has grown to {size}: it cannot be checkpointed."), next)
}

fn check_dropped_entries(running: &ServerStatus) -> Finding {
    const ABOUT: &str = "Logs";
    match (running.calls_dropped, running.lines_dropped) {
        (0, 0) => Finding::fine(ABOUT, "No log lines dropped."),
        (calls, 0) => Finding::warning(
            ABOUT,
            format!("{calls} requests were served but not stored in the request log since the start."),
            "More requests arrived than the log can store. Find the source in the metrics.",
        ),
        (_, lines) => Finding::warning(
            ABOUT,
            format!("{lines} lines of the server log were dropped since the start."),
            "The program that reads standard error is too slow.",
        ),
    }
}

/// Formats a number of bytes for display, such as `1.5 kB`.
pub fn format_size(bytes: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    for (unit, unit_bytes) in units {
        if bytes >= unit_bytes {
            return format!("{}.{} {unit}", bytes / unit_bytes, bytes % unit_bytes * 10 / unit_bytes);
        }
    }
    format!("{bytes} bytes")
}

/// Formats a duration for display, in its largest whole unit.
fn format_duration(millis: Millis) -> String {
    let minutes = millis.max(0) / 60_000;
    let (count, unit) = match minutes {
        0..120 => (minutes, "minute"),
        120..2_880 => (minutes / 60, "hour"),
        _ => (minutes / 1_440, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_formatted_in_their_largest_unit() {
        for (bytes, text) in [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (2_000_000_000, "2.0 GB")] {
            assert_eq!(format_size(bytes), text);
        }
        for (minutes, text) in
            [(0, "0 minutes"), (1, "1 minute"), (119, "119 minutes"), (120, "2 hours"), (4_320, "3 days")]
        {
            assert_eq!(format_duration(minutes * 60_000), text);
        }
    }
}
