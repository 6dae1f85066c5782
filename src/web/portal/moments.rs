//! Moments and days as pages write and read them.

use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime, Time};

use crate::clock::{self, Millis};

const DAY: Millis = 24 * 60 * 60 * 1000;

/// A moment for people, in UTC and to the minute: `2026-07-14 09:30 UTC`.
pub(super) fn shown(at: Millis) -> String {
    let text = clock::rfc3339(at);
    text.get(..16).map_or(text.clone(), |minute| format!("{} UTC", minute.replace('T', " ")))
}

/// The beginning of a day as date fields send it (`2026-07-14`), in UTC.
pub(super) fn begin_of_day(text: &str) -> Option<Millis> {
    // The parser takes a moment too, and shorter forms of a day.
    let day = Date::parse(text, &Iso8601::DATE).ok().filter(|_| text.len() == "2026-07-14".len())?;
    let begin = OffsetDateTime::new_utc(day, Time::MIDNIGHT).unix_timestamp();
    begin.checked_mul(1000)
}

/// The end of such a day: what comes before it belongs to the day.
pub(super) fn end_of_day(text: &str) -> Option<Millis> {
    begin_of_day(text).and_then(|begin| begin.checked_add(DAY))
}

/// A point in time to the second: for machines, and for people in UTC. A script turns it to the reader's own zone.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// RFC 3339.
    pub(super) exact: String,
    /// For people.
    pub(super) shown: String,
}

impl Moment {
    pub(super) fn of(at: Millis) -> Self {
        let exact = clock::rfc3339(at);
        let shown = format!("{} UTC", exact.get(..19).unwrap_or(&exact).replace('T', " "));
        Self { exact, shown }
    }
}

#[cfg(test)]
mod tests {
    use time::format_description::well_known::Rfc3339;

    use super::*;

    fn at(text: &str) -> Millis {
        OffsetDateTime::parse(text, &Rfc3339).unwrap().unix_timestamp() * 1000
    }

    #[test]
    fn a_day_runs_from_midnight_to_midnight_in_utc() {
        assert_eq!(begin_of_day("2026-07-14"), Some(at("2026-07-14T00:00:00Z")));
        assert_eq!(end_of_day("2026-07-14"), Some(at("2026-07-15T00:00:00Z")));
        for wrong in ["", "2026-02-30", "yesterday", "2026-07-14T09:30:00Z"] {
            assert_eq!(begin_of_day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_moment_is_shown_to_the_minute() {
        assert_eq!(shown(at("2026-07-14T09:30:59Z")), "2026-07-14 09:30 UTC");
    }

    #[test]
    fn a_time_is_shown_to_the_second_with_its_zone() {
        let moment = Moment::of(1_000);
        assert_eq!(
            (moment.shown.as_str(), moment.exact.as_str()),
            ("1970-01-01 00:00:01 UTC", "1970-01-01T00:00:01.000Z")
        );
    }
}
