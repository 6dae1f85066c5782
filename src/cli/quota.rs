//! `rollcall quota …`: shows and sets the quotas of a configuration or an account.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{audit_context, open_existing_store, parse_configuration_id};
use crate::cli::output::{self, OutputFormat};
use crate::clock::format_rfc3339;
use crate::management::quotas::{self, QuotaChanges};
use crate::model::audit_context::AccountScope;
use crate::model::field_change::FieldChange;
use crate::model::quota::{ActiveUserLimit, LIMIT_MAX, OwnerQuotas, QuotaKind, QuotaStatus};

#[derive(Debug, Subcommand)]
pub(super) enum QuotaCommand {
    /// Show what a configuration or an account uses of its quotas
    Show {
        #[command(flatten)]
        owner: QuotaOwnerArgs,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Set limits of a configuration or an account; they apply to the next write
    Set {
        #[command(flatten)]
        owner: QuotaOwnerArgs,
        /// QUOTA=LIMIT: a number, 0 for no limit, or default. Quotas: users, activeUsers, groups, members, bytes; of a
        /// configuration also requestLogBytes, of an account also configurations
        #[arg(required_unless_present = "message", value_name = "QUOTA=LIMIT", value_parser = parse_limit)]
        limits: Vec<(QuotaKind, Option<u64>)>,
        /// Sentence with which calls above the limit of activeUsers are answered; empty for that of the server
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct QuotaOwnerArgs {
    /// Configuration ID
    #[arg(long, value_parser = parse_configuration_id)]
    configuration: Option<String>,
    /// Account ID
    #[arg(long)]
    account: Option<String>,
}

fn parse_limit(text: &str) -> Result<(QuotaKind, Option<u64>), String> {
    let (kind, limit) = text.split_once('=').ok_or("use QUOTA=LIMIT, such as users=5000")?;
    let kind = kind.parse()?;
    if limit == "default" {
        return Ok((kind, None));
    }
    let number: Option<u64> = limit.parse().ok().filter(|number| *number <= LIMIT_MAX);
    number.map(|number| (kind, Some(number))).ok_or_else(|| format!("use default, or a number from 0 to {LIMIT_MAX}"))
}

pub(super) fn run_quota_command(folder: &Path, command: QuotaCommand) -> anyhow::Result<()> {
    match command {
        QuotaCommand::Show { owner, output } => show_quotas(folder, &owner, output),
        QuotaCommand::Set { owner, limits, message } => {
            let message = message.map_or(FieldChange::Keep, FieldChange::Set);
            set_limits(folder, owner, QuotaChanges { limits, message })
        }
    }
}

fn list_quotas(folder: &Path, owner: &QuotaOwnerArgs) -> anyhow::Result<OwnerQuotas> {
    let (store, scope) = (open_existing_store(folder)?, AccountScope::AllAccounts);
    let found = store.read_inline(|at| match (&owner.configuration, &owner.account) {
        (Some(id), _) => quotas::list_configuration_quotas(at, &scope, id),
        (None, account) => quotas::list_account_quotas(at, &scope, account.as_deref().unwrap_or_default()),
    });
    Ok(found?)
}

fn show_quotas(folder: &Path, owner: &QuotaOwnerArgs, output: OutputFormat) -> anyhow::Result<()> {
    let found = list_quotas(folder, owner)?;
    if output == OutputFormat::Json {
        let documents = found.quotas.iter().map(|one| quota_to_json(one, &found.active_users));
        return Ok(output::print_json(&Value::Array(documents.collect()))?);
    }
    let rows: Vec<Vec<String>> = found.quotas.iter().map(quota_row).collect();
    output::print_table(&["QUOTA", "USED", "LIMIT", "PERCENT", "SOURCE"], &rows)?;
    let ActiveUserLimit { message, refused, last_refused_at } = found.active_users;
    if let Some(message) = message {
        output::print_line(&format!("Answer above activeUsers: {message}"))?;
    }
    if let Some(last) = last_refused_at {
        output::print_line(&format!("Refused because of activeUsers: {refused}, last at {}", format_rfc3339(last)))?;
    }
    Ok(())
}

fn quota_row(one: &QuotaStatus) -> Vec<String> {
    vec![
        one.kind.to_string(),
        one.used.to_string(),
        one.limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string()),
        one.percent().map_or_else(|| "-".to_owned(), |percent| percent.to_string()),
        if one.is_override { "own" } else { "default" }.to_owned(),
    ]
}

fn quota_to_json(one: &QuotaStatus, active_users: &ActiveUserLimit) -> Value {
    let mut document = json!({
        "quota": one.kind.as_str(),
        "used": one.used,
        "limit": one.limit,
        "percent": one.percent(),
        "isOverride": one.is_override,
    });
    if one.kind == QuotaKind::ActiveUsers {
        document["message"] = json!(active_users.message);
        document["refused"] = json!(active_users.refused);
        document["lastRefusedAt"] = json!(active_users.last_refused_at.map(format_rfc3339));
    }
    document
}

fn set_limits(folder: &Path, owner: QuotaOwnerArgs, changes: QuotaChanges) -> anyhow::Result<()> {
    let QuotaOwnerArgs { configuration, account } = owner;
    open_existing_store(folder)?.write_blocking(move |tx| match (&configuration, &account) {
        (Some(id), _) => quotas::set_configuration_limits(tx, &audit_context(), id, &changes),
        (None, account) => {
            quotas::set_account_limits(tx, &audit_context(), account.as_deref().unwrap_or_default(), &changes)
        }
    })?;
    Ok(output::print_line("The limits were saved.")?)
}
