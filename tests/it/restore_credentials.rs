//! Revocations stay in effect after a restore, which ends all sessions and refuses files with objects of others.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::json;

use crate::app::{App, Client, Reply, rollcall, serve_refuses, wait_until};
use crate::caller::{CONFIGURATIONS, Caller};
use crate::portal::browser::{Browser, PASSWORD};

#[track_caller]
fn succeed(data: &Path, arguments: &[&str]) -> String {
    let output = rollcall(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn at(caller: &Caller, app: &App) -> Caller {
    Caller { address: app.address, ..caller.clone() }
}

/// A data folder with credentials and admins, and its backup.
struct Fixture {
    data: tempfile::TempDir,
    backup: std::path::PathBuf,
    operator: Caller,
    doomed_key: (Caller, String),
    client: Client,
    gone: Client,
    link: String,
    admins: Vec<Browser>,
}

impl Fixture {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut app = App::start(data.path());
        let operator = app.operator();
        let client = operator.configuration("acme", "okta");
        let gone = operator.configuration("acme-gone", "okta");
        let made = operator.post("/directory/resources/v1/api-keys", &json!({"name": "doomed"})).answered(201);
        let doomed_key = (operator.with(&made.text("secret")), made.text("clientId"));
        let link = operator.post(&format!("{CONFIGURATIONS}/{}/links", client.id), &json!({})).answered(201).text("id");
        let admins = (0..4).map(|_| Browser::owner(&app)).collect();
        let backup = data.path().join("backup.db");
        succeed(data.path(), &["backup", backup.to_str().unwrap()]);
        assert_eq!(app.terminate(), Some(0));
        Self { data, backup, operator, doomed_key, client, gone, link, admins }
    }

    fn restore(&self, more: &[&str]) -> String {
        let mut arguments = vec!["restore", "--force", self.backup.to_str().unwrap()];
        arguments.extend(more);
        succeed(self.data.path(), &arguments)
    }
}

fn sign_in_status(app: &App, email: &str, password: &str) -> u16 {
    let mut browser = Browser::anonymous(app);
    browser.submit_only("/login", &[("email", email), ("password", password)]).status
}

#[test]
fn revocations_stay_in_effect_after_a_restore() {
    let fixture = Fixture::new();
    let emails: Vec<String> = fixture.admins.iter().map(|admin| admin.email.clone()).collect();
    let mut app = App::start(fixture.data.path());
    let operator = at(&fixture.operator, &app);
    operator.delete(&format!("/directory/resources/v1/api-keys/{}", fixture.doomed_key.1)).answered(204);
    operator.delete(&format!("{CONFIGURATIONS}/{}/links/{}", fixture.client.id, fixture.link)).answered(204);
    for _ in 0..2 {
        app.succeeds(&["token", "rotate", &fixture.client.id]);
    }
    fixture.client.at(app.address).get("/Users").refused(401, "");
    app.succeeds(&["admin", "disable", &emails[1]]);
    let gone = fixture.gone.id.clone();
    operator.delete(&format!("{CONFIGURATIONS}/{gone}")).answered(204);
    let reset = String::from_utf8(app.succeeds(&["admin", "reset-password", &emails[2]])).unwrap();
    let new_password = reset.split("Password  ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!(app.terminate(), Some(0));

    let printed = fixture.restore(&[]);
    for line in [
        // The rotated token, and that of the deleted configuration.
        "2 tokens that were revoked after the backup stay revoked".to_owned(),
        "1 API keys that were revoked after the backup stay revoked".to_owned(),
        "1 setup links that were revoked after the backup stay revoked".to_owned(),
        format!("{} was disabled after the backup and stays disabled", emails[1]),
        format!("{} keeps the password that was set after the backup", emails[2]),
        "sessions ended: 4".to_owned(),
    ] {
        assert!(printed.contains(&line), "{line}: {printed}");
    }
    let app = App::start(fixture.data.path());
    at(&fixture.doomed_key.0, &app).get(CONFIGURATIONS).problem(401);
    at(&fixture.operator, &app).get(CONFIGURATIONS).answered(200);
    fixture.client.at(app.address).get("/Users").refused(401, "");
    fixture.gone.at(app.address).get("/Users").refused(401, "");
    at(&fixture.operator, &app).get(&format!("{CONFIGURATIONS}/{gone}")).answered(200);
    assert_eq!(sign_in_status(&app, &emails[0], PASSWORD), 303);
    assert_eq!(sign_in_status(&app, &emails[1], PASSWORD), 401);
    assert_eq!(sign_in_status(&app, &emails[2], PASSWORD), 401);
    assert_eq!(sign_in_status(&app, &emails[2], &new_password), 303);
    let old = &fixture.admins[3];
    let cookies: Vec<String> = old.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut browser = Browser::anonymous(&app);
    let request = browser.request("GET", "/connections").header("Cookie", &cookies.join("; "));
    browser.send(&request, "/connections").answered(303);
    assert!(rollcall(fixture.data.path(), &["check"]).status.success());
}

#[test]
fn without_the_previous_database_all_credentials_since_a_time_can_be_revoked() {
    let fixture = Fixture::new();
    std::fs::rename(fixture.data.path().join("rollcall.db"), fixture.data.path().join("lost")).unwrap();
    for name in ["rollcall.db-wal", "rollcall.db-shm"] {
        let _ = std::fs::remove_file(fixture.data.path().join(name));
    }
    let printed = fixture.restore(&["--revoke-all-since", "2000-01-01T00:00:00Z"]);
    assert!(printed.contains("there is no previous database") && printed.contains("--revoke-all-since"), "{printed}");
    assert!(printed.contains("tokens created since 2000-01-01T00:00:00.000Z and revoked: 2"), "{printed}");
    let app = App::start(fixture.data.path());
    at(&fixture.operator, &app).get(CONFIGURATIONS).problem(401);
    fixture.client.at(app.address).get("/Users").refused(401, "");
    assert_eq!(sign_in_status(&app, &fixture.admins[0].email, PASSWORD), 401);
    // With a time in the future nothing is revoked.
    drop(app);
    fixture.restore(&["--revoke-all-since", "2100-01-01T00:00:00Z"]);
    let wrong = rollcall(fixture.data.path(), &["restore", "--force", "x", "--revoke-all-since", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_file_with_objects_of_others_is_refused_by_restore_check_and_doctor() {
    let fixture = Fixture::new();
    let data = fixture.data.path();
    for (statement, object) in [
        ("CREATE TABLE stolen (x)", "table stolen"),
        ("CREATE VIEW shown AS SELECT digest FROM tokens", "view shown"),
        ("CREATE TRIGGER again AFTER UPDATE ON tokens BEGIN UPDATE tokens SET revoked_at = NULL; END", "trigger again"),
    ] {
        let changed = data.join("changed.db");
        std::fs::copy(&fixture.backup, &changed).unwrap();
        crate::app::open_database(&changed).execute_batch(statement).unwrap();
        let output = rollcall(data, &["restore", "--force", changed.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(object), "{said}");
        // The same file in use: it is found, and the trigger does not run.
        let other = tempfile::tempdir().unwrap();
        std::fs::copy(&changed, other.path().join("rollcall.db")).unwrap();
        for command in ["check", "doctor"] {
            let output = rollcall(other.path(), &[command]);
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(!output.status.success() && said.contains(object), "{command}: {said}");
        }
        // A backup says that it cannot be restored.
        let output = rollcall(other.path(), &["backup", other.path().join("backup.db").to_str().unwrap()]);
        let [printed, warned] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(output.status.success() && !printed.contains("checked"), "{printed}");
        assert!(warned.contains(object) && warned.contains("cannot be restored"), "{warned}");
        if object == "trigger again" {
            let log = other.path().join("log");
            let app = App::start_in(other.path(), &[], &[], &log);
            let logged = || std::fs::read_to_string(&log).unwrap();
            wait_until("the start reports it", || logged().contains(object) && logged().contains("WARN"));
            let operator = at(&fixture.operator, &app);
            for _ in 0..2 {
                app.succeeds(&["token", "rotate", &fixture.client.id]);
            }
            let refused: Reply = fixture.client.at(app.address).get("/Users");
            refused.refused(401, "");
            operator.get(CONFIGURATIONS).answered(200);
        }
    }
}

#[test]
fn self_service_that_was_switched_off_stays_off_and_a_role_gets_nothing_back() {
    let fixture = Fixture::new();
    let data = fixture.data.path();
    let database = |path: &Path, statements: &str| crate::app::open_database(path).execute_batch(statements).unwrap();
    let role = |permissions: &str| format!("INSERT OR REPLACE INTO roles VALUES ('r', 'Support', '{permissions}', 1);");
    let provider = |domains: &str| format!("INSERT OR REPLACE INTO sso_provider VALUES (1, '{domains}', NULL, 1);");
    database(&fixture.backup, &(role("audit.read directory.read") + &provider("{\"domains\":\"wide\"}")));
    succeed(data, &["self-service", "off"]);
    database(&data.join("rollcall.db"), &(role("audit.read system.admin") + &provider("{\"domains\":\"narrow\"}")));
    let printed = fixture.restore(&[]);
    for line in [
        "1 switch (self-service, account webhooks) that was turned off after the backup stays off",
        "1 roles do not get back permissions that were removed after the backup",
        "1 single sign-on provider stays as it was changed after the backup",
    ] {
        assert!(printed.contains(line), "{line} not in {printed}");
    }
    let restored = crate::app::open_database(data.join("rollcall.db"));
    let value = |sql: &str| restored.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(value("SELECT value FROM instance WHERE key = 'self_service'"), "off");
    assert_eq!(value("SELECT permissions FROM roles"), "audit.read");
    assert_eq!(value("SELECT agreement FROM sso_provider"), "{\"domains\":\"narrow\"}");
}

#[test]
fn a_file_whose_own_objects_are_missing_or_changed_is_refused() {
    let fixture = Fixture::new();
    let data = fixture.data.path();
    for (statement, finding) in [
        ("PRAGMA foreign_keys = off; DROP TABLE audit", "the table audit is missing"),
        ("DROP INDEX tokens_by_configuration", "the index tokens_by_configuration is missing"),
        ("ALTER TABLE traffic DROP COLUMN missed", "the table traffic was changed"),
        ("ALTER TABLE tokens ADD COLUMN copied TEXT", "the table tokens was changed"),
        (
            "DROP INDEX accounts_by_id; CREATE INDEX accounts_by_id ON accounts (id)",
            "the index accounts_by_id was changed",
        ),
    ] {
        let changed = data.join("changed.db");
        std::fs::copy(&fixture.backup, &changed).unwrap();
        crate::app::open_database(&changed)
            .execute_batch(statement)
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        let other = tempfile::tempdir().unwrap();
        std::fs::copy(&changed, other.path().join("rollcall.db")).unwrap();
        let outputs: [Output; 4] = [
            rollcall(data, &["restore", "--force", changed.to_str().unwrap()]),
            rollcall(other.path(), &["check"]),
            rollcall(other.path(), &["doctor"]),
            serve_refuses(other.path(), Duration::from_mins(1)),
        ];
        for (number, output) in outputs.into_iter().enumerate() {
            let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
            assert!(!output.status.success() && said.contains(finding), "{statement}: {number}: {said}");
        }
    }
}
