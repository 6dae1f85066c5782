//! Damage that the scrub and the deep check find, and databases without page checksums.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{Fixture, database, set};
use crate::store::engine::files::DataFiles;
use crate::store::engine::integrity::log_scan;
use crate::store::engine::integrity::scrub;
use crate::store::engine::integrity::{CheckDepth, check_database};
use crate::store::engine::{backup, connection, integrity, upgrade};
use crate::store::page_checksums;
use crate::store::{LogReplicator, OpenError, Store};

/// The rate of a scrub without pauses.
const FULL_SPEED: u64 = u64::MAX / 2;

/// A database with pages that are not in the write-ahead log.
fn fixture_with_pages() -> Fixture {
    let Fixture { store, folder } = Fixture::new();
    let fill = |tx: &crate::store::Tx<'_>| {
        (0..4_000).try_for_each(|key| crate::store::tables::instance::set_value(tx, &format!("key {key}"), "value"))
    };
    store.write_blocking(fill).unwrap();
    store.close();
    drop(store);
    let store = Store::open_for_server(folder.path()).unwrap();
    Fixture { store, folder }
}

fn damage_page(fixture: &Fixture, number: u64) {
    let file = OpenOptions::new().write(true).open(database(&fixture.folder)).unwrap();
    file.write_all_at(&[0xa5; 16], (number - 1) * 2_048 + 900).unwrap();
    // Closing it would drop the locks of SQLite on the file.
    std::mem::forget(file);
}

#[test]
fn the_scrub_reads_each_page_once_and_stops_writes_at_damage() {
    let fixture = fixture_with_pages();
    scrub::scrub_database(&fixture.store.shared, FULL_SPEED).unwrap();
    let figures = fixture.store.statistics().scrub;
    assert_eq!(figures.pages, fixture.store.statistics().database_bytes.unwrap() / 2_048);
    assert!(figures.finished_at.is_some() && !figures.has_damage && fixture.store.is_intact());
    damage_page(&fixture, figures.pages - 3);
    scrub::scrub_database(&fixture.store.shared, FULL_SPEED).unwrap();
    assert!(fixture.store.statistics().scrub.has_damage && !fixture.store.is_intact());
    fixture.set("after the damage").unwrap_err();
}

#[test]
fn a_page_that_the_log_replaces_is_no_damage() {
    let fixture = fixture_with_pages();
    // Each page of this table is in the log.
    let change = |tx: &crate::store::Tx<'_>| tx.run("UPDATE instance SET value = 'other'", []);
    fixture.store.write_blocking(change).unwrap();
    let pages: Vec<u64> = {
        let reader = connection::connect_source(&database(&fixture.folder).canonicalize().unwrap()).unwrap();
        let mut leaves =
            reader.prepare("SELECT pageno FROM dbstat WHERE name = 'instance' AND pagetype = 'leaf'").unwrap();
        let leaves = leaves.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        leaves.map(|page| page.unwrap().unsigned_abs()).collect()
    };
    damage_page(&fixture, pages[pages.len() / 2]);
    scrub::scrub_database(&fixture.store.shared, FULL_SPEED).unwrap();
    assert!(fixture.store.is_intact() && fixture.has("key 1"));
}

/// A database of the version in front of the checksums.
fn old_database() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    page_checksums::register().unwrap();
    let mut old = Connection::open(database(&folder)).unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    upgrade::run_upgrades_to(&mut old, 6).unwrap();
    old.execute("INSERT INTO instance VALUES ('old', 'row')", []).unwrap();
    assert_eq!(page_checksums::has_checksums(&old).unwrap(), Some(false));
    folder
}

fn read_old_row(store: &Store) -> Option<String> {
    store.read_inline(|at| crate::store::tables::instance::get_value(at, "old")).unwrap()
}

fn has_checksums(folder: &tempfile::TempDir) -> bool {
    let reader = connection::connect_source(&database(folder).canonicalize().unwrap()).unwrap();
    page_checksums::has_checksums(&reader).unwrap().unwrap()
}

#[test]
fn a_database_of_an_earlier_version_gets_checksums_in_its_upgrade() {
    for is_server in [true, false] {
        let folder = old_database();
        for _ in 0..2 {
            let open = if is_server { Store::open_for_server } else { Store::open_existing };
            let store = open(folder.path()).unwrap();
            assert_eq!(read_old_row(&store).as_deref(), Some("row"));
            store.write_blocking_without_savepoint(set("a write")).unwrap();
            assert!(has_checksums(&folder));
        }
        assert!(check_database(folder.path(), CheckDepth::Deep).unwrap().is_empty());
        // One backup, made at the first start.
        let backups = std::fs::read_dir(folder.path()).unwrap().flatten();
        assert_eq!(backups.filter(|file| file.file_name().to_string_lossy().contains("before-v")).count(), 1);
    }
}

#[test]
fn a_database_that_another_program_uses_is_upgraded_without_checksums() {
    let folder = old_database();
    let other = Connection::open(database(&folder)).unwrap();
    let count = || other.query_row("SELECT count(*) FROM instance", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = count();
    let store = Store::open_for_server(folder.path()).unwrap();
    store.write_blocking_without_savepoint(set("a write")).unwrap();
    // It is the same file still: the other program sees the write, and no write of it is lost.
    assert!(count() > before && !has_checksums(&folder));
    other.execute("INSERT INTO instance VALUES ('other', 'row')", []).unwrap();
    let found = store.read_inline(|at| crate::store::tables::instance::get_value(at, "other")).unwrap();
    assert_eq!((found.as_deref(), read_old_row(&store).as_deref()), (Some("row"), Some("row")));
    store.close();
    drop((store, other));
    let files = DataFiles::prepare(folder.path(), false).unwrap();
    let state = files.read_state().unwrap();
    let backup = folder.path().join("backup");
    std::fs::copy(database(&folder), &backup).unwrap();
    let changed = Connection::open(database(&folder)).unwrap();
    changed.execute("INSERT INTO instance VALUES ('late', 'row')", []).unwrap();
    changed.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(changed);
    assert!(!backup::replace_by_backup(&files, &backup, state).unwrap());
    assert!(backup::replace_by_backup(&files, &backup, files.read_state().unwrap()).unwrap());
}

#[test]
fn a_database_that_another_program_changed_while_it_was_stopped_is_refused_unless_it_is_litestream() {
    for (is_litestream, create) in
        [(false, "SELECT 1"), (true, "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq)")]
    {
        let Fixture { store, folder } = fixture_with_pages();
        store.close();
        drop(store);
        let path = database(&folder);
        let other = Connection::open_with_flags_and_vfs(&path, rusqlite::OpenFlags::default(), c"unix").unwrap();
        // The new rows are next to the others, so they change each page of the table, also those that the start reads.
        let insert = "INSERT INTO instance (key, value) SELECT key || ' x', 'x' FROM instance";
        other.execute_batch(&format!("{create}; {insert}")).unwrap();
        // Connections of the store can end a little later. The pages must be in the database file.
        let is_copied =
            || other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).unwrap() == 0;
        let mut attempts = 0..250;
        while attempts.next().is_some() && !is_copied() {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!attempts.is_empty(), "a connection of the store does not end");
        drop(other);
        let opened = Store::open_for_server(folder.path());
        assert_eq!(opened.is_ok(), is_litestream);
        if let Ok(store) = opened {
            store.write_blocking_without_savepoint(set("a write")).unwrap();
            assert!(store.is_intact());
        }
    }
}

/// A replica whose program does not run.
struct StoppedReplicator;

impl LogReplicator for StoppedReplicator {
    fn is_running(&self) -> bool {
        false
    }

    fn run_checkpoint(&self, _: Duration) {}

    fn confirm(&self, _: Duration) -> bool {
        false
    }

    fn detach(&self, _: Duration) -> bool {
        false
    }

    fn attach(&self, _: Duration) {}
}

#[test]
fn only_the_page_that_litestream_writes_needs_no_checksum_if_the_server_has_created_its_tables() {
    let write_elsewhere = |fixture: &Fixture, sql: &str| {
        let flags = rusqlite::OpenFlags::default();
        let other = Connection::open_with_flags_and_vfs(database(&fixture.folder), flags, c"unix").unwrap();
        other.execute_batch(sql).unwrap();
        other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    };
    let bump = "INSERT INTO _litestream_seq VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1";
    let Fixture { store, folder } = fixture_with_pages();
    store.replicate_log(Arc::new(StoppedReplicator)).unwrap();
    store.close();
    drop(store);
    let store = Store::open_for_server(folder.path()).unwrap();
    let fixture = Fixture { store, folder };
    write_elsewhere(&fixture, bump);
    scrub::scrub_database(&fixture.store.shared, FULL_SPEED).unwrap();
    let figures = fixture.store.statistics();
    assert_eq!(figures.scrub.pages, figures.database_bytes.unwrap() / 2_048);
    assert!(fixture.store.is_intact());
    assert_eq!(integrity::check_pages(fixture.folder.path()).unwrap(), None);
    // A restored file has no trace of them.
    let (copy, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = copy.path().join("backup.db");
    fixture.store.back_up(&file, false, &Arc::default()).unwrap();
    backup::restore_backup(target.path(), &file, backup::RestoreOptions::default()).unwrap();
    let restored =
        Connection::open_with_flags_and_vfs(target.path().join("rollcall.db"), rusqlite::OpenFlags::default(), c"unix");
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%litestream%'";
    assert_eq!(restored.unwrap().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    // Any other page is damaged without its checksum.
    write_elsewhere(&fixture, "UPDATE instance SET value = value || ' '");
    fixture.store.close();
    drop(fixture.store);
    assert!(!matches!(integrity::check_pages(fixture.folder.path()), Ok(None)));
}

#[test]
fn a_damaged_log_is_refused_by_every_command_and_its_loss_can_be_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let killed = tempfile::tempdir().unwrap();
    let store = Store::open_for_server(folder.path()).unwrap();
    for key in ["a", "b", "c", "d"] {
        store.write_blocking_without_savepoint(set(key)).unwrap();
    }
    for name in ["rollcall.db", "rollcall.db-wal", "rollcall.db-shm"] {
        std::fs::copy(folder.path().join(name), killed.path().join(name)).unwrap();
    }
    let log = killed.path().join("rollcall.db-wal");
    let length = std::fs::metadata(&log).unwrap().len();
    OpenOptions::new().write(true).open(&log).unwrap().write_all_at(b"damage", length - 3_000).unwrap();
    for opened in [Store::open_for_server(killed.path()), Store::open_existing(killed.path())] {
        assert!(matches!(opened, Err(OpenError::LogDamaged { .. })));
    }
    assert!(matches!(check_database(killed.path(), CheckDepth::Normal), Err(OpenError::LogDamaged { .. })));
    assert!(log_scan::accept_loss(killed.path()).unwrap().is_some());
    let reopened = Store::open_for_server(killed.path()).unwrap();
    let has =
        |key: &str| reopened.read_inline(|at| crate::store::tables::instance::get_value(at, key)).unwrap().is_some();
    assert!(has("a") && !has("d"));
}
