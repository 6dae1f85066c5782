//! `rollcall configuration …`: manages provisioning configurations.

use std::path::Path;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{audit_context, open_existing_store, parse_configuration_id};
use crate::auth::secret::BearerToken;
use crate::cli::output::confirmation::ConfirmationArgs;
use crate::cli::output::{self, OutputFormat};
use crate::clock;
use crate::error::Reason;
use crate::management::configuration_lifecycle::{self, DeletionResult, NewConfiguration};
use crate::management::configuration_settings::{self, SettingsChange};
use crate::management::configurations;
use crate::management::instance;
use crate::management::tokens::TokenDraft;
use crate::model::account::AccountFilter;
use crate::model::configuration::{Configuration, ConfigurationSource, InitialSync, provisioning_url};
use crate::model::switches::{Preset, SWITCHES};
use crate::providers;
use crate::provisioning::purge;

/// How often a step of a purge is tried again while a server is busy. Each attempt waits for five seconds.
const STEP_REFUSALS_MAX: u32 = 24;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigurationCommand {
    /// Create a configuration and print its provisioning URL and its token, which is shown only once
    Create(CreateConfigurationArgs),
    /// List the configurations
    List {
        /// Only configurations of this account
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Change a configuration; takes effect with the next request
    Update(UpdateConfigurationArgs),
    /// Delete a configuration; its provisioning URL then answers 401
    Delete {
        /// Configuration ID
        #[arg(value_parser = parse_configuration_id)]
        id: String,
        /// Also delete its users and groups permanently
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        confirmation: ConfirmationArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateConfigurationArgs {
    /// Account ID: your own ID of the customer; the account is created on first use
    #[arg(long)]
    account: String,
    /// Display name; default: the source and a short ID
    #[arg(long)]
    name: Option<String>,
    /// Identity provider: okta, azure-ad, frontegg or other
    #[arg(long, default_value = "other", value_parser = str::parse::<ConfigurationSource>)]
    source: ConfigurationSource,
    #[arg(long, help = format!("Provider if the source is other, such as {}", providers::list_provider_values()))]
    provider: Option<String>,
    #[arg(long, value_parser = str::parse::<Preset>, help = describe_presets("default: the preset of the provider"))]
    preset: Option<Preset>,
    /// Pause it until it goes live with `configuration update ID --sync on`, so that its preview can be read first
    #[arg(long)]
    staged: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

#[derive(Debug, Args)]
#[group(id = "change", required = true, multiple = true)]
pub(super) struct ConfigurationChangeArgs {
    /// Display name
    #[arg(long)]
    name: Option<String>,
    #[arg(
        long,
        value_parser = str::parse::<Preset>,
        help = describe_presets("resets switches that were set individually")
    )]
    preset: Option<Preset>,
    #[arg(long = "switch", value_name = "KEY=VALUE", value_parser = parse_switch, help = describe_switches())]
    switches: Vec<(String, Value)>,
    /// Whether changes are sent to your application
    #[arg(long, value_enum)]
    sync: Option<Toggle>,
}

#[derive(Debug, Args)]
pub(super) struct UpdateConfigurationArgs {
    /// Configuration ID
    #[arg(value_parser = parse_configuration_id)]
    id: String,
    #[command(flatten)]
    change: ConfigurationChangeArgs,
}

fn describe_presets(rule: &str) -> String {
    format!("Preset of the switches: {}; {rule}", Preset::ALL.map(Preset::as_str).join(", "))
}

fn describe_switches() -> String {
    let keys: Vec<&str> = SWITCHES.iter().map(|row| row.key).collect();
    format!("Value of a switch, applied after the preset; may be repeated. Keys: {}", keys.join(", "))
}

fn parse_switch(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("use KEY=VALUE")?;
    let row = SWITCHES.iter().find(|row| row.key == key).ok_or_else(|| format!("there is no switch {key}"))?;
    let value = row.parse(value).ok_or_else(|| format!("use {}", row.input.describe_values()))?;
    Ok((key.to_owned(), value))
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Toggle {
    On,
    Off,
}

pub(super) fn run_configuration_command(folder: &Path, command: ConfigurationCommand) -> anyhow::Result<()> {
    match command {
        ConfigurationCommand::Create(args) => create_configuration(folder, args),
        ConfigurationCommand::List { account, output } => list_configurations(folder, account.as_deref(), output),
        ConfigurationCommand::Update(args) => update_configuration(folder, args),
        ConfigurationCommand::Delete { id, purge, confirmation } => {
            let extent = if purge { " with its users and groups" } else { "" };
            confirmation.confirm(&format!("delete the configuration {id}{extent}"))?;
            delete_configuration(folder, id, purge)
        }
    }
}

fn create_configuration(folder: &Path, args: CreateConfigurationArgs) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let token = BearerToken::generate().context("the operating system provided no random numbers")?;
    let new = NewConfiguration {
        id: clock::new_id(),
        account: args.account,
        connection_name: args.name,
        source: args.source,
        provider: args.provider,
        preset: args.preset,
        sync: if args.staged { InitialSync::Staged } else { InitialSync::On },
        token: TokenDraft::new(clock::new_id(), &token, "first token"),
    };
    let (created, public_url) = store.write_blocking(move |tx| {
        Ok((configuration_lifecycle::create_configuration(tx, &audit_context(), &new)?, instance::get_public_url(tx)?))
    })?;
    Ok(print_token(&created, &token, &public_url, args.output)?)
}

/// Prints a configuration with its token. The token cannot be shown again.
pub(super) fn print_token(
    configuration: &Configuration,
    token: &BearerToken,
    public_url: &str,
    output: OutputFormat,
) -> std::io::Result<()> {
    let url = provisioning_url(public_url, &configuration.id);
    if output == OutputFormat::Json {
        let mut document = json!({
            "id": configuration.id,
            "connectionName": configuration.connection_name,
            "token": token.reveal(),
            "provisioningUrl": url,
        });
        if configuration.staged {
            document["staged"] = true.into();
        }
        return output::print_json(&document);
    }
    let staged =
        if configuration.staged { "State             Staged: nothing is published until it goes live\n" } else { "" };
    output::print_line(&format!(
        "Configuration     {}\nName              {}\n{staged}Provisioning URL  {url}\nToken             {}\n\n\
         The token cannot be shown again: copy it to the identity provider now.",
        configuration.id,
        configuration.connection_name,
        token.reveal(),
    ))
}

fn list_configurations(folder: &Path, account: Option<&str>, output: OutputFormat) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let filter = account.map(|id| AccountFilter::WithId(id.to_owned()));
    let (found, public_url) = store.read_inline(|snapshot| {
        Ok((configurations::list_configurations(snapshot, filter.as_ref())?, instance::get_public_url(snapshot)?))
    })?;
    if output == OutputFormat::Json {
        let documents = found.iter().map(|one| {
            json!({
                "id": one.id,
                "tenantId": one.account,
                "connectionName": one.connection_name,
                "source": one.source.as_str(),
                "provider": one.provider,
                "syncToUserManagement": one.sync,
                "staged": one.staged,
                "lastSync": one.last_sync.map(clock::format_rfc3339),
                "createdAt": clock::format_rfc3339(one.created_at),
                "provisioningUrl": provisioning_url(&public_url, &one.id),
            })
        });
        return Ok(output::print_json(&documents.collect())?);
    }
    let rows: Vec<Vec<String>> = found.iter().map(configuration_row).collect();
    output::print_table(&["ID", "ACCOUNT", "NAME", "SOURCE", "CREATED", "LAST SYNC"], &rows)?;
    Ok(())
}

fn configuration_row(one: &Configuration) -> Vec<String> {
    vec![
        one.id.clone(),
        one.account.id.clone(),
        one.connection_name.clone(),
        one.source.to_string(),
        clock::format_rfc3339(one.created_at),
        one.last_sync.map_or_else(|| "never".into(), clock::format_rfc3339),
    ]
}

fn update_configuration(
    folder: &Path,
    UpdateConfigurationArgs { id, change }: UpdateConfigurationArgs,
) -> anyhow::Result<()> {
    let ConfigurationChangeArgs { name, preset, switches, sync } = change;
    let switches = serde_json::from_value(Value::Object(switches.into_iter().collect()))?;
    let settings = SettingsChange { connection_name: name, preset, switches, ..SettingsChange::default() };
    let updated = open_existing_store(folder)?.write_blocking(move |tx| {
        let context = audit_context();
        let updated = configuration_settings::change_settings(tx, &context, &id, &settings)?;
        if let Some(sync) = sync {
            configurations::set_sync(tx, &context, &id, sync == Toggle::On)?;
        }
        Ok(updated)
    })?;
    Ok(output::print_line(&format!("updated {} ({})", updated.id, updated.connection_name))?)
}

fn delete_configuration(folder: &Path, id: String, purge: bool) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let deleted = store.write_blocking(move |tx| {
        if purge {
            configuration_lifecycle::delete_and_purge_configuration(tx, &audit_context(), &id)
        } else {
            configuration_lifecycle::delete_configuration(tx, &audit_context(), &id)
        }
    })?;
    // A purge that is too large for one transaction. A running server continues it in the background, too.
    let mut refusals = 0;
    while let Some(purging) = store.read_inline(purge::find_next_purge)? {
        match store.write_blocking(move |tx| purge::run_purge_step(tx, &purging, purge::ROWS_PER_STEP)) {
            Err(error) if error.reason() == Reason::ServerBusy && refusals < STEP_REFUSALS_MAX => refusals += 1,
            result => result?,
        }
    }
    Ok(output::print_line(&describe_deletion(&deleted, purge))?)
}

fn describe_deletion(deleted: &DeletionResult, purge: bool) -> String {
    let resources = deleted.resources.iter();
    let parts: Vec<String> = resources.map(|(kind, count)| format!("{count} {kind}")).collect();
    let total = if parts.is_empty() { "no resources".to_owned() } else { parts.join(", ") };
    let outcome = if purge { "deleted" } else { "kept" };
    format!("deleted {} ({outcome}: {total})", deleted.configuration.id)
}
