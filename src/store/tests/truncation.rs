//! Another program truncates an open file.

use std::fs::{self, OpenOptions};
use std::path::Path;

use super::{Fixture, database};
use crate::error::Reason;
use crate::model::service_state::{ReadOnlyCause, ServiceState};
use crate::store::Tx;

/// Truncates the file in place to a part of its length.
fn truncate_file(path: &Path, divisor: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(fs::metadata(path).unwrap().len() / divisor).unwrap();
    // Closing it would drop the locks of SQLite on the file.
    std::mem::forget(file);
}

fn fixture_with_log() -> Fixture {
    let fixture = Fixture::new();
    for _ in 0..20 {
        fixture.set("before").unwrap();
    }
    fixture
}

fn check_damaged(fixture: &Fixture) {
    assert_eq!(fixture.set("refused").unwrap_err().reason(), Reason::DatabaseDamaged);
    assert_eq!(fixture.store.service_state(), ServiceState::ReadOnly(ReadOnlyCause::Damaged));
}

#[test]
fn a_log_that_was_truncated_in_part_accepts_no_write() {
    let fixture = fixture_with_log();
    truncate_file(&database(&fixture.folder).with_extension("db-wal"), 2);
    check_damaged(&fixture);
}

#[test]
fn a_log_that_was_emptied_accepts_no_write() {
    let fixture = fixture_with_log();
    truncate_file(&database(&fixture.folder).with_extension("db-wal"), u64::MAX);
    // Its pages follow a hole. A checkpoint also empties the log, and begins it again.
    let reason = fixture.set("unknown").unwrap_err().reason();
    assert_eq!(reason, Reason::WriteOutcomeUnknown);
    check_damaged(&fixture);
}

#[test]
fn a_database_file_that_was_truncated_accepts_no_write() {
    let fixture = fixture_with_log();
    truncate_file(&database(&fixture.folder), 2);
    check_damaged(&fixture);
}

#[test]
fn a_checkpoint_and_a_rebuild_make_the_files_shorter_and_are_no_damage() {
    let fixture = fixture_with_log();
    let log = database(&fixture.folder).with_extension("db-wal");
    let length = || fs::metadata(&log).unwrap().len();
    assert!(fixture.store.truncate_log().unwrap() && length() == 0);
    fixture.set("after own checkpoint").unwrap();
    let other = rusqlite::Connection::open(database(&fixture.folder)).unwrap();
    let fill =
        |tx: &Tx<'_>| (0..500).try_for_each(|key| super::instance::set_value(tx, &format!("key {key}"), "value"));
    fixture.store.write_blocking(fill).unwrap();
    // Another program truncates the log, and begins it again.
    let is_busy: bool = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert!(!is_busy && length() == 0);
    other.execute("INSERT INTO instance (key, value) VALUES ('other program', '')", []).unwrap();
    fixture.set("after its checkpoint").unwrap();
    // It rebuilds the database, which has fewer pages then.
    fixture.store.write_blocking(|tx: &Tx<'_>| tx.run("DELETE FROM instance WHERE key LIKE 'key%'", [])).unwrap();
    fixture.store.truncate_log().unwrap();
    let before = fs::metadata(database(&fixture.folder)).unwrap().len();
    other.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert!(fs::metadata(database(&fixture.folder)).unwrap().len() < before);
    fixture.set("after the rebuild").unwrap();
    for key in ["before", "after own checkpoint", "other program", "after its checkpoint", "after the rebuild"] {
        assert!(fixture.has(key), "{key}");
    }
    assert_eq!(fixture.store.service_state(), ServiceState::Ready);
}

#[test]
fn a_checkpoint_between_a_commit_and_its_check_is_no_damage() {
    let fixture = fixture_with_log();
    let shared = &fixture.store.shared;
    // The writer has committed, and does not run yet when a checkpoint truncates the log and the monitor looks.
    assert!(fixture.store.truncate_log().unwrap());
    shared.look_for_truncation();
    assert!(shared.check_log_after_commit(4_096));
    fixture.set("after the checkpoint").unwrap();
    assert!(fixture.has("after the checkpoint"));
    assert_eq!(fixture.store.service_state(), ServiceState::Ready);
}
