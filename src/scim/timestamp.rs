//! Timestamps in the form xsd:dateTime (RFC 7643 section 2.3.5).

use time::{Date, Month};

const MICROSECONDS: i64 = 1_000_000;
/// Julian day number of 1970-01-01.
const EPOCH_DAY: i32 = 2_440_588;

/// Returns the microseconds since 1970-01-01T00:00:00Z; `None` if the text is not a date with a time of day.
///
/// The zone is `Z`, `+hh:mm` or `-hh:mm`; without a zone the text is UTC. Digits beyond the microsecond are discarded.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't'])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let (fraction, zone) = split_fraction(rest)?;
    let seconds = parse_date(date)? * 86_400 + parse_time_of_day(clock, fraction)? - parse_zone_offset(zone)?;
    Some(seconds * MICROSECONDS + fraction)
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
fn parse_date(text: &str) -> Option<i64> {
    let [year, month, day] = parse_digit_fields(text, '-', [4, 2, 2])?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?);
    Some(i64::from(date.ok()?.to_julian_day() - EPOCH_DAY))
}

/// Seconds since midnight of `hh:mm:ss`. XML Schema also allows 24:00:00 for the end of a day.
fn parse_time_of_day(text: &str, fraction: i64) -> Option<i64> {
    let [hour, minute, second] = parse_digit_fields(text, ':', [2, 2, 2])?;
    let end_of_day = hour == 24 && minute == 0 && second == 0 && fraction == 0;
    let usual = hour < 24 && minute < 60 && second < 60;
    (usual || end_of_day).then_some(hour * 3600 + minute * 60 + second)
}

/// Microseconds of a leading `.digits`, and the rest of the text.
fn split_fraction(text: &str) -> Option<(i64, &str)> {
    let Some(digits) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    let significant = &digits[..end.min(6)];
    let padding = u32::try_from(6 - significant.len()).ok()?;
    Some((significant.parse::<i64>().ok()? * 10_i64.pow(padding), &digits[end..]))
}

/// Seconds east of Greenwich.
fn parse_zone_offset(zone: &str) -> Option<i64> {
    let (sign, clock) = match zone.split_at_checked(1) {
        None | Some(("Z" | "z", "")) => return Some(0),
        Some(("+", clock)) => (1, clock),
        Some(("-", clock)) => (-1, clock),
        Some(_) => return None,
    };
    let [hours, minutes] = parse_digit_fields(clock, ':', [2, 2])?;
    let possible = (hours < 14 && minutes < 60) || (hours == 14 && minutes == 0);
    possible.then_some(sign * (hours * 3600 + minutes * 60))
}

/// Numbers of fixed widths between separators.
fn parse_digit_fields<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use crate::scim::timestamp::parse_timestamp;

    #[test]
    fn all_spellings_of_a_timestamp_are_equal() {
        let expected = parse_timestamp("2024-02-29T12:00:00Z");
        assert_eq!(expected, Some(1_709_208_000_000_000));
        for text in [
            "2024-02-29T12:00:00",
            "2024-02-29T12:00:00.000Z",
            "2024-02-29t12:00:00z",
            "2024-02-29T14:00:00+02:00",
            "2024-02-28T22:00:00-14:00",
            "2024-02-29T12:00:00.0000009Z",
        ] {
            assert_eq!(parse_timestamp(text), expected, "{text}");
        }
        assert_eq!(parse_timestamp("2024-02-28T24:00:00Z"), parse_timestamp("2024-02-29T00:00:00Z"));
        assert_eq!(parse_timestamp("1969-12-31T23:59:59.5Z"), Some(-500_000));
        assert_eq!(parse_timestamp("1970-01-01T00:00:00.123456Z"), Some(123_456));
    }

    #[test]
    fn invalid_timestamps_are_rejected() {
        for text in [
            "",
            "2024-02-29",
            "2023-02-29T12:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-02-29 12:00:00Z",
            "2024-02-29T12:00Z",
            "2024-02-29T25:00:00Z",
            "2024-02-29T24:00:01Z",
            "2024-02-29T12:60:00Z",
            "2024-02-29T12:00:00.Z",
            "2024-02-29T12:00:00ZZ",
            "2024-02-29T12:00:00+0200",
            "2024-02-29T12:00:00+15:00",
            "+024-02-29T12:00:00Z",
            "2024-02-29T12:00:0éZ",
            "tomorrow, at noon",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in ".{0,40}") {
            let _ = parse_timestamp(&text);
        }
    }
}
