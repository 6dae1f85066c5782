//! `rollcall backup`, `rollcall restore` and `rollcall replica`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::auth::jwt::SIGNING_KEY_FILE;
use crate::cli::output::{self, confirmation};
use crate::cli::{Cli, config, open_existing_store};
use crate::clock::Millis;
use crate::jobs::replication;
use crate::management::backups::{self, BackupError, BackupOptions, DATABASE_NAME, RestoreOptions, RestoreOutcome};
use crate::replica::RestorePoint;
use crate::settings::{ReplicaLocation, ReplicaLocationArgs};

/// What is wrong if no replica is set.
const NO_REPLICA: &str = "the location of the replica is not set: set replica_url in the settings file of the server";

#[derive(Debug, Args)]
pub(super) struct BackupCommandArgs {
    /// File to create
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Include the request log, which can be larger than all other data
    #[arg(long)]
    with_log: bool,
}

#[derive(Debug, Args)]
pub(super) struct RestoreCommandArgs {
    /// Backup that replaces the database
    #[arg(required_unless_present = "from_replica", conflicts_with = "from_replica")]
    file: Option<PathBuf>,
    /// Restore the replica instead of a backup; its location is that of the settings
    #[arg(long)]
    from_replica: bool,
    /// Restore the state of the replica at this time, such as 2026-07-14T09:30:00Z; default: the newest
    #[arg(long, value_name = "TIME", value_parser = parse_timestamp, requires = "from_replica")]
    at: Option<Timestamp>,
    /// Location of the replica.
    #[command(flatten)]
    replica: ReplicaLocationArgs,
    /// Replace an existing database without a question; it is renamed and stays in the data folder
    #[arg(long, visible_alias = "yes")]
    force: bool,
    /// Restore a file whose rows are inconsistent, or that another program has changed; its structure must be undamaged
    #[arg(long)]
    accept_findings: bool,
    /// Revoke all tokens, API keys and setup links, and disable all admins, that were created at this time or later,
    /// such as 2026-07-14T09:30:00Z; use it if the previous database is lost
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    revoke_all_since: Option<Millis>,
}

/// Parses a time in RFC 3339 format.
fn parse_timestamp(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "expected a time such as 2026-07-14T09:30:00Z".to_owned())
}

fn parse_time(text: &str) -> Result<Millis, String> {
    parse_timestamp(text).map(Timestamp::as_millisecond)
}

pub(super) fn back_up_database(folder: &Path, args: &BackupCommandArgs) -> anyhow::Result<()> {
    let options = BackupOptions { replace: args.force, with_log: args.with_log };
    let written = backups::write_backup(folder, &args.file, options)?;
    let contents = if args.with_log { "" } else { ", without the request log" };
    let (path, bytes) = (written.path.display(), written.bytes);
    if !written.foreign.is_empty() {
        output::print_line(&format!("{path}: {bytes} bytes{contents}"))?;
        return Ok(output::print_warning(&format!(
            "this backup cannot be restored, because the database contains objects that are not part of a Rollcall database: {}. Remove them from the database, and repeat the command with --force",
            written.foreign.join(", ")
        ))?);
    }
    Ok(output::print_line(&format!("{path}: {bytes} bytes, checked{contents}"))?)
}

/// Restores a file. On a terminal, asks whether it may replace a database.
fn restore_file(folder: &Path, file: &Path, options: RestoreOptions) -> anyhow::Result<RestoreOutcome> {
    match backups::restore_backup(folder, file, options) {
        Err(BackupError::Occupied(path)) if confirmation::can_ask() => {
            confirmation::ask_to_continue(&format!("replace {}? It is renamed.", path.display()))?;
            Ok(backups::restore_backup(folder, file, RestoreOptions { replace: true, ..options })?)
        }
        restored => Ok(restored?),
    }
}

/// Fetches the state of the replica, and restores it like a backup.
fn restore_replica(
    folder: &Path,
    location: ReplicaLocation,
    (at, options): (Option<Timestamp>, RestoreOptions),
) -> anyhow::Result<RestoreOutcome> {
    let database = folder.join(DATABASE_NAME);
    // In front of the transfer, which can take minutes.
    if database.exists() && !options.replace && !confirmation::can_ask() {
        return Err(BackupError::Occupied(database).into());
    }
    let point = at.map_or(RestorePoint::Newest, RestorePoint::At);
    let (scratch, file) = replication::fetch_replica(folder, location, point)?;
    let restored = restore_file(folder, &file, options);
    let removed = std::fs::remove_dir_all(&scratch);
    let restored = restored?;
    removed?;
    if !folder.join(SIGNING_KEY_FILE).exists() {
        output::print_line(&format!(
            "the folder has no {SIGNING_KEY_FILE}: copy it from the other machine, or the server makes a new one"
        ))?;
    }
    Ok(restored)
}

pub(super) fn restore_database(folder: &Path, args: &RestoreCommandArgs) -> anyhow::Result<()> {
    let (replace, accept_findings) = (args.force, args.accept_findings);
    let options = RestoreOptions { replace, accept_findings, revoke_since: args.revoke_all_since };
    let restored = match (&args.file, args.replica.location()) {
        (Some(file), _) => restore_file(folder, file, options)?,
        (None, Some(location)) => restore_replica(folder, location, (args.at, options))?,
        (None, None) => anyhow::bail!("{NO_REPLICA}, or give --replica-url"),
    };
    // What Litestream knows is about the replaced database.
    replication::forget_replaced_database(folder)?;
    if let Some(previous) = restored.previous {
        output::print_line(&format!("the previous database was moved to {}", previous.display()))?;
    }
    if restored.has_no_log {
        output::print_line("the backup was made without the request log: the log is empty")?;
    }
    for note in &restored.notes {
        output::print_line(note)?;
    }
    output::print_line(&format!("{} is restored: start the server", restored.database.display()))?;
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum ReplicaCommand {
    /// Restore the replica of the running server into a scratch file, check it, and record the result
    Prove,
}

/// Runs the command. The exit code is 1 if the replica is not good.
pub(super) fn run_replica_command(cli: &Cli, command: &ReplicaCommand) -> anyhow::Result<ExitCode> {
    let ReplicaCommand::Prove = command;
    let settings = config::load_serve_settings(cli)?;
    let Some(replica) = &settings.replica else {
        anyhow::bail!("{NO_REPLICA}; the server replicates after its next start")
    };
    let store = open_existing_store(&settings.data_dir)?;
    let proof = replication::prove_replica(&store, &settings.data_dir, replica)?;
    let (bytes, took) = (proof.bytes, proof.took_ms);
    match proof.finding {
        None => {
            let text = format!("the replica is good: {bytes} bytes were restored and checked in {took} ms");
            output::print_line(&format!("{text}, up to event {}", proof.newest_event))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(finding) => {
            output::print_warning(&format!("the replica is not good: {finding}"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}
