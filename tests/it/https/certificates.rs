//! Certificates that change while the server runs.

use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::authority::{Authority, put};
use crate::http;
use crate::sample::user;

/// Maximum wait until a certificate is loaded; the server checks every three seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The certificate that the server presents to a new connection.
pub(super) fn presented_certificate(address: SocketAddr, client: &Arc<ClientConfig>) -> Vec<u8> {
    let mut stream = http::over_tls(http::connect(address).unwrap(), Arc::clone(client)).unwrap();
    stream.conn.complete_io(&mut stream.sock).unwrap();
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

/// Waits until the server presents another certificate.
#[track_caller]
fn wait_for_new_certificate(address: SocketAddr, client: &Arc<ClientConfig>, before: &[u8]) -> Vec<u8> {
    let begun = Instant::now();
    while begun.elapsed() < TIMEOUT {
        let now = presented_certificate(address, client);
        if now != before {
            return now;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the certificate did not change");
}

/// Sends a request on a persistent connection; returns the status of the answer.
fn send_request(stream: &mut (impl Read + Write)) -> u16 {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the connection was closed");
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(text) = line.strip_prefix("http/1.1 ") {
            status = text[..3].parse().unwrap();
        } else if let Some(text) = line.strip_prefix("content-length: ") {
            length = text.parse().unwrap();
        } else if line.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    status
}

#[test]
fn a_new_certificate_is_presented_and_no_connection_or_answer_is_lost() {
    let (data, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let mut app = authority.server(data.path());
    let client = authority.client(rustls::ALL_VERSIONS, &[]);
    let first = presented_certificate(app.address, &client);
    let mut open = http::over_tls(http::connect(app.address).unwrap(), Arc::clone(&client)).unwrap();
    assert_eq!(send_request(&mut open), 200);
    let writer = app.configuration("other");
    let (over, made) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for caller in 0..3 {
            let (writer, over, made) = (&writer, &over, &made);
            scope.spawn(move || {
                for number in 0.. {
                    // Each request uses a new connection, and every one must be answered.
                    writer.created("/Users", &user(&format!("c{caller}n{number}")));
                    made.fetch_add(1, Ordering::Relaxed);
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        authority.issue(2);
        let second = wait_for_new_certificate(app.address, &client, &first);
        assert_eq!(send_request(&mut open), 200);
        authority.issue(3);
        app.signal("HUP");
        wait_for_new_certificate(app.address, &client, &second);
        assert_eq!(send_request(&mut open), 200);
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(writer.count("/Users"), u64::from(made.load(Ordering::Relaxed)));
    assert_eq!(app.terminate(), Some(0));
}

#[test]
fn an_invalid_certificate_is_not_used_and_a_valid_one_after_it_is() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let log = directory.path().join("log");
    let (certificate, key) = (authority.certificate(), authority.key());
    let flags = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let app = crate::app::App::start_in(&directory.path().join("data"), &flags, &[], &log);
    let client = authority.client(rustls::ALL_VERSIONS, &[]);
    let first = presented_certificate(app.address, &client);
    // The certificate of another key, as between the two steps of a replacement.
    let (next, next_key) = authority.made(2);
    put(&certificate, &next);
    app.signal("HUP");
    let complaint = "the new certificate cannot be used";
    let begun = Instant::now();
    while !std::fs::read_to_string(&log).unwrap().contains(complaint) {
        assert!(begun.elapsed() < TIMEOUT, "nothing was said of a certificate without its key");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(presented_certificate(app.address, &client), first);
    put(&key, &next_key);
    wait_for_new_certificate(app.address, &client, &first);
}

#[test]
fn an_expired_certificate_is_presented_and_logged() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let log = directory.path().join("log");
    let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    put(&authority.certificate(), &parameters.self_signed(&key).unwrap().pem());
    put(&authority.key(), &key.serialize_pem());
    let (certificate, key) = (authority.certificate(), authority.key());
    let flags = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let app = crate::app::App::start_in(&directory.path().join("data"), &flags, &[], &log);
    let begun = Instant::now();
    while !std::fs::read_to_string(&log).unwrap().contains("THE CERTIFICATE HAS EXPIRED") {
        assert!(begun.elapsed() < TIMEOUT, "nothing was said");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(app);
}

#[test]
fn a_stop_truncates_no_answer_over_tls() {
    // T71
    let (data, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let mut app = authority.server(data.path());
    let client = app.configuration("other");
    let (cut, over, answered) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let (client, cut, over, answered) = (&client, &cut, &over, &answered);
            scope.spawn(move || {
                for number in 0.. {
                    let request = client.request("POST", "/Users").json(&user(&format!("c{caller}n{number}")));
                    match request.attempt() {
                        Ok(answer) if answer.status == 201 => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Ok(answer) => assert_eq!(answer.status, 503),
                        Err(_) if over.load(Ordering::SeqCst) => return,
                        Err(why) if why.kind() == ErrorKind::UnexpectedEof => cut.store(true, Ordering::SeqCst),
                        Err(_) => std::thread::sleep(Duration::from_millis(1)),
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        let code = app.terminate();
        over.store(true, Ordering::SeqCst);
        assert_eq!(code, Some(0));
    });
    assert!(!cut.load(Ordering::SeqCst), "an answer was cut short");
    assert!(answered.load(Ordering::Relaxed) > 0);
}
