//! Wall-clock time: milliseconds, RFC 3339 text and time-ordered IDs.
//! Only the edges read the clock; all other modules receive times and IDs as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

const DAY_MS: i64 = 86_400_000;

/// 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can represent.
const LAST: Millis = 253_402_300_799_999;

/// 0000-01-01T00:00:00Z, the first instant that RFC 3339 can represent.
const FIRST: Millis = -62_167_219_200_000;

/// Returns the current time.
pub fn current_millis() -> Millis {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Millis::try_from(since.as_millis()).unwrap_or(LAST),
        Err(before) => Millis::try_from(before.duration().as_millis()).map_or(FIRST, std::ops::Neg::neg),
    }
}

/// Returns a new ID: a UUID version 7 in lower case with hyphens. Later IDs sort after earlier ones, so that inserts
/// append to an index. An ID is not a secret and grants no access.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Formats a time as RFC 3339 in UTC with milliseconds, such as `2026-07-14T09:30:00.000Z` (RFC 7643 section 2.3.5).
///
/// A time outside the years 0000 to 9999 becomes the first or last instant that RFC 3339 can represent.
pub fn format_rfc3339(ms: Millis) -> String {
    let ms = ms.clamp(FIRST, LAST);
    let (year, month, day) = date_of_day_number(ms.div_euclid(DAY_MS));
    let rest = ms.rem_euclid(DAY_MS);
    let fields = [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (rest / 3_600_000, 2, b':'),
        (rest / 60_000 % 60, 2, b':'),
        (rest / 1_000 % 60, 2, b'.'),
        (rest % 1_000, 3, b'Z'),
    ];
    let mut text = String::with_capacity(24);
    for (value, width, after) in fields {
        push_digits(&mut text, value, width);
        text.push(char::from(after));
    }
    text
}

fn push_digits(text: &mut String, value: i64, width: u32) {
    for exponent in (0..width).rev() {
        let digit = value / 10_i64.pow(exponent) % 10;
        text.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
    }
}

/// Converts days since 1970-01-01 to year, month and day of the proleptic Gregorian calendar.
///
/// The years of the calculation start in March, so that the leap day is the last day of a year. Each era of 400 years
/// has the same number of days.
fn date_of_day_number(day_number: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    let shifted = day_number + 719_468;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use time::format_description::well_known::Rfc3339;

    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (FIRST, "0000-01-01T00:00:00.000Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(format_rfc3339(ms), text);
        }
    }

    #[test]
    fn formatted_times_parse_to_the_same_instant() {
        let step = 13 * DAY_MS + 3_661_007;
        let mut ms = FIRST;
        while ms <= LAST {
            let read = time::OffsetDateTime::parse(&format_rfc3339(ms), &Rfc3339).unwrap();
            assert_eq!(read.unix_timestamp_nanos(), i128::from(ms) * 1_000_000);
            ms += step;
        }
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let ids: Vec<String> = (0..1_000).map(|_| new_id()).collect();
        assert!(ids.is_sorted());
    }
}
