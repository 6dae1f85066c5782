//! Certificates that the server obtains by itself, from Pebble.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::authority::trusting;
use super::pebble::{self, PebbleSetup};
use crate::app::{App, rollcall, wait_until};
use crate::http::{self, find_free_port};

const DAY: Duration = Duration::from_hours(24);

/// A server with two domains that logs to a file.
fn server(setup: &PebbleSetup, data: &Path) -> App {
    let (directory, root) = (setup.directory(), setup.root());
    let flags = ["--domain", "scim.example.com,www.example.com", "--acme-directory", &directory, "--acme-root", &root];
    App::start_in(data, &flags, &[], &log(data))
}

fn log(data: &Path) -> PathBuf {
    data.with_extension("log")
}

fn count_in_log(data: &Path, phrase: &str) -> usize {
    std::fs::read_to_string(log(data)).unwrap().matches(phrase).count()
}

/// The certificate for that name, if the client trusts it.
fn trusted(address: SocketAddr, name: &str, client: &Arc<ClientConfig>) -> Option<Vec<u8>> {
    let mut stream = http::over_tls_to(name, http::connect(address).unwrap(), Arc::clone(client)).unwrap();
    stream.conn.complete_io(&mut stream.sock).ok()?;
    Some(stream.conn.peer_certificates()?[0].to_vec())
}

#[test]
fn a_domain_gets_its_certificate_as_soon_as_the_authority_can_be_reached_and_keeps_it() {
    if !pebble::is_here() {
        return;
    }
    let (folder, setup) = (tempfile::tempdir().unwrap(), PebbleSetup::new());
    let data = folder.path().join("data");
    let mut app = server(&setup, &data);
    // The server runs although the certificate authority is down.
    wait_until("a failure", || count_in_log(&data, "NO NEW CERTIFICATE") > 0);
    assert_eq!(rollcall(&data, &["health", "--listen", &app.address.to_string()]).stdout, b"ready\n");
    let made = app.configuration("other");
    let base = format!("https://scim.example.com:{}/", app.address.port());
    assert!(made.url.starts_with(&base), "{}", made.url);
    let authority = setup.start(app.address.port(), 90 * DAY);
    let client = trusting(&authority.root(), rustls::ALL_VERSIONS, &[]);
    wait_until("a certificate", || trusted(app.address, "scim.example.com", &client).is_some());
    let first = trusted(app.address, "www.example.com", &client);
    assert!(first.is_some());
    // Challenges are answered only for the two names, and only during validation.
    let asking = trusting(&authority.root(), rustls::ALL_VERSIONS, &["acme-tls/1"]);
    assert!(trusted(app.address, "scim.example.com", &asking).is_none());
    for (path, mode) in [("", 0o700), ("account.json", 0o600), ("certificate.pem", 0o600)] {
        let path = data.join("tls").join(setup.folder()).join(path);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode, "{}", path.display());
    }
    // The next start uses the stored certificate and sends no request to the authority.
    drop(authority);
    assert_eq!(app.terminate(), Some(0));
    let again = server(&setup, &data);
    assert_eq!(trusted(again.address, "www.example.com", &client), first);
    again.signal("HUP");
    wait_until("an answer to the signal", || count_in_log(&data, "is not renewed yet") > 0);
    assert_eq!(count_in_log(&data, "ordering a certificate"), 0);
}

#[test]
fn a_certificate_is_renewed_before_it_expires() {
    if !pebble::is_here() {
        return;
    }
    let (folder, setup) = (tempfile::tempdir().unwrap(), PebbleSetup::new());
    let data = folder.path().join("data");
    let app = server(&setup, &data);
    let life = Duration::from_secs(30);
    let authority = setup.start(app.address.port(), life);
    let client = trusting(&authority.root(), rustls::ALL_VERSIONS, &[]);
    wait_until("a certificate", || trusted(app.address, "scim.example.com", &client).is_some());
    let (first, begun) = (trusted(app.address, "scim.example.com", &client), Instant::now());
    wait_until("a renewal", || trusted(app.address, "scim.example.com", &client) != first);
    // The first certificate was still valid when it was replaced.
    assert!(begun.elapsed() < life, "{:?}", begun.elapsed());
    assert!(trusted(app.address, "scim.example.com", &client).is_some());
    assert_eq!(count_in_log(&data, "an account was created"), 1);
}

#[test]
fn failed_validations_are_limited() {
    if !pebble::is_here() {
        return;
    }
    let (folder, setup) = (tempfile::tempdir().unwrap(), PebbleSetup::new());
    let data = folder.path().join("data");
    // The authority validates at a port on which no process listens.
    let _authority = setup.start(find_free_port(), 90 * DAY);
    let mut app = server(&setup, &data);
    wait_until("a refusal", || count_in_log(&data, "NO NEW CERTIFICATE") > 0);
    let problem = std::fs::read_to_string(log(&data)).unwrap();
    for phrase in ["could not validate the domain: ", "scim.example.com: Failed to connect"] {
        assert!(problem.contains(phrase), "{problem}");
    }
    for tries in 2..5 {
        app.signal("HUP");
        wait_until("another try", || count_in_log(&data, "NO NEW CERTIFICATE") == tries);
    }
    // Further signals and a restart do not cause more orders.
    app.signal("HUP");
    wait_until("a limit", || count_in_log(&data, "no certificate is ordered now") > 0);
    assert_eq!(count_in_log(&data, "ordering a certificate"), 4);
    assert_eq!(app.terminate(), Some(0));
    let again = server(&setup, &data);
    wait_until("the limit again", || count_in_log(&data, "no certificate is ordered now") > 0);
    assert_eq!(count_in_log(&data, "ordering a certificate"), 0);
    assert_eq!(rollcall(&data, &["health", "--listen", &again.address.to_string()]).stdout, b"ready\n");
}

#[test]
fn a_certificate_is_renewed_early_when_the_authority_asks_for_it() {
    if !pebble::is_here() {
        return;
    }
    let (folder, setup) = (tempfile::tempdir().unwrap(), PebbleSetup::new());
    let data = folder.path().join("data");
    let mut app = server(&setup, &data);
    let authority = setup.start(app.address.port(), 90 * DAY);
    wait_until("a certificate", || count_in_log(&data, "a new certificate is now in use") > 0);
    assert_eq!(app.terminate(), Some(0));
    drop(authority);
    // As before certificates are revoked: the window is in the past (RFC 9773 section 4.2).
    let asked = setup.suggest("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
    let _again = server(&setup, &data);
    wait_until("an early renewal", || count_in_log(&data, "ordering a certificate") > 0);
    assert_eq!(count_in_log(&data, "the authority suggested when"), 1);
    let name = asked.iter().find_map(|path| path.strip_prefix("/renewal/").map(str::to_owned)).unwrap();
    let parts: Vec<&str> = name.split('.').collect();
    assert!(parts.len() == 2 && parts.iter().all(|part| part.len() > 8), "{name}");
}
