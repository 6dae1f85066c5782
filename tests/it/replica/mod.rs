//! Replication of the database with the real Litestream: what is in the replica after every kind of end, restores, and what the
//! operator sees. Without Litestream these tests report that they are skipped.

mod acknowledgement;
mod litestream;
mod machines;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::litestream::StorageServer;
use crate::app::{App, Client, rollcall, serve_with_refuses, wait_until};
use crate::http;
use crate::portal::browser::{Browser, wait_for_text};
use crate::sample::{user, user_with};

/// Lag that is allowed for a replica without faults.
const LAG_MAX: Duration = Duration::from_secs(4);

/// A data folder and a replica in another folder.
struct ReplicaFolders {
    folder: tempfile::TempDir,
}

impl ReplicaFolders {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    fn url(&self) -> String {
        format!("file://{}", self.folder.path().join("replica").display())
    }

    fn start(&self) -> App {
        self.start_with(&[])
    }

    /// With additional flags.
    fn start_with(&self, flags: &[&str]) -> App {
        let url = self.url();
        let all: Vec<&str> = ["--replica-url", &url].into_iter().chain(flags.iter().copied()).collect();
        App::start_with(&self.data(), &all)
    }

    /// Restores the replica into a new folder, and starts a server on it.
    fn restore(&self, flags: &[&str]) -> App {
        restore_into(&self.folder.path().join(format!("restored-{}", flags.len())), &self.url(), flags)
    }
}

/// Restores a replica into a new folder, checks it, and starts a server on it.
fn restore_into(data: &Path, url: &str, flags: &[&str]) -> App {
    std::fs::create_dir(data).unwrap();
    let mut arguments = vec!["restore", "--from-replica", "--replica-url", url];
    arguments.extend(flags);
    let output = rollcall(data, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let checked = rollcall(data, &["check", "--deep"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    assert!(!data.join("replica-restore").exists());
    App::start(data)
}

fn names(client: &Client) -> Vec<String> {
    let listed = client.get("/Users?count=1000&attributes=userName&sortBy=userName").answered(200).json;
    let users = listed["Resources"].as_array().cloned().unwrap_or_default();
    users.iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect()
}

fn create_users(client: &Client, prefix: &str, count: usize) -> Vec<String> {
    let create = |number| {
        let name = format!("{prefix}{number:04}");
        client.created("/Users", &user(&name));
        name
    };
    (0..count).map(create).collect()
}

/// Waits until the server reports that everything is in the replica.
fn wait_until_complete(data: &Path, url: &str) {
    wait_until("the replica is complete", || {
        let output = run_with_replica(data, url, &["doctor", "--output", "json"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let findings = found.as_array().cloned().unwrap_or_default();
        findings.iter().any(|one| one["about"] == "Replica" && one["said"] == "Everything is in the replica.")
    });
}

/// Runs a command with the settings of the server.
fn run_with_replica(data: &Path, url: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(arguments).arg("--data-dir").arg(data);
    command.env("ROLLCALL_CONFIG", "/dev/null").env("ROLLCALL_REPLICA_URL", url).output().unwrap()
}

#[test]
fn a_server_without_litestream_refuses_and_says_how_to_install_it() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--replica-url", "file:///nonexistent/replica", "--replica-program", "/nonexistent/litestream"];
    let output = serve_with_refuses(&folder.path().join("data"), &flags, Duration::from_secs(20));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/nonexistent/litestream was not found") && said.contains("litestream.io/install"), "{said}");
    for (arguments, named) in
        [(&["restore", "--from-replica"][..], "--replica-url"), (&["replica", "prove"], "next start")]
    {
        let output = rollcall(folder.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains("set replica_url in the settings file") && said.contains(named), "{said}");
    }
}

#[test]
fn an_empty_replica_and_an_absent_data_folder_are_named_in_one_sentence() {
    if !litestream::is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/replica", folder.path().display());
    let restore = |data: &Path, more: &[&str]| {
        let output = rollcall(data, &[&["restore", "--from-replica", "--replica-url", &url][..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        said
    };
    let data = folder.path().join("data");
    assert!(restore(&data, &[]).contains("create it, or name another one with --data-dir: No such file or directory"));
    std::fs::create_dir(&data).unwrap();
    assert!(restore(&data, &[]).contains(&format!("the replica {url} has no copy of the database: compare the URL")));
    let said = restore(&data, &["--at", "2001-01-01T00:00:00Z"]);
    assert!(said.contains("of 2001-01-01T00:00:00Z or earlier: give a later time with --at"), "{said}");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "nothing stays");
}

#[test]
fn a_server_without_a_replica_has_no_trace_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = App::start(folder.path());
    create_users(&app.configuration("other"), "u", 3);
    assert_eq!(app.terminate(), Some(0));
    let entries = std::fs::read_dir(folder.path()).unwrap().flatten();
    let found: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(!found.iter().any(|name| name.contains("litestream") || name.contains("replica")), "{found:?}");
    let database = crate::app::open_database(folder.path().join("rollcall.db"));
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%litestream%'";
    assert_eq!(database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn a_replica_has_every_acknowledged_write_after_a_stop_and_the_feed_leaps() {
    if !litestream::is_here() {
        return;
    }
    let folders = ReplicaFolders::new();
    let mut app = folders.start();
    let client = app.configuration("other");
    let created = create_users(&client, "u", 40);
    let ask = |app: &App, after: &str| app.operator().get(&format!("/directory/resources/v1/events?after={after}"));
    let position = ask(&app, "latest").answered(200).text("nextAfter");
    wait_until("Litestream runs", || litestream::find_pid(&folders.data()).is_some());
    let pid = litestream::find_pid(&folders.data()).unwrap();
    assert_eq!(app.terminate(), Some(0));
    assert!(!litestream::is_running(pid), "Litestream ends with the server");
    assert!(!folders.data().join("litestream.pid").exists());
    let again = folders.restore(&[]);
    assert_eq!(names(&client.at(again.address)), created);
    // The replica had everything that this consumer has read, so it continues; the new events have numbers after the gap.
    client.at(again.address).created("/Users", &user("new"));
    let page = ask(&again, &position).answered(200).json;
    assert_eq!(page["events"].as_array().unwrap().len(), 1, "{page}");
    assert!(page["events"][0]["seq"].as_i64().unwrap() > 100_000_000, "{page}");
    drop(again);
    // The same data folder starts again without a restore, and continues.
    let mut app = folders.start();
    let more = create_users(&client.at(app.address), "v", 5);
    assert_eq!(app.terminate(), Some(0));
    let third = folders.restore(&["--force"]);
    assert_eq!(names(&client.at(third.address)), [created, more].concat());
}

/// A command writes from a process of its own. Its end must not cut the log, which Litestream has not read yet.
#[test]
fn what_commands_write_is_in_the_replica() {
    if !litestream::is_here() {
        return;
    }
    let folders = ReplicaFolders::new();
    let app = folders.start();
    let first = app.configuration("other");
    wait_until_complete(&folders.data(), &folders.url());
    std::thread::sleep(Duration::from_millis(1_500));
    let log = folders.data().join("rollcall.db-wal");
    let mut clients = vec![first];
    for round in 0..4 {
        let before = std::fs::metadata(&log).unwrap().len();
        clients.push(app.configuration("other"));
        assert!(std::fs::metadata(&log).unwrap().len() > before, "the command has cut the log");
        create_users(&clients[round], "u", 3);
        std::thread::sleep(Duration::from_millis(400));
    }
    wait_until_complete(&folders.data(), &folders.url());
    litestream::kill(litestream::find_pid(&folders.data()).unwrap());
    app.kill();
    let restored = folders.restore(&[]);
    for client in &clients[..4] {
        assert_eq!(names(&client.at(restored.address)), ["u0000", "u0001", "u0002"]);
    }
}

#[test]
fn the_state_of_a_time_is_restored() {
    if !litestream::is_here() {
        return;
    }
    let folders = ReplicaFolders::new();
    let mut app = folders.start();
    let client = app.configuration("other");
    let mut states: Vec<(String, Vec<String>)> = Vec::new();
    let mut created = Vec::new();
    for round in 0..3 {
        created.extend(create_users(&client, &format!("r{round}-"), 5));
        wait_until_complete(&folders.data(), &folders.url());
        // The times of the replica have whole milliseconds, and those of its files the time of their upload.
        std::thread::sleep(Duration::from_millis(1_100));
        states.push((jiff::Timestamp::now().to_string(), created.clone()));
        std::thread::sleep(Duration::from_millis(1_100));
    }
    assert_eq!(app.terminate(), Some(0));
    for (number, (time, expected)) in states.iter().enumerate() {
        let data = folders.folder.path().join(format!("at-{number}"));
        let restored = restore_into(&data, &folders.url(), &["--at", time]);
        assert_eq!(&names(&client.at(restored.address)), expected, "state {number} at {time}");
    }
    let early = folders.folder.path().join("early");
    std::fs::create_dir(&early).unwrap();
    let url = folders.url();
    let output =
        rollcall(&early, &["restore", "--from-replica", "--replica-url", &url, "--at", "2001-01-01T00:00:00Z"]);
    assert!(!output.status.success());
    assert!(!early.join("rollcall.db").exists() && !early.join("replica-restore").exists());
}

#[test]
fn a_kill_of_the_server_and_of_litestream_loses_only_the_last_seconds() {
    if !litestream::is_here() {
        return;
    }
    let folders = ReplicaFolders::new();
    let app = folders.start();
    let client = app.configuration("other");
    wait_until_complete(&folders.data(), &folders.url());
    let mut acknowledged: Vec<(String, Instant)> = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        let name = format!("u{:05}", acknowledged.len());
        client.created("/Users", &user(&name));
        acknowledged.push((name, Instant::now()));
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = litestream::find_pid(&folders.data()).unwrap();
    // A consumer that has read to the end reads events that are lost with the machine.
    let ask = |app: &App, after: &str| app.operator().get(&format!("/directory/resources/v1/events?after={after}"));
    client.created("/Users", &user("last"));
    let position = ask(&app, "latest").answered(200).text("nextAfter");
    litestream::kill(pid);
    let killed = Instant::now();
    app.kill();
    let restored = folders.restore(&[]);
    let answer = ask(&restored, &position);
    let found = names(&client.at(restored.address));
    let lost: Vec<_> = acknowledged.iter().filter(|(name, _)| !found.contains(name)).collect();
    let oldest = lost.iter().map(|(_, at)| killed.duration_since(*at)).max().unwrap_or_default();
    println!("lost {} of {} acknowledged writes, the last {oldest:?}", lost.len(), acknowledged.len());
    assert!(oldest < LAG_MAX, "{oldest:?}");
    if !found.contains(&"last".to_owned()) {
        assert_eq!(answer.answered(410).text("errorCode"), "events_expired");
    }
    assert!(found.len() > acknowledged.len() / 4);
}

#[test]
fn a_server_that_was_killed_loses_nothing_and_starts_with_one_litestream() {
    if !litestream::is_here() {
        return;
    }
    let folders = ReplicaFolders::new();
    let app = folders.start();
    let client = app.configuration("other");
    let created = create_users(&client, "u", 20);
    wait_until("Litestream runs", || litestream::find_pid(&folders.data()).is_some());
    let first = litestream::find_pid(&folders.data()).unwrap();
    app.kill();
    assert!(litestream::is_running(first), "it continues without the server");
    let mut app = folders.start();
    assert!(!litestream::is_running(first), "the new server ends it");
    wait_until("the new one runs", || litestream::find_pid(&folders.data()).is_some_and(|pid| pid != first));
    let more = create_users(&client.at(app.address), "v", 5);
    assert_eq!(app.terminate(), Some(0));
    let restored = folders.restore(&[]);
    assert_eq!(names(&client.at(restored.address)), [created, more].concat());
}

#[test]
fn litestream_that_ends_is_started_again_and_nothing_is_lost() {
    if !litestream::is_here() {
        return;
    }
    let folders = ReplicaFolders::new();
    let mut app = folders.start();
    let client = app.configuration("other");
    let mut created = create_users(&client, "a", 5);
    wait_until_complete(&folders.data(), &folders.url());
    let first = litestream::find_pid(&folders.data()).unwrap();
    litestream::kill(first);
    created.extend(create_users(&client, "b", 5));
    wait_until("it is started again", || litestream::find_pid(&folders.data()).is_some_and(|pid| pid != first));
    created.extend(create_users(&client, "c", 5));
    wait_until_complete(&folders.data(), &folders.url());
    assert_eq!(app.terminate(), Some(0));
    let restored = folders.restore(&[]);
    assert_eq!(names(&client.at(restored.address)), created);
}

/// More than the log may hold: it must start again under load, with a scan that never pauses, and no page may be lost or damaged.
/// From 256 MiB on, scans wait until it has.
#[test]
fn the_log_starts_again_under_load_and_the_replica_is_equal() {
    if !litestream::is_here() {
        return;
    }
    let folders = ReplicaFolders::new();
    let mut app = folders.start();
    let client = app.configuration("other");
    let log = folders.data().join("rollcall.db-wal");
    let (mut largest, begun) = (0, Instant::now());
    let text = "x".repeat(8_000);
    let reader = std::thread::spawn({
        let client = client.clone();
        move || {
            let mut reads = 0_u32;
            while begun.elapsed() < Duration::from_secs(12) {
                // In a program without optimization the query can take too long.
                let status = client.get("/Users?count=50&filter=title%20co%20%22y%22").status;
                assert!([200, 400, 503].contains(&status), "{status}");
                reads += 1;
            }
            reads
        }
    });
    let mut count = 0_u64;
    while begun.elapsed() < Duration::from_secs(12) {
        client.created("/Users", &user_with(&format!("u{count:05}"), &json!({"title": text})));
        count += 1;
        largest = largest.max(std::fs::metadata(&log).unwrap().len());
    }
    assert!(reader.join().unwrap() > 0);
    println!("{count} writes, the log had at most {} KiB", largest >> 10);
    assert!(largest < 256 << 20, "{largest}");
    let finding = app.rollcall(&["check"]);
    assert!(finding.status.success(), "{}", String::from_utf8_lossy(&finding.stdout));
    assert_eq!(app.terminate(), Some(0));
    let restored = folders.restore(&[]);
    assert_eq!(client.at(restored.address).count("/Users"), count);
}

#[test]
fn a_proof_restores_the_replica_and_finds_damage() {
    if !litestream::is_here() {
        return;
    }
    let folders = ReplicaFolders::new();
    let app = folders.start();
    create_users(&app.configuration("other"), "u", 30);
    wait_until_complete(&folders.data(), &folders.url());
    let proven = run_with_replica(&folders.data(), &folders.url(), &["replica", "prove"]);
    let said = String::from_utf8_lossy(&proven.stdout).into_owned();
    assert!(proven.status.success() && said.contains("the replica is good"), "{said} {proven:?}");
    // Each file of the replica that has the first pages.
    let mut files = vec![folders.folder.path().join("replica")];
    let mut damaged = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().flatten().map(|entry| entry.path()));
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            std::fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    let proven = run_with_replica(&folders.data(), &folders.url(), &["replica", "prove"]);
    let said = String::from_utf8_lossy(&proven.stderr).into_owned();
    assert!(!proven.status.success() && said.contains("the replica is not good"), "{said} {proven:?}");
    assert!(!folders.data().join("replica-proof-command").exists());
    let found = run_with_replica(&folders.data(), &folders.url(), &["doctor"]);
    let said = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(said.contains("problem  Proof of the replica: The test"), "{said}");
}

#[test]
fn an_object_storage_that_stops_delays_no_write_and_gets_everything_later() {
    if !litestream::is_here() {
        return;
    }
    let Some(storage) = StorageServer::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let url = storage.url();
    let port = http::find_free_port().to_string();
    let metrics = format!("127.0.0.1:{port}");
    let flags = ["--replica-url", &url, "--replica-access-key-id", "test", "--metrics-listen", &metrics];
    let app = App::start_in(&data, &flags, &[("ROLLCALL_REPLICA_SECRET_ACCESS_KEY", "test-secret")], &log);
    let address = metrics.parse().unwrap();
    http::use_plain(address);
    let read_metrics = || {
        let request = "GET /metrics HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n\r\n";
        String::from_utf8(http::exchange(address, request.as_bytes()).unwrap().body).unwrap()
    };
    let read_metric = |name: &str| {
        let text = read_metrics();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_default().to_owned();
        line.rsplit(' ').next().unwrap_or_default().parse::<f64>().unwrap_or(-1.0)
    };
    let client = app.configuration("other");
    let mut created = create_users(&client, "a", 5);
    wait_until("everything is in the replica", || {
        read_metric("rollcall_replica_lag_seconds") == 0.0
            && read_metric("rollcall_replica_last_success_timestamp_seconds") > 0.0
    });
    assert!(!std::fs::read_to_string(data.join("litestream.yml")).unwrap().contains("test-secret"));
    storage.signal("STOP");
    let begun = Instant::now();
    created.extend(create_users(&client, "b", 20));
    assert!(begun.elapsed() < Duration::from_secs(5), "writes do not wait: {:?}", begun.elapsed());
    wait_until("the lag grows", || read_metric("rollcall_replica_lag_seconds") > 3.0);
    storage.signal("CONT");
    wait_until("the replica is complete again", || read_metric("rollcall_replica_lag_seconds") == 0.0);
    wait_until("its content is listed", || read_metric("rollcall_replica_bytes") > 0.0);
    assert!(read_metric("rollcall_replica_up") > 0.5);
    let text = read_metrics();
    let documented = include_str!("../../../docs/monitoring.md").split('`');
    // Those of the proof exist after the first one.
    for name in documented.filter(|name| name.starts_with("rollcall_replica_") && !name.contains([' ', '…'])) {
        assert!(name.contains("_proof_") || text.contains(&format!("\n{name} ")), "{name} in {text}");
    }
    app.kill();
    let again = folder.path().join("again");
    std::fs::create_dir(&again).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(["restore", "--from-replica", "--replica-url", &url, "--replica-access-key-id", "test", "--data-dir"]);
    command.arg(&again).env("ROLLCALL_CONFIG", "/dev/null").env("ROLLCALL_REPLICA_SECRET_ACCESS_KEY", "test-secret");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let restored = App::start(&again);
    assert_eq!(names(&client.at(restored.address)), created);
    if let Some(pid) = litestream::find_pid(&data) {
        litestream::kill(pid);
    }
}

#[test]
fn the_page_of_the_backups_shows_the_replica() {
    if !litestream::is_here() {
        return;
    }
    let folders = ReplicaFolders::new();
    let app = folders.start();
    create_users(&app.configuration("other"), "u", 2);
    wait_until_complete(&folders.data(), &folders.url());
    let mut owner = Browser::owner(&app);
    let page = wait_for_text(&mut owner, "/settings/backup", "<dt>Oldest restore point</dt><dd> <time").text;
    for expected in ["<h2 id=\"replica\">Replica</h2>", "<dt>Litestream</dt><dd>Running", "Oldest restore point"] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
}
