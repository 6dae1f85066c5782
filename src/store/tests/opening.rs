//! What is made, what is refused, and that what is refused stays as it was.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::*;
use crate::store::check;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Opens a server on the folder, which must fail within a second, and returns the error with the file still untouched.
#[track_caller]
fn refused_untouched(folder: &TempDir) -> OpenError {
    let before = fs::read(database(folder)).unwrap();
    let start = Instant::now();
    let error = open_error(folder.path(), Access::Serve);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(fs::read(database(folder)).unwrap() == before);
    assert!(error.to_string().contains("rollcall.db"), "{error}");
    assert!(error.to_string().contains("left as it is"), "{error}");
    error
}

/// A closed database with some pages of content.
fn filled() -> TempDir {
    let fixture = Fixture::new();
    fixture
        .store
        .write_blocking(Undo::Savepoint, |tx| {
            for key in 0..2_000 {
                instance::set(tx, &format!("key {key}"), "value value value value")?;
            }
            Ok(())
        })
        .unwrap();
    fixture.store.close();
    fixture.folder
}

#[test]
fn a_new_folder_and_its_files_are_the_owners_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a").join("b");
    let store = Store::open(&folder, Access::Serve).unwrap();
    store.write_blocking(Undo::Unneeded, set("k")).unwrap();
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_second_server_is_refused_and_told_who_holds_the_folder() {
    let fixture = Fixture::new();
    let error = open_error(fixture.folder.path(), Access::Serve);
    let pid = std::process::id();
    assert!(matches!(error, OpenError::Held { pid: Some(held), .. } if held == pid));
    assert!(error.to_string().contains(&format!("process {pid}")));
    fixture.store.close();
    drop(fixture.store);
    Store::open(fixture.folder.path(), Access::Serve).unwrap();
}

#[test]
fn commands_work_beside_a_server_and_without_one() {
    let fixture = Fixture::new();
    let command = Store::open(fixture.folder.path(), Access::Command).unwrap();
    command.write_blocking(Undo::Unneeded, set("from the command")).unwrap();
    assert!(fixture.has("from the command"));
    drop(command);
    fixture.set("from the server").unwrap();
    drop(fixture.store);
    let command = Store::open(fixture.folder.path(), Access::Existing).unwrap();
    for key in ["from the command", "from the server"] {
        let found = command.read_inline(|snapshot| instance::get(snapshot, key));
        assert!(found.unwrap().is_some());
    }
}

#[test]
fn a_command_that_only_looks_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere");
    assert!(matches!(open_error(&missing, Access::Existing), OpenError::Missing(_)));
    assert!(matches!(open_error(folder.path(), Access::Existing), OpenError::Missing(_)));
    assert!(!missing.exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_no_database_is_refused_untouched() {
    for content in [&b"x"[..], b"not a database at all", &[0xA5; 10_000], &[0; 8_192]] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(database(&folder), content).unwrap();
        let error = refused_untouched(&folder);
        let length = content.len();
        assert!(matches!(error, OpenError::Foreign(_)), "{length}: {error}");
    }
}

#[test]
fn another_programs_database_is_refused_untouched() {
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
        let error = refused_untouched(&folder);
        assert!(matches!(error, OpenError::Foreign(_)), "{setup}: {error}");
    }
}

#[test]
fn a_newer_database_is_refused_untouched_with_both_versions() {
    let folder = filled();
    let newer = Connection::open(database(&folder)).unwrap();
    newer.execute_batch("PRAGMA user_version = 4711").unwrap();
    drop(newer);
    let error = refused_untouched(&folder);
    assert!(matches!(error, OpenError::Newer { found: 4711, .. }), "{error}");
    assert!(error.to_string().contains("4711"));
    assert!(matches!(open_error(folder.path(), Access::Command), OpenError::Newer { .. }));
}

#[test]
fn a_truncated_database_is_refused_untouched() {
    let folder = filled();
    let content = fs::read(database(&folder)).unwrap();
    fs::write(database(&folder), &content[..content.len() / 2]).unwrap();
    let error = refused_untouched(&folder);
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
}

#[test]
fn a_database_with_a_damaged_page_is_refused_untouched() {
    let folder = filled();
    let mut content = fs::read(database(&folder)).unwrap();
    let last_page = content.len() - 4_096;
    content[last_page..].fill(0xA5);
    fs::write(database(&folder), &content).unwrap();
    let error = refused_untouched(&folder);
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert!(!check(folder.path()).is_ok_and(|findings| findings.is_empty()));
}

#[test]
fn a_sound_database_has_no_findings() {
    let folder = filled();
    assert_eq!(check(folder.path()).unwrap(), Vec::<String>::new());
    let fixture = Fixture::new();
    assert_eq!(check(fixture.folder.path()).unwrap(), Vec::<String>::new());
}

#[test]
fn an_emptied_database_beside_its_log_is_refused_with_the_log_kept() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(database(&folder), b"").unwrap();
    let log = folder.path().join("rollcall.db-wal");
    fs::write(&log, b"pages").unwrap();
    assert!(matches!(refused_untouched(&folder), OpenError::Corrupt { .. }));
    assert_eq!(fs::read(log).unwrap(), b"pages");
}

#[test]
fn a_link_in_place_of_the_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path().join("other.db"), database(&folder)).unwrap();
    let error = open_error(folder.path(), Access::Serve);
    assert!(matches!(error, OpenError::NotARegularFile(_)), "{error}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_behind_a_link_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let parent = tempfile::tempdir().unwrap();
    let link = parent.path().join("link");
    symlink(folder.path(), &link).unwrap();
    Store::open(&link, Access::Serve).unwrap();
    assert!(database(&folder).exists());
}

#[test]
fn what_others_may_write_to_is_refused_with_the_command_that_mends_it() {
    let folder = filled();
    for (path, bits) in [(database(&folder), 0o660), (folder.path().to_owned(), 0o777)] {
        let before = mode(&path);
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        let error = open_error(folder.path(), Access::Serve);
        assert!(error.to_string().contains("chmod go-w"), "{error}");
        fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
    }
    Store::open(folder.path(), Access::Serve).unwrap();
}

#[test]
fn a_database_that_others_may_read_is_closed_to_them() {
    let folder = filled();
    fs::set_permissions(database(&folder), Permissions::from_mode(0o644)).unwrap();
    Store::open(folder.path(), Access::Serve).unwrap();
    assert_eq!(mode(&database(&folder)), 0o600);
}

#[test]
fn a_closed_store_leaves_one_file_without_a_log() {
    let folder = filled();
    let log = folder.path().join("rollcall.db-wal");
    assert!(fs::metadata(log).map_or(0, |metadata| metadata.len()) == 0);
}
