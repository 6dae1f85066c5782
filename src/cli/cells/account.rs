//! `rollcall account …`: lists accounts, and moves them to another instance.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::auth::jwt::SigningKey;
use crate::cli::output::confirmation::ConfirmationArgs;
use crate::cli::output::{self, OutputFormat};
use crate::cli::{audit_context, open_existing_store};
use crate::error::Reason;
use crate::management::account_move::export::{self, AccountExport};
use crate::management::account_move::freezing;
use crate::management::account_move::import::{self, AccountFile, AccountImport, ImportStart, TransferKey};
use crate::model::account::AccountRef;
use crate::store::Store;

/// How long a freeze waits for requests of webhooks and for work of the server.
const FREEZE_WAIT_MAX: Duration = Duration::from_mins(1);
/// Interval of the checks of a freeze.
const FREEZE_CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Accounts that one read returns.
const ACCOUNTS_PER_READ: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AccountCommand {
    /// List the accounts, and where those that move are
    List {
        /// Output format
        #[arg(long, short, value_enum, default_value_t = OutputFormat::Table)]
        output: OutputFormat,
    },
    /// Refuse changes of an account, so that it can move; complete what was accepted before
    Freeze {
        /// Account ID
        account: String,
    },
    /// Serve a frozen account again
    Unfreeze {
        /// Account ID
        account: String,
    },
    /// Write an account to a file; the server may be running
    Export(ExportAccountArgs),
    /// Import an account from the file of another instance; the server may be running
    Import(ImportAccountArgs),
    /// End the service of a frozen account, because another instance has it
    Moved {
        /// Account ID
        account: String,
        #[command(flatten)]
        confirmation: ConfirmationArgs,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportAccountArgs {
    /// Account ID
    account: String,
    /// File to create
    file: PathBuf,
    /// Write only the difference to this earlier export of the account
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// Include the request log, which can be larger than all other data
    #[arg(long)]
    with_request_log: bool,
    /// File with a passphrase, with which the keys of webhooks and the one-time codes of admins are encrypted; without it, they stay
    /// here
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportAccountArgs {
    /// File that `rollcall account export` has written
    file: PathBuf,
    /// Import the account under another ID
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// File with the passphrase of the export
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(in crate::cli) fn run_account_command(folder: &Path, command: AccountCommand) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    match command {
        AccountCommand::List { output } => list_accounts(&store, output),
        AccountCommand::Freeze { account } => freeze(&store, &account),
        AccountCommand::Unfreeze { account } => {
            let id = account.clone();
            store.write_blocking(move |tx| freezing::unfreeze_account(tx, &audit_context(), &id))?;
            let hint = "delete the files that were exported while it was frozen: they have no later change";
            Ok(output::print_line(&format!("{account}: active; {hint}"))?)
        }
        AccountCommand::Export(args) => export_account(folder, &store, &args),
        AccountCommand::Import(args) => import_account(folder, &store, &args),
        AccountCommand::Moved { account, confirmation } => {
            confirmation.confirm(&format!("end the service of the account {account:?} on this instance"))?;
            let id = account.clone();
            store.write_blocking(move |tx| freezing::mark_moved(tx, &audit_context(), &id))?;
            Ok(output::print_line(&format!("{account}: moved"))?)
        }
    }
}

fn list_accounts(store: &Store, format: OutputFormat) -> anyhow::Result<()> {
    let mut found = Vec::new();
    loop {
        let after = found.last().map(|one: &freezing::AccountWithState| one.account.id.clone());
        let page = store.read_inline(|at| freezing::list_states(at, after.as_deref(), ACCOUNTS_PER_READ))?;
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    if format == OutputFormat::Json {
        let describe = |one: &freezing::AccountWithState| {
            let (account, state) = (&one.account, one.state.as_str());
            json!({
                "id": account.id,
                "name": account.name,
                "state": state,
                "configurationIds": one.configuration_ids,
            })
        };
        return Ok(output::print_json(&found.iter().map(describe).collect::<Value>())?);
    }
    let row = |one: &freezing::AccountWithState| {
        let account = &one.account;
        vec![account.id.clone(), account.name.clone(), account.configurations.to_string(), one.state.to_string()]
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    Ok(output::print_table(&["ID", "NAME", "CONFIGURATIONS", "STATE"], &rows)?)
}

/// Freezes the account, runs the steps that it still has, and waits for requests of its webhooks that were begun.
fn freeze(store: &Store, id: &str) -> anyhow::Result<()> {
    let account_id = id.to_owned();
    let account = store.write_blocking(move |tx| freezing::freeze_account(tx, &audit_context(), &account_id))?;
    let deadline = Instant::now() + FREEZE_WAIT_MAX;
    loop {
        let running = account.clone();
        match store.write_blocking(move |tx| freezing::run_pending_step(tx, &running)) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if error.reason() == Reason::AccountBusy && Instant::now() < deadline => {
                thread::sleep(FREEZE_CHECK_INTERVAL);
            }
            Err(error) => {
                output::print_hint(&format!("{id} is frozen, but not at rest; repeat the command"))?;
                return Err(error.into());
            }
        }
    }
    wait_for_webhooks(store, &account, deadline)?;
    Ok(output::print_line(&format!("{id}: frozen"))?)
}

/// A request whose answer is unknown is sent again by the other instance.
fn wait_for_webhooks(store: &Store, account: &AccountRef, deadline: Instant) -> anyhow::Result<()> {
    loop {
        let open = store.read_inline(|at| freezing::count_open_requests(at, account))?;
        if open == 0 {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Ok(output::print_warning(&format!(
                "{open} requests of webhooks have no answer yet; the other instance sends their events again"
            ))?);
        }
        thread::sleep(FREEZE_CHECK_INTERVAL);
    }
}

fn read_passphrase(file: Option<&PathBuf>) -> anyhow::Result<Option<TransferKey>> {
    let Some(path) = file else { return Ok(None) };
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if text.trim().is_empty() {
        bail!("{} is empty; write a passphrase to it", path.display());
    }
    Ok(Some(TransferKey::new(&text)))
}

fn export_account(folder: &Path, store: &Store, args: &ExportAccountArgs) -> anyhow::Result<()> {
    let transfer = read_passphrase(args.passphrase_file.as_ref())?;
    let signing_key = transfer.as_ref().map(|_| SigningKey::open(folder)).transpose()?;
    let written = export::write_export(&AccountExport {
        database: store.database_file(),
        account: &args.account,
        file: &args.file,
        base: args.base.as_deref(),
        with_request_log: args.with_request_log,
        keys: signing_key.as_ref().zip(transfer.as_ref()),
    })?;
    let (account, _) = store.read_inline(|at| freezing::find_account(at, &args.account))?;
    let (exported, report) = (account, written.clone());
    store.write_blocking(move |tx| export::record_export(tx, &audit_context(), &exported, &report))?;
    let kind = if args.base.is_some() { "the difference" } else { "complete" };
    let state = if written.is_final { "frozen" } else { "not frozen: a difference must follow" };
    output::print_line(&format!("{}: {} bytes, {kind}, {state}", args.file.display(), written.bytes))?;
    let left = written.secrets - written.secrets_included;
    if left > 0 {
        output::print_warning(&format!(
            "{left} keys and headers of webhooks and one-time codes of admins are not in the file; give --passphrase-file, or make them again after the import"
        ))?;
    }
    Ok(())
}

fn import_account(folder: &Path, store: &Store, args: &ImportAccountArgs) -> anyhow::Result<()> {
    let file = import::open_file(&args.file)?;
    let content = &file.manifest.content;
    let id = args.account.clone().unwrap_or_else(|| content.account_id.clone());
    let transfer = read_passphrase(args.passphrase_file.as_ref())?;
    let secrets = match &transfer {
        Some(transfer) => import::read_secrets(&args.file, &file, (&SigningKey::open(folder)?, transfer))?,
        None => Vec::new(),
    };
    let start = {
        let mut start = None;
        store.read_inline(|at| {
            start = Some(import::find_start(at, &args.file, content, &id));
            Ok(())
        })?;
        start.context("the database could not be read")??
    };
    let account = match start {
        ImportStart::Done(done) => done.account,
        ImportStart::Continue(account) => account,
        ImportStart::Difference(account) => {
            let content = content.clone();
            store.write_blocking(move |tx| import::begin_difference(tx, account, &content))?;
            account
        }
        ImportStart::First => {
            refuse_conflicts(store, args, &file)?;
            let (id, content) = (id.clone(), content.clone());
            store.write_blocking(move |tx| import::begin_first(tx, &id, &content))?
        }
    };
    run_steps(store, args, &file, account)?;
    let found = store.read_inline(|at| import::find_import(at, account))?;
    let Some(AccountImport { is_final: true, completed_at: None, .. }) = found else {
        let state = match found {
            Some(AccountImport { completed_at: Some(_), .. }) => "complete already",
            _ => "imported; freeze the account on the other instance, and import the difference next",
        };
        return Ok(output::print_line(&format!("{id}: {state}"))?);
    };
    check_counts(store, &file, account)?;
    let keys = secrets.clone();
    store.write_blocking(move |tx| import::complete_import(tx, &audit_context(), account, &keys))?;
    output::print_line(&format!("{id}: active"))?;
    if transfer.is_none() {
        output::print_hint(
            "without --passphrase-file, webhooks of the account are paused until their keys are rotated, and its admins set up one-time codes again",
        )?;
    }
    Ok(())
}

/// # Errors
/// Values of the account are in use. Nothing was changed then.
fn refuse_conflicts(store: &Store, args: &ImportAccountArgs, file: &AccountFile) -> anyhow::Result<()> {
    let mut conflicts = Vec::new();
    for part in import::list_unique_values(&args.file, file)? {
        conflicts.extend(store.read_inline(|at| import::find_conflicts(at, &part))?);
    }
    Ok(import::check_conflicts(&conflicts)?)
}

fn run_steps(store: &Store, args: &ImportAccountArgs, file: &AccountFile, account: i64) -> anyhow::Result<()> {
    loop {
        let mut planned = None;
        store.read_inline(|at| {
            planned = Some(import::plan_step(at, (&args.file, file), account));
            Ok(())
        })?;
        let Some(step) = planned.context("the database could not be read")?? else { return Ok(()) };
        store.write_blocking(move |tx| import::run_step(tx, &step))?;
    }
}

/// # Errors
/// The account has other rows than on the other instance.
fn check_counts(store: &Store, file: &AccountFile, account: i64) -> anyhow::Result<()> {
    for (table, expected) in &file.manifest.content.counts {
        let mut found = 0;
        for part in store.read_inline(|at| import::list_counted_parts(at, account, table))? {
            found += store.read_pooled(|at| import::count_part(at, account, part))?;
        }
        import::check_count(table, found, *expected)?;
    }
    Ok(())
}
