//! Changing an entry in its place in the table.

use std::io::Write;
use std::ops::{Deref, DerefMut};

use super::Table;
use super::bucket::Slot;
use super::segment::{Pos, Segment};
use crate::entry::{Blob, Entry, EntryPtr, NewValue, ValueRef};
use crate::sizeclass::round_up;

/// An entry of a table, borrowed to be changed. Reads like an [`Entry`].
pub struct EntryMut<'t, V> {
    table: &'t mut Table<V>,
    segment: Segment,
    pos: Pos,
    blob: Blob<V>,
}

impl<V> Deref for EntryMut<'_, V> {
    type Target = Entry<V>;

    #[inline]
    fn deref(&self) -> &Entry<V> {
        // SAFETY: the block lives while the table is borrowed; changes go through &mut self.
        unsafe { self.blob.entry() }
    }
}

impl<'t, V> EntryMut<'t, V> {
    #[inline]
    pub(super) fn new(table: &'t mut Table<V>, segment: Segment, pos: Pos, slot: Slot) -> Self {
        // SAFETY: the slot was just read from this table.
        let blob = unsafe { slot.blob() };
        EntryMut { table, segment, pos, blob }
    }

    /// The entry for the rest of the table's borrow.
    #[must_use]
    pub fn into_ref(self) -> &'t Entry<V> {
        // SAFETY: the table stays borrowed mutably for 't by what this returns.
        unsafe { self.blob.entry() }
    }

    /// Lets the slot point to the block's new address.
    fn moved(&mut self, blob: Blob<V>) {
        self.blob = blob;
        let tag = self.segment.slot(self.pos).tag();
        self.segment.set_slot(self.pos, Slot::new(blob, tag));
    }

    /// Replaces the value; expiry, access and user bits stay. Returns the object that was there.
    pub fn set(&mut self, value: NewValue<'_, V>) -> Option<V> {
        let before = self.blob.mem_bytes();
        // SAFETY: the table is borrowed mutably and the old value is not borrowed: value comes from outside.
        let (blob, old) = unsafe { self.blob.replace_value(value) };
        if blob != self.blob {
            self.moved(blob);
        }
        self.recount(before);
        old
    }

    /// Sets an integer. Over an integer this changes 8 bytes in place and the entry keeps its address.
    #[inline]
    pub fn set_int(&mut self, n: i64) -> Option<V> {
        if self.blob.write_int_in_place(n) {
            return None;
        }
        self.set(NewValue::Int(n))
    }

    /// Sets a string.
    pub fn set_bytes(&mut self, bytes: &[u8]) -> Option<V> {
        self.set(NewValue::Bytes(bytes))
    }

    /// Sets an object.
    pub fn set_object(&mut self, object: V) -> Option<V> {
        self.set(NewValue::Object(object))
    }

    /// Makes the entry what `insert` makes: this value, no expiry, access and user bits 0.
    pub(super) fn reset(&mut self, value: NewValue<'_, V>) {
        self.set_expire(None);
        drop(self.set(value));
        self.blob.set_word(self.blob.word() & 0xf);
    }

    /// The object, if the value is one. Memory that it owns is not this table's to count.
    #[inline]
    pub fn object_mut(&mut self) -> Option<&mut V> {
        // SAFETY: self is borrowed mutably for as long as the result.
        unsafe { self.blob.object_mut() }
    }

    /// The object for the rest of the table's borrow.
    #[inline]
    pub fn into_object_mut(self) -> Option<&'t mut V> {
        // SAFETY: the table stays borrowed mutably for 't by what this returns.
        unsafe { self.blob.object_mut() }
    }

    /// Sets or removes the expiry (milliseconds since 1970). Changing it is done in place; giving or removing one
    /// moves the entry.
    pub fn set_expire(&mut self, ms: Option<u64>) {
        match (self.blob.expire_ms(), ms) {
            (None, None) => {}
            (Some(_), Some(ms)) => {
                self.blob.write_expire(ms);
                let header = self.segment.header_mut();
                header.min_expire = header.min_expire.min(ms);
            }
            (None, Some(ms)) => {
                self.rebuild(true);
                self.blob.write_expire(ms);
                self.table.count_expire(self.segment, ms);
            }
            (Some(_), None) => {
                self.rebuild(false);
                self.table.uncount_expire(self.segment);
            }
        }
    }

    fn rebuild(&mut self, ttl: bool) {
        let before = self.blob.mem_bytes();
        // SAFETY: the old address is in the slot only, which `moved` replaces.
        let blob = unsafe { self.blob.rebuild(None, ttl) };
        self.moved(blob);
        self.recount(before);
    }

    /// Adds the change of the entry's memory to the table's sum.
    fn recount(&mut self, before: usize) {
        self.table.entry_bytes += self.blob.mem_bytes();
        self.table.entry_bytes -= before;
    }

    /// The string, to be changed in place with room to grow; `None` for an object. An integer becomes its decimal text; an
    /// inline string moves into a heap buffer the first time it has to change its length.
    pub fn bytes_mut(&mut self) -> Option<BytesMut<'_, 't, V>> {
        match self.blob.value() {
            ValueRef::Object(_) => return None,
            ValueRef::Bytes(_) => {}
            ValueRef::Int(n) => {
                let mut text = [0u8; 20];
                let mut rest = &mut text[..];
                // 20 bytes hold every i64, so this cannot fail.
                let _ = write!(rest, "{n}");
                let len = 20 - rest.len();
                self.set(NewValue::Bytes(&text[..len]));
            }
        }
        Some(BytesMut { entry: self })
    }

    /// Moves a string out of its heap buffer and leaves an empty one; `None` if it has no such buffer.
    pub fn take_bytes(&mut self) -> Option<Vec<u8>> {
        let before = self.blob.mem_bytes();
        // SAFETY: the entry is borrowed mutably; no other reference to the value exists here.
        let bytes = std::mem::take(unsafe { self.blob.heap_mut() }?);
        self.recount(before);
        Some(bytes)
    }

    /// Takes the entry out of the table.
    pub fn remove(self) -> crate::entry::Removed<V> {
        self.table.take(self.segment, self.pos)
    }

    /// A pointer that outlives the borrow; see [`EntryPtr`] for how long it is valid.
    #[inline]
    #[must_use]
    pub fn as_ptr(&self) -> EntryPtr<V> {
        EntryPtr::of(self.blob)
    }
}

/// A string value being changed in place (APPEND, SETRANGE, SETBIT). Derefs to its bytes.
pub struct BytesMut<'e, 't, V> {
    entry: &'e mut EntryMut<'t, V>,
}

impl<V> BytesMut<'_, '_, V> {
    /// Appends; amortised O(length of `tail`).
    pub fn append(&mut self, tail: &[u8]) {
        if !tail.is_empty() {
            self.grow_by(tail.len(), |v| v.extend_from_slice(tail));
        }
    }

    /// Cuts the string, or fills it up with zero bytes.
    pub fn resize(&mut self, len: usize) {
        if len > self.len() {
            self.grow_by(len - self.len(), |v| v.resize(len, 0));
        } else if len < self.len() {
            self.grow_by(0, |v| v.truncate(len));
        }
    }

    /// Moves the string into a heap buffer if it is not in one, makes room for `more` bytes and lets `change` use it.
    fn grow_by(&mut self, more: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let entry = &mut *self.entry;
        let before = entry.blob.mem_bytes();
        // SAFETY: the entry is borrowed mutably; no other reference to the value exists here.
        if unsafe { entry.blob.heap_mut() }.is_none() {
            // SAFETY: as above; the shared view ends with the copy.
            let old = unsafe { entry.blob.inline_mut() };
            // A string that comes into being has not grown yet: most never do (SETRANGE, SETBIT).
            let capacity =
                if old.is_empty() { round_up(more) } else { capacity_for(old.len() + more) };
            let mut buffer = Vec::with_capacity(capacity);
            buffer.extend_from_slice(old);
            // SAFETY: bytes_mut excludes objects and turned integers into text; the old block is forgotten.
            let blob = unsafe { entry.blob.into_heap(buffer) };
            entry.moved(blob);
        }
        // SAFETY: as above.
        if let Some(v) = unsafe { entry.blob.heap_mut() } {
            if v.capacity() - v.len() < more {
                v.reserve_exact(capacity_for(v.len() + more) - v.len());
            }
            change(v);
        }
        entry.recount(before);
    }
}

/// Capacity to give a string that grows to `len`: double up to a megabyte (as Redis' sdsMakeRoomFor), above that an
/// eighth more, which stays amortised where a fixed step would not. Rounded to what the allocator gives anyway.
fn capacity_for(len: usize) -> usize {
    const MEGABYTE: usize = 1 << 20;
    let slack = if len < MEGABYTE { len } else { (len / 8).max(MEGABYTE) };
    round_up(len.saturating_add(slack).max(32))
}

impl<V> Deref for BytesMut<'_, '_, V> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.entry.value() {
            ValueRef::Bytes(b) => b,
            ValueRef::Int(_) | ValueRef::Object(_) => &[],
        }
    }
}

impl<V> DerefMut for BytesMut<'_, '_, V> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: self is borrowed mutably for as long as the result; it is a string by construction.
        unsafe {
            match self.entry.blob.heap_mut() {
                Some(v) => v,
                None => self.entry.blob.inline_mut(),
            }
        }
    }
}
