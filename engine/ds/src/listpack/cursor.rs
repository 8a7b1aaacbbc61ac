//! A place in a listpack that steps over entries either way.

use super::entry::{entry_size, entry_start, read_entry};
use super::{Listpack, Pos};
use crate::item::Item;

/// A place between two entries. Cheap to copy, which is how a walk marks where it was.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Listpack {
    /// A cursor in front of the first entry.
    #[inline]
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { bytes: self.entries(), at: 0 }
    }

    /// A cursor behind the last entry.
    #[inline]
    pub fn cursor_end(&self) -> Cursor<'_> {
        let bytes = self.entries();
        Cursor { bytes, at: bytes.len() }
    }
}

impl<'a> Cursor<'a> {
    /// The position of the next entry.
    #[inline]
    pub fn pos(&self) -> Pos {
        Pos(self.at)
    }

    /// Whether no entry follows.
    #[inline]
    pub fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Steps over the entry before the cursor, backwards, and returns it.
    #[inline]
    pub fn back(&mut self) -> Option<Item<'a>> {
        if self.at == 0 {
            return None;
        }
        self.at = entry_start(self.bytes, self.at);
        Some(read_entry(self.bytes, self.at).0)
    }

    /// Steps over up to `n` entries.
    #[inline]
    pub fn skip_over(&mut self, n: usize) {
        for _ in 0..n {
            if self.at_end() {
                return;
            }
            self.at += entry_size(self.bytes, self.at);
        }
    }

    /// Steps over up to `n` entries backwards.
    #[inline]
    pub fn skip_back(&mut self, n: usize) {
        for _ in 0..n {
            if self.at == 0 {
                return;
            }
            self.at = entry_start(self.bytes, self.at);
        }
    }
}

impl<'a> Iterator for Cursor<'a> {
    type Item = Item<'a>;

    /// Steps over the next entry and returns it.
    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.at_end() {
            return None;
        }
        let (item, next) = read_entry(self.bytes, self.at);
        self.at = next;
        Some(item)
    }
}
