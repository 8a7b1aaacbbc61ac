//! Walking an ordered map from either end.

use super::{Node, OrdMap, child_for};

/// A leaf and a place in it.
type Place<'a, K, V> = (&'a [(K, V)], usize);

impl<K: Copy + Ord, V> OrdMap<K, V> {
    /// The first element with a key at, or with `beyond` above, `key`.
    fn place_from(&self, key: Option<K>, beyond: bool) -> Option<Place<'_, K, V>> {
        let before = |k: &K| key.is_some_and(|key| *k < key || (beyond && *k == key));
        let mut node = &self.root;
        // The subtree after the one descended into, if all of that lies before the key.
        let mut next: Option<&Node<K, V>> = None;
        loop {
            match node {
                Node::Inner(children) => {
                    let i = key.map_or(0, |key| child_for(children, &key));
                    next = children.get(i + 1).map(|(_, n)| n).or(next);
                    node = &children[i].1;
                }
                Node::Leaf(items) => {
                    let i = items.partition_point(|(k, _)| before(k));
                    if i < items.len() {
                        return Some((items, i));
                    }
                    node = next.take()?;
                    // All of it is above the key, and so is its least element's leaf.
                    while let Node::Inner(children) = node {
                        node = &children[0].1;
                    }
                }
            }
        }
    }

    /// The last element with a key at, or with `beyond` below, `key`; the place is one past it.
    fn place_to(&self, key: Option<K>, beyond: bool) -> Option<Place<'_, K, V>> {
        let after = |k: &K| key.is_some_and(|key| *k > key || (beyond && *k == key));
        let mut node = &self.root;
        let mut previous: Option<&Node<K, V>> = None;
        loop {
            match node {
                Node::Inner(children) => {
                    let i = key.map_or(children.len() - 1, |key| child_for(children, &key));
                    if i > 0 {
                        previous = Some(&children[i - 1].1);
                    }
                    node = &children[i].1;
                }
                Node::Leaf(items) => {
                    let i = items.partition_point(|(k, _)| !after(k));
                    if i > 0 {
                        return Some((items, i));
                    }
                    node = previous.take()?;
                    while let Node::Inner(children) = node {
                        node = &children[children.len() - 1].1;
                    }
                }
            }
        }
    }
}

/// A bound: a key, and whether the key itself is outside.
type Bound<K> = (Option<K>, bool);

/// Elements of an [`OrdMap`] with keys in a range.
///
/// At the end of a leaf the next is found by key, which costs one descent per leaf and keeps leaves
/// free of links to maintain.
pub struct Iter<'a, K, V> {
    map: &'a OrdMap<K, V>,
    from: Bound<K>,
    to: Bound<K>,
    front: Option<Place<'a, K, V>>,
    back: Option<Place<'a, K, V>>,
}

impl<'a, K: Copy + Ord, V> Iter<'a, K, V> {
    pub(super) fn new(map: &'a OrdMap<K, V>, from: Option<K>, to: Option<K>) -> Self {
        Iter { map, from: (from, false), to: (to, false), front: None, back: None }
    }

    fn within(&self, key: K) -> bool {
        let low = self.from.0.is_none_or(|k| k < key || (k == key && !self.from.1));
        let high = self.to.0.is_none_or(|k| key < k || (k == key && !self.to.1));
        low && high
    }
}

impl<'a, K: Copy + Ord, V> Iterator for Iter<'a, K, V> {
    type Item = (K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<(K, &'a V)> {
        let (leaf, i) = match self.front {
            Some((leaf, i)) if i < leaf.len() => (leaf, i),
            _ => self.map.place_from(self.from.0, self.from.1)?,
        };
        let (key, value) = leaf.get(i)?;
        if !self.within(*key) {
            return None;
        }
        self.front = Some((leaf, i + 1));
        self.from = (Some(*key), true);
        Some((*key, value))
    }
}

impl<'a, K: Copy + Ord, V> DoubleEndedIterator for Iter<'a, K, V> {
    #[inline]
    fn next_back(&mut self) -> Option<(K, &'a V)> {
        let (leaf, i) = match self.back {
            Some((leaf, i)) if i > 0 => (leaf, i),
            _ => self.map.place_to(self.to.0, self.to.1)?,
        };
        let (key, value) = leaf.get(i - 1)?;
        if !self.within(*key) {
            return None;
        }
        self.back = Some((leaf, i - 1));
        self.to = (Some(*key), true);
        Some((*key, value))
    }
}
