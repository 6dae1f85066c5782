//! Certificates that the server gets by itself, from Pebble.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::authority::trusting;
use super::pebble::{self, Place, free_port};
use crate::app::{App, rollcall};
use crate::http;

const DAY: Duration = Duration::from_hours(24);
/// Longest wait for a certificate: the server tries again after 5, 10 and 20 seconds.
const PATIENCE: Duration = Duration::from_mins(2);

/// A server with two domains, whose log is a file.
fn server(place: &Place, data: &Path) -> App {
    let (directory, root) = (place.directory(), place.root());
    let flags = ["--domain", "scim.example.com,www.example.com", "--acme-directory", &directory, "--acme-root", &root];
    App::start_in(data, &flags, &[], &log(data))
}

fn log(data: &Path) -> PathBuf {
    data.with_extension("log")
}

fn said(data: &Path, words: &str) -> usize {
    std::fs::read_to_string(log(data)).unwrap().matches(words).count()
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The certificate for that name, where the client trusts it.
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
    let (folder, place) = (tempfile::tempdir().unwrap(), Place::new());
    let data = folder.path().join("data");
    let mut app = server(&place, &data);
    // The authority is down, and the server serves.
    wait_until("a failure", || said(&data, "NO NEW CERTIFICATE") > 0);
    assert_eq!(rollcall(&data, &["health", "--listen", &app.address.to_string()]).stdout, b"ready\n");
    let made = app.configuration("other");
    let base = format!("https://scim.example.com:{}/", app.address.port());
    assert!(made.url.starts_with(&base), "{}", made.url);
    let authority = place.start(app.address.port(), 90 * DAY);
    let client = trusting(&authority.root(), rustls::ALL_VERSIONS, &[]);
    wait_until("a certificate", || trusted(app.address, "scim.example.com", &client).is_some());
    let first = trusted(app.address, "www.example.com", &client);
    assert!(first.is_some());
    // Only the two names are proved, and only while somebody asks.
    let asking = trusting(&authority.root(), rustls::ALL_VERSIONS, &["acme-tls/1"]);
    assert!(trusted(app.address, "scim.example.com", &asking).is_none());
    for (path, mode) in [("", 0o700), ("account.json", 0o600), ("certificate.pem", 0o600)] {
        let path = data.join("tls").join(place.folder()).join(path);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode, "{}", path.display());
    }
    // The next start has it at once and asks nobody.
    drop(authority);
    assert_eq!(app.terminate(), Some(0));
    let again = server(&place, &data);
    assert_eq!(trusted(again.address, "www.example.com", &client), first);
    again.signal("HUP");
    wait_until("an answer to the signal", || said(&data, "is not renewed yet") > 0);
    assert_eq!(said(&data, "ordering a certificate"), 0);
}

#[test]
fn a_certificate_is_renewed_in_good_time_and_connections_go_on() {
    if !pebble::is_here() {
        return;
    }
    let (folder, place) = (tempfile::tempdir().unwrap(), Place::new());
    let data = folder.path().join("data");
    let app = server(&place, &data);
    let life = Duration::from_secs(30);
    let authority = place.start(app.address.port(), life);
    let client = trusting(&authority.root(), rustls::ALL_VERSIONS, &[]);
    wait_until("a certificate", || trusted(app.address, "scim.example.com", &client).is_some());
    let (first, begun) = (trusted(app.address, "scim.example.com", &client), Instant::now());
    wait_until("a renewal", || trusted(app.address, "scim.example.com", &client) != first);
    // It never stopped being good: the one before was good until its end.
    assert!(begun.elapsed() < life, "{:?}", begun.elapsed());
    assert!(trusted(app.address, "scim.example.com", &client).is_some());
    assert_eq!(said(&data, "an account was made"), 1);
}

#[test]
fn an_authority_that_cannot_see_the_server_is_not_asked_more_often_than_it_likes() {
    if !pebble::is_here() {
        return;
    }
    let (folder, place) = (tempfile::tempdir().unwrap(), Place::new());
    let data = folder.path().join("data");
    // It looks where nobody listens.
    let _authority = place.start(free_port(), 90 * DAY);
    let mut app = server(&place, &data);
    wait_until("a refusal", || said(&data, "NO NEW CERTIFICATE") > 0);
    let problem = std::fs::read_to_string(log(&data)).unwrap();
    for words in ["could not see that the name leads here: ", "scim.example.com: Failed to connect"] {
        assert!(problem.contains(words), "{problem}");
    }
    for tries in 2..5 {
        app.signal("HUP");
        wait_until("another try", || said(&data, "NO NEW CERTIFICATE") == tries);
    }
    // Impatience, and a restart, change nothing any more.
    app.signal("HUP");
    wait_until("a limit", || said(&data, "no certificate is ordered now") > 0);
    assert_eq!(said(&data, "ordering a certificate"), 4);
    assert_eq!(app.terminate(), Some(0));
    let again = server(&place, &data);
    wait_until("the limit again", || said(&data, "no certificate is ordered now") > 0);
    assert_eq!(said(&data, "ordering a certificate"), 0);
    assert_eq!(rollcall(&data, &["health", "--listen", &again.address.to_string()]).stdout, b"ready\n");
}

#[test]
fn a_certificate_is_renewed_early_when_the_authority_asks_for_it() {
    if !pebble::is_here() {
        return;
    }
    let (folder, place) = (tempfile::tempdir().unwrap(), Place::new());
    let data = folder.path().join("data");
    let mut app = server(&place, &data);
    let authority = place.start(app.address.port(), 90 * DAY);
    wait_until("a certificate", || said(&data, "a new certificate is used") > 0);
    assert_eq!(app.terminate(), Some(0));
    drop(authority);
    // As before certificates are revoked: the window lies in the past (RFC 9773 section 4.2).
    let asked = place.suggest("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
    let _again = server(&place, &data);
    wait_until("an early renewal", || said(&data, "ordering a certificate") > 0);
    assert_eq!(said(&data, "the authority says when"), 1);
    let name = asked.iter().find_map(|path| path.strip_prefix("/renewal/").map(str::to_owned)).unwrap();
    let parts: Vec<&str> = name.split('.').collect();
    assert!(parts.len() == 2 && parts.iter().all(|part| part.len() > 8), "{name}");
}
