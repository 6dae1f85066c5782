//! How the server is reached: with certificate files, with certificates that it gets by itself, or in the clear.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use reqwest::Url;

/// Where certificates come from when nobody said otherwise.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Longest domain name, in bytes (RFC 1035 section 2.3.4, without the dot at the end).
const NAME_MAX_BYTES: usize = 253;
/// Longest part of one.
const LABEL_MAX_BYTES: usize = 63;

/// The port of HTTPS.
const HTTPS: u16 = 443;

/// The flags of `serve` about HTTPS.
#[derive(Debug, Clone, Args)]
pub struct TlsArgs {
    /// Certificate in PEM, the server's own first and then its chain; read again when it changes
    #[arg(long, value_name = "FILE", env = "ROLLCALL_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key of that certificate in PEM, without a passphrase and not readable by everybody
    #[arg(long, value_name = "FILE", env = "ROLLCALL_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Name under which the server is reached: gets a certificate for it from Let's Encrypt and renews it, which accepts
    /// its terms of service; may be given several times
    #[arg(
        long = "domain",
        value_name = "NAME",
        env = "ROLLCALL_DOMAIN",
        value_delimiter = ',',
        value_parser = domain,
        conflicts_with_all = ["tls_cert", "tls_key"]
    )]
    domains: Vec<String>,

    /// Address at which the certificate authority may write to you
    #[arg(long, value_name = "EMAIL", env = "ROLLCALL_ACME_EMAIL", value_parser = email, requires = "domains")]
    acme_email: Option<String>,

    /// ACME directory of another certificate authority (RFC 8555)
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLCALL_ACME_DIRECTORY",
        default_value = LETS_ENCRYPT,
        value_parser = directory,
        requires = "domains"
    )]
    acme_directory: Url,

    /// Root certificates in PEM by which that directory is known, in place of those of the system
    #[arg(long, value_name = "FILE", env = "ROLLCALL_ACME_ROOT", requires = "domains")]
    acme_root: Option<PathBuf>,

    /// Speak plain HTTP to other machines too; only where a proxy with TLS is the sole one that reaches the address
    #[arg(long, env = "ROLLCALL_ALLOW_PLAIN_HTTP")]
    allow_plain_http: bool,
}

/// How requests come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// In the clear.
    Plain {
        /// Whether that is wanted on addresses that other machines reach.
        anywhere: bool,
    },
    /// By TLS, with files that somebody else keeps.
    Files {
        /// The certificate and its chain.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// By TLS, with certificates that the server gets by itself.
    Acme(AcmeSettings),
}

/// Which certificates the server gets by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeSettings {
    /// The names in the certificate, in lower case; at least one.
    pub domains: Vec<String>,
    /// The authority.
    pub directory: Url,
    /// Root certificates by which it is known, where those of the system do not do.
    pub root: Option<PathBuf>,
    /// Where it may write to.
    pub email: Option<String>,
}

impl TlsArgs {
    /// How requests come in. That the flags fit together has been checked with them.
    pub(super) fn transport(self) -> Transport {
        if let (Some(certificate), Some(key)) = (self.tls_cert, self.tls_key) {
            return Transport::Files { certificate, key };
        }
        if self.domains.is_empty() {
            return Transport::Plain { anywhere: self.allow_plain_http };
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
    /// The address to listen on where nobody said one: who gives a domain wants to be reached.
    pub fn default_address(&self) -> SocketAddr {
        match self {
            Self::Acme(_) => (Ipv4Addr::UNSPECIFIED, HTTPS).into(),
            Self::Plain { .. } | Self::Files { .. } => (Ipv4Addr::LOCALHOST, 8080).into(),
        }
    }

    /// The URL at which the server is reached when it listens there and nobody says more.
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

    /// Refuses to speak in the clear where others can listen.
    ///
    /// # Errors
    /// The ways out.
    pub fn check(&self, listen: SocketAddr) -> Result<(), String> {
        if listen.ip().to_canonical().is_loopback() || *self != (Self::Plain { anywhere: false }) {
            return Ok(());
        }
        Err(format!(
            "on {listen} others could read tokens on their way: give --tls-cert FILE and --tls-key FILE, or --domain NAME \
             to get a certificate, or listen on 127.0.0.1 behind a proxy with TLS. Where only that proxy reaches the \
             address, --allow-plain-http (ROLLCALL_ALLOW_PLAIN_HTTP=true) lets plain HTTP through"
        ))
    }
}

fn domain(text: &str) -> Result<String, String> {
    let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
    if name.starts_with("*.") {
        return Err("a wildcard cannot be proved over TLS (tls-alpn-01); give each name, or use --tls-cert".into());
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
        return Err("give a name such as scim.example.com, without https:// and port; foreign letters as xn--…".into());
    }
    Ok(name)
}

fn email(text: &str) -> Result<String, String> {
    let email = text.trim();
    let is_email = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    if is_email && email.bytes().all(|byte| byte.is_ascii_graphic() && !b",?&".contains(&byte)) {
        return Ok(email.to_owned());
    }
    Err("write an address such as ops@example.com".into())
}

fn directory(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|problem| format!("{problem}; write https://host/path"))?;
    if url.scheme() != "https" {
        return Err("it must begin with https:// (RFC 8555 section 6.1)".into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme(domain: &str) -> Transport {
        Transport::Acme(AcmeSettings {
            domains: vec![domain.to_owned()],
            directory: Url::parse(LETS_ENCRYPT).unwrap(),
            root: None,
            email: None,
        })
    }

    #[test]
    fn domains_are_names_in_lower_case() {
        for (given, kept) in [
            ("scim.example.com", "scim.example.com"),
            ("SCIM.Example.com.", "scim.example.com"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(domain(given).as_deref(), Ok(kept), "{given}");
        }
        for (given, word) in [
            ("*.example.com", "wildcard"),
            ("192.0.2.1", "IP address"),
            ("https://scim.example.com", "https://"),
            ("scim.example.com:443", "port"),
            ("exämple.com", "xn--"),
            ("scim..example.com", "name"),
            ("-scim.example.com", "name"),
            ("", "name"),
        ] {
            let refused = domain(given).unwrap_err();
            assert!(refused.contains(word), "{given}: {refused}");
        }
    }

    #[test]
    fn plain_http_stays_on_the_machine_unless_somebody_insists() {
        let plain = Transport::Plain { anywhere: false };
        for here in ["127.0.0.1:8080", "127.8.8.8:80", "[::1]:8080", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(plain.check(here.parse().unwrap()), Ok(()), "{here}");
        }
        for elsewhere in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "10.0.0.1:80"] {
            let listen = elsewhere.parse().unwrap();
            let refused = plain.check(listen).unwrap_err();
            for way in ["--tls-cert", "--domain", "127.0.0.1", "--allow-plain-http"] {
                assert!(refused.contains(way), "{refused}");
            }
            assert_eq!(Transport::Plain { anywhere: true }.check(listen), Ok(()));
            assert_eq!(acme("a.example").check(listen), Ok(()));
        }
    }

    #[test]
    fn the_domain_makes_the_url_and_the_port_is_said_where_it_is_not_the_usual_one() {
        for (transport, listen, url) in [
            (acme("a.example"), "0.0.0.0:443", "https://a.example"),
            (acme("a.example"), "0.0.0.0:8443", "https://a.example:8443"),
            (Transport::Plain { anywhere: true }, "0.0.0.0:80", "http://127.0.0.1:80"),
            (Transport::Plain { anywhere: false }, "[::1]:80", "http://[::1]:80"),
        ] {
            assert_eq!(transport.url(listen.parse().unwrap()), url);
        }
    }
}
