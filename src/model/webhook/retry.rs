//! When a batch that was not delivered is sent again.

use crate::clock::Millis;

const SECOND_MS: Millis = 1_000;
const MINUTE_MS: Millis = 60 * SECOND_MS;
const HOUR_MS: Millis = 60 * MINUTE_MS;

/// Delays after each failed attempt. After the last one the lane stops: it never skips a batch.
pub const RETRY_DELAYS_MS: [Millis; 9] = [
    5 * SECOND_MS,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * HOUR_MS,
    5 * HOUR_MS,
    10 * HOUR_MS,
    14 * HOUR_MS,
    20 * HOUR_MS,
    24 * HOUR_MS,
];

/// Part of a delay by which it is shortened or lengthened at random, in percent, so that lanes do not retry at the same time.
const SPREAD_PERCENT: i64 = 20;
/// Longest delay that a receiver can ask for.
const RETRY_AFTER_MAX_MS: Millis = HOUR_MS;

/// Returns the delay after the failed attempt with this number, which starts with 1, or `None` if it was the last one.
/// `chance` is a random number; `retry_after` is the delay that the receiver asked for.
pub fn compute_delay(failures: u32, chance: u32, retry_after: Option<Millis>) -> Option<Millis> {
    let base = *RETRY_DELAYS_MS.get(usize::try_from(failures.checked_sub(1)?).ok()?)?;
    let percent = 100 - SPREAD_PERCENT + i64::from(chance) % (2 * SPREAD_PERCENT + 1);
    let delay = base * percent / 100;
    Some(match retry_after {
        Some(asked) if asked > base => delay.max(asked.min(RETRY_AFTER_MAX_MS)),
        _ => delay,
    })
}

/// Returns how much of the retry schedule has passed after this number of failures, in percent of its time.
pub fn elapsed_percent(failures: u32) -> i64 {
    let whole: Millis = RETRY_DELAYS_MS.iter().sum();
    let passed: Millis = RETRY_DELAYS_MS.iter().take(usize::try_from(failures).unwrap_or(usize::MAX)).sum();
    passed * 100 / whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_are_nine_retries_and_then_none() {
        assert_eq!(compute_delay(0, 0, None), None);
        assert_eq!(compute_delay(1, 20, None), Some(5_000));
        assert_eq!(compute_delay(9, 20, None), Some(24 * HOUR_MS));
        assert_eq!(compute_delay(10, 20, None), None);
    }

    #[test]
    fn the_receiver_can_ask_for_a_later_retry_of_at_most_an_hour() {
        assert_eq!(compute_delay(1, 20, Some(60_000)), Some(60_000));
        assert_eq!(compute_delay(1, 20, Some(5 * HOUR_MS)), Some(HOUR_MS));
        assert_eq!(compute_delay(1, 20, Some(1)), Some(5_000));
        assert_eq!(compute_delay(5, 20, Some(6 * HOUR_MS)), Some(5 * HOUR_MS));
    }

    #[test]
    fn the_elapsed_part_of_the_schedule_increases_to_100() {
        let parts: Vec<i64> = (0..=9).map(elapsed_percent).collect();
        assert!(parts.is_sorted(), "{parts:?}");
        assert_eq!((parts[0], parts[9]), (0, 100));
    }

    proptest! {
        #[test]
        fn a_delay_differs_by_at_most_a_fifth(failures in 1_u32..=9, chance: u32) {
            let base = RETRY_DELAYS_MS[failures as usize - 1];
            let delay = compute_delay(failures, chance, None).unwrap();
            prop_assert!(delay >= base * 80 / 100 && delay <= base * 120 / 100);
        }
    }
}
