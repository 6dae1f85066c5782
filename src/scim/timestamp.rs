//! Timestamps in the forms xsd:dateTime (RFC 7643 section 2.3.5) and RFC 3339.
//!
//! The form is checked here, because jiff accepts every form of ISO 8601. jiff checks and computes the date.

use jiff::civil::{self, Date, DateTime};
use jiff::{SignedDuration, ToSpan};

const EPOCH: DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);
/// Largest offset of a zone in XML Schema, in minutes.
const OFFSET_MAX_MINUTES: i64 = 14 * 60;
/// A fraction to the microsecond, with its point.
const MICROSECONDS_BYTES: usize = 7;
/// A fraction to the nanosecond, with its point.
const NANOSECONDS_BYTES: usize = 10;

/// Returns the microseconds since 1970-01-01T00:00:00Z; `None` if the text is not a date with a time of day.
///
/// The zone is `Z`, `+hh:mm` or `-hh:mm`; without a zone the text is UTC. Digits beyond the microsecond are discarded.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let parts = split_parts(text, "0000-00-00T00:00:00")?;
    let offset = if parts.zone.is_empty() { 0 } else { parse_offset(parts.zone)? };
    let is_end_of_day = &parts.to_the_second[11..] == "24:00:00" && !parts.fraction.contains(|c| c > '0');
    let local = if is_end_of_day {
        // XML Schema allows this time, jiff does not.
        parts.to_the_second[..10].parse::<Date>().ok()?.checked_add(1.day()).ok()?.at(0, 0, 0, 0)
    } else {
        // jiff reads a leap second as the second before it.
        parts.parse_local(MICROSECONDS_BYTES).filter(|_| &parts.to_the_second[17..] < "60")?
    };
    let elapsed = local.duration_since(EPOCH);
    let seconds = elapsed.as_secs() - offset * 60;
    (offset.abs() <= OFFSET_MAX_MINUTES).then_some(seconds * 1_000_000 + i64::from(elapsed.subsec_micros()))
}

/// Returns the time since 1970-01-01T00:00:00Z of an RFC 3339 timestamp; `None` if the text is none. Date and time may be
/// separated by a space. Digits beyond the nanosecond are discarded.
pub fn parse_rfc3339(text: &str) -> Option<SignedDuration> {
    let parts = split_parts(text, "0000-00-00T00:00:00").or_else(|| split_parts(text, "0000-00-00 00:00:00"))?;
    let elapsed = parts.parse_local(NANOSECONDS_BYTES)?.duration_since(EPOCH);
    elapsed.checked_sub(SignedDuration::from_mins(parse_offset(parts.zone)?))
}

/// The parts of a timestamp.
struct TimestampParts<'a> {
    whole: &'a str,
    to_the_second: &'a str,
    /// Empty, or a point and digits.
    fraction: &'a str,
    zone: &'a str,
}

impl TimestampParts<'_> {
    /// Parses date and time without the zone; the fraction is shortened to that length.
    fn parse_local(&self, fraction_bytes: usize) -> Option<DateTime> {
        self.whole[..self.to_the_second.len() + self.fraction.len().min(fraction_bytes)].parse().ok()
    }
}

/// Splits a timestamp. The zone is not checked.
fn split_parts<'a>(whole: &'a str, form: &str) -> Option<TimestampParts<'a>> {
    let (to_the_second, rest) = whole.split_at_checked(form.len())?;
    let digits = rest.strip_prefix('.').map(|after| after.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, zone) = rest.split_at(digits.map_or(0, |digits| digits + 1));
    let is_valid = has_form(to_the_second, form) && digits != Some(0);
    is_valid.then_some(TimestampParts { whole, to_the_second, fraction, zone })
}

/// Whether a text has that form: 0 stands for any digit, and other characters for themselves, regardless of case.
fn has_form(text: &str, form: &str) -> bool {
    let fits = |(byte, expected): (u8, u8)| match expected {
        b'0' => byte.is_ascii_digit(),
        _ => byte.eq_ignore_ascii_case(&expected),
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

/// Parses a zone: minutes east of Greenwich.
fn parse_offset(zone: &str) -> Option<i64> {
    let (sign, clock) = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", clock) => (1, clock),
        ("-", clock) => (-1, clock),
        _ => return None,
    };
    if !has_form(clock, "00:00") {
        return None;
    }
    let (hours, minutes) = (clock[..2].parse::<i64>().ok()?, clock[3..].parse::<i64>().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use crate::scim::timestamp::{parse_rfc3339, parse_timestamp};

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
        assert_eq!(parse_timestamp("0000-01-01T00:00:00+14:00"), Some(-62_167_269_600_000_000));
        assert_eq!(parse_timestamp("9999-12-31T23:59:59.9999999-14:00"), Some(253_402_351_199_999_999));
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
            "2024-02-29T24:00:00.0001Z",
            "2024-02-29T12:60:00Z",
            "2024-02-29T12:00:60Z",
            "2024-02-29T12:00:00,5Z",
            "2024-02-29T12:00:00Z[UTC]",
            "20240229T120000.00Z",
            "2024-02-29T12:00:00.Z",
            "2024-02-29T12:00:00ZZ",
            "2024-02-29T12:00:00+0200",
            "2024-02-29T12:00:00+15:00",
            "2024-02-29T12:00:00-14:01",
            "2024-02-29T12:00:00+02:60",
            "+024-02-29T12:00:00Z",
            "2024-02-29T12:00:0éZ",
            "tomorrow, at noon",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn a_timestamp_of_rfc_3339_needs_a_zone() {
        let expected = Some(SignedDuration::new(1_709_208_000, 500_000_000));
        for text in [
            "2024-02-29T12:00:00.5Z",
            "2024-02-29t12:00:00.5z",
            "2024-02-29 12:00:00.50000000000Z",
            "2024-02-29T13:30:00.5+01:30",
            "2024-02-28T12:01:00.5-23:59",
        ] {
            assert_eq!(parse_rfc3339(text), expected, "{text}");
        }
        assert_eq!(parse_rfc3339("9999-12-31T23:59:59-23:59"), Some(SignedDuration::from_secs(253_402_387_139)));
        for text in [
            "",
            "2024-02-29",
            "2024-02-29T12:00:00",
            "2024-02-29T24:00:00Z",
            "2024-02-29T12:00:00.Z",
            "2024-02-29T12:00:00+24:00",
            "2024-02-29T12:00:00+0100",
            "2024-02-30T12:00:00Z",
            "2024-02-29_12:00:00Z",
            "2024-02-29T12:00Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in ".{0,40}") {
            let _ = (parse_timestamp(&text), parse_rfc3339(&text));
        }
    }
}
