//! The size of the write-ahead log: while scans overlap, for one write, and when it cannot be checkpointed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::app::{App, Client, Request};
use crate::sample::{ENTERPRISE, USER, user, user_with};

/// Ceiling of the write-ahead log.
const LOG_MAX_BYTES: u64 = 64 << 20;

fn log_path(app: &App) -> PathBuf {
    app.data.join("rollcall.db-wal")
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn poll(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn create_users(client: &Client, count: usize) {
    thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                for number in (part..count).step_by(4) {
                    client.created("/Users", &user(&format!("u{number}")));
                }
            });
        }
    });
}

#[test]
fn the_log_stays_small_while_scans_overlap_and_writes_continue() {
    // Each document is in the log at least twice: as the resource and in its event.
    const ENOUGH_BYTES: u64 = LOG_MAX_BYTES * 3 / 2;
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--rate-limit", "0"]);
    let client = app.configuration("other");
    create_users(&client, 2_000);
    let (is_over, written, scans) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut largest = 0;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    // A scan that finds nothing: at times it is delayed, and it never fails.
                    client.get("/Users?filter=title%20co%20%22none%22").answered(200);
                    scans.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for writer in 0..2 {
            let (client, is_over, written) = (&client, &is_over, &written);
            scope.spawn(move || {
                let id = client.created("/Users", &user(&format!("large-{writer}")));
                for round in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    // SQLite does not write pages that stay equal.
                    let title = ["a", "b"][round % 2].repeat(60_000);
                    let large = user_with(&format!("large-{writer}"), &json!({"title": title}));
                    client.put(&format!("/Users/{id}"), &large).answered(200);
                    written.fetch_add(title.len() as u64, Ordering::SeqCst);
                }
            });
        }
        let begun = Instant::now();
        while written.load(Ordering::SeqCst) < ENOUGH_BYTES && begun.elapsed() < Duration::from_mins(3) {
            largest = largest.max(size(&log_path(&app)));
            thread::sleep(Duration::from_millis(20));
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(written.load(Ordering::SeqCst) >= ENOUGH_BYTES, "{written:?} bytes were written");
    assert!(largest < LOG_MAX_BYTES, "the log had {largest} bytes");
    assert!(largest > 0 && scans.load(Ordering::SeqCst) > 8);
    assert_eq!(client.count("/Users"), 2_002);
}

#[test]
fn one_new_user_costs_few_bytes_of_the_log() {
    // Before: 75 KiB with 18.6 pages of 4 KiB.
    const PER_USER_MAX: u64 = 50 << 10;
    const USERS: u64 = 200;
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let client = app.configuration("other");
    create_users(&client, 1_000);
    let reader = crate::app::open_database(folder.path().join("rollcall.db"));
    let count_logged = || {
        let second = crate::app::open_database(folder.path().join("rollcall.db"));
        let sql = "SELECT count(*) + coalesce(sum(missed), 0) FROM requests";
        second.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or_default().unsigned_abs()
    };
    poll("the calls are logged", || count_logged() >= 1_000);
    poll("the log is empty", || {
        let truncated = reader.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        truncated.is_ok_and(|busy| busy == 0)
    });
    // A snapshot of another program: the log only grows.
    reader.execute_batch("BEGIN; SELECT count(*) FROM instance;").unwrap();
    let before = size(&log_path(&app));
    for number in 0..USERS {
        let mail = format!("person{number}@example.com");
        let document = user_with(
            &mail,
            &json!({"schemas": [USER, ENTERPRISE], "externalId": format!("e{number}"), "active": true,
                "displayName": format!("Person {number}"), "name": {"givenName": "Per", "familyName": "Son"},
                "emails": [{"value": mail, "type": "work", "primary": true}],
                ENTERPRISE: {"employeeNumber": number.to_string(), "department": "Research"}}),
        );
        client.created("/Users", &document);
    }
    poll("the calls are logged", || count_logged() >= 1_000 + USERS);
    let each = (size(&log_path(&app)) - before) / USERS;
    assert!(each > 4_096, "{each} bytes: the log was not measured");
    assert!(each < PER_USER_MAX, "{each} bytes per user");
}

/// Runs a command whose files have at most 24 MiB; a larger write fails instead of ending the process.
const WITH_SMALL_FILES: &str = r#"trap '' XFSZ; ulimit -f 49152; exec "$@""#;

#[test]
fn a_checkpoint_that_fails_is_an_error_and_the_server_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new("sh");
    command.args(["-c", WITH_SMALL_FILES, "sh"]);
    let app = App::start_logged_through(command, &folder.path().join("data"), &log);
    let client = app.configuration("other");
    let first = client.created("/Users", &user("first"));
    let readiness = || Request::new(app.address, "GET", "/readyz").send();
    readiness().answered(200);
    let begun = Instant::now();
    let title = "x".repeat(60_000);
    for number in 0.. {
        let reply = readiness();
        if reply.status == 503 && String::from_utf8_lossy(&reply.answer.body).contains("checkpoint") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(2), "the server is still ready");
        let written = client.post("/Users", &user_with(&format!("u{number}"), &json!({"title": title})));
        if written.status != 201 {
            thread::sleep(Duration::from_millis(100));
        }
    }
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("THE WRITE-AHEAD LOG CANNOT BE CHECKPOINTED"), "{text}");
    client.get(&format!("/Users/{first}")).answered(200);
}
