//! How long something took, in buckets. Adding is two additions without a lock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds in microseconds, and as Prometheus writes them in seconds.
const BOUNDS: [(u64, &str); 12] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
];

/// Durations since the start.
#[derive(Debug, Default)]
pub struct Histogram {
    /// By bucket, each duration once; the last one holds what is above all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    /// Adds one.
    pub fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS.iter().position(|(bound, _)| micros <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Upper bound and how many are at or below it; the last is `+Inf`, which is all.
    pub fn cumulative(&self) -> Vec<(&'static str, u64)> {
        let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        let mut sum = 0;
        let mut add = |count: &AtomicU64| {
            sum += count.load(Ordering::Relaxed);
            sum
        };
        bounds.zip(self.buckets.iter().map(&mut add)).collect()
    }

    /// All of them together, in microseconds.
    pub fn micros(&self) -> u64 {
        self.micros.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let histogram = Histogram::default();
        for micros in [1, 500, 501, 3_000, 99_000_000] {
            histogram.add(Duration::from_micros(micros));
        }
        let seen = histogram.cumulative();
        assert_eq!(seen[..4], [("0.0005", 2), ("0.001", 3), ("0.0025", 3), ("0.005", 4)]);
        assert_eq!(seen.last(), Some(&("+Inf", 5)));
        assert_eq!(histogram.micros(), 99_004_002);
    }
}
