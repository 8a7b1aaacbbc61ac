//! Walking all entries, and picking one at random.

use std::iter::FusedIterator;

use super::Table;
use super::bucket::{SLOTS, Slot};
use super::segment::Segment;
use crate::entry::Entry;

/// Iterator over all entries, in storage order.
pub struct Iter<'t, V> {
    table: &'t Table<V>,
    /// Directory index of the segment after the current one.
    next_index: usize,
    segment: Option<Segment>,
    /// Slot number in the segment; from `capacity` on an index into the stash.
    at: usize,
    left: usize,
}

impl<V> Table<V> {
    /// All entries, in storage order (about hash order).
    #[must_use]
    pub fn iter(&self) -> Iter<'_, V> {
        Iter { table: self, next_index: 0, segment: None, at: 0, left: self.len }
    }

    /// The directory index behind the segment at `index`.
    pub(super) fn index_after(&self, index: usize) -> usize {
        index + (1 << (self.bits - self.dir[index].depth()))
    }

    /// A random entry, near-uniformly: `r` must be random in all 64 bits. `None` if the table is empty.
    ///
    /// A segment is picked by its share of hash order and kept with a probability that evens out how far its count is off,
    /// then a slot of it. Chances differ by the rare segment that holds a quarter more than its share.
    #[must_use]
    pub fn random(&self, r: u64) -> Option<&Entry<V>> {
        if self.len == 0 {
            return None;
        }
        let mut rng = Mix(r);
        let mut segment = self.dir[0];
        for _ in 0..64 {
            segment = self.dir[rng.below(self.dir.len())];
            let share = (u128::from(segment.header().count) << segment.depth()) * 4;
            let bar = self.len as u128 * 5;
            if share >= bar || u128::from(rng.next()) * bar < share << 64 {
                break;
            }
        }
        let slot = Self::random_slot(segment, &mut rng).or_else(|| self.any_slot(&mut rng))?;
        // SAFETY: a live entry of this table, which is borrowed.
        Some(unsafe { slot.entry() })
    }

    /// A random entry among those that expire, for eviction of volatile keys; roughly uniform (of a run of entries without
    /// expiry the next that has one inherits the chance). Reads no entry but the one returned. Where almost none expires
    /// it may look at every segment's header.
    #[must_use]
    pub fn random_expiring(&self, r: u64) -> Option<&Entry<V>> {
        if self.expires == 0 {
            return None;
        }
        let mut rng = Mix(r);
        let tries: [usize; 8] = std::array::from_fn(|_| rng.below(self.dir.len()));
        let last = tries[7];
        let rest = (last + 1..self.dir.len()).chain(0..last);
        let index = tries.into_iter().chain(rest).find(|i| self.dir[*i].header().ttl > 0)?;
        let segment = self.dir[index];
        let slots = slot_count(segment);
        let from = rng.below(slots);
        let slot = (0..slots)
            .find_map(|i| slot_at(segment, (from + i) % slots).filter(|slot| slot.has_ttl()))?;
        // SAFETY: a live entry of this table, which is borrowed.
        Some(unsafe { slot.entry() })
    }

    /// A random slot of a segment: tries at random, for segments are kept at least a quarter full, then the next one in use.
    fn random_slot(segment: Segment, rng: &mut Mix) -> Option<Slot> {
        let slots = slot_count(segment);
        for _ in 0..32 {
            let slot = slot_at(segment, rng.below(slots));
            if slot.is_some() {
                return slot;
            }
        }
        let from = rng.below(slots);
        (0..slots).find_map(|i| slot_at(segment, (from + i) % slots))
    }

    /// For an unlucky pick of an empty segment: the first entry from a random segment on.
    fn any_slot(&self, rng: &mut Mix) -> Option<Slot> {
        let from = rng.below(self.dir.len());
        (0..self.dir.len())
            .find_map(|i| Self::random_slot(self.dir[(from + i) % self.dir.len()], rng))
    }
}

fn slot_count(segment: Segment) -> usize {
    segment.capacity() + segment.header().stash.len()
}

/// The slot of that number, if in use.
fn slot_at(segment: Segment, at: usize) -> Option<Slot> {
    if at >= segment.capacity() {
        return segment.header().stash.get(at - segment.capacity()).map(|(s, _)| *s);
    }
    segment.bucket(at / SLOTS).get(at % SLOTS)
}

/// Splitmix64: turns one random word into as many as a pick needs.
struct Mix(u64);

impl Mix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

impl<'t, V> Iterator for Iter<'t, V> {
    type Item = &'t Entry<V>;

    fn next(&mut self) -> Option<&'t Entry<V>> {
        loop {
            let segment = match self.segment {
                Some(s) if self.at < slot_count(s) => s,
                _ => {
                    let next = *self.table.dir.get(self.next_index)?;
                    self.next_index = self.table.index_after(self.next_index);
                    self.at = 0;
                    *self.segment.insert(next)
                }
            };
            while self.at < slot_count(segment) {
                let slot = slot_at(segment, self.at);
                self.at += 1;
                if let Some(slot) = slot {
                    self.left -= 1;
                    // SAFETY: a live entry of the table, which is borrowed for 't.
                    return Some(unsafe { slot.entry() });
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<V> ExactSizeIterator for Iter<'_, V> {}
impl<V> FusedIterator for Iter<'_, V> {}

impl<'t, V> IntoIterator for &'t Table<V> {
    type Item = &'t Entry<V>;
    type IntoIter = Iter<'t, V>;

    fn into_iter(self) -> Iter<'t, V> {
        self.iter()
    }
}
