//! `rollcall webhook`: webhooks on the command line, and the local application that follows the feed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::app::{App, initialize, rollcall, wait_until};
use crate::sample::user;

const ALLOW: [&str; 2] = ["--outgoing-allow-networks", "127.0.0.1"];
const UNKNOWN_ID: &str = "00000000-0000-7000-8000-000000000000";

/// A request that a receiver got.
#[derive(Debug, Clone)]
struct Received {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or_else(|| panic!("no {name} in {:?}", self.headers), |(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts one signature of the Standard Webhooks specification by this secret.
    #[track_caller]
    fn is_signed_by(&self, secret: &str) {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut content = format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).into_bytes();
        content.extend_from_slice(&self.body);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &content);
        let expected = format!("v1,{}", STANDARD.encode(tag.as_ref()));
        let found = self.header("webhook-signature").split(' ').any(|one| one == expected);
        assert!(found, "{} does not contain {expected}", self.header("webhook-signature"));
    }
}

/// A local HTTP server that records requests and answers with these statuses and bodies; the last one is repeated.
struct Receiver {
    origin: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    fn answering(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&received);
        let answers: Vec<(u16, String)> = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        // The thread ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let Some(request) = read_request(&stream) else { continue };
                let count = {
                    let mut recorded = recorded.lock().unwrap();
                    recorded.push(request);
                    recorded.len()
                };
                let (status, body) = &answers[(count - 1).min(answers.len() - 1)];
                let head = format!("HTTP/1.1 {status} Answer\r\nContent-Length: {}\r\nConnection: close", body.len());
                let _ = write!(stream, "{head}\r\n\r\n{body}");
            }
        });
        Self { origin, received }
    }

    fn url(&self) -> String {
        format!("{}/hook", self.origin)
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Received { line: line.trim_end().to_owned(), headers, body: Vec::new() };
    let length = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    request.body.resize(length.map_or(0, |(_, value)| value.parse().unwrap()), 0);
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn succeeds(data: &Path, arguments: &[&str]) -> String {
    let output = rollcall(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
fn json_of(data: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&succeeds(data, &[arguments, &["--output", "json"]].concat())).unwrap()
}

#[track_caller]
fn fails(output: &Output, code: i32) -> String {
    let reported = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{reported}");
    assert!(!reported.trim().is_empty() && !reported.contains("panicked"), "{reported}");
    reported
}

#[track_caller]
fn id_of(document: &Value) -> String {
    document["id"].as_str().unwrap_or_else(|| panic!("id in {document}")).to_owned()
}

#[test]
fn a_webhook_is_created_listed_rotated_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    initialize(data);
    succeeds(data, &["configuration", "create", "--account", "acme"]);
    let url = "https://hook.example.com/events?key=s3cret";
    let flags = ["--account", "acme", "--kinds", "user.*,group.created", "--payload", "thin", "--batch-size", "7"];
    let more = ["--rate-limit", "5", "--header", "X-Key: hidden", "--description", "Search index"];
    let created = json_of(data, &[&["webhook", "create", "--url", url], &flags[..], &more].concat());
    let secret = created["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{created}");
    let id = id_of(&created);

    let listed = json_of(data, &["webhook", "list"]);
    let mut expected = created.clone();
    expected.as_object_mut().unwrap().remove("secret");
    assert_eq!(listed, json!([expected]));
    for (name, value) in [
        ("url", json!("https://hook.example.com/events?***")),
        ("accountId", json!("acme")),
        ("kinds", json!(["user.*", "group.created"])),
        ("format", json!("standard")),
        ("payload", json!("thin")),
        ("batchSize", json!(7)),
        ("rateLimit", json!(5)),
        ("headers", json!({"x-key": "***"})),
        ("signature", json!("hmac")),
        ("state", json!("active")),
        ("description", json!("Search index")),
    ] {
        assert_eq!(listed[0][name], value, "{name}");
    }
    let table = succeeds(data, &["webhook", "list"]);
    assert!(table.contains(&id) && !table.contains("s3cret") && !table.contains("hidden"), "{table}");

    let rotated = json_of(data, &["webhook", "rotate", &id, "--overlap", "30m"]);
    assert_ne!(rotated["secret"], created["secret"]);
    assert_eq!(rotated["webhookId"], id.as_str());
    let secrets = json_of(data, &["webhook", "list"])[0]["keys"].clone();
    assert_eq!(secrets.as_array().unwrap().len(), 2, "{secrets}");
    assert_eq!(secrets[0]["id"], rotated["id"]);
    assert!(secrets[0]["expiresAt"].is_null() && secrets[1]["expiresAt"].is_string(), "{secrets}");

    assert!(succeeds(data, &["webhook", "delete", &id.to_uppercase(), "--yes"]).contains(&id));
    assert_eq!(json_of(data, &["webhook", "list"]), json!([]));
    assert!(fails(&rollcall(data, &["webhook", "delete", &id, "--yes"]), 1).contains(&id));
}

#[test]
fn a_key_pair_has_a_public_key_and_no_secret_to_print() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    initialize(data);
    let create = ["webhook", "create", "--url", "https://hook.example.com/", "--signature", "ed25519"];
    let created = json_of(data, &create);
    assert!(created["secret"].is_null(), "{created}");
    let public = created["keys"][0]["publicKey"].as_str().unwrap();
    assert!(public.starts_with("whpk_"), "{created}");
    let printed = succeeds(data, &["webhook", "rotate", &id_of(&created)]);
    assert!(printed.contains("whpk_") && !printed.contains(public), "{printed}");
}

#[test]
fn what_cannot_work_is_refused_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    initialize(data);
    let url = "https://hook.example.com/";
    let id = id_of(&json_of(data, &["webhook", "create", "--url", url]));
    let table: &[(&[&str], i32, &str)] = &[
        (&["create"], 2, "--url"),
        (&["create", "--url", "http://127.0.0.1:9/"], 1, "--outgoing-allow-networks"),
        (&["create", "--url", "https://10.0.0.5/"], 1, "--outgoing-allow-networks"),
        (&["create", "--url", "http://hook.example.com/"], 1, "https://"),
        (&["create", "--url", "hook.example.com"], 1, "url"),
        (&["create", "--url", url, "--kinds", "user.*,user.renamed"], 2, "user.renamed"),
        (&["create", "--url", url, "--format", "xml"], 2, "frontegg"),
        (&["create", "--url", url, "--batch-size", "101"], 2, "--batch-size"),
        (&["create", "--url", url, "--header", "X-Key"], 2, "Name: value"),
        (&["create", "--url", url, "--header", "Host: a"], 1, "\"host\""),
        (&["create", "--url", url, "--account", "other"], 1, "no account"),
        (&["create", "--url", url, "--start", "soon"], 2, "latest"),
        (&["create", "--url", url, "--start", "99999"], 1, "start"),
        (&["create", "--url", url, "--start", "0", "--backfill"], 1, "backfill"),
        (&["rotate", &id, "--overlap", "8d"], 2, "7d"),
        (&["rotate", UNKNOWN_ID], 1, UNKNOWN_ID),
        (&["test", UNKNOWN_ID], 1, UNKNOWN_ID),
        (&["pause", "x"], 2, "rollcall webhook list"),
        (&["resume", &id, "--from", "latest"], 2, "--config-id"),
        (&["resume", &id, "--config-id", UNKNOWN_ID], 1, UNKNOWN_ID),
    ];
    for (arguments, code, named) in table {
        let reported = fails(&rollcall(data, &[&["webhook"], *arguments].concat()), *code);
        assert!(reported.contains(named), "{arguments:?}: {reported}");
    }
    assert_eq!(json_of(data, &["webhook", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_webhook_is_paused_and_resumed_as_a_whole_and_for_one_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    initialize(data);
    let configuration = id_of(&json_of(data, &["configuration", "create", "--account", "acme"]));
    let id = id_of(&json_of(data, &["webhook", "create", "--url", "https://hook.example.com/", "--start", "0"]));
    assert!(succeeds(data, &["webhook", "pause", &id]).contains("paused"));
    assert_eq!(json_of(data, &["webhook", "list"])[0]["state"], "paused");
    let skipped = rollcall(data, &["webhook", "resume", &id, "--config-id", &configuration, "--from", "latest"]);
    assert!(skipped.status.success(), "{skipped:?}");
    assert!(text(&skipped.stdout).contains("0 events wait"), "{skipped:?}");
    assert!(text(&skipped.stderr).contains("paused"), "{skipped:?}");
    let again = succeeds(data, &["webhook", "resume", &id, "--config-id", &configuration, "--from", "0"]);
    assert!(again.contains("1 events wait"), "{again}");
    assert!(succeeds(data, &["webhook", "resume", &id]).contains("active"));
    succeeds(data, &["webhook", "resume", &id, "--config-id", &configuration]);
}

#[test]
fn a_test_event_is_sent_at_once_and_the_response_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    initialize(data);
    let receiver = Receiver::answering(&[(200, "well \u{1b}[31mdone"), (500, "broken")]);
    let url = receiver.url();
    let created =
        json_of(data, &[&["webhook", "create", "--url", &url, "--header", "X-Key: abc"], &ALLOW[..]].concat());
    let id = id_of(&created);

    let printed = succeeds(data, &[&["webhook", "test", &id], &ALLOW[..]].concat());
    assert!(printed.contains("200") && printed.contains("well  [31mdone") && printed.contains(" ms"), "{printed}");
    let received = receiver.received();
    assert_eq!(received[0].line, "POST /hook HTTP/1.1");
    assert_eq!(received[0].header("x-key"), "abc");
    assert_eq!(received[0].json()["type"], "webhook.test");
    received[0].is_signed_by(created["secret"].as_str().unwrap());

    // The setting is found in a file and in the environment, too.
    let file = data.join("rollcall.toml");
    std::fs::write(&file, "outgoing_allow_networks = [\"127.0.0.1\"]\n").unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let failed = rollcall(data, &[&["webhook", "test", &id, "--output", "json"], &config[..]].concat());
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let outcome: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!(
        (&outcome["status"], &outcome["response"], &outcome["error"]),
        (&json!(500), &json!("broken"), &Value::Null)
    );
    assert!(outcome["durationMs"].is_u64(), "{outcome}");
    let with_variable = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args(["webhook", "test", &id, "--data-dir"])
        .arg(data)
        .env("ROLLCALL_OUTGOING_ALLOW_NETWORKS", "10.0.0.0/8,127.0.0.1")
        .output()
        .unwrap();
    assert!(text(&with_variable.stdout).contains("500"), "{with_variable:?}");

    let refused = rollcall(data, &["webhook", "test", &id]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stdout).contains("--outgoing-allow-networks"), "{refused:?}");
    assert_eq!(receiver.received().len(), 3);
}

/// A running `webhook listen` and the lines that it has printed.
struct Listener {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    fn start(server: &str, key: &str, flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.args(["webhook", "listen", "--server", server]).args(flags).env("ROLLCALL_API_KEY", key);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let printed = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    printed.lock().unwrap().push(line);
                }
            });
        }
        Self { child, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for a line with this text and returns it.
    #[track_caller]
    fn line_with(&self, part: &str) -> String {
        let find = || self.lines().into_iter().find(|line| line.contains(part));
        wait_until(&format!("a line with {part}"), || find().is_some());
        find().unwrap()
    }

    fn wait(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "it still runs: {:?}", self.lines());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn events_of_a_running_server_are_forwarded_in_signed_requests_and_in_order() {
    let app = App::shared();
    let client = app.configuration("other");
    let key = app.keyed(&["--permission", "directory.read"]).credential.unwrap();
    let receiver = Receiver::answering(&[(204, ""), (500, ""), (302, ""), (200, "")]);
    let (server, url) = (format!("http://{}", app.address), receiver.url());
    let flags = ["--forward", &url, "--config-id", &client.id, "--kinds", "user.*"];
    let mut listener = Listener::start(&server, &key, &flags);
    let secret = listener.line_with("whsec_").split_once("whsec_").map(|(_, rest)| format!("whsec_{rest}")).unwrap();

    let first = client.created("/Users", &user("forwarded-1"));
    let line = listener.line_with(&first);
    assert!(line.contains("user.created") && line.contains(&client.id), "{line}");
    wait_until("the first request", || receiver.received().len() == 1);
    let second = client.created("/Users", &user("forwarded-2"));
    listener.line_with("500");
    let third = client.created("/Users", &user("forwarded-3"));
    wait_until("the last request", || receiver.received().len() >= 5);
    listener.line_with("302");

    let requests = receiver.received();
    let mut seen = Vec::new();
    for request in &requests {
        request.is_signed_by(&secret);
        assert_eq!(request.header("content-type"), "application/json");
        let body = request.json();
        assert_eq!((&body["type"], &body["data"]["configurationId"]), (&json!("events"), &json!(client.id)));
        let events = body["data"]["events"].as_array().unwrap().clone();
        seen.extend(events.iter().map(|event| event["resourceId"].as_str().unwrap().to_owned()));
    }
    assert_eq!(seen, [first.clone(), second.clone(), second.clone(), second, third]);
    // The same request is repeated with the same id and the same bytes.
    assert_eq!(requests[1].header("webhook-id"), requests[3].header("webhook-id"));
    assert_eq!(requests[1].body, requests[3].body);
    // The event has the text of the feed.
    let sent = text(&requests[0].body);
    let start = sent.find("{\"seq\"").unwrap();
    let whole = &sent[start..sent.find("],\"configurationId\"").unwrap()];
    let seq = &requests[0].json()["data"]["events"][0]["seq"];
    let event = app.operator().get(&format!("/directory/resources/v1/events/{seq}")).answered(200);
    assert!(whole.contains(&first) && text(&event.answer.body) == whole, "{whole}");

    let interrupt = format!("kill -INT {}", listener.child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    assert_eq!(listener.wait(), Some(0), "{:?}", listener.lines());
}

#[test]
fn the_feed_is_followed_over_failures_and_from_the_position_that_the_server_gives() {
    let server = Receiver::answering(&[
        (200, r#"{"events":[],"nextAfter":"P1","hasMore":false}"#),
        (503, ""),
        (410, r#"{"errors":["events have expired"],"errorCode":"events_expired","statusCode":410,"restartFrom":"P2"}"#),
        (
            200,
            r#"{"events":[{"seq":5,"kind":"configuration.created","accountId":"acme","configurationId":"c-1","resourceType":null,"resourceId":null,"createdAt":"2026-07-14T09:30:01.000Z","data":{}}],"nextAfter":"P3","hasMore":false}"#,
        ),
        (403, r#"{"errors":["the key was revoked"],"errorCode":"forbidden","statusCode":403}"#),
    ]);
    let mut listener = Listener::start(&server.origin, "rck_test", &["--account", "a&b", "--kinds", "configuration.*"]);
    assert_eq!(listener.wait(), Some(1));
    listener.line_with("503");
    listener.line_with("events have expired");
    listener.line_with("the key was revoked");
    let line = listener.line_with("configuration.created");
    assert!(line.starts_with("2026-07-14T09:30:01.000Z") && line.ends_with("c-1"), "{line}");
    let requests = server.received();
    assert!(requests.iter().all(|one| one.header("authorization") == "Bearer rck_test"));
    let filter = "/directory/resources/v1/events?kind=configuration.*&account=a%26b";
    let lines: Vec<&str> = requests.iter().map(|one| one.line.as_str()).collect();
    let expected = [("latest", 0), ("P1", 30), ("P1", 30), ("P2", 30), ("P3", 30)];
    let expected = expected.map(|(after, wait)| format!("GET {filter}&after={after}&wait={wait} HTTP/1.1"));
    assert_eq!(lines, expected);
}

#[test]
fn following_the_feed_needs_a_server_that_accepts_the_key() {
    let app = App::shared();
    let server = format!("http://{}", app.address);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{free}");
    let folder = tempfile::tempdir().unwrap();
    let open_file = folder.path().join("open");
    std::fs::write(&open_file, "rck_x\n").unwrap();
    std::fs::set_permissions(&open_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "rck_wrong\n").unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (open_file, key_file) = (open_file.to_str().unwrap(), key_file.to_str().unwrap());
    let other = app.keyed(&["--permission", "provisioning.read"]).credential.unwrap();
    let other_file = folder.path().join("other");
    std::fs::write(&other_file, other).unwrap();
    std::fs::set_permissions(&other_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let table: &[(&[&str], i32, &str)] = &[
        (&["--server", &server], 1, "ROLLCALL_API_KEY"),
        (&["--server", &server, "--key-file", key_file], 1, "401"),
        (&["--server", &server, "--key-file", other_file.to_str().unwrap()], 1, "403"),
        (&["--server", &server, "--key-file", open_file], 1, "chmod"),
        (&["--server", &server, "--key-file", "/does/not/exist"], 1, "/does/not/exist"),
        (&["--server", &closed, "--key-file", key_file], 1, "does not answer"),
        (&["--server", &format!("{server}/other"), "--key-file", key_file], 1, "404"),
        (&["--server", "http://scim.example.com", "--key-file", key_file], 2, "https://"),
        (&["--server", &server, "--forward", "localhost:3000"], 2, "--forward"),
        (&["--server", &server, "--kinds", "users"], 2, "user.created"),
    ];
    for (arguments, code, named) in table {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.args(["webhook", "listen"]).args(*arguments).env_remove("ROLLCALL_API_KEY");
        let reported = fails(&command.stdin(Stdio::null()).output().unwrap(), *code);
        assert!(reported.contains(named), "{arguments:?}: {reported}");
    }
}
