//! An entry that has left its table.

use std::fmt;
use std::mem;
use std::ops::Deref;

use super::{Blob, Entry};

/// An entry taken out of a table, owned: key, value, expiry and access as they were. Dropping it frees it;
/// [`Table::insert_removed`](crate::Table::insert_removed) puts it back under any key, into any table.
pub struct Removed<V> {
    blob: Blob<V>,
}

// SAFETY: a Removed owns its block alone; moving it moves the V with it.
unsafe impl<V: Send> Send for Removed<V> {}

impl<V> Removed<V> {
    /// # Safety
    /// The block is live and nobody else frees or uses it.
    pub(crate) unsafe fn new(blob: Blob<V>) -> Self {
        Removed { blob }
    }

    pub(crate) fn into_blob(self) -> Blob<V> {
        let blob = self.blob;
        mem::forget(self);
        blob
    }

    /// The object, if the value was one.
    #[must_use]
    pub fn into_object(self) -> Option<V> {
        let blob = self.into_blob();
        // SAFETY: the block was owned by self, which is forgotten.
        unsafe {
            let value = blob.take_value();
            blob.free_block();
            value
        }
    }
}

impl<V> Deref for Removed<V> {
    type Target = Entry<V>;

    fn deref(&self) -> &Entry<V> {
        // SAFETY: the block lives as long as self.
        unsafe { self.blob.entry() }
    }
}

impl<V> Drop for Removed<V> {
    fn drop(&mut self) {
        // SAFETY: self is the only owner and goes away.
        unsafe { self.blob.free() }
    }
}

impl<V: fmt::Debug> fmt::Debug for Removed<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
