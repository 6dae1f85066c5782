//! `rollcall check`.

use std::path::Path;
use std::process::ExitCode;

use super::answer;
use crate::store;

/// Prints what is damaged, one finding a line. Fails where something is.
pub(super) fn run(folder: &Path) -> anyhow::Result<ExitCode> {
    let findings = store::check(folder)?;
    if findings.is_empty() {
        answer::line("the database is sound")?;
        return Ok(ExitCode::SUCCESS);
    }
    for finding in &findings {
        answer::line(finding)?;
    }
    anyhow::bail!("the database is damaged: stop the server and restore a backup")
}
