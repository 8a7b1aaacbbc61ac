//! Which parts of the hash order the ranges of each database have covered.
//!
//! The one idea: ranges that follow each other join, and what is written ahead stands apart until the walk
//! comes by. Up to [`PARTS_MAX`] such parts are known one by one, so that an overlap is found where it
//! stands; beyond that a sum over the borders of all ranges says whether they cover the order once.
//!
//! Why the sum is enough: count a border up where a range begins and down where one ends. Every range goes
//! upwards, so all counts but those of the two ends of the order are zero exactly if the ranges are one
//! chain from the first position to the last. The sum weighs each border with 64 mixed bits of it.

use super::HASH_END;
use std::collections::BTreeMap;
use std::fmt;

/// Parts that are known one by one, of all databases together: about 3 MiB.
const PARTS_MAX: usize = 1 << 16;

/// A database whose hash order is not covered once from end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncovered {
    /// The database.
    pub db: u32,
    /// First position that is missing; `None` where there were too many ranges to know.
    pub position: Option<u64>,
}

impl fmt::Display for Uncovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(at) => write!(f, "database {} has no range at hash position {at:#x}", self.db),
            None => write!(f, "database {} has ranges with a gap or an overlap", self.db),
        }
    }
}

/// What is known of a database.
#[derive(Debug, Default)]
struct Covered {
    /// Begin and end of each part, neighbours joined.
    parts: BTreeMap<u64, u64>,
    /// Weights of all begins, less those of all ends.
    borders: u64,
}

/// Covered parts per database.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    dbs: BTreeMap<u32, Covered>,
    /// Parts of all databases.
    count: usize,
    /// There were too many parts: only the sums count.
    sums_only: bool,
}

/// 64 bits in which every bit of a position has a share (splitmix64).
fn weight(position: u64) -> u64 {
    let mut z = position.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Coverage {
    /// From now on the database must be covered.
    pub(super) fn select(&mut self, db: u32) {
        self.dbs.entry(db).or_default();
    }

    /// Adds `lo..hi`. False, and nothing is added, if a part of it is known to be covered already.
    #[must_use]
    pub(super) fn add(&mut self, db: u32, lo: u64, hi: u64) -> bool {
        let covered = self.dbs.entry(db).or_default();
        if !self.sums_only {
            let parts = &mut covered.parts;
            let before = parts.range(..=lo).next_back().map(|(&l, &h)| (l, h));
            if before.is_some_and(|(_, end)| end > lo) || parts.range(lo..hi).next().is_some() {
                return false;
            }
            let had = parts.len();
            let end = parts.remove(&hi).unwrap_or(hi);
            match before {
                Some((begin, at)) if at == lo => parts.insert(begin, end),
                _ => parts.insert(lo, end),
            };
            self.count = self.count + parts.len() - had;
        }
        covered.borders = covered.borders.wrapping_add(weight(lo)).wrapping_sub(weight(hi));
        if self.count > PARTS_MAX {
            self.count = 0;
            self.sums_only = true;
            self.dbs.values_mut().for_each(|covered| covered.parts = BTreeMap::new());
        }
        true
    }

    /// That every selected database is covered from end to end.
    pub(super) fn check(&self) -> Result<(), Uncovered> {
        for (&db, covered) in &self.dbs {
            if self.sums_only {
                if covered.borders != weight(0).wrapping_sub(weight(HASH_END)) {
                    return Err(Uncovered { db, position: None });
                }
                continue;
            }
            let first = covered.parts.iter().next().map_or((HASH_END, 0), |(&l, &h)| (l, h));
            let position = match first {
                (0, HASH_END) => continue,
                (0, end) => end,
                _ => 0,
            };
            return Err(Uncovered { db, position: Some(position) });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a plain array of 16 positions, the last of which stands for all the rest.
        #[test]
        fn as_marks_in_an_array(ranges in proptest::collection::vec((0u64..16, 1u64..6), 0..24)) {
            let scale = |p: u64| if p == 16 { HASH_END } else { p };
            let mut model = [false; 16];
            let mut coverage = Coverage::default();
            coverage.select(3);
            for (lo, len) in ranges {
                let hi = (lo + len).min(16);
                let marks = &mut model[lo as usize..hi as usize];
                let free = marks.iter().all(|m| !m);
                if free {
                    marks.fill(true);
                }
                prop_assert_eq!(coverage.add(3, lo, scale(hi)), free);
                let want = match model.iter().position(|m| !m) {
                    None => Ok(()),
                    Some(at) => Err(Uncovered { db: 3, position: Some(at as u64) }),
                };
                prop_assert_eq!(coverage.check(), want);
            }
        }
    }

    #[test]
    fn a_selected_database_must_be_covered() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.check(), Ok(()));
        coverage.select(7);
        assert_eq!(coverage.check(), Err(Uncovered { db: 7, position: Some(0) }));
        assert!(coverage.add(7, 0, HASH_END));
        assert_eq!(coverage.check(), Ok(()));
    }

    /// Every second range ahead of the walk, as a shard does whose keys all change: more parts than are
    /// known one by one.
    fn scattered(ranges: u64, twice: Option<u64>, left_out: Option<u64>) -> Coverage {
        let step = HASH_END / ranges;
        let mut coverage = Coverage::default();
        coverage.select(1);
        coverage.select(2);
        assert!(coverage.add(2, 0, HASH_END));
        for first in [1, 0] {
            for n in (first..ranges).step_by(2) {
                let hi = if n + 1 == ranges { HASH_END } else { (n + 1) * step };
                for _ in 0..1 + u8::from(twice == Some(n)) - u8::from(left_out == Some(n)) {
                    assert!(coverage.add(1, n * step, hi));
                }
            }
        }
        coverage
    }

    #[test]
    fn many_ranges_take_no_memory_and_are_checked_all_the_same() {
        let ranges = 4 * PARTS_MAX as u64;
        let covered = scattered(ranges, None, None);
        assert!(covered.sums_only && covered.dbs.values().all(|c| c.parts.is_empty()));
        assert_eq!(covered.check(), Ok(()));
        let last = ranges - 2;
        for broken in [
            scattered(ranges, Some(last), None),
            scattered(ranges, None, Some(last)),
            scattered(ranges, Some(0), Some(last)),
            scattered(ranges, None, Some(1)),
        ] {
            assert_eq!(broken.check(), Err(Uncovered { db: 1, position: None }));
        }
    }
}
