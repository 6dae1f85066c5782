//! `rollcall admin …` and `rollcall setup-url`: manages the admins of the portal from the machine of the server.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Cli, audit_context, config, open_existing_store};
use crate::auth::secret::{BearerToken, password};
use crate::cli::output::{self, OutputFormat};
use crate::clock;
use crate::management::admins::{self, AdminDraft};
use crate::management::instance;
use crate::model::admin::{Admin, check_password};
use crate::server;
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub(super) enum AdminCommand {
    /// Create an admin who can sign in to the portal. The password is read from standard input, or generated and
    /// printed
    Create(CreateAdminArgs),
    /// List the admins of the portal
    List {
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Set a new password, which is read from standard input, or generated and printed. Ends all sessions of the admin
    ResetPassword {
        /// E-mail address of the admin
        email: String,
    },
    /// Prevent an admin from signing in
    Disable {
        /// E-mail address of the admin
        email: String,
    },
    /// Allow an admin to sign in again
    Enable {
        /// E-mail address of the admin
        email: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateAdminArgs {
    /// E-mail address for signing in
    #[arg(long)]
    email: String,
    /// Display name; default: the e-mail address
    #[arg(long)]
    name: Option<String>,
    /// Role ID: owner, provisioning-manager, viewer, or the ID of a custom role
    #[arg(long, value_name = "owner|provisioning-manager|viewer|ROLE-ID")]
    role: String,
    /// Account that the role is limited to; without it, the role applies to all accounts
    #[arg(long)]
    account: Option<String>,
}

pub(super) fn run_admin_command(folder: &Path, command: AdminCommand) -> anyhow::Result<()> {
    match command {
        AdminCommand::Create(args) => create_admin(folder, args),
        AdminCommand::List { output } => list_admins(folder, output),
        AdminCommand::ResetPassword { email } => reset_password(folder, &email),
        AdminCommand::Disable { email } => set_disabled(folder, &email, true),
        AdminCommand::Enable { email } => set_disabled(folder, &email, false),
    }
}

/// Runs `rollcall setup-url`: prints a new one-time URL of the setup page.
pub(super) fn print_setup_url(cli: &Cli) -> anyhow::Result<()> {
    let store = open_existing_store(&cli.data_dir.data_dir)?;
    let made = server::create_setup_url(&store, find_base_url(cli, &store)?.as_deref())?;
    output::print_line(&made.url)?;
    let ended = if made.has_replaced { "; the one that was printed before has ended" } else { "" };
    Ok(output::print_hint(&format!("the URL works once, for 30 minutes{ended}"))?)
}

/// Returns the base URL of the settings, if it is set or no server has stored one yet.
fn find_base_url(cli: &Cli, store: &Store) -> anyhow::Result<Option<String>> {
    // A command without the secrets of the service cannot check all its settings.
    let Ok(settings) = config::load_serve_settings(cli) else { return Ok(None) };
    let has_stored_url = store.read_inline(instance::find_listen_url)?.is_some();
    let of_listener = || (!has_stored_url).then(|| settings.transport.url(settings.listen));
    Ok(settings.public_url.clone().or_else(of_listener))
}

fn create_admin(folder: &Path, args: CreateAdminArgs) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let new_password = read_password(&args.email)?;
    let name = args.name.unwrap_or_else(|| args.email.clone());
    let digest = password::hash_password(new_password.text())
        .map_err(|problem| anyhow::anyhow!("hashing the password failed: {problem}"))?;
    let account = AdminDraft {
        id: clock::new_id(),
        email: args.email,
        name,
        role: args.role,
        account: args.account,
        password_digest: Some(digest),
    };
    let created = store.write_blocking(move |tx| admins::create_admin(tx, &audit_context(), &account))?;
    output::print_line(&format!("created {} ({})", created.email, created.role))?;
    new_password.print()
}

fn reset_password(folder: &Path, email: &str) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let found = store.read_inline(|at| admins::find_admin_by_email(at, email))?;
    let new_password = read_password(email)?;
    let digest = password::hash_password(new_password.text())
        .map_err(|problem| anyhow::anyhow!("hashing the password failed: {problem}"))?;
    let id = found.id;
    store.write_blocking(move |tx| admins::reset_password(tx, &audit_context(), &id, &digest))?;
    output::print_line(&format!("changed the password of {}; one-time codes are turned off", found.email))?;
    new_password.print()
}

fn set_disabled(folder: &Path, email: &str, disabled: bool) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let email = email.to_owned();
    let changed = store.write_blocking(move |tx| {
        let found = admins::find_admin_by_email(tx, &email)?;
        let changed = Admin { disabled_at: disabled.then_some(tx.now), ..found };
        admins::update_admin(tx, &audit_context(), &changed)?;
        Ok(changed)
    })?;
    let state = if disabled { "disabled" } else { "enabled" };
    Ok(output::print_line(&format!("{state} {}", changed.email))?)
}

fn list_admins(folder: &Path, output: OutputFormat) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let found = store.read_inline(admins::list_admins)?;
    if output == OutputFormat::Json {
        return Ok(output::print_json(&found.iter().map(admin_to_json).collect::<Value>())?);
    }
    let cells = |one: &Admin| {
        vec![
            one.email.clone(),
            one.name.clone(),
            one.role.clone(),
            one.account.as_deref().unwrap_or("all").to_owned(),
            if one.disabled_at.is_some() { "disabled".to_owned() } else { "active".to_owned() },
            one.last_sign_in_at.map_or_else(|| "never".to_owned(), clock::format_rfc3339),
        ]
    };
    let rows: Vec<Vec<String>> = found.iter().map(cells).collect();
    Ok(output::print_table(&["E-MAIL", "NAME", "ROLE", "ACCOUNT", "STATE", "LAST SIGN-IN"], &rows)?)
}

fn admin_to_json(one: &Admin) -> Value {
    json!({
        "id": one.id,
        "email": one.email,
        "name": one.name,
        "role": one.role,
        "account": one.account,
        "disabled": one.disabled_at.is_some(),
        "lastSignInAt": one.last_sign_in_at.map(clock::format_rfc3339),
    })
}

/// A new password: read from standard input, or generated and therefore printed.
enum NewPassword {
    Read(String),
    Generated(BearerToken),
}

impl NewPassword {
    fn text(&self) -> &str {
        match self {
            Self::Read(text) => text,
            Self::Generated(token) => token.reveal(),
        }
    }

    fn print(&self) -> anyhow::Result<()> {
        if let Self::Generated(token) = self {
            output::print_line(&format!("Password  {}\n\nIt cannot be shown again.", token.reveal()))?;
        }
        Ok(())
    }
}

/// Reads one line of standard input if it is not a terminal; generates a password if the line is empty or it is a
/// terminal.
fn read_password(email: &str) -> anyhow::Result<NewPassword> {
    let mut line = String::new();
    if !std::io::stdin().is_terminal() {
        std::io::stdin().read_line(&mut line).context("standard input cannot be read")?;
    }
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Ok(NewPassword::Generated(
            BearerToken::generate_session().context("the operating system provided no random numbers")?,
        ));
    }
    check_password(text, email)?;
    Ok(NewPassword::Read(text.to_owned()))
}
