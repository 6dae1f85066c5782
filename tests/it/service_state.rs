//! The state of the service: a database file that is moved or replaced, a disk that stalls, and commits that fail. A small
//! library, which the C compiler builds, makes the disk fail.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{App, Client, Reply, Request, rollcall, serve_refuses, wait_until};
use crate::caller::Caller;
use crate::portal::browser::Browser;
use crate::sample::user;

/// How many writes and syncs of the log fail, each in a run of its own. A new user needs two.
const CALLS_MAX: usize = 24;

fn readiness(app: &App) -> Reply {
    Request::new(app.address, "GET", "/readyz").send()
}

fn is_read_only(app: &App, cause: &str) -> bool {
    let reply = readiness(app);
    reply.status == 503 && String::from_utf8_lossy(&reply.answer.body).contains(&format!("read-only ({cause})"))
}

fn names(client: &Client) -> Vec<String> {
    let page = client.get("/Users?attributes=userName&count=1000").answered(200).json;
    let users = page["Resources"].as_array().unwrap().iter();
    users.map(|user| user["userName"].as_str().unwrap().to_owned()).collect()
}

/// A server on a disk that the test makes fail.
struct FaultyServer {
    folder: tempfile::TempDir,
    app: App,
}

impl FaultyServer {
    fn start(library: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("faults");
        fs::write(&file, "0 0 0 0").unwrap();
        let environment = [("LD_PRELOAD", library.to_str().unwrap()), ("FAULTY_DISK_FILE", file.to_str().unwrap())];
        let app = App::start_in(&folder.path().join("data"), &[], &environment, &folder.path().join("log"));
        Self { folder, app }
    }

    fn set_faults(&self, faults: &str) {
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("faults"));
        fs::write(&new, faults).unwrap();
        fs::rename(new, file).unwrap();
    }
}

fn build_library(folder: &Path) -> std::path::PathBuf {
    let library = folder.join("faulty_disk.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/disk/faulty_disk.c");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args([source, "-ldl"]).status();
    assert!(built.unwrap().success());
    library
}

/// Returns a browser whose session every worker has read.
fn sign_in_on_each_worker(app: &App) -> Browser {
    let mut browser = Browser::owner(app);
    for _ in 0..20 {
        assert!(!browser.get("/profile").answered(200).contains("read-only"));
    }
    browser
}

/// Every page of the portal says that the server is read-only, on each worker that has a connection.
fn check_portal_pages(browser: &Browser) {
    for path in ["/connections", "/audit", "/profile"] {
        wait_until("the page says it", || {
            let page = browser.clone().get(path);
            assert!(page.status == 503 || page.contains("The server is read-only."), "{path}: {}", page.text);
            page.status == 200
        });
    }
}

#[test]
fn a_database_that_moves_away_or_is_replaced_gets_no_acknowledged_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = App::start(folder.path());
    let client = app.configuration("other");
    let operator = app.operator();
    let first = client.created("/Users", &user("first"));
    client.get("/Users").answered(200);
    let browser = sign_in_on_each_worker(&app);
    let (database, away) = (folder.path().join("rollcall.db"), folder.path().join("away"));
    let acknowledged = AtomicUsize::new(0);
    let is_moved = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..4 {
            let (client, acknowledged, is_moved) = (&client, &acknowledged, &is_moved);
            scope.spawn(move || {
                for number in 0.. {
                    let was_moved = is_moved.load(Ordering::SeqCst);
                    let reply = client.post("/Users", &user(&format!("w{writer}n{number}")));
                    if reply.status == 201 {
                        assert!(!was_moved, "a write into a moved file was acknowledged");
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                        continue;
                    }
                    assert_eq!(reply.status, 503);
                    assert!(!reply.header("retry-after").is_empty());
                    if was_moved {
                        return;
                    }
                }
            });
        }
        thread::sleep(Duration::from_millis(200));
        fs::rename(&database, &away).unwrap();
        is_moved.store(true, Ordering::SeqCst);
    });
    wait_until("the server is read-only", || is_read_only(&app, "file_missing"));
    let refused = client.post("/Users", &user("refused"));
    assert_eq!(refused.status, 503, "{:?}", refused.json);
    assert!(refused.json["detail"].as_str().unwrap().contains("moved away"), "{:?}", refused.json);
    let api = operator.post("/directory/resources/v1/accounts", &json!({"id": "refused"})).problem(503);
    assert_eq!(api.json["errorCode"], "database_file_missing");
    check_portal_pages(&browser);
    // Open connections still read the file.
    client.get(&format!("/Users/{first}")).answered(200);
    assert_eq!(client.get("/Users").answered(200).json["Resources"][0]["id"], first.as_str());
    // The same file is back: the server continues.
    fs::rename(&away, &database).unwrap();
    wait_until("the server is ready", || readiness(&app).status == 200);
    client.created("/Users", &user("after"));
    // Another file is there.
    fs::rename(&database, &away).unwrap();
    fs::copy(&away, &database).unwrap();
    wait_until("the server is read-only", || is_read_only(&app, "file_replaced"));
    let settings = operator.get("/directory/resources/v1/settings").json;
    assert!(settings["service"]["state"] == "file_replaced" || settings["errorCode"] == "database_file_replaced");
    app.terminate();
    fs::remove_file(&database).unwrap();
    // Started without the file, the server does not begin empty.
    let refusal = String::from_utf8_lossy(&serve_refuses(folder.path(), Duration::from_secs(20)).stderr).into_owned();
    assert!(refusal.contains("missing"), "{refusal}");
    fs::rename(&away, &database).unwrap();
    let app = App::start(folder.path());
    let (present, least) = (client.at(app.address).count("/Users"), acknowledged.load(Ordering::SeqCst) + 2);
    assert!(present >= u64::try_from(least).unwrap(), "{present} of {least} are there");
}

#[test]
fn the_first_list_is_read_from_a_file_that_was_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let client = app.configuration("other");
    client.created("/Users", &user("first"));
    fs::rename(folder.path().join("rollcall.db"), folder.path().join("away")).unwrap();
    wait_until("the server is read-only", || is_read_only(&app, "file_missing"));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(names(&client), ["first"]));
        }
    });
    client.get("/Users?filter=title%20pr").answered(200);
}

#[test]
fn without_the_index_of_the_log_writes_are_refused_until_the_next_start() {
    // Another process would make a new index, and write into the log without knowing of the server.
    let folder = tempfile::tempdir().unwrap();
    let mut app = App::start(folder.path());
    let client = app.configuration("other");
    client.created("/Users", &user("before"));
    let (index, away) = (folder.path().join("rollcall.db-shm"), folder.path().join("away"));
    fs::rename(&index, &away).unwrap();
    wait_until("the server is read-only", || is_read_only(&app, "file_missing"));
    assert_eq!(client.post("/Users", &user("refused")).status, 503);
    // A command that only reads would make a new index too, and copy the log into the database.
    for command in [["configuration", "list"], ["api-key", "list"]] {
        let refused = app.rollcall(&command);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("rollcall.db-shm is missing"), "{command:?}: {said}");
    }
    app.rollcall(&["doctor"]);
    fs::rename(&away, &index).unwrap();
    wait_until("the server is ready", || readiness(&app).status == 200);
    client.created("/Users", &user("between"));
    fs::remove_file(&index).unwrap();
    wait_until("the server is read-only", || is_read_only(&app, "file_missing"));
    assert_eq!(client.post("/Users", &user("refused")).status, 503);
    app.terminate();
    let app = App::start(folder.path());
    let client = client.at(app.address);
    client.created("/Users", &user("after"));
    let mut found = names(&client);
    found.sort();
    assert_eq!(found, ["after", "before", "between"]);
    assert!(app.rollcall(&["check", "--deep"]).status.success());
}

#[test]
fn a_sync_that_stalls_ends_writes_with_503_and_the_server_recovers() {
    let library = tempfile::tempdir().unwrap();
    let server = FaultyServer::start(&build_library(library.path()));
    let client = server.app.configuration("other");
    let first = client.created("/Users", &user("first"));
    server.set_faults("1 0 0 12000");
    let begun = Instant::now();
    let (waiting, took) = thread::scope(|scope| {
        let waiting = scope.spawn(|| (client.post("/Users", &user("waiting")), begun.elapsed()));
        wait_until("the state is stalled", || is_read_only(&server.app, "stalled"));
        server.set_faults("2 0 0 0");
        let refused = client.post("/Users", &user("refused"));
        assert_eq!((refused.status, refused.header("retry-after")), (503, "10"), "{:?}", refused.json);
        client.get(&format!("/Users/{first}")).answered(200);
        let doctor = server.app.rollcall(&["doctor"]);
        let findings = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(findings.contains("read-only (stalled)"), "{findings}");
        waiting.join().unwrap()
    });
    assert!(took < Duration::from_mins(1), "{took:?}");
    // The sync completes after the deadline: its outcome is unknown to the caller.
    assert!(waiting.status == 503 || waiting.status == 201, "{:?}", waiting.json);
    if waiting.status == 503 {
        assert!(waiting.json["detail"].as_str().unwrap().contains("unknown"), "{:?}", waiting.json);
    }
    wait_until("the server is ready", || readiness(&server.app).status == 200);
    client.created("/Users", &user("after"));
    assert!(!names(&client).contains(&"refused".to_owned()));
}

/// Fails calls of the log while users are created, kills the server, and compares the answers with what the next start
/// finds.
fn check_failed_commits(library: &Path, first: usize, count: usize) -> usize {
    let server = FaultyServer::start(library);
    let client = server.app.configuration("other");
    client.created("/Users", &user("settled"));
    server.set_faults(&format!("1 {first} {count} 0"));
    let replies: Vec<(String, Reply)> = (0..CALLS_MAX / 2)
        .map(|number| {
            let name = format!("n{number}");
            let reply = client.post("/Users", &user(&name));
            (name, reply)
        })
        .collect();
    let FaultyServer { folder, app } = server;
    app.kill();
    let app = App::start(&folder.path().join("data"));
    let present = names(&client.at(app.address));
    let mut failed = 0;
    for (name, reply) in replies {
        let detail = reply.json["detail"].as_str().unwrap_or_default();
        if reply.status == 201 {
            assert!(present.contains(&name), "call {first}, {count} fail: {name} was acknowledged and is gone");
        } else {
            assert!(reply.status == 503, "{:?}", reply.json);
            failed += 1;
            let is_undone = detail.contains("nothing was changed");
            assert!(!is_undone || !present.contains(&name), "call {first}, {count} fail: {name} is there: {detail}");
            assert!(is_undone || detail.contains("unknown"), "{detail}");
        }
    }
    failed
}

#[test]
fn after_a_failed_commit_every_answer_is_true() {
    let folder = tempfile::tempdir().unwrap();
    let library = build_library(folder.path());
    let failed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for part in 0..4 {
            let (library, failed) = (&library, &failed);
            scope.spawn(move || {
                for first in (1 + part..CALLS_MAX).step_by(4) {
                    let count = [1, 2, 1_000][first % 3];
                    failed.fetch_add(check_failed_commits(library, first, count), Ordering::SeqCst);
                }
            });
        }
    });
    assert!(failed.load(Ordering::SeqCst) > CALLS_MAX / 2, "{failed:?} writes failed");
}

#[test]
fn a_key_of_a_killed_call_never_blocks_its_repetition() {
    const ACCOUNTS: &str = "/directory/resources/v1/accounts";
    let folder = tempfile::tempdir().unwrap();
    let mut app = App::start(folder.path());
    let mut operator = app.operator();
    let mut replayed = 0;
    for round in 0..12_u64 {
        let body = |number: usize| json!({"id": format!("r{round}n{number}")});
        let request = |operator: &Caller, number: usize| {
            let request = operator.request("POST", ACCOUNTS).json(&body(number));
            request.header("idempotency-key", &format!("repeated-{round}-{number}"))
        };
        let sent = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0.. {
                    sent.store(number, Ordering::SeqCst);
                    if request(&operator, number).attempt().is_err() {
                        return;
                    }
                }
            });
            thread::sleep(Duration::from_millis(60 + 7 * round));
            app.signal("KILL");
        });
        // Waits for its end.
        app.terminate();
        app = App::start(folder.path());
        operator = Caller { address: app.address, ..operator };
        let last = sent.load(Ordering::SeqCst);
        // The interrupted call and the one in front of it.
        for number in last.saturating_sub(1)..=last {
            let reply = request(&operator, number).send();
            assert_eq!(reply.status, 201, "{:?}", reply.json);
            replayed += usize::from(!reply.header("idempotent-replayed").is_empty());
        }
    }
    assert!(replayed >= 6, "{replayed} answers were repeated");
    assert!(rollcall(folder.path(), &["check"]).status.success());
}

#[test]
fn the_settings_of_the_server_contain_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let settings: Value = app.operator().get("/directory/resources/v1/settings").answered(200).json;
    assert_eq!(settings["service"], json!({"state": "ready", "message": null, "nextStep": null}));
}

#[test]
fn a_second_server_is_refused_without_the_lock_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = App::start(folder.path());
    let client = app.configuration("other");
    let lock = folder.path().join("rollcall.lock");
    for change in ["removed", "replaced"] {
        fs::remove_file(&lock).unwrap();
        if change == "replaced" {
            fs::write(&lock, "").unwrap();
        }
        let output = serve_refuses(folder.path(), Duration::from_secs(20));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("already uses"), "{change}: {error}");
        client.created("/Users", &user(change));
        if change == "removed" {
            // A refused start has made nothing.
            assert!(!lock.exists());
            fs::write(&lock, "").unwrap();
        }
    }
    assert_eq!(app.terminate(), Some(0));
    drop(App::start(folder.path()));
}

#[test]
fn writes_to_a_truncated_file_are_refused() {
    for (name, divisor) in [("rollcall.db", 2), ("rollcall.db-wal", 2), ("rollcall.db-wal", u64::MAX)] {
        let folder = tempfile::tempdir().unwrap();
        let app = App::start(folder.path());
        let client = app.configuration("other");
        for number in 0..50 {
            client.created("/Users", &user(&format!("u{number}")));
        }
        let path = folder.path().join(name);
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(fs::metadata(&path).unwrap().len() / divisor).unwrap();
        assert_eq!(client.post("/Users", &user("refused")).status, 503, "{name}");
        wait_until("the server is read-only", || is_read_only(&app, "damaged"));
        assert_eq!(client.post("/Users", &user("refused")).status, 503, "{name}");
        app.kill();
        // The start does not continue with a part of the data.
        let refusal = serve_refuses(folder.path(), Duration::from_secs(20)).stderr;
        assert!(!refusal.is_empty(), "{name}");
    }
}

#[test]
fn a_truncated_index_of_the_log_loses_no_write() {
    // SQLite maps the index into memory: a process that reads behind its end is ended by the system.
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let client = app.configuration("other");
    for number in 0..50 {
        client.created("/Users", &user(&format!("u{number}")));
    }
    let file = fs::OpenOptions::new().write(true).open(folder.path().join("rollcall.db-shm")).unwrap();
    file.set_len(0).unwrap();
    let request = client.request("POST", "/Users").json(&user("uncertain"));
    assert!(request.attempt().map_or(503, |answer| answer.status) >= 500);
    app.kill();
    let app = App::start(folder.path());
    let found = names(&client.at(app.address));
    assert!((50..=51).contains(&found.len()), "{found:?}");
}
