//! Which parts of the hash order the ranges of each database have covered.

use super::HASH_END;
use std::collections::BTreeMap;
use std::fmt;

/// A place in the hash order of a database that no range covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncovered {
    /// The database.
    pub db: u32,
    /// First position that is missing.
    pub position: u64,
}

impl fmt::Display for Uncovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database {} has no range at hash position {:#x}", self.db, self.position)
    }
}

/// Covered parts per database, neighbours joined: begin and end of each.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    dbs: BTreeMap<u32, BTreeMap<u64, u64>>,
}

impl Coverage {
    /// From now on the database must be covered.
    pub(super) fn select(&mut self, db: u32) {
        self.dbs.entry(db).or_default();
    }

    /// Adds `lo..hi`. False, and nothing is added, if a part of it is covered already.
    #[must_use]
    pub(super) fn add(&mut self, db: u32, lo: u64, hi: u64) -> bool {
        let parts = self.dbs.entry(db).or_default();
        let before = parts.range(..=lo).next_back().map(|(&l, &h)| (l, h));
        if before.is_some_and(|(_, end)| end > lo) || parts.range(lo..hi).next().is_some() {
            return false;
        }
        let hi = parts.remove(&hi).unwrap_or(hi);
        match before {
            Some((begin, end)) if end == lo => parts.insert(begin, hi),
            _ => parts.insert(lo, hi),
        };
        true
    }

    /// That every selected database is covered from end to end.
    pub(super) fn check(&self) -> Result<(), Uncovered> {
        for (&db, parts) in &self.dbs {
            let first = parts.iter().next().map_or((HASH_END, 0), |(&l, &h)| (l, h));
            let position = match first {
                (0, HASH_END) => continue,
                (0, end) => end,
                _ => 0,
            };
            return Err(Uncovered { db, position });
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
                    Some(at) => Err(Uncovered { db: 3, position: at as u64 }),
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
        assert_eq!(coverage.check(), Err(Uncovered { db: 7, position: 0 }));
        assert!(coverage.add(7, 0, HASH_END));
        assert_eq!(coverage.check(), Ok(()));
    }
}
