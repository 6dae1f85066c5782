//! `rollcall hold …`: shows and decides the hold of a configuration.

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::{audit_context, open_existing_store, parse_configuration_id};
use crate::cli::output::{self, OutputFormat};
use crate::clock;
use crate::management::configurations::holds::{self, HoldOrder, HoldStatus};
use crate::model::audit_context::AccountScope;
use crate::model::hold::EXEMPT_MINUTES_MAX;
use crate::provisioning::catch_up;
use crate::provisioning::large_changes::steps;
use crate::provisioning::safety_net::rejections;
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub(super) enum HoldCommand {
    /// Show whether a configuration is held, and what was removed
    Show {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        id: String,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Publish what was held
    Allow {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        id: String,
        /// Hold nothing for this many minutes
        #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=i64::from(EXEMPT_MINUTES_MAX)))]
        minutes: Option<u32>,
    },
    /// Undo the removals since the hold began, and publish all other changes
    Reject {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        id: String,
    },
}

pub(super) fn run_hold_command(folder: &Path, command: HoldCommand) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    match command {
        HoldCommand::Show { id, output } => show_hold(&store, &id, output),
        HoldCommand::Allow { id, minutes } => decide(&store, id, minutes.map_or(HoldOrder::Allow, HoldOrder::AllowFor)),
        HoldCommand::Reject { id } => decide(&store, id, HoldOrder::Reject),
    }
}

fn find_status(store: &Store, id: &str) -> anyhow::Result<HoldStatus> {
    let (scope, page) = (AccountScope::AllAccounts, (None, holds::NAMES_MAX));
    Ok(store.read_pooled(|at| holds::find_status(at, &scope, id, page, clock::current_millis()))?)
}

fn show_hold(store: &Store, id: &str, format: OutputFormat) -> anyhow::Result<()> {
    let found = find_status(store, id)?;
    let record = found.record.as_ref();
    if format == OutputFormat::Json {
        return Ok(output::print_json(&json!({
            "state": found.state.as_str(),
            "since": record.map(|record| clock::format_rfc3339(record.since)),
            "reason": record.map(|record| record.reason.as_str()),
            "counted": record.map(|record| record.counted),
            "threshold": record.map(|record| record.threshold),
            "windowMinutes": record.map(|record| record.window_minutes),
            "published": record.map(|record| record.published),
            "names": found.names,
            "exemptUntil": found.exempt_until.map(clock::format_rfc3339),
            "conflicts": found.conflicts.iter().map(|(id, reason)| json!({"id": id, "reason": reason})).collect::<Vec<_>>(),
        }))?);
    }
    let mut rows = vec![vec!["state".to_owned(), found.state.to_string()]];
    if let Some(record) = record {
        let since = clock::format_rfc3339(record.since);
        let counted = format!("{} {} in {} minutes", record.counted, record.reason, record.window_minutes);
        let entries = [("since", since), ("removed", counted), ("threshold", record.threshold.to_string())];
        rows.extend(entries.map(|(name, value)| vec![name.to_owned(), value]));
    }
    rows.extend(found.names.into_iter().map(|name| vec!["name".to_owned(), name]));
    let conflicts = found.conflicts.into_iter().map(|(id, reason)| format!("{id}: {reason}"));
    rows.extend(conflicts.map(|conflict| vec!["not undone".to_owned(), conflict]));
    Ok(output::print_table(&["HOLD", ""], &rows)?)
}

fn decide(store: &Store, id: String, order: HoldOrder) -> anyhow::Result<()> {
    let target_id = id.clone();
    store.write_blocking(move |tx| holds::decide_hold(tx, &audit_context(), &target_id, order))?;
    while let Some(configuration) = store.read_inline(|at| rejections::find_next_rejection(at, 0))? {
        // A rejection waits for large changes.
        while let Some((resource, _)) = store.read_inline(|at| steps::find_next_change(at, 0))? {
            store.write_blocking(move |tx| steps::run_change_step(tx, resource))?;
        }
        let limit = rejections::CHANGES_PER_STEP;
        store.write_blocking(move |tx| rejections::run_rejection_step(tx, configuration, limit))?;
    }
    // What is too large for one transaction. A running server would continue it in the background.
    while let Some(pending) = store.read_inline(|at| catch_up::find_next_pending(at, 0))? {
        store.write_blocking(move |tx| catch_up::catch_up(tx, &pending, catch_up::CHANGES_PER_STEP))?;
    }
    Ok(output::print_line(&format!("{id}: {}", find_status(store, &id)?.state))?)
}
