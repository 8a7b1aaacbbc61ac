//! Growing and shrinking, one segment at a time.

use super::Table;
use super::bucket::SLOTS;
use super::edit::transfer;
use super::segment::{MAX_BUCKETS, MAX_DEPTH, Segment, buckets_for, next_size, window};
use crate::hash::hash;

/// Two neighbours of equal depth merge when together they would fill a full-grown segment by about half:
/// far from the next split.
const MERGE_MAX: usize = MAX_BUCKETS * SLOTS / 2;

/// Most entries that a segment is expected to get where room is made in advance: chance gives hardly any so many more
/// that it has to split.
const EXPECTED_MAX: usize = 680;

impl<V> Table<V> {
    /// Gives the segment more room: a larger one, or two. False if neither is possible; then the segment is unchanged.
    #[cold]
    pub(super) fn grow(&mut self, segment: Segment) -> bool {
        let buckets = segment.buckets();
        if buckets < MAX_BUCKETS {
            let want = buckets_for(segment.header().count as usize + 1);
            self.resize(segment, want.max(next_size(buckets)));
            return true;
        }
        self.split(segment)
    }

    /// Makes room for about `expected` entries at once, so that few segments grow on the way there. Entries that
    /// are there are moved, which is for the caller to keep small. Nothing happens if there are as many
    /// segments as that already.
    pub fn reserve(&mut self, expected: usize) {
        let mut bits = 0;
        while expected >> bits > EXPECTED_MAX && bits < MAX_DEPTH {
            bits += 1;
        }
        if bits <= self.bits {
            return;
        }
        let old = std::mem::take(&mut self.dir);
        let old_bits = std::mem::replace(&mut self.bits, bits);
        let buckets = buckets_for(expected >> bits);
        self.dir = (0..1u64 << bits)
            .map(|prefix| Segment::alloc(buckets, bits, prefix << (64 - bits)))
            .collect();
        let mut index = 0;
        while let Some(segment) = old.get(index).copied() {
            segment.for_each(|control, slot| {
                // SAFETY: the slot's entry lives; the borrow ends here.
                let entry = unsafe { slot.entry::<V>() };
                let hash = hash(self.seed, entry.key());
                let to = self.dir[self.dir_index(hash)];
                transfer::<V>(control, slot, to, segment.depth(), |_| hash);
                let header = to.header_mut();
                header.count += 1;
                if let Some(ms) = entry.expire_ms() {
                    header.ttl += 1;
                    header.min_expire = header.min_expire.min(ms);
                }
            });
            index += 1 << (old_bits - segment.depth());
            // SAFETY: its entries have moved, and no directory points to it.
            unsafe { segment.free() }
        }
        self.segments = self.dir.len();
        self.deepest = self.dir.len();
        self.segment_bytes = self.dir.iter().map(|s| s.mem_bytes()).sum();
    }

    /// Replaces the segment by one of another size.
    fn resize(&mut self, segment: Segment, buckets: usize) {
        let header = segment.header();
        let new = Segment::alloc(buckets, segment.depth(), header.prefix);
        segment.for_each(|control, slot| {
            transfer::<V>(control, slot, new, segment.depth(), |k| hash(self.seed, k));
        });
        let to = new.header_mut();
        (to.count, to.ttl, to.min_expire) = (header.count, header.ttl, header.min_expire);
        self.point(new);
        self.release(segment);
    }

    /// Lets the directory point to a segment throughout its range, and counts its memory.
    fn point(&mut self, segment: Segment) {
        let from = self.dir_index(segment.header().prefix);
        let places = 1usize << (self.bits - segment.depth());
        self.dir[from..from + places].fill(segment);
        self.segment_bytes += segment.mem_bytes();
    }

    fn release(&mut self, segment: Segment) {
        self.segment_bytes -= segment.mem_bytes();
        // SAFETY: the directory points to its successor now, and its entries have moved there.
        unsafe { segment.free() }
    }

    /// Splits a segment into the two halves of its range. Refused when the directory would grow out of proportion, which
    /// only hashes that agree in most bits can bring about; the stash then takes what does not fit.
    fn split(&mut self, segment: Segment) -> bool {
        let depth = segment.depth();
        if depth == MAX_DEPTH {
            return false;
        }
        if depth == self.bits {
            if self.dir.len() > 16 * self.segments {
                return false;
            }
            self.double_directory();
        }
        let header = segment.header();
        let bit = 1u64 << (63 - depth);
        // Which half an entry belongs to is the next hash bit, which the tag still holds.
        let upper = |tag: u16| tag >> (15 - (depth - window(depth))) & 1;
        let mut counts = [0usize; 2];
        segment.for_each(|_, slot| counts[usize::from(upper(slot.tag()))] += 1);
        let halves = [0, 1].map(|i| {
            let prefix = header.prefix | if i == 1 { bit } else { 0 };
            Segment::alloc(buckets_for(counts[i]), depth + 1, prefix)
        });
        segment.for_each(|control, slot| {
            let to = halves[usize::from(upper(slot.tag()))];
            transfer::<V>(control, slot, to, depth, |k| hash(self.seed, k));
            let header = to.header_mut();
            header.count += 1;
            header.ttl += u32::from(slot.has_ttl());
        });
        for half in halves {
            let to = half.header_mut();
            to.min_expire = if to.ttl == 0 { u64::MAX } else { header.min_expire };
            self.point(half);
        }
        self.release(segment);
        self.segments += 1;
        if depth + 1 == self.bits {
            self.deepest += 2;
        }
        true
    }

    fn double_directory(&mut self) {
        let mut dir = Vec::with_capacity(self.dir.len() * 2);
        for segment in &self.dir {
            dir.extend([*segment, *segment]);
        }
        self.dir = dir;
        self.bits += 1;
        self.deepest = 0;
    }

    fn halve_directory(&mut self) {
        self.dir = self.dir.iter().step_by(2).copied().collect();
        self.bits -= 1;
        let bits = self.bits;
        self.deepest = self.dir.iter().filter(|s| s.depth() == bits).count();
    }

    /// After a removal: makes a mostly empty segment smaller, or merges it with its neighbour.
    #[inline]
    pub(super) fn shrink(&mut self, segment: Segment) {
        let count = segment.header().count as usize;
        // A quarter of the slots: far enough from the four fifths a rebuilt segment is filled to at most.
        if count * 4 < segment.capacity() {
            self.shrink_now(segment, count);
        }
    }

    #[cold]
    fn shrink_now(&mut self, segment: Segment, count: usize) {
        // Reached once per halving of a segment, so the look at the neighbour is not paid on each removal.
        if segment.depth() > 0 && self.merge(segment, count) {
            return;
        }
        let buckets = buckets_for(count * 3 / 2);
        if buckets < segment.buckets() {
            self.resize(segment, buckets);
        }
    }

    fn merge(&mut self, segment: Segment, count: usize) -> bool {
        let depth = segment.depth();
        let prefix = segment.header().prefix;
        let bit = 1u64 << (64 - depth);
        let other = self.dir[self.dir_index(prefix ^ bit)];
        let sum = count + other.header().count as usize;
        if other.depth() != depth || sum > MERGE_MAX {
            return false;
        }
        let new = Segment::alloc(buckets_for(sum), depth - 1, prefix & !bit);
        for from in [segment, other] {
            from.for_each(|control, slot| {
                transfer::<V>(control, slot, new, depth, |k| hash(self.seed, k));
            });
            let (header, to) = (from.header(), new.header_mut());
            to.count += header.count;
            to.ttl += header.ttl;
            to.min_expire = to.min_expire.min(header.min_expire);
        }
        self.point(new);
        self.release(segment);
        self.release(other);
        self.segments -= 1;
        if depth == self.bits {
            self.deepest -= 2;
            if self.deepest == 0 {
                self.halve_directory();
            }
        } else if depth - 1 == self.bits {
            self.deepest += 1;
        }
        true
    }
}
