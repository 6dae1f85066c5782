//! `rollcall undo …`: undoes what a configuration changed since a time.

use std::path::Path;

use clap::Args;

use super::deleted::parse_time;
use super::{audit_context, open_existing_store, parse_configuration_id};
use crate::cli::output;
use crate::clock::{self, Millis};
use crate::management::configurations::reversals::{self, ReversalCounts};
use crate::model::audit_context::AccountScope;
use crate::provisioning::large_changes::steps;
use crate::provisioning::safety_net::reversals as reversal_steps;

#[derive(Debug, Args)]
pub(super) struct ReversalArgs {
    /// Configuration ID
    #[arg(value_parser = parse_configuration_id)]
    configuration: String,
    /// Undo what changed since: a time such as 2026-07-14T09:30:00Z, or how long ago, such as 2h
    #[arg(long, value_parser = parse_time)]
    since: Millis,
    /// Only show what would be undone
    #[arg(long)]
    preview: bool,
}

pub(super) fn run_reversal_command(folder: &Path, args: ReversalArgs) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let ReversalArgs { configuration: id, since, preview } = args;
    if preview {
        let times = (since, clock::current_millis());
        let found = store.read_pooled(|at| reversals::preview_reversal(at, &AccountScope::AllAccounts, &id, times))?;
        print_counts(found.counts)?;
        let rows: Vec<Vec<String>> =
            found.names.into_iter().map(|(name, change)| vec![name, format!("{change:?}").to_lowercase()]).collect();
        return Ok(output::print_table(&["NAME", "CHANGE"], &rows)?);
    }
    let target = id.clone();
    store.write_blocking(move |tx| reversals::start_reversal(tx, &audit_context(), &target, since))?;
    // A running server would continue in the background.
    while let Some(configuration) = store.read_inline(|at| reversal_steps::find_next_reversal(at, 0))? {
        // An undo waits for large changes.
        while let Some((resource, _)) = store.read_inline(|at| steps::find_next_change(at, 0))? {
            store.write_blocking(move |tx| steps::run_change_step(tx, resource))?;
        }
        store.write_blocking(move |tx| reversal_steps::run_reversal_step(tx, configuration))?;
    }
    let done = store.read_pooled(|at| reversals::find_reversal(at, &AccountScope::AllAccounts, &id))?;
    print_counts(done.counts)?;
    let rows: Vec<Vec<String>> = done.conflict_list.into_iter().map(|(id, reason)| vec![id, reason]).collect();
    if rows.is_empty() { Ok(()) } else { Ok(output::print_table(&["NOT UNDONE", "REASON"], &rows)?) }
}

fn print_counts(counts: ReversalCounts) -> anyhow::Result<()> {
    let rows = [
        ("restored", counts.restored),
        ("activated", counts.activated),
        ("deactivated", counts.deactivated),
        ("members added", counts.joined),
        ("members removed", counts.left),
        ("conflicts", counts.conflicts),
    ];
    let rows: Vec<Vec<String>> = rows.iter().map(|(name, count)| vec![(*name).to_owned(), count.to_string()]).collect();
    Ok(output::print_table(&["UNDO", ""], &rows)?)
}
