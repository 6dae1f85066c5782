//! TLS as clients see it: versions, protocols, headers and cookies; connections without TLS affect no other client.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use rustls::{Error, ProtocolVersion};

use super::authority::Authority;
use crate::app::{App, Request, rollcall};
use crate::http;
use crate::portal::browser::{Browser, own_app};
use crate::sample::user;

/// The `ClientHello` of a client with that highest version: 2 for TLS 1.1, 3 for TLS 1.2 (RFC 5246 section 7.4.1.2).
fn hello(version: u8) -> Vec<u8> {
    let mut hello = vec![3, version];
    hello.extend([7; 32]);
    // No session; ECDHE-ECDSA with AES 128 and SHA-256; no compression.
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    // Extensions: the curve P-256, and ECDSA on it with SHA-256.
    hello.extend([0, 16, 0, 10, 0, 4, 0, 2, 0, 0x17, 0, 13, 0, 4, 0, 2, 4, 3]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    record
}

#[test]
fn only_tls_1_2_and_1_3_are_supported() {
    let (data, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let app = authority.server(data.path());
    for (version, spoken) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let client = authority.client(&[version], &[]);
        let mut stream = http::over_tls(http::connect(app.address).unwrap(), client).unwrap();
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(http::parse(&answer, false).unwrap().status, 200);
        assert_eq!(stream.conn.protocol_version(), Some(spoken));
    }
    let answer = |version: u8| {
        let mut stream = http::connect(app.address).unwrap();
        stream.write_all(&hello(version)).unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        answer
    };
    // A handshake record (22) with a ServerHello (2).
    assert_eq!((answer(3)[0], answer(3)[5]), (22, 2));
    // A fatal (2) alert (21): protocol_version (70).
    assert_eq!((answer(2)[0], &answer(2)[5..7]), (21, &[2, 70][..]));
}

#[test]
fn http_1_1_is_the_only_negotiated_protocol() {
    // T41
    let (data, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let app = authority.server(data.path());
    let agreed = |protocols: &[&str]| {
        let client = authority.client(rustls::ALL_VERSIONS, protocols);
        let mut stream = http::over_tls(http::connect(app.address).unwrap(), client).unwrap();
        let done = stream.conn.complete_io(&mut stream.sock);
        done.map(|_| stream.conn.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(agreed(&["h2", "http/1.1"]).unwrap().as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(agreed(&[]).unwrap(), None);
    for foreign in ["h2", "acme-tls/1"] {
        let refused = agreed(&[foreign]).unwrap_err();
        let alert = refused.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        assert!(matches!(alert, Some(Error::AlertReceived(_))), "{foreign}: {refused}");
    }
}

#[test]
fn every_answer_over_tls_sets_strict_transport_security() {
    // T42
    let (data, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let app = authority.server(data.path());
    let client = app.configuration("other");
    assert!(client.url.starts_with(&format!("https://{}/", app.address)), "{}", client.url);
    let paths = [
        "/livez",
        "/readyz",
        "/login",
        "/static/none.css",
        "/scim/v2/Users",
        "/scim/v2/Schemas",
        "/nothing/here",
        "/directory/resources/v1/configurations/scim2",
        "/openapi.json",
        "/",
    ];
    for path in paths {
        let reply = Request::new(app.address, "GET", path).send();
        assert_eq!(reply.header("strict-transport-security"), "max-age=31536000", "{path}: {}", reply.status);
        let reply = Request::new(App::shared().address, "GET", path).send();
        assert_eq!(reply.header("strict-transport-security"), "", "{path}");
    }
    client.created("/Users", &user("x"));
    assert_eq!(client.get("/Users/none").refused(404, "").header("strict-transport-security"), "max-age=31536000");
}

#[test]
fn session_cookies_are_secure_over_tls() {
    let (data, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let app = authority.server(data.path());
    let browser = Browser::owner(&app);
    assert!(browser.cookies.contains_key("__Host-rc"), "{:?}", browser.cookies);
    let set = Request::new(app.address, "GET", "/login").send();
    let cookies: Vec<_> = set.answer.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
    assert!(cookies.iter().all(|(_, cookie)| cookie.contains("; Secure")), "{cookies:?}");
    let (plain, _folder) = own_app();
    assert!(Browser::owner(&plain).cookies.contains_key("rc"));
}

#[test]
fn plain_http_on_the_tls_port_is_disconnected() {
    let (data, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let app = authority.server(data.path());
    let client = app.configuration("other");
    for said in [&b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\0\0\0\0\0\0\0\0\0\0", &[0xff; 4096]] {
        let mut stream = http::connect(app.address).unwrap();
        // The server may close the connection after the first record.
        let _ = stream.write_all(said);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/") && answer.len() < 16, "{answer:?}");
    }
    client.get("/Users").answered(200);
}

#[test]
fn stalled_handshakes_block_no_other_client_and_time_out() {
    // T40
    let (data, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let app = authority.server(data.path());
    let client = app.configuration("other");
    let hello = hello(3);
    let half = &hello[..hello.len() - 2];
    let stalled: Vec<_> = (0..60)
        .map(|number| {
            let mut stream = http::connect(app.address).unwrap();
            // Nothing, half a ClientHello, or all but its end.
            stream.write_all(&half[..number % 3 * half.len() / 2]).unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    for number in 0..20 {
        client.created("/Users", &user(&format!("u{number}")));
    }
    // A handshake must be completed within five seconds.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for mut stream in stalled {
        let mut answer = Vec::new();
        let closed = stream.read_to_end(&mut answer);
        assert!(closed.is_ok() || closed.is_err_and(|why| why.kind() == std::io::ErrorKind::ConnectionReset));
    }
}

#[test]
fn the_health_command_uses_tls_when_the_server_does() {
    let (data, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let app = authority.server(data.path());
    let asked = rollcall(data.path(), &["health", "--listen", &app.address.to_string()]);
    assert_eq!(String::from_utf8_lossy(&asked.stdout), "ready\n", "{}", String::from_utf8_lossy(&asked.stderr));
    // An unknown certificate is not accepted for a URL given by the user.
    let named = rollcall(data.path(), &["health", "--url", &format!("https://{}", app.address)]);
    assert_eq!(named.status.code(), Some(1));
}

#[test]
fn a_form_from_a_page_without_tls_is_refused() {
    let (data, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let app = authority.server(data.path());
    for (scheme, status) in [("https", 401), ("http", 403)] {
        let request = Request::new(app.address, "POST", "/login");
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let request = request.header("Origin", &format!("{scheme}://{}", app.address));
        let reply = request.body(b"email=owner%40example.com&password=wrong").send();
        assert_eq!(reply.status, status, "{scheme}");
    }
}
