//! Metrics on a separate listener: each metric changes with its event, and no label contains client data.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::app::{App, Request};
use crate::http::{self, Answer};
use crate::https::authority::Authority;
use crate::portal::browser::Browser;
use crate::sample::user;

const DOCUMENTED: &str = include_str!("../../docs/monitoring.md");

/// A server that exposes metrics on a free port.
struct MetricsServer {
    app: App,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

fn start_with_metrics(flags: &[&str]) -> MetricsServer {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let flags: Vec<&str> = ["--metrics-listen", "127.0.0.1:0"].iter().chain(flags).copied().collect();
    let app = App::start_in(&folder.path().join("data"), &flags, &[], &log);
    let address = address_in(&log);
    http::use_plain(address);
    MetricsServer { app, address, _folder: folder }
}

/// The address of the metrics listener from the log; lines are written with a delay.
fn address_in(log: &Path) -> SocketAddr {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(log).unwrap();
        let found = text.lines().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line["metrics"].as_str()?.parse().ok()
        });
        if let Some(address) = found {
            return address;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl MetricsServer {
    fn ask(&self, path: &str, head: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n{head}\r\n");
        http::exchange(self.address, request.as_bytes()).unwrap()
    }

    fn text(&self) -> String {
        let answer = self.ask("/metrics", "");
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    }

    /// The value on the line that starts with `line`.
    #[track_caller]
    fn value(&self, line: &str) -> f64 {
        let text = self.text();
        value_in(&text, line).unwrap_or_else(|| panic!("no {line} in\n{text}"))
    }

    /// Like `value`, as a whole number.
    #[track_caller]
    fn count(&self, line: &str) -> u64 {
        let text = self.text();
        let found = text.lines().find_map(|one| one.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no {line} in\n{text}"))
    }

    /// Waits until a value satisfies the condition; some values are updated in the background.
    #[track_caller]
    fn until(&self, line: &str, is_so: impl Fn(f64) -> bool) {
        let begun = Instant::now();
        while !value_in(&self.text(), line).is_some_and(&is_so) {
            assert!(begun.elapsed() < Duration::from_mins(1), "{line}\n{}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn value_in(text: &str, line: &str) -> Option<f64> {
    text.lines().find_map(|one| one.strip_prefix(line)?.trim().parse().ok())
}

#[test]
fn each_metric_changes_with_its_event() {
    let backups = tempfile::tempdir().unwrap();
    let server = start_with_metrics(&["--backup-dir", backups.path().to_str().unwrap()]);
    let before = server.text();
    let client = server.app.configuration("other");
    for at in 0..3 {
        client.created("/Users", &user(&format!("counted-{at}")));
    }
    client.post("/Users", &json!({})).refused(400, "invalidValue");
    client.get("/Users/unknown").refused(404, "");
    let count = "rollcall_request_duration_seconds_count{surface=\"scim\",";
    assert_eq!(server.count(&format!("{count}route=\"/Users\",method=\"POST\",status=\"2xx\"}}")), 3);
    assert_eq!(server.count(&format!("{count}route=\"/Users\",method=\"POST\",status=\"4xx\"}}")), 1);
    assert_eq!(server.count(&format!("{count}route=\"/Users/{{id}}\",method=\"GET\",status=\"4xx\"}}")), 1);
    let sum = server.value(
        "rollcall_request_duration_seconds_sum{surface=\"scim\",route=\"/Users\",method=\"POST\",status=\"2xx\"}",
    );
    assert!(sum > 0.0 && sum < 60.0, "{sum}");
    for (name, least) in [
        ("rollcall_commit_duration_seconds_count", 3.0),
        ("rollcall_commit_duration_seconds_sum", 1e-6),
        ("rollcall_batch_writes_sum", 3.0),
        ("rollcall_newest_event", 3.0),
        ("rollcall_database_bytes", 4096.0),
        ("rollcall_database_wal_bytes", 4096.0),
        ("process_resident_memory_bytes", 1e6),
        ("process_open_fds", 3.0),
        ("process_max_fds", 64.0),
        ("process_start_time_seconds", 1e9),
        ("rollcall_database_sound", 1.0),
    ] {
        assert!(server.value(&format!("{name} ")) >= least, "{name}: {}", server.text());
    }
    assert!(value_in(&before, "rollcall_newest_event ").unwrap() < server.value("rollcall_newest_event "));
    let unauthenticated = Request::new(server.app.address, "GET", &format!("{}/Users", client.base));
    unauthenticated.header("Authorization", "Bearer unknown-token").send().refused(401, "");
    assert_eq!(server.count("rollcall_wrong_tokens_total "), 1);
    // The first scheduled backup runs one second after the start.
    server.until("rollcall_last_backup_timestamp_seconds ", |at| at > 1e9);
    server.until("rollcall_request_log_waiting ", |waiting| waiting < 0.5);
    assert!(server.text().contains(&format!("rollcall_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn sign_ins_are_counted_without_names() {
    let server = start_with_metrics(&[]);
    let browser = Browser::owner(&server.app);
    let mut wrong = Browser::anonymous(&server.app);
    for _ in 0..5 {
        wrong.submit("/login", &[("email", &browser.email), ("password", "not the right one at all")]);
    }
    let outcomes = ["done", "refused", "throttled"]
        .map(|outcome| server.value(&format!("rollcall_sign_ins_total{{outcome=\"{outcome}\"}}")));
    assert!(outcomes[0] >= 1.0 && outcomes[1] >= 1.0 && outcomes[2] >= 1.0, "{outcomes:?}");
    assert!(server.value("rollcall_sessions ") >= 1.0);
    let text = server.text();
    assert!(!text.contains(&browser.email) && text.contains("surface=\"portal\",route=\"/login\""), "{text}");
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_is_exposed() {
    let backups = tempfile::tempdir().unwrap();
    let server = start_with_metrics(&["--backup-dir", backups.path().to_str().unwrap()]);
    server.until("rollcall_last_backup_timestamp_seconds ", |at| at > 1e9);
    let text = server.text();
    let kinds: Vec<(&str, &str)> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    for (name, kind) in &kinds {
        let name = if *kind == "counter" { format!("`{name}_total`") } else { format!("`{name}`") };
        assert!(DOCUMENTED.contains(&name), "docs/monitoring.md does not know {name}");
    }
    let rows = DOCUMENTED.lines().filter(|line| line.starts_with("| `rollcall_") || line.starts_with("| `process_"));
    for name in rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)) {
        // These metrics exist only if the server uses TLS, or with a replica, a lease or a standby (`tests/it/replica`).
        let is_exposed = kinds.iter().any(|(exposed, _)| *exposed == name.trim_end_matches("_total"));
        assert!(
            is_exposed
                || name == "rollcall_certificate_expiry_timestamp_seconds"
                || name.starts_with("rollcall_replica_")
                || ["rollcall_lease_", "rollcall_standby"].iter().any(|start| name.starts_with(start)),
            "{name} is documented and not exposed"
        );
    }
    assert!(text.contains("rollcall_commit_duration_seconds_bucket{le=\"+Inf\"}"), "{text}");
}

#[test]
fn no_label_contains_client_input() {
    let server = start_with_metrics(&[]);
    let client = server.app.configuration("other");
    for at in 0..300 {
        let path = format!("/made-up-{at}/{at}");
        let _ = client.get(&path);
        let _ = client.request_to("GET", &path).send();
        let _ = client.request_to("GET", &format!("/directory/resources/v1{path}")).send();
    }
    let _ = client.request("BREW", "/Users").send();
    let text = server.text();
    assert!(!text.contains("made-up") && !text.contains("BREW") && !text.contains(&client.id), "{text}");
    assert!(text.lines().count() < 400, "{}", text.lines().count());
    assert!(text.contains("method=\"other\""), "{text}");
}

#[test]
fn the_listener_answers_nothing_else_and_the_server_itself_no_metrics() {
    let server = start_with_metrics(&[]);
    for path in ["/", "/livez", "/metrics/", "/login", "/scim/v2/Users", "/directory/resources/v1/accounts"] {
        assert_eq!(server.ask(path, "").status, 404, "{path}");
    }
    let kind = server.ask("/metrics", "").header("content-type").unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(server.text().ends_with("# EOF\n"));
    assert_eq!(Request::new(server.app.address, "GET", "/metrics").send().status, 404);
}

#[test]
fn a_configured_token_protects_the_metrics() {
    let token = "a-token-of-the-monitor";
    let server = start_with_metrics(&["--metrics-token", token]);
    assert_eq!(server.ask("/metrics", "").status, 401);
    assert_eq!(server.ask("/metrics", "Authorization: Bearer another-token-of-it\r\n").status, 401);
    assert_eq!(server.ask("/metrics", &format!("Authorization: Bearer {token}\r\n")).status, 200);
}

#[test]
fn the_certificate_expiry_is_exposed_when_tls_is_used() {
    let authority = Authority::new();
    let (certificate, key) = (authority.certificate(), authority.key());
    let secure = start_with_metrics(&["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    let line = "rollcall_certificate_expiry_timestamp_seconds ";
    assert_eq!(format!("{:.0}", secure.value(line)), Authority::end().to_string());
    assert_eq!(value_in(&start_with_metrics(&[]).text(), line), None);
}
