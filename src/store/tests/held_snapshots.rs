//! Snapshots that an event loop holds from one read to the next.

use std::future::Future;
use std::thread;

use rusqlite::Connection;

use super::*;
use crate::error::Reason;
use crate::store::engine::readers::inline_reader::HELD_MAX;
use crate::store::engine::snapshot::remembered::RememberedKey;

/// Runs a future on a thread that is an event loop.
fn on_event_loop<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let run = || {
        Store::mark_event_loop();
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    };
    thread::spawn(run).join().unwrap()
}

/// Whether the log can start again, because no reader uses it.
fn can_restart_log(folder: &TempDir) -> bool {
    let connection = Connection::open(database(folder)).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get::<_, i64>(0)).unwrap() == 0
}

/// Returns the value that the snapshot remembers, or this one.
fn read_remembered(store: &Store, value: i64) -> i64 {
    let read = |at: &Snapshot<'_>| {
        count_rows(at)?;
        at.remember(RememberedKey::Token([7; 32]), || Ok(value)).map(|found| *found)
    };
    store.read_inline(read).unwrap()
}

#[test]
fn a_read_contains_every_write_of_its_process_that_was_answered_before() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    let counted = on_event_loop(async move {
        let mut counted = Vec::new();
        for key in ["a", "b", "c"] {
            counted.push(store.read_inline(count_rows).unwrap());
            store.write(set(key)).await.unwrap();
            counted.push(store.read_inline(count_rows).unwrap());
        }
        counted
    });
    assert_eq!(counted, [0, 1, 1, 2, 2, 3]);
}

#[test]
fn a_value_is_read_once_in_a_snapshot_and_again_after_a_commit_or_a_short_time() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    on_event_loop(async move {
        let read = |value| read_remembered(&store, value);
        // The first two reads may be in two snapshots on a slow machine.
        let is_held = (0..20).any(|value| (read(value * 2), read(value * 2 + 1)) == (value * 2, value * 2));
        assert!(is_held);
        store.write(set("a")).await.unwrap();
        assert_eq!(read(101), 101, "after a commit");
        tokio::time::sleep(3 * HELD_MAX).await;
        assert_eq!(read(102), 102, "after a short time");
    });
    // Other threads hold nothing.
    assert_eq!((read_remembered(&fixture.store, 1), read_remembered(&fixture.store, 2)), (1, 2));
}

#[test]
fn a_remembered_token_stays_valid_after_a_change_of_resources_for_a_short_time() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    on_event_loop(async move {
        let mut is_held = false;
        for value in 0..20 {
            let first = read_remembered(&store, value * 3);
            store.write_without_savepoint(WorkOwner::Management, set("resource")).await.unwrap();
            let rows = store.read_inline(count_rows).unwrap();
            assert_eq!(rows, if value == 0 { 1 } else { 2 }, "the snapshot is a new one");
            is_held |= read_remembered(&store, value * 3 + 1) == first;
            store.write(set("token")).await.unwrap();
            assert_eq!(read_remembered(&store, value * 3 + 2), value * 3 + 2, "after a commit that may change tokens");
        }
        assert!(is_held);
        store.write_without_savepoint(WorkOwner::Management, set("resource")).await.unwrap();
        tokio::time::sleep(3 * HELD_MAX).await;
        assert_eq!(read_remembered(&store, 102), 102, "after a short time");
    });
}

#[test]
fn a_commit_of_another_process_is_seen_after_a_short_time() {
    let fixture = Fixture::new();
    let (store, path) = (fixture.store.clone(), database(&fixture.folder));
    let counted = on_event_loop(async move {
        let other = Connection::open(path).unwrap();
        let before = store.read_inline(count_rows).unwrap();
        other.execute("INSERT INTO instance (key, value) VALUES ('of-a-command', '1')", []).unwrap();
        // Nothing ends the snapshot in between but its age.
        thread::sleep(2 * HELD_MAX);
        (before, store.read_inline(count_rows).unwrap())
    });
    assert_eq!(counted, (0, 1));
}

#[test]
fn an_idle_event_loop_holds_no_snapshot() {
    let fixture = Fixture::new();
    let folder = fixture.folder;
    let store = fixture.store.clone();
    on_event_loop(async move {
        for key in ["a", "b"] {
            store.write(set(key)).await.unwrap();
            store.read_inline(count_rows).unwrap();
            // On a busy machine the task that ends the snapshot can run late.
            for _ in 0..200 {
                tokio::time::sleep(4 * HELD_MAX).await;
                if can_restart_log(&folder) {
                    break;
                }
            }
            assert!(can_restart_log(&folder), "no reader uses the log");
        }
    });
}

#[test]
fn a_snapshot_is_held_only_where_a_task_can_end_it() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    thread::spawn(move || {
        Store::mark_event_loop();
        assert_eq!((read_remembered(&store, 1), read_remembered(&store, 2)), (1, 2));
    })
    .join()
    .unwrap();
}

#[test]
fn a_failed_read_ends_its_snapshot() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    on_event_loop(async move {
        read_remembered(&store, 1);
        let failed = store.read_inline(|_| Err::<(), _>(Error::new(Reason::ServerBusy)));
        assert!(failed.is_err());
        assert_eq!(read_remembered(&store, 2), 2);
    });
}
