//! Compares the clock at the start with the last time in the database.
//!
//! While the server runs, a leap is noticed. At the start there is only the wall clock, and it is believed. If it differs
//! much from the last time that the database contains, the server was off for a long time, or the clock is wrong: data
//! whose retention seems to be over is then not deleted for an hour.

use super::{CORRECTION_MAX, Millis};

/// Longest time between the last recorded time and a start without a doubt.
const START_GAP_MAX: Millis = 24 * 60 * 60 * 1000;

/// The clock at the start does not match the last recorded time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartDoubt {
    /// The last recorded time.
    pub recorded_at: Millis,
    /// Time of the start.
    pub since: Millis,
}

impl StartDoubt {
    /// Compares the time of the start with the last recorded one.
    pub(super) fn find(recorded_at: Millis, now: Millis) -> Option<Self> {
        let doubt = Self { recorded_at, since: now };
        let difference = doubt.difference();
        (!(-CORRECTION_MAX..=START_GAP_MAX).contains(&difference)).then_some(doubt)
    }

    /// Time of the start minus the last recorded time, in milliseconds.
    pub fn difference(self) -> Millis {
        self.since.saturating_sub(self.recorded_at)
    }

    /// Whether this time matches the last recorded one.
    pub(super) fn is_resolved_by(self, time: Millis) -> bool {
        Self::find(self.recorded_at, time).is_none()
    }

    /// Logs the doubt.
    pub fn log(self) {
        tracing::warn!(
            difference_seconds = self.difference() / 1000,
            last_recorded = super::format_rfc3339(self.recorded_at),
            "the clock at the start does not match the last recorded time; expired data is not deleted for an hour, unless \
             the time is accepted"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_within_a_day_of_the_last_recorded_time_is_not_doubted() {
        const RECORDED: Millis = 1_784_021_400_000;
        for difference in [-CORRECTION_MAX, 0, START_GAP_MAX] {
            assert_eq!(StartDoubt::find(RECORDED, RECORDED + difference), None);
        }
        for difference in [-CORRECTION_MAX - 1, START_GAP_MAX + 1] {
            let doubt = StartDoubt::find(RECORDED, RECORDED + difference).unwrap();
            assert_eq!(doubt.difference(), difference);
            assert!(doubt.is_resolved_by(RECORDED) && !doubt.is_resolved_by(RECORDED + difference));
        }
    }
}
