//! Stalled clients: others are not affected, and the stalled connections are closed soon (T40, T72).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::app::{App, Client};
use crate::sample::{user, user_with};

const SLOW_HEADS: usize = 60;
const SLOW_BODIES: usize = 60;
const IDLE: usize = 200;
const NEVER_READING: usize = 20;
/// Maximum wait of other clients for an answer.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// Time after which stalled connections are closed.
const GONE_AFTER: Duration = Duration::from_secs(30);
/// Maximum memory of the server during the test.
const MEMORY_MAX_KIB: u64 = 256 * 1024;

/// A connection that sends these bytes and then nothing.
fn stalled(address: SocketAddr, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
    stream.write_all(sent).unwrap();
    stream
}

/// A client that pipelines requests for large answers and reads none of them.
fn never_reading(client: &Client) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&client.address, Duration::from_secs(10)).unwrap();
    let (base, token) = (&client.base, &client.token);
    let request = format!("GET {base}/Users?count=500 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    for _ in 0..4 {
        stream.write_all(request.as_bytes()).unwrap();
    }
    stream
}

/// Number of open network sockets of the server.
fn sockets(app: &App) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", app.pid())).unwrap();
    let is_socket = |path: std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    open.filter(|entry| entry.as_ref().is_ok_and(|entry| is_socket(entry.path()))).count()
}

/// The maximum memory of the server so far.
pub(super) fn most_memory_kib(app: &App) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[track_caller]
fn is_served(client: &Client, name: &str) {
    let asked = Instant::now();
    client.created("/Users", &user(name));
    client.get("/Users?count=1&attributes=userName").answered(200);
    client.get("/ServiceProviderConfig").answered(200);
    assert!(asked.elapsed() < WAIT_MAX, "three answers took {:?}", asked.elapsed());
}

#[test]
fn stalled_callers_do_not_slow_others_and_are_disconnected_within_half_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let client = app.configuration("other");
    for number in 0..100 {
        let title = "x".repeat(60_000);
        client.created("/Users", &user_with(&format!("long-{number}"), &json!({"title": title})));
    }
    let other = app.configuration("other");
    let before = sockets(&app);
    let begun = Instant::now();
    let (base, token) = (&client.base, &client.token);
    let half_a_head = format!("GET {base}/Users HTTP/1.1\r\nHost: x\r\nAuthor");
    let half_a_body = format!(
        "POST {base}/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/scim+json\r\nContent-Length: 8000000\r\n\r\n{{\"userName\":"
    );
    let mut crowd = Vec::new();
    crowd.extend((0..SLOW_HEADS).map(|_| stalled(app.address, half_a_head.as_bytes())));
    crowd.extend((0..SLOW_BODIES).map(|_| stalled(app.address, half_a_body.as_bytes())));
    crowd.extend((0..IDLE).map(|_| stalled(app.address, b"")));
    crowd.extend((0..NEVER_READING).map(|_| never_reading(&client)));
    let mut asked = 0;
    while begun.elapsed() < GONE_AFTER && sockets(&app) > before {
        is_served(&other, &format!("meanwhile-{asked}"));
        asked += 1;
        std::thread::sleep(Duration::from_millis(250));
    }
    let left = sockets(&app);
    assert!(left <= before, "{} of {} are still there after {:?}", left - before, crowd.len(), begun.elapsed());
    assert!(asked > 3, "they were closed before another client sent a request");
    let most = most_memory_kib(&app);
    assert!(most < MEMORY_MAX_KIB, "{most} KiB");
    is_served(&other, "afterwards");
    assert_eq!(client.count("/Users"), 100, "nothing of an incomplete body is stored");
}

#[test]
fn a_slowly_sent_body_times_out_regardless_of_its_announced_length() {
    // T40
    let client = App::shared().configuration("other");
    let head = format!(
        "POST {}/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 8000000\r\n\r\n",
        client.base, client.token
    );
    let mut stream = stalled(client.address, head.as_bytes());
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let (begun, mut answer) = (Instant::now(), Vec::new());
    while begun.elapsed() < GONE_AFTER && answer.is_empty() {
        let mut bytes = [0; 1024];
        // Writing may fail after the answer.
        let _ = stream.write_all(b"{");
        if let Ok(read) = stream.read(&mut bytes) {
            answer.extend_from_slice(&bytes[..read]);
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&answer));
}
