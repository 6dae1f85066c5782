//! Timestamps as pages show them.

use crate::clock::{self, Millis};
use crate::web::portal::texts;

/// Formats a timestamp in UTC to the minute: `2026-07-14 09:30 UTC`.
pub(super) fn format_minute(at: Millis) -> String {
    let text = clock::format_rfc3339(at);
    text.get(..16).map_or(text.clone(), |minute| texts::formats::add_utc(&minute.replace('T', " ")))
}

/// A timestamp to the second, for the `datetime` attribute and as text in UTC. A script shows it in the zone of the
/// browser.
#[derive(Debug, Clone)]
pub(super) struct PageTime {
    /// RFC 3339.
    pub(super) exact: String,
    /// Text of the page, such as `2026-07-14 09:30:00 UTC`.
    pub(super) display: String,
}

impl PageTime {
    pub(super) fn from_millis(at: Millis) -> Self {
        let exact = clock::format_rfc3339(at);
        let display = texts::formats::add_utc(&exact.get(..19).unwrap_or(&exact).replace('T', " "));
        Self { exact, display }
    }

    /// Time of day in UTC: `09:30:00`.
    pub(super) fn clock(&self) -> &str {
        self.exact.get(11..19).unwrap_or(&self.exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_formatted_to_the_minute() {
        assert_eq!(format_minute(1_784_021_459_999), "2026-07-14 09:30 UTC");
    }

    #[test]
    fn a_timestamp_is_formatted_to_the_second_with_its_zone() {
        let timestamp = PageTime::from_millis(1_000);
        assert_eq!(
            (timestamp.display.as_str(), timestamp.exact.as_str()),
            ("1970-01-01 00:00:01 UTC", "1970-01-01T00:00:01.000Z")
        );
    }
}
