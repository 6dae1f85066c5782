//! When to renew, and when to try again after a failure. Authorities count: Let's Encrypt lets five checks of a name fail
//! in an hour, and we stop before that.

use std::time::Duration;

use crate::clock::Millis;

const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;

/// Failed orders within an hour, restarts included.
const FAILURES_PER_HOUR: usize = 4;

/// When a certificate is to be replaced: after two thirds of its life.
pub(super) fn renewal(not_before: Millis, not_after: Millis) -> Millis {
    not_before + (not_after - not_before).max(0) / 3 * 2
}

/// When to renew within the window that the authority suggests (RFC 9773 section 4.2). `place` spreads certificates over
/// it, from 0 to 255, and a window that comes too late is not waited for.
pub(super) fn within(window: (Millis, Millis), place: u8, not_before: Millis, not_after: Millis) -> Millis {
    let length = (window.1 - window.0).max(0);
    let chosen = window.0.saturating_add(length / 256 * Millis::from(place));
    chosen.min(not_after - (not_after - not_before).max(0) / 10)
}

/// How soon to ask for the window again: when the authority says, between an hour and a day.
pub(super) fn next_window(said: Option<Duration>) -> Millis {
    let said = said.map_or(6 * HOUR, |said| Millis::try_from(said.as_millis()).unwrap_or(24 * HOUR));
    said.clamp(HOUR, 24 * HOUR)
}

/// How long to rest after a new certificate, whatever the clock says: with one that runs ahead, each would be due at once.
pub(super) fn rest(not_before: Millis, not_after: Millis) -> Millis {
    ((not_after - not_before) / 6).clamp(0, 24 * HOUR)
}

/// How long to wait after so many failures in a row. An authority that was not reached was not bothered either.
pub(super) fn pause(failures: u32, reached: bool) -> Millis {
    let (first, longest) = if reached { (5 * MINUTE, 6 * HOUR) } else { (5 * SECOND, 10 * MINUTE) };
    let doubled = first.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(longest);
    doubled.min(longest)
}

/// Forgets failures that are older than an hour; then, when the next order may be made.
pub(super) fn next_order(failures: &mut Vec<Millis>, now: Millis) -> Millis {
    // One of the future is of a clock that was wrong.
    failures.retain(|at| (now - HOUR..=now).contains(at));
    failures.sort_unstable();
    match failures.len().checked_sub(FAILURES_PER_HOUR) {
        Some(extra) => failures[extra] + HOUR,
        None => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let day = 24 * HOUR;
        assert_eq!(renewal(0, 90 * day), 60 * day);
        assert_eq!(renewal(10 * day, 16 * day), 14 * day);
        assert_eq!(renewal(day, 0), day);
        assert_eq!((rest(0, 90 * day), rest(0, 6 * HOUR), rest(day, 0)), (day, HOUR, 0));
    }

    #[test]
    fn the_window_of_the_authority_is_kept_to_unless_it_comes_too_late() {
        let day = 24 * HOUR;
        assert_eq!(within((50 * day, 52 * day), 0, 0, 90 * day), 50 * day);
        assert_eq!(within((50 * day, 52 * day), 128, 0, 90 * day), 51 * day);
        assert_eq!(within((88 * day, 200 * day), 0, 0, 90 * day), 81 * day);
        // A certificate that is to be revoked has a window in the past.
        assert_eq!(within((-2 * day, -day), 0, 0, 90 * day), -2 * day);
        assert_eq!(within((2 * day, day), 255, 0, 90 * day), 2 * day);
        for (said, hours) in [(None, 6), (Some(0), 1), (Some(7_200), 2), (Some(u64::MAX), 24)] {
            assert_eq!(next_window(said.map(Duration::from_secs)), hours * HOUR);
        }
    }

    #[test]
    fn pauses_grow_and_end_somewhere() {
        for (reached, pauses) in [
            (true, [5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 6 * HOUR]),
            (false, [5 * SECOND, 10 * SECOND, 20 * SECOND, 10 * MINUTE]),
        ] {
            assert_eq!([1, 2, 3, 1000].map(|failures| pause(failures, reached)), pauses);
        }
    }

    #[test]
    fn four_orders_may_fail_in_an_hour() {
        let now = 100 * HOUR;
        let mut failures = vec![now - 3 * MINUTE, now - 2 * HOUR, now - 30 * MINUTE, now + HOUR];
        assert_eq!(next_order(&mut failures, now), now);
        assert_eq!(failures, [now - 30 * MINUTE, now - 3 * MINUTE]);
        failures.extend([now - 2, now - 1]);
        assert_eq!(next_order(&mut failures, now), now + 30 * MINUTE);
        failures.push(now);
        assert_eq!(next_order(&mut failures, now), now + 57 * MINUTE);
    }
}
