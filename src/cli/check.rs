//! `rollcall check` and `rollcall accept-loss`: damage of the database.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::cli::output;
use crate::cli::output::confirmation::ConfirmationArgs;
use crate::management::backups::{self, CheckDepth};

/// Arguments of `check`.
#[derive(Debug, Clone, Args)]
pub(super) struct CheckArgs {
    /// Also compare each user and group with its index values, its counters and its events
    #[arg(long)]
    deep: bool,
}

/// Arguments of `accept-loss`.
#[derive(Debug, Clone, Args)]
pub(super) struct AcceptLossArgs {
    #[command(flatten)]
    confirmation: ConfirmationArgs,
}

/// Prints one line per damage that was found.
///
/// # Errors
/// The database is damaged or cannot be opened.
pub(super) fn check_database(folder: &Path, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let findings = backups::check_database(folder, if args.deep { CheckDepth::Deep } else { CheckDepth::Normal })?;
    if findings.is_empty() {
        output::print_line("the database is intact")?;
        return Ok(ExitCode::SUCCESS);
    }
    for finding in &findings {
        output::print_line(finding)?;
    }
    anyhow::bail!("the database is damaged: stop the server and restore a backup")
}

/// Gives up the changes that damage of the write-ahead log hides, and checks the result.
///
/// # Errors
/// A server runs, the files cannot be copied, or the rows of the database do not fit together.
pub(super) fn accept_loss(folder: &Path, args: &AcceptLossArgs) -> anyhow::Result<ExitCode> {
    args.confirmation.confirm("give up the changes that damage of the write-ahead log hides")?;
    let Some(accepted) = backups::accept_loss(folder)? else {
        output::print_line("the write-ahead log is not damaged; nothing was changed")?;
        return Ok(ExitCode::SUCCESS);
    };
    output::print_line(&format!("damaged: {}", accepted.detail))?;
    for copy in &accepted.copies {
        output::print_line(&format!("copied to {}", copy.display()))?;
    }
    output::print_line("the changes from the damage on were given up, and the database can be started again")?;
    // A part of the changes may have been copied into the database already.
    check_database(folder, &CheckArgs { deep: true })
}
