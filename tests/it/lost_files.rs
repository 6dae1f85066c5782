//! Files of the data folder that are lost, emptied, replaced or damaged while no server runs: the next start and a restore
//! say so, instead of losing acknowledged writes or revocations.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::app::{App, Client, rollcall, serve_refuses, wait_until};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::portal::browser::{Browser, PASSWORD};
use crate::sample::user;

const KEYS: &str = "/directory/resources/v1/api-keys";
const DATABASE: &str = "rollcall.db";
const LOG: &str = "rollcall.db-wal";
const INDEX: &str = "rollcall.db-shm";
const MARKER: &str = "rollcall.marker";

fn copy_folder(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Runs a command that fails, and returns what it prints.
#[track_caller]
fn fail(data: &Path, arguments: &[&str]) -> String {
    let output = rollcall(data, arguments);
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    said
}

#[track_caller]
fn succeed(data: &Path, arguments: &[&str]) -> String {
    let output = rollcall(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The server, the check and the doctor refuse this folder, and say each of these texts.
#[track_caller]
fn check_refused(data: &Path, texts: &[&str]) {
    let serve = serve_refuses(data, Duration::from_mins(1)).stderr;
    let said = [String::from_utf8_lossy(&serve).into_owned(), fail(data, &["check"]), fail(data, &["doctor"])];
    for (text, said) in texts.iter().flat_map(|text| said.iter().map(move |said| (text, said))) {
        assert!(said.contains(text), "{text}: {said}");
    }
}

/// The files of a killed server. Its backup is older than the revocation of a key, which is in the log.
struct Killed {
    data: tempfile::TempDir,
    backup: std::path::PathBuf,
    client: Client,
    revoked: Caller,
    users: u64,
}

impl Killed {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut app = App::start(data.path());
        let (client, operator) = (app.configuration("other"), app.operator());
        client.created("/Users", &user("before"));
        let made = operator.post(KEYS, &json!({"name": "doomed"})).answered(201);
        assert_eq!(app.terminate(), Some(0));
        let backup = data.path().join("backup.db");
        succeed(data.path(), &["backup", backup.to_str().unwrap()]);
        let app = App::start(data.path());
        let client = client.at(app.address);
        for number in 0..5 {
            client.created("/Users", &user(&format!("first {number}")));
        }
        let operator = Caller { address: app.address, ..operator };
        operator.delete(&format!("{KEYS}/{}", made.text("clientId"))).answered(204);
        for number in 0..20 {
            client.created("/Users", &user(&format!("second {number}")));
        }
        app.kill();
        Self { data, backup, client, revoked: operator.with(&made.text("secret")), users: 26 }
    }

    fn restore(&self) -> [&str; 3] {
        ["restore", "--force", self.backup.to_str().unwrap()]
    }

    fn key_status(&self, data: &Path) -> u16 {
        let app = App::start(data);
        Caller { address: app.address, ..self.revoked.clone() }.get(CONFIGURATIONS).status
    }
}

#[test]
fn a_restore_over_a_damaged_database_does_not_bring_revoked_credentials_back_unless_it_is_accepted() {
    let killed = Killed::new();
    let undamaged = copy_folder(killed.data.path());
    assert!(succeed(undamaged.path(), &killed.restore()).contains("1 API keys that were revoked after the backup"));
    assert_eq!(killed.key_status(undamaged.path()), 401);
    let length = fs::metadata(killed.data.path().join(LOG)).unwrap().len();
    for at in [100, 4_000, length - 300] {
        let data = copy_folder(killed.data.path());
        let log = fs::OpenOptions::new().write(true).open(data.path().join(LOG)).unwrap();
        log.write_all_at(b"damage", at).unwrap();
        let before = fs::read(data.path().join(DATABASE)).unwrap();
        // The second attempt finds the damage, too.
        for _ in 0..2 {
            let said = fail(data.path(), &killed.restore());
            assert!(said.contains("cannot be read completely") && said.contains("--revoke-all-since"), "{at}: {said}");
        }
        assert_eq!(fs::read(data.path().join(DATABASE)).unwrap(), before);
        assert!(!data.path().join("rollcall.db.incoming").exists());
        check_refused(data.path(), &["rollcall restore"]);
        // What can be read is carried over also if nothing else is revoked.
        let since = if at == length - 300 { "2100-01-01T00:00:00Z" } else { "1970-01-01T00:00:00Z" };
        let said = succeed(data.path(), &[&killed.restore()[..], &["--revoke-all-since", since]].concat());
        assert!(said.contains("a part of the previous database cannot be read"), "{said}");
        let previous = said.split(" moved to ").nth(1).unwrap().lines().next().unwrap();
        let moved = fs::metadata(format!("{previous}-wal")).unwrap().len();
        assert_eq!(moved, length, "the damaged log is preserved");
        assert_eq!(killed.key_status(data.path()), 401);
    }
}

#[test]
fn a_restore_says_what_the_previous_file_is() {
    let killed = Killed::new();
    for (junk, text) in
        [(vec![0xa5; 9_000], "it is not a Rollcall database"), (b"notes".to_vec(), "not a Rollcall database")]
    {
        let data = copy_folder(killed.data.path());
        fs::write(data.path().join(DATABASE), junk).unwrap();
        for name in [LOG, INDEX] {
            fs::remove_file(data.path().join(name)).unwrap();
        }
        let said = fail(data.path(), &killed.restore());
        assert!(said.contains(text) && said.contains("--revoke-all-since"), "{said}");
        let said =
            succeed(data.path(), &[&killed.restore()[..], &["--revoke-all-since", "1970-01-01T00:00:00Z"]].concat());
        assert!(said.contains(text) && said.contains("API keys created since"), "{said}");
        assert_eq!(killed.key_status(data.path()), 401);
    }
    // Damaged pages with revocations.
    let data = copy_folder(killed.data.path());
    succeed(data.path(), &["check"]);
    let database = crate::app::open_database(data.path().join(DATABASE));
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let number = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let page = number("PRAGMA page_size") * (number("SELECT rootpage FROM sqlite_schema WHERE name = 'api_keys'") - 1);
    drop(database);
    let file = fs::OpenOptions::new().write(true).open(data.path().join(DATABASE)).unwrap();
    file.write_all_at(b"damage", page.unsigned_abs() + 1_000).unwrap();
    let said = fail(data.path(), &killed.restore());
    assert!(said.contains("api_keys") && said.contains("--revoke-all-since"), "{said}");
    assert!(!data.path().join("rollcall.db.incoming").exists());
    succeed(data.path(), &[&killed.restore()[..], &["--revoke-all-since", "1970-01-01T00:00:00Z"]].concat());
    assert_eq!(killed.key_status(data.path()), 401);
}

#[test]
fn a_log_that_was_removed_or_emptied_after_a_kill_is_refused_until_the_loss_is_accepted() {
    let killed = Killed::new();
    let (data, log) = (copy_folder(killed.data.path()), |data: &Path| data.join(LOG));
    let start = |data: &Path| {
        let app = App::start(data);
        killed.client.at(app.address).count("/Users")
    };
    assert_eq!(start(data.path()), killed.users);
    for bytes in [None, Some(0), Some(20)] {
        let data = copy_folder(killed.data.path());
        match bytes {
            None => fs::remove_file(log(data.path())).unwrap(),
            Some(bytes) => {
                fs::OpenOptions::new().write(true).open(log(data.path())).unwrap().set_len(bytes).unwrap();
            }
        }
        for _ in 0..2 {
            check_refused(data.path(), &["it is missing or empty", "rollcall accept-loss"]);
        }
        let said = fail(data.path(), &killed.restore());
        assert!(said.contains("it is missing or empty") && said.contains("--revoke-all-since"), "{said}");
        let said = succeed(data.path(), &["accept-loss", "--yes"]);
        assert!(said.contains("missing or empty") && said.contains("copied to"), "{said}");
        assert_eq!(start(data.path()), 1);
        // Another start of the machine: the index may be older than the log, so it says nothing.
        let data = copy_folder(killed.data.path());
        let lock = data.path().join("rollcall.lock");
        let recorded = fs::read_to_string(&lock).unwrap();
        assert_eq!(recorded.lines().count(), 2, "{recorded}");
        fs::write(&lock, "4711\nanother boot\n").unwrap();
        fs::write(log(data.path()), "").unwrap();
        assert_eq!(start(data.path()), 1);
    }
}

#[test]
fn no_kill_and_no_stop_leaves_files_that_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let mut client = app.configuration("other");
    let mut users = 0;
    for round in 0..30_u64 {
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let client = &client;
                scope.spawn(move || {
                    let mut number = 0;
                    while client
                        .request("POST", "/Users")
                        .json(&user(&format!("{round} {writer} {number}")))
                        .attempt()
                        .is_ok()
                    {
                        number += 1;
                    }
                });
            }
            // The log is emptied and starts again while the server writes.
            if round % 3 == 0 {
                let database = crate::app::open_database(data.path().join(DATABASE));
                database.busy_timeout(Duration::from_millis(50)).unwrap();
                for _ in 0..20 {
                    let _ = database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                }
            }
            std::thread::sleep(Duration::from_millis(round * 37 % 150));
            app.signal(if round % 5 == 4 { "TERM" } else { "KILL" });
        });
        app.wait_until_ended();
        app = App::try_start(data.path()).unwrap_or_else(|| {
            let said = serve_refuses(data.path(), Duration::from_mins(1)).stderr;
            panic!("round {round}: {}", String::from_utf8_lossy(&said))
        });
        client = client.at(app.address);
        users = client.count("/Users");
    }
    assert!(users > 30, "{users}");
}

#[test]
fn an_earlier_log_of_the_same_database_is_refused_and_given_up_as_a_whole() {
    let killed = Killed::new();
    let data = copy_folder(killed.data.path());
    let earlier = fs::read(data.path().join(LOG)).unwrap();
    let count = |data: &Path| {
        let mut app = App::start(data);
        let count = killed.client.at(app.address).count("/Users");
        assert_eq!(app.terminate(), Some(0));
        count
    };
    let mut app = App::start(data.path());
    let client = killed.client.at(app.address);
    for number in 0..20 {
        client.created("/Users", &user(&format!("third {number}")));
    }
    assert_eq!(app.terminate(), Some(0));
    fs::write(data.path().join(LOG), &earlier).unwrap();
    check_refused(data.path(), &["it is an earlier log", "rollcall accept-loss"]);
    succeed(data.path(), &["accept-loss", "--yes"]);
    assert_eq!(count(data.path()), killed.users + 20);
    assert_eq!(killed.key_status(data.path()), 401);
}

#[test]
fn a_restore_over_another_database_says_that_revocations_are_undone_and_disables_no_admin() {
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let owner = Browser::owner(&app);
    let backup = data.path().join("backup.db");
    succeed(data.path(), &["backup", backup.to_str().unwrap()]);
    assert_eq!(app.terminate(), Some(0));
    // A new machine on which the server was started once.
    let other = tempfile::tempdir().unwrap();
    App::start(other.path()).terminate();
    let said = succeed(other.path(), &["restore", "--force", backup.to_str().unwrap()]);
    assert!(said.contains("is not the one of the backup: revocations after the backup are undone"), "{said}");
    let app = App::start(other.path());
    let mut browser = Browser::anonymous(&app);
    assert_eq!(browser.submit_only("/login", &[("email", &owner.email), ("password", PASSWORD)]).status, 303);
}

#[test]
fn an_empty_file_or_another_database_next_to_the_marker_is_refused() {
    let killed = Killed::new();
    let data = copy_folder(killed.data.path());
    App::start(data.path()).terminate();
    for tables in ["", "CREATE TABLE t (x); DROP TABLE t"] {
        let data = copy_folder(data.path());
        let file = data.path().join(DATABASE);
        fs::write(&file, "").unwrap();
        crate::app::open_database(&file).execute_batch(tables).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().len() > 0, !tables.is_empty());
        check_refused(data.path(), &["is empty, but", MARKER]);
        fail(data.path(), &["backup", data.path().join("new.db").to_str().unwrap()]);
        fail(data.path(), &["configuration", "create", "--account", "new"]);
        let arguments = killed.restore();
        let said = succeed(data.path(), &arguments);
        assert!(said.contains("revocations after the backup are undone") || !tables.is_empty(), "{said}");
        App::start(data.path());
    }
    // Another database.
    let other = tempfile::tempdir().unwrap();
    App::start(other.path()).terminate();
    let away = other.path().join("away");
    fs::rename(other.path().join(DATABASE), &away).unwrap();
    fs::copy(data.path().join(DATABASE), other.path().join(DATABASE)).unwrap();
    check_refused(other.path(), &["is another database than the one before", MARKER]);
    fs::rename(&away, other.path().join(DATABASE)).unwrap();
    App::start(other.path()).terminate();
    // A restore replaces the database, and the marker with it.
    succeed(other.path(), &killed.restore());
    let id = |data: &Path| fs::read_to_string(data.join(MARKER)).unwrap();
    assert_eq!(id(other.path()), id(data.path()));
    App::start(other.path()).terminate();
    // The way out without a backup.
    fs::rename(other.path().join(DATABASE), &away).unwrap();
    let third = tempfile::tempdir().unwrap();
    App::start(third.path()).terminate();
    fs::copy(third.path().join(DATABASE), other.path().join(DATABASE)).unwrap();
    check_refused(other.path(), &[MARKER]);
    fs::remove_file(other.path().join(MARKER)).unwrap();
    App::start(other.path());
    assert_eq!(id(other.path()), id(third.path()));
}

#[test]
fn an_interrupted_restore_can_be_repeated_and_keeps_the_revocations() {
    let killed = Killed::new();
    // The database was renamed, its log was not.
    let data = copy_folder(killed.data.path());
    let renamed = data.path().join("rollcall.db.replaced-20260714T093000Z");
    fs::rename(data.path().join(DATABASE), &renamed).unwrap();
    fs::write(data.path().join("rollcall.db.incoming"), "half").unwrap();
    let said = succeed(data.path(), &["restore", killed.backup.to_str().unwrap()]);
    assert!(said.contains("1 API keys that were revoked after the backup") && said.contains("replaced-2026"), "{said}");
    assert_eq!(killed.key_status(data.path()), 401);
    let app = App::start(data.path());
    assert_eq!(killed.client.at(app.address).count("/Users"), 1);
    assert!(app.rollcall(&["check", "--deep"]).status.success());
}

#[test]
fn files_that_other_users_can_write_are_refused_and_a_folder_that_they_can_list_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let set_mode = |name: &str, mode| {
        fs::set_permissions(data.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    wait_until("there is a reserve", || data.path().join("rollcall.reserve").exists());
    app.kill();
    for name in [DATABASE, LOG, INDEX, MARKER, "rollcall.reserve", "rollcall.lock"] {
        for mode in [0o666, 0o620] {
            set_mode(name, mode);
            check_refused(data.path(), &[name, "writable by other users", "chmod go-w"]);
            assert_eq!(fs::metadata(data.path().join(name)).unwrap().permissions().mode() & 0o777, mode);
        }
        set_mode(name, 0o600);
    }
    set_mode(".", 0o755);
    let log = data.path().join("log");
    let app = App::start_in(data.path(), &[], &[], &log);
    let logged = || fs::read_to_string(&log).unwrap();
    wait_until("the log reports it", || logged().contains("other users may list the data folder"));
    let doctor = String::from_utf8(app.rollcall(&["doctor"]).stdout).unwrap();
    assert!(doctor.contains("Other users may list") && doctor.contains("chmod 700"), "{doctor}");
}
