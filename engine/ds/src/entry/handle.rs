//! A pointer to an entry for structures that index the entries of a table they own.

use std::fmt;
use std::ptr::NonNull;

use super::{Blob, Entry};

/// Address of an entry of a table, detached from the table's borrow.
///
/// It exists for the sorted set, whose tree orders the entries of its member table: the table owns the entries, the
/// tree holds their addresses. An `EntryPtr` is valid from the moment it is taken until the entry is removed, replaced
/// by `insert`, moved by a value of another shape or size, or given or deprived of an expiry; setting an
/// integer over an integer, growth, splits and merges of the table leave it valid. Whoever holds one
/// must forget it before such a change.
pub struct EntryPtr<V>(NonNull<Entry<V>>);

impl<V> Clone for EntryPtr<V> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for EntryPtr<V> {}

impl<V> PartialEq for EntryPtr<V> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<V> Eq for EntryPtr<V> {}

impl<V> fmt::Debug for EntryPtr<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryPtr({:p})", self.0)
    }
}

impl<V> EntryPtr<V> {
    #[inline]
    pub(crate) fn of(blob: Blob<V>) -> Self {
        // SAFETY: a block's address is never null.
        EntryPtr(unsafe { NonNull::new_unchecked(blob.raw().cast()) })
    }

    /// The entry.
    ///
    /// # Safety
    /// The pointer is valid (see the type) and stays so for `'a`, and nothing changes the entry for `'a`.
    #[inline]
    #[must_use]
    pub unsafe fn entry<'a>(self) -> &'a Entry<V> {
        // SAFETY: the caller's promise.
        unsafe { self.0.as_ref() }
    }

    /// The key.
    ///
    /// # Safety
    /// As for [`EntryPtr::entry`].
    #[inline]
    #[must_use]
    pub unsafe fn key<'a>(self) -> &'a [u8] {
        // SAFETY: the caller's promise.
        unsafe { self.entry() }.blob().key()
    }

    /// The integer value read as the bits of a double: the score of a member.
    ///
    /// # Safety
    /// As for [`EntryPtr::entry`], and the value is an integer.
    #[inline]
    #[must_use]
    pub unsafe fn score(self) -> f64 {
        // SAFETY: the caller's promise.
        f64::from_bits(unsafe { self.entry() }.blob().int_unchecked() as u64)
    }
}

impl<V> Entry<V> {
    /// A pointer that outlives the borrow; see [`EntryPtr`] for how long it is valid.
    #[inline]
    #[must_use]
    pub fn as_ptr(&self) -> EntryPtr<V> {
        EntryPtr::of(self.blob())
    }
}
