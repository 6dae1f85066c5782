//! `rollcall backup` and `rollcall restore`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::output::{self, confirmation};
use crate::clock::Millis;
use crate::management::backups::{self, BackupError, BackupOptions, RestoreOptions};

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
    file: PathBuf,
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
fn parse_time(text: &str) -> Result<Millis, String> {
    let parsed: jiff::Timestamp =
        text.parse().map_err(|_| "expected a time such as 2026-07-14T09:30:00Z".to_owned())?;
    Ok(parsed.as_millisecond())
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

pub(super) fn restore_database(folder: &Path, args: &RestoreCommandArgs) -> anyhow::Result<()> {
    let (replace, accept_findings) = (args.force, args.accept_findings);
    let options = RestoreOptions { replace, accept_findings, revoke_since: args.revoke_all_since };
    let restored = match backups::restore_backup(folder, &args.file, options) {
        Err(BackupError::Occupied(path)) if confirmation::can_ask() => {
            confirmation::ask_to_continue(&format!("replace {}? It is renamed.", path.display()))?;
            backups::restore_backup(folder, &args.file, RestoreOptions { replace: true, ..options })?
        }
        restored => restored?,
    };
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
