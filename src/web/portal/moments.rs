//! Moments as pages write them.

use crate::clock::{self, Millis};

/// A moment for people, in UTC and to the minute: `2026-07-14 09:30 UTC`.
pub(super) fn shown(at: Millis) -> String {
    let text = clock::rfc3339(at);
    text.get(..16).map_or(text.clone(), |minute| format!("{} UTC", minute.replace('T', " ")))
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
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    fn at(text: &str) -> Millis {
        OffsetDateTime::parse(text, &Rfc3339).unwrap().unix_timestamp() * 1000
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
