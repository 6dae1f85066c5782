//! The doctor: what it finds on a server that is well, and on one that is not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::app::{App, Request};
use crate::portal::browser::Browser;

fn doctor(data: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(["doctor", "--data-dir"]).arg(data).args(flags).envs(environment.iter().copied());
    command.stdin(Stdio::null()).output().unwrap()
}

/// What it found, and its exit code.
fn found(data: &Path, environment: &[(&str, &str)]) -> (Vec<Value>, i32) {
    let output = doctor(data, &["--output", "json"], environment);
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (found, output.status.code().unwrap())
}

#[track_caller]
fn one(found: &[Value], about: &str) -> (String, String) {
    let one = found.iter().find(|one| one["about"] == about).unwrap_or_else(|| panic!("{about} in {found:?}"));
    (one["grade"].as_str().unwrap().to_owned(), one["said"].as_str().unwrap().to_owned())
}

#[test]
fn each_finding_says_how_bad_it_is_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let app = App::start(&data);
    app.configuration("other");
    let (all, _) = found(&data, &[]);
    for about in ["Database", "Write-ahead log", "File modes", "Clock", "Tokens", "Encryption"] {
        assert_eq!(one(&all, about).0, "ok", "{all:?}");
    }
    // Nobody made an owner, said a public URL, or set a folder for backups.
    for about in ["Owners", "Public URL", "Backups"] {
        assert_eq!(one(&all, about).0, "warning", "{all:?}");
    }
    let has_next = |one: &Value| one["grade"] == "ok" || one["next"].as_str().is_some_and(|next| next.ends_with('.'));
    assert!(all.iter().all(has_next), "{all:?}");
    let table = String::from_utf8(doctor(&data, &[], &[]).stdout).unwrap();
    assert!(table.contains("warning  Backups: No backups are made by the server."), "{table}");
}

#[test]
fn what_is_mended_is_found_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backups) = (folder.path().join("data"), folder.path().join("backups"));
    let app = App::start_with(&data, &["--public-url", "https://scim.example.com"]);
    Browser::owner(&app);
    app.succeeds(&["backup", folder.path().join("made.db").to_str().unwrap()]);
    fs::create_dir(&backups).unwrap();
    fs::rename(folder.path().join("made.db"), backups.join("rollcall-20260714T093000Z.db")).unwrap();
    let (all, code) = found(&data, &[("ROLLCALL_BACKUP_DIR", backups.to_str().unwrap())]);
    for about in ["Owners", "Public URL", "Backups"] {
        assert_eq!(one(&all, about).0, "ok", "{all:?}");
    }
    assert_eq!(code, 0, "{all:?}");
}

#[test]
fn a_problem_ends_with_exit_code_one() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start_with(folder.path(), &["--public-url", "http://scim.example.com"]);
    let (all, code) = found(&app.data, &[]);
    assert_eq!((one(&all, "Public URL").0.as_str(), code), ("problem", 1));
    // A backup that is older than two turns of the schedule is missing.
    let backups = tempfile::tempdir().unwrap();
    let old = backups.path().join("rollcall-20260714T093000Z.db");
    fs::write(&old, "x").unwrap();
    let since = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    fs::File::options().write(true).open(&old).unwrap().set_modified(since).unwrap();
    let environment = [("ROLLCALL_BACKUP_DIR", backups.path().to_str().unwrap()), ("ROLLCALL_BACKUP_EVERY", "5m")];
    assert_eq!(one(&found(&app.data, &environment).0, "Backups").0, "problem");
}

#[test]
fn files_that_others_may_read_and_tokens_that_end_soon_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let app = App::start(&data);
    let client = app.configuration("other");
    app.succeeds(&["token", "rotate", &client.id, "--expires-in", "7d"]);
    fs::set_permissions(data.join("signing-key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let (all, _) = found(&data, &[]);
    assert_eq!(one(&all, "File modes").0, "warning");
    assert!(one(&all, "File modes").1.contains("signing-key.pem"), "{all:?}");
    assert_eq!(one(&all, "Tokens").0, "warning", "{all:?}");
}

#[test]
fn a_damaged_database_and_broken_settings_are_findings_and_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let (all, code) = found(folder.path(), &[]);
    assert_eq!((one(&all, "Database").0.as_str(), code), ("problem", 1));
    fs::write(folder.path().join("rollcall.db"), "this is no database at all, and long enough".repeat(200)).unwrap();
    assert_eq!(one(&found(folder.path(), &[]).0, "Database").0, "problem");
    let broken = [("ROLLCALL_BACKUP_KEEP", "none")];
    assert_eq!(one(&found(folder.path(), &broken).0, "Settings").0, "problem");
}

#[test]
fn the_portal_shows_the_same_and_says_on_the_start_page_what_cannot_wait() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let mut owner = Browser::owner(&app);
    let page = owner.get("/settings/doctor").answered(200);
    assert!(page.says("No backups are made by the server.") && page.says("Database"), "{}", page.text);
    assert!(!page.says("forwarding header and is no trusted proxy"));
    let start = owner.get("/").answered(200);
    assert!(!start.says("This server needs somebody"), "{}", start.text);
    Request::new(app.address, "GET", "/login").header("X-Forwarded-For", "203.0.113.9").send();
    for path in ["/settings/doctor", "/"] {
        assert!(owner.get(path).says("sent a forwarding header and is no trusted proxy"), "{path}");
    }
    assert!(owner.get("/").says("This server needs somebody"));
    app.configuration_of("only-this", "other");
    for (role, account) in [("viewer", None), ("provisioning-manager", None), ("owner", Some("only-this"))] {
        let mut other = Browser::with_role(&app, role, account);
        assert!(!other.get("/").answered(200).says("This server needs somebody"), "{role}");
    }
}

#[test]
fn a_backup_is_made_at_the_press_of_a_button() {
    let folder = tempfile::tempdir().unwrap();
    let backups = folder.path().join("backups");
    // One that is not due keeps the schedule quiet.
    fs::create_dir(&backups).unwrap();
    fs::write(backups.join("rollcall-20260714T093000Z.db"), "an older one").unwrap();
    let flags = ["--backup-dir", backups.to_str().unwrap(), "--backup-keep", "2"];
    let app = App::start_with(&folder.path().join("data"), &flags);
    let client = app.configuration("other");
    client.created("/Users", &crate::sample::user("kept"));
    let mut owner = Browser::owner(&app);
    let page = owner.get("/settings/backup").answered(200);
    assert!(page.says("rollcall-20260714T093000Z.db") && page.says("the last 2") && page.says("One every"));
    let page = owner.submit("/settings/backup", &[]).answered(200);
    assert!(page.says("The backup was made and checked."), "{}", page.text);
    let made: Vec<_> = fs::read_dir(&backups).unwrap().map(|entry| entry.unwrap().path()).collect();
    let made: Vec<_> = made.iter().filter(|path| fs::metadata(path).unwrap().len() > 4096).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(fs::metadata(made[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let elsewhere = folder.path().join("restored");
    let restored = crate::app::rollcall(&elsewhere, &["restore", made[0].to_str().unwrap()]);
    assert!(restored.status.success(), "{restored:?}");
    assert_eq!(App::start(&elsewhere).address.ip().to_string(), "127.0.0.1");
    assert!(owner.get("/audit").says("backup.created"));
}

#[test]
fn without_a_folder_the_page_says_how_to_set_one() {
    let mut owner = Browser::owner(App::shared());
    let page = owner.get("/settings/backup").answered(200);
    assert!(page.says("--backup-dir") && page.says("rollcall restore") && !page.says("Make a backup now"));
    owner.submit("/settings/backup", &[]).answered(409);
}
