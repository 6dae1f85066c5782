//! Addresses that used a valid credential recently. When connections are scarce, these addresses have a reserve.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::clock::Millis;

/// How long an address counts as recent after its last valid credential. Identity providers call at least every 40
/// minutes; admins return the next day.
pub(super) const RECENT_FOR: Millis = 24 * 60 * 60 * 1000;
/// Most addresses. Only callers with a valid credential add one.
const ADDRESSES_MAX: usize = 10_000;

/// A bounded table of addresses.
#[derive(Default)]
pub(super) struct RecentCredentials(HashMap<IpAddr, Millis>);

impl RecentCredentials {
    /// Records that a caller at this address used a valid credential.
    pub(super) fn record(&mut self, holder: IpAddr, now: Millis) {
        if self.0.len() >= ADDRESSES_MAX && !self.0.contains_key(&holder) {
            self.remove_oldest(now);
        }
        self.0.insert(holder, now);
    }

    /// Returns whether a caller at this address used a valid credential recently.
    pub(super) fn contains(&self, holder: IpAddr, now: Millis) -> bool {
        self.0.get(&holder).is_some_and(|at| now - at < RECENT_FOR)
    }

    /// Removes the entries that are too old, or else the oldest one.
    fn remove_oldest(&mut self, now: Millis) {
        self.0.retain(|_, at| now - *at < RECENT_FOR);
        if self.0.len() >= ADDRESSES_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, at)| **at).map(|(holder, _)| *holder)
        {
            self.0.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn the_table_is_bounded_and_loses_the_oldest_address() {
        let mut recent = RecentCredentials::default();
        for number in 0..10_500 {
            recent.record(address(number), Millis::from(number));
        }
        assert_eq!(recent.0.len(), ADDRESSES_MAX);
        assert!(!recent.contains(address(0), 10_500) && recent.contains(address(10_499), 10_500));
        assert!(!recent.contains(address(10_499), 10_500 + RECENT_FOR));
    }
}
