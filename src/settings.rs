//! Settings of the process: flags, `ROLLCALL_*` variables and `rollcall.toml`, validated once at startup. A
//! configuration has switches; the process has settings.
//!
//! A setting is a clap argument of `serve` with `env = "ROLLCALL_…"` and one sentence of documentation. The key in the
//! file, `config show` and the table in docs/settings.md are derived from it. `hide_env_values = true` marks a secret:
//! its value is masked in all output and may come from `…_FILE` or a systemd credential.

mod backups;
mod callers;
mod file;
mod limits;
mod observability;
mod outgoing;
mod portal;
mod proxies;
mod quotas;
mod replica;
mod setting;
mod sources;
mod sso;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Command};
use ipnet::IpNet;
use tracing::level_filters::LevelFilter;
use url::{ParseError, Url};

pub use crate::settings::observability::{LogFormat, MetricsSettings, ObservabilityArgs};
pub(crate) use crate::settings::setting::find_similar_name;
pub use crate::settings::setting::{Setting, ValueKind};
pub use backups::{BackupSchedule, BackupScheduleArgs, ScrubArgs};
pub use callers::{CallerArgs, ClaimNames, KeySource, UserTokenSettings, parse_trusted_url};
pub use file::{SettingsError, read_secret_file};
pub use limits::{LimitArgs, Limits, default_limits};
pub use outgoing::OutgoingArgs;
pub use portal::{PortalArgs, PortalSettings, SessionLifetime, default_portal_settings};
pub use proxies::ProxyArgs;
pub use quotas::{QuotaArgs, QuotaSettings};
pub(crate) use replica::parse_replica_url;
pub use replica::{ReplicaAck, ReplicaContentArgs, ReplicaLocation, ReplicaLocationArgs, ReplicaSettings};
pub use sources::{SettingOrigin, SettingSources, SettingValue};
pub use sso::{SsoArgs, SsoSettings};
pub use tls::{AcmeSettings, TlsArgs, Transport};

/// Public URL of a server that has no other one.
pub const DEFAULT_PUBLIC_URL: &str = "http://127.0.0.1:8080";

/// Longest public URL, in bytes.
const URL_MAX_BYTES: usize = 512;

/// Returns the arguments of a server without settings. `None` if one of them has no default.
fn parse_default_args<A: Args>() -> Option<A> {
    let command = A::augment_args(Command::new("defaults").no_binary_name(true)).mut_args(|arg| arg.env(None));
    A::from_arg_matches(&command.try_get_matches_from(std::iter::empty::<&str>()).ok()?).ok()
}

/// Flag of every command: the data folder.
#[derive(Debug, Clone, Args)]
pub struct DataDir {
    /// Folder of the database; `serve` and `init` create it
    #[arg(
        long = "data-dir",
        value_name = "DIR",
        env = "ROLLCALL_DATA_DIR",
        default_value = "./rollcall-data",
        global = true
    )]
    pub data_dir: PathBuf,
}

/// Flag of every command: the settings file.
#[derive(Debug, Clone, Args)]
pub struct ConfigFile {
    /// Settings file; default: ./rollcall.toml or else /etc/rollcall/rollcall.toml, if it exists; /dev/null for none
    #[arg(long, value_name = "FILE", env = "ROLLCALL_CONFIG", global = true)]
    pub config: Option<PathBuf>,
}

/// Flags of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Address and port to listen on; default: 127.0.0.1:8080, or 0.0.0.0:443 with --domain; port 0 selects a free port
    #[arg(long, value_name = "ADDRESS:PORT", env = "ROLLCALL_LISTEN", value_parser = parse_address)]
    pub listen: Option<SocketAddr>,

    /// URL at which identity providers reach this server; stored in the data folder
    #[arg(long, value_name = "URL", env = "ROLLCALL_PUBLIC_URL", value_parser = parse_public_url)]
    pub public_url: Option<String>,

    /// HTTPS and certificates.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// External callers: user tokens and browser origins.
    #[command(flatten)]
    pub callers: CallerArgs,

    /// Single sign-on of the portal.
    #[command(flatten)]
    pub sso: SsoArgs,

    /// Sessions of the portal.
    #[command(flatten)]
    pub portal: PortalArgs,

    /// Scheduled backups.
    #[command(flatten)]
    pub backups: BackupScheduleArgs,

    /// Scrub of the database file.
    #[command(flatten)]
    pub scrub: ScrubArgs,

    /// Location of the replica.
    #[command(flatten)]
    pub replica: ReplicaLocationArgs,

    /// Content of the replica.
    #[command(flatten)]
    pub replica_content: ReplicaContentArgs,

    /// Log and metrics.
    #[command(flatten)]
    pub observability: ObservabilityArgs,

    /// Trusted proxies.
    #[command(flatten)]
    pub proxies: ProxyArgs,

    /// Calls to other servers.
    #[command(flatten)]
    pub outgoing: OutgoingArgs,

    /// Limits on callers.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// Quotas.
    #[command(flatten)]
    pub quotas: QuotaArgs,
}

/// Validated settings of a running server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the database.
    pub data_dir: PathBuf,
    /// Address to listen on; port 0 selects a free port.
    pub listen: SocketAddr,
    /// How the server accepts connections.
    pub transport: Transport,
    /// `http` or `https` URL without a trailing slash, query or fragment; `None` uses the URL stored in the data
    /// folder.
    pub public_url: Option<String>,
    /// Lowest level that is logged.
    pub log_level: LevelFilter,
    /// Format of log lines.
    pub log_format: LogFormat,
    /// Listener for metrics; `None` turns metrics off.
    pub metrics: Option<MetricsSettings>,
    /// Origins whose pages may call the management API from a browser.
    pub allowed_origins: Vec<String>,
    /// User tokens that are accepted; `None` accepts none.
    pub user_tokens: Option<UserTokenSettings>,
    /// OpenID provider of the portal; `None` if it is configured on the portal page or not at all.
    pub sso: Option<SsoSettings>,
    /// Sessions of the portal.
    pub portal: PortalSettings,
    /// Scheduled backups; `None` turns them off.
    pub backups: Option<BackupSchedule>,
    /// Bytes per second of the scrub; `None` turns it off.
    pub scrub_bytes_per_second: Option<u64>,
    /// Replica of the database; `None` turns replication off.
    pub replica: Option<ReplicaSettings>,
    /// Warnings about the sources of the settings, for the log.
    pub warnings: Vec<String>,
    /// Networks of the proxies whose forwarding headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Networks that calls to other servers may reach, although their addresses are not public.
    pub outgoing_networks: Vec<IpNet>,
    /// File with root certificates for calls to other servers, in addition to those of the system.
    pub outgoing_ca_file: Option<PathBuf>,
    /// Limits on callers.
    pub limits: Limits,
    /// Default quotas of configurations and accounts.
    pub quotas: QuotaSettings,
    /// Whether this is the server of `rollcall demo`, whose setup URL signs in without a form.
    pub demo: bool,
}

impl Settings {
    /// Combines the parsed flags. `warnings` are those of [`sources::SettingSources`].
    ///
    /// # Errors
    /// Each flag is valid, but the combination is not.
    pub fn new(data_dir: DataDir, serve: ServeArgs, warnings: Vec<String>) -> Result<Self, SettingsError> {
        let transport = serve.tls.transport();
        let location = serve.replica.location();
        if let Some(location) = location.as_ref().filter(|location| location.lease && !location.is_object_storage()) {
            return Err(SettingsError::InvalidCombination(format!(
                "--replica-lease needs a replica at an s3:// URL, and it is at {}: other storages have no conditional writes",
                location.url
            )));
        }
        Ok(Self {
            data_dir: data_dir.data_dir,
            listen: serve.listen.unwrap_or_else(|| transport.default_address()),
            transport,
            public_url: serve.public_url,
            log_level: serve.observability.log_level,
            log_format: serve.observability.log_format(),
            metrics: serve.observability.metrics()?,
            allowed_origins: serve.callers.allowed_origins.clone(),
            user_tokens: serve.callers.user_tokens(),
            sso: serve.sso.provider(),
            portal: serve.portal.portal(),
            backups: serve.backups.schedule(),
            scrub_bytes_per_second: serve.scrub.bytes_per_second(),
            replica: location.map(|location| serve.replica_content.replica(location)),
            trusted_proxies: serve.proxies.trusted,
            outgoing_networks: serve.outgoing.allowed,
            outgoing_ca_file: serve.outgoing.ca_file,
            limits: serve.limits.limits(),
            quotas: serve.quotas.quotas(),
            warnings,
            demo: false,
        })
    }

    /// Returns the settings of `rollcall demo`: defaults on that folder and address, independent of variables and files.
    /// `None` if a setting has no default.
    pub fn for_demo(data_dir: PathBuf, listen: SocketAddr) -> Option<Self> {
        let serve = ServeArgs { listen: Some(listen), ..parse_default_args()? };
        let settings = Self::new(DataDir { data_dir }, serve, Vec::new()).ok()?;
        Some(Self {
            demo: true,
            backups: None,
            replica: None,
            metrics: None,
            log_level: LevelFilter::ERROR,
            ..settings
        })
    }
}

/// Accepts any text that is not empty.
fn parse_non_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it must not be empty".into());
    }
    Ok(text.to_owned())
}

/// Parses a network or one address.
fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let fix = "write an address or a network, such as 10.0.0.5, 10.0.0.0/24 or fd00::/8";
    let one = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical())).ok();
    let network = one.or_else(|| text.parse::<IpNet>().ok()).ok_or(fix)?;
    if network.addr() != network.network() {
        return Err(format!("it has bits beyond its prefix; write {}", network.trunc()));
    }
    Ok(network)
}

/// Parses the address and the port of a listener.
///
/// # Errors
/// It is not an IP address with a port.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".into())
}

/// Validates a public URL. Returns it normalized, without a default port and without trailing slashes.
///
/// # Errors
/// The sentence says what to change; the caller adds the name of the flag.
pub fn parse_public_url(text: &str) -> Result<String, String> {
    const SCHEME: &str = "it must start with https:// or http://";
    const HOST: &str = "it needs a host name, such as https://scim.example.com";
    const PORT: &str = "its port must be a number from 1 to 65535";
    let text = text.trim();
    if text.len() > URL_MAX_BYTES {
        return Err(format!("it is longer than {URL_MAX_BYTES} bytes"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it must contain only printable ASCII characters".into());
    }
    let (_, rest) = text.split_once("://").ok_or(SCHEME)?;
    let url = Url::parse(text).map_err(|problem| if problem == ParseError::InvalidPort { PORT } else { HOST })?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(SCHEME.into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it must not have a query or a fragment (? or #)".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must not contain a user name or password".into());
    }
    let is_plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let has_host = url.domain().is_none_or(is_plain) && !rest.starts_with(['/', '\\']);
    if !has_host {
        return Err(HOST.into());
    }
    if url.port() == Some(0) {
        return Err(PORT.into());
    }
    Ok(format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/')))
}

/// Returns the host of a URL; an IPv6 address without its brackets. Returns an empty string if the text is not a URL.
pub fn host_of_url(url: &str) -> String {
    let url = Url::parse(url).ok();
    url.as_ref().and_then(Url::host_str).unwrap_or_default().trim_matches(['[', ']']).to_owned()
}

/// Whether the host is this machine: `localhost` or a loopback address.
pub fn is_loopback_host(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_lose_their_trailing_slash_and_keep_a_path() {
        for (given, normalized) in [
            ("https://scim.example.com", "https://scim.example.com"),
            ("https://scim.example.com/", "https://scim.example.com"),
            ("HTTPS://Scim.Example.com/Base//", "https://scim.example.com/Base"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]"),
            ("https://scim.example.com:443/", "https://scim.example.com"),
            ("https://scim_1.example.com/a\"b", "https://scim_1.example.com/a%22b"),
        ] {
            assert_eq!(parse_public_url(given).as_deref(), Ok(normalized), "{given}");
        }
    }

    #[test]
    fn invalid_public_urls_are_rejected_with_the_fix() {
        for (given, expected) in [
            ("", "https://"),
            ("scim.example.com", "https://"),
            ("ftp://scim.example.com", "https://"),
            ("https://", "https://"),
            ("https:///x", "host name"),
            ("https:\\\\x", "https://"),
            ("https://\\x", "host name"),
            ("https://[1]", "host name"),
            ("https://a\"b", "host name"),
            ("https://a b", "ASCII"),
            ("https://exämple.com", "ASCII"),
            ("https://u:p@example.com", "user name"),
            ("https://example.com?x=1", "query"),
            ("https://example.com/#x", "fragment"),
            ("https://example.com:0", "port"),
            ("https://example.com:http", "port"),
            ("https://example.com:65536", "port"),
        ] {
            let error = parse_public_url(given).unwrap_err();
            assert!(error.contains(expected), "{given}: {error}");
        }
    }

    #[test]
    fn hosts_of_this_machine_are_recognized() {
        for (url, name, is_loopback) in [
            ("http://127.0.0.1:8080", "127.0.0.1", true),
            ("http://localhost", "localhost", true),
            ("http://[::1]:8080/base", "::1", true),
            ("http://[::1]", "::1", true),
            ("https://scim.example.com:8443/x", "scim.example.com", false),
            ("http://10.0.0.1", "10.0.0.1", false),
        ] {
            assert_eq!((&*host_of_url(url), is_loopback_host(&host_of_url(url))), (name, is_loopback), "{url}");
        }
    }
}
