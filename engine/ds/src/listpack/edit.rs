//! Changes of a listpack: where its bytes move, and how little.

use super::entry::{Encoded, entry_size, read_entry};
use super::{BYTES_MAX, COUNT_MAX, Head, Listpack, Pos};
use crate::block::Block;
use crate::item::Item;
use crate::sizeclass::class_size;

impl Listpack {
    /// Makes a gap of `n` bytes for `count` entries at offset `at` of the entries and counts it in.
    pub(super) fn open(&mut self, at: usize, n: usize, count: usize) -> &mut [u8] {
        let mut h = self.head();
        assert!(
            h.used + n <= BYTES_MAX && h.count + count <= COUNT_MAX,
            "listpack over its limits"
        );
        let front = (at == 0 && h.used > 0)
            || (h.hole >= n && (at < h.used - at || (h.tail() < n && at < h.used)));
        if (if front { h.hole } else { h.tail() }) < n {
            self.grow(n, front);
            h = self.head();
        }
        let data = self.0.data_mut(h.class);
        let start = if front {
            data.copy_within(h.hole..h.hole + at, h.hole - n);
            h.hole -= n;
            h.hole + at
        } else {
            let start = h.hole + at;
            data.copy_within(start..h.hole + h.used, start + n);
            start
        };
        h.used += n;
        h.count += count;
        self.set_head(h);
        &mut self.0.data_mut(h.class)[start..start + n]
    }

    /// Gets at least `n` free bytes at one end: by sliding the entries if that gains enough to
    /// pay for the move, else by a larger block.
    #[cold]
    pub(super) fn grow(&mut self, n: usize, front: bool) {
        let mut h = self.head();
        let cap = Block::<0>::capacity(h.class);
        let free = cap - h.used;
        if free >= n && free >= h.used / 8 {
            // Leave a quarter of the room on the other side, for those who use both ends.
            let keep = (free - n) / 4;
            self.slide(&mut h, if front { free - keep } else { keep });
            self.set_head(h);
            return;
        }
        let class = Block::<0>::class_for(h.used + n).max(h.class + 1);
        if h.class == 0 {
            self.0 = Block::alloc(class);
            h.class = class;
        } else if front {
            let mut block = Block::<0>::alloc(class);
            let hole = Block::<0>::capacity(class) - h.used;
            block.data_mut(class)[hole..].copy_from_slice(self.entries());
            self.0.free(h.class);
            self.0 = block;
            h.class = class;
            h.hole = hole;
        } else {
            self.slide(&mut h, 0);
            self.0.resize(h.class, class);
            h.class = class;
        }
        self.set_head(h);
    }

    fn slide(&mut self, h: &mut Head, hole: usize) {
        self.0.data_mut(h.class).copy_within(h.hole..h.hole + h.used, hole);
        h.hole = hole;
    }

    /// Removes `n` bytes holding `count` entries at offset `at`.
    pub(super) fn close(&mut self, at: usize, n: usize, count: usize) {
        let mut h = self.head();
        let data = self.0.data_mut(h.class);
        let (start, end) = (h.hole + at, h.hole + h.used);
        let after = h.used - at - n;
        if at < after {
            data.copy_within(h.hole..start, h.hole + n);
            h.hole += n;
        } else {
            data.copy_within(start + n..end, start);
        }
        h.used -= n;
        h.count -= count;
        if h.used == 0 {
            h.hole = 0;
        }
        let fit = Block::<0>::class_for(h.used.max(8));
        if class_size(fit) * 2 < class_size(h.class) {
            self.slide(&mut h, 0);
            self.0.resize(h.class, fit);
            h.class = fit;
        }
        self.set_head(h);
    }

    /// Gives back slack, hole included.
    pub fn shrink_to_fit(&mut self) {
        let mut h = self.head();
        if h.class == 0 {
            return;
        }
        if h.count == 0 && !h.mark {
            self.0.free(h.class);
            return;
        }
        self.slide(&mut h, 0);
        let fit = Block::<0>::class_for(h.used);
        self.0.resize(h.class, fit);
        h.class = fit;
        self.set_head(h);
    }

    /// Makes room for `n` more bytes of entries at the end.
    pub fn reserve(&mut self, n: usize) {
        if n > 0 && self.head().tail() < n {
            self.grow(n, false);
        }
    }

    /// Inserts an element in front of the entry at `pos`, or at the end for [`Listpack::end`].
    ///
    /// # Panics
    /// If the result exceeds [`BYTES_MAX`] or [`COUNT_MAX`]; see [`Listpack::fits`].
    pub fn insert<'a>(&mut self, pos: Pos, item: impl Into<Item<'a>>) {
        let item = Encoded::new(item.into());
        item.write(self.open(pos.0, item.size(), 1));
    }

    /// Appends an element. Panics as [`Listpack::insert`].
    #[inline]
    pub fn push_back<'a>(&mut self, item: impl Into<Item<'a>>) {
        let end = self.end();
        self.insert(end, item);
    }

    /// Prepends an element. Panics as [`Listpack::insert`].
    #[inline]
    pub fn push_front<'a>(&mut self, item: impl Into<Item<'a>>) {
        self.insert(Pos(0), item);
    }

    /// Replaces the element at `pos`, in place if the size is the same. The position stays valid.
    pub fn replace<'a>(&mut self, pos: Pos, item: impl Into<Item<'a>>) {
        let item = Encoded::new(item.into());
        let (old, new) = (entry_size(self.entries(), pos.0), item.size());
        if old == new {
            let h = self.head();
            let at = h.hole + pos.0;
            item.write(&mut self.0.data_mut(h.class)[at..at + new]);
            return;
        }
        if new > old {
            // The wider entry overwrites the old one, so only the difference is opened.
            let h = self.head();
            assert!(h.used + (new - old) <= BYTES_MAX, "listpack over its limits");
            self.open(pos.0 + old, new - old, 0);
        } else {
            self.close(pos.0 + new, old - new, 0);
        }
        let h = self.head();
        let at = h.hole + pos.0;
        item.write(&mut self.0.data_mut(h.class)[at..at + new]);
    }

    /// Removes the entry at `pos`; afterwards the same position is that of the next entry, which
    /// is returned if there is one.
    pub fn remove(&mut self, pos: Pos) -> Option<Pos> {
        self.remove_n(pos, 1)
    }

    /// Removes up to `n` entries from `pos` on; returns the position of the entry after them.
    pub fn remove_n(&mut self, pos: Pos, n: usize) -> Option<Pos> {
        let bytes = self.entries();
        let (mut at, mut count) = (pos.0, 0);
        while count < n && at < bytes.len() {
            at += entry_size(bytes, at);
            count += 1;
        }
        if count > 0 {
            self.close(pos.0, at - pos.0, count);
        }
        (pos.0 < self.used_bytes()).then_some(pos)
    }

    /// Removes up to `n` entries at the end.
    pub fn truncate_back(&mut self, n: usize) {
        let n = n.min(self.len());
        if n > 0 {
            let from = self.seek(self.len() - n).expect("below the count");
            self.close(from.0, self.used_bytes() - from.0, n);
        }
    }

    /// Takes the first element out through `f`.
    #[inline]
    pub fn pop_front<R>(&mut self, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let pos = self.first()?;
        let bytes = self.entries();
        let (item, next) = read_entry(bytes, pos.0);
        let out = f(item);
        self.close(0, next, 1);
        Some(out)
    }

    /// Takes the last element out through `f`.
    #[inline]
    pub fn pop_back<R>(&mut self, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let pos = self.last()?;
        let bytes = self.entries();
        let (item, next) = read_entry(bytes, pos.0);
        let out = f(item);
        self.close(pos.0, next - pos.0, 1);
        Some(out)
    }

    /// Splits off the entries from `pos` on; `index` is the number of entries before it.
    pub fn split_off(&mut self, pos: Pos, index: usize) -> Listpack {
        let mut right = Listpack::new();
        let count = self.len() - index;
        if count > 0 {
            let bytes = &self.entries()[pos.0..];
            right.append_raw(bytes, count);
            let n = bytes.len();
            self.close(pos.0, n, count);
        }
        right
    }

    /// Appends all entries of another listpack. Panics as [`Listpack::insert`].
    pub fn append(&mut self, other: &Listpack) {
        if !other.is_empty() {
            self.append_raw(other.entries(), other.len());
        }
    }
}
