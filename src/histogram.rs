//! A lock-free histogram: each observation costs two atomic additions.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts observations in buckets with fixed upper bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// The counts of a histogram at one point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Upper bounds of all buckets except the last, which has none.
    pub bounds: &'static [u64],
    /// Observations per bucket, not cumulative; one more than there are bounds.
    pub counts: Vec<u64>,
    /// Sum of all observations, in the unit of the bounds.
    pub sum: u64,
}

impl Histogram {
    /// Creates an empty histogram with those upper bounds, in ascending order.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts one observation, in the unit of the bounds.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Returns the current counts.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        HistogramSnapshot { bounds: self.bounds, counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

impl HistogramSnapshot {
    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let histogram = Histogram::new(&[10, 100]);
        for value in [0, 10, 11, 100, 101, u64::from(u32::MAX)] {
            histogram.observe(value);
        }
        let spread = histogram.snapshot();
        assert_eq!(spread.counts, [2, 2, 2]);
        assert_eq!((spread.count(), spread.sum), (6, 222 + u64::from(u32::MAX)));
    }
}
