//! How the server ends, and what it does when its outputs cannot be written.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::app::App;
use crate::http::find_free_port;
use crate::sample::{user, user_with};

const BINARY: &str = env!("CARGO_BIN_EXE_rollcall");
/// Well below the time that running requests get.
const STOP_MAX: Duration = Duration::from_secs(7);

fn connect(app: &App, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(app.address).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    stream
}

#[test]
fn incomplete_requests_do_not_delay_the_stop_and_complete_ones_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = App::start(folder.path());
    let client = app.configuration("other");
    client.created("/Users", &user("before"));
    let half_a_head = format!("GET {}/Users HTTP/1.1\r\nHost: x\r\nAuthor", client.base);
    let half_a_body = format!(
        "POST {}/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/scim+json\r\n\
         Content-Length: 90000\r\n\r\n{{\"userName\":",
        client.base, client.token
    );
    // The second head on a connection that was used.
    let mut used = connect(&app, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut answer = [0; 512];
    assert!(used.read(&mut answer).unwrap() > 0);
    used.write_all(half_a_head.as_bytes()).unwrap();
    let incomplete = [connect(&app, ""), connect(&app, &half_a_head), connect(&app, &half_a_body), used];
    // A running request: the events that it waits for end with the server.
    let key = app.operator();
    let events = "/directory/resources/v1/events?wait=20&after=latest";
    let waiting = std::thread::spawn(move || key.get(events).status);
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    assert_eq!(app.terminate(), Some(0));
    assert!(asked.elapsed() < STOP_MAX, "the stop took {:?}", asked.elapsed());
    assert_eq!(waiting.join().unwrap(), 200);
    drop(incomplete);
}

#[test]
fn a_log_that_is_not_read_does_not_delay_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    // The pipe of standard error is never read. Debug lines fill it.
    let flags = ["--log-level", "debug"];
    let mut command = Command::new(BINARY);
    command.stderr(Stdio::piped());
    let mut app = App::spawn_as(command, folder.path(), &flags);
    let client = app.configuration("other");
    for number in 0..300 {
        client.created("/Users", &user_with(&format!("u{number}"), &json!({"title": "x".repeat(1_000)})));
    }
    let asked = Instant::now();
    assert_eq!(app.terminate(), Some(0));
    assert!(asked.elapsed() < STOP_MAX, "the stop took {:?}", asked.elapsed());
}

#[test]
fn full_outputs_do_not_stop_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let port = find_free_port();
    let mut command = Command::new(BINARY);
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(folder.path());
    let mut child = command.stdin(Stdio::null()).stdout(full()).stderr(full()).spawn().unwrap();
    let is_served = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    };
    crate::app::wait_until("an answer", || is_served().is_some());
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The server with a limit of the file size, in blocks of 1,024 bytes.
fn start_with_file_limit(data: &Path, blocks: u32) -> App {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("ulimit -f {blocks}; exec \"$@\""), "bash"]);
    App::start_through(command, data)
}

#[test]
fn the_limit_of_the_file_size_refuses_writes_and_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = start_with_file_limit(folder.path(), 4_096);
    let client = app.configuration("other");
    let title = "x".repeat(60_000);
    let mut stored = 0;
    let refused = (0..400).find_map(|number| {
        let reply = client.post("/Users", &user_with(&format!("u{number}"), &json!({"title": title})));
        stored += u64::from(reply.status == 201);
        (reply.status != 201).then_some(reply.status)
    });
    assert!(matches!(refused, Some(503 | 507)), "{refused:?}");
    assert_eq!(client.count("/Users"), stored);
    assert_eq!(app.terminate(), Some(0));
}

#[test]
fn signals_without_a_meaning_do_not_end_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = App::start(folder.path());
    let client = app.configuration("other");
    for signal in ["USR1", "USR2", "HUP"] {
        app.signal(signal);
        client.created("/Users", &user(signal));
    }
    assert_eq!(app.terminate(), Some(0));
}
