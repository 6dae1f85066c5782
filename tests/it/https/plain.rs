//! Plain HTTP: on the loopback address, or when it is explicitly allowed.

use std::path::Path;
use std::time::Duration;

use super::authority::{Authority, put};
use crate::app::{App, Request, rollcall, serve_with_refuses};

#[test]
fn plain_http_on_a_public_address_is_refused_with_the_alternatives() {
    // T42
    let data = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refused = rollcall(data.path(), &["serve", "--listen", address]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        for way in ["--tls-cert", "--domain", "127.0.0.1", "--allow-plain-http"] {
            assert!(said.contains(way), "{way} in {said}");
        }
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0, "something was made");
}

#[test]
fn the_public_url_decides_on_strict_transport_security_with_a_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let (data, log) = (directory.path().join("data"), directory.path().join("log"));
    let mut proxied = App::start_in(&data, &["--public-url", "https://scim.example.com"], &[], &log);
    assert_eq!(
        Request::new(proxied.address, "GET", "/login").send().header("strict-transport-security"),
        "max-age=31536000"
    );
    assert_eq!(proxied.terminate(), Some(0));
    assert!(!std::fs::read_to_string(&log).unwrap().contains("without encryption"));
    let mut clear = App::start_in(&data, &["--public-url", "http://scim.example.com"], &[], &log);
    assert_eq!(Request::new(clear.address, "GET", "/login").send().header("strict-transport-security"), "");
    assert_eq!(clear.terminate(), Some(0));
    // T42
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.lines().any(|line| line.contains("WARN") && line.contains("without encryption")), "{said}");
}

#[test]
fn a_server_without_certificates_ignores_the_reload_signal() {
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    app.signal("HUP");
    app.configuration("other").get("/Users").answered(200);
    assert_eq!(app.terminate(), Some(0));
}

#[test]
fn unusable_certificate_files_are_refused_at_start_by_name() {
    let authority = Authority::new();
    let (certificate, key) = (authority.certificate(), authority.key());
    let other = authority.folder.path().join("other.pem");
    put(&other, &authority.made(2).1);
    let absent = authority.folder.path().join("missing.pem");
    let wrong: [(&Path, &Path, &str); 4] = [
        (&absent, &key, "missing.pem cannot be read"),
        (&certificate, &absent, "missing.pem cannot be read"),
        (&certificate, &other, "does not belong to"),
        (&key, &key, "no certificate"),
    ];
    for (certificate, key, phrase) in wrong {
        let folder = tempfile::tempdir().unwrap();
        let flags = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        // The server creates its folder: the start warns about one that other users can list.
        let refused = serve_with_refuses(&folder.path().join("data"), &flags, Duration::from_secs(20));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(phrase) && said.trim().lines().count() == 1, "{said}");
    }
    let data = tempfile::tempdir().unwrap();
    for flags in [
        &["--tls-cert", "c.pem"][..],
        &["--tls-key", "k.pem"],
        &["--domain", "a.example", "--tls-cert", "c.pem", "--tls-key", "k.pem"],
        &["--domain", "*.example.com"],
        &["--acme-email", "ops@example.com"],
        &["--domain", "a.example", "--acme-directory", "http://ca.example/dir"],
    ] {
        let refused = serve_with_refuses(data.path(), flags, Duration::from_secs(20));
        assert_eq!(refused.status.code(), Some(2), "{flags:?}");
    }
}
