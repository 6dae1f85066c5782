//! Damaged files are errors, and undamaged ones work as without checksums.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, ffi};

use crate::store::page_checksums as pages;

const PAGE: usize = 2_048;

fn open(path: &Path) -> Connection {
    pages::register().unwrap();
    let connection = Connection::open(path).unwrap();
    pages::request_checksums(&connection).unwrap();
    connection.pragma_update(None, "page_size", i64::try_from(PAGE).unwrap()).unwrap();
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    connection
}

fn fill(connection: &Connection, rows: i64) {
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v TEXT); CREATE INDEX IF NOT EXISTS i ON t (v);",
        )
        .unwrap();
    for key in 0..rows {
        connection
            .execute("INSERT OR REPLACE INTO t VALUES (?1, ?2 || hex(zeroblob(300)))", (key, key.to_string()))
            .unwrap();
    }
}

fn read_all(path: &Path) -> rusqlite::Result<(i64, String)> {
    let connection = Connection::open(path)?;
    let read = connection
        .query_row("SELECT count(*), max(v || k) FROM t NOT INDEXED", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let indexed: i64 =
        connection.query_row("SELECT count(v) FROM t INDEXED BY i WHERE v > ''", [], |row| row.get(0))?;
    assert_eq!(read.0, indexed);
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(found)));
    }
    Ok(read)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(code, _)
        if [ffi::SQLITE_IOERR_DATA, ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB].contains(&code.extended_code))
}

#[test]
fn each_damaged_page_is_an_error_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let connection = open(&path);
    fill(&connection, 200);
    let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap();
    let mut unread = std::collections::BTreeSet::new();
    drop(connection);
    let sound = fs::read(&path).unwrap();
    assert_eq!((usize::from(sound[20]), sound.len() % PAGE), (16, 0));
    let expected = read_all(&path).unwrap();
    for page in 0..sound.len() / PAGE {
        for at in [0, 20, 100, 1_000, PAGE - 9] {
            let mut damaged = sound.clone();
            damaged[page * PAGE + at] ^= 0x08;
            fs::write(&path, &damaged).unwrap();
            let read = read_all(&path);
            let error = match read {
                Ok(read) => {
                    // The content of free pages is not read.
                    unread.insert(page);
                    assert_eq!(read, expected);
                    continue;
                }
                Err(error) => error,
            };
            assert!(is_damage(&error), "page {page}, byte {at}: {error:?}");
            if page > 0 && !format!("{error:?}").contains("failed to get page") {
                assert!(pages::take_last_damage().unwrap().contains(&format!("page {}", page + 1)));
            }
        }
        let mut zeroed = sound.clone();
        zeroed[page * PAGE..(page + 1) * PAGE].fill(0);
        fs::write(&path, &zeroed).unwrap();
        assert!(read_all(&path).is_err() || unread.contains(&page), "page {page}");
    }
    assert_eq!(i64::try_from(unread.len()).unwrap(), free);
    let mut swapped = sound.clone();
    let (first, second) = swapped.split_at_mut(3 * PAGE);
    first[2 * PAGE..].swap_with_slice(&mut second[..PAGE]);
    fs::write(&path, &swapped).unwrap();
    assert!(read_all(&path).is_err());
    fs::write(&path, &sound[..sound.len() - PAGE]).unwrap();
    assert!(read_all(&path).is_err());
    fs::write(&path, &sound).unwrap();
    assert_eq!(read_all(&path).unwrap(), expected);
}

#[test]
fn each_damaged_frame_of_the_log_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let connection = open(&path);
    connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    fill(&connection, 40);
    read_all(&path).unwrap();
    let log = folder.path().join("a.db-wal");
    let sound = fs::read(&log).unwrap();
    let frames = (sound.len() - 32) / (PAGE + 24);
    let mut found = 0;
    for frame in 0..frames {
        use std::os::unix::fs::FileExt;
        let at = 32 + frame * (PAGE + 24) + 24 + 700;
        let file = fs::OpenOptions::new().write(true).open(&log).unwrap();
        file.write_all_at(&[sound[at] ^ 1], at as u64).unwrap();
        let read = read_all(&path);
        assert!(read.as_ref().map_or_else(is_damage, |_| true), "frame {frame}: {read:?}");
        found += usize::from(read.is_err());
        file.write_all_at(&sound[at..=at], at as u64).unwrap();
    }
    // The newest frame of each page of the table and the index is read.
    assert!(found > 15, "{found}");
    read_all(&path).unwrap();
}

#[test]
fn large_transactions_that_change_pages_in_the_log_again_are_read_while_they_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let connection = open(&path);
    connection.pragma_update(None, "cache_size", 10).unwrap();
    fill(&connection, 50);
    for round in 0..6 {
        connection.execute_batch("BEGIN").unwrap();
        fill(&connection, 400);
        connection
            .execute_batch("SAVEPOINT s; UPDATE t SET v = v || 'x'; ROLLBACK TO s; DELETE FROM t WHERE k % 3 = 0")
            .unwrap();
        fill(&connection, 300);
        connection
            .query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
            .map(|found| assert_eq!(found, "ok"))
            .unwrap();
        connection.execute_batch(if round % 2 == 0 { "COMMIT" } else { "ROLLBACK" }).unwrap();
        read_all(&path).unwrap();
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    read_all(&path).unwrap();
}

#[test]
fn frames_of_a_rolled_back_transaction_do_not_replace_those_of_another_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let (first, second) = (open(&path), open(&path));
    fill(&first, 200);
    // Changed pages do not fit into the cache, so frames are written in front of the commit.
    first.execute_batch("PRAGMA cache_size = 10").unwrap();
    for round in 0..20 {
        // From a few frames, which are still gathered when the transaction ends, to many.
        first.execute_batch(&format!("BEGIN; UPDATE t SET v = v || 'x' WHERE k <= {}; ROLLBACK", round * 10)).unwrap();
        second
            .execute("UPDATE t SET v = ?1 || hex(zeroblob(300)) WHERE k % 7 = ?2", (round.to_string(), round % 7))
            .unwrap();
        let expected = read_all(&path).unwrap();
        first.query_row("SELECT count(v) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
        first.execute("UPDATE t SET v = v WHERE k = 1", []).unwrap();
        assert_eq!(read_all(&path).unwrap(), expected, "round {round}");
    }
}

#[test]
fn a_program_without_checksums_may_copy_the_log_into_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let connection = open(&path);
    connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    fill(&connection, 100);
    connection.execute("UPDATE t SET v = v || 'x' WHERE k % 2 = 0", []).unwrap();
    let killed = tempfile::tempdir().unwrap();
    let copy = killed.path().join("a.db");
    fs::copy(&path, &copy).unwrap();
    fs::copy(folder.path().join("a.db-wal"), killed.path().join("a.db-wal")).unwrap();
    let flags = OpenFlags::default();
    let foreign = Connection::open_with_flags_and_vfs(&copy, flags, c"unix").unwrap();
    foreign.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert_eq!(foreign.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    drop(foreign);
    assert_eq!(read_all(&copy).unwrap(), read_all(&path).unwrap());
}

#[test]
fn what_a_program_without_checksums_writes_is_read_from_the_log_and_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let connection = open(&path);
    fill(&connection, 100);
    let foreign = Connection::open_with_flags_and_vfs(&path, OpenFlags::default(), c"unix").unwrap();
    foreign.execute("UPDATE t SET v = v || 'x' WHERE k % 2 = 0", []).unwrap();
    read_all(&path).unwrap();
    fill(&connection, 20);
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    read_all(&path).unwrap();
    // Copied by the other program, its pages have no checksum.
    foreign.execute("UPDATE t SET v = v || 'y' WHERE k % 2 = 0", []).unwrap();
    foreign.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert!(read_all(&path).is_err_and(|error| is_damage(&error)));
    pages::accept_foreign_pages(&path, true);
    read_all(&path).unwrap();
    pages::accept_foreign_pages(&path, false);
    assert!(read_all(&path).is_err());
}

#[test]
fn a_copy_of_the_pages_of_a_database_without_checksums_has_none() {
    let folder = tempfile::tempdir().unwrap();
    pages::register().unwrap();
    let old = Connection::open(folder.path().join("old.db")).unwrap();
    fill(&old, 10_000);
    let path = folder.path().join("copy.db");
    let mut copy = Connection::open(&path).unwrap();
    pages::expect_no_checksums(&copy).unwrap();
    copy.pragma_update(None, "cache_size", 10).unwrap();
    rusqlite::backup::Backup::new(&old, &mut copy).unwrap().step(-1).unwrap();
    assert_eq!(pages::has_checksums(&copy).unwrap(), Some(false));
    drop(copy);
    read_all(&path).unwrap();
}

#[test]
fn a_copy_of_a_database_without_checksums_has_some() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old.db"), folder.path().join("new.db"));
    pages::register().unwrap();
    let connection = Connection::open(&old).unwrap();
    fill(&connection, 30_000);
    assert_eq!(pages::has_checksums(&connection).unwrap(), Some(false));
    drop(connection);
    let connection = Connection::open(&old).unwrap();
    pages::request_checksums(&connection).unwrap();
    // Pages are written long before the first one.
    connection.pragma_update(None, "cache_size", 10).unwrap();
    connection.execute("VACUUM INTO ?1", [new.to_str().unwrap()]).unwrap();
    assert_eq!(read_all(&old).unwrap(), read_all(&new).unwrap());
    let copy = Connection::open(&new).unwrap();
    assert_eq!(pages::has_checksums(&copy).unwrap(), Some(true));
    let mut page =
        vec![0; usize::try_from(copy.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0)).unwrap()).unwrap()];
    let mut number = 1;
    loop {
        match pages::read_raw_page(&copy, number, &mut page).unwrap() {
            pages::RawPage::End => break,
            read => assert_eq!(read, pages::RawPage::Valid, "{number}"),
        }
        number += 1;
    }
    assert!(number > 5_000);
}

#[test]
fn nothing_of_deleted_rows_is_left_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let connection = open(&path);
    connection.pragma_update(None, "secure_delete", true).unwrap();
    connection
        .execute_batch("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT); CREATE INDEX i ON t (v); CREATE TABLE w (k TEXT PRIMARY KEY) WITHOUT ROWID;")
        .unwrap();
    // Splits and merges of pages copy the cells next to their page.
    for round in 0..3_i64 {
        for key in 0..1_500_i64 {
            let number = (key * 7_919 + round * 31) % 1_500;
            let is_marked = number % 3 == 0;
            let name = if is_marked { "MARKED-TEXT" } else { "other" };
            let text = format!("{number:05}-{name}-{}", "x".repeat(usize::try_from(number % 97).unwrap()));
            connection.execute("INSERT OR REPLACE INTO t VALUES (?1, ?2)", (number, &text)).unwrap();
            connection.execute("INSERT OR REPLACE INTO w VALUES (?1)", [&text]).unwrap();
        }
        connection.execute_batch("DELETE FROM t WHERE k % 11 = 5; DELETE FROM w WHERE substr(k, 5, 1) = '4'").unwrap();
    }
    let holds = |name: &str| {
        let bytes = fs::read(folder.path().join(name)).unwrap_or_default();
        memchr::memmem::find(&bytes, b"MARKED-TEXT").is_some()
    };
    assert!(holds("a.db-wal") || holds("a.db"));
    for number in (0..1_500_i64).step_by(3) {
        connection.execute("DELETE FROM t WHERE k = ?1", [number]).unwrap();
        connection
            .execute("DELETE FROM w WHERE k >= printf('%05d', ?1) AND k < printf('%05d.', ?1)", [number])
            .unwrap();
    }
    let left: i64 = connection
        .query_row("SELECT (SELECT count(*) FROM t WHERE v LIKE '%MARKED%') + (SELECT count(*) FROM w WHERE k LIKE '%MARKED%')", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert!(!holds("a.db") && !holds("a.db-wal"));
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
    drop(connection);
    let reopened = open(&path);
    let count: i64 = reopened.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert!(count > 500);
}
