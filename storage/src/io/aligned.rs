//! Byte buffers at the alignment direct I/O asks for, without `unsafe`: a larger vector and an offset.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut, Range};

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

/// Room for bytes of a file, aligned, with other room before it: what is read is used where it lies, behind
/// what was left of the bytes before.
pub struct Piece {
    storage: Vec<u8>,
    start: usize,
    room: usize,
    len: usize,
}

impl Piece {
    /// Room for `room` bytes behind at least `front` others, in this storage if it is large enough.
    pub fn new(storage: Vec<u8>, front: usize, room: usize) -> Piece {
        let room = room.next_multiple_of(ALIGNMENT);
        let needed = front + ALIGNMENT + room;
        let storage = if storage.len() < needed { vec![0; needed] } else { storage };
        let start = front + storage[front..].as_ptr().align_offset(ALIGNMENT);
        Piece { storage, start, room, len: 0 }
    }

    /// Bytes there is room for.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Bytes that are there.
    #[expect(clippy::len_without_is_empty, reason = "how far a read came")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies bytes in, as many as there is room for.
    pub fn fill(&mut self, bytes: &[u8]) {
        self.len = bytes.len().min(self.room);
        self.storage[self.start..self.start + self.len].copy_from_slice(&bytes[..self.len]);
    }

    /// The room, and where to note how many bytes of it hold something.
    pub(crate) fn parts_mut(&mut self) -> (&mut [u8], &mut usize) {
        (&mut self.storage[self.start..self.start + self.room], &mut self.len)
    }

    /// The storage, and where in it the bytes are.
    pub fn into_parts(self) -> (Vec<u8>, Range<usize>) {
        (self.storage, self.start..self.start + self.len)
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
