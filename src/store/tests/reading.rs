//! Inline and pooled reads.

use crate::error::Reason;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::store::engine::readers::BLOCKING_READ_MAX;

/// A statement that never ends.
fn endless(snapshot: &Snapshot<'_>) -> Result<i64> {
    let sql = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    Ok(snapshot.connection().query_row(sql, [], |row| row.get(0))?)
}

#[test]
fn a_read_sees_one_state_despite_concurrent_writes() {
    let fixture = Fixture::new();
    let counts = |snapshot: &Snapshot<'_>| {
        let before = count_rows(snapshot)?;
        fixture.set("meanwhile").unwrap();
        Ok((before, count_rows(snapshot)?))
    };
    assert_eq!(fixture.store.read_inline(counts).unwrap(), (0, 0));
    assert_eq!(fixture.store.read_inline(count_rows).unwrap(), 1);
    let counts = |snapshot: &Snapshot<'_>| {
        let before = count_rows(snapshot)?;
        fixture.set("again").unwrap();
        Ok((before, count_rows(snapshot)?))
    };
    assert_eq!(fixture.store.read_pooled(counts).unwrap(), (1, 1));
    assert_eq!(fixture.store.read_pooled(count_rows).unwrap(), 2);
}

#[test]
fn a_statement_with_a_bound_limit_is_compiled_once() {
    let fixture = Fixture::new();
    let runs = |snapshot: &Snapshot<'_>| {
        let mut statement = snapshot.prepare("SELECT key FROM instance LIMIT ?1")?;
        for limit in 1..4 {
            statement.query_map([limit], |row| row.get::<_, String>(0))?.for_each(drop);
        }
        Ok(statement.get_status(rusqlite::StatementStatus::RePrepare))
    };
    assert_eq!(fixture.store.read_inline(runs).unwrap(), 0);
    assert_eq!(fixture.store.read_pooled(runs).unwrap(), 0);
}

#[test]
fn two_stores_on_one_thread_use_separate_connections() {
    let (left, right) = (Fixture::new(), Fixture::new());
    left.set("left").unwrap();
    for _ in 0..3 {
        assert!(left.has("left") && !right.has("left"));
    }
    drop(left);
    let third = Fixture::new();
    assert!(!third.has("left"));
}

#[test]
fn a_read_inside_a_read_works() {
    let fixture = Fixture::new();
    let nested = fixture.store.read_inline(|outer| {
        let inner = fixture.store.read_inline(count_rows)?;
        Ok((inner, count_rows(outer)?))
    });
    assert_eq!(nested.unwrap(), (0, 0));
}

#[test]
fn readers_cannot_write() {
    let fixture = Fixture::new();
    let write = |snapshot: &Snapshot<'_>| {
        snapshot.connection().execute("DELETE FROM instance", [])?;
        Ok(())
    };
    assert!(fixture.store.read_inline(write).is_err());
    assert!(fixture.store.read_pooled(write).is_err());
    assert!(fixture.store.is_intact());
}

#[test]
fn a_read_that_panics_does_not_affect_the_next_one() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    thread::spawn(move || {
        let panicked =
            |read: &dyn Fn() -> Result<()>| std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err();
        assert!(panicked(&|| store.read_inline(|_| panic!("as planned"))));
        assert!(panicked(&|| store.read_pooled(|_| panic!("as planned"))));
        assert_eq!(store.read_inline(count_rows).unwrap(), 0);
        assert_eq!(store.read_pooled(count_rows).unwrap(), 0);
    })
    .join()
    .unwrap();
}

#[test]
fn a_scan_is_interrupted_after_its_time_limit() {
    let fixture = Fixture::new();
    let start = Instant::now();
    let interrupted = fixture.store.read_pooled(endless);
    assert!(matches!(&interrupted, Err(error) if error.reason() == Reason::QueryTooLong), "{interrupted:?}");
    assert!(start.elapsed() < Duration::from_secs(4));
    assert_eq!(fixture.store.read_pooled(count_rows).unwrap(), 0);
}

#[test]
fn a_cancelled_scan_ends_at_once_and_one_that_did_not_begin_does_not_begin() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    let (cancellation, waiting) = Store::create_cancellation();
    let cancelled = cancellation.clone();
    let start = Instant::now();
    let scan = thread::spawn(move || store.read_until_cancelled(&cancellation, endless));
    while fixture.store.statistics().readers_in_use == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    drop(waiting);
    let ended = scan.join().unwrap();
    assert!(ended.is_err_and(|error| error.reason() == Reason::QueryTooLong));
    assert!(start.elapsed() < BLOCKING_READ_MAX, "it ended at its time limit");
    let unused = fixture.store.read_until_cancelled(&cancelled, |_| -> Result<()> { panic!("it began") });
    assert!(unused.is_err());
}

/// A client that creates a large group cannot restrict the query, and a 400 would end its attempts.
#[test]
fn a_read_for_a_write_that_takes_too_long_can_be_repeated() {
    let fixture = Fixture::new();
    let (cancellation, waiting) = Store::create_cancellation();
    drop(waiting);
    let ended = fixture.store.read_for_write(&cancellation, endless);
    assert!(ended.is_err_and(|error| error.reason() == Reason::ServerBusy));
    let store = fixture.store.clone();
    let inline = thread::spawn(move || {
        Store::mark_event_loop();
        store.read_inline_for_write(endless)
    });
    assert!(inline.join().unwrap().is_err_and(|error| error.reason() == Reason::ServerBusy));
}

#[test]
fn corruption_found_by_a_read_stops_writes() {
    let fixture = Fixture::new();
    let failed = fixture.store.read_inline(|_| -> Result<()> {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(rusqlite::Error::SqliteFailure(code, None).into())
    });
    assert!(failed.is_err());
    assert!(!fixture.store.is_intact());
}

#[test]
fn a_brief_part_of_a_read_ends_early_and_leaves_the_snapshot_usable() {
    let fixture = Fixture::new();
    for _ in 0..3 {
        let in_one_snapshot = fixture.store.read_inline(|at| {
            assert_eq!(at.read_briefly(|| endless(at))?, None);
            Ok((at.read_briefly(|| count_rows(at))?, count_rows(at)?))
        });
        assert_eq!(in_one_snapshot.unwrap(), (Some(0), 0), "the snapshot stays usable");
        assert_eq!(fixture.store.read_inline(count_rows).unwrap(), 0);
    }
    let failed = fixture.store.read_inline(|at| at.read_briefly(|| Err::<(), _>(Reason::ServerBusy.into())));
    assert!(failed.is_err_and(|error| error.reason() == Reason::ServerBusy), "other errors are returned");
}

#[test]
fn a_read_on_an_event_loop_has_a_lower_limit_than_one_on_another_thread() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    let time_limit = move |is_event_loop: bool| {
        let store = store.clone();
        let read = move || {
            if is_event_loop {
                Store::mark_event_loop();
            }
            let start = Instant::now();
            let interrupted = store.read_inline(endless);
            assert!(interrupted.is_err_and(|error| error.reason() == Reason::QueryTooLong));
            start.elapsed()
        };
        thread::spawn(read).join().unwrap()
    };
    assert!(time_limit(true) < Duration::from_millis(1_500));
    assert!(time_limit(false) >= Duration::from_secs(2));
}

#[test]
fn a_read_whose_thread_waits_is_not_a_long_query() {
    let fixture = Fixture::new();
    let count =
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT count(*) FROM n";
    let read = |pause: u64, sql: &str| {
        let run = |at: &Snapshot<'_>, sql: &str| -> crate::error::Result<i64> {
            Ok(at.connection().query_row(sql, [], |row| row.get(0))?)
        };
        fixture.store.read_inline(|at| {
            run(at, count)?;
            std::thread::sleep(std::time::Duration::from_millis(pause));
            run(at, sql)
        })
    };
    // Longer than the limit of 2 s, as on a machine whose processors are busy.
    assert_eq!(read(2_300, count).unwrap(), 5_000);
    let long = count.replace("5000", "900000000");
    assert_eq!(read(0, &long).unwrap_err().reason(), Reason::QueryTooLong);
}
