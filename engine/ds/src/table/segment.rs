//! A segment: the buckets of one range of hash order, in one allocation.
//!
//! ```text
//! line 0       header: counts, earliest expiry, first hash of the range, stash
//! line 1..     buckets of 64 bytes, in hash order:
//!              7 control bytes (0 = free, else the hash's low byte), 1 overflow byte, 7 slots of 8 bytes
//! slot         bits 0     the entry has an expiry
//!              bits 4-47  address of the entry (16-byte aligned)
//!              bits 48-63 tag: 16 bits of the hash, from bit `window(depth)` down from the top
//! ```
//!
//! One idea: a lookup touches one line of buckets and one entry. The tag and the control byte together tell
//! entries apart so well that a foreign entry is practically never read, and the tag alone says where an
//! entry belongs, so growing, scanning and deleting read no entry at all.
//!
//! Invariants:
//! - An entry lies in its home bucket, in one of the next 7 (cyclic; overflow bit `d - 1` of the *home* bucket
//!   is set while an entry lies at distance `d`), or in the stash (overflow bit 7). The bits are exact.
//! - The home bucket follows from tag, depth and number of buckets, in hash order: bucket `b` of the segment holds
//!   the hashes from `bucket_start(b)` to `bucket_start(b + 1)`.
//! - `Segment` is the address of a live segment. Only the directory keeps one across calls.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::bucket::{Bucket, SLOTS, Slot};
use crate::sizeclass::round_up;

/// Buckets of a full-grown segment: with the header 8 KiB.
pub(super) const MAX_BUCKETS: usize = 127;
/// How far from home an entry may lie.
const REACH: usize = 7;
/// How far from home a free place is looked for.
const HOP_SEARCH: usize = 64;
const STASH_BIT: u64 = 1 << 63;
/// Deepest split; bucket borders then still fall on whole positions of the 48-bit hash order.
pub(super) const MAX_DEPTH: u32 = 32;
/// Position of an entry in the stash rather than in a bucket.
pub(super) const STASH: usize = usize::MAX;

const _: () = assert!(size_of::<Header>() == 64);

#[repr(C, align(64))]
pub(super) struct Header {
    /// Entries, stash included.
    pub(super) count: u32,
    /// Entries with an expiry.
    pub(super) ttl: u32,
    /// No entry expires before this (a lower bound; `u64::MAX` when none expires).
    pub(super) min_expire: u64,
    /// First hash of the segment's range.
    pub(super) prefix: u64,
    /// Entries that found no place within reach, with their control bytes. Practically always empty.
    pub(super) stash: Vec<(Slot, u8)>,
    buckets: u8,
    depth: u8,
}

/// Address and geometry of a live segment in one word: depth << 56 | buckets << 48 | address.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Segment(NonNull<u8>);

/// Where an entry lies in a segment: bucket and slot, or `STASH` and index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pos {
    pub(super) bucket: usize,
    pub(super) slot: usize,
}

/// What of a hash a segment looks at.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    pub(super) home: usize,
    pub(super) tag: u16,
    pub(super) control: u8,
}

/// Control byte of a hash: never 0.
#[inline]
pub(super) fn control_of(hash: u64) -> u8 {
    let c = hash as u8;
    if c == 0 { 1 } else { c }
}

/// First hash bit (from the top) that tags hold at this depth. It moves in steps of 4 so that three splits out of
/// four read no keys; at least 13 bits remain to choose a bucket.
#[inline]
pub(super) fn window(depth: u32) -> u32 {
    depth & !3
}

#[inline]
pub(super) fn tag_of(hash: u64, depth: u32) -> u16 {
    ((hash << window(depth)) >> 48) as u16
}

#[inline]
fn home_of(tag: u16, depth: u32, buckets: usize) -> usize {
    let y = (u32::from(tag) << (depth & 3)) & 0xffff;
    (y as usize * buckets) >> 16
}

/// The size (in buckets) to give a segment that holds `count` entries: the smallest of the allocator's size classes
/// that leaves a fifth free, so that the next growth is not near.
pub(super) fn buckets_for(count: usize) -> usize {
    let lines = (count * 5).div_ceil(4 * SLOTS) + 1;
    (round_up(lines.max(2) * 64) / 64 - 1).min(MAX_BUCKETS)
}

/// The next larger size, in buckets: one size class of the allocator up.
pub(super) fn next_size(buckets: usize) -> usize {
    (round_up((buckets + 2) * 64) / 64 - 1).min(MAX_BUCKETS)
}

impl Segment {
    pub(super) fn alloc(buckets: usize, depth: u32, prefix: u64) -> Segment {
        assert!((1..=MAX_BUCKETS).contains(&buckets) && depth <= MAX_DEPTH);
        let layout = Self::layout(buckets);
        // SAFETY: the size is not 0.
        let at = unsafe { alloc_zeroed(layout) };
        if at.is_null() {
            handle_alloc_error(layout);
        }
        assert!(at.addr() >> 48 == 0, "user addresses of more than 48 bits");
        let header = Header {
            count: 0,
            ttl: 0,
            min_expire: u64::MAX,
            prefix,
            stash: Vec::new(),
            buckets: buckets as u8,
            depth: depth as u8,
        };
        // SAFETY: line 0 is the header's; zeroed buckets are valid (control bytes 0 say that the slots mean nothing,
        // and a null pointer is a valid *mut u8). The tagged address is not null.
        unsafe {
            at.cast::<Header>().write(header);
            let geometry = (buckets | (depth as usize) << 8) << 48;
            Segment(NonNull::new_unchecked(at.map_addr(|a| a | geometry)))
        }
    }

    fn layout(buckets: usize) -> Layout {
        Layout::from_size_align((buckets + 1) * 64, 64).expect("at most 8 KiB")
    }

    /// Frees the segment, not the entries in it.
    ///
    /// # Safety
    /// Nobody uses the segment again.
    pub(super) unsafe fn free(self) {
        // SAFETY: allocated with this layout; the header is valid until here.
        unsafe {
            self.base().cast::<Header>().drop_in_place();
            dealloc(self.base(), Self::layout(self.buckets()));
        }
    }

    #[inline]
    pub(super) fn base(self) -> *mut u8 {
        self.0.as_ptr().map_addr(|a| a & 0x0000_ffff_ffff_ffff)
    }

    #[inline]
    pub(super) fn buckets(self) -> usize {
        (self.0.as_ptr().addr() >> 48) & 0xff
    }

    #[inline]
    pub(super) fn depth(self) -> u32 {
        (self.0.as_ptr().addr() >> 56) as u32
    }

    pub(super) fn capacity(self) -> usize {
        self.buckets() * SLOTS
    }

    /// Memory of the segment itself.
    pub(super) fn mem_bytes(self) -> usize {
        let stash = self.header().stash.capacity() * size_of::<(Slot, u8)>();
        round_up((self.buckets() + 1) * 64) + round_up(stash)
    }

    #[inline]
    pub(super) fn header<'a>(self) -> &'a Header {
        // SAFETY: the header is at the base; borrows are kept shorter than any call that changes it.
        unsafe { &*self.base().cast::<Header>() }
    }

    #[inline]
    #[allow(clippy::mut_from_ref)]
    pub(super) fn header_mut<'a>(self) -> &'a mut Header {
        // SAFETY: as in header; the table is borrowed mutably by every caller.
        unsafe { &mut *self.base().cast::<Header>() }
    }

    #[inline]
    pub(super) fn bucket<'a>(self, i: usize) -> &'a Bucket {
        debug_assert!(i < self.buckets());
        // SAFETY: bucket i follows the header; borrows as in header.
        unsafe { &*self.base().add(64 * (i + 1)).cast::<Bucket>() }
    }

    #[inline]
    fn bucket_mut<'a>(self, i: usize) -> &'a mut Bucket {
        debug_assert!(i < self.buckets());
        // SAFETY: as in bucket; the table is borrowed mutably by every caller.
        unsafe { &mut *self.base().add(64 * (i + 1)).cast::<Bucket>() }
    }

    /// Address of a bucket, for prefetching.
    #[inline]
    pub(super) fn bucket_address(self, i: usize) -> *const u8 {
        self.base().wrapping_add(64 * (i + 1))
    }

    #[inline]
    pub(super) fn probe(self, hash: u64) -> Probe {
        let tag = tag_of(hash, self.depth());
        let home = home_of(tag, self.depth(), self.buckets());
        Probe { home, tag, control: control_of(hash) }
    }

    /// The probe for an entry whose tag fits this segment's depth.
    #[inline]
    pub(super) fn probe_slot(self, control: u8, slot: Slot) -> Probe {
        Probe { home: self.home(slot), tag: slot.tag(), control }
    }

    #[inline]
    fn home(self, slot: Slot) -> usize {
        home_of(slot.tag(), self.depth(), self.buckets())
    }

    #[inline]
    fn at_distance(self, home: usize, d: usize) -> usize {
        let b = home + d;
        if b >= self.buckets() { b - self.buckets() } else { b }
    }

    /// First position (48-bit hash order) of a bucket's range; for `bucket == buckets()` the end of the segment's.
    pub(super) fn bucket_start(self, bucket: usize) -> u64 {
        let shift = self.depth() & 3;
        let y = (bucket << 16).div_ceil(self.buckets()) as u64;
        let y = (y + (1 << shift) - 1) >> shift << shift;
        (self.header().prefix >> 16) + (y << (32 - self.depth()))
    }

    /// The buckets, and at last the stash, in which an entry of this home may lie.
    #[inline]
    fn places(self, home: usize) -> impl Iterator<Item = usize> {
        let mut overflow = self.bucket(home).overflow() & 0x7f;
        let mut at_home = true;
        std::iter::from_fn(move || {
            if at_home {
                at_home = false;
                return Some(home);
            }
            if overflow == 0 {
                return None;
            }
            let d = overflow.trailing_zeros() as usize + 1;
            overflow &= overflow - 1;
            Some(self.at_distance(home, d))
        })
    }

    /// Slots whose control byte and tag agree with the probe, until `want` accepts one.
    #[inline]
    pub(super) fn find(self, p: Probe, mut want: impl FnMut(Slot) -> bool) -> Option<(Pos, Slot)> {
        let found = self.find_in(p.home, p, &mut want);
        if found.is_some() || self.bucket(p.home).overflow() == 0 {
            return found;
        }
        self.find_displaced(p, want)
    }

    #[inline]
    fn find_in(
        self,
        b: usize,
        p: Probe,
        want: &mut impl FnMut(Slot) -> bool,
    ) -> Option<(Pos, Slot)> {
        let bucket = self.bucket(b);
        let mut m = bucket.matches(p.control);
        while m != 0 {
            let slot = m.trailing_zeros() as usize / 8;
            m &= m - 1;
            let s = bucket.slots[slot];
            // The match may be false above a true one, so the control byte is looked at again.
            if s.tag() == p.tag && bucket.control(slot) == p.control && want(s) {
                return Some((Pos { bucket: b, slot }, s));
            }
        }
        None
    }

    fn find_displaced(self, p: Probe, mut want: impl FnMut(Slot) -> bool) -> Option<(Pos, Slot)> {
        let overflow = self.bucket(p.home).overflow();
        let mut distances = overflow & 0x7f;
        while distances != 0 {
            let d = distances.trailing_zeros() as usize + 1;
            distances &= distances - 1;
            let found = self.find_in(self.at_distance(p.home, d), p, &mut want);
            if found.is_some() {
                return found;
            }
        }
        if overflow & 0x80 == 0 {
            return None;
        }
        let stash = &self.header().stash;
        let slot =
            stash.iter().position(|(s, c)| s.tag() == p.tag && *c == p.control && want(*s))?;
        Some((Pos { bucket: STASH, slot }, stash[slot].0))
    }

    /// The slot at a position that `find` or `place` gave.
    #[inline]
    pub(super) fn slot(self, pos: Pos) -> Slot {
        if pos.bucket == STASH {
            self.header().stash[pos.slot].0
        } else {
            self.bucket(pos.bucket).slots[pos.slot]
        }
    }

    /// Replaces the pointer at a position by one to the same entry's new block.
    #[inline]
    pub(super) fn set_slot(self, pos: Pos, slot: Slot) {
        if pos.bucket == STASH {
            self.header_mut().stash[pos.slot].0 = slot;
        } else {
            self.bucket_mut(pos.bucket).slots[pos.slot] = slot;
        }
    }

    /// Puts an entry into its home or the nearest bucket with room; makes room there if need be. Does not count it.
    #[inline]
    pub(super) fn place(self, p: Probe, slot: Slot) -> Option<Pos> {
        for d in 0..=REACH.min(self.buckets() - 1) {
            let b = self.at_distance(p.home, d);
            if let Some(i) = self.bucket(b).free() {
                let pos = Pos { bucket: b, slot: i };
                self.put(p.home, d, pos, p.control, slot);
                return Some(pos);
            }
        }
        let pos = self.make_room(p.home)?;
        let d = self.distance(p.home, pos.bucket);
        self.put(p.home, d, pos, p.control, slot);
        Some(pos)
    }

    /// Fills a free place with an entry whose home is `d` buckets before it.
    #[inline]
    fn put(self, home: usize, d: usize, pos: Pos, control: u8, slot: Slot) {
        self.fill(pos, control, slot);
        if d > 0 {
            self.bucket_mut(home).meta |= 1 << (55 + d);
        }
    }

    #[inline]
    fn distance(self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.buckets() - from }
    }

    /// Hopscotch hashing (Herlihy, Shavit, Tzafrir 2008): all places within reach of `home` are taken, so the nearest free one
    /// beyond is carried back, each time by an entry that may lie there as well as where it is.
    #[cold]
    fn make_room(self, home: usize) -> Option<Pos> {
        let mut d = (REACH + 1..self.buckets().min(HOP_SEARCH))
            .find(|d| self.bucket(self.at_distance(home, *d)).free().is_some())?;
        let to = self.at_distance(home, d);
        let mut free = Pos { bucket: to, slot: self.bucket(to).free()? };
        while d > REACH {
            // From far to near: the first that may move brings the free place back the farthest.
            let (back, slot) = (1..=REACH).rev().find_map(|back| {
                let bucket = self.bucket(self.at_distance(home, d - back));
                let may_move =
                    |i: &usize| self.distance(self.home(bucket.slots[*i]), free.bucket) <= REACH;
                bucket.used().find(may_move).map(|i| (back, i))
            })?;
            let from = self.at_distance(home, d - back);
            let (control, moving) =
                (self.bucket(from).control(slot), self.bucket(from).slots[slot]);
            let its_home = self.home(moving);
            self.bucket_mut(from).set_control(slot, 0);
            if from != its_home {
                self.recheck(its_home, from);
            }
            self.put(its_home, self.distance(its_home, free.bucket), free, control, moving);
            free = Pos { bucket: from, slot };
            d -= back;
        }
        Some(free)
    }

    /// Puts an entry into the stash. Does not count it.
    pub(super) fn place_stashed(self, p: Probe, slot: Slot) -> Pos {
        self.bucket_mut(p.home).meta |= STASH_BIT;
        let stash = &mut self.header_mut().stash;
        stash.push((slot, p.control));
        Pos { bucket: STASH, slot: stash.len() - 1 }
    }

    /// Takes the slot at a position out, fetches displaced entries closer to their homes, and keeps the overflow
    /// bits exact. Does not count.
    pub(super) fn take(self, pos: Pos) -> Slot {
        let slot = self.slot(pos);
        let home = self.home(slot);
        if pos.bucket == STASH {
            self.header_mut().stash.swap_remove(pos.slot);
            self.recheck_stash(home);
            return slot;
        }
        self.bucket_mut(pos.bucket).set_control(pos.slot, 0);
        if pos.bucket != home {
            self.recheck(home, pos.bucket);
        }
        self.refill(pos);
        slot
    }

    /// Clears the overflow bit of `home` for bucket `b` unless an entry of that home still lies there.
    fn recheck(self, home: usize, b: usize) {
        let bucket = self.bucket(b);
        if !bucket.used().any(|i| self.home(bucket.slots[i]) == home) {
            let d = (b + self.buckets() - home) % self.buckets();
            self.bucket_mut(home).meta &= !(1 << (55 + d));
        }
    }

    fn recheck_stash(self, home: usize) {
        if !self.header().stash.iter().any(|(s, _)| self.home(*s) == home) {
            self.bucket_mut(home).meta &= !STASH_BIT;
        }
    }

    /// A place became free: brings home the entry that lies farthest from this bucket as its home, then does
    /// the same for the place that one left. Ends because each step brings one entry home.
    fn refill(self, mut free: Pos) {
        loop {
            let home = free.bucket;
            let overflow = self.bucket(home).overflow();
            if overflow == 0 {
                return;
            }
            if overflow & 0x80 != 0 {
                let stash = &mut self.header_mut().stash;
                let found = stash.iter().position(|(s, _)| self.home(*s) == home);
                let Some(i) = found else { unreachable!("the stash bit is exact") };
                let (slot, control) = stash.swap_remove(i);
                self.fill(free, control, slot);
                self.recheck_stash(home);
                return;
            }
            let d = 8 - overflow.leading_zeros() as usize;
            let from = self.at_distance(home, d);
            let bucket = self.bucket(from);
            let found = bucket.used().find(|i| self.home(bucket.slots[*i]) == home);
            let Some(i) = found else { unreachable!("the overflow bits are exact") };
            let (control, slot) = (bucket.control(i), bucket.slots[i]);
            self.bucket_mut(from).set_control(i, 0);
            self.fill(free, control, slot);
            self.recheck(home, from);
            free = Pos { bucket: from, slot: i };
        }
    }

    /// Every entry with its control byte.
    pub(super) fn for_each(self, mut f: impl FnMut(u8, Slot)) {
        for b in 0..self.buckets() {
            let bucket = self.bucket(b);
            for i in bucket.used() {
                f(bucket.control(i), bucket.slots[i]);
            }
        }
        for (slot, control) in &self.header().stash {
            f(*control, *slot);
        }
    }

    /// Entries whose home is this bucket.
    #[inline]
    pub(super) fn for_home(self, home: usize, mut f: impl FnMut(Slot)) {
        for b in self.places(home) {
            let bucket = self.bucket(b);
            for i in bucket.used() {
                if self.home(bucket.slots[i]) == home {
                    f(bucket.slots[i]);
                }
            }
        }
        if self.bucket(home).meta & STASH_BIT != 0 {
            for (slot, _) in &self.header().stash {
                if self.home(*slot) == home {
                    f(*slot);
                }
            }
        }
    }

    fn fill(self, pos: Pos, control: u8, slot: Slot) {
        let bucket = self.bucket_mut(pos.bucket);
        bucket.set_control(pos.slot, control);
        bucket.slots[pos.slot] = slot;
    }
}

#[cfg(test)]
impl Segment {
    pub(super) fn home_at(self, pos: Pos) -> usize {
        self.home(self.slot(pos))
    }

    pub(super) fn overflow_at(self, bucket: usize) -> u8 {
        self.bucket(bucket).overflow()
    }
}
