//! One key and its value in one allocation.
//!
//! One idea: a table slot is a thin pointer, and everything about a key lies behind it in one block sized to what
//! it holds. A field that is not used (expiry, long lengths) takes no room.
//!
//! ```text
//! 0   u32  access << 8 | user << 4 | ttl << 3 | kind          (Cell: access changes under a shared borrow)
//! 4   u8   key length, 255 = the u32 below holds it
//! 5   ..   by kind:  Int      i64 at 5                         fixed part ends at 13
//!                    Bytes8   u8 value length at 5             6
//!                    Bytes16  u16 value length at 5            7
//!                    Heap     Vec<u8> at 8                     32
//!                    Object   V at max(8, align of V)          + size of V
//! ..  u32  key length                                          only if byte 4 is 255
//! ..  u64  expiry, milliseconds since 1970                     only if ttl
//! ..       key bytes
//! ..       value bytes                                         Bytes8, Bytes16
//! ```
//!
//! Invariants: the block is `round_up(used)` bytes long and 16-byte aligned, so its layout follows from its
//! content; its address changes only when [`EntryMut`](crate::EntryMut) has to fit it into another
//! size class or another shape; a reference to an entry has no size and speaks for the whole block, which is sound
//! under Tree Borrows (Miri runs this module so) but not under the older Stacked Borrows; fields are read unaligned and in native byte order (nothing here is stored).
#![allow(unsafe_code)]

mod blob;
mod handle;
mod removed;

pub(crate) use blob::Blob;
pub use handle::EntryPtr;
pub use removed::Removed;

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;

/// An entry of a [`Table`](crate::Table), seen through a shared borrow of the table. Only ever behind a
/// reference: the type itself is opaque and has no size, its bytes lie behind the address.
#[repr(C)]
pub struct Entry<V> {
    // A cell although it has no size: without one the compiler may take what is behind a shared reference for
    // constant, and the access word is not.
    _opaque: UnsafeCell<[u8; 0]>,
    // Neither Send nor Sync.
    _owns: PhantomData<*const V>,
}

/// A value as the entry holds it.
#[derive(Debug, PartialEq, Eq)]
pub enum ValueRef<'a, V> {
    /// A 64-bit integer (or any 8 bytes, such as a score).
    Int(i64),
    /// A string, inline or in a heap buffer.
    Bytes(&'a [u8]),
    /// A value of the table's object type.
    Object(&'a V),
}

impl<V> Clone for ValueRef<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for ValueRef<'_, V> {}

/// A value to be stored.
#[derive(Debug, PartialEq, Eq)]
pub enum NewValue<'a, V> {
    /// A 64-bit integer; takes 8 bytes whatever its size.
    Int(i64),
    /// A string; the table copies it.
    Bytes(&'a [u8]),
    /// An object, moved into the entry.
    Object(V),
}

/// Width of the access field in bits: room for Redis' LRU clock or its LFU time and counter.
pub const ACCESS_BITS: u32 = 24;

impl<V> Entry<V> {
    /// The key (member, field).
    #[inline]
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.blob().key()
    }

    /// Whether this is the entry of `key`. Keys of 8 to 32 bytes, the common ones, are compared as words here.
    #[inline]
    pub(crate) fn key_is(&self, key: &[u8]) -> bool {
        let (own, n) = (self.key(), key.len());
        if own.len() != n {
            return false;
        }
        let word = |at: usize| own[at..].first_chunk::<8>() == key[at..].first_chunk::<8>();
        match n {
            8..=16 => word(0) & word(n - 8),
            17..=32 => word(0) & word(8) & word(n - 16) & word(n - 8),
            _ => own == key,
        }
    }

    /// The value.
    #[inline]
    #[must_use]
    pub fn value(&self) -> ValueRef<'_, V> {
        self.blob().value()
    }

    /// The object, if the value is one.
    #[inline]
    #[must_use]
    pub fn object(&self) -> Option<&V> {
        match self.value() {
            ValueRef::Object(v) => Some(v),
            _ => None,
        }
    }

    /// When the entry expires, in milliseconds since 1970, if it does.
    #[inline]
    #[must_use]
    pub fn expire_ms(&self) -> Option<u64> {
        self.blob().expire_ms()
    }

    /// Access word, [`ACCESS_BITS`] bits wide, of no meaning here (0 in a new entry).
    #[inline]
    #[must_use]
    pub fn access(&self) -> u32 {
        self.blob().word() >> 8
    }

    /// Sets the access word; higher bits than [`ACCESS_BITS`] are cut off.
    #[inline]
    pub fn set_access(&self, access: u32) {
        let blob = self.blob();
        blob.set_word(access << 8 | blob.word() & 0xff);
    }

    /// Four bits for the owner of the table (0 in a new entry).
    #[inline]
    #[must_use]
    pub fn user(&self) -> u8 {
        (self.blob().word() >> 4) as u8 & 0xf
    }

    /// Sets the owner's four bits; higher ones are cut off.
    #[inline]
    pub fn set_user(&self, bits: u8) {
        let blob = self.blob();
        blob.set_word(blob.word() & !0xf0 | u32::from(bits & 0xf) << 4);
    }

    /// Bytes the entry occupies: its block and, for a string with a heap buffer, that buffer. What an object
    /// owns beyond its own size is not included.
    #[inline]
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        self.blob().mem_bytes()
    }

    #[inline]
    pub(crate) fn blob(&self) -> Blob<V> {
        // SAFETY: an Entry only exists behind a reference made by Blob::entry, so the address is that of a
        // live block, with the provenance of its allocation (a reference to a type without size does not narrow it).
        unsafe { Blob::from_raw((self as *const Self).cast_mut().cast()) }
    }
}

impl<V: fmt::Debug> fmt::Debug for Entry<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key())
            .field("value", &self.value())
            .field("expire_ms", &self.expire_ms())
            .finish_non_exhaustive()
    }
}
