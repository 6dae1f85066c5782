//! Checks of the network: the public URL, the certificate, and proxies in front of the server.

use std::net::IpAddr;

use crate::clock::Millis;
use crate::doctor::database::DatabaseSummary;
use crate::doctor::{Finding, ServerStatus, format_duration};
use crate::settings::{Settings, Transport, host_of_url, is_loopback_host};

const DAY: Millis = 24 * 60 * 60 * 1000;
/// A certificate that expires sooner should already be renewed.
const CERTIFICATE_SOON: Millis = 14 * DAY;
/// A certificate that expires sooner needs action today.
const CERTIFICATE_NOW: Millis = 3 * DAY;

pub(super) fn check_network(
    settings: &Settings,
    rows: &DatabaseSummary,
    running: Option<&ServerStatus>,
    now: Millis,
) -> Vec<Finding> {
    let mut findings = vec![check_public_url(&rows.public_url), check_transport(settings)];
    findings.extend(check_certificate(settings, running, now));
    if let Some(running) = running {
        let none = || Finding::fine("Proxy", "Forwarded headers come only from trusted proxies.");
        findings.push(running.untrusted_proxy.map_or_else(none, report_untrusted_proxy));
    }
    findings
}

pub(super) fn check_public_url(url: &str) -> Finding {
    const ABOUT: &str = "Public URL";
    let next = "Set it in the portal under Settings, General, or with --public-url.";
    if is_loopback_host(&host_of_url(url)) {
        return Finding::warning(ABOUT, format!("{url} can’t be reached from other machines."), next);
    }
    if !url.starts_with("https://") {
        return Finding::problem(ABOUT, format!("{url} is not HTTPS: tokens are sent unencrypted."), next);
    }
    Finding::fine(ABOUT, format!("Identity providers use {url}."))
}

fn uses_tls(settings: &Settings) -> bool {
    !matches!(settings.transport, Transport::Plain { .. })
}

fn check_transport(settings: &Settings) -> Finding {
    const ABOUT: &str = "Encryption";
    let listen = settings.listen;
    if uses_tls(settings) {
        return Finding::fine(ABOUT, format!("The server uses HTTPS on {listen}."));
    }
    if listen.ip().is_loopback() {
        return Finding::fine(
            ABOUT,
            format!("The server uses plain HTTP on {listen}, which is reachable only from this machine."),
        );
    }
    let next = "Set a certificate (--tls-cert, --tls-key) or a --domain, or listen on 127.0.0.1 behind a proxy.";
    Finding::warning(ABOUT, format!("The server uses plain HTTP on {listen}, which other machines may reach."), next)
}

/// Checks the expiry of the certificate, if the server uses TLS.
pub(super) fn check_certificate(settings: &Settings, running: Option<&ServerStatus>, now: Millis) -> Option<Finding> {
    const ABOUT: &str = "Certificate";
    let running = running.filter(|_| uses_tls(settings))?;
    let next = "Check the log for why it is not renewed. docs/https.md lists what to check.";
    let Some(expiry) = running.certificate_expires_at else {
        return Some(Finding::problem(ABOUT, "There is no certificate yet except a self-signed one.", next));
    };
    let left = expiry - now;
    let message = format!("The certificate expires in {}.", format_duration(left));
    Some(match left {
        ..=0 => Finding::problem(ABOUT, format!("The certificate expired {} ago.", format_duration(-left)), next),
        1..CERTIFICATE_NOW => Finding::problem(ABOUT, message, next),
        CERTIFICATE_NOW..CERTIFICATE_SOON => Finding::warning(ABOUT, message, next),
        CERTIFICATE_SOON.. => Finding::fine(ABOUT, message),
    })
}

pub(super) fn report_untrusted_proxy(address: IpAddr) -> Finding {
    let message = format!("{address} sent a forwarding header and is not a trusted proxy: the header was ignored.");
    let next = "If this is your proxy, add it to --trusted-proxies. If not, a client sent a false address.";
    Finding::warning("Proxy", message, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn a_public_url_is_judged_by_scheme_and_host() {
        for (url, grade) in [
            ("https://scim.example.com", Severity::Fine),
            ("https://scim.example.com:8443/base", Severity::Fine),
            ("http://scim.example.com", Severity::Problem),
            ("http://10.0.0.1:8080", Severity::Problem),
            ("http://127.0.0.1:8080", Severity::Warning),
            ("https://localhost", Severity::Warning),
            ("http://[::1]:8080", Severity::Warning),
        ] {
            assert_eq!(check_public_url(url).grade, grade, "{url}");
        }
    }
}
