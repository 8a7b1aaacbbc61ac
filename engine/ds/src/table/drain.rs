//! Emptying a table: at once, or in bounded steps.

use std::mem;

use super::Table;
use super::segment::{Pos, STASH};
use crate::entry::Removed;

impl<V> Table<V> {
    /// Removes everything and frees all memory.
    pub fn clear(&mut self) {
        drop(self.take_all());
    }

    /// Moves the whole content out in O(1) and leaves an empty table with the same seed. Free what comes back with
    /// `drain_some` where a pause would hurt.
    #[must_use]
    pub fn take_all(&mut self) -> Table<V> {
        let seed = self.seed;
        mem::replace(self, Table::new(seed))
    }

    /// Takes out up to `n` entries and hands each to `f` (usually `drop`). Returns how many; fewer than `n` means that the
    /// table is empty. Work is bounded by `n` plus, per call, the segments that are empty already.
    pub fn drain_some(&mut self, n: usize, mut f: impl FnMut(Removed<V>)) -> usize {
        let want = n.min(self.len);
        let mut left = want;
        while left > 0 {
            if self.drain_at >= self.dir.len() {
                self.drain_at = 0;
            }
            let segment = self.dir[self.drain_at];
            // Taking may bring an entry home into the bucket at hand, never into one behind it, which is empty.
            let mut bucket = segment.buckets();
            while left > 0 && segment.header().count > 0 {
                let Some(pos) = segment.last_used(bucket) else { unreachable!("count is exact") };
                bucket = bucket.min(pos.bucket.saturating_add(1));
                let slot = self.take_slot(segment, pos);
                left -= 1;
                // SAFETY: the slot was the only owner of the block.
                f(unsafe { Removed::new(slot.blob()) });
            }
            if segment.header().count == 0 {
                self.drain_at = self.index_after(self.drain_at);
            }
        }
        want
    }
}

impl super::segment::Segment {
    /// The position of some entry, given that the buckets from `end` on are empty.
    fn last_used(self, end: usize) -> Option<Pos> {
        let stashed = self.header().stash.len();
        if stashed > 0 {
            return Some(Pos { bucket: STASH, slot: stashed - 1 });
        }
        (0..end).rev().find_map(|bucket| {
            let slot = self.bucket(bucket).used().last()?;
            Some(Pos { bucket, slot })
        })
    }
}

impl<V> Drop for Table<V> {
    fn drop(&mut self) {
        let mut index = 0;
        while index < self.dir.len() {
            let segment = self.dir[index];
            index = self.index_after(index);
            segment.for_each(|_, slot| {
                // SAFETY: the table owns each entry once and goes away.
                unsafe { slot.blob::<V>().free() }
            });
            // SAFETY: nobody uses the segment again.
            unsafe { segment.free() }
        }
    }
}
