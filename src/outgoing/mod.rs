//! Calls to other servers. One set of rules applies to all of them: users of the portal and customers can name such
//! servers, and must not reach hosts of the operator's network through this one (server-side request forgery, OWASP).
//!
//! A call is made by `https`, without a proxy, and without following redirects. Every address that a name resolves to
//! is checked before a connection to exactly this address, so a name that changes between the check and the connection
//! has no effect.

mod addresses;
mod resolver;

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use url::{Host, Url};

use crate::outgoing::addresses::name_of_special_range;
use crate::outgoing::resolver::{CallScheme, GuardedResolver};

/// The setting that allows further addresses.
const SETTING: &str = "--outgoing-allow-networks";

/// Which servers calls may reach: public addresses, and those that the operator allows.
#[derive(Debug, Clone, Default)]
pub struct OutgoingRules {
    allowed: Arc<[IpNet]>,
    trusted_host: Option<Arc<str>>,
    /// Root certificates in addition to those of the system.
    roots: Arc<[Certificate]>,
}

/// Why a call is not made. The text names the setting that allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedCall {
    /// The URL has another scheme than `https` and `http`, or no host.
    UrlUnusable,
    /// `http` to this host, which is not in the allowed networks.
    Plain(String),
    /// The address is in a range that is not public.
    Address {
        /// The address.
        address: IpAddr,
        /// Name of the range.
        range: &'static str,
    },
}

impl fmt::Display for RefusedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UrlUnusable => f.write_str("write https://host/path"),
            Self::Plain(host) => {
                write!(
                    f,
                    "write https://; http:// is accepted only for addresses that {SETTING} contains, and {host} is not one"
                )
            }
            Self::Address { address, range } => {
                write!(
                    f,
                    "the address {address} is not public ({range}); to allow it, add it or its network to {SETTING}"
                )
            }
        }
    }
}

impl std::error::Error for RefusedCall {}

impl OutgoingRules {
    /// Creates the rules of an operator who allows these networks in addition to public addresses.
    pub fn new(allowed: &[IpNet]) -> Self {
        Self { allowed: allowed.into(), ..Self::default() }
    }

    /// Returns rules that also allow all addresses of the host of that URL. For URLs of the settings: who can change
    /// them can also change the allowed networks.
    #[must_use]
    pub fn with_trusted_host(&self, url: &Url) -> Self {
        Self { trusted_host: url.host_str().map(Arc::from), ..self.clone() }
    }

    /// Returns rules that also trust these root certificates, in PEM.
    ///
    /// # Errors
    /// A sentence, if there is no certificate or one is not valid.
    pub fn with_root_certificates(self, pem: &[u8]) -> Result<Self, String> {
        let roots = Certificate::from_pem_bundle(pem).map_err(|problem| describe_failure(&problem))?;
        if roots.is_empty() {
            return Err("it has no certificate in PEM".to_owned());
        }
        Ok(Self { roots: roots.into(), ..self })
    }

    /// Checks a URL before a call: the scheme, and an address in place of a name. Names are checked when they are
    /// resolved.
    ///
    /// # Errors
    /// The URL is not allowed.
    pub fn check_url(&self, url: &Url) -> Result<(), RefusedCall> {
        let scheme = CallScheme::of_url(url).ok_or(RefusedCall::UrlUnusable)?;
        let address = match url.host().ok_or(RefusedCall::UrlUnusable)? {
            Host::Domain(name) if self.trusts(name) => return Ok(()),
            Host::Domain(name) => return self.check_plain_name(name, scheme),
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        if url.host_str().is_some_and(|host| self.trusts(host)) { Ok(()) } else { self.check_address(address, scheme) }
    }

    /// Returns a client for one scheme that follows these rules, from a builder with further options.
    ///
    /// # Errors
    /// The root certificates of the system cannot be used.
    fn build_client(&self, builder: ClientBuilder, scheme: CallScheme) -> Result<Client, reqwest::Error> {
        let builder = if self.roots.is_empty() { builder } else { builder.tls_certs_merge(self.roots.iter().cloned()) };
        builder
            .redirect(redirect::Policy::none())
            .no_proxy()
            .https_only(scheme == CallScheme::Https)
            .dns_resolver(GuardedResolver { rules: self.clone(), scheme })
            .build()
    }

    fn trusts(&self, host: &str) -> bool {
        self.trusted_host.as_deref() == Some(host)
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(&address) || network.contains(&address.to_canonical()))
    }

    /// A name can be called by `http` if there are allowed networks at all.
    fn check_plain_name(&self, name: &str, scheme: CallScheme) -> Result<(), RefusedCall> {
        if scheme == CallScheme::Http && self.allowed.is_empty() {
            return Err(RefusedCall::Plain(name.to_owned()));
        }
        Ok(())
    }

    fn check_address(&self, address: IpAddr, scheme: CallScheme) -> Result<(), RefusedCall> {
        if self.is_allowed(address) {
            return Ok(());
        }
        if let Some(range) = name_of_special_range(address) {
            return Err(RefusedCall::Address { address, range });
        }
        if scheme == CallScheme::Http { Err(RefusedCall::Plain(address.to_string())) } else { Ok(()) }
    }
}

/// A client for both schemes that follows the rules.
#[derive(Debug, Clone)]
pub struct OutgoingClient {
    rules: OutgoingRules,
    https: Client,
    /// `None` if the rules allow no call by `http`.
    http: Option<Client>,
}

impl OutgoingClient {
    /// Creates a client. `options` sets time limits and headers.
    ///
    /// # Errors
    /// The root certificates of the system cannot be used.
    pub fn new(rules: OutgoingRules, options: impl Fn() -> ClientBuilder) -> Result<Self, reqwest::Error> {
        let https = rules.build_client(options(), CallScheme::Https)?;
        let is_plain_possible = rules.trusted_host.is_some() || !rules.allowed.is_empty();
        let http = is_plain_possible.then(|| rules.build_client(options(), CallScheme::Http)).transpose()?;
        Ok(Self { rules, https, http })
    }

    /// Returns the client for calls to that URL.
    ///
    /// # Errors
    /// The rules do not allow the call.
    pub fn client_for(&self, url: &Url) -> Result<&Client, RefusedCall> {
        self.rules.check_url(url)?;
        let plain = self.http.as_ref().filter(|_| url.scheme() == "http");
        if url.scheme() == "https" { Ok(&self.https) } else { plain.ok_or(RefusedCall::UrlUnusable) }
    }
}

/// Returns the innermost cause of a failed call. The outer errors contain the URL, which may include credentials.
pub fn describe_failure(problem: &reqwest::Error) -> String {
    let Some(mut deepest) = problem.source() else { return "the request failed".to_owned() };
    while let Some(deeper) = deepest.source() {
        deepest = deeper;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &OutgoingRules, url: &str) -> Result<(), RefusedCall> {
        rules.check_url(&url.parse().unwrap())
    }

    fn allow(networks: &[&str]) -> OutgoingRules {
        OutgoingRules::new(&networks.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn by_default_only_public_addresses_are_called_and_only_by_https() {
        let rules = OutgoingRules::default();
        for allowed in
            ["https://id.example.com/jwks", "https://8.8.8.8/", "https://[2606:4700::1111]/", "https://x:8443/"]
        {
            assert_eq!(check(&rules, allowed), Ok(()), "{allowed}");
        }
        for refused in ["http://id.example.com/", "http://8.8.8.8/"] {
            assert!(matches!(check(&rules, refused), Err(RefusedCall::Plain(_))), "{refused}");
        }
        for refused in ["ftp://id.example.com/", "file:///etc/passwd", "data:text/plain,x", "mailto:a@example.com"] {
            assert_eq!(check(&rules, refused), Err(RefusedCall::UrlUnusable), "{refused}");
        }
    }

    #[test]
    fn every_spelling_of_a_private_address_is_refused_with_the_setting_that_allows_it() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "0",
            "10.0.0.5",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "[::1]",
            "[::]",
            "[::ffff:10.0.0.5]",
            "[::10.0.0.5]",
            "[64:ff9b::a00:5]",
            "[2002:a00:5::]",
            "[fd00::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[2001:db8::1]",
            "[ff02::1]",
            "%31%32%37.0.0.1",
            "①②⑦.0.0.1",
            "255.255.255.255",
        ] {
            let refused = check(&OutgoingRules::default(), &format!("https://{host}/x")).unwrap_err();
            assert!(refused.to_string().contains(SETTING), "{host}: {refused}");
        }
    }

    #[test]
    fn allowed_networks_can_be_called_by_both_schemes() {
        let rules = allow(&["127.0.0.0/8", "10.1.0.0/16", "fd00::/8"]);
        for allowed in
            ["http://127.0.0.1:3000/hook", "https://127.0.0.1/", "http://[::ffff:10.1.0.5]/", "http://[fd00::1]/"]
        {
            assert_eq!(check(&rules, allowed), Ok(()), "{allowed}");
        }
        for refused in ["https://10.2.0.1/", "http://8.8.8.8/", "https://192.168.0.1/", "https://[::1]/"] {
            assert!(check(&rules, refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_host_of_the_settings_may_have_any_address() {
        let url: Url = "http://127.0.0.1:9/keys".parse().unwrap();
        let rules = OutgoingRules::default().with_trusted_host(&url);
        assert_eq!(check(&rules, "http://127.0.0.1:9/keys"), Ok(()));
        assert!(check(&rules, "http://127.0.0.2:9/keys").is_err());
        assert!(check(&rules, "https://localhost./").is_ok(), "names are checked when they are resolved");
    }
}
