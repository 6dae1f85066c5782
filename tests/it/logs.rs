//! The server's log: every line of a request has the request id, and one event is one line for any input.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::app::{App, Request};

/// Waits until the log satisfies the condition; lines are written with a delay.
#[track_caller]
fn once(log: &Path, is_there: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(log).unwrap();
        if text.ends_with('\n') && is_there(&text) {
            return text;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn log_lines_of_a_request_contain_its_request_id() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let app = App::start_in(&folder.path().join("data"), &[], &[], &log);
    // No sign-in was started: the reason is logged deep inside, not in the request middleware.
    let reply = Request::new(app.address, "GET", "/login/sso/callback?state=x&code=y").send();
    let id = reply.header("x-request-id").to_owned();
    let text = once(&log, |text| text.contains("no_such_attempt") && text.contains("/login/sso/callback"));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_request: Vec<&Value> = lines.iter().filter(|line| line["request_id"] == id.as_str()).collect();
    assert_eq!(of_request.len(), 2, "{text}");
    assert!(of_request.iter().any(|line| line["reason"] == "no_such_attempt"), "{text}");
    let message = |line: &&Value| line["message"] == "request";
    assert!(lines.iter().filter(message).all(|line| line["request_id"].is_string()), "{text}");
}

#[test]
fn text_logs_have_one_line_per_event_and_no_control_characters() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    // The server logs no client input, but it logs unknown variable names.
    let name = "ROLLCALL_ODD\n2026-01-01T00:00:00Z  INFO forged\u{1b}[2J\u{202e}";
    let app = App::start_in(&folder.path().join("data"), &["--log-format", "text"], &[(name, "x")], &log);
    let client = app.configuration("other");
    let reply = client.get("/Users?count=1").answered(200);
    let id = reply.header("x-request-id").to_owned();
    let text = once(&log, |text| text.contains(&id));
    assert!(!text.chars().any(|letter| letter != '\n' && (letter.is_control() || letter == '\u{202e}')), "{text:?}");
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        assert!(fields.next().is_some_and(|time| time.contains('T') && time.ends_with('Z')), "{line}");
        assert!(fields.next().is_some_and(|level| ["INFO", "WARN", "ERROR"].contains(&level)), "{line}");
    }
    assert!(text.lines().any(|line| line.contains("WARN") && line.contains("forged\\x1b[2J\\u{202e}")), "{text}");
}
