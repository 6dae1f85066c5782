//! The write-ahead log starts again while scans run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Fixture;
use crate::model::service_state::ServiceState;
use crate::store::tables::instance;

const LARGE: usize = 256 << 10;
/// Bytes that are written: several times the limit.
const WRITES: usize = (160 << 20) / LARGE;

/// Every page of a value differs from those of the value in front of it: SQLite does not write equal pages.
fn build_value(number: usize) -> String {
    ["a", "b"][number % 2].repeat(LARGE)
}

#[test]
fn the_log_starts_again_while_long_scans_give_up_their_snapshots() {
    let fixture = Fixture::new();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut largest = 0;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (store, is_over) = (fixture.store.clone(), Arc::clone(&is_over));
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    // Each scan lasts most of the allowed time, so some scan runs at any time.
                    let scan = store.read_pooled(|at| {
                        let end = Instant::now() + Duration::from_millis(1_500);
                        while Instant::now() < end {
                            instance::get_value(at, "x")?;
                            at.renew_if_due()?;
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        Ok(at.was_renewed())
                    });
                    assert!(scan.unwrap(), "a scan of 1.5 s has several snapshots");
                }
            });
        }
        for number in 0..WRITES {
            let value = build_value(number);
            fixture.store.write_blocking(move |tx| instance::set_value(tx, "x", &value)).unwrap();
            largest = largest.max(fixture.store.statistics().log_bytes.unwrap());
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(largest < 64 << 20, "{largest} bytes");
    let checkpoints = fixture.store.statistics().checkpoints;
    assert!(checkpoints.restarts > 1 && checkpoints.failures == 0, "{checkpoints:?}");
}

#[test]
fn a_quiet_server_starts_the_log_again_early_and_closes_with_an_empty_log() {
    let fixture = Fixture::new();
    for number in 0..WRITES / 4 {
        let value = build_value(number);
        fixture.store.write_blocking(move |tx| instance::set_value(tx, "x", &value)).unwrap();
    }
    assert!(fixture.store.statistics().checkpoints.restarts > 0);
    assert_eq!(fixture.store.service_state(), ServiceState::Ready);
    fixture.store.close();
    assert_eq!(fixture.store.statistics().log_bytes, Some(0));
}
