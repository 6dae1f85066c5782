//! Acknowledged writes are durable: the real process is killed, stopped, started twice, and started on foreign files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::app::{App, Client, serve_refuses};
use crate::sample::{self, user};

/// Number of kills under load.
const ROUNDS: usize = 20;

/// SIGKILL does not simulate a power failure, but it reveals any answer that was sent before its commit.
#[test]
fn every_acknowledged_write_survives_being_killed_twenty_times() {
    // T61
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let mut client = app.configuration("other");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let made = Mutex::new(Vec::new());
        let lasts = Duration::from_millis(40 + 15 * u64::try_from(round).unwrap());
        under_load(&client, round, &made, || {
            std::thread::sleep(lasts);
            app.kill();
        });
        acknowledged.extend(made.into_inner().unwrap());
        app = App::start(data.path());
        client = client.at(app.address);
        let present = all_user_ids(&client);
        for id in &acknowledged {
            assert!(present.contains(id), "round {round}: user {id} was acknowledged and is gone");
        }
    }
    assert!(acknowledged.len() > ROUNDS, "the load was too small: {}", acknowledged.len());
    app.kill();
    assert!(crate::app::rollcall(data.path(), &["check"]).status.success());
}

/// Four clients create users until the server is gone; `until` stops the server.
fn under_load(client: &Client, round: usize, made: &Mutex<Vec<String>>, until: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let over = &over;
            scope.spawn(move || {
                for number in 0.. {
                    let request = client.request("POST", "/Users").json(&user(&format!("r{round}c{caller}n{number}")));
                    match request.attempt() {
                        Ok(answer) if answer.status == 201 => {
                            let document: Value = serde_json::from_slice(&answer.body).unwrap();
                            made.lock().unwrap().push(document["id"].as_str().unwrap().to_owned());
                        }
                        Ok(answer) => assert_eq!(answer.status, 503, "{:?}", String::from_utf8_lossy(&answer.body)),
                        Err(_) if over.load(Ordering::SeqCst) => return,
                        Err(_) => std::thread::sleep(Duration::from_millis(1)),
                    }
                }
            });
        }
        until();
        over.store(true, Ordering::SeqCst);
    });
}

/// Ids of all users, page by page.
fn all_user_ids(client: &Client) -> std::collections::HashSet<String> {
    let mut ids = std::collections::HashSet::new();
    loop {
        let page =
            client.get(&format!("/Users?attributes=id&count=500&startIndex={}", ids.len() + 1)).answered(200).json;
        let before = ids.len();
        let found = page["Resources"].as_array().unwrap().iter();
        ids.extend(found.map(|user| user["id"].as_str().unwrap().to_owned()));
        if ids.len() == before {
            assert_eq!(page["totalResults"].as_u64(), u64::try_from(ids.len()).ok(), "the counter and the rows differ");
            return ids;
        }
    }
}

#[test]
fn a_stop_under_load_truncates_no_answer_and_exits_with_zero() {
    // T71
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let client = app.configuration("other");
    let made = Mutex::new(Vec::new());
    let cut = AtomicBool::new(false);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let (client, made, cut, over) = (&client, &made, &cut, &over);
            scope.spawn(move || {
                for number in 0.. {
                    let request = client.request("POST", "/Users").json(&user(&format!("c{caller}n{number}")));
                    match request.attempt() {
                        Ok(answer) if answer.status == 201 => {
                            let document: Value = serde_json::from_slice(&answer.body).unwrap();
                            made.lock().unwrap().push(document["id"].as_str().unwrap().to_owned());
                        }
                        Ok(answer) => assert_eq!(answer.status, 503),
                        Err(why) if why.kind() == std::io::ErrorKind::UnexpectedEof => {
                            cut.store(true, Ordering::SeqCst);
                        }
                        Err(_) if over.load(Ordering::SeqCst) => return,
                        Err(_) => std::thread::sleep(Duration::from_millis(1)),
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        let code = app.terminate();
        over.store(true, Ordering::SeqCst);
        assert_eq!(code, Some(0));
    });
    assert!(!cut.load(Ordering::SeqCst), "an answer was cut short");
    let made = made.into_inner().unwrap();
    assert!(!made.is_empty());
    let again = App::start(data.path());
    let present = all_user_ids(&client.at(again.address));
    assert!(made.iter().all(|id| present.contains(id)), "an acknowledged write is gone");
}

#[test]
fn a_second_server_on_the_same_data_refuses_and_says_so() {
    // T49
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let client = app.configuration("other");
    let output = serve_refuses(data.path(), Duration::from_secs(20));
    let said = error_message(&output.stderr);
    assert!(said.contains("rollcall") || said.contains(&data.path().display().to_string()), "{said}");
    client.created("/Users", &user("the first server goes on"));
}

#[test]
fn a_file_that_is_not_a_database_is_refused_and_not_changed() {
    // T65
    let noise: Vec<u8> = (0..64 * 1024_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let text = b"These are my notes, not a database.".to_vec();
    let half_a_head = b"SQLite format 3\0".to_vec();
    for bytes in [noise, text, half_a_head] {
        let data = private_directory();
        let file = data.path().join("rollcall.db");
        fs::write(&file, &bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        // The rule is one second; a busy test machine gets more.
        let output = serve_refuses(data.path(), Duration::from_secs(20));
        let said = error_message(&output.stderr);
        assert!(said.contains("rollcall.db"), "{said}");
        assert_eq!(fs::read(&file).unwrap(), bytes, "the file was touched");
        assert!(!data.path().join("rollcall.db-wal").exists());
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_not_changed() {
    // T65
    let data = private_directory();
    let file = data.path().join("rollcall.db");
    let other = crate::app::open_database(&file);
    other.execute_batch("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine');").unwrap();
    drop(other);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::read(&file).unwrap();
    let said = error_message(&serve_refuses(data.path(), Duration::from_secs(20)).stderr);
    assert!(said.contains("rollcall.db"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    // T69
    let data = tempfile::tempdir().unwrap();
    App::start(data.path()).kill();
    let file = data.path().join("rollcall.db");
    let database = crate::app::open_database(&file);
    database.pragma_update(None, "user_version", 1_000_000).unwrap();
    drop(database);
    let said = error_message(&serve_refuses(data.path(), Duration::from_secs(20)).stderr);
    assert!(said.contains("1000000") || said.contains("newer"), "{said}");
}

#[test]
fn the_files_are_accessible_only_to_their_owner() {
    // T67, R-298
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("fresh");
    let app = App::start(&data);
    app.configuration("other").created("/Users", &user("x"));
    assert_eq!(mode(&data), 0o700);
    let mut seen = 0;
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 2, "the database and its log are there while the server runs");
}

#[test]
fn a_data_directory_that_others_may_write_is_refused() {
    // T67
    let data = private_directory();
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o777)).unwrap();
    error_message(&serve_refuses(data.path(), Duration::from_secs(20)).stderr);
}

#[test]
fn a_restart_keeps_ids_versions_and_times() {
    //
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let client = app.configuration("other");
    let path = format!("/Users/{}", client.created("/Users", &user("stays")));
    client.patch(&path, &sample::operation("replace", "title", &"x".into())).answered(200);
    let mut before = client.get(&path).answered(200).json;
    assert_eq!(app.terminate(), Some(0));
    let app = App::start(data.path());
    let mut after = client.at(app.address).get(&path).answered(200).json;
    // The port differs, and with it the URL.
    before["meta"]["location"] = Value::Null;
    after["meta"]["location"] = Value::Null;
    assert_eq!(after, before);
}

fn private_directory() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o700)).unwrap();
    data
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The content of stderr, which must be a message and no panic.
#[track_caller]
fn error_message(stderr: &[u8]) -> String {
    let said = String::from_utf8_lossy(stderr).into_owned();
    assert!(!said.trim().is_empty(), "nothing on stderr");
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
    said
}
