//! The removals of the last minutes, as counters of short periods. Its size does not depend on the number of removals.

use crate::clock::Millis;

/// Periods in one window.
const PERIODS: i64 = 60;
/// Bytes of one period in the stored form.
const PERIOD_BYTES: usize = 24;

/// The removals of one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Period {
    start: Millis,
    counted: i64,
    /// How many there were before the first removal of this period.
    total: i64,
}

/// How many removals there were in a window of time that ends now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalWindow {
    /// Length of the window, in milliseconds.
    length: Millis,
    /// Oldest first, each with at least one removal.
    periods: Vec<Period>,
}

impl RemovalWindow {
    /// Reads the stored form, without the removals that are older than the window.
    pub fn decode(stored: &[u8], minutes: u32, now: Millis) -> Self {
        let number = |bytes: &[u8]| bytes.try_into().map(i64::from_le_bytes).unwrap_or_default();
        let periods = stored.chunks_exact(PERIOD_BYTES).map(|bytes| Period {
            start: number(&bytes[..8]),
            counted: number(&bytes[8..16]),
            total: number(&bytes[16..]),
        });
        let mut window = Self { length: Millis::from(minutes) * 60_000, periods: periods.collect() };
        window.forget_old(now);
        window
    }

    /// Removes what has left the window.
    pub fn forget_old(&mut self, now: Millis) {
        let (oldest, period_length) = (self.find_start(now), self.length / PERIODS);
        self.periods.retain(|period| period.start + period_length > oldest);
    }

    /// Returns the stored form: at most 61 periods of 24 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let numbers = self.periods.iter().flat_map(|period| [period.start, period.counted, period.total]);
        numbers.flat_map(i64::to_le_bytes).collect()
    }

    /// Returns the time at which the window starts.
    pub fn find_start(&self, now: Millis) -> Millis {
        now - self.length
    }

    fn is_within(&self, period: &Period, at: Millis) -> bool {
        (period.start..period.start + self.length / PERIODS).contains(&at)
    }

    /// Whether the next removal begins a new period, for which the caller counts how many there are.
    pub fn needs_total(&self, now: Millis) -> bool {
        self.periods.last().is_none_or(|period| !self.is_within(period, now))
    }

    /// Adds removals. `total` is how many there were before; a running period ignores it.
    pub fn add(&mut self, now: Millis, removed: i64, total: i64) {
        if removed <= 0 {
            return;
        }
        match self.periods.last().copied() {
            Some(last) if self.is_within(&last, now) => {
                if let Some(last) = self.periods.last_mut() {
                    last.counted += removed;
                }
            }
            _ => self.periods.push(Period { start: now, counted: removed, total }),
        }
    }

    /// Takes off one removal of that time, because what was removed is there again. Returns false if there is none.
    pub fn take_off(&mut self, at: Millis) -> bool {
        let Some(found) = self.periods.iter().position(|period| self.is_within(period, at)) else { return false };
        self.periods[found].counted -= 1;
        self.periods.retain(|period| period.counted > 0);
        true
    }

    /// How many removals are in the window.
    pub fn count(&self) -> i64 {
        self.periods.iter().map(|period| period.counted).sum()
    }

    /// How many there were before the first removal in the window.
    pub fn first_total(&self) -> i64 {
        self.periods.first().map_or(0, |period| period.total)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Millis = 60_000;

    fn empty(minutes: u32) -> RemovalWindow {
        RemovalWindow::decode(&[], minutes, 0)
    }

    #[test]
    fn removals_leave_the_window_one_period_after_its_length_at_the_latest() {
        let mut window = empty(60);
        window.add(10 * MINUTE, 1, 200);
        window.add(30 * MINUTE, 2, 199);
        assert_eq!((window.count(), window.first_total()), (3, 200));
        let at = |now| RemovalWindow::decode(&window.encode(), 60, now);
        assert_eq!(at(70 * MINUTE - 1).count(), 3);
        let later = at(71 * MINUTE);
        assert_eq!((later.count(), later.first_total()), (2, 199), "the first removal in the window is another one");
        assert_eq!(at(91 * MINUTE), empty(60));
    }

    #[test]
    fn what_comes_back_is_taken_off_where_it_was_counted() {
        let mut window = empty(1);
        window.add(0, 1, 10);
        window.add(30_000, 1, 9);
        assert!(window.take_off(0));
        assert_eq!((window.count(), window.first_total()), (1, 9));
        assert!(!window.take_off(0));
        assert_eq!(window.count(), 1, "a removal outside the window changes nothing");
    }

    #[test]
    fn removals_of_one_second_share_a_period_in_a_window_of_a_minute() {
        let mut window = empty(1);
        assert!(window.needs_total(5));
        window.add(5, 1, 10);
        assert!(!window.needs_total(1_004) && window.needs_total(1_005));
        window.add(6, 0, 0);
        assert_eq!(window.count(), 1);
    }

    proptest! {
        #[test]
        fn the_window_counts_what_a_list_of_all_removals_counts(
            minutes in 1_u32..200,
            steps in proptest::collection::vec((0_i64..400_000, 1_i64..50), 1..200),
        ) {
            let (mut now, mut stored, mut all) = (0, Vec::new(), Vec::new());
            for (pause, removed) in steps {
                now += pause;
                let mut window = RemovalWindow::decode(&stored, minutes, now);
                window.add(now, removed, 1_000);
                all.push((now, removed));
                let count_since = |start: Millis| all.iter().filter(|(at, _)| *at > start).map(|(_, n)| n).sum::<i64>();
                let length = Millis::from(minutes) * MINUTE;
                // A removal leaves with its period.
                prop_assert!(window.count() >= count_since(now - length));
                prop_assert!(window.count() <= count_since(now - length - length / PERIODS - 1));
                stored = window.encode();
                prop_assert!(stored.len() <= PERIOD_BYTES * 62);
            }
        }
    }
}
