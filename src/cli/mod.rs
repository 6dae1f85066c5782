//! The command line. Exit codes: 0 success, 1 failure with one line on standard error, 2 invalid usage.

mod admin;
mod api_key;
mod backup;
mod cells;
mod check;
mod completions;
mod config;
mod configuration;
mod deleted;
mod doctor;
mod health;
mod hold;
mod machines;
mod oauth_client;
mod openapi;
mod output;
mod personal_data;
mod quota;
mod reversal;
mod schema;
mod self_service;
mod token;
mod trial;
mod webhook;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::VERSION;
use crate::cli::config::data_folder::{self, DataFolderOrigin};
use crate::cli::trial::{demo, simulate};
use crate::error::Error;
use crate::messages::render_for_operator;
use crate::model::audit_context::AuditContext;
use crate::model::ids;
use crate::server;
use crate::settings::{ConfigFile, DataDir, ServeArgs, SettingSources, Settings};
use crate::store::Store;

/// A SCIM 2.0 provisioning server: one program, one data folder
#[derive(Debug, Parser)]
#[command(
    name = "rollcall",
    version = VERSION,
    before_help = "Quick start:  rollcall serve\n              rollcall configuration create --account ACME --source okta"
)]
struct Cli {
    #[command(flatten)]
    data_dir: DataDir,

    #[command(flatten)]
    config: ConfigFile,

    #[command(subcommand)]
    command: Option<CliCommand>,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run the server
    Serve(Box<ServeArgs>),
    /// Write a settings file and create the data folder
    Init(config::init::InitArgs),
    /// Run a server with invented customers and simulated identity providers
    Demo(demo::DemoArgs),
    /// Show and check the settings: flags, variables and rollcall.toml
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Create, list, change and delete provisioning configurations
    #[command(subcommand)]
    Configuration(configuration::ConfigurationCommand),
    /// List accounts, and move them to another instance
    #[command(subcommand)]
    Account(cells::account::AccountCommand),
    /// Print which instance serves which configuration, for a proxy
    #[command(subcommand)]
    Cells(cells::map::CellsCommand),
    /// Show and set the quotas of configurations and accounts
    #[command(subcommand)]
    Quota(quota::QuotaCommand),
    /// Show and decide the holds of configurations
    #[command(subcommand)]
    Hold(hold::HoldCommand),
    /// Undo removals of a configuration since a time
    #[command(name = "undo")]
    Reversal(reversal::ReversalArgs),
    /// Rotate, list and revoke the bearer tokens of a configuration
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Create, list, change and delete the OAuth clients of a configuration
    #[command(subcommand)]
    OauthClient(oauth_client::OauthClientCommand),
    /// List and restore the deleted users and groups of a configuration
    #[command(subcommand)]
    Deleted(deleted::DeletedCommand),
    /// Export or erase everything that is stored about a user
    #[command(subcommand)]
    PersonalData(personal_data::PersonalDataCommand),
    /// Add custom attributes to users and groups
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Create, list and revoke credentials for the management API
    #[command(subcommand)]
    ApiKey(api_key::ApiKeyCommand),
    /// Create, list, test and delete webhooks, and follow events during development
    Webhook(Box<webhook::WebhookArgs>),
    /// Create, list, disable and reset the admins of the portal
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Print the one-time URL for creating the first admin of the portal
    SetupUrl,
    /// Allow accounts to manage their own configurations, or limit that to the operator
    SelfService {
        /// Whether accounts may manage their own configurations
        switch: self_service::SelfServiceSwitch,
    },
    /// Copy the database to a file; the server may be running
    Backup(backup::BackupCommandArgs),
    /// Replace the database with a backup or its replica; the server must be stopped
    Restore(Box<backup::RestoreCommandArgs>),
    /// Follow the replica of another server, and be ready to take over
    Standby(machines::standby::StandbyArgs),
    /// Let this machine take over: the running standby, or this process
    Promote(machines::standby::PromoteArgs),
    /// Report what only a fenced database has
    #[command(subcommand)]
    Fenced(machines::fenced::FencedCommand),
    /// Prove that the replica can be restored
    #[command(subcommand)]
    Replica(backup::ReplicaCommand),
    /// Check the whole database for damage
    Check(check::CheckArgs),
    /// Start again after damage of the write-ahead log, without what it hides
    AcceptLoss(check::AcceptLossArgs),
    /// Check files, disk, backups, addresses and admins, and suggest fixes
    Doctor(doctor::DoctorArgs),
    /// Check a SCIM server with the requests of an identity provider
    Simulate(Box<simulate::SimulateArgs>),
    /// Check whether a running server is ready
    Health(health::HealthArgs),
    /// Print the documents: a list, or one of them
    Docs {
        /// Name of the document
        topic: Option<String>,
    },
    /// Print the completion script of a shell
    Completions {
        /// Name of the shell
        shell: Shell,
    },
    /// Print the manual page
    Man(completions::ManArgs),
    /// Print the OpenAPI document of the management API
    #[command(name = "openapi")]
    OpenApi,
    /// Print the version
    Version,
}

/// Runs the command line of this process.
pub fn run_main() -> ExitCode {
    ignore_signals();
    match run_command_line(std::env::args_os().collect()) {
        Ok(code) => code,
        // The reader of a pipe, such as `head`, has closed it: not an error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be reported if standard error is closed.
            let _ = writeln!(io::stderr(), "rollcall: {}", describe_error(&error));
            ExitCode::FAILURE
        }
    }
}

/// Without a handler, these signals end the process. With one, a write beyond the file size limit (`ulimit -f`, SIGXFSZ) fails,
/// and the caller gets an error; signals that have no meaning here, which other programs use to reopen logs, have no effect.
fn ignore_signals() {
    for signal in [signal_hook::consts::SIGXFSZ, signal_hook::consts::SIGUSR1, signal_hook::consts::SIGUSR2] {
        // Fails only if the signal does not exist on this system.
        let _ = signal_hook::flag::register(signal, Arc::default());
    }
}

/// Reads the settings and the arguments, and runs the command.
fn run_command_line(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let sources = SettingSources::read(&Cli::command(), &args)?;
    // clap prints usage errors (exit code 2) and help (exit code 0).
    match config::parse_command_line(&sources, args) {
        Ok(cli) => run_command(cli, sources),
        Err(code) => Ok(code.into()),
    }
}

/// The text of an error for the terminal: the sentence of a reason, else the chain of causes. A cause that the text
/// contains already is left out.
fn describe_error(error: &anyhow::Error) -> String {
    if let Some(error) = error.downcast_ref::<Error>() {
        return render_for_operator(error);
    }
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.extend([": ", &cause]);
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

impl CliCommand {
    /// Whether the command uses the data folder and no other files that belong to its user: root runs it with the
    /// rights of the owner of the folder.
    fn uses_rights_of_owner(&self) -> bool {
        match self {
            // Files that root names, and no use of the folder.
            Self::Backup(_)
            | Self::Restore(_)
            | Self::PersonalData(_)
            | Self::Account(_)
            | Self::Fenced(_)
            | Self::Cells(_)
            | Self::Init(_)
            | Self::Config(_)
            | Self::Health(_)
            | Self::Simulate(_)
            | Self::Demo(_)
            | Self::Docs { .. }
            | Self::Completions { .. }
            | Self::Man(_)
            | Self::Version => false,
            _ => true,
        }
    }
}

fn run_command(cli: Cli, sources: SettingSources) -> anyhow::Result<ExitCode> {
    let origin = DataFolderOrigin::new(&cli, &sources);
    if cli.command.as_ref().is_some_and(CliCommand::uses_rights_of_owner) {
        data_folder::adopt_folder_owner(&cli.data_dir.data_dir)?;
    }
    execute_command(cli, sources).map_err(|error| origin.explain_error(error))
}

fn execute_command(mut cli: Cli, sources: SettingSources) -> anyhow::Result<ExitCode> {
    let command = cli.command.take();
    let folder = cli.data_dir.data_dir.as_path();
    match command {
        None => Cli::command().print_help()?,
        Some(CliCommand::Serve(serve)) => server::run_server(&Settings::new(cli.data_dir, *serve, sources.warnings)?)?,
        Some(CliCommand::Init(args)) => config::init::initialize(&cli, &args)?,
        Some(CliCommand::Demo(args)) => demo::run_demo(args)?,
        Some(CliCommand::Config(command)) => config::run_config_command(&cli, &sources, &command)?,
        Some(CliCommand::Configuration(command)) => configuration::run_configuration_command(folder, command)?,
        Some(CliCommand::Account(command)) => cells::account::run_account_command(folder, command)?,
        Some(CliCommand::Cells(command)) => cells::map::run_cells_command(&command)?,
        Some(CliCommand::Quota(command)) => quota::run_quota_command(folder, command)?,
        Some(CliCommand::Hold(command)) => hold::run_hold_command(folder, command)?,
        Some(CliCommand::Reversal(args)) => reversal::run_reversal_command(folder, args)?,
        Some(CliCommand::Token(command)) => token::run_token_command(folder, command)?,
        Some(CliCommand::OauthClient(command)) => oauth_client::run_oauth_client_command(folder, command)?,
        Some(CliCommand::Deleted(command)) => deleted::run_deleted_command(folder, command)?,
        Some(CliCommand::PersonalData(command)) => personal_data::run_personal_data_command(&cli, command)?,
        Some(CliCommand::Schema(command)) => schema::run_schema_command(folder, command)?,
        Some(CliCommand::ApiKey(command)) => api_key::run_api_key_command(folder, command)?,
        Some(CliCommand::Webhook(args)) => return webhook::run_webhook_command(folder, *args),
        Some(CliCommand::Admin(command)) => admin::run_admin_command(folder, command)?,
        Some(CliCommand::SetupUrl) => admin::print_setup_url(&cli)?,
        Some(CliCommand::SelfService { switch }) => self_service::set_self_service(folder, switch)?,
        Some(CliCommand::Backup(args)) => backup::back_up_database(folder, &args)?,
        Some(CliCommand::Restore(args)) => backup::restore_database(folder, &args)?,
        Some(CliCommand::Standby(args)) => machines::standby::follow_primary(cli.data_dir, args, sources.warnings)?,
        Some(CliCommand::Promote(args)) => machines::standby::promote_standby(cli.data_dir, args, sources.warnings)?,
        Some(CliCommand::Fenced(command)) => machines::fenced::run_fenced_command(command)?,
        Some(CliCommand::Replica(command)) => return backup::run_replica_command(&cli, &command),
        Some(CliCommand::Check(args)) => return check::check_database(folder, &args),
        Some(CliCommand::AcceptLoss(args)) => return check::accept_loss(folder, &args),
        Some(CliCommand::Doctor(args)) => return doctor::run_doctor(&cli, &args),
        Some(CliCommand::Simulate(args)) => return simulate::run_simulation(&args),
        Some(CliCommand::Health(args)) => return health::check_health(args),
        Some(CliCommand::Docs { topic }) => completions::print_documents(topic.as_deref())?,
        Some(CliCommand::Completions { shell }) => completions::print_completions(Cli::command(), shell)?,
        Some(CliCommand::Man(args)) => completions::print_manual(Cli::command(), &args)?,
        Some(CliCommand::OpenApi) => openapi::print_openapi(folder)?,
        Some(CliCommand::Version) => output::print_line(&format!("rollcall {VERSION}"))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens the existing database. Only `serve` and `init` create one.
fn open_existing_store(folder: &Path) -> anyhow::Result<Store> {
    Ok(Store::open_existing(folder)?)
}

/// Returns the audit context of the command: the name of the system user who runs it.
fn audit_context() -> AuditContext {
    let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    AuditContext::command_line(name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned()))
}

/// Parses a configuration ID, in upper or lower case.
fn parse_configuration_id(text: &str) -> Result<String, String> {
    let id = text.trim().to_ascii_lowercase();
    if ids::is_id(&id) {
        return Ok(id);
    }
    Err("give the configuration ID that `rollcall configuration list` shows".into())
}

/// Parses a token ID, in upper or lower case.
fn parse_token_id(text: &str) -> Result<String, String> {
    let id = text.trim().to_ascii_lowercase();
    if ids::is_id(&id) {
        return Ok(id);
    }
    Err("give the token ID that `rollcall token list` shows".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn parse_error(args: &[&str]) -> clap::Error {
        Cli::try_parse_from(args).unwrap_err()
    }

    #[test]
    fn the_command_tree_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_starts_with_a_two_line_quick_start() {
        let help = Cli::command().render_help().to_string();
        let mut lines = help.lines();
        assert!(lines.next().unwrap().ends_with("rollcall serve"));
        assert!(lines.next().unwrap().contains("configuration create"));
    }

    #[test]
    fn usage_errors_name_the_flag_and_exit_with_2() {
        for (args, flag) in [
            (&["rollcall", "serve", "--listen", "8080"][..], "--listen"),
            (&["rollcall", "serve", "--public-url", "x"], "--public-url"),
            (&["rollcall", "serve", "--log-level", "x"], "--log-level"),
            (&["rollcall", "configuration", "create"], "--account"),
            (&["rollcall", "configuration", "create", "--account", "a", "--source", "x"], "--source"),
            (&["rollcall", "configuration", "delete", "x"], "<ID>"),
            (&["rollcall", "token", "rotate", "x"], "<CONFIGURATION>"),
            (&["rollcall", "token", "rotate", ID, "--rights", "x"], "--rights"),
            (&["rollcall", "token", "rotate", ID, "--expires-in", "90"], "--expires-in"),
            (&["rollcall", "token", "revoke", ID, "x"], "<TOKEN>"),
            (&["rollcall", "configuration", "update", ID, "--sync", "x"], "--sync"),
            (&["rollcall", "configuration", "update", ID], "--name"),
        ] {
            let error = parse_error(args);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(flag), "{error}");
        }
    }

    #[test]
    fn every_command_has_the_data_dir_flag() {
        for args in [
            &["rollcall", "serve"][..],
            &["rollcall", "configuration", "list"],
            &["rollcall", "check"],
            &["rollcall", "version"],
        ] {
            let args = args.iter().copied().chain(["--data-dir", "data"]);
            let parsed = Cli::try_parse_from(args).unwrap();
            assert_eq!(parsed.data_dir.data_dir, Path::new("data"));
        }
    }
}
