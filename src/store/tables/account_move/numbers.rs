//! Numbers of rows. Each instance counts its rows itself, so a row that moves gets another number. The numbers of a kind are
//! shifted range by range, which keeps their order.

use std::collections::BTreeMap;

use crate::named_enum::named_enum;

named_enum! {
    /// A kind of numbers: those of one table, and of the columns that refer to it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum NumberKind {
        /// Keys of accounts.
        Account = "account",
        /// Keys of configurations.
        Configuration = "configuration",
        /// Numbers of users and groups.
        Resource = "resource",
        /// Numbers of events.
        Event = "event",
        /// Keys of OAuth clients.
        Client = "client",
        /// Numbers of tombstones.
        Tombstone = "tombstone",
        /// Numbers of the memberships of tombstones.
        TombstoneSlice = "tombstone_slice",
        /// Keys of webhooks.
        Webhook = "webhook",
        /// Numbers of attempts to send.
        Attempt = "attempt",
        /// Numbers of entries of the request log.
        LoggedRequest = "request",
        /// Numbers of entries of the audit log.
        AuditEntry = "audit_entry",
        /// Numbers of requests about personal data.
        PersonalDataRequest = "personal_data_request",
        /// Numbers of the parts of their files.
        PersonalDataPart = "personal_data_part",
    }
}

/// A range of numbers of the other instance, and the number here of the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShiftedRange {
    /// First number of the other instance.
    pub first: i64,
    /// Its last number.
    pub last: i64,
    /// The number here of the first.
    pub new_first: i64,
}

/// The ranges of all kinds, in the order of the numbers of the other instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberMap(BTreeMap<NumberKind, Vec<ShiftedRange>>);

impl NumberMap {
    /// Adds a range. Ranges of a kind do not overlap.
    pub fn add(&mut self, kind: NumberKind, range: ShiftedRange) {
        let ranges = self.0.entry(kind).or_default();
        ranges.push(range);
        ranges.sort_by_key(|one| one.first);
    }

    /// The ranges of a kind.
    pub fn list_ranges(&self, kind: NumberKind) -> &[ShiftedRange] {
        self.0.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// Returns the number here of a row of the other instance, or `None` if it is in no range.
    pub fn find_number(&self, kind: NumberKind, number: i64) -> Option<i64> {
        let range = self.list_ranges(kind).iter().find(|range| (range.first..=range.last).contains(&number))?;
        Some(range.new_first + (number - range.first))
    }

    /// Returns the position here that has the same rows before it: the number of the last row up to `number`, or the number in front
    /// of the first range. `None` without ranges: then no row has a number.
    pub fn find_position(&self, kind: NumberKind, number: i64) -> Option<i64> {
        let ranges = self.list_ranges(kind);
        let before = ranges.iter().rfind(|range| range.first <= number);
        match before {
            Some(range) => Some(range.new_first + (number.min(range.last) - range.first)),
            None => ranges.iter().map(|range| range.new_first - 1).min(),
        }
    }

    /// Returns the ranges that are missing so that all numbers from `first` to `last` are in one, as first and last number.
    pub fn find_gaps(&self, kind: NumberKind, (first, last): (i64, i64)) -> Vec<(i64, i64)> {
        let ranges = self.list_ranges(kind);
        let (Some(lowest), Some(highest)) = (ranges.first(), ranges.last()) else { return vec![(first, last)] };
        let below = (first, last.min(lowest.first - 1));
        let above = (first.max(highest.last + 1), last);
        [below, above].into_iter().filter(|(first, last)| first <= last).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> NumberMap {
        let mut map = NumberMap::default();
        map.add(NumberKind::Event, ShiftedRange { first: 201, last: 300, new_first: 9_000 });
        map.add(NumberKind::Event, ShiftedRange { first: 100, last: 200, new_first: 5_000 });
        map
    }

    #[test]
    fn numbers_are_shifted_by_their_range() {
        let find = |number| map().find_number(NumberKind::Event, number);
        assert_eq!(
            [99, 100, 200, 201, 300, 301].map(find),
            [None, Some(5_000), Some(5_100), Some(9_000), Some(9_099), None]
        );
        assert_eq!(map().find_number(NumberKind::Resource, 100), None);
    }

    #[test]
    fn a_position_has_the_same_rows_before_it() {
        let find = |number| map().find_position(NumberKind::Event, number);
        assert_eq!(
            [0, 99, 100, 250, 300, 9_999].map(find),
            [Some(4_999), Some(4_999), Some(5_000), Some(9_049), Some(9_099), Some(9_099)]
        );
        assert_eq!(map().find_position(NumberKind::Resource, 5), None);
    }

    #[test]
    fn only_numbers_outside_the_ranges_need_a_new_one() {
        assert_eq!(map().find_gaps(NumberKind::Event, (100, 300)), []);
        assert_eq!(map().find_gaps(NumberKind::Event, (90, 310)), [(90, 99), (301, 310)]);
        assert_eq!(map().find_gaps(NumberKind::Resource, (7, 8)), [(7, 8)]);
    }
}
