//! The arithmetic of the lease: when a holder must stop, and when another server may take it. Pure: each time is an argument, and is
//! the time since any fixed point on the clock of one machine, which counts the time in which the machine was suspended.

use std::time::Duration;

/// The times of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// How long the lease is valid after it was written.
    pub ttl: Duration,
    /// How often the holder writes it.
    pub renew_every: Duration,
    /// How long in front of its end the holder stops accepting writes. It covers clocks that run at different speeds.
    pub margin: Duration,
}

impl LeaseTerms {
    /// 10 s, written every 3 s, and no writes after 8 s.
    pub const DEFAULT: Self =
        Self { ttl: Duration::from_secs(10), renew_every: Duration::from_secs(3), margin: Duration::from_secs(2) };
}

/// The holder's side: until when it may accept writes.
#[derive(Debug, Clone, Copy)]
pub struct LeaseClock {
    terms: LeaseTerms,
    /// The time in front of the last request that wrote the lease with success.
    asked_at: Option<Duration>,
}

impl LeaseClock {
    /// A holder that has not written the lease yet.
    pub fn new(terms: LeaseTerms) -> Self {
        Self { terms, asked_at: None }
    }

    /// Records that the lease was written. `asked_at` is the time in front of the request: the storage cannot have written it
    /// earlier. Returns until when writes are accepted.
    pub fn record_success(&mut self, asked_at: Duration) -> Duration {
        // The answer of an older request can arrive late.
        self.asked_at = Some(self.asked_at.map_or(asked_at, |last| last.max(asked_at)));
        self.write_end().unwrap_or_default()
    }

    /// Until when writes are accepted. `None` if the lease was not written yet.
    pub fn write_end(&self) -> Option<Duration> {
        self.asked_at.map(|asked| asked + self.terms.ttl.saturating_sub(self.terms.margin))
    }

    /// Whether a write may be accepted.
    pub fn may_write(&self, now: Duration) -> bool {
        self.write_end().is_some_and(|end| now < end)
    }
}

/// The other side: a server that waits for the end of a lease.
#[derive(Debug, Clone, Default)]
pub struct LeaseObserver {
    /// The content, by its tag, and since when it is known.
    seen: Option<(String, Duration)>,
}

impl LeaseObserver {
    /// Records a look at the lease. `received_at` is the time after the answer: the lease was written before.
    pub fn record_look(&mut self, tag: &str, received_at: Duration) {
        if self.seen.as_ref().is_none_or(|(seen, _)| seen != tag) {
            self.seen = Some((tag.to_owned(), received_at));
        }
    }

    /// How long it takes until the lease with this content has ended. Zero if it has.
    pub fn read_left(&self, tag: &str, ttl: Duration, now: Duration) -> Duration {
        match &self.seen {
            Some((seen, since)) if seen == tag => (*since + ttl).saturating_sub(now),
            _ => ttl,
        }
    }
}

#[cfg(test)]
mod tests;
