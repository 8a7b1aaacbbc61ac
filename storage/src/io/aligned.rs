//! Byte buffers at the alignment direct I/O asks for, without `unsafe`: a larger vector and an offset.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Alignment of every [`AlignedBuf`] and of direct I/O in the real drivers, in bytes.
pub(crate) const ALIGNMENT: usize = 4096;
/// Largest buffer kept for reuse, in bytes.
const KEEP_BYTES: usize = 1 << 20;
/// Buffers kept for reuse.
const KEEP_COUNT: usize = 4;

/// Bytes whose first address is a multiple of [`ALIGNMENT`].
pub(crate) struct AlignedBuf {
    storage: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuf {
    /// A zeroed buffer.
    pub(crate) fn zeroed(len: usize) -> Self {
        let storage = vec![0; len + ALIGNMENT];
        let start = storage.as_ptr().align_offset(ALIGNMENT);
        Self { storage, start, len }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.start + self.len]
    }
}

/// A few buffers kept between operations.
#[derive(Default)]
pub(crate) struct BufCache(RefCell<Vec<AlignedBuf>>);

impl BufCache {
    /// A buffer of `len` bytes with unspecified content.
    pub(crate) fn take(&self, len: usize) -> AlignedBuf {
        let mut kept = self.0.borrow_mut();
        let fits = kept.iter().position(|b| b.storage.len() >= len + ALIGNMENT);
        match fits {
            Some(i) => {
                let mut b = kept.swap_remove(i);
                b.len = len;
                b
            }
            None => AlignedBuf::zeroed(len.next_power_of_two()).shortened(len),
        }
    }

    /// Gives a buffer back.
    pub(crate) fn give(&self, buf: AlignedBuf) {
        let mut kept = self.0.borrow_mut();
        if buf.storage.len() <= KEEP_BYTES + ALIGNMENT && kept.len() < KEEP_COUNT {
            kept.push(buf);
        }
    }
}

impl AlignedBuf {
    fn shortened(mut self, len: usize) -> Self {
        self.len = len;
        self
    }
}
