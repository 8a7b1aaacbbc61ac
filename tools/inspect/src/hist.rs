//! Percentiles of many numbers in little memory.
//!
//! Log-linear buckets: 64 per power of two, so an upper bound is at most 1/64 high. Idea:
//! G. Tene, HdrHistogram.

use std::collections::BTreeMap;

use crate::out::{Fields, Value};

/// Buckets per power of two, as a power of two.
const SUB_BITS: u32 = 6;

/// Counts of numbers.
#[derive(Debug, Default, Clone)]
pub(crate) struct Histogram {
    buckets: BTreeMap<u64, u64>,
    count: u64,
    sum: u128,
    min: Option<u64>,
    max: u64,
}

/// Largest number that falls into the same bucket.
fn ceiling(n: u64) -> u64 {
    let shift = (u64::BITS - n.leading_zeros()).saturating_sub(SUB_BITS + 1);
    n | ((1 << shift) - 1)
}

impl Histogram {
    pub(crate) fn add(&mut self, n: u64) {
        *self.buckets.entry(ceiling(n)).or_default() += 1;
        self.count += 1;
        self.sum += u128::from(n);
        self.min = Some(self.min.map_or(n, |m| m.min(n)));
        self.max = self.max.max(n);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Smallest bound that `percent` of the numbers do not exceed.
    pub(crate) fn percentile(&self, percent: f64) -> u64 {
        let rank = ((percent / 100.0 * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bound, n) in &self.buckets {
            seen += n;
            if seen >= rank {
                return (*bound).min(self.max);
            }
        }
        self.max
    }

    fn mean(&self) -> u64 {
        (self.sum / u128::from(self.count.max(1))) as u64
    }

    pub(crate) fn fields(&self) -> Fields {
        vec![
            ("count", self.count.into()),
            ("min", self.min.into()),
            ("mean", self.mean().into()),
            ("p50", self.percentile(50.0).into()),
            ("p90", self.percentile(90.0).into()),
            ("p99", self.percentile(99.0).into()),
            ("p999", self.percentile(99.9).into()),
            ("max", self.max.into()),
        ]
    }

    pub(crate) fn value(&self) -> Value {
        self.fields().into()
    }

    /// One row of a table for a person.
    pub(crate) fn row(&self, name: &str) -> String {
        format!(
            "{name:<24}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
            self.count,
            self.min.unwrap_or(0),
            self.mean(),
            self.percentile(50.0),
            self.percentile(90.0),
            self.percentile(99.0),
            self.max
        )
    }

    /// Heading of [`Histogram::row`].
    pub(crate) fn heading(name: &str) -> String {
        format!(
            "{name:<24}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "count", "min", "mean", "p50", "p90", "p99", "max"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_close() {
        for n in (0..200).chain([1 << 20, (1 << 20) + 77, u64::MAX - 3, u64::MAX]) {
            let c = ceiling(n);
            assert!(c >= n && c - n <= n / 64, "{n}: {c}");
        }
    }

    #[test]
    fn percentiles_of_a_row() {
        let mut h = Histogram::default();
        (1..=1000).for_each(|n| h.add(n));
        assert_eq!(h.percentile(50.0), 503);
        assert_eq!(h.percentile(99.0), 991);
        assert_eq!(h.percentile(100.0), 1000);
        assert_eq!((h.count(), h.mean()), (1000, 500));
        assert_eq!(Histogram::default().percentile(99.0), 0);
    }
}
