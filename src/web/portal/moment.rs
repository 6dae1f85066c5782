//! Points in time as pages show them: for machines, and for people in UTC. A script turns them to the reader's own zone.

use crate::clock::{self, Millis};

/// A point in time.
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
    use super::*;

    #[test]
    fn a_time_is_shown_to_the_second_with_its_zone() {
        let moment = Moment::of(1_000);
        assert_eq!(
            (moment.shown.as_str(), moment.exact.as_str()),
            ("1970-01-01 00:00:01 UTC", "1970-01-01T00:00:01.000Z")
        );
    }
}
