//! `rollcall doctor`: prints the findings of the self-check.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{Cli, config, health, open_existing_store};
use crate::cli::output::{self, OutputFormat};
use crate::clock;
use crate::doctor::{self, Finding, Severity};
use crate::management::{backups, instance};
use crate::store::OpenError;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

/// Prints the findings. The exit code is 1 if one of them is a problem; a warning is not a problem.
pub(super) fn run_doctor(cli: &Cli, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let found = collect_findings(cli)?;
    match args.output {
        OutputFormat::Json => output::print_json(&Value::Array(found.iter().map(finding_to_json).collect()))?,
        OutputFormat::Table => {
            for one in &found {
                output::print_line(&format!("{:<8} {}: {}", one.grade.as_str(), one.subject, one.message))?;
                if let Some(next) = &one.next_step {
                    output::print_line(&format!("         {next}"))?;
                }
            }
        }
    }
    let is_well = found.iter().all(|one| one.grade < Severity::Problem);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn collect_findings(cli: &Cli) -> anyhow::Result<Vec<Finding>> {
    let folder = cli.data_dir.data_dir.as_path();
    let settings = match config::load_serve_settings(cli) {
        Ok(settings) => settings,
        Err(error) => return Ok(vec![Finding::problem("Settings", error.to_string(), "Run rollcall config check.")]),
    };
    if let Some(finding) = find_damage(folder)? {
        let url = settings.transport.url(settings.listen);
        return Ok(std::iter::once(finding).chain(check_server(&url)).collect());
    }
    let (store, now) = (open_existing_store(folder)?, clock::current_millis());
    // A running server records no time while it doubts the clock, and a stopped one will compare the same at its start.
    if let Some(recorded_at) = store.read_inline(instance::find_recorded_time)? {
        clock::compare_start(recorded_at);
    }
    let rows = store.read_inline(|at| doctor::read_summary(at, now))?;
    let url = store.read_inline(instance::find_listen_url)?;
    let found = doctor::list_findings(&settings, &store, &rows, None, now);
    Ok(found.into_iter().chain(url.and_then(|url| check_server(&url))).collect())
}

/// Returns a finding about the running server, which observes more than a command can. `None` if none runs.
fn check_server(url: &str) -> Option<Finding> {
    let (status, text) = health::probe_server(url)?;
    Some(doctor::check_readiness_answer(status, &text))
}

/// Returns a finding if the database cannot be opened or its pages are damaged. No other check is possible then.
///
/// # Errors
/// There is no database.
fn find_damage(folder: &Path) -> anyhow::Result<Option<Finding>> {
    let (detail, next) = match backups::check_pages(folder) {
        Ok(None) => return Ok(None),
        Err(error @ OpenError::NotFound(_)) => return Err(error.into()),
        Ok(Some(damage)) => {
            (format!("The database is damaged: {damage}"), "Stop the server, and restore the last good backup.")
        }
        Err(error) => (error.to_string(), "See docs/backup.md for how to restore."),
    };
    Ok(Some(Finding::problem("Database", detail, next)))
}

fn finding_to_json(one: &Finding) -> Value {
    json!({"about": one.subject, "grade": one.grade.as_str(), "said": one.message, "next": one.next_step})
}
