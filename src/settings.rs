//! What the process is told at start: flags, `ROLLCALL_*` variables and `rollcall.toml`, checked once. A configuration has
//! switches; the process has settings.
//!
//! A setting is a clap argument of `serve` with `env = "ROLLCALL_…"` and a sentence of documentation; the key in the file,
//! `config show` and the table in docs/settings.md follow from it. `hide_env_values = true` marks a secret: it is masked
//! wherever settings are shown, and may come from `…_FILE` or a systemd credential.

mod backups;
mod callers;
mod declared;
mod file;
mod limits;
mod observing;
mod proxies;
mod sources;
mod sso;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;
use tracing::level_filters::LevelFilter;

pub use backups::{BackupArgs, BackupSchedule};
pub use callers::{CallerArgs, ClaimNames, KeySource, UserTokenSettings, trusted_url};
pub use declared::{Kind, Setting};
pub use file::SettingsError;
pub use limits::{LimitArgs, Limits};
pub use observing::{LogFormat, MetricsSettings, ObservingArgs};
pub use proxies::ProxyArgs;
pub use sources::{Found, Origin, Sources};
pub use sso::{SsoArgs, SsoSettings};
pub use tls::{AcmeSettings, TlsArgs, Transport};

/// Where the server can be reached when nobody said otherwise.
pub const DEFAULT_PUBLIC_URL: &str = "http://127.0.0.1:8080";

/// The longest public URL taken, in bytes.
const URL_MAX_BYTES: usize = 512;

/// The flag every command takes.
#[derive(Debug, Clone, Args)]
pub struct DataDir {
    /// Folder of the database, made if missing
    #[arg(
        long = "data-dir",
        value_name = "DIR",
        env = "ROLLCALL_DATA_DIR",
        default_value = "./rollcall-data",
        global = true
    )]
    pub data_dir: PathBuf,
}

/// The flag that names the file of settings.
#[derive(Debug, Clone, Args)]
pub struct ConfigFile {
    /// File of settings; without it, rollcall.toml of the folder that the command runs in, where there is one
    #[arg(long, value_name = "FILE", env = "ROLLCALL_CONFIG", global = true)]
    pub config: Option<PathBuf>,
}

/// The flags of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Address and port to listen on: 127.0.0.1:8080 where nothing is said, 0.0.0.0:443 with --domain; port 0 takes any free
    /// one
    #[arg(long, value_name = "ADDRESS:PORT", env = "ROLLCALL_LISTEN", value_parser = address)]
    pub listen: Option<SocketAddr>,

    /// URL at which identity providers reach this server; kept in the data folder
    #[arg(long, value_name = "URL", env = "ROLLCALL_PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// How the server is reached.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// Who may call besides our own credentials.
    #[command(flatten)]
    pub callers: CallerArgs,

    /// Through whom people of the portal sign in.
    #[command(flatten)]
    pub sso: SsoArgs,

    /// What the server does against loss.
    #[command(flatten)]
    pub backups: BackupArgs,

    /// What the server tells about itself.
    #[command(flatten)]
    pub observing: ObservingArgs,

    /// Which proxies stand before the server.
    #[command(flatten)]
    pub proxies: ProxyArgs,

    /// What callers may cost.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// The checked settings of a running server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the database.
    pub data_dir: PathBuf,
    /// Address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// How requests come in.
    pub transport: Transport,
    /// `http` or `https` URL without a trailing slash, query or fragment; `None` keeps what the data folder says.
    pub public_url: Option<String>,
    /// Threshold of the log.
    pub log_level: LevelFilter,
    /// Form of the log's lines.
    pub log_format: LogFormat,
    /// Where metrics are told; nowhere where nobody said so.
    pub metrics: Option<MetricsSettings>,
    /// Origins whose pages may call the management API from a browser.
    pub allowed_origins: Vec<String>,
    /// The tokens of users that are taken; none where nobody said so.
    pub user_tokens: Option<UserTokenSettings>,
    /// The OpenID provider of the portal; none where its own page names one, or nobody does.
    pub sso: Option<SsoSettings>,
    /// Backups that the server makes by itself.
    pub backups: Option<BackupSchedule>,
    /// What about the sources of the settings somebody should look at, for the log.
    pub warnings: Vec<String>,
    /// Networks of the proxies that are believed about whose requests they pass on.
    pub trusted_proxies: Vec<IpNet>,
    /// What callers may cost.
    pub limits: Limits,
}

impl Settings {
    /// Puts the checked flags together; `warnings` is what the sources of the settings gave cause for.
    ///
    /// # Errors
    /// Flags that are right each, and wrong together.
    pub fn new(data_dir: DataDir, serve: ServeArgs, warnings: Vec<String>) -> Result<Self, SettingsError> {
        let transport = serve.tls.transport();
        Ok(Self {
            data_dir: data_dir.data_dir,
            listen: serve.listen.unwrap_or_else(|| transport.default_address()),
            transport,
            public_url: serve.public_url,
            log_level: serve.observing.log_level,
            log_format: serve.observing.log_format,
            metrics: serve.observing.metrics()?,
            allowed_origins: serve.callers.allowed_origins.clone(),
            user_tokens: serve.callers.user_tokens(),
            sso: serve.sso.provider(),
            backups: serve.backups.schedule(),
            trusted_proxies: serve.proxies.trusted,
            limits: serve.limits.limits(),
            warnings,
        })
    }
}

/// Something that is said at all.
fn said(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it must not be empty".into());
    }
    Ok(text.to_owned())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".into())
}

/// Checks a public URL and takes its trailing slashes off.
///
/// The error says what to change; the caller adds the flag's name.
pub fn public_url(text: &str) -> Result<String, String> {
    let url = text.trim().trim_end_matches('/');
    if url.len() > URL_MAX_BYTES {
        return Err(format!("it is longer than {URL_MAX_BYTES} bytes"));
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it may hold printable ASCII characters only".into());
    }
    let (scheme, rest) = url.split_once("://").ok_or("it must start with https:// or http://")?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return Err("it must start with https:// or http://".into());
    }
    if rest.contains(['?', '#']) {
        return Err("it must not have a query or a fragment (? or #)".into());
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    check_authority(authority)?;
    Ok(format!("{scheme}://{}{path}", authority.to_ascii_lowercase()))
}

/// The host of a URL that was checked by [`public_url`], an IPv6 address without its brackets.
pub fn host_of(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    let authority = after.split('/').next().unwrap_or(after);
    let host = match authority.rsplit_once(':') {
        Some((host, _)) if !authority.ends_with(']') => host,
        _ => authority,
    };
    host.trim_matches(['[', ']'])
}

/// Whether that host is this machine itself.
pub fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn check_authority(authority: &str) -> Result<(), String> {
    if authority.contains('@') {
        return Err("it must not hold a user name or password".into());
    }
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority.ends_with(']') => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if host.is_empty() || !(bracketed || host.bytes().all(plain)) {
        return Err("it needs a host name, such as https://scim.example.com".into());
    }
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => Ok(()),
        Some(_) => Err("its port must be a number from 1 to 65535".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_lose_their_trailing_slash_and_keep_a_path() {
        for (given, kept) in [
            ("https://scim.example.com", "https://scim.example.com"),
            ("https://scim.example.com/", "https://scim.example.com"),
            ("HTTPS://Scim.Example.com/Base//", "https://scim.example.com/Base"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(public_url(given).as_deref(), Ok(kept), "{given}");
        }
    }

    #[test]
    fn unusable_public_urls_are_refused_with_the_fix() {
        for (given, word) in [
            ("", "https://"),
            ("scim.example.com", "https://"),
            ("ftp://scim.example.com", "https://"),
            ("https://", "https://"),
            ("https:///x", "host name"),
            ("https://a b", "ASCII"),
            ("https://exämple.com", "ASCII"),
            ("https://u:p@example.com", "user name"),
            ("https://example.com?x=1", "query"),
            ("https://example.com/#x", "fragment"),
            ("https://example.com:0", "port"),
            ("https://example.com:http", "port"),
            ("https://example.com:65536", "port"),
        ] {
            let refused = public_url(given).unwrap_err();
            assert!(refused.contains(word), "{given}: {refused}");
        }
    }

    #[test]
    fn hosts_of_this_machine_are_known_by_their_url() {
        for (url, name, here) in [
            ("http://127.0.0.1:8080", "127.0.0.1", true),
            ("http://localhost", "localhost", true),
            ("http://[::1]:8080/base", "::1", true),
            ("http://[::1]", "::1", true),
            ("https://scim.example.com:8443/x", "scim.example.com", false),
            ("http://10.0.0.1", "10.0.0.1", false),
        ] {
            assert_eq!((host_of(url), is_here(host_of(url))), (name, here), "{url}");
        }
    }
}
