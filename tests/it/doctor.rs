//! The doctor: its findings on a healthy server and on a server with problems.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::app::{App, Request};
use crate::portal::browser::Browser;

fn doctor(data: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(["doctor", "--config", "/dev/null", "--data-dir"]).arg(data).args(flags);
    command.envs(environment.iter().copied());
    command.stdin(Stdio::null()).output().unwrap()
}

/// The findings and the exit code.
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
fn each_finding_has_a_severity_and_a_fix() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let app = App::start(&data);
    app.configuration("other");
    let (all, _) = found(&data, &[]);
    for about in ["Database", "Write-ahead log", "File modes", "Clock", "Tokens", "Encryption"] {
        assert_eq!(one(&all, about).0, "ok", "{all:?}");
    }
    // The server has no owner, no public URL and no folder for backups.
    for about in ["Owners", "Public URL", "Backups"] {
        assert_eq!(one(&all, about).0, "warning", "{all:?}");
    }
    let has_next = |one: &Value| one["grade"] == "ok" || one["next"].as_str().is_some_and(|next| next.ends_with('.'));
    assert!(all.iter().all(has_next), "{all:?}");
    let table = String::from_utf8(doctor(&data, &[], &[]).stdout).unwrap();
    assert!(table.contains("warning  Backups: Automatic backups are off."), "{table}");
}

#[test]
fn fixed_problems_are_no_longer_findings() {
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
    // A backup older than two intervals of the schedule is a problem.
    let backups = tempfile::tempdir().unwrap();
    let old = backups.path().join("rollcall-20260714T093000Z.db");
    fs::write(&old, "x").unwrap();
    let since = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    fs::File::options().write(true).open(&old).unwrap().set_modified(since).unwrap();
    let environment = [("ROLLCALL_BACKUP_DIR", backups.path().to_str().unwrap()), ("ROLLCALL_BACKUP_EVERY", "5m")];
    assert_eq!(one(&found(&app.data, &environment).0, "Backups").0, "problem");
}

#[test]
fn files_readable_by_others_and_tokens_that_expire_soon_are_warnings() {
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
    let refused = crate::app::rollcall(folder.path(), &["doctor"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("no database"));
    fs::write(folder.path().join("rollcall.db"), "this is no database at all, and long enough".repeat(200)).unwrap();
    assert_eq!(one(&found(folder.path(), &[]).0, "Database").0, "problem");
    let broken = [("ROLLCALL_BACKUP_KEEP", "none")];
    assert_eq!(one(&found(folder.path(), &broken).0, "Settings").0, "problem");
}

#[test]
fn the_portal_shows_the_same_findings_and_warns_on_the_start_page() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path());
    let mut owner = Browser::owner(&app);
    let page = owner.get("/settings/doctor").answered(200);
    assert!(page.contains("Automatic backups are off.") && page.contains("Database"), "{}", page.text);
    assert!(!page.contains("forwarding header and is not a trusted proxy"));
    let start = owner.get("/").answered(200);
    assert!(start.contains("Needs attention") && start.contains("Automatic backups are off."), "{}", start.text);
    Request::new(app.address, "GET", "/login").header("X-Forwarded-For", "203.0.113.9").send();
    for path in ["/settings/doctor", "/"] {
        assert!(owner.get(path).contains("sent a forwarding header and is not a trusted proxy"), "{path}");
    }
    app.configuration_of("only-this", "other");
    for (role, account) in [("viewer", None), ("provisioning-manager", None), ("owner", Some("only-this"))] {
        let mut other = Browser::with_role(&app, role, account);
        let home = other.get("/").answered(200);
        assert!(!home.contains("forwarding header") && !home.contains("backups are off"), "{role}");
    }
}

#[test]
fn a_backup_can_be_created_in_the_portal() {
    let folder = tempfile::tempdir().unwrap();
    let backups = folder.path().join("backups");
    // A recent backup prevents a scheduled one.
    fs::create_dir(&backups).unwrap();
    fs::write(backups.join("rollcall-20260714T093000Z.db"), "an older one").unwrap();
    let flags = ["--backup-dir", backups.to_str().unwrap(), "--backup-keep", "2"];
    let app = App::start_with(&folder.path().join("data"), &flags);
    let client = app.configuration("other");
    client.created("/Users", &crate::sample::user("stored"));
    let mut owner = Browser::owner(&app);
    let page = owner.get("/settings/backup").answered(200);
    assert!(
        page.contains("rollcall-20260714T093000Z.db")
            && page.contains("The last 2")
            && page.contains("Automatic backup")
    );
    let page = owner.submit("/settings/backup", &[]).answered(200);
    assert!(page.contains("Backup created and verified."), "{}", page.text);
    let made: Vec<_> = fs::read_dir(&backups).unwrap().map(|entry| entry.unwrap().path()).collect();
    let made: Vec<_> = made.iter().filter(|path| fs::metadata(path).unwrap().len() > 4096).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(fs::metadata(made[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let name = made[0].file_name().unwrap().to_str().unwrap();
    let download = format!("/settings/backup/{name}");
    assert!(owner.get("/settings/backup").contains(&format!("href=\"{download}\" download")));
    let request = owner.request("GET", &download);
    let answer = request.attempt().unwrap();
    assert!(answer.status == 200 && answer.body == fs::read(made[0]).unwrap(), "{} bytes", answer.body.len());
    owner.get("/settings/backup/..%2Fdata%2Frollcall.db").answered(404);
    owner.submit("/settings/roles/new", &[("name", "Runner"), ("system.admin", "on")]).answered(200);
    let role = owner
        .get("/settings/roles")
        .text
        .rsplit("/settings/roles/")
        .next()
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    Browser::with_role(&app, &role, None).get(&download).answered(403);
    assert!(owner.get("/audit").contains("backup.downloaded"));
    let elsewhere = folder.path().join("restored");
    fs::create_dir(&elsewhere).unwrap();
    let restored = crate::app::rollcall(&elsewhere, &["restore", made[0].to_str().unwrap()]);
    assert!(restored.status.success(), "{restored:?}");
    assert_eq!(App::start(&elsewhere).address.ip().to_string(), "127.0.0.1");
    assert!(owner.get("/audit").contains("backup.created"));
}

#[test]
fn without_a_folder_the_page_says_how_to_set_one() {
    let mut owner = Browser::owner(App::shared());
    let page = owner.get("/settings/backup").answered(200);
    assert!(page.contains("--backup-dir") && page.contains("rollcall restore") && !page.contains("Create backup"));
    owner.submit("/settings/backup", &[]).answered(409);
}
