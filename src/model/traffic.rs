//! Number of calls per configuration and hour.

use crate::clock::Millis;
use crate::model::request::LoggedCall;

/// One hour in milliseconds.
pub const HOUR_MS: Millis = 60 * 60 * 1000;

/// The calls within one hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HourlyCalls {
    /// Hours since 1970 in UTC.
    pub hour: i64,
    /// Calls that were accepted.
    pub accepted: i64,
    /// Calls whose token or request was refused.
    pub refused: i64,
    /// Calls that exceeded the capacity of the request log; their outcome is not recorded.
    pub missed: i64,
}

impl HourlyCalls {
    /// Returns the hour of a logged call, with this call as the only one.
    pub fn from_call(call: &LoggedCall) -> Self {
        let is_refused = call.failed || call.status == 401;
        let one = |is_so: bool| i64::from(call.missed == 0 && is_so);
        Self {
            hour: call.at.div_euclid(HOUR_MS),
            accepted: one(!is_refused),
            refused: one(is_refused),
            missed: i64::from(call.missed),
        }
    }

    /// Adds the counts of `other`, which covers another part of the same hour.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.missed += other.missed;
    }

    /// Returns the number of all calls in the hour.
    pub fn total(&self) -> i64 {
        self.accepted + self.refused + self.missed
    }
}

/// Returns the last `count` hours, the current one last. Hours that are not in `found` have no calls.
pub fn fill_hours(found: &[HourlyCalls], now: Millis, count: i64) -> Vec<HourlyCalls> {
    let last = now.div_euclid(HOUR_MS);
    let find = |hour| {
        found.iter().find(|one| one.hour == hour).copied().unwrap_or(HourlyCalls { hour, ..HourlyCalls::default() })
    };
    (last - count + 1..=last).map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_accepted_refused_or_missed() {
        let call =
            |status, failed, missed| LoggedCall { at: HOUR_MS + 1, status, failed, missed, ..LoggedCall::default() };
        let counted = |status, failed, missed| {
            let HourlyCalls { hour: 1, accepted, refused, missed } =
                HourlyCalls::from_call(&call(status, failed, missed))
            else {
                panic!()
            };
            [accepted, refused, missed]
        };
        assert_eq!(counted(201, false, 0), [1, 0, 0]);
        assert_eq!(counted(404, false, 0), [1, 0, 0]);
        assert_eq!(counted(409, true, 0), [0, 1, 0]);
        assert_eq!(counted(401, false, 0), [0, 1, 0]);
        assert_eq!(counted(0, false, 7), [0, 0, 7]);
    }

    #[test]
    fn hours_without_calls_are_filled_in() {
        let found = [HourlyCalls { hour: 8, accepted: 2, ..HourlyCalls::default() }];
        let filled = fill_hours(&found, 10 * HOUR_MS + 5, 4);
        assert_eq!(
            filled.iter().map(|one| (one.hour, one.total())).collect::<Vec<_>>(),
            [(7, 0), (8, 2), (9, 0), (10, 0)]
        );
    }
}
