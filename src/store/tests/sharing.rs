//! Fair shares of the writer: the order of writes of several owners, deadlines of jobs, and the age of the queue.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::writing::{Queued, queue_as, stop_writer};
use super::*;
use crate::error::Reason;
use crate::model::configuration::ConfigurationKey;

const NOISY: WorkOwner = WorkOwner::Configuration(ConfigurationKey { account: 1, key: 1 });
const QUIET: WorkOwner = WorkOwner::Configuration(ConfigurationKey { account: 2, key: 2 });
/// What one configuration may queue: the quarter of its account without the part for other configurations.
const NOISY_MAX: usize = QUEUE_MAX / 4 - QUEUE_MAX / 32;

/// A statement that counts for minutes.
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000000000)";

/// Queues a job that records its owner when it runs.
fn queue_recorded(store: &Store, owner: WorkOwner, ran: &Arc<Mutex<Vec<WorkOwner>>>, takes: Duration) -> Queued<()> {
    let ran = Arc::clone(ran);
    queue_as(store, owner, Isolation::None, move |_| {
        let start = Instant::now();
        while start.elapsed() < takes {
            std::hint::spin_loop();
        }
        ran.lock().unwrap().push(owner);
        Ok(())
    })
}

#[test]
fn a_quiet_owner_waits_for_at_most_one_queued_write_of_a_flood() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let ran = Arc::default();
    let takes = Duration::from_micros(200);
    let mut queued: Vec<_> = (0..NOISY_MAX).map(|_| queue_recorded(&fixture.store, NOISY, &ran, takes)).collect();
    // The share of the noisy owner is full, that of the others is not.
    let refused = queue_as(&fixture.store, QUIET, Isolation::None, |_| Ok(()));
    let full = fixture.store.clone();
    let noisy = thread::spawn(move || full.writer.write_blocking(NOISY, Isolation::None, |_| Ok(())));
    assert!(matches!(noisy.join().unwrap(), Err(error) if error.reason() == Reason::ServerBusy));
    queued.push(queue_recorded(&fixture.store, QUIET, &ran, takes));
    stopped.go_on();
    refused.answer().unwrap();
    for write in queued {
        write.answer().unwrap();
    }
    let ran = ran.lock().unwrap();
    assert_eq!(ran.len(), NOISY_MAX + 1);
    let position = ran.iter().position(|owner| *owner == QUIET).unwrap();
    assert!(position <= 1, "{position} writes of the flood ran first");
}

#[test]
fn a_flood_is_committed_in_slices_that_are_bounded_in_time() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let commits = || fixture.store.statistics().batches.count();
    let before = commits();
    let writes: Vec<_> = (0..100)
        .map(|_| {
            queue_as(&fixture.store, NOISY, Isolation::None, |tx| {
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(1) {
                    std::hint::spin_loop();
                }
                instance::set_value(tx, "k", "x")
            })
        })
        .collect();
    stopped.go_on();
    for write in writes {
        write.answer().unwrap();
    }
    // 100 ms of work in slices of 20 ms.
    assert!(commits() - before >= 5, "{} commits", commits() - before);
}

#[test]
fn a_quiet_owner_does_not_wait_until_a_flood_has_filled_its_batch() {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let ran: Arc<Mutex<Vec<WorkOwner>>> = Arc::default();
    let takes = Duration::from_millis(1);
    let flood: Vec<_> = (0..60).map(|_| queue_recorded(&fixture.store, NOISY, &ran, takes)).collect();
    let quiet = queue_recorded(&fixture.store, QUIET, &ran, Duration::ZERO);
    stopped.go_on();
    quiet.answer().unwrap();
    let before_answer = ran.lock().unwrap().len();
    for write in flood {
        write.answer().unwrap();
    }
    // 5 ms of the flood, and what the next batch did until this thread continued.
    assert!(before_answer < 40, "{before_answer} writes were committed first");
    let commits = fixture.store.statistics().batches;
    assert!(commits.count() <= 20, "the rest of the flood is still committed in large batches");
}

/// Runs a job that does not end in time together with two writes of others.
fn run_endless_job(owner: WorkOwner, endless: impl FnMut(&Tx<'_>) -> Result<()> + Send + 'static) {
    let fixture = Fixture::new();
    let stopped = stop_writer(&fixture.store);
    let first = queue_as(&fixture.store, QUIET, Isolation::None, set("first"));
    let endless = queue_as(&fixture.store, owner, Isolation::None, endless);
    let last = queue_as(&fixture.store, QUIET, Isolation::Savepoint, set("last"));
    let start = Instant::now();
    stopped.go_on();
    first.answer().unwrap();
    last.answer().unwrap();
    assert!(matches!(endless.answer(), Err(error) if error.reason() == Reason::WriteTooLong));
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(fixture.has("first") && fixture.has("last") && !fixture.has("endless"));
    fixture.set("after").unwrap();
    assert!(fixture.has("after"));
}

#[test]
fn an_endless_query_of_a_write_is_interrupted() {
    run_endless_job(NOISY, |tx| {
        set("endless")(tx)?;
        tx.connection().query_row(&format!("{ENDLESS} SELECT count(*) FROM n"), [], |_| Ok(()))?;
        Ok(())
    });
}

#[test]
fn an_endless_change_is_interrupted_and_the_other_writes_run_again() {
    // SQLite rolls back the whole transaction if it interrupts a statement that writes.
    run_endless_job(NOISY, |tx| {
        tx.connection().execute_batch(&format!(
            "INSERT INTO instance (key, value) {ENDLESS} SELECT 'endless', 'x' FROM n WHERE i = 0"
        ))?;
        Ok(())
    });
}

#[test]
fn an_endless_loop_ends_at_its_deadline() {
    run_endless_job(NOISY, |tx| {
        loop {
            tx.check_deadline()?;
        }
    });
}

#[test]
fn the_deadline_of_a_job_does_not_interrupt_the_next_one() {
    let fixture = Fixture::new();
    for number in 0..20 {
        let late = fixture.store.writer.write_blocking(NOISY, Isolation::None, move |tx| {
            tx.check_deadline()?;
            instance::set_value(tx, "k", &number.to_string())
        });
        late.unwrap();
        thread::sleep(Duration::from_millis(120));
    }
}

#[test]
fn the_age_of_the_oldest_write_is_known() {
    let fixture = Fixture::new();
    assert_eq!(fixture.store.statistics().queue_oldest, Duration::ZERO);
    let stopped = stop_writer(&fixture.store);
    let waiting = queue_as(&fixture.store, QUIET, Isolation::None, set("k"));
    thread::sleep(Duration::from_millis(50));
    assert!(fixture.store.statistics().queue_oldest >= Duration::from_millis(50));
    assert!(fixture.store.shared.queue.stalled_for() >= Duration::from_millis(50));
    assert_eq!(fixture.store.service_state(), ServiceState::Ready);
    stopped.go_on();
    waiting.answer().unwrap();
    fixture.set("after").unwrap();
    assert!(fixture.store.shared.queue.stalled_for() < Duration::from_secs(1));
}
