//! The segmented hash table: keyspace, large hashes and sets, member dictionary of sorted sets.
//!
//! One idea: extendible hashing in hash order. The top bits of a key's hash pick a segment through a directory, the next
//! bits a bucket in it. A segment that is full grows by a quarter at a time up to 8 KiB and then splits in two, so no
//! insert ever moves more than one segment's pointers, and entries themselves never move. Because position is
//! hash order at every size, a position in hash order is a SCAN cursor and a snapshot cursor that survives
//! growth and shrinking.
//!
//! Invariants (`check` in the tests walks them):
//! - The directory has `2^bits` pointers; a segment of depth `d` fills the `2^(bits - d)` places whose
//!   index starts with its prefix. A table that never held anything has no directory.
//! - `len`, `expires`, `mem_bytes` equal the sums over the segments; a segment's `min_expire` is a lower bound.
//! - The 48-bit hash order is the top 48 bits of the hash. A bucket's range begins and ends on whole positions.
//! - An entry's address changes only by a change to that entry.
#![allow(unsafe_code)]

mod bucket;
mod drain;
mod edit;
mod entry_mut;
mod order;
mod resize;
mod segment;
#[cfg(test)]
mod tests;
mod vacant;
mod walk;

pub use entry_mut::{BytesMut, EntryMut};
pub use order::HASH48_END;
pub use vacant::{Lookup, VacantEntry};
pub use walk::Iter;

use std::marker::PhantomData;

use crate::entry::{Entry, NewValue, Removed};
use crate::hash::{HashSeed, hash};
use crate::sizeclass::round_up;
use bucket::Slot;
use segment::{Pos, Segment};

/// A hash table from byte strings to values: integers, byte strings, or objects of type `V`.
///
/// Single-threaded. Lookups touch one line of buckets and one entry; inserts and removals do a bounded amount of
/// work (at most one segment of about 800 pointers is rebuilt).
pub struct Table<V> {
    seed: HashSeed,
    dir: Vec<Segment>,
    bits: u32,
    len: usize,
    expires: usize,
    segments: usize,
    /// Segments whose depth equals `bits`: when none is left the directory halves.
    deepest: usize,
    segment_bytes: usize,
    entry_bytes: usize,
    /// Directory index where `drain_some` goes on.
    drain_at: usize,
    _owns: PhantomData<V>,
}

// SAFETY: the table owns its segments and entries alone (an EntryPtr is used by its holder's promise only), so
// moving it to another thread moves all of it.
unsafe impl<V: Send> Send for Table<V> {}

/// What a place in a table costs, the entry not counted: a pointer and a control byte.
pub const SLOT_BYTES: usize = 9;

impl<V> Table<V> {
    /// An empty table; allocates nothing before the first insert.
    #[must_use]
    pub fn new(seed: HashSeed) -> Self {
        Table {
            seed,
            dir: Vec::new(),
            bits: 0,
            len: 0,
            expires: 0,
            segments: 0,
            deepest: 0,
            segment_bytes: 0,
            entry_bytes: 0,
            drain_at: 0,
            _owns: PhantomData,
        }
    }

    /// Entries.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Entries that have an expiry.
    #[inline]
    #[must_use]
    pub fn expires(&self) -> usize {
        self.expires
    }

    /// The seed given to `new`.
    #[must_use]
    pub fn seed(&self) -> HashSeed {
        self.seed
    }

    /// Bytes of directory, segments, entries and their heap buffers, as size classes of the allocator. What objects
    /// own beyond their own size is the owner's to add. O(1).
    #[inline]
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        self.overhead_bytes() + self.entry_bytes
    }

    /// The part of `mem_bytes` that is not entries: directory and segments.
    #[inline]
    #[must_use]
    pub fn overhead_bytes(&self) -> usize {
        round_up(self.dir.capacity() * size_of::<Segment>()) + self.segment_bytes
    }

    /// Hash of a key in this table: what `get_hashed` takes.
    #[inline]
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> u64 {
        hash(self.seed, key)
    }

    #[inline]
    fn dir_index(&self, hash: u64) -> usize {
        // Two shifts, for a directory of one has 0 bits and a shift by 64 is not defined.
        (hash >> 1 >> (63 - self.bits)) as usize
    }

    #[inline]
    fn segment_of(&self, hash: u64) -> Option<Segment> {
        self.dir.get(self.dir_index(hash)).copied()
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<(Segment, Pos, Slot)> {
        let segment = self.segment_of(hash)?;
        let found = segment.find(segment.probe(hash), |slot| {
            // SAFETY: slots of this table's segments point to live entries; the borrow ends here.
            unsafe { slot.entry::<V>() }.key_is(key)
        });
        found.map(|(pos, slot)| (segment, pos, slot))
    }

    /// The entry of a key.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&Entry<V>> {
        self.get_hashed(self.hash(key), key)
    }

    /// `get` for a key whose hash is known (`hash == self.hash(key)`).
    #[inline]
    #[must_use]
    pub fn get_hashed(&self, hash: u64, key: &[u8]) -> Option<&Entry<V>> {
        let (_, _, slot) = self.find(hash, key)?;
        // SAFETY: the entry lives and is not changed while self is borrowed (access aside, which is a Cell).
        Some(unsafe { slot.entry() })
    }

    /// Whether there is an entry of this key.
    #[inline]
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// The entry of a key, to be changed.
    #[inline]
    pub fn get_mut(&mut self, key: &[u8]) -> Option<EntryMut<'_, V>> {
        let (segment, pos, slot) = self.find(self.hash(key), key)?;
        Some(EntryMut::new(self, segment, pos, slot))
    }

    /// The entry of a key or the place for it: one probe for "get or create".
    #[inline]
    pub fn lookup<'t, 'k>(&'t mut self, key: &'k [u8]) -> Lookup<'t, 'k, V> {
        let hash = self.hash(key);
        match self.find(hash, key) {
            Some((segment, pos, slot)) => Lookup::Found(EntryMut::new(self, segment, pos, slot)),
            None => Lookup::Vacant(VacantEntry::new(self, key, hash)),
        }
    }

    /// The entry of a key, created with `value()` if there was none; and whether there was one.
    #[inline]
    pub fn get_or_insert_with<'v>(
        &mut self,
        key: &[u8],
        value: impl FnOnce() -> NewValue<'v, V>,
    ) -> (EntryMut<'_, V>, bool)
    where
        V: 'v,
    {
        match self.lookup(key) {
            Lookup::Found(e) => (e, true),
            Lookup::Vacant(v) => (v.insert(value()), false),
        }
    }

    /// Sets the value of a key. Of an entry that was there nothing is kept: expiry, access and user bits are cleared
    /// and the old value dropped.
    ///
    /// # Panics
    /// If the key is longer than 4 GiB - 8 KiB.
    #[inline]
    pub fn insert(&mut self, key: &[u8], value: NewValue<'_, V>) -> EntryMut<'_, V> {
        match self.lookup(key) {
            Lookup::Vacant(v) => v.insert(value),
            Lookup::Found(mut e) => {
                e.reset(value);
                e
            }
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &[u8]) -> Option<Removed<V>> {
        let (segment, pos, _) = self.find(self.hash(key), key)?;
        Some(self.take(segment, pos))
    }

    /// Fetches the bucket line of a key into the cache ahead of a lookup, and returns its hash. For a batch: prefetch all,
    /// then `prefetch_entry` all, then look up.
    #[inline]
    pub fn prefetch(&self, key: &[u8]) -> u64 {
        let hash = self.hash(key);
        if let Some(segment) = self.segment_of(hash) {
            prefetch_line(segment.bucket_address(segment.probe(hash).home));
        }
        hash
    }

    /// Second step of `prefetch`: reads the bucket line and fetches the entry that the key probably has, two lines of it:
    /// a key and a value of 64 bytes fill more than one.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        if let Some(segment) = self.segment_of(hash)
            && let Some((_, slot)) = segment.find(segment.probe(hash), |_| true)
        {
            prefetch_line(slot.address());
            prefetch_line(slot.address().wrapping_add(64));
        }
    }
}

#[inline(always)]
fn prefetch_line(at: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch touches no memory as far as the program can see, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nostack, readonly, preserves_flags));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = at;
}
