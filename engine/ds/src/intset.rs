//! A sorted set of integers in one allocation.
//!
//! All elements have the width of the widest one ever added (16, 32 or 64 bits, little-endian),
//! so membership is a binary search and small integers cost two bytes each. The width never
//! shrinks again, as in Redis' intset.c. The block starts with one word:
//!
//! | bits | field |
//! |---|---|
//! | 0..32 | number of elements |
//! | 32..39 | size class of the block |
//! | 40..42 | log2 of the element width in bytes: 1, 2 or 3 |

use std::fmt;

use crate::block::Block;
use crate::sizeclass::class_size;
use crate::thin::TAG_SECOND;

/// A sorted set of integers; see the module page.
#[repr(transparent)]
pub struct Intset(Block<TAG_SECOND>);

/// The most elements one intset holds: half a gibibyte of the widest.
pub const LEN_MAX: usize = 1 << 26;

#[derive(Clone, Copy)]
struct Head {
    len: usize,
    class: u8,
    width: u32,
}

/// log2 of the bytes `n` needs.
#[inline]
fn width_of(n: i64) -> u32 {
    if i64::from(n as i16) == n {
        1
    } else if i64::from(n as i32) == n {
        2
    } else {
        3
    }
}

#[inline]
fn read(data: &[u8], width: u32, index: usize) -> i64 {
    match width {
        1 => {
            let raw = data[index * 2..index * 2 + 2].try_into().expect("two bytes");
            i64::from(i16::from_le_bytes(raw))
        }
        2 => {
            let raw = data[index * 4..index * 4 + 4].try_into().expect("four bytes");
            i64::from(i32::from_le_bytes(raw))
        }
        _ => i64::from_le_bytes(data[index * 8..index * 8 + 8].try_into().expect("eight bytes")),
    }
}

#[inline]
fn write(data: &mut [u8], width: u32, index: usize, n: i64) {
    let size = 1 << width;
    data[index * size..(index + 1) * size].copy_from_slice(&n.to_le_bytes()[..size]);
}

impl Intset {
    /// An empty set; owns no memory yet.
    pub const fn new() -> Intset {
        Intset(Block::empty())
    }

    #[inline]
    fn head(&self) -> Head {
        let word = self.0.header();
        Head {
            len: (word & 0xFFFF_FFFF) as usize,
            class: (word >> 32 & 0x7F) as u8,
            width: ((word >> 40 & 3) as u32).max(1),
        }
    }

    fn set_head(&mut self, h: Head) {
        self.0.set_header(h.len as u64 | u64::from(h.class) << 32 | u64::from(h.width) << 40);
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        (self.0.header() & 0xFFFF_FFFF) as usize
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes, as the allocator counts them.
    #[inline]
    pub fn mem_bytes(&self) -> usize {
        class_size(self.head().class)
    }

    /// The element number `index` in ascending order.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        let h = self.head();
        (index < h.len).then(|| read(self.0.data(h.class), h.width, index))
    }

    /// The smallest element.
    pub fn min(&self) -> Option<i64> {
        self.get(0)
    }

    /// The largest element.
    pub fn max(&self) -> Option<i64> {
        self.get(self.len().wrapping_sub(1))
    }

    /// Where `n` is, or where it belongs.
    fn search(&self, n: i64) -> Result<usize, usize> {
        let h = self.head();
        let data = self.0.data(h.class);
        let (mut low, mut high) = (0, h.len);
        // Ascending inserts are common and need no search.
        if high > 0 && read(data, h.width, high - 1) < n {
            return Err(high);
        }
        while low < high {
            let mid = (low + high) / 2;
            let at = read(data, h.width, mid);
            if at == n {
                return Ok(mid);
            }
            if at < n {
                low = mid + 1;
            } else {
                high = mid;
            }
        }
        Err(low)
    }

    /// Whether `n` is in the set.
    #[inline]
    pub fn contains(&self, n: i64) -> bool {
        width_of(n) <= self.head().width && self.search(n).is_ok()
    }

    /// Adds `n`; false if it was there.
    ///
    /// # Panics
    /// At [`LEN_MAX`] elements.
    pub fn insert(&mut self, n: i64) -> bool {
        let Err(at) = self.search(n) else { return false };
        let old = self.head();
        assert!(old.len < LEN_MAX, "intset over its limit");
        let mut h = Head { width: old.width.max(width_of(n)), ..old };
        let need = Block::<TAG_SECOND>::class_for((h.len + 1) << h.width);
        if need > h.class {
            if h.class == 0 {
                self.0 = Block::alloc(need);
            } else {
                self.0.resize(h.class, need);
            }
            h.class = need;
        }
        let data = self.0.data_mut(h.class);
        if h.width == old.width {
            data.copy_within(at << h.width..h.len << h.width, (at + 1) << h.width);
        } else {
            // From the back, since a wider element ends behind the narrow one it replaces. An
            // element that widens the set lies outside its old range: at one end.
            let shift = usize::from(at == 0);
            for i in (0..h.len).rev() {
                let keep = read(data, old.width, i);
                write(data, h.width, i + shift, keep);
            }
        }
        write(data, h.width, at, n);
        h.len += 1;
        self.set_head(h);
        true
    }

    /// Removes `n`; false if it was not there.
    pub fn remove(&mut self, n: i64) -> bool {
        let Ok(at) = self.search(n) else { return false };
        self.remove_at(at);
        true
    }

    /// Removes the element number `index` and returns it.
    ///
    /// # Panics
    /// If `index` is not below the length.
    pub fn remove_at(&mut self, index: usize) -> i64 {
        let mut h = self.head();
        assert!(index < h.len, "index out of bounds");
        let data = self.0.data_mut(h.class);
        let n = read(data, h.width, index);
        data.copy_within((index + 1) << h.width..h.len << h.width, index << h.width);
        h.len -= 1;
        let fit = Block::<TAG_SECOND>::class_for((h.len << h.width).max(8));
        if class_size(fit) * 2 < class_size(h.class) {
            self.0.resize(h.class, fit);
            h.class = fit;
        }
        self.set_head(h);
        n
    }

    /// The elements in ascending order.
    pub fn iter(&self) -> Iter<'_> {
        let h = self.head();
        Iter { data: self.0.data(h.class), width: h.width, front: 0, back: h.len }
    }
}

impl Drop for Intset {
    #[inline]
    fn drop(&mut self) {
        let class = self.head().class;
        self.0.free(class);
    }
}

impl Default for Intset {
    fn default() -> Self {
        Intset::new()
    }
}

impl Clone for Intset {
    fn clone(&self) -> Self {
        let h = self.head();
        let mut copy = Intset::new();
        if h.len > 0 {
            let bytes = h.len << h.width;
            let class = Block::<TAG_SECOND>::class_for(bytes);
            copy.0 = Block::alloc(class);
            copy.0.data_mut(class)[..bytes].copy_from_slice(&self.0.data(h.class)[..bytes]);
            copy.set_head(Head { class, ..h });
        }
        copy
    }
}

impl fmt::Debug for Intset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Intset {
    type Item = i64;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl FromIterator<i64> for Intset {
    fn from_iter<I: IntoIterator<Item = i64>>(items: I) -> Self {
        let mut set = Intset::new();
        for n in items {
            set.insert(n);
        }
        set
    }
}

/// The elements of an [`Intset`], ascending.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    data: &'a [u8],
    width: u32,
    front: usize,
    back: usize,
}

impl Iterator for Iter<'_> {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        if self.front >= self.back {
            return None;
        }
        self.front += 1;
        Some(read(self.data, self.width, self.front - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.back - self.front;
        (left, Some(left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<i64> {
        if self.front >= self.back {
            return None;
        }
        self.back -= 1;
        Some(read(self.data, self.width, self.back))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn widens_at_either_end() {
        for (first, wide) in [(1, 1 << 20), (1, -(1 << 20)), (1, i64::MAX), (70_000, i64::MIN)] {
            let mut set: Intset = [first, first + 1].into_iter().collect();
            assert!(!set.contains(wide));
            assert!(set.insert(wide));
            let mut want = vec![first, first + 1, wide];
            want.sort_unstable();
            assert_eq!(set.iter().collect::<Vec<_>>(), want);
        }
    }

    #[test]
    fn small_integers_take_two_bytes() {
        let set: Intset = (0..500).collect();
        assert_eq!(set.mem_bytes(), 1024);
        assert_eq!(Intset::new().mem_bytes(), 0);
    }

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            6 => -40i64..40,
            2 => any::<i16>().prop_map(i64::from),
            1 => any::<i32>().prop_map(i64::from),
            1 => any::<i64>(),
            1 => prop::sample::select(vec![i64::MIN, i64::MAX, -32768, 32767, 32768, -32769]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 200 }))]
        #[test]
        fn agrees_with_a_btree_set(ops in prop::collection::vec((0u8..3, number()), 0..150)) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (op, n) in ops {
                match op {
                    0 | 1 => prop_assert_eq!(set.insert(n), model.insert(n)),
                    _ => prop_assert_eq!(set.remove(n), model.remove(&n)),
                }
                prop_assert_eq!(set.contains(n), model.contains(&n));
                prop_assert_eq!(set.len(), model.len());
                prop_assert_eq!(set.min(), model.first().copied());
                prop_assert_eq!(set.max(), model.last().copied());
            }
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert!(set.iter().rev().eq(model.iter().rev().copied()));
            prop_assert!(set.clone().iter().eq(model.iter().copied()));
            for (i, n) in model.iter().enumerate() {
                prop_assert_eq!(set.get(i), Some(*n));
            }
        }
    }
}
