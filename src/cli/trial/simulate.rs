//! `rollcall simulate`: plays the conversations of an identity provider against a SCIM server.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::cli::output;
use crate::simulate::{
    CertificateTrust, ConnectOptions, Conversation, Library, PlayOptions, SimulationReport, TargetServer, check_target,
    play_conversation, request_access_token,
};

/// Exit code of wrong usage.
const USAGE: u8 = 2;
/// Longest secret or certificate file, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// Format of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// A line for each check, and the details of failures
    Text,
    /// One JSON document
    Json,
    /// XML of `JUnit`, for build servers
    Junit,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SimulateArgs {
    /// Identity provider: okta, entra, onelogin, jumpcloud, ping, sailpoint, rauthy, or any
    #[arg(value_parser = parse_provider, required_unless_present = "list")]
    provider: Option<String>,
    /// Base URL of the SCIM server, as it is entered in the provider
    #[arg(required_unless_present = "list")]
    url: Option<String>,
    /// File with the bearer token; - reads standard input
    #[arg(long, value_name = "FILE", required_unless_present_any = ["list", "client_id"])]
    token_file: Option<PathBuf>,
    /// OAuth client ID; the token comes from --token-url
    #[arg(long, value_name = "ID", conflicts_with = "token_file", requires_all = ["client_secret_file", "token_url"])]
    client_id: Option<String>,
    /// File with the secret of the OAuth client
    #[arg(long, value_name = "FILE", requires = "client_id")]
    client_secret_file: Option<PathBuf>,
    /// URL that issues tokens for client credentials
    #[arg(long, value_name = "URL", requires = "client_id")]
    token_url: Option<String>,
    /// Format of the report
    #[arg(long, value_enum, default_value = "text")]
    format: ReportFormat,
    /// File for the report; standard output then has the summary only
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only checks or conversations whose name contains this text; earlier requests are still sent
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Time limit of each request, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// File with root certificates in PEM that are trusted in addition to those of the system
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// Leave the created users and groups on the server
    #[arg(long)]
    keep: bool,
    /// List the providers and their checks, without a request
    #[arg(long)]
    list: bool,
}

fn parse_provider(text: &str) -> Result<String, String> {
    let library = Library::load()?;
    let name = text.to_lowercase();
    if library.providers().contains(&name.as_str()) {
        return Ok(name);
    }
    Err(format!("the providers are {}", library.providers().join(", ")))
}

/// Runs the checks. Exit code 1 if the provider does not work with the server, 2 if nothing could be checked.
pub(in crate::cli) fn run_simulation(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let library = Library::load().map_err(anyhow::Error::msg)?;
    if args.list {
        list_checks(&library)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (Some(provider), Some(url)) = (&args.provider, &args.url) else { return Ok(USAGE.into()) };
    let server = match connect_server(args, url) {
        Ok(server) => server,
        Err(problem) => {
            output::print_hint(&format!("{problem:#}"))?;
            return Ok(USAGE.into());
        }
    };
    let has_oauth_token = args.client_id.is_some();
    let options = PlayOptions { filter: args.filter.clone(), keep: args.keep, has_oauth_token };
    let is_played = |conversation: &&Conversation| conversation.provider == *provider && options.selects(conversation);
    let played: Vec<&Conversation> = library.conversations.iter().filter(is_played).collect();
    if played.is_empty() {
        output::print_hint("no check has that name; `rollcall simulate --list` lists all names")?;
        return Ok(USAGE.into());
    }
    if let Err(problem) = check_target(&server) {
        output::print_hint(&format!("{url}: {problem}"))?;
        return Ok(USAGE.into());
    }
    let play = |conversation: &Conversation| play_conversation(&library, conversation, &server, &options);
    let conversations = played.into_iter().filter_map(play).collect();
    let report = SimulationReport { provider: provider.clone(), url: url.clone(), conversations };
    write_report(args, &report)?;
    Ok(if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_report(args: &SimulateArgs, report: &SimulationReport) -> anyhow::Result<()> {
    let text = match args.format {
        ReportFormat::Text => report.render_text(),
        ReportFormat::Json => format!("{:#}\n", report.render_json()),
        ReportFormat::Junit => report.render_junit(),
    };
    match &args.output {
        Some(path) => {
            fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
            output::print_line(&report.summary())?;
        }
        None => output::print_line(text.trim_end())?,
    }
    Ok(())
}

fn connect_server(args: &SimulateArgs, url: &str) -> anyhow::Result<TargetServer> {
    let trust = match &args.ca_file {
        None => CertificateTrust::System,
        Some(file) => CertificateTrust::WithRoots(read_file(file)?),
    };
    let options = ConnectOptions { timeout: Duration::from_secs(args.timeout), trust };
    let token = match (&args.token_file, &args.client_id, &args.client_secret_file, &args.token_url) {
        (Some(file), ..) => read_secret(file)?,
        (None, Some(id), Some(file), Some(token_url)) => {
            request_access_token(token_url, id, &read_secret(file)?, &options).map_err(anyhow::Error::msg)?
        }
        _ => anyhow::bail!("--token-file, or --client-id with --client-secret-file and --token-url, is required"),
    };
    TargetServer::new(url, token, &options).map_err(anyhow::Error::msg)
}

/// Reads a secret: the text of the file without white space around it.
fn read_secret(path: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8(read_file(path)?).with_context(|| format!("{} is not text", path.display()))?;
    let secret = text.trim();
    anyhow::ensure!(!secret.is_empty(), "{} is empty: write the secret into it, in one line", path.display());
    Ok(secret.to_owned())
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().take(FILE_MAX).read_to_end(&mut bytes).context("standard input cannot be read")?;
    } else {
        let file = fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        file.take(FILE_MAX).read_to_end(&mut bytes).with_context(|| format!("{} cannot be read", path.display()))?;
    }
    Ok(bytes)
}

fn list_checks(library: &Library) -> io::Result<()> {
    for provider in library.providers() {
        output::print_line(provider)?;
        for conversation in library.conversations.iter().filter(|conversation| conversation.provider == provider) {
            output::print_line(&format!("  {}: {}", conversation.name, conversation.title))?;
            for name in conversation.check_names() {
                output::print_line(&format!("    {name}"))?;
            }
        }
    }
    Ok(())
}
