//! `rollcall deleted …`: lists and restores the deleted users and groups of a configuration.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::token::parse_duration;
use super::{audit_context, open_existing_store, parse_configuration_id};
use crate::cli::output::{self, OutputFormat};
use crate::clock::{self, Millis};
use crate::management::configurations::deleted_resources::{self, RESTORED_PER_CALL};
use crate::model::audit_context::AccountScope;
use crate::model::ids;
use crate::provisioning::large_changes::steps;
use crate::provisioning::tombstones::{DeletedFilter, DeletedQuery, DeletedResource};
use crate::scim::timestamp::parse_rfc3339;
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub(super) enum DeletedCommand {
    /// List the deleted users and groups that can be restored, newest deletion first
    List(ListDeletedArgs),
    /// Restore one deleted user or group, or all that were deleted in a time range
    Restore(RestoreDeletedArgs),
}

/// Selects deleted users and groups.
#[derive(Debug, Args)]
pub(super) struct DeletedRangeArgs {
    /// Only users or only groups
    #[arg(long = "type", value_enum)]
    resource_type: Option<DeletedType>,
    /// Only those deleted since: a time such as 2026-07-14T09:30:00Z, or how long ago, such as 2h
    #[arg(long, value_parser = parse_time)]
    since: Option<Millis>,
    /// Only those deleted before: a time, or how long ago
    #[arg(long, value_parser = parse_time)]
    until: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeletedType {
    /// Users
    User,
    /// Groups
    Group,
}

#[derive(Debug, Args)]
pub(super) struct ListDeletedArgs {
    /// Configuration ID
    #[arg(value_parser = parse_configuration_id)]
    configuration: String,
    #[command(flatten)]
    range: DeletedRangeArgs,
    /// Only those with this text in the name, the display name or externalId
    #[arg(long)]
    text: Option<String>,
    /// Most users and groups
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

#[derive(Debug, Args)]
pub(super) struct RestoreDeletedArgs {
    /// Configuration ID
    #[arg(value_parser = parse_configuration_id)]
    configuration: String,
    /// ID of a deleted user or group, as shown by `deleted list`; without it, --since is required
    #[arg(value_parser = parse_resource_id, conflicts_with_all = ["since", "until", "resource_type"], required_unless_present = "since")]
    resource: Option<String>,
    #[command(flatten)]
    range: DeletedRangeArgs,
}

impl DeletedRangeArgs {
    fn build_query(&self) -> DeletedQuery {
        let name = |one| if one == DeletedType::User { "User" } else { "Group" };
        let resource_type = self.resource_type.map(|one| name(one).to_owned());
        DeletedQuery { resource_type, since: self.since, until: self.until, after: None }
    }
}

pub(super) fn parse_time(text: &str) -> Result<Millis, String> {
    if let Some(elapsed) = parse_rfc3339(text) {
        return Millis::try_from(elapsed.as_millis()).map_err(|_| "the time is out of range".to_owned());
    }
    let ago = parse_duration(text);
    ago.map(|ago| clock::current_millis() - ago)
        .map_err(|_| "give a time such as 2026-07-14T09:30:00Z or 2h".to_owned())
}

fn parse_resource_id(text: &str) -> Result<String, String> {
    let id = text.trim().to_ascii_lowercase();
    if ids::is_id(&id) { Ok(id) } else { Err("give the ID that `rollcall deleted list` shows".into()) }
}

pub(super) fn run_deleted_command(folder: &Path, command: DeletedCommand) -> anyhow::Result<()> {
    match command {
        DeletedCommand::List(args) => list_deleted(folder, args),
        DeletedCommand::Restore(RestoreDeletedArgs { configuration, resource: Some(resource), .. }) => {
            let store = open_existing_store(folder)?;
            restore_one(&store, &configuration, &resource)?;
            Ok(output::print_line(&format!("restored {resource}"))?)
        }
        DeletedCommand::Restore(args) => restore_range(folder, &args),
    }
}

fn list_deleted(folder: &Path, args: ListDeletedArgs) -> anyhow::Result<()> {
    let (store, limit) = (open_existing_store(folder)?, usize::try_from(args.limit)?);
    let mut filter = DeletedFilter { rows: args.range.build_query(), text: args.text };
    let mut found = Vec::new();
    loop {
        let left = limit - found.len();
        let selected = (clock::current_millis(), left);
        let page = store.read_inline(|at| {
            deleted_resources::list_deleted(at, &AccountScope::AllAccounts, &args.configuration, &filter, selected)
        })?;
        found.extend(page.page.items);
        filter.rows.after = page.page.next;
        if filter.rows.after.is_none() || found.len() >= limit {
            break;
        }
    }
    if args.output == OutputFormat::Json {
        return Ok(output::print_json(&found.iter().map(describe_deleted).collect())?);
    }
    let rows: Vec<Vec<String>> = found.iter().map(deleted_row).collect();
    Ok(output::print_table(&["ID", "TYPE", "NAME", "DELETED", "TOKEN", "REQUEST"], &rows)?)
}

fn describe_deleted(one: &DeletedResource) -> Value {
    json!({
        "id": one.id,
        "resourceType": one.resource_type,
        "name": one.name,
        "displayName": one.display_name,
        "externalId": one.external_id,
        "deletedAt": clock::format_rfc3339(one.deleted_at),
        "requestId": one.request_id,
        "tokenId": one.token_id,
        "tokenLabel": one.token_label,
    })
}

fn deleted_row(one: &DeletedResource) -> Vec<String> {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    vec![
        one.id.clone(),
        one.resource_type.clone(),
        or_dash(&one.name),
        clock::format_rfc3339(one.deleted_at),
        or_dash(&one.token_label),
        or_dash(&one.request_id),
    ]
}

/// Restores a deleted user or group with all its memberships. The steps of many memberships run here: there may be no server.
fn restore_one(store: &Store, configuration: &str, resource: &str) -> crate::error::Result<()> {
    let (id, subject) = (configuration.to_owned(), resource.to_owned());
    let restored =
        store.write_blocking(move |tx| deleted_resources::restore_deleted(tx, &audit_context(), &id, &subject))?;
    if let Some(key) = restored.pending {
        while !store.write_blocking(move |tx| steps::run_change_step(tx, key))? {}
    }
    Ok(())
}

fn restore_range(folder: &Path, args: &RestoreDeletedArgs) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let mut filter = DeletedFilter { rows: args.range.build_query(), text: None };
    let (mut restored, mut conflicts) = (0_usize, Vec::new());
    loop {
        let selected = (clock::current_millis(), RESTORED_PER_CALL);
        let list = store.read_inline(|at| {
            deleted_resources::list_deleted(at, &AccountScope::AllAccounts, &args.configuration, &filter, selected)
        })?;
        for one in list.page.items {
            match restore_one(&store, &args.configuration, &one.id) {
                Ok(()) => restored += 1,
                Err(error) => {
                    conflicts.push(format!("{}: {}", one.id, deleted_resources::find_conflict(error)?.code()));
                }
            }
        }
        filter.rows.after = list.page.next;
        if filter.rows.after.is_none() {
            break;
        }
    }
    output::print_line(&format!("restored {restored}"))?;
    if !conflicts.is_empty() {
        bail!("not restored: {}", conflicts.join(", "));
    }
    Ok(())
}
