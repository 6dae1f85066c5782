//! The command line: arguments in, one call, words out. Exit codes: 0 done, 1 failed with one line on standard error,
//! 2 wrong usage.

mod admin;
mod answer;
mod api_key;
mod backup;
mod check;
mod completions;
mod config;
mod configuration;
mod doctor;
mod health;
mod openapi;
mod schema;
mod self_service;
mod token;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::model::actor::By;
use crate::model::ids;
use crate::server;
use crate::settings::{ConfigFile, DataDir, ServeArgs, Settings, Sources};
use crate::store::{Access, Store};

/// A SCIM 2.0 provisioning server: one program, one data folder
#[derive(Debug, Parser)]
#[command(
    name = "rollcall",
    version,
    before_help = "Quick start:  rollcall serve\n              rollcall configuration create --account ACME --source okta"
)]
struct Cli {
    #[command(flatten)]
    data_dir: DataDir,

    #[command(flatten)]
    config: ConfigFile,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<ServeArgs>),
    /// Show and check the settings: flags, variables and rollcall.toml
    #[command(subcommand)]
    Config(config::Command),
    /// Make, list, change and delete provisioning configurations
    #[command(subcommand)]
    Configuration(configuration::Command),
    /// Replace, list and revoke a configuration's bearer tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Add attributes of your own to users and groups
    #[command(subcommand)]
    Schema(schema::Command),
    /// Make, list and revoke credentials for the management API
    #[command(subcommand)]
    ApiKey(api_key::Command),
    /// Make, list, disable and help the people who use the portal
    #[command(subcommand)]
    Admin(admin::Command),
    /// Print the one-time address that makes the first person of the portal
    SetupUrl,
    /// Let accounts manage their own configurations, or keep that to the operator
    SelfService {
        /// Whether they may
        switch: self_service::Switch,
    },
    /// Copy the database to a file, while the server runs or not
    Backup(backup::BackupArgs),
    /// Put a backup in the database's place; the server must not run
    Restore(backup::RestoreArgs),
    /// Read the whole database and report damage
    Check,
    /// Look at files, disk, backups, addresses and people, and say what should be mended
    Doctor(doctor::DoctorArgs),
    /// Ask a running server whether it can serve
    Health(health::HealthArgs),
    /// Print a script that completes commands in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man(completions::ManArgs),
    /// Print the description of the management API for programs, as openapi.json
    #[command(name = "openapi")]
    OpenApi,
    /// Print the version
    Version,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match begin(std::env::args_os().collect()) {
        Ok(code) => code,
        // `rollcall … | head` has read enough: nothing went wrong.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell it to when standard error is gone.
            let _ = writeln!(io::stderr(), "rollcall: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the settings and the words, and runs the command.
fn begin(words: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let sources = Sources::read(&Cli::command(), &words)?;
    // Usage errors and help are clap's to print: exit code 2 and 0.
    match config::parsed(&sources, words) {
        Ok(cli) => run(cli, sources),
        Err(code) => Ok(code.into()),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

fn run(mut cli: Cli, sources: Sources) -> anyhow::Result<ExitCode> {
    let command = cli.command.take();
    let folder = cli.data_dir.data_dir.as_path();
    match command {
        None => Cli::command().print_help()?,
        Some(Command::Serve(serve)) => server::run(&Settings::new(cli.data_dir, *serve, sources.warnings)?)?,
        Some(Command::Config(command)) => config::run(&cli, &sources, &command)?,
        Some(Command::Configuration(command)) => configuration::run(folder, command)?,
        Some(Command::Token(command)) => token::run(folder, command)?,
        Some(Command::Schema(command)) => schema::run(folder, command)?,
        Some(Command::ApiKey(command)) => api_key::run(folder, command)?,
        Some(Command::Admin(command)) => admin::run(folder, command)?,
        Some(Command::SetupUrl) => admin::setup_url(folder)?,
        Some(Command::SelfService { switch }) => self_service::run(folder, switch)?,
        Some(Command::Backup(args)) => backup::back_up(folder, &args)?,
        Some(Command::Restore(args)) => backup::restore(folder, &args)?,
        Some(Command::Check) => return check::run(folder),
        Some(Command::Doctor(args)) => return doctor::run(&cli, &args),
        Some(Command::Health(args)) => return health::run(args),
        Some(Command::Completions { shell }) => completions::completions(Cli::command(), shell)?,
        Some(Command::Man(args)) => completions::man(Cli::command(), &args)?,
        Some(Command::OpenApi) => openapi::run(folder)?,
        Some(Command::Version) => answer::line(&format!("rollcall {}", env!("CARGO_PKG_VERSION")))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens what is there; only the server and `configuration create` make a database.
fn existing(folder: &Path) -> anyhow::Result<Store> {
    Ok(Store::open(folder, Access::Existing)?)
}

/// Whoever runs the command, by the name that the system has for them.
fn by() -> By {
    let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    By::command_line(name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned()))
}

/// An id on the command line, in any case.
fn configuration_id(text: &str) -> Result<String, String> {
    let id = text.trim().to_ascii_lowercase();
    if ids::is_id(&id) {
        return Ok(id);
    }
    Err("give the configuration's id, as `rollcall configuration list` shows it".into())
}

/// The id of a token on the command line, in any case.
fn token_id(text: &str) -> Result<String, String> {
    let id = text.trim().to_ascii_lowercase();
    if ids::is_id(&id) {
        return Ok(id);
    }
    Err("give the token's id, as `rollcall token list` shows it".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn refusal(words: &[&str]) -> clap::Error {
        Cli::try_parse_from(words).unwrap_err()
    }

    #[test]
    fn the_command_tree_is_sound() {
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
        for (words, flag) in [
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
            let refused = refusal(words);
            assert_eq!(refused.exit_code(), 2);
            assert!(refused.to_string().contains(flag), "{refused}");
        }
    }

    #[test]
    fn every_command_takes_the_data_folder() {
        for words in [
            &["rollcall", "serve"][..],
            &["rollcall", "configuration", "list"],
            &["rollcall", "check"],
            &["rollcall", "version"],
        ] {
            let words = words.iter().copied().chain(["--data-dir", "here"]);
            let parsed = Cli::try_parse_from(words).unwrap();
            assert_eq!(parsed.data_dir.data_dir, Path::new("here"));
        }
    }
}
