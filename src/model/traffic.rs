//! How many calls a configuration has, hour by hour.

use crate::clock::Millis;
use crate::model::request::LoggedCall;

/// Milliseconds of an hour.
pub const HOUR_MS: Millis = 60 * 60 * 1000;

/// The calls of one hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hour {
    /// Hours since 1970 in UTC.
    pub hour: i64,
    /// Answered as they were asked.
    pub accepted: i64,
    /// Refused: the token, or what was asked.
    pub refused: i64,
    /// Came faster than the request log takes them; how they ended is not known here.
    pub missed: i64,
}

impl Hour {
    /// The hour of a logged call, with that call alone.
    pub fn of(call: &LoggedCall) -> Self {
        let is_refused = call.failed || call.status == 401;
        let one = |is_so: bool| i64::from(call.missed == 0 && is_so);
        Self {
            hour: call.at.div_euclid(HOUR_MS),
            accepted: one(!is_refused),
            refused: one(is_refused),
            missed: i64::from(call.missed),
        }
    }

    /// Takes in what another stretch of the same hour had.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.missed += other.missed;
    }

    /// All calls of the hour.
    pub fn total(&self) -> i64 {
        self.accepted + self.refused + self.missed
    }
}

/// Every hour of the last `count`, the running one at the end, from those in which there was something.
pub fn filled(found: &[Hour], now: Millis, count: i64) -> Vec<Hour> {
    let last = now.div_euclid(HOUR_MS);
    let of = |hour| found.iter().find(|one| one.hour == hour).copied().unwrap_or(Hour { hour, ..Hour::default() });
    (last - count + 1..=last).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_accepted_refused_or_not_known() {
        let call =
            |status, failed, missed| LoggedCall { at: HOUR_MS + 1, status, failed, missed, ..LoggedCall::default() };
        let counted = |status, failed, missed| {
            let Hour { hour: 1, accepted, refused, missed } = Hour::of(&call(status, failed, missed)) else { panic!() };
            [accepted, refused, missed]
        };
        assert_eq!(counted(201, false, 0), [1, 0, 0]);
        assert_eq!(counted(404, false, 0), [1, 0, 0]);
        assert_eq!(counted(409, true, 0), [0, 1, 0]);
        assert_eq!(counted(401, false, 0), [0, 1, 0]);
        assert_eq!(counted(0, false, 7), [0, 0, 7]);
    }

    #[test]
    fn hours_without_calls_stand_between_the_others() {
        let found = [Hour { hour: 8, accepted: 2, ..Hour::default() }];
        let filled = filled(&found, 10 * HOUR_MS + 5, 4);
        assert_eq!(
            filled.iter().map(|one| (one.hour, one.total())).collect::<Vec<_>>(),
            [(7, 0), (8, 2), (9, 0), (10, 0)]
        );
    }
}
