//! The chart of the calls of a connection in the last 24 hours, as an image and as a table.

use crate::clock::Millis;
use crate::error::Error;
use crate::management::request_log;
use crate::model::audit_context::AccountScope;
use crate::model::traffic::{HOUR_MS, HourlyCalls};
use crate::store::{Snapshot, Store};
use crate::web::portal::layout::PageError;
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

/// A row of the table.
pub(crate) struct HourRow {
    pub(crate) begin: PageTime,
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

    /// Summary of the chart in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let calls = |count: i64| if count == 1 { "1 call was".to_owned() } else { format!("{count} calls were") };
        let (accepted, refused, missed) = (self.accepted(), self.refused(), self.missed());
        let more =
            if missed > 0 { format!("; {missed} more came too fast for the request log") } else { String::new() };
        format!("{} accepted and {refused} refused{more}.", calls(accepted))
    }

    /// The segments of the bars, from left to right and from bottom to top. A segment with calls is at least 2 units
    /// high.
    pub(crate) fn parts(&self) -> Vec<BarPart> {
        let mut parts = Vec::new();
        for (index, hour) in (0_i64..).zip(&self.hours) {
            let mut y = HEIGHT;
            for (class, calls) in [("accepted", hour.accepted), ("refused", hour.refused), ("missed", hour.missed)] {
                if calls > 0 {
                    let height = (calls.saturating_mul(HEIGHT) / self.most).max(2);
                    y = (y - height).max(0);
                    parts.push(BarPart { class, x: index * STEP + (STEP - BAR) / 2, y, height });
                }
            }
        }
        parts
    }

    /// The hours with calls, the latest first.
    pub(crate) fn lines(&self) -> Vec<HourRow> {
        let busy = self.hours.iter().rev().filter(|hour| hour.total() > 0);
        busy.map(|hour| HourRow { begin: PageTime::from_millis(hour.hour * HOUR_MS), hour: *hour }).collect()
    }
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
        assert_eq!(
            traffic.parts(),
            [
                BarPart { class: "accepted", x: 23, y: 25, height: 75 },
                BarPart { class: "refused", x: 23, y: 0, height: 25 },
                BarPart { class: "refused", x: 43, y: 98, height: 2 },
            ]
        );
        assert_eq!(traffic.sentence(), "300 calls were accepted and 101 refused.");
    }

    #[test]
    fn a_day_without_calls_has_no_chart() {
        let traffic = TrafficChart::from_hours(vec![hour(0, 0); 24]);
        assert!(traffic.is_empty() && traffic.parts().is_empty() && traffic.lines().is_empty());
    }
}
