//! Where and how the server listens, and what the person who started it should know of that.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::settings::Settings;
use crate::tls::Tls;

/// How long a client may take for a TLS handshake.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(5);
/// TLS handshakes that a worker carries on at once; more wait in line. Those who stall are gone after [`HANDSHAKE`].
pub(super) const HANDSHAKES_MAX: usize = 512;

/// Where the server listens, as a URL of the machine itself.
pub(super) fn url(tls: Option<&Tls>, address: SocketAddr) -> String {
    format!("{}://{address}", if tls.is_some() { "https" } else { "http" })
}

/// Refuses plain HTTP where others could listen.
pub(super) fn refuse_plain_http(settings: &Settings) -> anyhow::Result<()> {
    settings.transport.check(settings.listen).map_err(|problem| anyhow::anyhow!("plain HTTP is refused: {problem}"))
}

/// Says loudly what would make identity providers send their tokens in the clear, or not come at all.
pub(super) fn warn_of_url(public_url: &str, tls: Option<&Tls>) {
    let host = host(public_url);
    let warning = if !public_url.starts_with("https://") && !is_here(host) {
        "identity providers are told a URL without HTTPS, and their tokens travel in the clear; set --public-url https://…"
    } else if tls.is_some_and(|tls| public_url.starts_with("https://") && !is_here(host) && !tls.covers(host)) {
        "the certificate is not for the host of the public URL; set --public-url, or get a certificate for that host"
    } else {
        return;
    };
    println!("WARNING: {public_url}: {warning}");
    tracing::warn!(public_url, "{warning}");
}

/// The host of a URL that was checked by `settings::public_url`.
fn host(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    let authority = after.split('/').next().unwrap_or(after);
    match authority.rsplit_once(':') {
        Some((host, _)) if !authority.ends_with(']') => host,
        _ => authority,
    }
    .trim_matches(['[', ']'])
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!((host(url), is_here(host(url))), (name, here), "{url}");
        }
    }
}
