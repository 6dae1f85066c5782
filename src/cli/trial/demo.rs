//! `rollcall demo`: a server with invented customers, whose simulated identity providers provision users while it runs.

use std::fs::{self, DirBuilder};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::auth::secret::BearerToken;
use crate::cli::{audit_context, output};
use crate::clock;
use crate::log;
use crate::management::accounts;
use crate::management::api_keys::{self, NewApiKey};
use crate::management::configuration_lifecycle::{self, NewConfiguration};
use crate::management::tokens::TokenDraft;
use crate::model::configuration::{ConfigurationSource, InitialSync, provisioning_url};
use crate::model::permission::{Permission, Permissions};
use crate::server::{self, BoundServer, listen};
use crate::settings::Settings;
use crate::simulate::{CertificateTrust, ConnectOptions, Library, ProviderStyle, SimulatedCompany, TargetServer};
use crate::store::Store;

/// Port, if it is free.
const PORT: u16 = 8080;
/// Time between two changes.
const CHANGE_INTERVAL: Duration = Duration::from_secs(3);
/// Time limit of a simulated request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// After so many failed changes in a row, the simulated providers stop.
const FAILURES_MAX: u32 = 5;

#[derive(Debug, Args)]
pub(in crate::cli) struct DemoArgs {
    /// Address and port to listen on; default: 127.0.0.1:8080, or a free port if that one is in use
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// New folder for the data, which stays; without it, the data is in a temporary folder that is removed at the end
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// An invented customer.
struct Company {
    account: &'static str,
    name: &'static str,
    domain: &'static str,
    style: ProviderStyle,
    source: ConfigurationSource,
    connection: &'static str,
    users: usize,
    groups: &'static [&'static str],
}

const COMPANIES: [Company; 2] = [
    Company {
        account: "alder-logistics",
        name: "Alder Logistics",
        domain: "alder-logistics.example",
        style: ProviderStyle::Okta,
        source: ConfigurationSource::Okta,
        connection: "Alder Okta",
        users: 12,
        groups: &["Planning Team", "Customer Support"],
    },
    Company {
        account: "birch-health",
        name: "Birch Health",
        domain: "birch-health.example",
        style: ProviderStyle::Entra,
        source: ConfigurationSource::AzureAd,
        connection: "Birch Entra ID",
        users: 8,
        groups: &["Clinic Managers"],
    },
];

/// A connection of a company: its configuration ID and its token.
struct Connection {
    company: &'static Company,
    id: String,
    token: BearerToken,
}

/// The data of the demo. A temporary folder is removed with the value.
struct DemoFolder {
    path: PathBuf,
    is_temporary: bool,
}

impl DemoFolder {
    fn create(keep: Option<PathBuf>) -> anyhow::Result<Self> {
        let is_temporary = keep.is_none();
        let path = keep.unwrap_or_else(|| std::env::temp_dir().join(format!("rollcall-demo-{}", clock::new_id())));
        let named = || format!("the folder {} cannot be created", path.display());
        if path.exists() {
            let is_empty = fs::read_dir(&path).with_context(named)?.next().is_none();
            anyhow::ensure!(is_empty, "{} is not empty; name a new folder with --keep", path.display());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&path).with_context(named)?;
        Ok(Self { path, is_temporary })
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if self.is_temporary {
            // Nothing can be done about a file that cannot be removed, and its path was printed.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Runs the demo until the process receives a signal to stop.
pub(in crate::cli) fn run_demo(args: DemoArgs) -> anyhow::Result<()> {
    let folder = DemoFolder::create(args.keep)?;
    let address = args.listen.unwrap_or_else(choose_address);
    let settings = Settings::for_demo(folder.path.clone(), address).context("a setting has no default")?;
    let _log = log::start_log(settings.log_level, true)?;
    listen::refuse_plain_http(&settings)?;
    let store = Store::open_for_server_with(&settings.data_dir, settings.limits.writes_waiting)?;
    let (connections, key) = create_demo_data(&store)?;
    let (stop, stopped) = mpsc::channel::<()>();
    let mut traffic = None;
    server::serve_until_stopped(&settings, &store, |bound| {
        print_introduction(bound, &store, &key, &folder)?;
        actix_web::rt::spawn(stop_with_the_terminal(signal(SignalKind::hangup())?, bound.server.handle()));
        let companies = open_companies(&bound.state.server.public_url(), &connections)?;
        traffic =
            Some(thread::Builder::new().name("demo".to_owned()).spawn(move || run_companies(companies, &stopped))?);
        Ok(())
    })?;
    drop(stop);
    // Ends soon: the server refuses its connections.
    let _ = traffic.map(thread::JoinHandle::join);
    store.close();
    let path = folder.path.display();
    let state = if folder.is_temporary { format!("{path} is removed") } else { format!("its data stays in {path}") };
    Ok(output::print_line(&format!("the demo has ended; {state}"))?)
}

/// Ends the server when its terminal is closed. A server that is no demo reloads its certificate at this signal.
async fn stop_with_the_terminal(mut hangups: Signal, server: ServerHandle) {
    hangups.recv().await;
    server.stop(false).await;
}

/// The default address, with a free port if the default port is in use.
fn choose_address() -> SocketAddr {
    let is_free = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).is_ok();
    (Ipv4Addr::LOCALHOST, if is_free { PORT } else { 0 }).into()
}

/// Creates the customers with their connections, and the key for the event feed.
fn create_demo_data(store: &Store) -> anyhow::Result<(Vec<Connection>, BearerToken)> {
    let no_random = "the operating system provided no random numbers";
    let key = BearerToken::generate_key().context(no_random)?;
    let mut new_key = NewApiKey::new(clock::new_id(), &key, "Demo application".to_owned());
    new_key.permissions = Permissions::from_iter([Permission::DirectoryRead]);
    store.write_blocking(move |tx| api_keys::create_api_key(tx, &audit_context(), &new_key))?;
    let mut connections = Vec::new();
    for company in &COMPANIES {
        let (id, token) = (clock::new_id(), BearerToken::generate().context(no_random)?);
        let new = NewConfiguration {
            id: id.clone(),
            account: company.account.to_owned(),
            connection_name: Some(company.connection.to_owned()),
            source: company.source,
            provider: None,
            preset: None,
            sync: InitialSync::On,
            token: TokenDraft::new(clock::new_id(), &token, "first token"),
        };
        store.write_blocking(move |tx| {
            accounts::create_account(tx, &audit_context(), company.account, Some(company.name))?;
            configuration_lifecycle::create_configuration(tx, &audit_context(), &new)
        })?;
        connections.push(Connection { company, id, token });
    }
    Ok((connections, key))
}

fn print_introduction(
    bound: &BoundServer,
    store: &Store,
    key: &BearerToken,
    folder: &DemoFolder,
) -> anyhow::Result<()> {
    let (setup, url) = (server::create_setup_url(store, None)?.url, bound.state.server.public_url());
    let lifetime = if folder.is_temporary { "removed when the demo ends" } else { "stays when the demo ends" };
    output::print_line(&format!(
        "Rollcall demo: two invented customers whose simulated identity providers provision 20 users and 3 groups,\n\
         have a wrong attribute mapping each, and then change something every {} seconds.\n\n\
         Portal      {setup}\n            Open it within 30 minutes. It signs in one browser, once.\n\
         Event feed  curl -sS -H \"Authorization: Bearer {}\" \"{url}/directory/resources/v1/events?limit=20\"\n\
         Data        {} ({lifetime})\n\
         Stop        Ctrl-C",
        CHANGE_INTERVAL.as_secs(),
        key.reveal(),
        folder.path.display(),
    ))?;
    Ok(())
}

fn open_companies(
    public_url: &str,
    connections: &[Connection],
) -> anyhow::Result<Vec<(&'static Company, SimulatedCompany)>> {
    let library = Library::load().map_err(anyhow::Error::msg)?;
    let options = ConnectOptions { timeout: REQUEST_TIMEOUT, trust: CertificateTrust::System };
    let open = |connection: &Connection| {
        let (company, url) = (connection.company, provisioning_url(public_url, &connection.id));
        let server = TargetServer::new(&url, connection.token.reveal().to_owned(), &options)?;
        Ok((company, SimulatedCompany::new(&library, company.style, server, company.domain)))
    };
    connections.iter().map(open).collect::<Result<_, String>>().map_err(anyhow::Error::msg)
}

/// Provisions the companies, and changes one after the other until the demo ends.
fn run_companies(mut companies: Vec<(&'static Company, SimulatedCompany)>, stopped: &Receiver<()>) {
    for (company, simulated) in &mut companies {
        let synced = simulated.run_first_sync(company.users, company.groups).and_then(|()| simulated.send_mistake());
        if let Err(problem) = synced {
            report_problem(company, &problem);
        }
    }
    let mut failures = 0;
    for turn in 0_usize.. {
        if stopped.recv_timeout(CHANGE_INTERVAL) != Err(RecvTimeoutError::Timeout) || failures >= FAILURES_MAX {
            return;
        }
        let position = turn % companies.len().max(1);
        let Some((company, simulated)) = companies.get_mut(position) else { return };
        match simulated.make_change() {
            Ok(()) => failures = 0,
            Err(problem) => {
                failures += 1;
                report_problem(company, &problem);
            }
        }
    }
}

fn report_problem(company: &Company, problem: &str) {
    tracing::error!(company = company.name, problem, "a simulated request failed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_is_private_and_removed_and_another_one_must_be_new() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = DemoFolder::create(None).unwrap();
        let path = folder.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("file"), "x").unwrap();
        assert!(DemoFolder::create(Some(path.clone())).is_err());
        drop(folder);
        assert!(!path.exists());
    }
}
