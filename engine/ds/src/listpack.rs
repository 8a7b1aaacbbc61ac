//! A packed sequence of byte strings and integers in one allocation.
//!
//! The entries are those of Redis' listpack (<https://github.com/antirez/listpack>), so that a
//! dump or a Redis RDB file can take and give the bytes as they are; what is around them is
//! ours. The owner is one pointer; the block starts with one word
//!
//! | bits | field | meaning |
//! |---|---|---|
//! | 0..30 | used | bytes of entries |
//! | 30..54 | count | number of entries |
//! | 54..61 | class | size class of the block |
//! | 61..63 | hole | how many free bytes lie in front of the entries: 0: none, 1: one, 2: a `u16`, 3: a `u32` stored in the hole itself |
//! | 63 | mark | one bit for the owner |
//!
//! followed by hole, entries and slack. The hole is what makes both ends cheap: taking the first
//! entry widens it, and a push at the front fills it, so neither moves the other entries. A
//! move happens only when a whole eighth of the block has been gained or lost.
//! What an entry looks like is in `entry.rs`.

use std::fmt;

use crate::block::{Block, HEADER};
use crate::item::Item;
use crate::sizeclass::class_size;

mod cursor;
mod edit;
mod entry;
mod iter;

pub use cursor::Cursor;
pub use iter::Iter;

use entry::{Encoded, back_size, entry_size, entry_start, read_entry, read_u32, write_back};

/// The most bytes of entries one listpack holds.
pub const BYTES_MAX: usize = (1 << 30) - 1;
/// The most entries one listpack holds.
pub const COUNT_MAX: usize = (1 << 24) - 1;

/// Bytes that Redis' listpack has around the entries (6 in front, 1 after), added where a rule
/// of Redis speaks of a listpack's size.
const REDIS_FRAME: usize = 7;

/// A packed sequence of byte strings and integers; see the module page.
#[repr(transparent)]
pub struct Listpack(Block<0>);

/// Where an entry starts. Any change of the listpack makes it stale.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pos(usize);

/// Bytes that are not a sequence of listpack entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadEntries {
    /// Offset of the entry that is wrong.
    pub offset: usize,
    /// What is wrong with it.
    pub cause: &'static str,
}

impl fmt::Display for BadEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listpack entry at {}: {}", self.offset, self.cause)
    }
}

impl std::error::Error for BadEntries {}

/// The header word, taken apart.
#[derive(Clone, Copy)]
struct Head {
    used: usize,
    count: usize,
    class: u8,
    hole: usize,
    mark: bool,
}

impl Head {
    #[inline]
    fn tail(&self) -> usize {
        Block::<0>::capacity(self.class) - self.hole - self.used
    }
}

impl Listpack {
    /// An empty listpack; owns no memory yet.
    #[inline]
    pub const fn new() -> Listpack {
        Listpack(Block::empty())
    }

    #[inline]
    fn head(&self) -> Head {
        let word = self.0.header();
        let class = (word >> 54 & 0x7F) as u8;
        let hole = match word >> 61 & 3 {
            0 => 0,
            1 => 1,
            2 => {
                let d = self.0.data(class);
                usize::from(u16::from_le_bytes([d[0], d[1]]))
            }
            _ => read_u32(self.0.data(class), 0),
        };
        Head {
            used: (word & 0x3FFF_FFFF) as usize,
            count: (word >> 30 & 0xFF_FFFF) as usize,
            class,
            hole,
            mark: word >> 63 != 0,
        }
    }

    #[inline]
    fn set_head(&mut self, h: Head) {
        let kind = match h.hole {
            0 => 0u64,
            1 => 1,
            n @ 2..=0xFFFF => {
                self.0.data_mut(h.class)[..2].copy_from_slice(&(n as u16).to_le_bytes());
                2
            }
            n => {
                self.0.data_mut(h.class)[..4].copy_from_slice(&(n as u32).to_le_bytes());
                3
            }
        };
        self.0.set_header(
            h.used as u64
                | (h.count as u64) << 30
                | u64::from(h.class) << 54
                | kind << 61
                | u64::from(h.mark) << 63,
        );
    }

    /// Number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        (self.0.header() >> 30 & 0xFF_FFFF) as usize
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the entries.
    #[inline]
    pub fn used_bytes(&self) -> usize {
        (self.0.header() & 0x3FFF_FFFF) as usize
    }

    /// Bytes of a Redis listpack with the same entries, for rules about its size.
    #[inline]
    pub fn redis_bytes(&self) -> usize {
        self.used_bytes() + REDIS_FRAME
    }

    /// Heap bytes, as the allocator counts them.
    #[inline]
    pub fn mem_bytes(&self) -> usize {
        class_size((self.0.header() >> 54 & 0x7F) as u8)
    }

    /// The owner's bit.
    #[inline]
    pub fn mark(&self) -> bool {
        self.0.header() >> 63 != 0
    }

    /// Sets the owner's bit. It takes an entry to hold it: on an empty listpack without memory
    /// a small block is allocated.
    pub fn set_mark(&mut self, mark: bool) {
        if self.head().class == 0 {
            if !mark {
                return;
            }
            self.grow(8, false);
        }
        let h = Head { mark, ..self.head() };
        self.set_head(h);
    }

    /// Whether another element of `len` bytes stays within what a listpack can hold.
    #[inline]
    pub fn fits(&self, len: usize) -> bool {
        self.used_bytes() + len + 10 <= BYTES_MAX && self.len() < COUNT_MAX
    }

    /// The entries as stored, for a format that takes listpack entries verbatim.
    #[inline]
    pub fn entries(&self) -> &[u8] {
        let h = self.head();
        &self.0.data(h.class)[h.hole..h.hole + h.used]
    }

    /// Takes entries from outside, after checking all of them.
    ///
    /// # Errors
    /// [`BadEntries`] names the first entry that is cut, contradicts its own length or does not
    /// hold its value in the one form this module writes.
    pub fn from_entries(bytes: &[u8]) -> Result<Listpack, BadEntries> {
        let bad = |offset, cause| Err(BadEntries { offset, cause });
        if bytes.len() > BYTES_MAX {
            return bad(BYTES_MAX, "over 1 GiB");
        }
        let (mut at, mut count) = (0, 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            let need = match rest[0] {
                0xE0..=0xEF => 2,
                0xF0 => 5,
                0xF5.. => return bad(at, "unknown type"),
                _ => 1,
            };
            if rest.len() < need {
                return bad(at, "cut");
            }
            let size = entry_size(bytes, at);
            if rest.len() < size {
                return bad(at, "cut");
            }
            // One form per value, so that searching may compare stored bytes. Digits kept as a
            // string would compare unequal to the integer.
            let again = Encoded::new(match read_entry(bytes, at).0 {
                Item::Bytes(b) => Item::from(b),
                int => int,
            });
            if again.size() != size || !again.is_at(bytes, at) {
                return bad(at, "not the shortest form");
            }
            let mut back = [0; 5];
            let back = &mut back[..back_size(again.len())];
            write_back(back, again.len());
            if !rest[..size].ends_with(back) {
                return bad(at, "length at the end differs");
            }
            at += size;
            count += 1;
        }
        if count > COUNT_MAX {
            return bad(at, "too many entries");
        }
        let mut pack = Listpack::new();
        if count > 0 {
            pack.append_raw(bytes, count);
        }
        Ok(pack)
    }

    fn append_raw(&mut self, bytes: &[u8], count: usize) {
        let end = self.used_bytes();
        self.open(end, bytes.len(), count).copy_from_slice(bytes);
    }

    // Positions.

    /// The first entry.
    #[inline]
    pub fn first(&self) -> Option<Pos> {
        (!self.is_empty()).then_some(Pos(0))
    }

    /// The last entry.
    #[inline]
    pub fn last(&self) -> Option<Pos> {
        let bytes = self.entries();
        (!bytes.is_empty()).then(|| Pos(entry_start(bytes, bytes.len())))
    }

    /// The entry after the one at `pos`.
    #[inline]
    pub fn next(&self, pos: Pos) -> Option<Pos> {
        let bytes = self.entries();
        let at = pos.0 + entry_size(bytes, pos.0);
        (at < bytes.len()).then_some(Pos(at))
    }

    /// The entry before the one at `pos`.
    #[inline]
    pub fn prev(&self, pos: Pos) -> Option<Pos> {
        (pos.0 > 0).then(|| Pos(entry_start(self.entries(), pos.0)))
    }

    /// The position behind the last entry, where an insert appends.
    #[inline]
    pub fn end(&self) -> Pos {
        Pos(self.used_bytes())
    }

    /// The entry number `index`, walking from the nearer end.
    pub fn seek(&self, index: usize) -> Option<Pos> {
        let count = self.len();
        if index >= count {
            return None;
        }
        let bytes = self.entries();
        let mut at = 0;
        if index <= count / 2 {
            for _ in 0..index {
                at += entry_size(bytes, at);
            }
        } else {
            at = bytes.len();
            for _ in index..count {
                at = entry_start(bytes, at);
            }
        }
        Some(Pos(at))
    }

    /// The element at a position.
    #[inline]
    pub fn get(&self, pos: Pos) -> Item<'_> {
        read_entry(self.entries(), pos.0).0
    }

    /// The element at a position and the position after it.
    #[inline]
    pub fn get_next(&self, pos: Pos) -> (Item<'_>, Option<Pos>) {
        let bytes = self.entries();
        let (item, next) = read_entry(bytes, pos.0);
        (item, (next < bytes.len()).then_some(Pos(next)))
    }

    /// The element number `index`.
    pub fn index(&self, index: usize) -> Option<Item<'_>> {
        self.seek(index).map(|pos| self.get(pos))
    }

    /// The first entry at or after `from` equal to `item`, looking at one entry and then
    /// skipping `skip`: 0 searches every entry, 1 the first of each pair.
    pub fn find(&self, from: Option<Pos>, item: Item<'_>, skip: usize) -> Option<Pos> {
        let want = Encoded::new(item);
        let bytes = self.entries();
        let mut at = from?.0;
        while at < bytes.len() {
            if want.is_at(bytes, at) {
                return Some(Pos(at));
            }
            at += entry_size(bytes, at);
            for _ in 0..skip {
                if at >= bytes.len() {
                    return None;
                }
                at += entry_size(bytes, at);
            }
        }
        None
    }

    /// The elements, from either end.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        let bytes = self.entries();
        Iter::new(bytes, Pos(0), Pos(bytes.len()), self.len())
    }

    /// The elements from `pos` on, which is that of element `index`.
    pub fn iter_from(&self, pos: Pos, index: usize) -> Iter<'_> {
        let bytes = self.entries();
        Iter::new(bytes, pos, Pos(bytes.len()), self.len() - index)
    }

    /// The first `count` elements, which end at `pos`, from either end.
    pub fn iter_until(&self, pos: Pos, count: usize) -> Iter<'_> {
        Iter::new(self.entries(), Pos(0), pos, count)
    }

    /// The elements number `from..to`, which must be ascending, from either end.
    pub fn iter_range(&self, from: usize, to: usize) -> Iter<'_> {
        let to = to.min(self.len());
        let from = from.min(to);
        let front = self.seek(from).unwrap_or(self.end());
        let back = self.seek(to).unwrap_or(self.end());
        Iter::new(self.entries(), front, back, to - from)
    }
}

impl Drop for Listpack {
    #[inline]
    fn drop(&mut self) {
        let class = (self.0.header() >> 54 & 0x7F) as u8;
        self.0.free(class);
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Listpack::new()
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        let mut copy = Listpack::new();
        copy.append(self);
        if self.mark() {
            copy.set_mark(true);
        }
        copy
    }
}

impl fmt::Debug for Listpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for item in self {
            match item {
                Item::Int(n) => list.entry(&n),
                Item::Bytes(b) => list.entry(&b.escape_ascii().to_string()),
            };
        }
        list.finish()
    }
}

const _: () = assert!(size_of::<Listpack>() == 8 && HEADER == 8);

#[cfg(test)]
mod tests;
