//! `rollcall doctor`.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::answer::{self, Output};
use super::{Cli, config, existing};
use crate::clock;
use crate::doctor::{self, Finding, Grade};
use crate::store;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Form of the answer
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

/// Prints what was found. Fails where there is a problem; warnings alone are none.
pub(super) fn run(cli: &Cli, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let found = look(cli)?;
    match args.output {
        Output::Json => answer::json(&Value::Array(found.iter().map(document).collect()))?,
        Output::Table => {
            for one in &found {
                answer::line(&format!("{:<8} {}: {}", one.grade.word(), one.about, one.said))?;
                if let Some(next) = &one.next {
                    answer::line(&format!("         {next}"))?;
                }
            }
        }
    }
    let is_well = found.iter().all(|one| one.grade < Grade::Problem);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look(cli: &Cli) -> anyhow::Result<Vec<Finding>> {
    let folder = cli.data_dir.data_dir.as_path();
    let settings = match config::checked(cli) {
        Ok(settings) => settings,
        Err(wrong) => return Ok(vec![Finding::problem("Settings", wrong.to_string(), "Run rollcall config check.")]),
    };
    if let Some(damaged) = damaged(folder) {
        return Ok(vec![damaged]);
    }
    let (store, now) = (existing(folder)?, clock::now());
    let rows = store.read_inline(|at| doctor::rows(at, now))?;
    Ok(doctor::findings(&settings, &store, &rows, None, now))
}

/// A database that cannot be opened, or whose pages do not fit together, says so and nothing else.
fn damaged(folder: &Path) -> Option<Finding> {
    let (said, next) = match store::check_pages(folder) {
        Ok(None) => return None,
        Ok(Some(detail)) => {
            (format!("The database is damaged: {detail}"), "Stop the server, and restore the last good backup.")
        }
        Err(error) => (error.to_string(), "docs/backup.md says how to restore."),
    };
    Some(Finding::problem("Database", said, next))
}

fn document(one: &Finding) -> Value {
    json!({"about": one.about, "grade": one.grade.word(), "said": one.said, "next": one.next})
}
