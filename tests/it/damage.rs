//! Damaged files after a kill: each answer is right, or an error, or the server does not start. Nothing wrong is answered
//! with 200.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::app::{App, Client, Request, rollcall};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::sample::{encode, group, operation, user_with};

/// Damages of a normal run. `ROLLCALL_DAMAGES` sets another number, and `ROLLCALL_DAMAGE` the seed of the first.
const DAMAGES: u64 = 60;
const THREADS: u64 = 2;
const PAGE_BYTES: usize = 2_048;
const FILES: [&str; 3] = ["rollcall.db", "rollcall.db-wal", "rollcall.db-shm"];

/// The files of a killed server, and what a server on them answers.
struct Killed {
    folder: tempfile::TempDir,
    client: Client,
    caller: Caller,
    questions: Vec<Question>,
}

/// A request, and its right answer.
struct Question {
    path: String,
    is_scim: bool,
    answer: Value,
}

fn fill(client: &Client, prefix: &str, users: usize) -> Vec<String> {
    let ids: Vec<String> = (0..users)
        .map(|number| {
            let name = format!("{prefix}{number}");
            let more = json!({
                "displayName": format!("Name of {name}"), "externalId": format!("ext-{name}"), "active": number % 3 != 0,
                "emails": [{"value": format!("{name}@example.com"), "type": "work"}],
                "title": "x".repeat(40 * (number % 30)),
            });
            client.created("/Users", &user_with(&name, &more))
        })
        .collect();
    for chunk in ids.chunks(12) {
        let members: Vec<&str> = chunk.iter().map(String::as_str).collect();
        client.created("/Groups", &group(&format!("group of {}", members[0]), &members));
    }
    for id in ids.iter().step_by(5) {
        let change = operation("replace", "displayName", &json!(format!("New {id}")));
        client.patch(&format!("/Users/{id}"), &change).answered(200);
    }
    for id in ids.iter().skip(2).step_by(17) {
        client.delete(&format!("/Users/{id}")).answered(204);
    }
    ids
}

fn read(app: &App, (client, caller): (&Client, &Caller), question: (&str, bool)) -> std::io::Result<(u16, Value)> {
    let (path, is_scim) = question;
    let request = if is_scim {
        client.at(app.address).request("GET", path)
    } else {
        Caller { address: app.address, ..caller.clone() }.request("GET", path)
    };
    let answer = request.attempt()?;
    // Each start has another port.
    let text = String::from_utf8_lossy(&answer.body).replace(&app.address.to_string(), "server");
    Ok((answer.status, serde_json::from_str(&text).unwrap_or_default()))
}

impl Killed {
    /// A part of the data is in the database, a part in the write-ahead log.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut app = App::start(&data);
        let (client, caller) = (app.configuration("other"), app.operator());
        let mut ids = fill(&client, "first", 90);
        assert_eq!(app.terminate(), Some(0));
        let app = App::start(&data);
        ids.extend(fill(&client.at(app.address), "second", 40));
        app.kill();
        let killed = folder.path().join("killed");
        fs::create_dir(&killed).unwrap();
        copy_files(&data, &killed);
        assert!(fs::metadata(killed.join(FILES[1])).unwrap().len() > 200_000);
        let app = App::start(&data);
        let questions = list_questions(&app, (&client, &caller), &ids);
        Self { folder, client, caller, questions }
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("killed")
    }
}

fn list_questions(app: &App, callers: (&Client, &Caller), ids: &[String]) -> Vec<Question> {
    let mut paths: Vec<(String, bool)> = ids.iter().step_by(7).map(|id| (format!("/Users/{id}"), true)).collect();
    for start in [1, 41, 81] {
        paths.push((format!("/Users?count=40&startIndex={start}"), true));
    }
    paths.push(("/Groups?count=100".to_owned(), true));
    for filter in ["userName eq \"second7\"", "emails.value eq \"first8@example.com\"", "active eq false", "title pr"] {
        paths.push((format!("/Users?count=100&filter={}", encode(filter)), true));
    }
    for list in ["users?limit=500", "groups?limit=500", "events?after=0&limit=300", "events?limit=1000"] {
        paths.push((format!("/directory/resources/v1/{list}"), false));
    }
    paths.push((CONFIGURATIONS.to_owned(), false));
    let questions = paths.into_iter().map(|(path, is_scim)| {
        let (status, answer) = read(app, callers, (&path, is_scim)).unwrap();
        assert!(status == 200 || status == 404, "{path}: {status}");
        Question { path, is_scim, answer: without_usage(answer) }
    });
    questions.collect()
}

/// Times of use change with each request.
fn without_usage(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(fields) => {
            for field in ["lastSync", "lastSeen", "lastUsedAt", "instance", "health", "status", "requestId"] {
                fields.remove(field);
            }
            fields.values_mut().for_each(|value| *value = without_usage(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| *value = without_usage(value.take())),
        _ => {}
    }
    answer
}

fn copy_files(from: &Path, to: &Path) {
    for name in FILES {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// The numbers of one damage.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }
}

/// Damages one file, and describes how.
fn damage(folder: &Path, seed: u64) -> String {
    let mut random = Random(seed);
    let name = FILES[random.below(2)];
    let path = folder.join(name);
    let mut bytes = fs::read(&path).unwrap();
    let at = random.below(bytes.len());
    let block = at / PAGE_BYTES * PAGE_BYTES;
    let end = (block + PAGE_BYTES).min(bytes.len());
    let what = match random.below(6) {
        0 => {
            bytes[at] ^= 1 << random.below(8);
            format!("bit of byte {at}")
        }
        1 => {
            let length = 1 + random.below(64);
            bytes[at..].iter_mut().take(length).for_each(|byte| *byte = u8::try_from(random.below(256)).unwrap());
            format!("{length} bytes at {at}")
        }
        2 => {
            bytes[block..end].fill(0);
            format!("zeros at {block}")
        }
        3 => {
            let other = random.below(bytes.len() / PAGE_BYTES) * PAGE_BYTES;
            let copy = bytes[other..other + PAGE_BYTES].to_vec();
            bytes[block..end].copy_from_slice(&copy[..end - block]);
            format!("content of {other} at {block}")
        }
        4 => {
            bytes.truncate(at.max(1));
            format!("cut at {at}")
        }
        _ => {
            // A sector that was not written.
            let sector = at / 512 * 512;
            let end = (sector + 512).min(bytes.len());
            bytes[sector..end].fill(0xff);
            format!("sector at {sector}")
        }
    };
    // In place, because a server may have the file open.
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&bytes[block.min(bytes.len())..end.max(at + 64).min(bytes.len())], block.min(bytes.len()) as u64)
        .unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    format!("seed {seed}: {name}, {what}")
}

#[derive(Default)]
struct Figures {
    refused: AtomicU64,
    errors: AtomicU64,
    harmless: AtomicU64,
}

/// Starts a server on damaged files, or damages those of a running one, and reads everything.
fn judge(killed: &Killed, seed: u64, figures: &Figures) {
    let folder = tempfile::tempdir().unwrap();
    copy_files(&killed.files(), folder.path());
    let log = folder.path().join("log");
    let (what, started) = if seed.is_multiple_of(3) {
        let app = App::start_in(folder.path(), &[], &[], &log);
        (damage(folder.path(), seed), Some(app))
    } else {
        (damage(folder.path(), seed), App::try_start(folder.path()))
    };
    let Some(mut app) = started else {
        figures.refused.fetch_add(1, Ordering::Relaxed);
        let output = crate::app::serve_refuses(folder.path(), std::time::Duration::from_secs(20));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("rollcall.db") && !said.contains("panicked"), "{what}: {said}");
        return;
    };
    let mut errors = 0;
    for Question { path, is_scim, answer } in &killed.questions {
        match read(&app, (&killed.client, &killed.caller), (path, *is_scim)) {
            Ok((status, _)) if status >= 500 => errors += 1,
            Ok((status, found)) => assert_eq!(&without_usage(found), answer, "{what}: {path}: {status}"),
            // The rest of a streamed answer could not be read, so that it has no end, and the server continues. Or it was
            // still starting, and refuses to.
            Err(error) => {
                let health = Request::new(app.address, "GET", "/livez").attempt();
                if !health.is_ok_and(|health| health.status == 200) {
                    let logged = || fs::read_to_string(&log).unwrap_or_default();
                    let ended = app.wait_until_ended();
                    assert_eq!(ended.code(), Some(1), "{what}: {path}: {error}, {}", logged());
                    assert!(logged().contains("rollcall: the server cannot use its database"), "{what}: {}", logged());
                    figures.refused.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                errors += 1;
            }
        }
    }
    app.kill();
    if errors == 0 {
        figures.harmless.fetch_add(1, Ordering::Relaxed);
        return;
    }
    figures.errors.fetch_add(1, Ordering::Relaxed);
    assert!(!rollcall(folder.path(), &["check", "--deep"]).status.success(), "{what}: {errors} errors");
}

#[test]
fn no_damage_leads_to_a_wrong_answer() {
    let read_number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let damages = read_number("ROLLCALL_DAMAGES").unwrap_or(DAMAGES);
    let first = read_number("ROLLCALL_DAMAGE").unwrap_or(0);
    let killed = Killed::new();
    let figures = Figures::default();
    // The undamaged files are read without an error, and the deep check finds nothing.
    let copy = tempfile::tempdir().unwrap();
    copy_files(&killed.files(), copy.path());
    let checked = rollcall(copy.path(), &["check", "--deep"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (killed, figures) = (&killed, &figures);
            scope.spawn(move || {
                (first + thread..first + damages).step_by(2).for_each(|seed| judge(killed, seed, figures));
            });
        }
    });
    let [refused, errors, harmless] = [figures.refused, figures.errors, figures.harmless].map(AtomicU64::into_inner);
    println!("{damages} damages: {refused} starts refused, {errors} with errors, {harmless} of unused content");
    assert_eq!(refused + errors + harmless, damages);
    assert!(
        damages < DAMAGES || refused > damages / 4 && errors > damages / 30,
        "{refused} refused, {errors} with errors"
    );
}

#[test]
fn the_deep_check_finds_each_inconsistent_row_and_a_restore_refuses_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut app = App::start(&data);
    fill(&app.configuration("other"), "name", 20);
    assert_eq!(app.terminate(), Some(0));
    let user = "resource = (SELECT min(resource) FROM resources WHERE type = 'User')";
    let deleted = "seq = (SELECT max(seq) FROM events WHERE kind = 'user.deleted')";
    for (change, finding) in [
        (format!("UPDATE resources SET display_name_key = 'other' WHERE {user}"), "columns of"),
        (
            "DELETE FROM resource_values WHERE key = (SELECT min(key) FROM resource_values)".to_owned(),
            "is not in the index",
        ),
        (
            "INSERT INTO resource_values SELECT configuration, path, 'other', resource FROM resource_values LIMIT 1"
                .to_owned(),
            "1 index values more",
        ),
        (
            format!("UPDATE resources SET body = replace(body, 'example.com', 'example.org') WHERE {user}"),
            "do not lead to its document",
        ),
        (
            "DELETE FROM group_members WHERE group_resource = (SELECT min(group_resource) FROM group_members)"
                .to_owned(),
            "do not lead to its members",
        ),
        (
            format!(
                "INSERT INTO group_members SELECT (SELECT max(resource) FROM resources WHERE type = 'Group'), resource
                 FROM resources WHERE {user}"
            ),
            "do not lead to its members",
        ),
        (format!("DELETE FROM events WHERE {deleted}"), "is missing without its deletion"),
        (format!("UPDATE events SET kind = 'user.deleted' WHERE {deleted} + 1"), "exists after its deletion"),
    ] {
        let changed = folder.path().join("changed");
        fs::create_dir_all(&changed).unwrap();
        let file = changed.join("rollcall.db");
        fs::copy(data.join("rollcall.db"), &file).unwrap();
        let rows = crate::app::open_database(&file).execute(&change, []).unwrap();
        if rows == 0 {
            // No event follows the last deletion.
            continue;
        }
        let output = rollcall(&changed, &["check", "--deep"]);
        let found = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && found.contains(finding), "{change}: {found}");
        let again = folder.path().join("again");
        fs::create_dir(&again).unwrap();
        let refused = rollcall(&again, &["restore", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("--accept-findings"), "{change}: {said}");
        assert!(rollcall(&again, &["restore", file.to_str().unwrap(), "--accept-findings"]).status.success());
        fs::remove_dir_all(&again).unwrap();
    }
}

#[test]
fn a_damaged_log_is_refused_until_its_loss_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let client = app.configuration("other");
    let names = (0..30).map(|number| format!("user{number}"));
    let ids: Vec<String> = names.map(|name| client.created("/Users", &user_with(&name, &json!({})))).collect();
    app.kill();
    let log = folder.path().join(FILES[1]);
    let length = fs::metadata(&log).unwrap().len();
    fs::OpenOptions::new().write(true).open(&log).unwrap().write_all_at(b"damage", length / 10 * 9).unwrap();
    for _ in 0..2 {
        let output = crate::app::serve_refuses(folder.path(), std::time::Duration::from_secs(20));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("rollcall.db-wal") && said.contains("accept-loss"), "{said}");
    }
    let accepted = rollcall(folder.path(), &["accept-loss", "--yes"]);
    let said = String::from_utf8_lossy(&accepted.stdout);
    assert!(accepted.status.success() && said.contains("intact"), "{said}");
    let copies = fs::read_dir(folder.path()).unwrap().flatten();
    assert_eq!(copies.filter(|file| file.file_name().to_string_lossy().contains("damaged-")).count(), 2);
    let app = App::start(folder.path());
    let client = client.at(app.address);
    let left = client.count("/Users");
    assert!((1..30).contains(&left), "{left}");
    client.get(&format!("/Users/{}", ids[0])).answered(200);
    client.created("/Users", &user_with("later", &json!({})));
    drop(app);
    let again = rollcall(folder.path(), &["accept-loss", "--yes"]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("nothing was changed"));
}

#[test]
fn a_file_that_another_program_changed_is_restored_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut app = App::start(&data);
    let client = app.configuration("other");
    fill(&client, "name", 30);
    assert_eq!(app.terminate(), Some(0));
    // Without the file access that writes checksums.
    let file = data.join("rollcall.db");
    let flags = rusqlite::OpenFlags::default();
    let other = rusqlite::Connection::open_with_flags_and_vfs(&file, flags, c"unix").unwrap();
    other.execute("UPDATE configurations SET connection_name = 'changed'", []).unwrap();
    drop(other);
    crate::app::serve_refuses(&data, std::time::Duration::from_secs(20));
    let again = folder.path().join("again");
    fs::create_dir(&again).unwrap();
    let restore = ["restore", file.to_str().unwrap()];
    assert!(!rollcall(&again, &restore).status.success());
    let accepted = rollcall(&again, &[restore[0], restore[1], "--accept-findings"]);
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    let app = App::start(&again);
    assert!(client.at(app.address).count("/Users") > 20);
}
