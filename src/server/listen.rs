//! Checks of the listen address and the public URL at startup.

use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use crate::settings::{Settings, host_of_url, is_loopback_host};
use crate::tls::Tls;

/// Time limit of a TLS handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Concurrent TLS handshakes of a worker; further ones wait. A handshake that stalls ends after [`HANDSHAKE_TIMEOUT`].
pub(crate) const HANDSHAKES_MAX: usize = 512;

/// Returns the listen address as a URL.
pub(super) fn listen_url(tls: Option<&Tls>, address: SocketAddr) -> String {
    format!("{}://{address}", if tls.is_some() { "https" } else { "http" })
}

/// Returns the error of a listener that cannot be bound: with the flag, the address, and the fix.
pub(super) fn explain_bind_error(flag: &str, address: SocketAddr, error: &io::Error) -> io::Error {
    let text = match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "permission denied; ports below 1024 need the capability CAP_NET_BIND_SERVICE, which the service of the package \
             has: use it, or another port with {flag}"
        ),
        ErrorKind::AddrInUse => format!(
            "the address is in use; stop the other program (`ss -ltnp` lists it), or set another address with {flag}"
        ),
        ErrorKind::AddrNotAvailable => {
            format!("this machine does not have the address; set one that `ip address` lists with {flag}")
        }
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("could not listen on {address}: {text}"))
}

/// Rejects plain HTTP on an address that other machines can reach.
pub(crate) fn refuse_plain_http(settings: &Settings) -> anyhow::Result<()> {
    settings
        .transport
        .check_listen_address(settings.listen)
        .map_err(|problem| anyhow::anyhow!("plain HTTP is refused: {problem}"))
}

/// Prints a line for the operator. A full or closed standard output does not stop the server.
pub(super) fn print_notice(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Warns of a public URL that makes identity providers send tokens without encryption, or fail to connect.
pub(super) fn warn_of_url(public_url: &str, tls: Option<&Tls>) {
    let host = &host_of_url(public_url);
    let warning = if !public_url.starts_with("https://") && !is_loopback_host(host) {
        "identity providers use a URL without HTTPS and send their tokens without encryption; set --public-url https://…"
    } else if tls.is_some_and(|tls| public_url.starts_with("https://") && !is_loopback_host(host) && !tls.covers(host))
    {
        "the certificate is not valid for the host of the public URL; set --public-url, or get a certificate for that host"
    } else {
        return;
    };
    print_notice(&format!("WARNING: {public_url}: {warning}"));
    tracing::warn!(public_url, "{warning}");
}
