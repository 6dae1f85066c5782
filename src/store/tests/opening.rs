//! Which files are created, which are rejected, and that rejected files stay unchanged.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::*;
use crate::store::engine::integrity::{CheckDepth, check_database};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Opens the store as a server. This must fail within a second and leave the file unchanged. Returns the error.
#[track_caller]
fn rejected_unchanged(folder: &TempDir) -> OpenError {
    let before = fs::read(database(folder)).unwrap();
    let start = Instant::now();
    let error = open_error(folder.path(), OpenMode::Serve);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(fs::read(database(folder)).unwrap() == before);
    assert!(error.to_string().contains("rollcall.db"), "{error}");
    assert!(error.to_string().contains("left unchanged"), "{error}");
    error
}

/// A closed database with some pages of content.
fn filled() -> TempDir {
    let fixture = Fixture::new();
    fixture
        .store
        .write_blocking(|tx| {
            for key in 0..2_000 {
                instance::set_value(tx, &format!("key {key}"), "value value value value")?;
            }
            Ok(())
        })
        .unwrap();
    fixture.store.close();
    fixture.folder
}

#[test]
fn a_first_start_that_was_interrupted_does_not_prevent_the_next() {
    let (other, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = other.path().join("rollcall.db");
    let connection = Connection::open(&path).unwrap();
    // More changes than the cache holds: they are in the file, and the journal to undo them is next to it.
    connection
        .execute_batch(
            "PRAGMA cache_size = 5;
             BEGIN IMMEDIATE;
             CREATE TABLE accounts (id TEXT);
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO accounts SELECT printf('%0500d', i) FROM n;",
        )
        .unwrap();
    for name in ["rollcall.db", "rollcall.db-journal"] {
        fs::copy(other.path().join(name), folder.path().join(name)).unwrap();
    }
    fs::set_permissions(database(&folder), Permissions::from_mode(0o600)).unwrap();
    assert!(fs::metadata(database(&folder)).unwrap().len() > 0);
    let store = Store::open_for_server(folder.path()).unwrap();
    store.write_blocking_without_savepoint(set("k")).unwrap();
    assert!(store.is_intact());
}

#[test]
fn a_new_folder_and_its_files_are_private_to_the_owner() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a").join("b");
    let store = Store::open_for_server(&folder).unwrap();
    store.write_blocking_without_savepoint(set("k")).unwrap();
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    // The database, its log and index, the lock and the marker; the monitor adds the reserve.
    assert!((5..=7).contains(&files.len()), "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_second_server_is_rejected_with_the_process_id_of_the_first() {
    let fixture = Fixture::new();
    let error = open_error(fixture.folder.path(), OpenMode::Serve);
    let pid = std::process::id();
    assert!(matches!(error, OpenError::Held { pid: Some(held), .. } if held == pid));
    assert!(error.to_string().contains(&format!("process {pid}")));
    fixture.store.close();
    drop(fixture.store);
    Store::open_for_server(fixture.folder.path()).unwrap();
}

#[test]
fn commands_work_with_and_without_a_running_server() {
    let fixture = Fixture::new();
    let command = Store::open_for_command(fixture.folder.path()).unwrap();
    command.write_blocking_without_savepoint(set("from the command")).unwrap();
    assert!(fixture.has("from the command"));
    drop(command);
    fixture.set("from the server").unwrap();
    drop(fixture.store);
    let command = Store::open_existing(fixture.folder.path()).unwrap();
    for key in ["from the command", "from the server"] {
        let found = command.read_inline(|snapshot| instance::get_value(snapshot, key));
        assert!(found.unwrap().is_some());
    }
}

#[test]
fn a_command_for_an_existing_database_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("nowhere");
    assert!(matches!(open_error(&absent, OpenMode::Existing), OpenError::NotFound(_)));
    assert!(matches!(open_error(folder.path(), OpenMode::Existing), OpenError::NotFound(_)));
    assert!(!absent.exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_not_a_database_is_rejected_unchanged() {
    for content in [&b"x"[..], b"not a database at all", &[0xA5; 10_000], &[0; 8_192]] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(database(&folder), content).unwrap();
        let error = rejected_unchanged(&folder);
        let length = content.len();
        assert!(matches!(error, OpenError::Foreign(_)), "{length}: {error}");
    }
}

#[test]
fn another_programs_database_is_rejected_unchanged() {
    for setup in [
        "CREATE TABLE theirs (x)",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 3",
        "PRAGMA journal_mode = WAL; CREATE TABLE theirs (x)",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let theirs = Connection::open(database(&folder)).unwrap();
        theirs.execute_batch(setup).unwrap();
        drop(theirs);
        let error = rejected_unchanged(&folder);
        assert!(matches!(error, OpenError::Foreign(_)), "{setup}: {error}");
    }
}

#[test]
fn a_newer_database_is_rejected_unchanged_with_both_versions() {
    let folder = filled();
    let newer = Connection::open(database(&folder)).unwrap();
    newer.execute_batch("PRAGMA user_version = 4711").unwrap();
    drop(newer);
    let error = rejected_unchanged(&folder);
    assert!(matches!(error, OpenError::Newer { found: 4711, .. }), "{error}");
    assert!(error.to_string().contains("4711"));
    assert!(matches!(open_error(folder.path(), OpenMode::Command), OpenError::Newer { .. }));
}

#[test]
fn a_truncated_database_is_rejected_unchanged() {
    let folder = filled();
    let content = fs::read(database(&folder)).unwrap();
    fs::write(database(&folder), &content[..content.len() / 2]).unwrap();
    let error = rejected_unchanged(&folder);
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
}

#[test]
fn a_database_with_a_damaged_page_is_rejected_unchanged() {
    let folder = filled();
    let mut content = fs::read(database(&folder)).unwrap();
    let last_page = content.len() - 4_096;
    content[last_page..].fill(0xA5);
    fs::write(database(&folder), &content).unwrap();
    let error = rejected_unchanged(&folder);
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert!(!check_database(folder.path(), CheckDepth::Deep).is_ok_and(|findings| findings.is_empty()));
}

#[test]
fn an_intact_database_has_no_findings() {
    let folder = filled();
    assert_eq!(check_database(folder.path(), CheckDepth::Deep).unwrap(), Vec::<String>::new());
    let fixture = Fixture::new();
    assert_eq!(check_database(fixture.folder.path(), CheckDepth::Deep).unwrap(), Vec::<String>::new());
}

#[test]
fn an_emptied_database_with_a_log_is_rejected_and_the_log_stays() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(database(&folder), b"").unwrap();
    let log = folder.path().join("rollcall.db-wal");
    fs::write(&log, b"pages").unwrap();
    assert!(matches!(rejected_unchanged(&folder), OpenError::Corrupt { .. }));
    assert_eq!(fs::read(log).unwrap(), b"pages");
}

#[test]
fn a_symbolic_link_instead_of_the_database_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path().join("other.db"), database(&folder)).unwrap();
    let error = open_error(folder.path(), OpenMode::Serve);
    assert!(matches!(error, OpenError::NotARegularFile(_)), "{error}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_symbolic_link_to_the_folder_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let parent = tempfile::tempdir().unwrap();
    let link = parent.path().join("link");
    symlink(folder.path(), &link).unwrap();
    Store::open_for_server(&link).unwrap();
    assert!(database(&folder).exists());
}

#[test]
fn files_writable_by_others_are_rejected_with_the_command_that_fixes_them() {
    let folder = filled();
    for (path, bits) in [(database(&folder), 0o660), (folder.path().to_owned(), 0o777)] {
        let before = mode(&path);
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        let error = open_error(folder.path(), OpenMode::Serve);
        assert!(error.to_string().contains("chmod go-w"), "{error}");
        fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
    }
    Store::open_for_server(folder.path()).unwrap();
}

#[test]
fn a_database_readable_by_others_is_made_private() {
    let folder = filled();
    fs::set_permissions(database(&folder), Permissions::from_mode(0o644)).unwrap();
    Store::open_for_server(folder.path()).unwrap();
    assert_eq!(mode(&database(&folder)), 0o600);
}

#[test]
fn a_closed_store_leaves_no_log() {
    let folder = filled();
    let log = folder.path().join("rollcall.db-wal");
    assert!(fs::metadata(log).map_or(0, |metadata| metadata.len()) == 0);
}

#[test]
fn a_database_that_vanished_is_not_replaced_by_an_empty_one() {
    let folder = filled();
    let marker = folder.path().join("rollcall.marker");
    let away = folder.path().join("away");
    fs::rename(database(&folder), &away).unwrap();
    for access in [OpenMode::Serve, OpenMode::Command, OpenMode::Existing] {
        let error = open_error(folder.path(), access);
        assert!(matches!(error, OpenError::Vanished { .. }), "{error}");
        assert!(error.to_string().contains("rollcall.marker") && !database(&folder).exists(), "{error}");
    }
    fs::rename(&away, database(&folder)).unwrap();
    let before = fs::read_to_string(&marker).unwrap();
    Store::open_for_server(folder.path()).unwrap().close();
    assert_eq!(fs::read_to_string(&marker).unwrap(), before);
    // Without the marker, an empty database is wanted.
    fs::remove_file(database(&folder)).unwrap();
    fs::remove_file(&marker).unwrap();
    Store::open_for_server(folder.path()).unwrap().close();
    assert_ne!(fs::read_to_string(&marker).unwrap(), before);
}
