//! The time zone of the admin. Templates write UTC. If a zone is chosen for the browser, the middleware converts the
//! times of every page to it; otherwise a script converts them to the zone of the device.

use actix_web::HttpRequest;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::clock::Millis;
use crate::web::portal::cookies;
use crate::web::portal::texts;

/// Cookie of the chosen zone; it outlives the session.
pub(super) const ZONE_COOKIE: &str = "rc_zone";
/// Longest name of a zone, in bytes.
const NAME_MAX: usize = 64;

const BEGIN: &str = "<time datetime=\"";
const END: &str = "</time>";
/// Length of a time to the second: `2026-07-14 09:30:00 UTC`.
const SECONDS_TEXT_LENGTH: usize = 23;
/// Length of a time of day: `09:30:00`, and `09:30`.
const CLOCK_TEXT_LENGTH: usize = 8;
const SHORT_CLOCK_TEXT_LENGTH: usize = 5;
/// Attributes after `datetime`: a time of day, to the second or to the minute.
const ATTRIBUTES: [&str; 3] = ["", " data-clock", " data-clock=\"short\""];

/// A time zone.
#[derive(Debug, Clone)]
pub(super) struct TimeZoneChoice(TimeZone);

impl TimeZoneChoice {
    /// The zone with that IANA name, such as `Europe/Berlin`; `None` if there is none.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let name = name.trim();
        let is_name = !name.is_empty() && name.len() <= NAME_MAX;
        TimeZone::get(name).ok().filter(|zone| is_name && zone.iana_name().is_some()).map(Self)
    }

    /// The zone in the cookie of a request.
    pub(super) fn from_cookie(request: &HttpRequest) -> Option<Self> {
        Self::from_name(cookies::find_cookie(request, ZONE_COOKIE)?.value())
    }

    pub(super) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The IANA name of the zone.
    pub(super) fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Parses the value of a `datetime-local` field (`2026-07-14T09:30`); milliseconds since the epoch, or `None`. A
    /// time that a clock change skips is read as one hour later; of a time that occurs twice, the first is used.
    pub(super) fn parse_timestamp(&self, text: &str) -> Option<Millis> {
        let local: DateTime = text.parse().ok().filter(|_| (16..=19).contains(&text.len()))?;
        Some(local.to_zoned(self.0.clone()).ok()?.timestamp().as_millisecond())
    }

    /// The start of a day as date fields send it (`2026-07-14`); milliseconds since the epoch, or `None`.
    pub(super) fn start_of_day(&self, text: &str) -> Option<Millis> {
        self.day(text, 0)
    }

    /// The exclusive end of such a day.
    pub(super) fn end_of_day(&self, text: &str) -> Option<Millis> {
        self.day(text, 1)
    }

    fn day(&self, text: &str, later: i64) -> Option<Millis> {
        let day: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
        let begin = day.checked_add(later.days()).ok()?.to_zoned(self.0.clone()).ok()?;
        Some(begin.timestamp().as_millisecond())
    }

    /// Formats a timestamp in this zone, such as `2026-07-14 11:30 CEST`, with the parts that the text in UTC has.
    fn format_timestamp(&self, at: Timestamp, in_utc: &str) -> String {
        let form = match in_utc.len() {
            SECONDS_TEXT_LENGTH => texts::formats::SECOND_WITH_ZONE,
            CLOCK_TEXT_LENGTH => "%H:%M:%S",
            SHORT_CLOCK_TEXT_LENGTH => "%H:%M",
            _ => texts::formats::MINUTE_WITH_ZONE,
        };
        at.to_zoned(self.0.clone()).strftime(form).to_string()
    }

    /// Formats the day of a timestamp in this zone, such as `Tuesday, 14 July 2026`.
    pub(super) fn format_day(&self, at: Millis) -> String {
        let at = Timestamp::from_millisecond(at).unwrap_or_default();
        at.to_zoned(self.0.clone()).strftime(texts::formats::WEEKDAY_AND_DATE).to_string()
    }

    /// Converts all times of a page to this zone. User input is escaped, so it contains no `time` element.
    fn localize_page(&self, page: &str) -> String {
        let mut turned = String::with_capacity(page.len() + page.len() / 8);
        let mut rest = page;
        while let Some((before, from)) = rest.split_once(BEGIN) {
            turned.push_str(before);
            let Some(TimeElement { exact, attributes, display, after }) = TimeElement::parse(from) else {
                turned.push_str(BEGIN);
                rest = from;
                continue;
            };
            let display =
                exact.parse().map_or_else(|_| display.to_owned(), |at: Timestamp| self.format_timestamp(at, display));
            for part in [BEGIN, exact, "\"", attributes, " data-zoned>", &display, END] {
                turned.push_str(part);
            }
            rest = after;
        }
        turned.push_str(rest);
        turned
    }
}

/// The parts of a page from the value of `datetime` on.
struct TimeElement<'p> {
    exact: &'p str,
    /// One of [`ATTRIBUTES`].
    attributes: &'p str,
    display: &'p str,
    /// The page after the element.
    after: &'p str,
}

impl<'p> TimeElement<'p> {
    /// Splits the text after [`BEGIN`].
    fn parse(from: &'p str) -> Option<Self> {
        let (exact, rest) = from.split_once('"')?;
        let (attributes, rest) = rest.split_once('>')?;
        let (display, after) = rest.split_once(END)?;
        ATTRIBUTES.contains(&attributes).then_some(Self { exact, attributes, display, after })
    }
}

/// The response with the times of its page converted to that zone.
pub(super) fn localize_times(
    response: ServiceResponse<impl MessageBody + 'static>,
    zone: &TimeZoneChoice,
) -> ServiceResponse<BoxBody> {
    response.map_body(|_, body| match body.try_into_bytes() {
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            Ok(page) if page.contains(BEGIN) => BoxBody::new(zone.localize_page(page)),
            _ => BoxBody::new(bytes),
        },
        Err(body) => BoxBody::new(body),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZoneChoice {
        TimeZoneChoice::from_name("Europe/Berlin").unwrap()
    }

    fn at(text: &str) -> Millis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn zones_are_found_by_their_names() {
        assert_eq!(TimeZoneChoice::from_name(" europe/berlin ").unwrap().name(), "Europe/Berlin");
        assert_eq!(TimeZoneChoice::from_name("UTC").unwrap().name(), "UTC");
        for wrong in ["", "Europe/Atlantis", "+02:00", "../etc/passwd", "<script>", &"x".repeat(500)] {
            assert!(TimeZoneChoice::from_name(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_read_as_local_time() {
        assert_eq!(berlin().parse_timestamp("2026-07-14T09:30"), Some(at("2026-07-14T07:30:00Z")));
        assert_eq!(berlin().parse_timestamp("2026-01-14T09:30:15"), Some(at("2026-01-14T08:30:15Z")));
        assert_eq!(TimeZoneChoice::utc().parse_timestamp("2026-07-14T09:30"), Some(at("2026-07-14T09:30:00Z")));
        // Clocks go from 2 to 3 on the first day, and from 3 back to 2 on the second.
        assert_eq!(berlin().parse_timestamp("2026-03-29T02:30"), Some(at("2026-03-29T01:30:00Z")));
        assert_eq!(berlin().parse_timestamp("2026-10-25T02:30"), Some(at("2026-10-25T00:30:00Z")));
        for wrong in
            ["", "yesterday", "2026-02-30T09:30", "2026-07-14T25:00", "2026-07-14", "2026-07-14T09:30:00+02:00"]
        {
            assert_eq!(berlin().parse_timestamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_day_is_as_long_as_the_clocks_make_it() {
        let hours = |day| (berlin().end_of_day(day).unwrap() - berlin().start_of_day(day).unwrap()) / 3_600_000;
        assert_eq!(["2026-07-14", "2026-03-29", "2026-10-25"].map(hours), [24, 23, 25]);
        assert_eq!(TimeZoneChoice::utc().start_of_day("2026-07-14"), Some(at("2026-07-14T00:00:00Z")));
        for wrong in ["", "2026-02-30", "yesterday", "2026-07-14T09:30:00Z", "20260714"] {
            assert_eq!(berlin().start_of_day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_day_is_that_of_the_zone() {
        assert_eq!(berlin().format_day(at("2026-07-14T22:30:00Z")), "Wednesday, 15 July 2026");
        assert_eq!(TimeZoneChoice::utc().format_day(at("2026-07-04T22:30:00Z")), "Saturday, 4 July 2026");
    }

    #[test]
    fn only_the_times_of_a_page_are_converted() {
        let page = "<p>a</p><time datetime=\"2026-07-14T09:30:15.000Z\">2026-07-14 09:30 UTC</time>, \
                    <time datetime=\"2026-01-14T09:30:15.000Z\">2026-01-14 09:30:15 UTC</time> &lt;time datetime=\"";
        assert_eq!(
            berlin().localize_page(page),
            "<p>a</p><time datetime=\"2026-07-14T09:30:15.000Z\" data-zoned>2026-07-14 11:30 CEST</time>, \
             <time datetime=\"2026-01-14T09:30:15.000Z\" data-zoned>2026-01-14 10:30:15 CET</time> &lt;time datetime=\""
        );
        for (utc, local) in [
            (" class=\"x\">09:30:15", ""),
            (" data-clock>09:30:15", "11:30:15"),
            (" data-clock=\"short\">09:30", "11:30"),
        ] {
            let begin = "<time datetime=\"2026-07-14T09:30:15.000Z\"";
            let (attributes, _) = utc.rsplit_once('>').unwrap();
            let page = format!("{begin}{utc}</time>");
            let expected = format!("{begin}{attributes} data-zoned>{local}</time>");
            assert_eq!(berlin().localize_page(&page), if local.is_empty() { page } else { expected });
        }
        assert_eq!(berlin().format_day(at("2026-07-14T22:30:00Z")), "Wednesday, 15 July 2026");
        for odd in ["<time datetime=\"", "<time datetime=\"x\">y", "<time datetime=\"x\" z>y</time>"] {
            assert_eq!(berlin().localize_page(odd), odd);
        }
        assert_eq!(berlin().localize_page("<time datetime=\"x\">y</time>"), "<time datetime=\"x\" data-zoned>y</time>");
    }
}
