//! How far the replica is behind: the time since the oldest commit that is not known to be in it.

use std::time::{Duration, Instant};

/// Compares the commits of the server with those that the replica has. Both are counted from the start of the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct LagClock {
    /// Commits that were seen.
    seen: u64,
    /// Commits that are in the replica.
    confirmed: u64,
    /// Since when there are commits that are not. `None` if there are none.
    incomplete_since: Option<Instant>,
}

impl LagClock {
    /// Records that the server has made so many commits.
    pub fn observe_commits(&mut self, commits: u64, now: Instant) {
        self.seen = self.seen.max(commits);
        if self.seen > self.confirmed && self.incomplete_since.is_none() {
            self.incomplete_since = Some(now);
        }
    }

    /// Records that the first `commits` are in the replica. `asked` is when they were counted: all later ones are younger.
    pub fn confirm_commits(&mut self, commits: u64, asked: Instant) {
        self.confirmed = self.confirmed.max(commits);
        if self.seen <= self.confirmed {
            self.incomplete_since = None;
        } else if self.incomplete_since.is_some_and(|since| since < asked) {
            self.incomplete_since = Some(asked);
        }
    }

    /// Whether a commit is not known to be in the replica.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete_since.is_some()
    }

    /// Age of the oldest commit that is not known to be in the replica; zero if there is none.
    pub fn read_lag(&self, now: Instant) -> Duration {
        self.incomplete_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_lag_is_the_age_of_the_oldest_commit_that_is_not_confirmed() {
        let start = Instant::now();
        let at = |seconds: u32| start + SECOND * seconds;
        let mut lag = LagClock::default();
        lag.observe_commits(0, at(0));
        assert_eq!(lag.read_lag(at(100)), Duration::ZERO);
        lag.observe_commits(1, at(100));
        lag.observe_commits(5, at(103));
        assert_eq!(lag.read_lag(at(110)), SECOND * 10);
        // Five are counted at 110, and two are added while the call runs.
        lag.observe_commits(7, at(111));
        lag.confirm_commits(5, at(110));
        assert_eq!(lag.read_lag(at(112)), SECOND * 2);
        lag.confirm_commits(7, at(112));
        assert!(!lag.is_incomplete());
        assert_eq!(lag.read_lag(at(500)), Duration::ZERO);
    }

    #[test]
    fn a_late_confirmation_of_less_changes_nothing() {
        let start = Instant::now();
        let mut lag = LagClock::default();
        lag.observe_commits(9, start);
        lag.confirm_commits(9, start);
        lag.confirm_commits(4, start);
        assert!(!lag.is_incomplete());
        lag.observe_commits(9, start + SECOND);
        assert!(!lag.is_incomplete());
    }
}
