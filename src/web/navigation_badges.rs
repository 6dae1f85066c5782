//! Numbers next to entries of the navigation of the portal.

use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;

/// Age after which badges are not shown any more.
const BADGES_AGE_MAX: Millis = 60 * 60 * 1000;

/// Numbers next to entries of the navigation, for admins without a limit to one account. The home page counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NavigationBadges {
    /// Connections that fail or are held.
    pub(crate) failing: usize,
    /// Findings about the server.
    pub(crate) findings: usize,
}

/// The latest badges and when they were counted.
#[derive(Debug, Default)]
pub(crate) struct BadgeCache(Mutex<Option<(Millis, NavigationBadges)>>);

impl BadgeCache {
    /// The badges, unless they were counted more than [`BADGES_AGE_MAX`] ago.
    pub(crate) fn get(&self, now: Millis) -> NavigationBadges {
        let cached = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached
            .filter(|(at, _)| (0..=BADGES_AGE_MAX).contains(&(now - at)))
            .map(|(_, badges)| badges)
            .unwrap_or_default()
    }

    pub(crate) fn set(&self, now: Millis, badges: NavigationBadges) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, badges));
    }
}
