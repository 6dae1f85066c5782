//! `rollcall api-key …`.

use std::path::Path;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{self, Output};
use super::token::duration;
use super::{by, existing};
use crate::clock::{self, Millis};
use crate::directory::api_keys::{self, NewApiKey};
use crate::model::permission::{Permission, Permissions};
use crate::secret::Token;
use crate::store::api_keys::{self as rows, ApiKey};
use crate::store::{Access, Store, Undo};

/// Keys on one page of the list.
const PAGE: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key and print its client id and secret, which is shown only once
    Create(CreateArgs),
    /// Show the keys that are not revoked
    List {
        /// Only those of this account
        #[arg(long)]
        account: Option<String>,
        /// Form of the answer
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Revoke a key; it is dead at once, with every token that was issued for it
    Revoke {
        /// Its client id
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Name that people see
    #[arg(long)]
    name: String,
    /// The one account that it may touch; all of them without it
    #[arg(long)]
    account: Option<String>,
    /// What it may do, such as provisioning.read; everything without it. May be given several times
    #[arg(long = "permission", value_parser = str::parse::<Permission>)]
    permissions: Vec<Permission>,
    /// When it stops working by itself, such as 90d, 12h or 30m from now; never without it
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires_in: Option<Millis>,
    /// Form of the answer
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(folder: &Path, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => create(folder, args),
        Command::List { account, output } => list(folder, account.as_deref(), output),
        Command::Revoke { id } => revoke(folder, &id),
    }
}

fn create(folder: &Path, args: CreateArgs) -> anyhow::Result<()> {
    let store = Store::open(folder, Access::Command)?;
    let secret = Token::generate_key().context("the operating system gave no random numbers")?;
    let mut new = NewApiKey::new(clock::new_id(), &secret, args.name);
    new.account = args.account;
    new.permissions = match args.permissions.as_slice() {
        [] => api_keys::usual_permissions(new.account.as_deref(), Permissions::ALL),
        given => given.iter().copied().collect(),
    };
    new.expires_at = args.expires_in.map(|after| clock::now() + after);
    let made = store.write_blocking(Undo::Savepoint, move |tx| api_keys::create(tx, &by(), &new))?;
    if args.output == Output::Json {
        return Ok(answer::json(&json!({"clientId": made.id, "secret": secret.reveal()}))?);
    }
    Ok(answer::line(&format!(
        "Client id  {}\nSecret     {}\n\n\
         The secret is not shown again. Send it as a bearer token, or exchange both at POST /auth/vendor.",
        made.id,
        secret.reveal(),
    ))?)
}

fn list(folder: &Path, account: Option<&str>, output: Output) -> anyhow::Result<()> {
    let store = existing(folder)?;
    let mut keys: Vec<ApiKey> = Vec::new();
    loop {
        let after = keys.last().map(|key| key.id.clone());
        let page = store.read_pooled(|at| rows::list(at, account, after.as_deref(), PAGE))?;
        if page.is_empty() {
            break;
        }
        keys.extend(page);
    }
    if output == Output::Json {
        return Ok(answer::json(&keys.iter().map(shown).collect())?);
    }
    let time = |at: Option<Millis>, none: &str| at.map_or(none.to_owned(), clock::rfc3339);
    let row = |key: &ApiKey| {
        let account = key.account.as_deref().unwrap_or("all").to_owned();
        let (used, ends) = (time(key.last_used_at, "never"), time(key.expires_at, "never"));
        vec![key.id.clone(), key.name.clone(), account, key.permissions.words(), key.hint.clone(), used, ends]
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    let head = ["CLIENT ID", "NAME", "ACCOUNT", "PERMISSIONS", "ENDS IN", "LAST USED", "EXPIRES"];
    Ok(answer::table(&head, &rows)?)
}

fn shown(key: &ApiKey) -> Value {
    json!({
        "clientId": key.id,
        "name": key.name,
        "accountId": key.account,
        "permissions": key.permissions.iter().map(Permission::as_str).collect::<Vec<_>>(),
        "hint": key.hint,
        "createdAt": clock::rfc3339(key.created_at),
        "lastUsedAt": key.last_used_at.map(clock::rfc3339),
        "expiresAt": key.expires_at.map(clock::rfc3339),
    })
}

fn revoke(folder: &Path, id: &str) -> anyhow::Result<()> {
    let store = existing(folder)?;
    let id = id.trim().to_ascii_lowercase();
    let revoked = store.write_blocking(Undo::Savepoint, move |tx| api_keys::revoke(tx, &by(), &id))?;
    Ok(answer::line(&format!("Revoked {} ({})", revoked.id, revoked.name))?)
}
