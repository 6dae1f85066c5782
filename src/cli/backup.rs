//! `rollcall backup` and `rollcall restore`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::output;
use crate::management::backups::{self, BackupOptions};

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
    /// Replace an existing database; it is renamed and stays in the data folder
    #[arg(long)]
    force: bool,
}

pub(super) fn back_up_database(folder: &Path, args: &BackupCommandArgs) -> anyhow::Result<()> {
    let options = BackupOptions { replace: args.force, with_log: args.with_log };
    let written = backups::write_backup(folder, &args.file, options)?;
    let contents = if args.with_log { "" } else { ", without the request log" };
    Ok(output::print_line(&format!("{}: {} bytes, checked{contents}", written.path.display(), written.bytes))?)
}

pub(super) fn restore_database(folder: &Path, args: &RestoreCommandArgs) -> anyhow::Result<()> {
    let restored = backups::restore_backup(folder, &args.file, args.force)?;
    if let Some(previous) = restored.previous {
        output::print_line(&format!("the previous database was moved to {}", previous.display()))?;
    }
    if restored.has_no_log {
        output::print_line("the backup was made without the request log: the log is empty")?;
    }
    output::print_line(&format!("{} is restored: start the server", restored.database.display()))?;
    Ok(())
}
