//! The chart of a day: calls of a connection hour by hour, as a picture and as a table.

use super::moments::Moment;
use super::page::Refusal;
use crate::clock::Millis;
use crate::directory::requests;
use crate::model::traffic::{HOUR_MS, Hour};
use crate::web::state::State;

/// Hours that are shown.
const HOURS: i64 = 24;
/// Width of an hour and of the bar in it, and the height of the highest bar, in the units of the picture.
const STEP: i64 = 20;
const BAR: i64 = 14;
const HEIGHT: i64 = 100;

/// Calls of a connection hour by hour.
pub(super) struct Traffic {
    hours: Vec<Hour>,
    /// Calls of the busiest hour.
    pub(super) most: i64,
}

/// A part of a bar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) class: &'static str,
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) height: i64,
}

/// An hour in the table.
pub(super) struct Line {
    pub(super) begin: Moment,
    pub(super) hour: Hour,
}

impl Traffic {
    /// Reads the last day of a configuration.
    pub(super) fn read(state: &State, configuration: i64, now: Millis) -> Result<Self, Refusal> {
        Ok(Self::of(state.store.read_inline(|at| requests::by_hour(at, configuration, now, HOURS))?))
    }

    fn of(hours: Vec<Hour>) -> Self {
        let most = hours.iter().map(Hour::total).max().unwrap_or_default();
        Self { hours, most }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.most == 0
    }

    fn sum(&self, of: fn(&Hour) -> i64) -> i64 {
        self.hours.iter().map(of).sum()
    }

    pub(super) fn missed(&self) -> i64 {
        self.sum(|hour| hour.missed)
    }

    /// The whole picture in words.
    pub(super) fn sentence(&self) -> String {
        let calls = |count: i64| if count == 1 { "1 call was".to_owned() } else { format!("{count} calls were") };
        let (accepted, refused, missed) =
            (self.sum(|hour| hour.accepted), self.sum(|hour| hour.refused), self.missed());
        let more =
            if missed > 0 { format!("; {missed} more came too fast for the request log") } else { String::new() };
        format!("{} accepted and {refused} refused{more}.", calls(accepted))
    }

    /// The bars, from the left to the right and each from its foot up. What is there at all is seen.
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        for (place, hour) in (0_i64..).zip(&self.hours) {
            let mut y = HEIGHT;
            for (class, calls) in [("accepted", hour.accepted), ("refused", hour.refused), ("missed", hour.missed)] {
                if calls > 0 {
                    let height = (calls.saturating_mul(HEIGHT) / self.most).max(2);
                    y = (y - height).max(0);
                    parts.push(Part { class, x: place * STEP + (STEP - BAR) / 2, y, height });
                }
            }
        }
        parts
    }

    /// The hours in which there was something, the latest first.
    pub(super) fn lines(&self) -> Vec<Line> {
        let busy = self.hours.iter().rev().filter(|hour| hour.total() > 0);
        busy.map(|hour| Line { begin: Moment::of(hour.hour * HOUR_MS), hour: *hour }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(accepted: i64, refused: i64) -> Hour {
        Hour { hour: 9, accepted, refused, missed: 0 }
    }

    #[test]
    fn bars_stand_on_each_other_and_none_is_too_low_to_be_seen() {
        let traffic = Traffic::of(vec![hour(0, 0), hour(300, 100), hour(0, 1)]);
        assert_eq!(
            traffic.parts(),
            [
                Part { class: "accepted", x: 23, y: 25, height: 75 },
                Part { class: "refused", x: 23, y: 0, height: 25 },
                Part { class: "refused", x: 43, y: 98, height: 2 },
            ]
        );
        assert_eq!(traffic.sentence(), "300 calls were accepted and 101 refused.");
    }

    #[test]
    fn a_day_without_calls_has_no_picture() {
        let traffic = Traffic::of(vec![hour(0, 0); 24]);
        assert!(traffic.is_empty() && traffic.parts().is_empty() && traffic.lines().is_empty());
    }
}
