//! The reader's time zone. Pages are written in UTC; where somebody has chosen a zone for their browser, the frame turns the
//! times of every page to it on the way out. Where nobody has, a script does it.

use actix_web::HttpRequest;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::clock::Millis;

/// The zone that was chosen in a browser; it outlives the session.
pub(super) const ZONE_COOKIE: &str = "rc_zone";
/// Longest name of a zone.
const NAME_MAX: usize = 64;

const BEGIN: &str = "<time datetime=\"";
const END: &str = "</time>";
/// Length of a text that shows a time to the second: `2026-07-14 09:30:00 UTC`.
const TO_THE_SECOND: usize = 23;

/// A time zone.
#[derive(Debug, Clone)]
pub(super) struct Zone(TimeZone);

impl Zone {
    /// The zone with that name, such as `Europe/Berlin`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.trim();
        let is_name = !name.is_empty() && name.len() <= NAME_MAX;
        TimeZone::get(name).ok().filter(|zone| is_name && zone.iana_name().is_some()).map(Self)
    }

    /// The zone that was chosen in the browser of a request.
    pub(super) fn chosen(request: &HttpRequest) -> Option<Self> {
        Self::named(request.cookie(ZONE_COOKIE)?.value())
    }

    pub(super) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The moment that a field for date and time has sent (`2026-07-14T09:30`). A time that a change of the clocks leaves
    /// out is taken as the one an hour later, one that it brings twice as the first.
    pub(super) fn moment(&self, text: &str) -> Option<Millis> {
        let local: DateTime = text.parse().ok().filter(|_| (16..=19).contains(&text.len()))?;
        Some(local.to_zoned(self.0.clone()).ok()?.timestamp().as_millisecond())
    }

    /// The beginning of a day as date fields send it (`2026-07-14`).
    pub(super) fn begin_of_day(&self, text: &str) -> Option<Millis> {
        self.day(text, 0)
    }

    /// The end of such a day: what comes before it belongs to the day.
    pub(super) fn end_of_day(&self, text: &str) -> Option<Millis> {
        self.day(text, 1)
    }

    fn day(&self, text: &str, later: i64) -> Option<Millis> {
        let day: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
        let begin = day.checked_add(later.days()).ok()?.to_zoned(self.0.clone()).ok()?;
        Some(begin.timestamp().as_millisecond())
    }

    /// A moment for people, such as `2026-07-14 11:30 CEST`.
    fn shown(&self, at: Timestamp, to_the_second: bool) -> String {
        let form = if to_the_second { "%Y-%m-%d %H:%M:%S %Z" } else { "%Y-%m-%d %H:%M %Z" };
        at.to_zoned(self.0.clone()).strftime(form).to_string()
    }

    /// A page with all its times in this zone. What people wrote is escaped, so no element is theirs.
    fn turned(&self, page: &str) -> String {
        let mut turned = String::with_capacity(page.len() + page.len() / 8);
        let mut rest = page;
        while let Some((before, from)) = rest.split_once(BEGIN) {
            turned.push_str(before);
            let Some((exact, shown, after)) = element(from) else {
                turned.push_str(BEGIN);
                rest = from;
                continue;
            };
            let shown = exact
                .parse()
                .map_or_else(|_| shown.to_owned(), |at: Timestamp| self.shown(at, shown.len() == TO_THE_SECOND));
            for part in [BEGIN, exact, "\" data-zoned>", &shown, END] {
                turned.push_str(part);
            }
            rest = after;
        }
        turned.push_str(rest);
        turned
    }
}

/// What an element says, from behind its beginning on: for machines, for people, and what comes after it.
fn element(from: &str) -> Option<(&str, &str, &str)> {
    let (exact, rest) = from.split_once("\">")?;
    let (shown, after) = rest.split_once(END)?;
    Some((exact, shown, after))
}

/// An answer with the times of its page in that zone.
pub(super) fn turned(response: ServiceResponse<impl MessageBody + 'static>, zone: &Zone) -> ServiceResponse<BoxBody> {
    response.map_body(|_, body| match body.try_into_bytes() {
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            Ok(page) if page.contains(BEGIN) => BoxBody::new(zone.turned(page)),
            _ => BoxBody::new(bytes),
        },
        Err(body) => BoxBody::new(body),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        Zone::named("Europe/Berlin").unwrap()
    }

    fn at(text: &str) -> Millis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn zones_are_known_by_their_names() {
        assert_eq!(Zone::named(" europe/berlin ").unwrap().name(), "Europe/Berlin");
        assert_eq!(Zone::named("UTC").unwrap().name(), "UTC");
        for wrong in ["", "Europe/Atlantis", "+02:00", "../etc/passwd", "<script>", &"x".repeat(500)] {
            assert!(Zone::named(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_read_as_the_clock_on_the_wall_shows_it() {
        assert_eq!(berlin().moment("2026-07-14T09:30"), Some(at("2026-07-14T07:30:00Z")));
        assert_eq!(berlin().moment("2026-01-14T09:30:15"), Some(at("2026-01-14T08:30:15Z")));
        assert_eq!(Zone::utc().moment("2026-07-14T09:30"), Some(at("2026-07-14T09:30:00Z")));
        // Clocks go from 2 to 3 on that day, and from 3 back to 2 on the other.
        assert_eq!(berlin().moment("2026-03-29T02:30"), Some(at("2026-03-29T01:30:00Z")));
        assert_eq!(berlin().moment("2026-10-25T02:30"), Some(at("2026-10-25T00:30:00Z")));
        for wrong in
            ["", "yesterday", "2026-02-30T09:30", "2026-07-14T25:00", "2026-07-14", "2026-07-14T09:30:00+02:00"]
        {
            assert_eq!(berlin().moment(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_day_is_as_long_as_the_clocks_make_it() {
        let hours = |day| (berlin().end_of_day(day).unwrap() - berlin().begin_of_day(day).unwrap()) / 3_600_000;
        assert_eq!(["2026-07-14", "2026-03-29", "2026-10-25"].map(hours), [24, 23, 25]);
        assert_eq!(Zone::utc().begin_of_day("2026-07-14"), Some(at("2026-07-14T00:00:00Z")));
        for wrong in ["", "2026-02-30", "yesterday", "2026-07-14T09:30:00Z", "20260714"] {
            assert_eq!(berlin().begin_of_day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_times_of_a_page_are_turned_and_nothing_else() {
        let page = "<p>a</p><time datetime=\"2026-07-14T09:30:15.000Z\">2026-07-14 09:30 UTC</time>, \
                    <time datetime=\"2026-01-14T09:30:15.000Z\">2026-01-14 09:30:15 UTC</time> &lt;time datetime=\"";
        assert_eq!(
            berlin().turned(page),
            "<p>a</p><time datetime=\"2026-07-14T09:30:15.000Z\" data-zoned>2026-07-14 11:30 CEST</time>, \
             <time datetime=\"2026-01-14T09:30:15.000Z\" data-zoned>2026-01-14 10:30:15 CET</time> &lt;time datetime=\""
        );
        for odd in ["<time datetime=\"", "<time datetime=\"x\">y", "<time datetime=\"x\" z>y</time>"] {
            assert_eq!(berlin().turned(odd), odd);
        }
        assert_eq!(berlin().turned("<time datetime=\"x\">y</time>"), "<time datetime=\"x\" data-zoned>y</time>");
    }
}
