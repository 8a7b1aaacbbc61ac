//! Going over the elements of a listpack.

use super::entry::{entry_start, read_entry};
use super::{Listpack, Pos};
use crate::item::{Item, ItemBuf};

impl<'a> IntoIterator for &'a Listpack {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a, T: Into<Item<'a>>> FromIterator<T> for Listpack {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut pack = Listpack::new();
        for item in items {
            pack.push_back(item);
        }
        pack
    }
}

/// The elements of a [`Listpack`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
    left: usize,
}

impl<'a> Iter<'a> {
    /// The `left` elements of `bytes` from one position up to another.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], front: Pos, back: Pos, left: usize) -> Iter<'a> {
        Iter { bytes, front: front.0, back: back.0, left }
    }

    /// Position of the element that `next` would give.
    #[inline]
    pub fn pos(&self) -> Pos {
        Pos(self.front)
    }

    /// Compares each element's bytes without printing integers into a buffer of the caller.
    pub fn bytes_eq(self, other: Iter<'_>) -> bool {
        let (mut a, mut b) = (ItemBuf::new(), ItemBuf::new());
        self.left == other.left
            && self.zip(other).all(|(x, y)| x.as_bytes(&mut a) == y.as_bytes(&mut b))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (item, next) = read_entry(self.bytes, self.front);
        self.front = next;
        self.left -= 1;
        Some(item)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = entry_start(self.bytes, self.back);
        self.left -= 1;
        Some(read_entry(self.bytes, self.back).0)
    }
}

impl ExactSizeIterator for Iter<'_> {}
