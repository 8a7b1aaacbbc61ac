//! One line of a segment: control bytes, overflow byte and slots of a bucket; and what a slot holds.
//!
//! The layout is drawn in [`segment`](super::segment). Control bytes are compared seven at a time in one
//! 64-bit word, which needs no instruction set and is as quick as a vector compare at this width.
#![allow(unsafe_code)]

use crate::entry::{Blob, Entry};

/// Slots in a bucket.
pub(super) const SLOTS: usize = 7;

const LOW: u64 = 0x0001_0101_0101_0101;
const HIGH: u64 = 0x0080_8080_8080_8080;

/// A tagged entry pointer.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Slot(*mut u8);

const ADDRESS: usize = 0x0000_ffff_ffff_fff0;
const HAS_TTL: usize = 1;

impl Slot {
    #[inline]
    pub(super) fn new<V>(blob: Blob<V>, tag: u16) -> Slot {
        let ttl = if blob.has_ttl() { HAS_TTL } else { 0 };
        let addr = blob.raw().addr();
        assert!(addr & !ADDRESS == 0, "user addresses of more than 48 bits");
        Slot(blob.raw().map_addr(|a| a | ttl | usize::from(tag) << 48))
    }

    #[inline]
    pub(super) fn tag(self) -> u16 {
        (self.0.addr() >> 48) as u16
    }

    #[inline]
    pub(super) fn has_ttl(self) -> bool {
        self.0.addr() & HAS_TTL != 0
    }

    #[inline]
    pub(super) fn retagged(self, tag: u16) -> Slot {
        Slot(self.0.map_addr(|a| a & 0x0000_ffff_ffff_ffff | usize::from(tag) << 48))
    }

    /// The entry's address, for prefetching.
    #[inline]
    pub(super) fn address(self) -> *const u8 {
        self.0.map_addr(|a| a & ADDRESS)
    }

    /// # Safety
    /// The slot was taken from a table of `V` that still owns the entry.
    #[inline]
    pub(super) unsafe fn blob<V>(self) -> Blob<V> {
        // SAFETY: slots are made from blobs only.
        unsafe { Blob::from_raw(self.0.map_addr(|a| a & ADDRESS)) }
    }

    /// # Safety
    /// As for `blob`, and the entry stays unchanged for `'a`.
    #[inline]
    pub(super) unsafe fn entry<'a, V>(self) -> &'a Entry<V> {
        // SAFETY: the caller's promise.
        unsafe { self.blob::<V>().entry() }
    }
}

#[repr(C, align(64))]
pub(super) struct Bucket {
    /// Control bytes 0 to 6, then the overflow byte.
    pub(super) meta: u64,
    pub(super) slots: [Slot; SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// High bit of each of the 7 low bytes of `x` that is zero. A byte above a zero one may be reported falsely.
#[inline]
fn zero_bytes(x: u64) -> u64 {
    x.wrapping_sub(LOW) & !x & HIGH
}

impl Bucket {
    #[inline]
    pub(super) fn matches(&self, control: u8) -> u64 {
        zero_bytes(self.meta ^ (LOW * u64::from(control)))
    }

    /// A free place, if there is one (the lowest zero byte is never a false report).
    #[inline]
    pub(super) fn free(&self) -> Option<usize> {
        let z = zero_bytes(self.meta);
        (z != 0).then(|| z.trailing_zeros() as usize / 8)
    }

    #[inline]
    pub(super) fn control(&self, i: usize) -> u8 {
        (self.meta >> (8 * i)) as u8
    }

    #[inline]
    pub(super) fn set_control(&mut self, i: usize, control: u8) {
        self.meta = self.meta & !(0xff << (8 * i)) | u64::from(control) << (8 * i);
    }

    /// Places in use.
    #[inline]
    pub(super) fn used(&self) -> impl Iterator<Item = usize> + use<> {
        // Exact, unlike zero_bytes: adding 127 to seven bits carries into the eighth and no further.
        const LOW_7: u64 = HIGH - LOW;
        let mut m = (((self.meta & LOW_7) + LOW_7) | self.meta) & HIGH;
        std::iter::from_fn(move || {
            let i = (m != 0).then(|| m.trailing_zeros() as usize / 8)?;
            m &= m - 1;
            Some(i)
        })
    }

    /// The slot, if in use.
    #[inline]
    pub(super) fn get(&self, i: usize) -> Option<Slot> {
        (self.control(i) != 0).then(|| self.slots[i])
    }

    #[inline]
    pub(super) fn overflow(&self) -> u8 {
        (self.meta >> 56) as u8
    }
}
