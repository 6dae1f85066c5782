//! How the world reaches the server: its public URL, its certificate, and who stands before it.

use std::net::IpAddr;

use super::{Finding, Running, rows::Rows, span};
use crate::clock::Millis;
use crate::settings::{Settings, Transport, host_of, is_here};

const DAY: Millis = 24 * 60 * 60 * 1000;
/// A certificate that ends sooner should have been renewed.
const CERTIFICATE_SOON: Millis = 14 * DAY;
/// A certificate that ends sooner needs somebody today.
const CERTIFICATE_NOW: Millis = 3 * DAY;

pub(super) fn all(settings: &Settings, rows: &Rows, running: Option<&Running>, now: Millis) -> Vec<Finding> {
    let mut found = vec![public_url(rows), transport(settings)];
    found.extend(certificate(settings, running, now));
    if let Some(running) = running {
        let none = || Finding::fine("Proxy", "Nobody but trusted proxies sent a forwarding header.");
        found.push(running.stranger.map_or_else(none, stranger));
    }
    found
}

fn public_url(rows: &Rows) -> Finding {
    const ABOUT: &str = "Public URL";
    let url = &rows.public_url;
    let next = "Set it in the portal under Settings, This server, or with --public-url.";
    if is_here(host_of(url)) {
        return Finding::warning(ABOUT, format!("{url} leads nowhere from another machine."), next);
    }
    if !url.starts_with("https://") {
        return Finding::problem(ABOUT, format!("{url} is not HTTPS: tokens travel in the clear."), next);
    }
    Finding::fine(ABOUT, format!("Identity providers reach the server at {url}."))
}

fn speaks_tls(settings: &Settings) -> bool {
    !matches!(settings.transport, Transport::Plain { .. })
}

fn transport(settings: &Settings) -> Finding {
    const ABOUT: &str = "Encryption";
    let listen = settings.listen;
    if speaks_tls(settings) {
        return Finding::fine(ABOUT, format!("The server speaks HTTPS on {listen}."));
    }
    if listen.ip().is_loopback() {
        return Finding::fine(
            ABOUT,
            format!("The server speaks plain HTTP on {listen}, which only this machine reaches."),
        );
    }
    let next =
        "Give it a certificate (--tls-cert, --tls-key) or a --domain, or let it listen on 127.0.0.1 behind a proxy.";
    Finding::warning(ABOUT, format!("The server speaks plain HTTP on {listen}, which other machines may reach."), next)
}

/// How long the certificate lasts, where the server has one.
pub(super) fn certificate(settings: &Settings, running: Option<&Running>, now: Millis) -> Option<Finding> {
    const ABOUT: &str = "Certificate";
    let running = running.filter(|_| speaks_tls(settings))?;
    let next = "Look into the log for why it is not renewed; docs/https.md says what to check.";
    let Some(ends) = running.certificate_ends else {
        return Some(Finding::problem(ABOUT, "There is no certificate yet but one of the server's own making.", next));
    };
    let left = ends - now;
    let said = format!("The certificate ends in {}.", span(left));
    Some(match left {
        ..=0 => Finding::problem(ABOUT, format!("The certificate ended {} ago.", span(-left)), next),
        1..CERTIFICATE_NOW => Finding::problem(ABOUT, said, next),
        CERTIFICATE_NOW..CERTIFICATE_SOON => Finding::warning(ABOUT, said, next),
        CERTIFICATE_SOON.. => Finding::fine(ABOUT, said),
    })
}

pub(super) fn stranger(address: IpAddr) -> Finding {
    let said = format!("{address} sent a forwarding header and is no trusted proxy: the header was passed over.");
    let next = "If that is your proxy, name it with --trusted-proxies; if not, somebody pretends to be somebody else.";
    Finding::warning("Proxy", said, next)
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_public_url_is_judged_by_scheme_and_host() {
        for (url, grade) in [
            ("https://scim.example.com", Grade::Fine),
            ("https://scim.example.com:8443/base", Grade::Fine),
            ("http://scim.example.com", Grade::Problem),
            ("http://10.0.0.1:8080", Grade::Problem),
            ("http://127.0.0.1:8080", Grade::Warning),
            ("https://localhost", Grade::Warning),
            ("http://[::1]:8080", Grade::Warning),
        ] {
            let rows = Rows { public_url: url.to_owned(), ..Rows::default() };
            assert_eq!(public_url(&rows).grade, grade, "{url}");
        }
    }
}
