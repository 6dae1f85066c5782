//! The chart of the calls of a connection in the last 24 hours, as an image and as a table.

use crate::clock::Millis;
use crate::error::Error;
use crate::management::request_log;
use crate::model::audit_context::AccountScope;
use crate::model::traffic::{HOUR_MS, HourlyCalls};
use crate::store::{Snapshot, Store};
use crate::web::portal::layout::PageError;
use crate::web::portal::texts;
use crate::web::portal::timestamps::PageTime;

/// Number of hours.
const HOURS: i64 = 24;
/// Width of an hour, width of a bar, and height of the highest bar, in units of the SVG.
const STEP: i64 = 20;
const BAR: i64 = 14;
const HEIGHT: i64 = 100;

/// Calls of a connection by hour.
pub(crate) struct TrafficChart {
    hours: Vec<HourlyCalls>,
    /// Number of calls in the busiest hour.
    pub(crate) most: i64,
}

/// A segment of a bar.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BarPart {
    pub(crate) class: &'static str,
    pub(crate) x: i64,
    pub(crate) y: i64,
    pub(crate) height: i64,
}

/// An hour of the chart.
pub(crate) struct HourBar {
    /// Left edge.
    pub(crate) x: i64,
    /// From bottom to top.
    pub(crate) parts: Vec<BarPart>,
    pub(crate) label: String,
    /// Query of the request log for this hour.
    pub(crate) query: String,
}

/// A row of the table.
pub(crate) struct HourRow {
    pub(crate) begin: PageTime,
    /// Query of the request log for this hour.
    pub(crate) query: String,
    pub(crate) hour: HourlyCalls,
}

impl TrafficChart {
    /// Reads the last day of a configuration.
    pub(crate) fn read(store: &Store, configuration: i64, now: Millis) -> Result<Self, PageError> {
        Ok(Self::from_hours(store.read_inline(|at| request_log::count_calls_by_hour(at, configuration, now, HOURS))?))
    }

    /// Reads the last day of all configurations of the account scope.
    pub(crate) fn of_scope(at: &Snapshot<'_>, scope: &AccountScope, now: Millis) -> Result<Self, Error> {
        Ok(Self::from_hours(request_log::sum_calls_by_hour(at, scope, now, HOURS)?))
    }

    fn from_hours(hours: Vec<HourlyCalls>) -> Self {
        let most = hours.iter().map(HourlyCalls::total).max().unwrap_or_default();
        Self { hours, most }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.most == 0
    }

    fn sum(&self, of: fn(&HourlyCalls) -> i64) -> i64 {
        self.hours.iter().map(of).sum()
    }

    pub(crate) fn accepted(&self) -> i64 {
        self.sum(|hour| hour.accepted)
    }

    pub(crate) fn refused(&self) -> i64 {
        self.sum(|hour| hour.refused)
    }

    pub(crate) fn missed(&self) -> i64 {
        self.sum(|hour| hour.missed)
    }

    /// The totals, such as `2204 accepted · 40 rejected`.
    pub(crate) fn totals(&self) -> String {
        texts::requests::describe_totals(self.accepted(), self.refused(), self.missed())
    }

    /// The busiest hour, as a sentence.
    pub(crate) fn peak(&self) -> String {
        texts::requests::describe_peak(self.most)
    }

    /// Summary of the chart in sentences.
    pub(crate) fn sentence(&self) -> String {
        format!("{}. {}", self.totals().replace(" · ", ", "), self.peak())
    }

    /// The bars, from left to right. A segment with calls is at least 2 units high.
    pub(crate) fn bars(&self) -> Vec<HourBar> {
        let build = |(index, hour): (i64, &HourlyCalls)| {
            let (mut y, mut parts) = (HEIGHT, Vec::new());
            for (class, calls) in [("accepted", hour.accepted), ("refused", hour.refused), ("missed", hour.missed)] {
                if calls > 0 {
                    let height = (calls.saturating_mul(HEIGHT) / self.most).max(2);
                    y = (y - height).max(0);
                    parts.push(BarPart { class, x: index * STEP + (STEP - BAR) / 2, y, height });
                }
            }
            let (accepted, rejected) = (hour.accepted, hour.refused);
            let label = texts::requests::describe_hour(&clock_of(hour.hour), accepted, rejected);
            HourBar { x: index * STEP, parts, label, query: hour_query(hour.hour) }
        };
        (0_i64..).zip(&self.hours).filter(|(_, hour)| hour.total() > 0).map(build).collect()
    }

    /// Times below the chart, evenly distributed.
    pub(crate) fn ticks(&self) -> Vec<PageTime> {
        self.hours.iter().step_by(6).map(|hour| PageTime::from_millis(hour.hour * HOUR_MS)).collect()
    }

    /// The hours with calls, the latest first.
    pub(crate) fn lines(&self) -> Vec<HourRow> {
        let busy = self.hours.iter().rev().filter(|hour| hour.total() > 0);
        let row = |hour: &HourlyCalls| HourRow {
            begin: PageTime::from_millis(hour.hour * HOUR_MS),
            query: hour_query(hour.hour),
            hour: *hour,
        };
        busy.map(row).collect()
    }
}

/// Begin of an hour, to the minute, in UTC.
fn minute_of(at: Millis) -> String {
    PageTime::from_millis(at).exact.get(..16).unwrap_or_default().to_owned()
}

fn clock_of(hour: i64) -> String {
    minute_of(hour * HOUR_MS).get(11..).unwrap_or_default().to_owned()
}

/// Query of the request log for the calls of an hour. The end is its last minute, which the log includes.
fn hour_query(hour: i64) -> String {
    let begin = hour * HOUR_MS;
    format!("from={}&to={}&zone=UTC", minute_of(begin), minute_of(begin + HOUR_MS - 60_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(accepted: i64, refused: i64) -> HourlyCalls {
        HourlyCalls { hour: 9, accepted, refused, missed: 0 }
    }

    #[test]
    fn segments_are_stacked_and_have_a_minimum_height() {
        let traffic = TrafficChart::from_hours(vec![hour(0, 0), hour(300, 100), hour(0, 1)]);
        let parts: Vec<BarPart> = traffic.bars().into_iter().flat_map(|bar| bar.parts).collect();
        assert_eq!(
            parts,
            [
                BarPart { class: "accepted", x: 23, y: 25, height: 75 },
                BarPart { class: "refused", x: 23, y: 0, height: 25 },
                BarPart { class: "refused", x: 43, y: 98, height: 2 },
            ]
        );
        assert_eq!(traffic.sentence(), "300 accepted, 101 rejected. Peak hour: 400.");
        assert_eq!(traffic.bars()[0].query, "from=1970-01-01T09:00&to=1970-01-01T09:59&zone=UTC");
    }

    #[test]
    fn a_day_without_calls_has_no_chart() {
        let traffic = TrafficChart::from_hours(vec![hour(0, 0); 24]);
        assert!(traffic.is_empty() && traffic.bars().is_empty() && traffic.lines().is_empty());
    }
}
