//! Thin heap blocks: one allocation, one pointer, the bookkeeping in the first eight bytes.
//!
//! A store holds millions of small collections, so the owner of a packed one is a single
//! pointer and everything else (length, count, capacity class) is packed into one `u64` at the
//! start of the block. This file owns the allocation and nothing else; what the header means
//! is up to the structure above, which sees the rest of the block as an ordinary byte slice.
//!
//! Invariants: the pointer is `TAG` bytes past an 8-aligned base, which is either a block of
//! exactly `class_size(class)` bytes or the shared [`EMPTY`] header (class 0), never written;
//! every byte of a block is initialised. The tag lets [`crate::thin`] tell kinds of blocks apart
//! by the low bits of the pointer; it costs nothing, since it folds into each access's offset.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;

use crate::sizeclass::{class_of, class_size};

/// Bytes of the header word in front of the data.
pub(crate) const HEADER: usize = 8;

#[repr(align(8))]
struct Shared(#[allow(dead_code, reason = "read through the pointer of an empty block")] u64);

static EMPTY: Shared = Shared(0);

/// Owner of one block. Dropping it does not free: only the structure above knows the class,
/// so it calls [`Block::free`] from its own `Drop`.
#[repr(transparent)]
pub(crate) struct Block<const TAG: usize>(NonNull<u8>);

// SAFETY: a block is plain memory with one owner; the shared empty header is read-only.
unsafe impl<const TAG: usize> Send for Block<TAG> {}
// SAFETY: `&Block` only allows reads.
unsafe impl<const TAG: usize> Sync for Block<TAG> {}

fn layout(class: u8) -> Layout {
    // Class sizes are multiples of 8 and at most 4 GiB, so this cannot fail on 64 bits.
    Layout::from_size_align(class_size(class), 8).expect("a size class is a valid layout")
}

impl<const TAG: usize> Block<TAG> {
    /// The block that owns nothing: header word 0, no data.
    #[inline]
    pub(crate) const fn empty() -> Self {
        // SAFETY: a tag is below 8, the size of the header, so the sum stays inside it.
        Block(unsafe { NonNull::from_ref(&EMPTY).cast::<u8>().add(TAG) })
    }

    #[inline]
    fn base(&self) -> *mut u8 {
        // SAFETY: the stored pointer is TAG bytes into its block.
        unsafe { self.0.as_ptr().sub(TAG) }
    }

    fn from_base(p: *mut u8, class: u8) -> Self {
        let Some(p) = NonNull::new(p) else { handle_alloc_error(layout(class)) };
        // SAFETY: the block has at least 8 bytes and TAG is below 8.
        Block(unsafe { p.add(TAG) })
    }

    /// A zeroed block of the given class.
    pub(crate) fn alloc(class: u8) -> Self {
        debug_assert!(class > 0);
        // SAFETY: the layout has a size of at least 8.
        Self::from_base(unsafe { alloc_zeroed(layout(class)) }, class)
    }

    /// The class that holds the header and `data` bytes.
    #[inline]
    pub(crate) const fn class_for(data: usize) -> u8 {
        class_of(HEADER + data)
    }

    /// Data bytes of a class.
    #[inline]
    pub(crate) const fn capacity(class: u8) -> usize {
        class_size(class).saturating_sub(HEADER)
    }

    #[inline]
    pub(crate) fn header(&self) -> u64 {
        // SAFETY: both the shared header and a block start with eight initialised bytes,
        // 8-aligned.
        unsafe { self.base().cast::<u64>().read() }
    }

    /// Must not be called on an empty block.
    #[inline]
    pub(crate) fn set_header(&mut self, word: u64) {
        debug_assert!(self.base().cast_const() != (&raw const EMPTY).cast::<u8>());
        // SAFETY: only blocks from `alloc` get here, and they have room for the header.
        unsafe { self.base().cast::<u64>().write(word) }
    }

    /// All data bytes of the block, used or not. `class` must be the block's own.
    #[inline]
    pub(crate) fn data(&self, class: u8) -> &[u8] {
        // SAFETY: a block of this class has that many initialised bytes after the header; for
        // class 0 the length is zero and the pointer is one past the shared header.
        unsafe { std::slice::from_raw_parts(self.base().add(HEADER), Self::capacity(class)) }
    }

    /// All data bytes, to write. `class` must be the block's own.
    #[inline]
    pub(crate) fn data_mut(&mut self, class: u8) -> &mut [u8] {
        // SAFETY: as in `data`, and `&mut self` is the only owner; class 0 gives no bytes.
        unsafe { std::slice::from_raw_parts_mut(self.base().add(HEADER), Self::capacity(class)) }
    }

    /// Moves the block to another class, keeping the bytes that fit; new bytes are zero.
    /// `old` must be the block's own class; neither may be 0.
    pub(crate) fn resize(&mut self, old: u8, new: u8) {
        debug_assert!(old > 0 && new > 0);
        if old == new {
            return;
        }
        let (from, to) = (class_size(old), class_size(new));
        // SAFETY: the block was allocated with the layout of `old`; `to` is not zero and fits
        // isize; on success the old pointer is gone and the tail is set before anyone reads it.
        let p = unsafe {
            let p = realloc(self.base(), layout(old), to);
            if !p.is_null() && to > from {
                p.add(from).write_bytes(0, to - from);
            }
            p
        };
        *self = Self::from_base(p, new);
    }

    /// Frees the block and leaves the empty one. `class` must be the block's own.
    #[inline]
    pub(crate) fn free(&mut self, class: u8) {
        if class > 0 {
            // SAFETY: allocated with this layout, and nothing points here any more: the
            // pointer is replaced below.
            unsafe { dealloc(self.base(), layout(class)) }
            *self = Self::empty();
        }
    }
}
