//! Where and how the server listens, and what the person who started it should know of that.

use std::net::SocketAddr;
use std::time::Duration;

use crate::settings::{Settings, host_of, is_here};
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
    let host = host_of(public_url);
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
