//! `rollcall fenced report`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;

use crate::cli::output::{self, OutputFormat};
use crate::clock::format_rfc3339;
use crate::jobs::replication::{FencedRecord, fenced_record_path};
use crate::management::backups::{FencedEvent, list_fenced_events};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum FencedCommand {
    /// List the events that only a fenced database has: the newer servers have everything before them
    Report {
        /// The fenced database: rollcall.db.fenced-TIME
        file: PathBuf,
        /// List the events after this number; default: the newest event that both servers have
        #[arg(long, value_name = "NUMBER")]
        after: Option<i64>,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
}

pub(in crate::cli) fn run_fenced_command(command: FencedCommand) -> anyhow::Result<()> {
    let FencedCommand::Report { file, after, output } = command;
    let after = match after {
        Some(after) => after,
        None => read_common_event(&file)?,
    };
    let events = list_fenced_events(&file, after)?;
    if output == OutputFormat::Json {
        return Ok(output::print_json(&events.iter().map(to_json).collect())?);
    }
    if events.is_empty() {
        return Ok(output::print_line(&format!("no event after {after}: the newer server has everything"))?);
    }
    let rows: Vec<Vec<String>> = events.iter().map(to_row).collect();
    Ok(output::print_table(&["EVENT", "TIME", "ACCOUNT", "CONFIGURATION", "KIND", "RESOURCE"], &rows)?)
}

fn read_common_event(file: &std::path::Path) -> anyhow::Result<i64> {
    let path = fenced_record_path(file);
    let text = std::fs::read(&path).with_context(|| {
        format!("{} cannot be read: name the newest event that both servers have with --after", path.display())
    })?;
    let record: FencedRecord =
        serde_json::from_slice(&text).with_context(|| format!("{} is not valid", path.display()))?;
    record.common_event.context(
        "the other server had not recorded its first event when this one was fenced: name the newest event that both servers have with --after",
    )
}

fn to_row(event: &FencedEvent) -> Vec<String> {
    vec![
        event.seq.to_string(),
        format_rfc3339(event.created_at),
        event.account_id.clone(),
        event.configuration_id.clone().unwrap_or_else(|| "-".to_owned()),
        event.kind.clone(),
        event.resource_id.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

fn to_json(event: &FencedEvent) -> serde_json::Value {
    json!({
        "seq": event.seq,
        "createdAt": format_rfc3339(event.created_at),
        "accountId": event.account_id,
        "configurationId": event.configuration_id,
        "kind": event.kind,
        "resourceId": event.resource_id,
        "payload": event.payload,
    })
}
