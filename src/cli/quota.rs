//! `rollcall quota …`: shows and sets the quotas of a configuration or an account.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{audit_context, open_existing_store, parse_configuration_id};
use crate::cli::output::{self, OutputFormat};
use crate::management::quotas::{self, QuotaChanges};
use crate::model::audit_context::AccountScope;
use crate::model::quota::{LIMIT_MAX, QuotaKind, QuotaStatus};

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
        /// QUOTA=LIMIT: a number, 0 for no limit, or default. Quotas: users, groups, members, bytes; of a configuration
        /// also requestLogBytes, of an account also configurations
        #[arg(required = true, value_name = "QUOTA=LIMIT", value_parser = parse_limit)]
        limits: Vec<(QuotaKind, Option<u64>)>,
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
        QuotaCommand::Set { owner, limits } => set_limits(folder, owner, limits),
    }
}

fn list_quotas(folder: &Path, owner: &QuotaOwnerArgs) -> anyhow::Result<Vec<QuotaStatus>> {
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
        return Ok(output::print_json(&Value::Array(found.iter().map(quota_to_json).collect()))?);
    }
    let rows: Vec<Vec<String>> = found.iter().map(quota_row).collect();
    Ok(output::print_table(&["QUOTA", "USED", "LIMIT", "PERCENT", "SOURCE"], &rows)?)
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

fn quota_to_json(one: &QuotaStatus) -> Value {
    json!({
        "quota": one.kind.as_str(),
        "used": one.used,
        "limit": one.limit,
        "percent": one.percent(),
        "isOverride": one.is_override,
    })
}

fn set_limits(folder: &Path, owner: QuotaOwnerArgs, limits: QuotaChanges) -> anyhow::Result<()> {
    let QuotaOwnerArgs { configuration, account } = owner;
    open_existing_store(folder)?.write_blocking(move |tx| match (&configuration, &account) {
        (Some(id), _) => quotas::set_configuration_limits(tx, &audit_context(), id, &limits),
        (None, account) => {
            quotas::set_account_limits(tx, &audit_context(), account.as_deref().unwrap_or_default(), &limits)
        }
    })?;
    Ok(output::print_line("The limits were saved.")?)
}
