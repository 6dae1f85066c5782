//! `rollcall api-key …`.

use std::path::Path;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;

use super::answer::{self, Output};
use super::by;
use crate::clock;
use crate::directory::api_keys::{self, NewApiKey};
use crate::model::permission::{Permission, Permissions};
use crate::secret::Token;
use crate::store::{Access, Store, Undo};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key and print its client id and secret, which is shown only once
    Create(CreateArgs),
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
    /// Form of the answer
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(folder: &Path, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => create(folder, args),
    }
}

fn create(folder: &Path, args: CreateArgs) -> anyhow::Result<()> {
    let store = Store::open(folder, Access::Command)?;
    let secret = Token::generate_key().context("the operating system gave no random numbers")?;
    let mut new = NewApiKey::new(clock::new_id(), &secret, args.name);
    new.account = args.account;
    if !args.permissions.is_empty() {
        new.permissions = args.permissions.into_iter().collect::<Permissions>();
    }
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
