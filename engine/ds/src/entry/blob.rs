//! The bytes of an entry: layout, allocation, reading, writing.
//!
//! Invariant that every `Blob` method leans on: a `Blob` is the address of a live block written by
//! [`Blob::new`]. Whoever keeps one must drop it when the block is freed; within the crate only table slots,
//! `Removed` and (by the caller's promise) `EntryPtr` keep one.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::{Entry, NewValue, ValueRef};
use crate::sizeclass::round_up;

/// Longest key: its length must fit a `u32` with room for the rest of the block.
pub(crate) const MAX_KEY: usize = u32::MAX as usize - 4096;

/// Strings above this always get a heap buffer; shorter ones if that takes less memory (see `Shape::bytes`).
pub(crate) const MAX_INLINE: usize = 4096;
/// Strings below this are always inline: one cache line fewer to touch is worth some slack.
const MIN_HEAP: usize = 512;

const TTL: u32 = 8;
const LONG_KEY: u8 = 255;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Int = 0,
    Bytes8 = 1,
    Bytes16 = 2,
    Heap = 3,
    Object = 4,
}

/// What decides the layout of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) ttl: bool,
    pub(crate) key_len: usize,
    /// Length of the inline value; 0 unless Bytes8 or Bytes16.
    pub(crate) inline_len: usize,
}

impl Shape {
    /// Shape for a string: inline, unless a heap buffer is needed or, from 512 bytes on, cheaper (a kilobyte with
    /// its header falls into the class of 1280, but 1024 + 48 as two blocks).
    pub(crate) fn bytes<V>(key_len: usize, ttl: bool, len: usize) -> Shape {
        let kind = if len <= 255 { Kind::Bytes8 } else { Kind::Bytes16 };
        let inline = Shape { kind, ttl, key_len, inline_len: len };
        if len < MIN_HEAP {
            return inline;
        }
        let heap = Shape { kind: Kind::Heap, ttl, key_len, inline_len: 0 };
        let cheaper = len <= MAX_INLINE && inline.size::<V>() <= heap.size::<V>() + round_up(len);
        if cheaper { inline } else { heap }
    }

    #[inline]
    pub(crate) fn key_off<V>(self) -> usize {
        Blob::<V>::fixed_len(self.kind)
            + if self.key_len >= LONG_KEY as usize { 4 } else { 0 }
            + if self.ttl { 8 } else { 0 }
    }

    #[inline]
    fn used<V>(self) -> usize {
        self.key_off::<V>() + self.key_len + self.inline_len
    }

    /// Size of the block.
    #[inline]
    pub(crate) fn size<V>(self) -> usize {
        round_up(self.used::<V>().max(16))
    }
}

/// Address of a live block; see the module's invariant.
pub(crate) struct Blob<V> {
    at: NonNull<u8>,
    _owns: PhantomData<*const V>,
}

impl<V> Clone for Blob<V> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for Blob<V> {}

impl<V> PartialEq for Blob<V> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<V> Blob<V> {
    const OBJECT_OFF: usize = if align_of::<V>() > 8 { align_of::<V>() } else { 8 };
    /// Length of the fixed part by kind, a byte each: a shift instead of a load on the way to every key.
    const FIXED: u64 = {
        assert!(align_of::<V>() <= 16, "objects are aligned to 16 bytes at most");
        assert!(size_of::<V>() <= 128, "box an object that is larger");
        let heap = 8 + size_of::<Vec<u8>>() as u8;
        let object = (Self::OBJECT_OFF + size_of::<V>()) as u8;
        u64::from_le_bytes([13, 6, 7, heap, object, 0, 0, 0])
    };

    #[inline]
    fn fixed_len(kind: Kind) -> usize {
        (Self::FIXED >> (8 * kind as u32)) as usize & 0xff
    }

    /// # Safety
    /// `at` is what `raw` gave for a block that is still live.
    #[inline]
    pub(crate) unsafe fn from_raw(at: *mut u8) -> Self {
        // SAFETY: blocks are never at address 0.
        let at = unsafe { NonNull::new_unchecked(at) };
        Blob { at, _owns: PhantomData }
    }

    #[inline]
    pub(crate) fn raw(self) -> *mut u8 {
        self.at.as_ptr()
    }

    /// A reference to the entry.
    ///
    /// # Safety
    /// The block stays live, and its key and value unchanged, for `'a`.
    #[inline]
    pub(crate) unsafe fn entry<'a>(self) -> &'a Entry<V> {
        // SAFETY: Entry has no size and alignment 1; the address is not null.
        unsafe { &*self.at.as_ptr().cast_const().cast::<Entry<V>>() }
    }

    /// Allocates a block with access 0, no user bits and, if the shape has one, expiry 0. The value's own bytes
    /// are written by the caller (`write_value`) before anything else looks at them.
    ///
    /// # Safety
    /// The value must be written by `write_value` before it is read or freed; `shape.key_len == key.len()`.
    unsafe fn alloc(shape: Shape, key: &[u8]) -> Self {
        assert!(key.len() <= MAX_KEY, "key of {} bytes", key.len());
        let layout = Self::layout(shape.size::<V>());
        // SAFETY: the size is at least 16.
        let Some(at) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let blob = Blob { at, _owns: PhantomData };
        let word = shape.kind as u32 | if shape.ttl { TTL } else { 0 };
        let key_off = shape.key_off::<V>();
        // SAFETY: every offset lies below shape.used() <= the block's size, by Shape's arithmetic.
        unsafe {
            at.as_ptr().cast::<u32>().write(word);
            if key.len() >= LONG_KEY as usize {
                at.as_ptr().add(4).write(LONG_KEY);
                let long = at.as_ptr().add(Self::fixed_len(shape.kind));
                long.cast::<u32>().write_unaligned(key.len() as u32);
            } else {
                at.as_ptr().add(4).write(key.len() as u8);
            }
            if shape.ttl {
                at.as_ptr().add(key_off - 8).cast::<u64>().write_unaligned(0);
            }
            ptr::copy_nonoverlapping(key.as_ptr(), at.as_ptr().add(key_off), key.len());
        }
        blob
    }

    fn layout(size: usize) -> Layout {
        const { assert!(align_of::<V>() <= 16) };
        Layout::from_size_align(size, 16).expect("a block is smaller than the address space")
    }

    /// Shape that `value` takes under a key of `key_len` bytes.
    pub(crate) fn shape_for(key_len: usize, ttl: bool, value: &NewValue<'_, V>) -> Shape {
        match value {
            NewValue::Int(_) => Shape { kind: Kind::Int, ttl, key_len, inline_len: 0 },
            NewValue::Bytes(b) => Shape::bytes::<V>(key_len, ttl, b.len()),
            NewValue::Object(_) => Shape { kind: Kind::Object, ttl, key_len, inline_len: 0 },
        }
    }

    /// A new entry: access 0, no user bits, no expiry.
    pub(crate) fn new(key: &[u8], value: NewValue<'_, V>) -> Self {
        let shape = Self::shape_for(key.len(), false, &value);
        // SAFETY: the value is written next, in the shape made for it.
        unsafe {
            let blob = Self::alloc(shape, key);
            blob.write_value(shape, value);
            blob
        }
    }

    /// Writes the value of a block whose old value has been moved out, dropped, or was never there.
    ///
    /// # Safety
    /// The block has this shape and the shape fits the value (`shape_for`, with any `ttl`).
    pub(crate) unsafe fn write_value(self, shape: Shape, value: NewValue<'_, V>) {
        let at = self.at.as_ptr();
        // SAFETY: offsets below shape.used(); Vec<u8> and V lie at aligned offsets of a 16-aligned block.
        unsafe {
            match value {
                NewValue::Int(n) => at.add(5).cast::<i64>().write_unaligned(n),
                NewValue::Object(v) => at.add(Self::OBJECT_OFF).cast::<V>().write(v),
                NewValue::Bytes(b) => match shape.kind {
                    Kind::Heap => at.add(8).cast::<Vec<u8>>().write(b.to_vec()),
                    kind => {
                        if kind == Kind::Bytes8 {
                            at.add(5).write(b.len() as u8);
                        } else {
                            at.add(5).cast::<u16>().write_unaligned(b.len() as u16);
                        }
                        let to = at.add(shape.key_off::<V>() + shape.key_len);
                        // The source may be the value itself (copied onto itself): ranges may overlap.
                        ptr::copy(b.as_ptr(), to, b.len());
                    }
                },
            }
        }
    }

    #[inline]
    fn cell(&self) -> &Cell<u32> {
        // SAFETY: the word lies at offset 0, aligned, and is only reached through this cell.
        unsafe { self.at.cast::<Cell<u32>>().as_ref() }
    }

    #[inline]
    pub(crate) fn word(self) -> u32 {
        self.cell().get()
    }

    #[inline]
    pub(crate) fn set_word(self, word: u32) {
        self.cell().set(word);
    }

    #[inline]
    pub(crate) fn kind(self) -> Kind {
        match self.word() & 7 {
            0 => Kind::Int,
            1 => Kind::Bytes8,
            2 => Kind::Bytes16,
            3 => Kind::Heap,
            _ => Kind::Object,
        }
    }

    #[inline]
    pub(crate) fn has_ttl(self) -> bool {
        self.word() & TTL != 0
    }

    #[inline]
    fn fixed(self) -> usize {
        (Self::FIXED >> (8 * (self.word() & 7))) as usize & 0xff
    }

    /// Offset and length of the key.
    #[inline]
    fn key_span(self) -> (usize, usize) {
        let at = self.at.as_ptr();
        // SAFETY: byte 4 and, behind the fixed part, the long length are within the block.
        unsafe {
            let short = at.add(4).read();
            let ttl = (self.word() & TTL) as usize;
            if short < LONG_KEY {
                (self.fixed() + ttl, short as usize)
            } else {
                let len = at.add(self.fixed()).cast::<u32>().read_unaligned();
                (self.fixed() + 4 + ttl, len as usize)
            }
        }
    }

    #[inline]
    pub(crate) fn key<'a>(self) -> &'a [u8] {
        let (off, len) = self.key_span();
        // SAFETY: the key lies there; 'a is bound by the callers to the borrow of the block.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().add(off), len) }
    }

    #[inline]
    fn inline_len(self) -> usize {
        // SAFETY: the length lies at offset 5 in these kinds.
        unsafe {
            match self.kind() {
                Kind::Bytes8 => self.at.as_ptr().add(5).read() as usize,
                Kind::Bytes16 => self.at.as_ptr().add(5).cast::<u16>().read_unaligned() as usize,
                Kind::Int | Kind::Heap | Kind::Object => 0,
            }
        }
    }

    #[inline]
    pub(crate) fn value<'a>(self) -> ValueRef<'a, V> {
        let at = self.at.as_ptr();
        // SAFETY: each kind's value lies where write_value put it; 'a as in `key`.
        unsafe {
            match self.kind() {
                Kind::Int => ValueRef::Int(at.add(5).cast::<i64>().read_unaligned()),
                Kind::Bytes8 | Kind::Bytes16 => {
                    let (off, len) = self.key_span();
                    ValueRef::Bytes(std::slice::from_raw_parts(
                        at.add(off + len),
                        self.inline_len(),
                    ))
                }
                Kind::Heap => ValueRef::Bytes(&*at.add(8).cast::<Vec<u8>>()),
                Kind::Object => ValueRef::Object(&*at.add(Self::OBJECT_OFF).cast::<V>()),
            }
        }
    }

    /// The integer of an Int block, without looking at the kind.
    #[inline]
    pub(crate) fn int_unchecked(self) -> i64 {
        debug_assert_eq!(self.kind(), Kind::Int);
        // SAFETY: bytes 5..13 are within the block (at least 16 bytes) whatever the kind, and initialised in Int.
        unsafe { self.at.as_ptr().add(5).cast::<i64>().read_unaligned() }
    }

    /// Overwrites an integer; false if the value is none.
    #[inline]
    pub(crate) fn write_int_in_place(self, n: i64) -> bool {
        if self.kind() != Kind::Int {
            return false;
        }
        // SAFETY: an Int block holds its value there; nobody borrows it, for `value` copies integers out.
        unsafe { self.at.as_ptr().add(5).cast::<i64>().write_unaligned(n) };
        true
    }

    #[inline]
    pub(crate) fn expire_ms(self) -> Option<u64> {
        if !self.has_ttl() {
            return None;
        }
        let (off, _) = self.key_span();
        // SAFETY: with the ttl bit the 8 bytes before the key are the expiry.
        Some(unsafe { self.at.as_ptr().add(off - 8).cast::<u64>().read_unaligned() })
    }

    /// Sets the expiry of a block that has room for one.
    pub(crate) fn write_expire(self, ms: u64) {
        assert!(self.has_ttl());
        let (off, _) = self.key_span();
        // SAFETY: as in expire_ms.
        unsafe { self.at.as_ptr().add(off - 8).cast::<u64>().write_unaligned(ms) }
    }

    pub(crate) fn shape(self) -> Shape {
        let (_, key_len) = self.key_span();
        Shape { kind: self.kind(), ttl: self.has_ttl(), key_len, inline_len: self.inline_len() }
    }

    pub(crate) fn mem_bytes(self) -> usize {
        self.shape().size::<V>() + self.heap().map_or(0, |v| round_up(v.capacity()))
    }

    /// The heap buffer, if the value has one.
    fn heap<'a>(self) -> Option<&'a Vec<u8>> {
        // SAFETY: in Heap blocks a Vec<u8> lies at offset 8.
        (self.kind() == Kind::Heap).then(|| unsafe { &*self.at.as_ptr().add(8).cast::<Vec<u8>>() })
    }

    /// The heap buffer for writing.
    ///
    /// # Safety
    /// Nothing else refers to the value for `'a`.
    pub(crate) unsafe fn heap_mut<'a>(self) -> Option<&'a mut Vec<u8>> {
        let at = self.at.as_ptr();
        // SAFETY: as in heap; unique by the caller's promise.
        (self.kind() == Kind::Heap).then(|| unsafe { &mut *at.add(8).cast::<Vec<u8>>() })
    }

    /// The object for writing.
    ///
    /// # Safety
    /// Nothing else refers to the value for `'a`.
    #[inline]
    pub(crate) unsafe fn object_mut<'a>(self) -> Option<&'a mut V> {
        let at = self.at.as_ptr();
        // SAFETY: in Object blocks a V lies there; unique by the caller's promise.
        (self.kind() == Kind::Object).then(|| unsafe { &mut *at.add(Self::OBJECT_OFF).cast::<V>() })
    }

    /// The inline string for writing (not its length).
    ///
    /// # Safety
    /// Nothing else refers to the value for `'a`.
    pub(crate) unsafe fn inline_mut<'a>(self) -> &'a mut [u8] {
        let (off, len) = self.key_span();
        // SAFETY: the inline value follows the key; unique by the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(self.at.as_ptr().add(off + len), self.inline_len())
        }
    }

    /// Moves an object out or drops a heap buffer; afterwards the value counts as unwritten.
    ///
    /// # Safety
    /// The value is written; the block is next written by `write_value` or freed by `free_block`.
    pub(crate) unsafe fn take_value(self) -> Option<V> {
        let at = self.at.as_ptr();
        // SAFETY: the value is read once: the caller treats it as gone.
        unsafe {
            match self.kind() {
                Kind::Object => Some(at.add(Self::OBJECT_OFF).cast::<V>().read()),
                Kind::Heap => {
                    at.add(8).cast::<Vec<u8>>().drop_in_place();
                    None
                }
                Kind::Int | Kind::Bytes8 | Kind::Bytes16 => None,
            }
        }
    }

    /// Returns the memory of the block; `shape` is its shape.
    ///
    /// # Safety
    /// The value has been taken or moved; nobody uses the block again.
    pub(crate) unsafe fn free_block(self) {
        let layout = Self::layout(self.shape().size::<V>());
        // SAFETY: the block was allocated with this layout: the shape is read from the block itself.
        unsafe { dealloc(self.at.as_ptr(), layout) }
    }

    /// Drops the value and frees the block.
    ///
    /// # Safety
    /// Nobody uses the block again.
    pub(crate) unsafe fn free(self) {
        // SAFETY: take, then free, as each asks.
        unsafe {
            let value = self.take_value();
            self.free_block();
            drop(value);
        }
    }

    /// Moves the entry into a new block: same value, access and user bits, with `key` and with or without an
    /// expiry (the old one, else 0 until written). The old block is freed.
    ///
    /// # Safety
    /// Nobody uses the old block again; `key` does not lie in it (`None` keeps the old key).
    pub(crate) unsafe fn rebuild(self, key: Option<&[u8]>, ttl: bool) -> Self {
        let old = self.shape();
        let key = key.unwrap_or_else(|| self.key());
        // An inline string stays inline: its kind depends on its length alone.
        let shape = Shape { ttl, key_len: key.len(), ..old };
        // SAFETY: the value is moved bit by bit from the old block, which is freed without dropping it.
        unsafe {
            let new = Self::alloc(shape, key);
            new.set_word(new.word() | self.word() & !(TTL | 7));
            let (from, to) = (self.at.as_ptr(), new.at.as_ptr());
            let fixed = Self::fixed_len(old.kind);
            ptr::copy_nonoverlapping(from.add(5), to.add(5), fixed - 5);
            let tail = (old.key_off::<V>() + old.key_len, shape.key_off::<V>() + shape.key_len);
            ptr::copy_nonoverlapping(from.add(tail.0), to.add(tail.1), old.inline_len);
            if let (true, Some(ms)) = (ttl, self.expire_ms()) {
                new.write_expire(ms);
            }
            self.free_block();
            new
        }
    }

    /// Replaces the value; access, user bits and expiry stay. In place if shape and size class allow, else in a new
    /// block (the old one is freed). Returns the block and the object that was there.
    ///
    /// # Safety
    /// Nobody uses the old block again, unless it is the one returned, nor the old value.
    pub(crate) unsafe fn replace_value(self, value: NewValue<'_, V>) -> (Self, Option<V>) {
        let old = self.shape();
        let shape = Self::shape_for(old.key_len, old.ttl, &value);
        if let NewValue::Bytes(bytes) = &value {
            // SAFETY: the caller's promise: nobody else uses the value.
            let heap = unsafe { self.heap_mut() };
            match heap {
                Some(v)
                    if shape.kind == Kind::Heap
                        && round_up(v.capacity()) == round_up(bytes.len()) =>
                {
                    v.clear();
                    v.extend_from_slice(bytes);
                    return (self, None);
                }
                None if shape == old => {
                    // SAFETY: as above.
                    let inline = unsafe { self.inline_mut() };
                    inline.copy_from_slice(bytes);
                    return (self, None);
                }
                _ => {}
            }
        }
        // SAFETY: the old value is taken before the new one is written; the key is copied before the old
        // block goes. A value borrowed from this very block is not possible: the caller holds the table mutably.
        unsafe {
            let taken = self.take_value();
            if shape.kind == old.kind && shape.size::<V>() == old.size::<V>() {
                self.write_value(shape, value);
                return (self, taken);
            }
            let new = Self::alloc(shape, self.key());
            new.set_word(new.word() | self.word() & !(TTL | 7));
            if let Some(ms) = self.expire_ms() {
                new.write_expire(ms);
            }
            new.write_value(shape, value);
            self.free_block();
            (new, taken)
        }
    }

    /// Moves an inline string (or an integer's decimal form, given as `text`) into a heap buffer.
    ///
    /// # Safety
    /// As for `replace_value`; the value is not an object.
    pub(crate) unsafe fn into_heap(self, buffer: Vec<u8>) -> Self {
        let old = self.shape();
        let shape = Shape { kind: Kind::Heap, inline_len: 0, ..old };
        // SAFETY: the old value is not an object; a heap buffer in its place is dropped by take_value.
        unsafe {
            self.take_value();
            let new = Self::alloc(shape, self.key());
            new.set_word(new.word() | self.word() & !(TTL | 7));
            if let Some(ms) = self.expire_ms() {
                new.write_expire(ms);
            }
            new.at.as_ptr().add(8).cast::<Vec<u8>>().write(buffer);
            self.free_block();
            new
        }
    }
}
