//! A database of an older version: upgraded after a backup, intact after a kill, and refused if it is too new.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::app::{App, Client, serve_refuses};
use crate::sample;

/// Schema step 1, the first released schema.
const FIRST_STEP: &str = include_str!("../../src/store/engine/upgrade/1.sql");
/// The rows of a database of that version.
const ROWS: &str = include_str!("../fixtures/databases/step-1.sql");
/// "RCLL".
const APPLICATION: i32 = 0x5243_4C4C;
/// Its live configuration.
const CONFIGURATION: &str = "01a20290-5cc2-7685-ae9b-226ef8db176e";
/// Number of killed upgrades, each killed a little later.
const KILLS: u32 = 20;

/// A data folder with a database of step 1; `more` is additional SQL.
pub(crate) fn old_data(more: &str) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("rollcall.db");
    let old = crate::app::open_database(&file);
    old.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA application_id = {APPLICATION}; BEGIN; {FIRST_STEP} {ROWS} {more}
         PRAGMA user_version = 1; COMMIT;"
    ))
    .unwrap();
    drop(old);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    data
}

pub(crate) fn client(app: &App) -> Client {
    let base = format!("/directory/resources/scim/v2.0/{CONFIGURATION}");
    let token = format!("rct_{}", "G".repeat(43));
    Client { address: app.address, id: CONFIGURATION.to_owned(), token, url: base.clone(), base }
}

fn one<T: rusqlite::types::FromSql>(file: &Path, sql: &str) -> T {
    let database = Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The backups of upgrades, oldest first.
fn backups(data: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        names.filter(|path| path.to_string_lossy().contains("rollcall.db.before-v")).collect();
    // By their time: the version before it has no fixed width.
    found.sort_by_key(|path| path.to_string_lossy().rsplit('-').next().map(str::to_owned));
    found
}

#[test]
fn a_database_of_the_first_schema_is_upgraded_and_served() {
    // T69
    let data = old_data("");
    let app = App::start(data.path());
    let client = client(&app);
    assert_eq!((client.count("/Users"), client.count("/Groups")), (3, 2));
    let ada = &client.find("/Users", "userName eq \"ADA@example.com\"")[0];
    assert_eq!(ada["title"], "Countess");
    assert_eq!(ada["urn:example:params:scim:schemas:badge:2.0:User"]["number"], "B-ada");
    assert_eq!(ada["groups"].as_array().map(Vec::len), Some(2), "directly and through another group: {ada}");
    let path = format!("/Users/{}", ada["id"].as_str().unwrap());
    client.patch(&path, &sample::operation("replace", "title", &"Analyst".into())).answered(200);
    client.created("/Users", &sample::user("new"));
    let removal = "SELECT switches ->> '$.active_removal' FROM configurations WHERE id = '";
    let removal = format!("{removal}{CONFIGURATION}'");
    assert_eq!(one::<String>(&data.path().join("rollcall.db"), &removal), "keep", "the preset is okta");
    let active = "SELECT active_users FROM configuration_usage ORDER BY configuration LIMIT 1";
    assert_eq!(one::<i64>(&data.path().join("rollcall.db"), active), 3, "two of the three before, and a new one");
    drop(app);
    assert!(crate::app::rollcall(data.path(), &["check"]).status.success());
}

/// Schema steps up to the version before accounts had keys.
const STEPS_BEFORE_KEYS: [&str; 3] = [
    include_str!("../../src/store/engine/upgrade/2.sql"),
    include_str!("../../src/store/engine/upgrade/3.sql"),
    include_str!("../../src/store/engine/upgrade/4.sql"),
];

#[test]
fn rows_of_accounts_get_the_key_of_their_account_in_the_upgrade() {
    // `gone` is deleted. `again` was deleted and created again at 500, with rows of both accounts.
    let rows = "
        INSERT INTO accounts (id, name, created_at, deleted_at)
            VALUES ('gone', 'Gone', 10, 20), ('again', 'Again', 500, NULL), ('plain', 'Plain', 5, NULL);
        INSERT INTO configurations (id, account_id, connection_name, source, switches, created_at, deleted_at)
            SELECT 'c-' || n, account, 'name', 'okta', (SELECT switches FROM configurations LIMIT 1), at, ended FROM (
                SELECT 'old' AS n, 'again' AS account, 100 AS at, 200 AS ended
                UNION ALL SELECT 'new', 'again', 600, NULL UNION ALL SELECT 'plain', 'plain', 5, NULL);
        INSERT INTO api_keys (id, digest, hint, name, account_id, permissions, created_at, revoked_at)
            VALUES ('k-old', x'01', '', '', 'again', '', 100, 200), ('k-new', x'02', '', '', 'again', '', 600, NULL),
                   ('k-operator', x'03', '', '', NULL, '', 1, NULL);
        INSERT INTO admins (id, email, email_key, name, role_id, account_id, created_at)
            VALUES ('a-gone', 'g', 'g', 'G', 'owner', 'gone', 11), ('a-again', 'a', 'a', 'A', 'owner', 'again', 1),
                   ('a-owner', 'o', 'o', 'O', 'owner', NULL, 1);
        INSERT INTO sessions (digest, id, admin_id, user_agent, created_at, last_seen_at)
            VALUES (x'01', 's-gone', 'a-gone', '', 1, 1), (x'02', 's-again', 'a-again', '', 1, 1);
        INSERT INTO audit (at, actor_kind, actor_id, actor_name, account_id, action)
            VALUES (100, 'user', '', '', 'again', 'old'), (600, 'user', '', '', 'again', 'new'),
                   (1, 'user', '', '', NULL, 'none');
        INSERT INTO feed_positions (account_id, configuration_id, seq, read_at) VALUES ('again', '', 3, 9), ('', '', 4, 9);";
    let data = old_data("");
    let file = data.path().join("rollcall.db");
    let old = crate::app::open_database(&file);
    old.execute_batch(&format!("BEGIN; {} {rows} PRAGMA user_version = 4; COMMIT;", STEPS_BEFORE_KEYS.join("\n")))
        .unwrap();
    let counts = "SELECT (SELECT count(*) FROM configurations) || ' ' || (SELECT count(*) FROM audit) || ' '
                      || (SELECT count(*) FROM api_keys) || ' ' || (SELECT count(*) FROM admins)";
    let before: String = old.query_row(counts, [], |row| row.get(0)).unwrap();
    drop(old);
    let app = App::start(data.path());
    assert_eq!(client(&app).count("/Users"), 3, "tokens still refer to their configuration");
    drop(app);
    assert_eq!(one::<String>(&file, counts), before, "no row is lost");
    assert_eq!(one::<i32>(&file, "SELECT count(*) FROM accounts WHERE id = 'again'"), 2);
    let key = |row: &str| one::<i64>(&file, &format!("SELECT account FROM {row}"));
    let (earlier, current) = (
        key("accounts WHERE id = 'again' AND deleted_at = 500"),
        key("accounts WHERE id = 'again' AND deleted_at IS NULL"),
    );
    for (row, expected) in [
        ("configurations WHERE id = 'c-old'", earlier),
        ("configurations WHERE id = 'c-new'", current),
        ("api_keys WHERE id = 'k-old'", earlier),
        ("api_keys WHERE id = 'k-new'", current),
        ("admins WHERE id = 'a-again'", current),
        ("audit WHERE action = 'old'", earlier),
        ("audit WHERE action = 'new'", current),
        ("feed_positions WHERE seq = 3", current),
        ("feed_positions WHERE seq = 4", 0),
    ] {
        assert_eq!(key(row), expected, "{row}");
    }
    for empty in ["api_keys WHERE id = 'k-operator'", "admins WHERE id = 'a-owner'", "audit WHERE action = 'none'"] {
        assert_eq!(one::<Option<i64>>(&file, &format!("SELECT account FROM {empty}")), None, "{empty}");
    }
    assert_eq!(one::<i64>(&file, "SELECT disabled_at FROM admins WHERE id = 'a-gone'"), 20);
    assert_eq!(one::<String>(&file, "SELECT group_concat(id) FROM sessions"), "s-again");
    assert!(crate::app::rollcall(data.path(), &["check"]).status.success());
}

#[test]
fn an_upgrade_leaves_a_backup_that_the_program_before_can_use() {
    // T69, T67
    let data = old_data("");
    for day in 1..=4 {
        fs::write(data.path().join(format!("rollcall.db.before-v2-2020010{day}T000000Z")), "an older one").unwrap();
    }
    drop(App::start(data.path()));
    let found = backups(data.path());
    let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(found.len(), 3, "{names:?}");
    assert!(names[0].contains("20200103") && names[1].contains("20200104"), "{names:?}");
    let made = &found[2];
    assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(one::<i32>(made, "PRAGMA user_version"), 1);
    assert_eq!(one::<String>(made, "PRAGMA integrity_check"), "ok");
    assert_eq!(one::<i32>(made, "SELECT count(*) FROM resources"), 6);
    assert_eq!(one::<i32>(made, "SELECT count(*) FROM sqlite_schema WHERE name = 'api_keys'"), 0);
    drop(App::start(data.path()));
    assert_eq!(backups(data.path()), found, "an upgraded database is not backed up again");
}

#[test]
fn an_upgrade_killed_anywhere_leaves_the_old_database_or_the_new_one() {
    // T69
    let many = "INSERT INTO events (account_id, configuration, kind, resource_id, payload, created_at)
                WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
                SELECT 'acme', 1, 'user.updated', 'id ' || i, '{}', i FROM n;";
    let big = old_data(many);
    let whole = copy_of(big.path());
    let begun = Instant::now();
    drop(App::start(whole.path()));
    let takes = begun.elapsed();
    let (mut old, mut new) = (0, 0);
    for kill in 1..=KILLS {
        let data = copy_of(big.path());
        upgrade_killed_after(data.path(), takes * kill / KILLS);
        let file = data.path().join("rollcall.db");
        assert_eq!(one::<String>(&file, "PRAGMA integrity_check"), "ok");
        assert!(one::<i32>(&file, "SELECT count(*) FROM events") >= 60_000);
        let tables: i32 = one(&file, "SELECT count(*) FROM sqlite_schema WHERE name = 'api_keys'");
        match one::<i32>(&file, "PRAGMA user_version") {
            1 => old += u32::from(tables == 0),
            _ => new += u32::from(tables == 1),
        }
        for backup in backups(data.path()).iter().filter(|path| !path.to_string_lossy().contains(".part")) {
            assert_eq!(one::<String>(backup, "PRAGMA integrity_check"), "ok", "a backup has its name only when whole");
        }
        let app = App::start(data.path());
        assert_eq!(client(&app).count("/Users"), 3);
        let left: Vec<PathBuf> = fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!left.iter().any(|path| path.to_string_lossy().contains(".part")), "{left:?}");
    }
    assert_eq!(old + new, KILLS, "{old} old ones, {new} new ones, and something in between");
    assert!(old > 0, "none was killed before the end");
}

fn copy_of(data: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(data.join("rollcall.db"), copy.path().join("rollcall.db")).unwrap();
    copy
}

fn upgrade_killed_after(data: &Path, time: Duration) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    let nowhere = std::process::Stdio::null;
    let mut child = command.stdin(nowhere()).stdout(nowhere()).stderr(nowhere()).spawn().unwrap();
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_newer_database_names_the_program_that_is_needed() {
    // T69
    let data = tempfile::tempdir().unwrap();
    drop(App::start(data.path()));
    let database = crate::app::open_database(data.path().join("rollcall.db"));
    database
        .execute_batch("PRAGMA user_version = 99; UPDATE instance SET value = '7.3.1' WHERE key = 'upgraded_by'")
        .unwrap();
    drop(database);
    let said = serve_refuses(data.path(), Duration::from_secs(20)).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("99") && said.contains("Rollcall 7.3.1 or newer"), "{said}");
}
