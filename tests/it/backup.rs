//! Backups as an operator uses them: created while the server writes, refused if they would overwrite data, and
//! restored.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::app::{App, Client, Reply, rollcall, serve_refuses};
use crate::sample::{self, user};

/// Number of backups created under load.
const BACKUPS: usize = 20;

/// Runs a command that must succeed and returns its output.
#[track_caller]
fn run(data: &Path, arguments: &[&str]) -> String {
    let output = rollcall(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that must fail with one line on standard error, and returns that line.
#[track_caller]
fn refused(data: &Path, arguments: &[&str]) -> String {
    let output = rollcall(data, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A data folder with one user and without a running server, and a client for that user's configuration.
fn stopped_server() -> (tempfile::TempDir, Client) {
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let client = app.configuration("other");
    client.created("/Users", &user("before"));
    assert_eq!(app.terminate(), Some(0));
    (data, client)
}

/// Names of all users.
fn names(client: &Client) -> Vec<String> {
    let found = client.find("/Users", "userName pr");
    found.iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect()
}

/// Creates users until `until` returns. Adds the id of each acknowledged user to `made`.
fn under_load(client: &Client, made: &Mutex<Vec<String>>, until: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let over = &over;
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let id = client.created("/Users", &user(&format!("c{caller}n{number}")));
                    made.lock().unwrap().push(id);
                    // Some hundred writes per second are a load; more would only delay the backups.
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
        until();
        over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn twenty_backups_under_load_contain_every_previously_acknowledged_write() {
    // T68
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let client = app.configuration("other");
    let made = Mutex::new(Vec::new());
    let directory = tempfile::tempdir().unwrap();
    let file = |round: usize| directory.path().join(format!("{round}.db"));
    let mut acknowledged = Vec::new();
    under_load(&client, &made, || {
        for round in 0..BACKUPS {
            std::thread::sleep(Duration::from_millis(50));
            acknowledged.push(made.lock().unwrap().clone());
            run(data.path(), &["backup", text(&file(round))]);
        }
    });
    assert!(acknowledged[BACKUPS - 1].len() > acknowledged[0].len() + BACKUPS, "the load was too small");
    for (round, before) in acknowledged.iter().enumerate() {
        let again = tempfile::tempdir().unwrap();
        run(again.path(), &["restore", text(&file(round))]);
        run(again.path(), &["check"]);
        let restored = crate::app::open_database(again.path().join("rollcall.db"));
        let mut present = restored.prepare("SELECT 1 FROM resources WHERE id = ?1").unwrap();
        for id in before {
            assert!(present.exists([id]).unwrap(), "backup {round} lacks {id}, acknowledged before it was begun");
        }
    }
    let again = tempfile::tempdir().unwrap();
    run(again.path(), &["restore", text(&file(BACKUPS - 1))]);
    let second = App::start(again.path());
    let there = client.at(second.address);
    assert!(there.count("/Users") >= u64::try_from(acknowledged[BACKUPS - 1].len()).unwrap());
    there.created("/Users", &user("the restored server accepts writes"));
}

/// As Litestream does: a long read transaction, followed by a checkpoint.
#[test]
fn another_program_may_replicate_the_database_while_the_server_writes() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let client = app.configuration("other");
    let made = Mutex::new(Vec::new());
    under_load(&client, &made, || {
        let other = crate::app::open_database(data.path().join("rollcall.db"));
        other.busy_timeout(Duration::from_secs(5)).unwrap();
        for _ in 0..10 {
            other.execute_batch("BEGIN; SELECT count(*) FROM resources;").unwrap();
            std::thread::sleep(Duration::from_millis(100));
            other.execute_batch("COMMIT").unwrap();
            let busy: i32 = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
            assert_eq!(busy, 0, "the other program could not run its checkpoint");
        }
    });
    // Every request was answered with 201; otherwise the load itself would have failed.
    let made = made.into_inner().unwrap();
    assert_eq!(client.count("/Users"), u64::try_from(made.len()).unwrap());
}

#[test]
fn a_backup_is_one_private_file_and_overwrites_nothing_else() {
    // T67, T5
    let (data, client) = stopped_server();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let said = run(data.path(), &["backup", text(&file)]);
    assert!(said.contains("a.db") && said.contains("checked"), "{said}");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "there is no other file");
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.windows(client.token.len()).any(|window| window == client.token.as_bytes()));
    assert!(refused(data.path(), &["backup", text(&file)]).contains("--force"));
    assert_eq!(fs::read(&file).unwrap(), bytes);
    fs::write(&file, "something else").unwrap();
    run(data.path(), &["backup", "--force", text(&file)]);
    assert_eq!(fs::read(&file).unwrap().len(), bytes.len());
    for name in ["rollcall.db", "rollcall.db-wal", "rollcall.lock"] {
        let said = refused(data.path(), &["backup", "--force", text(&data.path().join(name))]);
        assert!(said.contains("the server uses"), "{said}");
    }
    for wrong in [directory.path().to_owned(), directory.path().join("no/such/folder.db")] {
        let said = refused(data.path(), &["backup", "--force", text(&wrong)]);
        assert!(said.contains(text(directory.path())), "{said}");
    }
    assert!(refused(&directory.path().join("nowhere"), &["backup", text(&file)]).contains("no database"));
}

#[test]
fn a_restore_preserves_the_previous_database() {
    // T68
    let (data, client) = stopped_server();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    run(data.path(), &["backup", text(&file)]);
    let app = App::start(data.path());
    client.at(app.address).created("/Users", &user("after"));
    let said = refused(data.path(), &["restore", "--force", text(&file)]);
    assert!(said.contains(&format!("process {}", app.pid())), "{said}");
    // The server is killed, so that the last write is only in the write-ahead log.
    app.kill();
    assert!(refused(data.path(), &["restore", text(&file)]).contains("--force"));
    let said = run(data.path(), &["restore", "--force", text(&file)]);
    let app = App::start(data.path());
    assert_eq!(names(&client.at(app.address)), ["before"]);
    assert_eq!(mode(&data.path().join("rollcall.db")), 0o600);
    drop(app);
    let saved = said.lines().next().unwrap().split(" moved to ").nth(1).unwrap();
    assert_eq!(mode(Path::new(saved)), 0o600);
    run(data.path(), &["restore", "--force", saved]);
    let app = App::start(data.path());
    let mut found = names(&client.at(app.address));
    found.sort();
    assert_eq!(found, ["after", "before"], "the moved database is complete");
}

#[test]
fn a_consumer_that_read_events_a_restore_removed_must_start_over() {
    let (data, client) = stopped_server();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    run(data.path(), &["backup", text(&file)]);
    let mut app = App::start(data.path());
    let ask = |app: &App, after: &str| app.operator().get(&format!("/directory/resources/v1/events?after={after}"));
    let next = |reply: Reply| reply.answered(200).text("nextAfter");
    let early = next(ask(&app, "latest"));
    client.at(app.address).created("/Users", &user("lost"));
    let page = ask(&app, &early).answered(200);
    let (late, last) = (page.text("nextAfter"), page.json["events"][0]["seq"].as_i64().unwrap());
    assert_eq!(app.terminate(), Some(0));
    run(data.path(), &["restore", "--force", text(&file)]);

    for round in 0..2 {
        let mut app = App::start(data.path());
        client.at(app.address).created("/Users", &user(&format!("new {round}")));
        for lost in [late.clone(), last.to_string()] {
            let response = ask(&app, &lost).answered(410);
            assert!(response.text("message").contains("restored backup"), "{}", response.json);
            assert_eq!(response.text("errorCode"), "events_expired");
            ask(&app, &response.text("restartFrom")).answered(200);
        }
        // A consumer at an earlier position loses nothing.
        let page = ask(&app, &early).answered(200).json;
        let new: Vec<&str> = page["events"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
        assert_eq!(new, vec!["user.created"; round + 1], "{page}");
        assert!(page["events"].as_array().unwrap().iter().all(|event| event["seq"].as_i64().unwrap() > last));
        assert_eq!(page["hasMore"], false);
        let end = page["nextAfter"].as_str().unwrap();
        assert_eq!(ask(&app, end).answered(200).json["events"], json!([]));
        assert_eq!(app.terminate(), Some(0));
    }
}

#[test]
fn an_invalid_backup_is_refused_with_the_fix_and_changes_nothing() {
    // T65, T69
    let (data, _) = stopped_server();
    let directory = tempfile::tempdir().unwrap();
    let good = directory.path().join("good.db");
    run(data.path(), &["backup", text(&good)]);
    let bytes = fs::read(&good).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let newer = file("newer", &bytes);
    let changed = crate::app::open_database(&newer);
    changed.pragma_update(None, "user_version", 99).unwrap();
    let number = |sql: &str| changed.query_row(sql, [], |row| row.get::<_, isize>(0)).unwrap().cast_unsigned();
    let length = number("PRAGMA page_size");
    let end = length * number("SELECT rootpage FROM sqlite_schema WHERE name = 'resources'");
    drop(changed);
    let other = directory.path().join("other");
    crate::app::open_database(&other).execute_batch("CREATE TABLE notes (x)").unwrap();
    let mut flipped = bytes.clone();
    // Indexes are built again, so it is a page of a table.
    flipped[end - length..end].fill(0xA5);
    let before = fs::read(data.path().join("rollcall.db")).unwrap();
    let table: [(PathBuf, &str); 8] = [
        (directory.path().join("missing"), "No such file"),
        (file("empty", b""), "not a Rollcall database"),
        (file("text", b"These are my notes."), "not a Rollcall database"),
        (file("noise", &[0xA5; 9000]), "not a Rollcall database"),
        (other, "not a Rollcall database"),
        (newer, "or newer"),
        (file("half", &bytes[..bytes.len() / 2]), "give an older backup"),
        (file("flipped", &flipped), "give an older backup"),
    ];
    for (path, fix) in table {
        let said = refused(data.path(), &["restore", "--force", text(&path)]);
        assert!(said.contains(fix) && said.contains(text(&path)), "{said}");
        assert_eq!(fs::read(data.path().join("rollcall.db")).unwrap(), before);
        assert!(!data.path().join("rollcall.db.incoming").exists(), "{said}");
    }
    run(data.path(), &["check"]);
}

#[test]
fn a_damaged_database_reports_how_to_restore_and_stays_on_disk() {
    // T65
    let (data, client) = stopped_server();
    let directory = tempfile::tempdir().unwrap();
    let good = directory.path().join("good.db");
    run(data.path(), &["backup", text(&good)]);
    let file = data.path().join("rollcall.db");
    let mut bytes = fs::read(&file).unwrap();
    bytes.truncate(10_000);
    fs::write(&file, &bytes).unwrap();
    let said = serve_refuses(data.path(), Duration::from_secs(20)).stderr;
    assert!(String::from_utf8_lossy(&said).contains("rollcall restore"), "{}", String::from_utf8_lossy(&said));
    assert!(refused(data.path(), &["backup", text(&directory.path().join("bad.db"))]).contains("damaged"));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no backup of a damaged database");
    let since = ["--revoke-all-since", "2100-01-01T00:00:00Z"];
    let said = refused(data.path(), &["restore", "--force", text(&good)]);
    assert!(said.contains(since[0]), "{said}");
    let said = run(data.path(), &["restore", "--force", text(&good), since[0], since[1]]);
    let saved = said.lines().next().unwrap().split(" moved to ").nth(1).unwrap();
    assert_eq!(fs::read(saved).unwrap(), bytes);
    let app = App::start(data.path());
    assert_eq!(names(&client.at(app.address)), ["before"]);
}

#[test]
fn a_plain_copy_with_its_write_ahead_log_is_restored_completely() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let client = app.configuration("other");
    client.created("/Users", &user("in the log"));
    app.kill();
    assert!(fs::metadata(data.path().join("rollcall.db-wal")).unwrap().len() > 0);
    let again = tempfile::tempdir().unwrap();
    run(again.path(), &["restore", text(&data.path().join("rollcall.db"))]);
    let app = App::start(again.path());
    assert_eq!(names(&client.at(app.address)), ["in the log"]);
}

#[test]
fn an_interrupted_restore_is_not_mistaken_for_an_empty_data_folder() {
    let (data, client) = stopped_server();
    let file = data.path().join("rollcall.db");
    let copy = data.path().join("copy.db");
    run(data.path(), &["backup", text(&copy)]);
    fs::rename(&file, data.path().join("rollcall.db.incoming")).unwrap();
    let said = serve_refuses(data.path(), Duration::from_secs(20)).stderr;
    assert!(String::from_utf8_lossy(&said).contains("rollcall restore"), "{}", String::from_utf8_lossy(&said));
    assert!(!file.exists());
    run(data.path(), &["restore", text(&copy)]);
    let app = App::start(data.path());
    assert_eq!(names(&client.at(app.address)), ["before"]);
}

#[test]
fn a_write_ahead_log_without_its_database_is_not_deleted() {
    let data = tempfile::tempdir().unwrap();
    App::start(data.path()).kill();
    fs::remove_file(data.path().join("rollcall.db")).unwrap();
    let log = fs::read(data.path().join("rollcall.db-wal")).unwrap();
    let said = serve_refuses(data.path(), Duration::from_secs(20)).stderr;
    assert!(String::from_utf8_lossy(&said).contains("its log exists"), "{}", String::from_utf8_lossy(&said));
    assert_eq!(fs::read(data.path().join("rollcall.db-wal")).unwrap(), log);
}

#[test]
fn scheduled_backups_keep_the_configured_number_of_files() {
    // T68
    let (data, _) = stopped_server();
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("backups");
    fs::create_dir(&folder).unwrap();
    for day in 1..=3 {
        let older = fs::File::create(folder.join(format!("rollcall-2020010{day}T000000Z.db"))).unwrap();
        older.set_modified(SystemTime::now() - Duration::from_hours(48)).unwrap();
    }
    for foreign in ["rollcall-keep-me.db", "notes.txt"] {
        fs::write(folder.join(foreign), "mine").unwrap();
    }
    let flags = ["--backup-dir", text(&folder), "--backup-every", "1h", "--backup-keep", "2"];
    let app = App::start_in(data.path(), &flags, &[], &directory.path().join("log"));
    let begun = Instant::now();
    let names = loop {
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        if names.len() == 4 || begun.elapsed() > Duration::from_mins(1) {
            break names;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(&names[..2], ["notes.txt", "rollcall-20200103T000000Z.db"]);
    assert_eq!(names[3], "rollcall-keep-me.db");
    assert_eq!(mode(&folder.join(&names[2])), 0o600);
    drop(app);
    let again = tempfile::tempdir().unwrap();
    run(again.path(), &["restore", text(&folder.join(&names[2]))]);
    run(again.path(), &["check"]);
}

/// Adds calls with large bodies to the request log, as many weeks of traffic would.
fn fill_request_log(data: &Path, calls: u32) {
    let database = crate::app::open_database(data.join("rollcall.db"));
    database
        .execute_batch(&format!(
            "BEGIN;
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {calls})
             INSERT INTO requests (configuration, id, at, duration_us, method, path, status, failed, notes, bodies)
             SELECT 1, printf('ffffffff-%08d', n), 0, 0, 'GET', '/Users', 200, 0, '[]', randomblob(2000) FROM n;
             UPDATE configuration_usage SET request_log_bytes = request_log_bytes + {calls} * (400 + 6 + 2 + 2000)
             WHERE configuration = 1;
             COMMIT; PRAGMA wal_checkpoint(TRUNCATE);"
        ))
        .unwrap();
}

#[test]
fn a_backup_leaves_out_the_request_log_unless_it_is_requested() {
    const CALLS: u32 = 15_000;
    const LOG_BYTES: u64 = CALLS as u64 * 2_000;
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let client = app.configuration("other");
    let made = Mutex::new(Vec::new());
    under_load(&client, &made, || {
        while made.lock().unwrap().len() < 1_500 {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let users = made.lock().unwrap().len() as u64;
    assert_eq!(app.terminate(), Some(0));
    fill_request_log(data.path(), CALLS);
    run(data.path(), &["check"]);
    let folder = tempfile::tempdir().unwrap();
    let [small, large] = ["small.db", "large.db"].map(|name| folder.path().join(name));
    let said = run(data.path(), &["backup", text(&small)]);
    assert!(said.contains("without the request log"), "{said}");
    run(data.path(), &["backup", "--with-log", text(&large)]);
    let bytes = |path: &Path| path.metadata().unwrap().len();
    assert!(bytes(&large) > LOG_BYTES, "{}", bytes(&large));
    // At most 10 MB for 6,000 users.
    assert!(bytes(&small) < users * 10_000_000 / 6_000, "{} bytes for {users} users", bytes(&small));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no other files are left");
    for (file, rows, is_empty) in [(&small, 0, true), (&large, i64::from(CALLS), false)] {
        let again = tempfile::tempdir().unwrap();
        let said = run(again.path(), &["restore", text(file)]);
        assert_eq!(said.contains("the log is empty"), is_empty, "{said}");
        run(again.path(), &["check"]);
        let database = crate::app::open_database(again.path().join("rollcall.db"));
        let sql = "SELECT count(*) FROM requests WHERE id LIKE 'ffffffff%'";
        let found: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(found, rows);
        let app = App::start(again.path());
        assert_eq!(client.at(app.address).count("/Users"), users);
    }
}

#[test]
fn a_failed_scheduled_backup_is_logged_as_an_error_and_the_server_continues() {
    let (data, client) = stopped_server();
    let directory = tempfile::tempdir().unwrap();
    let (not_a_folder, log) = (directory.path().join("file"), directory.path().join("log"));
    fs::write(&not_a_folder, "").unwrap();
    let mut app = App::start_in(data.path(), &[], &[("ROLLCALL_BACKUP_DIR", text(&not_a_folder))], &log);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(1) && !fs::read_to_string(&log).unwrap().contains("BACKUP FAILED") {
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = fs::read_to_string(&log).unwrap();
    let line = said.lines().find(|line| line.contains("BACKUP FAILED")).unwrap_or_else(|| panic!("{said}"));
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert!(line["problem"].as_str().unwrap().contains(text(&not_a_folder)), "{line}");
    client.at(app.address).created("/Users", &user("goes on"));
    assert_eq!(app.terminate(), Some(0));
}

#[test]
fn the_check_finds_errors_that_no_constraint_prevents() {
    let (data, client) = stopped_server();
    let app = App::start(data.path());
    let client = client.at(app.address);
    let id = client.created("/Users", &user("member"));
    client.created("/Groups", &sample::group("G", &[&id]));
    drop(app);
    run(data.path(), &["check"]);
    for (change, back, finding) in [
        ("UPDATE resource_counts SET total = total + 1", "UPDATE resource_counts SET total = total - 1", "resources"),
        (
            "UPDATE resources SET member_count = member_count + 1",
            "UPDATE resources SET member_count = member_count - 1",
            "members",
        ),
        (
            "INSERT INTO resource_values VALUES (1, 'emails.value', 'x', 4711)",
            "DELETE FROM resource_values WHERE resource = 4711",
            "indexed value",
        ),
        (
            "UPDATE configuration_usage SET members = members + 1; UPDATE account_usage SET members = members + 1",
            "UPDATE configuration_usage SET members = members - 1; UPDATE account_usage SET members = members - 1",
            "usage of a configuration",
        ),
        (
            "UPDATE configuration_usage SET active_users = active_users - 1",
            "UPDATE configuration_usage SET active_users = active_users + 1",
            "usage of a configuration",
        ),
        (
            "UPDATE account_usage SET bytes = bytes - 1",
            "UPDATE account_usage SET bytes = bytes + 1",
            "usage of an account",
        ),
        (
            "UPDATE configuration_usage SET request_log_bytes = request_log_bytes + 1",
            "UPDATE configuration_usage SET request_log_bytes = request_log_bytes - 1",
            "request log",
        ),
        ("UPDATE resources SET body = '{' || body", "UPDATE resources SET body = substr(body, 2)", "not valid JSON"),
    ] {
        let database = crate::app::open_database(data.path().join("rollcall.db"));
        database.execute_batch(change).unwrap();
        let output = rollcall(data.path(), &["check"]);
        assert_eq!(output.status.code(), Some(1), "{change}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(finding), "{change}: {said}");
        database.execute_batch(back).unwrap();
        run(data.path(), &["check"]);
    }
}
