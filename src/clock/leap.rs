//! Decides which time to believe when the clock of the machine leaps.
//!
//! The believed time is an anchor plus the monotonic clock. Small corrections of the system clock, as NTP makes them, are
//! followed. A leap is not followed until it was confirmed or has lasted for an hour: a wrong clock would end sessions
//! and tokens, delete data whose retention seems to be over, and date events far in the future.

use super::{Millis, StartDoubt};

/// Largest total correction within one hour that is followed at once.
pub const CORRECTION_MAX: Millis = 5 * 60 * 1000;
/// Time after which a lasting leap is believed.
pub(super) const LEAP_BELIEVED_AFTER: Millis = 60 * 60 * 1000;
/// Earliest time that can be right: 2026-01-01. A machine that started without a clock leaps from below it.
pub const EARLIEST_TIME: Millis = 1_767_225_600_000;

/// A leap of the system clock that is not believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLeap {
    /// System time minus believed time, in milliseconds.
    pub difference: Millis,
    /// Believed time at which the leap was noticed.
    pub since: Millis,
}

/// Result of one observation of the system clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockChange {
    /// The believed time follows the system clock, or a known leap is still held.
    None,
    /// A leap was noticed and is not followed.
    Held(HeldLeap),
    /// The system clock returned to the believed time.
    Returned(HeldLeap),
    /// The leap was confirmed, lasted for an hour, or corrected an impossible time. The believed time follows it.
    Believed(HeldLeap),
}

impl ClockChange {
    /// Logs the change.
    pub fn log(self) {
        match self {
            Self::None => {}
            Self::Held(leap) => tracing::error!(
                difference_seconds = leap.difference / 1000,
                "THE CLOCK OF THE MACHINE LEAPED; the server does not follow it for an hour, unless it is accepted"
            ),
            Self::Returned(leap) => tracing::warn!(
                difference_seconds = leap.difference / 1000,
                "the clock of the machine returned to the time of the server"
            ),
            Self::Believed(leap) => tracing::warn!(
                difference_seconds = leap.difference / 1000,
                "the server follows the new time of the machine"
            ),
        }
    }
}

/// The believed time as an offset from the monotonic clock, and the leap that is held. All times are in milliseconds.
#[derive(Debug)]
pub(super) struct LeapFilter {
    /// Believed time minus monotonic time.
    offset: Millis,
    /// Offset at the start of the current hour, from which corrections are counted.
    hour_offset: Millis,
    /// Monotonic time at the start of the current hour.
    hour_start: Millis,
    /// Offset of the leap that is held, and the monotonic time at which it was noticed.
    held: Option<(Millis, Millis)>,
    /// The doubt about the clock at the start, and the monotonic time at which it began.
    doubt: Option<(StartDoubt, Millis)>,
}

impl LeapFilter {
    pub(super) fn new(system: Millis, monotonic: Millis) -> Self {
        let offset = system.saturating_sub(monotonic);
        Self { offset, hour_offset: offset, hour_start: monotonic, held: None, doubt: None }
    }

    pub(super) fn offset(&self) -> Millis {
        self.offset
    }

    pub(super) fn held(&self) -> Option<HeldLeap> {
        let (offset, since) = self.held?;
        Some(HeldLeap { difference: offset.saturating_sub(self.offset), since: self.offset.saturating_add(since) })
    }

    /// Compares the believed time with the last recorded one. The caller has just started.
    pub(super) fn compare_start(&mut self, recorded_at: Millis, monotonic: Millis) -> Option<StartDoubt> {
        let doubt = StartDoubt::find(recorded_at, self.offset.saturating_add(monotonic));
        self.doubt = doubt.map(|doubt| (doubt, monotonic));
        doubt
    }

    /// The doubt about the clock at the start. It ends after an hour, and when the operator or the clock resolves it.
    pub(super) fn doubt(&self, monotonic: Millis) -> Option<StartDoubt> {
        let (doubt, since) = self.doubt?;
        (monotonic.saturating_sub(since) < LEAP_BELIEVED_AFTER).then_some(doubt)
    }

    /// Observes both clocks, and decides what to believe from now on.
    pub(super) fn observe(&mut self, system: Millis, monotonic: Millis) -> ClockChange {
        let seen = system.saturating_sub(monotonic);
        if self.held.is_none() && monotonic.saturating_sub(self.hour_start) >= LEAP_BELIEVED_AFTER {
            (self.hour_offset, self.hour_start) = (self.offset, monotonic);
        }
        if is_near(seen, self.hour_offset) && is_near(seen, self.offset) {
            let held = self.held();
            self.held = None;
            self.offset = seen;
            return held.map_or(ClockChange::None, ClockChange::Returned);
        }
        let since = match self.held {
            Some((offset, since)) if is_near(seen, offset) => since,
            _ => {
                self.held = Some((seen, monotonic));
                let is_impossible = self.offset.saturating_add(monotonic) < EARLIEST_TIME && seen > self.offset;
                let resolves_doubt = self.doubt(monotonic).is_some_and(|doubt| doubt.is_resolved_by(system));
                if is_impossible || resolves_doubt {
                    return self.believe(seen, monotonic);
                }
                return self.held().map_or(ClockChange::None, ClockChange::Held);
            }
        };
        if monotonic.saturating_sub(since) >= LEAP_BELIEVED_AFTER {
            return self.believe(seen, monotonic);
        }
        ClockChange::None
    }

    /// Follows the leap that is held, at the word of an operator, and ends the doubt about the start.
    /// [`ClockChange::None`] if no leap is held.
    pub(super) fn confirm(&mut self, system: Millis, monotonic: Millis) -> ClockChange {
        let change = self.observe(system, monotonic);
        self.doubt = None;
        match change {
            ClockChange::None | ClockChange::Held(_) if self.held.is_some() => {
                self.believe(system.saturating_sub(monotonic), monotonic)
            }
            change => change,
        }
    }

    fn believe(&mut self, offset: Millis, monotonic: Millis) -> ClockChange {
        let held = self.held();
        *self = Self::new(offset.saturating_add(monotonic), monotonic);
        held.map_or(ClockChange::None, ClockChange::Believed)
    }
}

fn is_near(one: Millis, other: Millis) -> bool {
    one.abs_diff(other) <= CORRECTION_MAX.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;
    const HOUR: Millis = 60 * MINUTE;
    const YEAR: Millis = 365 * 24 * HOUR;
    const START: Millis = EARLIEST_TIME + YEAR;

    fn filter() -> LeapFilter {
        LeapFilter::new(START, 0)
    }

    /// Believed time minus the time that a right clock shows.
    fn error(filter: &LeapFilter) -> Millis {
        filter.offset() - START
    }

    #[test]
    fn corrections_up_to_five_minutes_an_hour_are_followed() {
        let mut filter = filter();
        for minute in 1..=5 {
            assert_eq!(filter.observe(START + minute * (MINUTE + 1_000), minute * 1_000), ClockChange::None);
            assert_eq!(error(&filter), minute * MINUTE);
        }
        // The sixth minute within the hour is a leap, made in small steps.
        assert!(matches!(filter.observe(START + 6 * (MINUTE + 1_000), 6_000), ClockChange::Held(_)));
        assert_eq!(error(&filter), 5 * MINUTE);
        // From one end of what an hour permits to the other one is a leap, too.
        let mut wide = LeapFilter::new(START, 0);
        assert_eq!(wide.observe(START + 4 * MINUTE, 0), ClockChange::None);
        assert!(matches!(wide.observe(START - 4 * MINUTE, 0), ClockChange::Held(_)));
        assert_eq!(error(&wide), 4 * MINUTE);
        // An hour of small corrections starts a new hour.
        let mut slow = LeapFilter::new(START, 0);
        for hour in 1..1_000 {
            assert_eq!(slow.observe(START + hour * (HOUR + 4 * MINUTE), hour * HOUR), ClockChange::None, "{hour}");
        }
        assert_eq!(error(&slow), 999 * 4 * MINUTE);
    }

    #[test]
    fn a_leap_that_ends_within_an_hour_leaves_no_trace() {
        for leap in [YEAR, -YEAR, 11 * MINUTE, -11 * MINUTE] {
            let mut filter = filter();
            let noticed = HeldLeap { difference: leap, since: START + MINUTE };
            assert_eq!(filter.observe(START + MINUTE + leap, MINUTE), ClockChange::Held(noticed));
            for minute in 2..60 {
                assert_eq!(filter.observe(START + minute * MINUTE + leap, minute * MINUTE), ClockChange::None);
                assert_eq!((error(&filter), filter.held()), (0, Some(noticed)));
            }
            assert_eq!(filter.observe(START + HOUR, HOUR), ClockChange::Returned(noticed));
            assert_eq!((error(&filter), filter.held()), (0, None));
        }
    }

    #[test]
    fn a_leap_that_lasts_an_hour_is_believed() {
        let mut filter = filter();
        filter.observe(START + YEAR, 0);
        assert_eq!(filter.observe(START + YEAR + HOUR - 1, HOUR - 1), ClockChange::None);
        assert_eq!(error(&filter), 0);
        let held = HeldLeap { difference: YEAR, since: START };
        assert_eq!(filter.observe(START + YEAR + HOUR, HOUR), ClockChange::Believed(held));
        assert_eq!((error(&filter), filter.held()), (YEAR, None));
        assert_eq!(filter.observe(START + YEAR + 2 * HOUR, 2 * HOUR), ClockChange::None);
    }

    #[test]
    fn each_further_leap_starts_the_hour_again() {
        let mut filter = filter();
        for minute in 1..300 {
            let leap = YEAR * (1 + minute / 50);
            filter.observe(START + leap + minute * MINUTE, minute * MINUTE);
            assert_eq!(error(&filter), 0, "{minute}");
        }
    }

    #[test]
    fn a_confirmed_leap_is_believed_at_once() {
        let mut filter = filter();
        assert_eq!(filter.confirm(START + MINUTE, MINUTE), ClockChange::None);
        // Confirming works before the leap was observed, too.
        assert!(matches!(filter.confirm(START + YEAR, 0), ClockChange::Believed(_)));
        assert_eq!(error(&filter), YEAR);
        filter.observe(START, 0);
        assert!(matches!(filter.confirm(START, 0), ClockChange::Believed(_)));
        assert_eq!(error(&filter), 0);
    }

    #[test]
    fn a_doubted_start_ends_after_an_hour_or_with_a_confirmation() {
        let mut filter = filter();
        assert_eq!(filter.compare_start(START - HOUR, 0), None);
        let doubt = StartDoubt { recorded_at: START - YEAR, since: START };
        assert_eq!(filter.compare_start(START - YEAR, 0), Some(doubt));
        assert_eq!(filter.observe(START + HOUR - 1, HOUR - 1), ClockChange::None);
        assert_eq!((filter.doubt(HOUR - 1), filter.doubt(HOUR)), (Some(doubt), None));
        assert_eq!(error(&filter), 0, "the clock itself is believed");
        assert_eq!(filter.confirm(START + MINUTE, MINUTE), ClockChange::None);
        assert_eq!(filter.doubt(MINUTE), None);
    }

    #[test]
    fn a_doubted_start_is_corrected_at_once_by_a_time_that_matches_the_records() {
        let mut filter = filter();
        filter.compare_start(START - YEAR, 0);
        assert!(matches!(filter.observe(START + YEAR, 0), ClockChange::Held(_)), "another wrong time is a leap");
        assert!(matches!(filter.observe(START - YEAR + HOUR, MINUTE), ClockChange::Believed(_)));
        assert_eq!((error(&filter), filter.doubt(MINUTE)), (HOUR - MINUTE - YEAR, None));
    }

    #[test]
    fn a_machine_without_a_clock_is_corrected_at_once() {
        let mut filter = LeapFilter::new(0, 0);
        assert!(matches!(filter.observe(START, 1_000), ClockChange::Believed(_)));
        assert_eq!(filter.offset(), START - 1_000);
    }
}
