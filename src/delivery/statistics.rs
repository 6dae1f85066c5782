//! Counts of the delivery, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::histogram::{Histogram, HistogramSnapshot};

/// Upper bounds of the durations of attempts, in milliseconds.
const DURATION_BOUNDS_MS: &[u64] = &[10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000];

/// Counts since the start, and current values.
#[derive(Debug)]
pub struct DeliveryStatistics {
    /// Attempts that the receiver accepted.
    pub(super) succeeded: AtomicU64,
    /// Attempts that failed.
    pub(super) failed: AtomicU64,
    /// Events that were delivered.
    pub(super) events: AtomicU64,
    /// Requests in flight.
    pub(super) in_flight: AtomicU64,
    /// Lanes with something to send.
    pub(super) waiting_lanes: AtomicU64,
    /// Lanes that have stopped.
    pub(super) stopped_lanes: AtomicU64,
    /// Age of the oldest event that waits, in milliseconds.
    pub(super) oldest_age_ms: AtomicU64,
    /// Number of events that wait, in the lanes that were counted.
    pub(super) waiting_events: AtomicU64,
    /// Durations of attempts in milliseconds.
    pub(super) durations: Histogram,
}

impl Default for DeliveryStatistics {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            succeeded: zero(),
            failed: zero(),
            events: zero(),
            in_flight: zero(),
            waiting_lanes: zero(),
            stopped_lanes: zero(),
            oldest_age_ms: zero(),
            waiting_events: zero(),
            durations: Histogram::new(DURATION_BOUNDS_MS),
        }
    }
}

/// The counts at one point in time.
#[derive(Debug, Clone)]
pub struct DeliveryFigures {
    /// Attempts that the receiver accepted.
    pub succeeded: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Events that were delivered.
    pub events: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Lanes with something to send.
    pub waiting_lanes: u64,
    /// Lanes that have stopped.
    pub stopped_lanes: u64,
    /// Number of events that wait.
    pub waiting_events: u64,
    /// Age of the oldest of them, in milliseconds.
    pub oldest_age_ms: u64,
    /// Durations of attempts in milliseconds.
    pub durations: HistogramSnapshot,
}

impl DeliveryStatistics {
    /// Returns the current counts.
    pub fn read(&self) -> DeliveryFigures {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        DeliveryFigures {
            succeeded: read(&self.succeeded),
            failed: read(&self.failed),
            events: read(&self.events),
            in_flight: read(&self.in_flight),
            waiting_lanes: read(&self.waiting_lanes),
            stopped_lanes: read(&self.stopped_lanes),
            waiting_events: read(&self.waiting_events),
            oldest_age_ms: read(&self.oldest_age_ms),
            durations: self.durations.snapshot(),
        }
    }

    /// Counts an attempt.
    pub(super) fn record_attempt(&self, is_success: bool, duration_ms: i64) {
        let counter = if is_success { &self.succeeded } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.durations.observe(u64::try_from(duration_ms).unwrap_or_default());
    }

    /// Sets a current value.
    pub(super) fn set(value: &AtomicU64, number: usize) {
        value.store(number as u64, Ordering::Relaxed);
    }
}
