//! Settings of HTTPS: certificate files, certificates by ACME, or plain HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use url::Url;

/// Default ACME directory.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Longest domain name, in bytes (RFC 1035 section 2.3.4, without the final dot).
const NAME_MAX_BYTES: usize = 253;
/// Longest label of a domain name, in bytes.
const LABEL_MAX_BYTES: usize = 63;

/// Port of HTTPS.
const HTTPS: u16 = 443;

/// Flags of `serve` for HTTPS.
#[derive(Debug, Clone, Args)]
pub struct TlsArgs {
    /// Certificate in PEM, the server's own first and then its chain; read again after a change
    #[arg(long, value_name = "FILE", env = "ROLLCALL_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key of that certificate in PEM, without a passphrase and not readable by others
    #[arg(long, value_name = "FILE", env = "ROLLCALL_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Domain name of the server: the server gets a certificate for it from Let's Encrypt and renews it. This accepts
    /// the terms of service of Let's Encrypt. May be given several times
    #[arg(
        long = "domain",
        value_name = "NAME",
        env = "ROLLCALL_DOMAIN",
        value_delimiter = ',',
        value_parser = parse_domain,
        conflicts_with_all = ["tls_cert", "tls_key"]
    )]
    domains: Vec<String>,

    /// Contact address for the certificate authority
    #[arg(long, value_name = "EMAIL", env = "ROLLCALL_ACME_EMAIL", value_parser = parse_email, requires = "domains")]
    acme_email: Option<String>,

    /// ACME directory of another certificate authority (RFC 8555)
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLCALL_ACME_DIRECTORY",
        default_value = LETS_ENCRYPT,
        value_parser = parse_directory,
        requires = "domains"
    )]
    acme_directory: Url,

    /// Root certificates in PEM for verifying that directory, instead of those of the system
    #[arg(long, value_name = "FILE", env = "ROLLCALL_ACME_ROOT", requires = "domains")]
    acme_root: Option<PathBuf>,

    /// Accept plain HTTP from other machines; use it only if a proxy with TLS is the only client that can reach the
    /// address
    #[arg(long, env = "ROLLCALL_ALLOW_PLAIN_HTTP")]
    allow_plain_http: bool,
}

/// How the server accepts connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP.
    Plain {
        /// Whether addresses that other machines can reach are allowed.
        any_address: bool,
    },
    /// TLS with certificate files that are renewed outside this server.
    Files {
        /// The certificate and its chain.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// TLS with certificates that the server gets by ACME.
    Acme(AcmeSettings),
}

/// Settings of certificates by ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeSettings {
    /// The names in the certificate, in lower case; at least one.
    pub domains: Vec<String>,
    /// ACME directory of the authority.
    pub directory: Url,
    /// Root certificates for verifying the directory, instead of those of the system.
    pub root: Option<PathBuf>,
    /// Contact address for the authority.
    pub email: Option<String>,
}

impl TlsArgs {
    /// Returns the transport. clap has checked that the flags can be combined.
    pub(super) fn transport(self) -> Transport {
        if let (Some(certificate), Some(key)) = (self.tls_cert, self.tls_key) {
            return Transport::Files { certificate, key };
        }
        if self.domains.is_empty() {
            return Transport::Plain { any_address: self.allow_plain_http };
        }
        Transport::Acme(AcmeSettings {
            domains: self.domains,
            directory: self.acme_directory,
            root: self.acme_root,
            email: self.acme_email,
        })
    }
}

impl Transport {
    /// Address to listen on if none is set: all addresses and port 443 with a domain, else 127.0.0.1:8080.
    pub fn default_address(&self) -> SocketAddr {
        match self {
            Self::Acme(_) => (Ipv4Addr::UNSPECIFIED, HTTPS).into(),
            Self::Plain { .. } | Self::Files { .. } => (Ipv4Addr::LOCALHOST, 8080).into(),
        }
    }

    /// URL of a server that listens on the address and has no public URL.
    pub fn url(&self, address: SocketAddr) -> String {
        let anywhere = address.ip().is_unspecified();
        let host = if anywhere { (Ipv4Addr::LOCALHOST, address.port()).into() } else { address };
        match self {
            Self::Plain { .. } => format!("http://{host}"),
            Self::Files { .. } => format!("https://{host}"),
            Self::Acme(acme) => {
                let name = acme.domains.first().map_or("localhost", String::as_str);
                if address.port() == HTTPS {
                    format!("https://{name}")
                } else {
                    format!("https://{name}:{}", host.port())
                }
            }
        }
    }

    /// Rejects plain HTTP on an address that other machines can reach.
    ///
    /// # Errors
    /// The sentence lists the alternatives.
    pub fn check_listen_address(&self, listen: SocketAddr) -> Result<(), String> {
        if listen.ip().to_canonical().is_loopback() || *self != (Self::Plain { any_address: false }) {
            return Ok(());
        }
        Err(format!(
            "on {listen} the network can read tokens in transit: set --tls-cert FILE and --tls-key FILE, or --domain NAME \
             to get a certificate, or listen on 127.0.0.1 behind a proxy with TLS. If only that proxy can reach the \
             address, --allow-plain-http (ROLLCALL_ALLOW_PLAIN_HTTP=true) allows plain HTTP"
        ))
    }
}

fn parse_domain(text: &str) -> Result<String, String> {
    let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
    if name.starts_with("*.") {
        return Err("a wildcard cannot be validated with tls-alpn-01; give each name, or use --tls-cert".into());
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Err("give a name such as scim.example.com and not an IP address".into());
    }
    let is_label = |label: &str| {
        (1..=LABEL_MAX_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > NAME_MAX_BYTES || !name.split('.').all(is_label) {
        return Err(
            "give a name such as scim.example.com, without https:// and port; internationalized names as xn--…".into(),
        );
    }
    Ok(name)
}

fn parse_email(text: &str) -> Result<String, String> {
    let email = text.trim();
    let is_email = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    if is_email && email.bytes().all(|byte| byte.is_ascii_graphic() && !b",?&".contains(&byte)) {
        return Ok(email.to_owned());
    }
    Err("write an address such as ops@example.com".into())
}

fn parse_directory(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|problem| format!("{problem}; write https://host/path"))?;
    if url.scheme() != "https" {
        return Err("it must begin with https:// (RFC 8555 section 6.1)".into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme_transport(domain: &str) -> Transport {
        Transport::Acme(AcmeSettings {
            domains: vec![domain.to_owned()],
            directory: Url::parse(LETS_ENCRYPT).unwrap(),
            root: None,
            email: None,
        })
    }

    #[test]
    fn domains_are_names_in_lower_case() {
        for (given, normalized) in [
            ("scim.example.com", "scim.example.com"),
            ("SCIM.Example.com.", "scim.example.com"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(parse_domain(given).as_deref(), Ok(normalized), "{given}");
        }
        for (given, expected) in [
            ("*.example.com", "wildcard"),
            ("192.0.2.1", "IP address"),
            ("https://scim.example.com", "https://"),
            ("scim.example.com:443", "port"),
            ("exämple.com", "xn--"),
            ("scim..example.com", "name"),
            ("-scim.example.com", "name"),
            ("", "name"),
        ] {
            let error = parse_domain(given).unwrap_err();
            assert!(error.contains(expected), "{given}: {error}");
        }
    }

    #[test]
    fn plain_http_is_limited_to_loopback_unless_it_is_allowed() {
        let plain = Transport::Plain { any_address: false };
        for loopback in ["127.0.0.1:8080", "127.8.8.8:80", "[::1]:8080", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(plain.check_listen_address(loopback.parse().unwrap()), Ok(()), "{loopback}");
        }
        for reachable in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "10.0.0.1:80"] {
            let listen = reachable.parse().unwrap();
            let error = plain.check_listen_address(listen).unwrap_err();
            for alternative in ["--tls-cert", "--domain", "127.0.0.1", "--allow-plain-http"] {
                assert!(error.contains(alternative), "{error}");
            }
            assert_eq!(Transport::Plain { any_address: true }.check_listen_address(listen), Ok(()));
            assert_eq!(acme_transport("a.example").check_listen_address(listen), Ok(()));
        }
    }

    #[test]
    fn the_url_contains_the_domain_and_a_port_other_than_443() {
        for (transport, listen, url) in [
            (acme_transport("a.example"), "0.0.0.0:443", "https://a.example"),
            (acme_transport("a.example"), "0.0.0.0:8443", "https://a.example:8443"),
            (Transport::Plain { any_address: true }, "0.0.0.0:80", "http://127.0.0.1:80"),
            (Transport::Plain { any_address: false }, "[::1]:80", "http://[::1]:80"),
        ] {
            assert_eq!(transport.url(listen.parse().unwrap()), url);
        }
    }
}
