//! What a tenant or an owner may use before others are next, and what it used in the last seconds.

use std::time::{Duration, Instant};

/// Share in one round, in microseconds.
pub(super) const QUANTUM_US: i64 = 10_000;
/// Credit without debts, in microseconds: more than that of one that waits for its share.
pub(super) const FRESH_CREDIT_US: i64 = 2 * QUANTUM_US;
/// Largest debt, in microseconds.
const DEBT_MAX_US: i64 = 10_000_000;
/// Recent use up to which a tenant has used little, in microseconds.
const LIGHT_USE_US: i64 = 250_000;
/// Largest recent use, in microseconds.
const RECENT_USE_MAX_US: i64 = 4_000_000;
/// Part of the time by which the recent use decreases: a tenant that uses less than that of one slot stays light.
const RECENT_USE_DIVISOR: i64 = 8;

/// Deficit round robin: the credit of one participant.
#[derive(Debug)]
pub(super) struct WorkCredit {
    /// Microseconds that it may use before others are next. Below 0 it is in debt.
    micros: i64,
    /// Since when it has no work.
    idle_since: Option<Instant>,
    /// Microseconds that it used recently, at the time of the last change.
    recent: i64,
    recent_at: Option<Instant>,
}

impl WorkCredit {
    pub(super) fn new() -> Self {
        Self { micros: FRESH_CREDIT_US, idle_since: None, recent: 0, recent_at: None }
    }

    /// Returns the credit of a participant with work.
    pub(super) fn micros(&self) -> i64 {
        self.micros
    }

    /// Returns the credit at this time. The debt of a participant without work is paid by time.
    pub(super) fn micros_at(&self, now: Instant) -> i64 {
        let paid = self.idle_since.map_or(0, |since| elapsed_micros(since, now));
        self.micros.saturating_add(paid).min(FRESH_CREDIT_US)
    }

    /// Records that the participant has work now.
    pub(super) fn resume(&mut self, now: Instant) {
        self.micros = self.micros_at(now);
        self.idle_since = None;
    }

    /// Records that the participant has no work any more.
    pub(super) fn pause(&mut self, now: Instant) {
        self.idle_since.get_or_insert(now);
    }

    /// Subtracts the cost of a piece of work.
    pub(super) fn charge(&mut self, cost: i64, now: Instant) {
        self.micros = self.micros.saturating_sub(cost).max(-DEBT_MAX_US);
        self.recent = self.recent_at(now).saturating_add(cost).min(RECENT_USE_MAX_US);
        self.recent_at = Some(now);
    }

    /// Adds the share of some rounds.
    pub(super) fn add_rounds(&mut self, rounds: i64) {
        self.micros = self.micros.saturating_add(rounds.saturating_mul(QUANTUM_US)).min(QUANTUM_US);
    }

    /// Returns whether the participant has used little in the last seconds.
    pub(super) fn is_light(&self, now: Instant) -> bool {
        self.recent_at(now) <= LIGHT_USE_US
    }

    /// Returns whether nothing is lost if the participant is forgotten.
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        self.micros_at(now) >= 0 && self.is_light(now)
    }

    fn recent_at(&self, now: Instant) -> i64 {
        let passed = self.recent_at.map_or(0, |at| elapsed_micros(at, now));
        (self.recent - passed / RECENT_USE_DIVISOR).max(0)
    }
}

/// Returns how many rounds it takes until a participant with this credit may start.
pub(super) fn count_rounds(richest: i64) -> i64 {
    if richest > 0 { 0 } else { -richest / QUANTUM_US + 1 }
}

fn elapsed_micros(since: Instant, now: Instant) -> i64 {
    let elapsed: Duration = now.saturating_duration_since(since);
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}
