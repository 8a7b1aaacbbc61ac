//! Hash order: SCAN cursors, snapshot ranges, the expiry sweep.
//!
//! One idea: a cursor is a position in the 48-bit hash order. All entries of smaller positions have been
//! visited, whatever happened to the segments in between.

use std::ops::Range;

use super::Table;
use super::segment::Segment;
use crate::entry::Entry;

/// End of the 48-bit hash order.
pub const HASH48_END: u64 = 1 << 48;

impl<V> Table<V> {
    /// Position of a key in the 48-bit hash order.
    #[inline]
    #[must_use]
    pub fn hash48(&self, key: &[u8]) -> u64 {
        self.hash(key) >> 16
    }

    /// The segment at a position, and the bucket.
    fn at(&self, position: u64) -> Option<(Segment, usize)> {
        let hash = position << 16;
        let segment = self.segment_of(hash)?;
        Some((segment, segment.probe(hash).home))
    }

    fn segment_end(segment: Segment) -> u64 {
        segment.bucket_start(segment.buckets())
    }

    /// SCAN: visits about `count` entries from a cursor on (0 = from the start) and returns the next cursor (0 = done; always
    /// below 2^48). An entry that is in the table from the first call to the last is visited at least once, whatever is
    /// inserted and removed in between; without such changes exactly once. Visits whole buckets; empty ones are
    /// bounded at ten a requested entry, as in Redis. Cursors not handed out by `scan` are harmless.
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(&Entry<V>)) -> u64 {
        let mut position = cursor & (HASH48_END - 1);
        let (mut left, mut buckets) = (count.max(1), count.max(1).saturating_mul(10));
        while left > 0 && buckets > 0 {
            let Some((segment, first)) = self.at(position) else { return 0 };
            for bucket in first..segment.buckets() {
                if left == 0 || buckets == 0 {
                    break;
                }
                segment.for_home(bucket, |slot| {
                    // SAFETY: a live entry of this table, which is borrowed.
                    f(unsafe { slot.entry() });
                    left = left.saturating_sub(1);
                });
                buckets -= 1;
                position = segment.bucket_start(bucket + 1);
            }
            if position == HASH48_END {
                return 0;
            }
        }
        position
    }

    /// The range of hash order that the segment at `cursor` covers: a snapshot's unit of work. Ranges of one moment tile
    /// the order; after a split or a merge `cursor` may lie inside a range, then go on from `cursor`.
    #[must_use]
    pub fn segment_range(&self, cursor: u64) -> Range<u64> {
        match self.at(cursor.min(HASH48_END - 1)) {
            Some((segment, _)) => segment.bucket_start(0)..Self::segment_end(segment),
            None => 0..HASH48_END,
        }
    }

    /// Visits every entry whose position is in `range`, each once, bucket by bucket in hash order.
    pub fn for_range<'t>(&'t self, range: Range<u64>, mut f: impl FnMut(&'t Entry<V>)) {
        let (mut position, end) = (range.start, range.end.min(HASH48_END));
        while position < end {
            let Some((segment, bucket)) = self.at(position) else { return };
            let start = segment.bucket_start(bucket);
            let next = segment.bucket_start(bucket + 1);
            let whole = start >= range.start && next <= end;
            segment.for_home(bucket, |slot| {
                // SAFETY: a live entry of this table, which is borrowed.
                let entry = unsafe { slot.entry::<V>() };
                if whole || range.contains(&self.hash48(entry.key())) {
                    f(entry);
                }
            });
            position = next;
        }
    }

    /// Finds entries whose expiry is at or before `now_ms`, for the caller to delete: calls `f` with each key, at most `budget`
    /// units from `cursor` on (0 = start), and moves the cursor on (0 = went round). A segment with nothing due
    /// costs one unit, a few nanoseconds and no look at its entries; in the others each expiring entry costs one.
    /// Whole buckets are finished, so the budget may be exceeded by a few entries.
    pub fn reap_expired(
        &mut self,
        cursor: &mut u64,
        now_ms: u64,
        budget: usize,
        mut f: impl FnMut(&[u8]),
    ) {
        let mut left = budget;
        let mut position = *cursor & (HASH48_END - 1);
        while left > 0 {
            let Some((segment, first)) = self.at(position) else {
                position = 0;
                break;
            };
            left -= 1;
            let header = segment.header();
            if header.ttl == 0 || header.min_expire > now_ms {
                position = Self::segment_end(segment);
            } else {
                position = Self::reap_segment(segment, first, now_ms, &mut left, &mut f);
            }
            if position == HASH48_END {
                position = 0;
                break;
            }
        }
        *cursor = position;
    }

    fn reap_segment(
        segment: Segment,
        first: usize,
        now_ms: u64,
        left: &mut usize,
        f: &mut impl FnMut(&[u8]),
    ) -> u64 {
        let mut earliest = u64::MAX;
        for bucket in first..segment.buckets() {
            if *left == 0 {
                return segment.bucket_start(bucket);
            }
            segment.for_home(bucket, |slot| {
                if !slot.has_ttl() {
                    return;
                }
                *left = left.saturating_sub(1);
                // SAFETY: a live entry of this table, which is borrowed.
                let entry = unsafe { slot.entry::<V>() };
                let at = entry.expire_ms().unwrap_or(u64::MAX);
                earliest = earliest.min(at);
                if at <= now_ms {
                    f(entry.key());
                }
            });
        }
        if first == 0 {
            // All were seen, so the bound can be made exact. Due entries count as well: they may stay.
            segment.header_mut().min_expire = earliest;
        }
        Self::segment_end(segment)
    }
}
