//! Times of renewals and retries. Let's Encrypt limits failed validations to five per domain and hour; this module
//! stays below that limit.

use std::time::Duration;

use crate::clock::Millis;

const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;

/// Limit of failed orders per hour, including those before a restart.
const FAILURES_PER_HOUR: usize = 4;

/// Returns the default time of renewal: after two thirds of the lifetime.
pub(super) fn renewal_time(not_before: Millis, not_after: Millis) -> Millis {
    not_before + (not_after - not_before).max(0) / 3 * 2
}

/// Returns the time of renewal in the window that the authority suggests (RFC 9773 section 4.2). `position`, from 0 to
/// 255, distributes certificates over the window. The result is at the latest when a tenth of the lifetime is left.
pub(super) fn renewal_time_in_window(
    window: (Millis, Millis),
    position: u8,
    not_before: Millis,
    not_after: Millis,
) -> Millis {
    let length = (window.1 - window.0).max(0);
    let chosen = window.0.saturating_add(length / 256 * Millis::from(position));
    chosen.min(not_after - (not_after - not_before).max(0) / 10)
}

/// Returns the time until the next request for the window: the `Retry-After` of the authority, between an hour and a
/// day.
pub(super) fn window_request_pause(retry_after: Option<Duration>) -> Millis {
    let pause = retry_after.map_or(6 * HOUR, |after| Millis::try_from(after.as_millis()).unwrap_or(24 * HOUR));
    pause.clamp(HOUR, 24 * HOUR)
}

/// Returns the shortest pause after a new certificate. If the clock of this machine is ahead, each certificate would be
/// due immediately.
pub(super) fn pause_after_renewal(not_before: Millis, not_after: Millis) -> Millis {
    ((not_after - not_before) / 6).clamp(0, 24 * HOUR)
}

/// Returns the pause after consecutive failures. It is shorter if the authority was not reached, as its limits are then
/// not affected.
pub(super) fn pause_after_failures(failures: u32, reached: bool) -> Millis {
    let (first, longest) = if reached { (5 * MINUTE, 6 * HOUR) } else { (5 * SECOND, 10 * MINUTE) };
    let doubled = first.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(longest);
    doubled.min(longest)
}

/// Removes failures that are older than an hour, and returns the earliest time of the next order.
pub(super) fn next_order_time(failures: &mut Vec<Millis>, now: Millis) -> Millis {
    // A time in the future was recorded with a wrong clock.
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
        assert_eq!(renewal_time(0, 90 * day), 60 * day);
        assert_eq!(renewal_time(10 * day, 16 * day), 14 * day);
        assert_eq!(renewal_time(day, 0), day);
        assert_eq!(
            (pause_after_renewal(0, 90 * day), pause_after_renewal(0, 6 * HOUR), pause_after_renewal(day, 0)),
            (day, HOUR, 0)
        );
    }

    #[test]
    fn the_window_of_the_authority_is_used_unless_it_is_too_late() {
        let day = 24 * HOUR;
        assert_eq!(renewal_time_in_window((50 * day, 52 * day), 0, 0, 90 * day), 50 * day);
        assert_eq!(renewal_time_in_window((50 * day, 52 * day), 128, 0, 90 * day), 51 * day);
        assert_eq!(renewal_time_in_window((88 * day, 200 * day), 0, 0, 90 * day), 81 * day);
        // A certificate that is to be revoked has a window in the past.
        assert_eq!(renewal_time_in_window((-2 * day, -day), 0, 0, 90 * day), -2 * day);
        assert_eq!(renewal_time_in_window((2 * day, day), 255, 0, 90 * day), 2 * day);
        for (seconds, hours) in [(None, 6), (Some(0), 1), (Some(7_200), 2), (Some(u64::MAX), 24)] {
            assert_eq!(window_request_pause(seconds.map(Duration::from_secs)), hours * HOUR);
        }
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        for (reached, pauses) in [
            (true, [5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 6 * HOUR]),
            (false, [5 * SECOND, 10 * SECOND, 20 * SECOND, 10 * MINUTE]),
        ] {
            assert_eq!([1, 2, 3, 1000].map(|failures| pause_after_failures(failures, reached)), pauses);
        }
    }

    #[test]
    fn four_orders_may_fail_in_an_hour() {
        let now = 100 * HOUR;
        let mut failures = vec![now - 3 * MINUTE, now - 2 * HOUR, now - 30 * MINUTE, now + HOUR];
        assert_eq!(next_order_time(&mut failures, now), now);
        assert_eq!(failures, [now - 30 * MINUTE, now - 3 * MINUTE]);
        failures.extend([now - 2, now - 1]);
        assert_eq!(next_order_time(&mut failures, now), now + 30 * MINUTE);
        failures.push(now);
        assert_eq!(next_order_time(&mut failures, now), now + 57 * MINUTE);
    }
}
