//! Group commit: when writes return, and how one write can affect the others of its batch.

use crate::error::{ErrorKind, Reason};
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::log;
use crate::store::engine::writer::QUEUE_MAX;

/// Blocks the writer inside a job, so that the writes queued in the meantime form one batch.
pub(super) struct Stopped {
    go_on: Sender<()>,
    held: thread::JoinHandle<Result<()>>,
}

pub(super) fn stop_writer(store: &Store) -> Stopped {
    let (go_on, wait): (_, Receiver<()>) = mpsc::channel();
    let (entered, inside) = mpsc::channel();
    let store = store.clone();
    let held = thread::spawn(move || {
        store.write_blocking_without_savepoint(move |_| {
            entered.send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        })
    });
    inside.recv().unwrap();
    Stopped { go_on, held }
}

impl Stopped {
    pub(super) fn go_on(self) {
        self.go_on.send(()).unwrap();
        let _ = self.held.join().unwrap();
    }
}

/// A write in the queue.
pub(super) struct Queued<T>(Pin<Box<dyn Future<Output = Result<T>>>>);

/// Queues a write of the management lane without waiting, by polling it once.
fn queue<T: Send + 'static>(
    store: &Store,
    isolation: Isolation,
    job: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
) -> Queued<T> {
    queue_as(store, WorkOwner::Management, isolation, job)
}

/// Queues a write of that owner.
pub(super) fn queue_as<T: Send + 'static>(
    store: &Store,
    owner: WorkOwner,
    isolation: Isolation,
    job: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
) -> Queued<T> {
    let store = store.clone();
    let mut queued = Queued(Box::pin(async move { store.writer.write(owner, isolation, job).await }));
    assert!(queued.is_pending());
    queued
}

impl<T> Queued<T> {
    fn is_pending(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.0.as_mut().poll(&mut context).is_pending()
    }

    pub(super) fn answer(self) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(self.0)
    }
}

fn fail<T>(_: T) -> Result<()> {
    Err(crate::error::Reason::RoleUnknown.into())
}

#[test]
fn a_write_returns_after_its_commit() {
    let fixture = Fixture::new();
    fixture.set("k").unwrap();
    assert!(fixture.has("k"));
}

#[test]
fn a_write_waits_for_the_commit_of_its_whole_batch() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let mut first = queue(&fixture.store, Isolation::None, set("first"));
    let (go_on, wait) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    let second = queue(&fixture.store, Isolation::None, move |_| {
        entered.send(()).unwrap();
        wait.recv().unwrap();
        Ok(())
    });
    stopped.go_on.send(()).unwrap();
    inside.recv().unwrap();
    // The first has run; the batch is still open.
    assert!(first.is_pending() && !fixture.has("first"));
    go_on.send(()).unwrap();
    first.answer().unwrap();
    second.answer().unwrap();
    assert!(fixture.has("first"));
}

#[test]
fn a_commit_that_fails_fails_every_write_of_the_batch() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let good = queue(&fixture.store, Isolation::Savepoint, set("good"));
    let dangling = queue(&fixture.store, Isolation::None, |tx| {
        tx.connection().execute_batch(
            "PRAGMA defer_foreign_keys = ON;
             INSERT INTO group_members (group_resource, member_resource) VALUES (1, 2)",
        )?;
        Ok(())
    });
    stopped.go_on();
    assert!(good.answer().is_err());
    assert!(dangling.answer().is_err());
    assert!(!fixture.has("good"));
    fixture.set("after").unwrap();
    assert!(fixture.has("after"));
}

#[test]
fn a_failing_write_in_a_savepoint_is_rolled_back_alone() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let before = queue(&fixture.store, Isolation::None, set("before"));
    let failing = queue(&fixture.store, Isolation::Savepoint, |tx| set("failing")(tx).and_then(fail));
    let after = queue(&fixture.store, Isolation::None, set("after"));
    stopped.go_on();
    before.answer().unwrap();
    after.answer().unwrap();
    assert!(matches!(failing.answer(), Err(error) if error.kind() == ErrorKind::Invalid));
    assert!(fixture.has("before") && fixture.has("after") && !fixture.has("failing"));
}

#[test]
fn a_write_that_wrote_and_failed_without_a_savepoint_makes_the_others_run_again() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let before = queue(&fixture.store, Isolation::None, set("before"));
    let failing = queue(&fixture.store, Isolation::None, |tx| set("failing")(tx).and_then(fail));
    let after = queue(&fixture.store, Isolation::None, set("after"));
    stopped.go_on();
    before.answer().unwrap();
    assert!(matches!(failing.answer(), Err(error) if error.kind() == ErrorKind::Invalid));
    after.answer().unwrap();
    assert!(fixture.has("after") && fixture.has("before") && !fixture.has("failing"));
}

#[test]
fn a_write_that_failed_before_it_wrote_needs_no_savepoint() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let before = queue(&fixture.store, Isolation::None, set("before"));
    let failing = queue(&fixture.store, Isolation::None, |tx| fail(tx));
    stopped.go_on();
    before.answer().unwrap();
    assert!(matches!(failing.answer(), Err(error) if error.kind() == ErrorKind::Invalid));
    assert!(fixture.has("before"));
}

#[test]
fn a_write_that_panics_is_rolled_back_alone_and_the_writer_continues() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let before = queue(&fixture.store, Isolation::None, set("before"));
    let panicking = queue(&fixture.store, Isolation::Savepoint, |tx| -> Result<()> {
        set("panicking")(tx)?;
        panic!("as planned")
    });
    stopped.go_on();
    before.answer().unwrap();
    assert!(matches!(panicking.answer(), Err(error) if error.reason() == Reason::DatabaseUnavailable));
    assert!(fixture.has("before") && !fixture.has("panicking"));
    fixture.set("after").unwrap();
}

#[test]
fn a_job_that_ends_the_transaction_never_succeeds() {
    let fixture = Fixture::new();
    let rogue = fixture.store.write_blocking_without_savepoint(|tx| {
        set("rogue")(tx)?;
        tx.connection().execute_batch("ROLLBACK")?;
        Ok(())
    });
    assert!(rogue.is_err());
    fixture.set("after").unwrap();
    assert!(!fixture.has("rogue") && fixture.has("after"));
}

#[test]
fn a_full_queue_rejects_writes_at_once() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let waiting: Vec<_> = (0..QUEUE_MAX / 2).map(|_| queue(&fixture.store, Isolation::None, |_| Ok(()))).collect();
    let start = Instant::now();
    assert!(matches!(fixture.set("one too many"), Err(error) if error.reason() == Reason::ServerBusy));
    assert!(start.elapsed() < Duration::from_millis(100));
    stopped.go_on();
    for write in waiting {
        write.answer().unwrap();
    }
    fixture.set("room again").unwrap();
}

#[test]
fn a_write_continues_when_its_caller_is_dropped() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    drop(queue(&fixture.store, Isolation::None, set("left alone")));
    stopped.go_on();
    fixture.set("next").unwrap();
    assert!(fixture.has("left alone"));
}

#[test]
fn closing_completes_queued_writes_and_rejects_later_ones() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let queued = queue(&fixture.store, Isolation::None, set("queued"));
    let closing = {
        let store = fixture.store.clone();
        thread::spawn(move || store.close())
    };
    stopped.go_on();
    closing.join().unwrap();
    queued.answer().unwrap();
    assert!(fixture.has("queued"));
    assert!(matches!(fixture.set("later"), Err(error) if error.reason() == Reason::ServerBusy));
}

#[test]
fn concurrent_writers_lose_no_writes() {
    let fixture = Fixture::new();
    thread::scope(|scope| {
        for writer in 0..16 {
            let store = &fixture.store;
            scope.spawn(move || {
                for turn in 0..50 {
                    let key = format!("{writer} {turn}");
                    store.write_blocking_without_savepoint(move |tx| instance::set_value(tx, &key, "x")).unwrap();
                }
            });
        }
    });
    assert_eq!(fixture.store.read_inline(count_rows).unwrap(), 800);
}

#[test]
fn the_time_of_writes_never_decreases() {
    let fixture = Fixture::new();
    let times: Vec<_> =
        (0..100).map(|_| fixture.store.write_blocking_without_savepoint(|tx| Ok(tx.now)).unwrap()).collect();
    assert!(times.is_sorted());
}

#[test]
fn a_corrupt_file_rejects_writes_but_can_be_read() {
    let fixture = Fixture::new();
    fixture.set("before").unwrap();
    fixture.store.shared.report_damage("as planned");
    assert!(matches!(fixture.set("after"), Err(error) if error.reason() == Reason::DatabaseDamaged));
    assert!(!fixture.store.is_intact());
    assert!(fixture.has("before") && !fixture.has("after"));
}

#[test]
fn corruption_found_by_a_write_stops_all_writes() {
    let fixture = Fixture::new();
    let failed = fixture.store.write_blocking_without_savepoint(|_| -> Result<()> {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(rusqlite::Error::SqliteFailure(code, None).into())
    });
    assert!(matches!(failed, Err(error) if error.reason() == Reason::DatabaseUnavailable));
    assert!(!fixture.store.is_intact());
    assert!(matches!(fixture.set("after"), Err(error) if error.reason() == Reason::DatabaseDamaged));
}

#[test]
fn after_a_disk_failure_the_database_is_opened_again() {
    let fixture = Fixture::new();
    let failed = fixture.store.write_blocking_without_savepoint(|tx| {
        set("doubtful")(tx)?;
        // Even if the write itself ignores the error.
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        let _ = Error::from(rusqlite::Error::SqliteFailure(code, None));
        Ok(())
    });
    assert!(matches!(failed, Err(error) if error.reason() == Reason::DatabaseUnavailable));
    assert!(!fixture.has("doubtful"));
    fixture.set("after").unwrap();
    assert!(fixture.has("after"));
}

#[test]
fn a_full_disk_is_reported_and_writes_continue_when_there_is_space() {
    let fixture = Fixture::new();
    let limit = |pages: i64| {
        fixture.store.write_blocking_without_savepoint(move |tx| {
            tx.connection().pragma_update(None, "max_page_count", pages)?;
            Ok(())
        })
    };
    limit(1).unwrap();
    let filled = fixture.store.write_blocking(|tx| instance::set_value(tx, "big", &"x".repeat(10_000_000)));
    assert!(matches!(&filled, Err(error) if error.reason() == Reason::DiskFull), "{filled:?}");
    assert!(!fixture.has("big"));
    limit(1_000_000).unwrap();
    fixture.set("after").unwrap();
}

#[test]
fn a_write_has_the_request_id_on_the_writer_thread() {
    let fixture = Fixture::new();
    let inside = actix_web::rt::System::new().block_on(log::run_for_request("the-request", async {
        fixture.store.write(|_| Ok(log::current_request_id())).await
    }));
    assert_eq!(inside.unwrap().as_deref(), Some("the-request"));
    let outside = fixture.store.write_blocking(|_| Ok(log::current_request_id()));
    assert_eq!(outside.unwrap(), None);
}

#[test]
fn a_part_in_a_savepoint_is_undone_alone_and_does_not_abort_the_batch() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let stopped = stop_writer(store);
    let first = queue(store, Isolation::None, set("before"));
    let undone = queue(store, Isolation::None, move |tx| {
        tx.run_in_savepoint(|| {
            tx.run("INSERT INTO instance (key, value) VALUES ('undone', '')", [])?;
            fail(())
        })
    });
    let partly = queue(store, Isolation::None, move |tx| {
        let _ = tx.run_in_savepoint(|| {
            tx.run("INSERT INTO instance (key, value) VALUES ('inner', '')", [])?;
            fail(())
        });
        tx.run("INSERT INTO instance (key, value) VALUES ('outer', '')", [])
    });
    let last = queue(store, Isolation::None, set("after"));
    stopped.go_on();
    first.answer().unwrap();
    assert_eq!(undone.answer().unwrap_err().reason(), Reason::RoleUnknown);
    partly.answer().unwrap();
    last.answer().unwrap();
    let has = ["before", "undone", "inner", "outer", "after"].map(|key| fixture.has(key));
    assert_eq!(has, [true, false, false, true, true]);
}

/// A connection of the fixture's database, as another program.
fn other_program(fixture: &Fixture) -> rusqlite::Connection {
    rusqlite::Connection::open(database(&fixture.folder)).unwrap()
}

#[test]
fn a_file_that_is_moved_away_accepts_no_write_until_it_is_back() {
    let fixture = Fixture::new();
    fixture.set("before").unwrap();
    assert!(fixture.has("before"));
    let away = fixture.folder.path().join("away");
    std::fs::rename(database(&fixture.folder), &away).unwrap();
    // The first write may be in the moved file, and is not acknowledged.
    let reason = fixture.set("lost").unwrap_err().reason();
    assert!(matches!(reason, Reason::WriteOutcomeUnknown | Reason::DatabaseFileMissing), "{reason:?}");
    assert_eq!(fixture.set("refused").unwrap_err().reason(), Reason::DatabaseFileMissing);
    assert_eq!(fixture.store.service_state(), ServiceState::ReadOnly(ReadOnlyCause::FileMissing));
    // The open connection still reads the right file.
    assert!(fixture.has("before"));
    std::fs::write(database(&fixture.folder), "").unwrap();
    let is = |cause| fixture.store.service_state().cause() == cause;
    poll(|| is(Some(ReadOnlyCause::FileReplaced)));
    assert_eq!(fixture.set("refused").unwrap_err().reason(), Reason::DatabaseFileReplaced);
    std::fs::rename(&away, database(&fixture.folder)).unwrap();
    poll(|| is(None));
    fixture.set("after").unwrap();
    assert!(fixture.has("after") && !fixture.has("refused"));
}

fn poll(mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn on_a_full_disk_only_writes_that_free_space_are_accepted() {
    let fixture = Fixture::new();
    fixture.store.shared.service.pretend_full_disk();
    let refused = fixture.set("ordinary").unwrap_err();
    assert_eq!((refused.reason(), refused.retry_seconds()), (Reason::DiskFull, Some(60)));
    let freeing = fixture.store.write_blocking(|tx| {
        tx.allow_on_full_disk();
        set("freeing")(tx)
    });
    freeing.unwrap();
    assert!(fixture.has("freeing") && !fixture.has("ordinary"));
    assert_eq!(other_program(&fixture).query_row("SELECT 1", [], |row| row.get::<_, i64>(0)), Ok(1));
}

#[test]
fn a_write_that_has_waited_too_long_is_withdrawn_or_its_outcome_is_unknown() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let started = std::time::Instant::now();
    let store = fixture.store.clone();
    let waiting = std::thread::spawn(move || store.write_blocking(set("withdrawn")));
    let refused = waiting.join().unwrap().unwrap_err();
    assert_eq!(refused.reason(), Reason::DiskStalled);
    assert!(started.elapsed() >= Duration::from_secs(9));
    // Now new writes are rejected at once.
    assert_eq!(fixture.store.service_state(), ServiceState::ReadOnly(ReadOnlyCause::Stalled));
    assert_eq!(fixture.set("refused").unwrap_err().reason(), Reason::DiskStalled);
    stopped.go_on();
    poll(|| fixture.store.service_state() == ServiceState::Ready);
    fixture.set("after").unwrap();
    assert!(fixture.has("after") && !fixture.has("withdrawn") && !fixture.has("refused"));
}

#[test]
fn a_command_gets_the_lock_that_another_process_has_nearly_always() {
    let fixture = Fixture::new();
    let command = Store::open_existing(fixture.folder.path()).unwrap();
    let (ended, is_ended) = mpsc::channel::<()>();
    let path = fixture.folder.path().join("rollcall.db");
    let other = thread::spawn(move || {
        let server = rusqlite::Connection::open(path).unwrap();
        while is_ended.try_recv().is_err() {
            if server.execute_batch("BEGIN IMMEDIATE").is_ok() {
                thread::sleep(Duration::from_millis(97));
                server.execute_batch("ROLLBACK").unwrap();
            }
            thread::sleep(Duration::from_millis(3));
        }
    });
    for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        command.write_blocking_without_savepoint(set(key)).unwrap();
        assert!(fixture.has(key));
    }
    ended.send(()).unwrap();
    other.join().unwrap();
}
