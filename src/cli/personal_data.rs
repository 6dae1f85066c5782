//! `rollcall personal-data …`: exports and erases the personal data of one user.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Cli, audit_context, config, open_existing_store};
use crate::cli::output::confirmation::ConfirmationArgs;
use crate::cli::output::{self, OutputFormat};
use crate::clock;
use crate::management::personal_data::steps::{self, PlannedStep};
use crate::management::personal_data::{self, NewPersonalDataRequest, PersonalDataRequest};
use crate::model::audit_context::AccountScope;
use crate::model::ids;
use crate::model::personal_data::{PersonalDataKind, SubjectSelector};
use crate::store::{Store, Tx};

/// How long an erasure waits for readers of the log of the database.
const CLEAR_MAX: Duration = Duration::from_mins(1);
/// Pause between two attempts to clear the log.
const CLEAR_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(super) enum PersonalDataCommand {
    /// Export everything that is stored about a user of an account
    Export(ExportArgs),
    /// Delete a user of an account, and erase everything that is stored about it
    Erase(EraseArgs),
    /// List exports and erasures, newest first
    List(ListPersonalDataArgs),
    /// Show an export or an erasure, with its receipt
    Show(ShowPersonalDataArgs),
}

/// Selects the user.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct SubjectArgs {
    /// Account ID
    #[arg(long)]
    account: String,
    /// ID of a user, in any configuration of the account
    #[arg(long, required_unless_present = "email", conflicts_with = "email")]
    user_id: Option<String>,
    /// E-mail address of the user
    #[arg(long)]
    email: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// File to create with the data
    #[arg(long)]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    confirmation: ConfirmationArgs,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

#[derive(Debug, Args)]
pub(super) struct ListPersonalDataArgs {
    /// Only those of this account
    #[arg(long)]
    account: Option<String>,
    /// Most exports and erasures
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

#[derive(Debug, Args)]
pub(super) struct ShowPersonalDataArgs {
    /// ID of the request, as shown by `personal-data list`
    #[arg(value_parser = parse_request_id)]
    id: String,
    /// File to create with the data of an export
    #[arg(long)]
    file: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

fn parse_request_id(text: &str) -> Result<String, String> {
    let id = text.trim().to_ascii_lowercase();
    if ids::is_id(&id) { Ok(id) } else { Err("give the ID that `rollcall personal-data list` shows".into()) }
}

pub(super) fn run_personal_data_command(cli: &Cli, command: PersonalDataCommand) -> anyhow::Result<()> {
    let folder = cli.data_dir.data_dir.as_path();
    match command {
        PersonalDataCommand::Export(args) => export_data(folder, &args),
        PersonalDataCommand::Erase(args) => erase_data(cli, &args),
        PersonalDataCommand::List(args) => list_requests(folder, args),
        PersonalDataCommand::Show(args) => show_request(folder, &args),
    }
}

fn start_request(store: &Store, args: &SubjectArgs, kind: PersonalDataKind) -> anyhow::Result<String> {
    let selector = SubjectSelector::parse(args.user_id.as_deref(), args.email.as_deref())?;
    let new = NewPersonalDataRequest { id: clock::new_id(), account: Some(args.account.clone()), kind, selector };
    let started = store.write_blocking(move |tx| personal_data::start_request(tx, &audit_context(), &new))?;
    Ok(started.id)
}

fn export_data(folder: &Path, args: &ExportArgs) -> anyhow::Result<()> {
    if args.file.exists() {
        bail!("{} already exists: give another name", args.file.display());
    }
    let store = open_existing_store(folder)?;
    let id = start_request(&store, &args.subject, PersonalDataKind::Export)?;
    run_request(&store, &id, None)?;
    write_file(&store, &id, &args.file)?;
    let found = find_request(&store, &id)?;
    Ok(output::print_line(&format!("{}: {}", args.file.display(), describe_counts(&found)))?)
}

fn erase_data(cli: &Cli, args: &EraseArgs) -> anyhow::Result<()> {
    let SubjectArgs { account, user_id, email } = &args.subject;
    let user = user_id.as_ref().or(email.as_ref()).map_or("", String::as_str);
    args.confirmation
        .confirm(&format!("erase everything that is stored about the user {user} of the account {account}"))?;
    // The receipt names the backups in the folder of the schedule.
    let backups = config::load_serve_settings(cli)?.backups.map(|schedule| schedule.folder);
    let store = open_existing_store(cli.data_dir.data_dir.as_path())?;
    let id = start_request(&store, &args.subject, PersonalDataKind::Erasure)?;
    run_request(&store, &id, backups.as_deref())?;
    print_request(&find_request(&store, &id)?, args.output)
}

/// Runs the steps here: there may be no server. A server that runs does the same, and each step is done once.
fn run_request(store: &Store, id: &str, backups: Option<&Path>) -> anyhow::Result<()> {
    while let Some(planned) = store.read_pooled(|at| steps::plan_step_of(at, id, clock::current_millis()))? {
        if planned.is_early() {
            thread::sleep(CLEAR_PAUSE);
            continue;
        }
        let mut copies = Vec::new();
        if planned.clears_files() {
            clear_files(store, id)?;
            copies = steps::list_backup_copies(store.read_space().0, backups);
        }
        let planned: Arc<PlannedStep> = Arc::new(planned);
        store.write_blocking(move |tx: &Tx<'_>| steps::apply_step(tx, &planned, &copies))?;
    }
    Ok(())
}

fn clear_files(store: &Store, id: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + CLEAR_MAX;
    while !store.truncate_log()? {
        if Instant::now() > deadline {
            bail!(
                "the data of {id} is erased, but another program reads the log of the database: a running server completes the request, and `rollcall personal-data show {id}` shows when"
            );
        }
        thread::sleep(CLEAR_PAUSE);
    }
    Ok(())
}

fn find_request(store: &Store, id: &str) -> anyhow::Result<PersonalDataRequest> {
    Ok(store.read_inline(|at| personal_data::find_request(at, &AccountScope::AllAccounts, id))?)
}

/// Writes the file of an export, which only its owner can read.
fn write_file(store: &Store, id: &str, path: &Path) -> anyhow::Result<()> {
    let text = store.read_pooled(|at| personal_data::read_file(at, &AccountScope::AllAccounts, id))?;
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = created.with_context(|| format!("cannot create {}", path.display()))?;
    let written = file.write_all(&text).and_then(|()| file.sync_all());
    if written.is_err() {
        // The error of the write is reported.
        let _ = fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {}", path.display()))?;
    let subject = id.to_owned();
    Ok(store.write_blocking(move |tx| personal_data::record_download(tx, &audit_context(), &subject))?)
}

fn list_requests(folder: &Path, args: ListPersonalDataArgs) -> anyhow::Result<()> {
    let (store, limit) = (open_existing_store(folder)?, usize::try_from(args.limit)?);
    let account = args.account;
    let found = store
        .read_inline(|at| personal_data::list_requests(at, &AccountScope::AllAccounts, account.clone(), None, limit))?;
    if args.output == OutputFormat::Json {
        return Ok(output::print_json(&found.iter().map(describe_request).collect())?);
    }
    let rows: Vec<Vec<String>> = found.iter().map(request_row).collect();
    Ok(output::print_table(&["ID", "KIND", "ACCOUNT", "USER", "STATE", "CREATED"], &rows)?)
}

fn request_row(request: &PersonalDataRequest) -> Vec<String> {
    let user = request.user_id.clone().or(request.email.clone()).unwrap_or_else(|| "-".to_owned());
    vec![
        request.id.clone(),
        request.kind.to_string(),
        request.account.id.clone(),
        user,
        request.state.to_string(),
        clock::format_rfc3339(request.created_at),
    ]
}

fn show_request(folder: &Path, args: &ShowPersonalDataArgs) -> anyhow::Result<()> {
    let store = open_existing_store(folder)?;
    let found = find_request(&store, &args.id)?;
    if let Some(path) = &args.file {
        write_file(&store, &args.id, path)?;
    }
    print_request(&found, args.output)
}

fn print_request(request: &PersonalDataRequest, format: OutputFormat) -> anyhow::Result<()> {
    if format == OutputFormat::Json {
        return Ok(output::print_json(&describe_request(request))?);
    }
    output::print_line(&format!("{} {}: {} ({})", request.kind, request.id, request.state, describe_counts(request)))?;
    for id in &request.user_ids {
        output::print_line(&format!("user {id}"))?;
    }
    for copy in request.backups.iter().flatten() {
        let time = copy.created_at.as_deref().unwrap_or("being written");
        output::print_line(&format!("still in the backup {} ({time})", copy.file))?;
    }
    Ok(())
}

fn describe_counts(request: &PersonalDataRequest) -> String {
    let counts: Vec<String> = request.counts.iter().map(|(section, count)| format!("{section} {count}")).collect();
    if counts.is_empty() { "nothing found".to_owned() } else { counts.join(", ") }
}

fn describe_request(request: &PersonalDataRequest) -> Value {
    json!({
        "id": request.id,
        "kind": request.kind.as_str(),
        "accountId": request.account.id,
        "state": request.state.as_str(),
        "stage": request.stage.as_str(),
        "userId": request.user_id,
        "email": request.email,
        "userIds": request.user_ids,
        "counts": request.counts,
        "omitted": request.omitted,
        "createdAt": clock::format_rfc3339(request.created_at),
        "completedAt": request.completed_at.map(clock::format_rfc3339),
        "expiresAt": request.expires_at().map(clock::format_rfc3339),
        "backups": request.backups,
    })
}
