//! `rollcall admin …` and `rollcall setup-url`: people of the portal, made and helped from the machine itself.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{self, Output};
use super::{by, existing};
use crate::clock;
use crate::directory::admins::{self, Person};
use crate::model::admin::{Admin, OWNER, check_password};
use crate::secret::{Token, password};
use crate::server;
use crate::store::{Access, Snapshot, Store, Undo, admins as rows};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a person who may sign in to the portal. The password is read from standard input, or made and printed
    Create(CreateArgs),
    /// List the people of the portal
    List {
        /// Form of the answer
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Give a person a new password, read from standard input, or made and printed. Signs the person out everywhere
    ResetPassword {
        /// E-mail address of the person
        email: String,
    },
    /// Keep a person from signing in
    Disable {
        /// E-mail address of the person
        email: String,
    },
    /// Let a person sign in again
    Enable {
        /// E-mail address of the person
        email: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// E-mail address to sign in with
    #[arg(long)]
    email: String,
    /// What others call the person; by default the address
    #[arg(long)]
    name: Option<String>,
    /// Id of a role: owner, provisioning-manager, viewer, or one of your own
    #[arg(long, default_value = OWNER)]
    role: String,
    /// The one account in which the role counts
    #[arg(long)]
    account: Option<String>,
}

pub(super) fn run(folder: &Path, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => create(folder, args),
        Command::List { output } => list(folder, output),
        Command::ResetPassword { email } => reset_password(folder, &email),
        Command::Disable { email } => set_disabled(folder, &email, true),
        Command::Enable { email } => set_disabled(folder, &email, false),
    }
}

/// `rollcall setup-url`
pub(super) fn setup_url(folder: &Path) -> anyhow::Result<()> {
    let store = Store::open(folder, Access::Command)?;
    answer::line(&server::new_setup_url(&store)?)?;
    Ok(())
}

fn create(folder: &Path, args: CreateArgs) -> anyhow::Result<()> {
    let store = Store::open(folder, Access::Command)?;
    let given = password_for(&args.email)?;
    let name = args.name.unwrap_or_else(|| args.email.clone());
    let digest =
        password::hash(given.text()).map_err(|problem| anyhow::anyhow!("the password was not hashed: {problem}"))?;
    let person = Person {
        id: clock::new_id(),
        email: args.email,
        name,
        role: args.role,
        account: args.account,
        password_digest: Some(digest),
    };
    let made = store.write_blocking(Undo::Savepoint, move |tx| admins::create(tx, &by(), &person))?;
    answer::line(&format!("made {} ({})", made.email, made.role))?;
    given.print()
}

fn reset_password(folder: &Path, email: &str) -> anyhow::Result<()> {
    let store = existing(folder)?;
    let found = store.read_inline(|at| person(at, email))?;
    let given = password_for(email)?;
    let digest =
        password::hash(given.text()).map_err(|problem| anyhow::anyhow!("the password was not hashed: {problem}"))?;
    let id = found.id;
    store.write_blocking(Undo::Savepoint, move |tx| {
        rows::set_totp(tx, &id, None)?;
        admins::set_password(tx, &by(), &id, &digest, None)
    })?;
    answer::line(&format!("changed the password of {}; one-time codes are off", found.email))?;
    given.print()
}

fn set_disabled(folder: &Path, email: &str, disabled: bool) -> anyhow::Result<()> {
    let store = existing(folder)?;
    let email = email.to_owned();
    let changed = store.write_blocking(Undo::Savepoint, move |tx| {
        let found = person(tx, &email)?;
        let changed = Admin { disabled_at: disabled.then_some(tx.now), ..found };
        admins::change(tx, &by(), &changed)?;
        Ok(changed)
    })?;
    let word = if disabled { "disabled" } else { "enabled" };
    Ok(answer::line(&format!("{word} {}", changed.email))?)
}

fn person(at: &Snapshot<'_>, email: &str) -> crate::error::Result<Admin> {
    let key = crate::model::admin::email_key(email).map_err(crate::error::Error::Refused)?;
    let found = rows::by_email_key(at, &key)?.map(|found| found.admin);
    found.ok_or_else(|| crate::error::Error::NotFound("nobody has that e-mail address".to_owned()))
}

fn list(folder: &Path, output: Output) -> anyhow::Result<()> {
    let store = existing(folder)?;
    let found = store.read_inline(rows::list)?;
    if output == Output::Json {
        return Ok(answer::json(&found.iter().map(shown).collect::<Value>())?);
    }
    let cells = |one: &Admin| {
        vec![
            one.email.clone(),
            one.name.clone(),
            one.role.clone(),
            one.account.clone().unwrap_or_else(|| "all".to_owned()),
            if one.disabled_at.is_some() { "disabled".to_owned() } else { "active".to_owned() },
            one.last_sign_in_at.map_or_else(|| "never".to_owned(), clock::rfc3339),
        ]
    };
    let rows: Vec<Vec<String>> = found.iter().map(cells).collect();
    Ok(answer::table(&["E-MAIL", "NAME", "ROLE", "ACCOUNT", "STATE", "LAST SIGN-IN"], &rows)?)
}

fn shown(one: &Admin) -> Value {
    json!({
        "id": one.id,
        "email": one.email,
        "name": one.name,
        "role": one.role,
        "account": one.account,
        "disabled": one.disabled_at.is_some(),
        "lastSignInAt": one.last_sign_in_at.map(clock::rfc3339),
    })
}

/// A new password: what stood on standard input, or one that was made and must be shown.
enum Given {
    Read(String),
    Made(Token),
}

impl Given {
    fn text(&self) -> &str {
        match self {
            Self::Read(text) => text,
            Self::Made(token) => token.reveal(),
        }
    }

    fn print(&self) -> anyhow::Result<()> {
        if let Self::Made(token) = self {
            answer::line(&format!("Password  {}\n\nIt is not shown again.", token.reveal()))?;
        }
        Ok(())
    }
}

/// A line on standard input, where something is piped in; a made-up password otherwise.
fn password_for(email: &str) -> anyhow::Result<Given> {
    let mut line = String::new();
    if !std::io::stdin().is_terminal() {
        std::io::stdin().read_line(&mut line).context("standard input cannot be read")?;
    }
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Ok(Given::Made(Token::generate_session().context("the operating system gave no random numbers")?));
    }
    if let Err(refused) = check_password(text, email) {
        bail!("{refused}");
    }
    Ok(Given::Read(text.to_owned()))
}
