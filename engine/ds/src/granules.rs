//! The parts in which a walk takes a table that goes on changing: a fixed grid over hash order.
//!
//! One idea: hash order is the same however large the table is, so cutting it into `2^bits` parts of equal
//! length once, when the walk begins, gives parts that no growth, split or merge of the table can touch. Hashes are
//! even, so such a part (a granule) holds about the same number of bytes everywhere, and which are done
//! is a bit each.

use std::ops::Range;

/// log2 of the length of the 48-bit hash order.
const ORDER_BITS: u32 = 48;
/// Finest grid: 2^32 granules.
const BITS_MAX: u32 = 32;

/// A grid over hash order, and which of its granules are done.
pub struct Granules {
    shift: u32,
    bits: Vec<u64>,
    len: u64,
}

impl Granules {
    /// At least `wanted` granules, less than twice as many.
    pub fn new(wanted: usize) -> Granules {
        let bits = wanted.max(1).next_power_of_two().ilog2().min(BITS_MAX);
        let len = 1u64 << bits;
        let words = usize::try_from(len.div_ceil(64)).unwrap_or(usize::MAX);
        Granules { shift: ORDER_BITS - bits, bits: vec![0; words], len }
    }

    /// Their number.
    pub fn count(&self) -> u64 {
        self.len
    }

    /// The granule of a position.
    #[inline]
    pub fn of(&self, position: u64) -> u64 {
        position >> self.shift
    }

    /// The positions of these granules.
    pub fn positions(&self, granules: Range<u64>) -> Range<u64> {
        granules.start << self.shift..granules.end << self.shift
    }

    #[inline]
    fn place(granule: u64) -> (usize, u64) {
        ((granule / 64) as usize, 1 << (granule % 64))
    }

    /// Whether a granule is done.
    #[inline]
    pub fn is_done(&self, granule: u64) -> bool {
        let (word, bit) = Self::place(granule);
        self.bits[word] & bit != 0
    }

    /// A granule is done.
    pub fn set_done(&mut self, granule: u64) {
        let (word, bit) = Self::place(granule);
        self.bits[word] |= bit;
    }

    /// The first granule from `from` on that is not done; `len` if all are.
    pub fn next_open(&self, from: u64) -> u64 {
        let mut at = from;
        while at < self.len {
            let (word, _) = Self::place(at);
            let open = !self.bits[word] >> (at % 64);
            if open != 0 {
                return (at + u64::from(open.trailing_zeros())).min(self.len);
            }
            at = (at / 64 + 1) * 64;
        }
        self.len
    }

    /// Bytes it takes.
    pub fn mem_bytes(&self) -> usize {
        self.bits.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_grid_covers_hash_order() {
        for wanted in [0, 1, 2, 3, 64, 65, 1 << 20] {
            let grid = Granules::new(wanted);
            assert!(grid.count() >= wanted as u64 && grid.count() < 2 * (wanted as u64 + 1));
            assert_eq!(grid.positions(0..grid.count()), 0..crate::HASH48_END);
            assert_eq!(grid.of(crate::HASH48_END - 1), grid.count() - 1);
        }
    }

    proptest! {
        #[test]
        fn open_ones_are_found(done in prop::collection::btree_set(0u64..256, 0..256), from in 0u64..260) {
            let mut grid = Granules::new(256);
            done.iter().for_each(|g| grid.set_done(*g));
            let want = (from..256).find(|g| !done.contains(g)).unwrap_or(256);
            prop_assert_eq!(grid.next_open(from), want);
        }
    }
}
