//! `rollcall check`: checks the database for damage.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::output;
use crate::management::backups;

/// Prints one line per damage that was found.
///
/// # Errors
/// The database is damaged or cannot be opened.
pub(super) fn check_database(folder: &Path) -> anyhow::Result<ExitCode> {
    let findings = backups::check_database(folder)?;
    if findings.is_empty() {
        output::print_line("the database is intact")?;
        return Ok(ExitCode::SUCCESS);
    }
    for finding in &findings {
        output::print_line(finding)?;
    }
    anyhow::bail!("the database is damaged: stop the server and restore a backup")
}
