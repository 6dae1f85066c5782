//! Numbers with their nouns, durations and times. A language with other plural forms replaces these functions.

use std::fmt::Display;

/// A number of things.
pub(crate) trait Countable: Display + PartialEq + From<u8> {}

impl<N: Display + PartialEq + From<u8>> Countable for N {}

/// The form of a phrase for this number.
pub(crate) fn choose_form<T>(count: &impl Countable, one: T, many: T) -> T {
    if *count == 1.into() { one } else { many }
}

fn count_noun(count: &impl Countable, one: &str, many: &str) -> String {
    format!("{count} {}", choose_form(count, one, many))
}

pub(crate) fn count_users(count: impl Countable) -> String {
    count_noun(&count, "user", "users")
}

pub(crate) fn count_groups(count: impl Countable) -> String {
    count_noun(&count, "group", "groups")
}

pub(crate) fn count_members(count: impl Countable) -> String {
    count_noun(&count, "member", "members")
}

pub(crate) fn count_connections(count: impl Countable) -> String {
    count_noun(&count, "connection", "connections")
}

/// Users and groups, such as `1 user and 3 groups`.
pub(crate) fn count_users_and_groups(users: impl Countable, groups: impl Countable) -> String {
    format!("{} and {}", count_users(users), count_groups(groups))
}

/// A lifetime in hours, or in minutes.
pub(crate) fn count_hours_or_minutes(seconds: u32) -> String {
    if seconds.is_multiple_of(3_600) {
        count_noun(&(seconds / 3_600), "hour", "hours")
    } else {
        count_noun(&(seconds / 60), "minute", "minutes")
    }
}

/// A number with a comma after each three digits.
pub(crate) fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `time` is a date, or a date and a time, in UTC.
pub(crate) fn add_utc(time: &str) -> String {
    format!("{time} UTC")
}

/// Patterns of `strftime`. A page shows times in a chosen zone with them.
pub(crate) const SECOND_WITH_ZONE: &str = "%Y-%m-%d %H:%M:%S %Z";
pub(crate) const MINUTE_WITH_ZONE: &str = "%Y-%m-%d %H:%M %Z";
/// Such as `Tuesday, 14 July 2026`.
pub(crate) const WEEKDAY_AND_DATE: &str = "%A, %-d %B %Y";
pub(crate) const SHORT_DATE: &str = "%-d %b";
/// Such as `14 Jul, 09:30 UTC`.
pub(crate) const SHORT_DATE_IN_UTC: &str = "%-d %b, %H:%M UTC";

pub(crate) fn format_microseconds(us: i64) -> String {
    match us {
        ..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{} s", us / 1_000_000),
    }
}

/// A duration to read: `35 ms`, `1.2 s`.
pub(crate) fn format_milliseconds(ms: i64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1_000, ms % 1_000 / 100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_the_singular() {
        assert_eq!([0, 1, 2].map(|count: i64| count_users(count)), ["0 users", "1 user", "2 users"]);
        assert_eq!(count_users_and_groups(1_u64, 0_usize), "1 user and 0 groups");
    }

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(group_digits(number), text);
        }
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        assert_eq!([999, 1_500, 2_000_001].map(format_microseconds), ["999 µs", "1 ms", "2 s"]);
        assert_eq!([0, 999, 1_000, 15_250].map(format_milliseconds), ["0 ms", "999 ms", "1.0 s", "15.2 s"]);
    }
}
