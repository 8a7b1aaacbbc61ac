//! Putting entries in and taking them out, with all counts.

use super::bucket::{SLOTS, Slot};
use super::segment::{Pos, Probe, Segment, buckets_for, control_of, tag_of, window};
use super::{EntryMut, Table};
use crate::entry::{Blob, Removed};

/// Entries up to which a segment of this many buckets is filled before it grows. A segment within the reach of
/// one probe sequence can be filled to the last slot; a larger one would put too many entries far from home.
fn fill_limit(buckets: usize) -> usize {
    let slots = buckets * SLOTS;
    if buckets <= 2 { slots } else { slots * 29 / 32 }
}

impl<V> Table<V> {
    /// Inserts a block whose key is not in the table, and counts it.
    pub(super) fn insert_blob(&mut self, hash: u64, blob: Blob<V>) -> EntryMut<'_, V> {
        let (segment, pos) = self.insert_slot(hash, blob);
        self.len += 1;
        self.entry_bytes += blob.mem_bytes();
        segment.header_mut().count += 1;
        if let Some(ms) = blob.expire_ms() {
            self.count_expire(segment, ms);
        }
        let slot = segment.slot(pos);
        EntryMut::new(self, segment, pos, slot)
    }

    fn insert_slot(&mut self, hash: u64, blob: Blob<V>) -> (Segment, Pos) {
        if self.dir.is_empty() {
            self.add_first_segment();
        }
        loop {
            let index = self.dir_index(hash);
            let segment = self.dir[index];
            let (count, probe) = (segment.header().count as usize, segment.probe(hash));
            let slot = || Slot::new(blob, probe.tag);
            if count < fill_limit(segment.buckets()) {
                if let Some(pos) = segment.place(probe, slot()) {
                    return (segment, pos);
                }
                // Crowded around one home in a segment with room elsewhere: a matter of chance, not of size.
                if count < segment.capacity() * 5 / 8 {
                    return (segment, self.stash(segment, probe, slot()));
                }
            }
            if !self.grow(segment) {
                let pos = segment.place(probe, slot());
                return (segment, pos.unwrap_or_else(|| self.stash(segment, probe, slot())));
            }
        }
    }

    fn stash(&mut self, segment: Segment, probe: Probe, slot: Slot) -> Pos {
        let before = segment.mem_bytes();
        let pos = segment.place_stashed(probe, slot);
        self.segment_bytes += segment.mem_bytes() - before;
        pos
    }

    pub(super) fn count_expire(&mut self, segment: Segment, ms: u64) {
        self.expires += 1;
        let header = segment.header_mut();
        header.ttl += 1;
        header.min_expire = header.min_expire.min(ms);
    }

    pub(super) fn uncount_expire(&mut self, segment: Segment) {
        self.expires -= 1;
        let header = segment.header_mut();
        header.ttl -= 1;
        if header.ttl == 0 {
            header.min_expire = u64::MAX;
        }
    }

    /// Takes the entry at a position out, and shrinks the segment if that leaves it mostly empty.
    pub(super) fn take(&mut self, segment: Segment, pos: Pos) -> Removed<V> {
        let slot = self.take_slot(segment, pos);
        self.shrink(segment);
        // SAFETY: the slot was the only owner of the block.
        unsafe { Removed::new(slot.blob()) }
    }

    /// `take` without shrinking.
    pub(super) fn take_slot(&mut self, segment: Segment, pos: Pos) -> Slot {
        let slot = segment.take(pos);
        // SAFETY: the entry lives until the caller frees it.
        let blob = unsafe { slot.blob::<V>() };
        self.len -= 1;
        self.entry_bytes -= blob.mem_bytes();
        segment.header_mut().count -= 1;
        if slot.has_ttl() {
            self.uncount_expire(segment);
        }
        slot
    }

    /// Puts an entry that was taken out of a table in, under `key`: value (not copied), expiry, access and user bits as
    /// they were. An entry of that key is dropped. RENAME and MOVE are `remove` and this.
    ///
    /// # Panics
    /// If the key is longer than 4 GiB - 8 KiB.
    pub fn insert_removed(&mut self, key: &[u8], removed: Removed<V>) -> EntryMut<'_, V> {
        drop(self.remove(key));
        let mut blob = removed.into_blob();
        if blob.key() != key {
            // SAFETY: the block is ours alone since into_blob; the old address is forgotten.
            blob = unsafe { blob.rebuild(Some(key), blob.has_ttl()) };
        }
        self.insert_blob(self.hash(key), blob)
    }
}

/// Moves a slot into another segment or a rebuilt one; `hash` is read only if the tag's window moved.
pub(super) fn transfer<V>(
    control: u8,
    slot: Slot,
    to: Segment,
    from_depth: u32,
    hash: impl FnOnce(&[u8]) -> u64,
) {
    let same = window(from_depth) == window(to.depth());
    let slot = if same {
        slot
    } else {
        // SAFETY: the slot's entry lives; the borrow ends here.
        let hash = hash(unsafe { slot.entry::<V>() }.key());
        debug_assert_eq!(control, control_of(hash));
        slot.retagged(tag_of(hash, to.depth()))
    };
    let probe = to.probe_slot(control, slot);
    if to.place(probe, slot).is_none() {
        to.place_stashed(probe, slot);
    }
}

impl<V> Table<V> {
    fn add_first_segment(&mut self) {
        let segment = Segment::alloc(buckets_for(0), 0, 0);
        self.segment_bytes += segment.mem_bytes();
        self.segments = 1;
        self.bits = 0;
        self.deepest = 1;
        self.dir = vec![segment];
    }
}
