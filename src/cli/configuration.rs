//! `rollcall configuration …`.

use std::path::Path;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::answer::{self, Output};
use super::{by, configuration_id, existing};
use crate::clock;
use crate::directory::configurations::{self, Content, Deleted, NewConfiguration};
use crate::directory::leftovers;
use crate::directory::settings::{self, SettingsChange};
use crate::directory::tokens::TokenDraft;
use crate::model::configuration::{Configuration, Source, provisioning_url};
use crate::model::switches::Preset;
use crate::secret::Token;
use crate::store::{Access, Store, Undo, instance};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a configuration and print its provisioning URL and token, which is shown only once
    Create(CreateArgs),
    /// List the configurations
    List {
        /// Only those of this account
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// Form of the answer
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Change a configuration; the next request follows it
    Update(UpdateArgs),
    /// Delete a configuration: its provisioning URL answers 401 from then on
    Delete {
        /// Id of the configuration
        #[arg(value_parser = configuration_id)]
        id: String,
        /// Remove its users and groups for good
        #[arg(long)]
        purge: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Your own id of the customer; made on first use
    #[arg(long)]
    account: String,
    /// Name that people see; by default the source and a short id
    #[arg(long)]
    name: Option<String>,
    /// Kind of identity provider: okta, azure-ad, frontegg or other
    #[arg(long, default_value = "other", value_parser = str::parse::<Source>)]
    source: Source,
    /// Provider where the source is other, such as onelogin, jumpcloud, google, ping or rippling
    #[arg(long)]
    provider: Option<String>,
    /// How requests are read: standard, okta, entra, idp or strict; by default what suits the source
    #[arg(long, value_parser = str::parse::<Preset>)]
    preset: Option<Preset>,
    /// Form of the answer
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Debug, Args)]
#[group(id = "change", required = true, multiple = true)]
pub(super) struct Change {
    /// Name that people see
    #[arg(long)]
    name: Option<String>,
    /// How requests are read from now on: standard, okta, entra, idp or strict; single switches that were set are reset
    #[arg(long, value_parser = str::parse::<Preset>)]
    preset: Option<Preset>,
    /// Whether changes reach your application
    #[arg(long, value_enum)]
    sync: Option<Toggle>,
}

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// Id of the configuration
    #[arg(value_parser = configuration_id)]
    id: String,
    #[command(flatten)]
    change: Change,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Toggle {
    On,
    Off,
}

pub(super) fn run(folder: &Path, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => create(folder, args),
        Command::List { account, output } => list(folder, account.as_deref(), output),
        Command::Update(args) => update(folder, args),
        Command::Delete { id, purge } => delete(folder, id, purge),
    }
}

fn create(folder: &Path, args: CreateArgs) -> anyhow::Result<()> {
    let store = Store::open(folder, Access::Command)?;
    let token = Token::generate().context("the operating system gave no random numbers")?;
    let new = NewConfiguration {
        id: clock::new_id(),
        account: args.account,
        connection_name: args.name,
        source: args.source,
        provider: args.provider,
        preset: args.preset,
        sync: true,
        token: TokenDraft::new(clock::new_id(), &token, "first token"),
    };
    let (made, public_url) = store.write_blocking(Undo::Savepoint, move |tx| {
        Ok((configurations::create(tx, &by(), &new)?, instance::public_url(tx)?))
    })?;
    Ok(print_token(&made, &token, &public_url, args.output)?)
}

/// Prints a configuration with its token: the only time the token is seen.
pub(super) fn print_token(
    configuration: &Configuration,
    token: &Token,
    public_url: &str,
    output: Output,
) -> std::io::Result<()> {
    let url = provisioning_url(public_url, &configuration.id);
    if output == Output::Json {
        return answer::json(&json!({
            "id": configuration.id,
            "connectionName": configuration.connection_name,
            "token": token.reveal(),
            "provisioningUrl": url,
        }));
    }
    answer::line(&format!(
        "Configuration     {}\nName              {}\nProvisioning URL  {url}\nToken             {}\n\n\
         The token is not shown again: copy it to the identity provider now.",
        configuration.id,
        configuration.connection_name,
        token.reveal(),
    ))
}

fn list(folder: &Path, account: Option<&str>, output: Output) -> anyhow::Result<()> {
    let store = existing(folder)?;
    let (found, public_url) = store
        .read_inline(|snapshot| Ok((configurations::list(snapshot, account)?, instance::public_url(snapshot)?)))?;
    if output == Output::Json {
        let shown = found.iter().map(|one| {
            json!({
                "id": one.id,
                "tenantId": one.account,
                "connectionName": one.connection_name,
                "source": one.source.as_str(),
                "provider": one.provider,
                "syncToUserManagement": one.sync,
                "lastSync": one.last_sync.map(clock::rfc3339),
                "createdAt": clock::rfc3339(one.created_at),
                "provisioningUrl": provisioning_url(&public_url, &one.id),
            })
        });
        return Ok(answer::json(&shown.collect())?);
    }
    let rows: Vec<Vec<String>> = found.iter().map(cells).collect();
    answer::table(&["ID", "ACCOUNT", "NAME", "SOURCE", "CREATED", "LAST SYNC"], &rows)?;
    Ok(())
}

fn cells(one: &Configuration) -> Vec<String> {
    vec![
        one.id.clone(),
        one.account.clone(),
        one.connection_name.clone(),
        one.source.to_string(),
        clock::rfc3339(one.created_at),
        one.last_sync.map_or_else(|| "never".into(), clock::rfc3339),
    ]
}

fn update(folder: &Path, UpdateArgs { id, change }: UpdateArgs) -> anyhow::Result<()> {
    let Change { name, preset, sync } = change;
    let settings = SettingsChange { connection_name: name, preset, ..SettingsChange::default() };
    let updated = existing(folder)?.write_blocking(Undo::Savepoint, move |tx| {
        let by = by();
        let updated = settings::change(tx, &by, &id, &settings)?;
        if let Some(sync) = sync {
            configurations::set_sync(tx, &by, &id, sync == Toggle::On)?;
        }
        Ok(updated)
    })?;
    Ok(answer::line(&format!("updated {} ({})", updated.id, updated.connection_name))?)
}

fn delete(folder: &Path, id: String, purge: bool) -> anyhow::Result<()> {
    let store = existing(folder)?;
    let content = if purge { Content::Purge } else { Content::Keep };
    let deleted = store.write_blocking(Undo::Savepoint, move |tx| configurations::delete(tx, &by(), &id, content))?;
    // What was too much for one transaction, which a server would do by and by.
    while let Some(purging) = store.read_inline(leftovers::next)? {
        store.write_blocking(Undo::Savepoint, move |tx| leftovers::step(tx, &purging, leftovers::PER_STEP))?;
    }
    Ok(answer::line(&farewell(&deleted, content))?)
}

fn farewell(deleted: &Deleted, content: Content) -> String {
    let resources = deleted.resources.iter();
    let parts: Vec<String> = resources.map(|(kind, total)| format!("{total} {kind}")).collect();
    let what = if parts.is_empty() { "no resources".to_owned() } else { parts.join(", ") };
    let done = match content {
        Content::Keep => "kept",
        Content::Purge => "removed",
    };
    format!("deleted {} ({done}: {what})", deleted.configuration.id)
}
