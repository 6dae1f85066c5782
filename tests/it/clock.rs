//! A clock of the machine that leaps while the server runs. A small library, which the C compiler builds, shifts the time
//! that the server reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::app::{App, wait_until};
use crate::portal::browser::Browser;

const SETTINGS: &str = "/directory/resources/v1/settings";
const DAY: i64 = 24 * 60 * 60;
const YEAR: i64 = 365 * DAY;

/// A server whose system clock the test shifts.
struct ShiftedServer {
    folder: tempfile::TempDir,
    app: App,
}

impl ShiftedServer {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), 0, &[])
    }

    /// Starts a server whose clock is shifted from the start, with its data in that folder.
    fn start_in(folder: tempfile::TempDir, seconds: i64, flags: &[&str]) -> Self {
        let library = build_library(folder.path());
        let file = folder.path().join("shift");
        fs::write(&file, seconds.to_string()).unwrap();
        let environment = [("LD_PRELOAD", library.to_str().unwrap()), ("SHIFTED_CLOCK_FILE", file.to_str().unwrap())];
        let app = App::start_in(&folder.path().join("data"), flags, &environment, &folder.path().join("log"));
        Self { folder, app }
    }

    fn shift(&self, seconds: i64) {
        // Renamed, so that the server never reads an empty file.
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("shift"));
        fs::write(&new, seconds.to_string()).unwrap();
        fs::rename(new, file).unwrap();
    }

    fn clock(&self) -> Value {
        self.app.operator().get(SETTINGS).answered(200).json["clock"].clone()
    }

    /// Waits until the server has noticed the shift; `None` means no difference.
    fn wait_for_difference(&self, seconds: Option<i64>) {
        let is_noticed = || match (self.clock()["differenceSeconds"].as_i64(), seconds) {
            (None, None) => true,
            (Some(found), Some(expected)) => (found - expected).abs() <= 2,
            _ => false,
        };
        wait_until("the server notices the clock", is_noticed);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

fn build_library(folder: &Path) -> PathBuf {
    let library = folder.join("shifted_clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/clock/shifted_clock.c");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args([source, "-ldl"]).status();
    assert!(built.unwrap().success());
    library
}

fn year_of(text: &str) -> i64 {
    text.split('-').next().unwrap().parse().unwrap()
}

#[test]
fn a_leap_of_the_clock_dates_and_ends_nothing() {
    let server = ShiftedServer::start();
    let client = server.app.configuration("okta");
    let mut owner = Browser::owner(&server.app);
    let before = client.post("/Users", &json!({"userName": "before"})).answered(201).json;
    let this_year = year_of(before["meta"]["created"].as_str().unwrap());
    for leap in [YEAR, -YEAR, 11 * 60, 2 * YEAR] {
        server.shift(leap);
        server.wait_for_difference(Some(leap));
        // The write is dated with the time of the server, the session and the token still work, and nothing expired.
        let name = format!("during {leap}");
        let user = client.post("/Users", &json!({"userName": name})).answered(201).json;
        let created = user["meta"]["created"].as_str().unwrap();
        assert!(
            (this_year..=this_year + 1).contains(&year_of(created))
                && created >= before["meta"]["created"].as_str().unwrap()
        );
        assert!(owner.get("/settings/doctor").contains("The clock of the machine leaped"));
    }
    // A command has the time of the server, not that of the machine.
    let shifted = [("LD_PRELOAD", "shifted_clock.so"), ("SHIFTED_CLOCK_FILE", "shift")];
    let run = |arguments: &[&str]| {
        let environment = shifted.map(|(name, file)| (name, server.folder.path().join(file)));
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.args(arguments).arg("--data-dir").arg(server.folder.path().join("data")).envs(environment);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(&["api-key", "create", "--name", "during", "--expires-in", "1d"]);
    let key = run(&["api-key", "list", "--output", "json"]);
    let keys: Value = serde_json::from_str(&key).unwrap();
    let made = keys.as_array().unwrap().iter().find(|key| key["name"] == "during").unwrap();
    for time in ["createdAt", "expiresAt"] {
        let year = year_of(made[time].as_str().unwrap());
        assert!((this_year..=this_year + 1).contains(&year), "{time}: {made}");
    }
    let events = server.app.operator().get("/directory/resources/v1/events?limit=100").answered(200).json;
    assert_eq!(events["events"].as_array().map(Vec::len), Some(6), "{events}");
    server.shift(0);
    server.wait_for_difference(None);
    assert!(!owner.get("/settings/doctor").contains("The clock of the machine leaped"));
    assert!(server.log().contains("THE CLOCK OF THE MACHINE LEAPED"));
    wait_until("the log has the end of the leap", || server.log().contains("returned to the time of the server"));
}

#[test]
fn small_corrections_are_followed_and_leaps_when_they_are_accepted() {
    let server = ShiftedServer::start();
    let operator = server.app.operator();
    let time = || server.clock()["time"].as_str().unwrap().to_owned();
    let (before, corrected) = (time(), 4 * 60);
    server.shift(corrected);
    let minutes_ahead = || {
        let millis = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        (millis(&time()) - millis(&before)) / 60_000
    };
    wait_until("the correction is followed", || minutes_ahead() >= 4);
    server.wait_for_difference(None);
    // Without a leap there is nothing to accept.
    assert_eq!(
        operator.post(&format!("{SETTINGS}/clock"), &json!({})).answered(200).json["clock"]["leapedAt"],
        Value::Null
    );
    server.shift(400 * DAY);
    server.wait_for_difference(Some(400 * DAY - corrected));
    let accepted = operator.post(&format!("{SETTINGS}/clock"), &json!({})).answered(200).json;
    assert_eq!(accepted["clock"]["differenceSeconds"], Value::Null);
    assert!(minutes_ahead() >= 400 * 24 * 60);
    let audit = operator.get("/directory/resources/v1/audit").answered(200).json.to_string();
    assert_eq!(audit.matches("clock.accepted").count(), 1, "{audit}");
    // Back again, accepted in the portal: later writes are not dated a year ahead.
    let mut owner = Browser::owner(&server.app);
    server.shift(0);
    server.wait_for_difference(Some(-400 * DAY));
    owner.get("/settings/doctor");
    owner.submit("/settings/doctor/clock", &[]);
    assert!(minutes_ahead() < 24 * 60);
    let client = server.app.configuration("okta");
    let created = client.post("/Users", &json!({"userName": "after"})).answered(201).json;
    assert_eq!(year_of(created["meta"]["created"].as_str().unwrap()), year_of(&before));
}

/// Files of scheduled backups in a folder.
fn count_backups(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    entries.filter(|name| name.to_string_lossy().starts_with("rollcall-")).count()
}

#[test]
fn a_clock_that_is_wrong_at_the_start_deletes_nothing_until_it_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let backups = folder.path().join("backups");
    let flags =
        ["--backup-dir", backups.to_str().unwrap(), "--backup-every", "1h", "--backup-keep", "1"].map(str::to_owned);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = ShiftedServer::start_in(folder, 0, &[]);
    assert_eq!(server.clock()["recordedAt"], Value::Null);
    // The time of an event counts until the first time is recorded.
    server.app.configuration("okta");
    let ShiftedServer { folder, mut app } = server;
    app.terminate();
    // Old backups; the new one would make them surplus.
    fs::create_dir(&backups).unwrap();
    for day in 1..=3 {
        fs::write(backups.join(format!("rollcall-2026010{day}T000000Z.db")), "an older one").unwrap();
        let old = fs::File::options().write(true).open(backups.join(format!("rollcall-2026010{day}T000000Z.db")));
        old.unwrap()
            .set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(490_000))
            .unwrap();
    }
    let server = ShiftedServer::start_in(folder, 100 * DAY, &flags);
    let clock = server.clock();
    assert!(clock["recordedAt"].is_string() && clock["differenceSeconds"] == Value::Null, "{clock}");
    wait_until("a backup is made", || count_backups(&backups) == 4);
    assert!(server.log().contains("does not match the last recorded time"));
    let mut owner = Browser::owner(&server.app);
    let page = owner.get("/settings/doctor");
    assert!(page.contains("after the last recorded time"), "{}", page.text);
    // Ordinary work goes on.
    let client = server.app.configuration("okta");
    client.post("/Users", &json!({"userName": "during"})).answered(201);
    // A doubted time is not recorded: after another start it is doubted again.
    let ShiftedServer { folder, mut app } = server;
    app.terminate();
    let server = ShiftedServer::start_in(folder, 100 * DAY, &flags);
    assert_eq!(server.clock()["recordedAt"], clock["recordedAt"]);
    owner = Browser::owner(&server.app);
    owner.get("/settings/doctor");
    owner.submit("/settings/doctor/clock", &[]).answered(200);
    assert_eq!(server.clock()["recordedAt"], Value::Null);
    assert!(!owner.get("/settings/doctor").contains("after the last recorded time"));
    // The accepted time is recorded.
    let ShiftedServer { folder, mut app } = server;
    app.terminate();
    let server = ShiftedServer::start_in(folder, 100 * DAY, &flags);
    assert_eq!(server.clock()["recordedAt"], Value::Null);
    wait_until("the surplus is deleted", || count_backups(&backups) == 1);
    // An earlier time than the recorded one is doubted, too, until the clock matches the records.
    let ShiftedServer { folder, mut app } = server;
    app.terminate();
    let server = ShiftedServer::start_in(folder, 99 * DAY, &[]);
    assert!(server.clock()["recordedAt"].is_string());
    // The command compares the time with the records, too. Its clock is not shifted.
    let doctor = String::from_utf8(server.app.rollcall(&["doctor"]).stdout).unwrap();
    assert!(
        doctor.contains("warning  Clock: The time at the start is") && doctor.contains("before the last"),
        "{doctor}"
    );
    server.shift(100 * DAY + 60);
    wait_until("the right time is followed", || server.clock()["recordedAt"] == Value::Null);
}
