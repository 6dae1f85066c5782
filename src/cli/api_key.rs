//! `rollcall api-key …`: manages the keys of the management API.

use std::path::Path;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::token::parse_duration;
use super::{audit_context, open_existing_store};
use crate::auth::secret::BearerToken;
use crate::cli::output::confirmation::ConfirmationArgs;
use crate::cli::output::{self, OutputFormat};
use crate::clock::{self, Millis};
use crate::management::api_keys::{self, ApiKey, NewApiKey};
use crate::model::account::AccountFilter;
use crate::model::permission::{Permission, Permissions};

/// Keys per page of the list.
const PAGE_SIZE: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum ApiKeyCommand {
    /// Create a key and print its client ID and its secret, which is shown only once
    Create(CreateApiKeyArgs),
    /// List the keys that are not revoked
    List {
        /// Only keys of this account
        #[arg(long)]
        account: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Revoke a key, with every token that was issued for it; takes effect immediately
    Revoke {
        /// Client ID of the key
        id: String,
        #[command(flatten)]
        confirmation: ConfirmationArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateApiKeyArgs {
    /// Display name
    #[arg(long)]
    name: String,
    /// Account that the key is limited to; without it, the key applies to all accounts
    #[arg(long)]
    account: Option<String>,
    /// Permission, such as provisioning.read; without it, the key has all permissions. May be given several times
    #[arg(long = "permission", value_parser = str::parse::<Permission>)]
    permissions: Vec<Permission>,
    /// Time until the key expires, such as 90d, 12h or 30m; without it, the key does not expire
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    expires_in: Option<Millis>,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

pub(super) fn run_api_key_command(folder: &Path, command: ApiKeyCommand) -> anyhow::Result<()> {
    match command {
        ApiKeyCommand::Create(args) => create_api_key(folder, args),
        ApiKeyCommand::List { account, output } => list_api_keys(folder, account.as_deref(), output),
        ApiKeyCommand::Revoke { id, confirmation } => {
            confirmation.confirm(&format!("revoke the API key {id}"))?;
            revoke_api_key(folder, &id)
        }
    }
}

fn create_api_key(folder: &Path, args: CreateApiKeyArgs) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let secret = BearerToken::generate_key().context("the operating system provided no random numbers")?;
    let mut new = NewApiKey::new(clock::new_id(), &secret, args.name);
    new.account = args.account;
    new.permissions = match args.permissions.as_slice() {
        [] => api_keys::default_permissions(new.account.as_deref(), Permissions::ALL),
        listed => listed.iter().copied().collect(),
    };
    new.expires_at = args.expires_in.map(|after| clock::current_millis() + after);
    let created = store.write_blocking(move |tx| api_keys::create_api_key(tx, &audit_context(), &new))?;
    if args.output == OutputFormat::Json {
        return Ok(output::print_json(&json!({"clientId": created.id, "secret": secret.reveal()}))?);
    }
    Ok(output::print_line(&format!(
        "Client ID  {}\nSecret     {}\n\n\
         The secret cannot be shown again. Send it as a bearer token, or exchange both at POST /auth/vendor.",
        created.id,
        secret.reveal(),
    ))?)
}

fn list_api_keys(folder: &Path, account: Option<&str>, output: OutputFormat) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let filter = account.map(|id| AccountFilter::WithId(id.to_owned()));
    let mut keys: Vec<ApiKey> = Vec::new();
    loop {
        let after = keys.last().map(|key| key.id.clone());
        let page = store.read_pooled(|at| api_keys::list_api_keys(at, filter.as_ref(), after.as_deref(), PAGE_SIZE))?;
        if page.is_empty() {
            break;
        }
        keys.extend(page);
    }
    if output == OutputFormat::Json {
        return Ok(output::print_json(&keys.iter().map(api_key_to_json).collect())?);
    }
    let time = |at: Option<Millis>, none: &str| at.map_or(none.to_owned(), clock::format_rfc3339);
    let row = |key: &ApiKey| {
        let account = key.account.as_deref().unwrap_or("all").to_owned();
        let (used, ends) = (time(key.last_used_at, "never"), time(key.expires_at, "never"));
        vec![key.id.clone(), key.name.clone(), account, key.permissions.key_list(), key.hint.clone(), used, ends]
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    let head = ["CLIENT ID", "NAME", "ACCOUNT", "PERMISSIONS", "ENDS IN", "LAST USED", "EXPIRES"];
    Ok(output::print_table(&head, &rows)?)
}

fn api_key_to_json(key: &ApiKey) -> Value {
    json!({
        "clientId": key.id,
        "name": key.name,
        "accountId": key.account,
        "permissions": key.permissions.iter().map(Permission::as_str).collect::<Vec<_>>(),
        "hint": key.hint,
        "createdAt": clock::format_rfc3339(key.created_at),
        "lastUsedAt": key.last_used_at.map(clock::format_rfc3339),
        "expiresAt": key.expires_at.map(clock::format_rfc3339),
    })
}

fn revoke_api_key(folder: &Path, id: &str) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let id = id.trim().to_ascii_lowercase();
    let revoked = store.write_blocking(move |tx| api_keys::revoke_api_key(tx, &audit_context(), &id))?;
    output::print_line(&format!("Revoked {} ({})", revoked.id, revoked.name))?;
    Ok(output::print_line(
        "Tokens and setup links that were created with it stay valid. The audit log lists them; revoke them if needed.",
    )?)
}
