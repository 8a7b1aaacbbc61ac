//! An ordered map in a B+ tree: small keys by value, values beside them in the leaves.
//!
//! What streams and their consumer groups look up by id: blocks of entries, pending entries,
//! the same by time. Growing at the end is the common case, so a full node there is left full
//! and a new one begun; a small map is one vector of the size it needs.
//!
//! ```text
//! inner   [(lower bound of the child's keys, child)]
//! leaf    [(key, value)]
//! ```
//!
//! Invariants: keys ascend strictly; all leaves have the same depth; a bound is at most every key of
//! its child and above every key of the child before it, except that the first bound of a node is
//! never looked at; no node but an empty root is empty. Density is kept, not guaranteed: after a
//! removal a node under a quarter full is joined with a neighbour where both leave an eighth free.

use crate::sizeclass::round_up;

mod iter;

pub use iter::Iter;

/// Elements of a leaf, children of an inner node. Small in this crate's tests, so that they reach
/// every shape.
const LEAF: usize = if cfg!(test) { 8 } else { 64 };
const FAN: usize = if cfg!(test) { 8 } else { 32 };

/// An ordered map; see the module page.
pub struct OrdMap<K, V> {
    root: Node<K, V>,
    len: usize,
    owned: Owned,
}

#[derive(Clone)]
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Inner(Vec<(K, Node<K, V>)>),
}

/// What the nodes take.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Owned {
    bytes: usize,
    nodes: usize,
}

fn heap<T>(items: &Vec<T>) -> usize {
    round_up(items.capacity() * size_of::<T>())
}

impl Owned {
    /// Changes a vector of a node, its size counted before and after.
    #[inline]
    fn edit<T, R>(&mut self, items: &mut Vec<T>, f: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let before = heap(items);
        let out = f(items);
        self.bytes = self.bytes + heap(items) - before;
        out
    }

    fn add<T>(&mut self, items: &Vec<T>) {
        self.bytes += heap(items);
        self.nodes += 1;
    }

    fn sub<T>(&mut self, items: &Vec<T>) {
        self.bytes -= heap(items);
        self.nodes -= 1;
    }

    /// Puts an item in its place; what is cut off if there was no room, with its first key.
    #[inline]
    fn put<K: Copy, T>(
        &mut self,
        items: &mut Vec<(K, T)>,
        at: usize,
        item: (K, T),
        max: usize,
        last: bool,
    ) -> Option<Vec<(K, T)>> {
        if items.len() < max {
            self.edit(items, |items| items.insert(at, item));
            return None;
        }
        // At the end of the map the full node stays full.
        let cut = if last && at == items.len() { at } else { items.len() / 2 };
        let mut right = self.edit(items, |items| items.split_off(cut));
        if at < cut {
            self.edit(items, |items| items.insert(at, item));
        } else {
            right.insert(at - cut, item);
        }
        self.add(&right);
        Some(right)
    }

    /// Gives memory back once three quarters of it are unused.
    fn trim<T>(&mut self, items: &mut Vec<T>) {
        if items.capacity() > 8 && items.len() <= items.capacity() / 4 {
            self.edit(items, |items| items.shrink_to(items.len() * 2));
        }
    }
}

/// The number of the child where a key is or belongs.
#[inline]
fn child_for<K: Ord, T>(children: &[(K, T)], key: &K) -> usize {
    children.partition_point(|(bound, _)| bound <= key).saturating_sub(1)
}

/// What an insertion does to the node above: the value that was there, a node to put beside.
type Inserted<K, V> = (Option<V>, Option<(K, Node<K, V>)>);

impl<K: Copy + Ord, V> Node<K, V> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(children) => children.len(),
        }
    }

    fn insert(&mut self, key: K, value: V, last: bool, owned: &mut Owned) -> Inserted<K, V> {
        match self {
            Node::Leaf(items) => {
                // Keys that come in order need no search.
                let at = match items.last() {
                    Some((end, _)) if *end < key => items.len(),
                    _ => match items.binary_search_by(|(k, _)| k.cmp(&key)) {
                        Ok(i) => return (Some(std::mem::replace(&mut items[i].1, value)), None),
                        Err(i) => i,
                    },
                };
                let right = owned.put(items, at, (key, value), LEAF, last);
                (None, right.map(|r| (r[0].0, Node::Leaf(r))))
            }
            Node::Inner(children) => {
                let i = child_for(children, &key);
                let last = last && i + 1 == children.len();
                let (old, split) = children[i].1.insert(key, value, last, owned);
                let Some(new) = split else { return (old, None) };
                let right = owned.put(children, i + 1, new, FAN, last);
                (old, right.map(|r| (r[0].0, Node::Inner(r))))
            }
        }
    }

    fn remove(&mut self, key: &K, owned: &mut Owned) -> Option<V> {
        match self {
            Node::Leaf(items) => {
                let i = items.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
                let (_, value) = items.remove(i);
                owned.trim(items);
                Some(value)
            }
            Node::Inner(children) => {
                let i = child_for(children, key);
                let value = children[i].1.remove(key, owned)?;
                tidy(children, i, owned);
                Some(value)
            }
        }
    }

    /// Panics if an invariant does not hold; counts elements.
    #[cfg(test)]
    fn check(&self, owned: &mut Owned, depth: usize, depths: &mut Vec<usize>) -> usize {
        match self {
            Node::Leaf(items) => {
                owned.add(items);
                depths.push(depth);
                assert!(items.is_sorted_by(|a, b| a.0 < b.0));
                items.len()
            }
            Node::Inner(children) => {
                owned.add(children);
                assert!(!children.is_empty());
                children.iter().map(|(_, c)| c.check(owned, depth + 1, depths)).sum()
            }
        }
    }

    fn measure(&self, owned: &mut Owned) {
        match self {
            Node::Leaf(items) => owned.add(items),
            Node::Inner(children) => {
                owned.add(children);
                children.iter().for_each(|(_, child)| child.measure(owned));
            }
        }
    }
}

/// After a removal in child `i`: takes it out if it is empty, joins it with a neighbour if both are small.
fn tidy<K: Copy + Ord, V>(children: &mut Vec<(K, Node<K, V>)>, i: usize, owned: &mut Owned) {
    let (len, full) = match &children[i].1 {
        Node::Leaf(items) => (items.len(), LEAF),
        Node::Inner(items) => (items.len(), FAN),
    };
    if len == 0 {
        match &children[i].1 {
            Node::Leaf(items) => owned.sub(items),
            Node::Inner(items) => owned.sub(items),
        }
        children.remove(i);
        owned.trim(children);
        return;
    }
    if len > full / 4 {
        return;
    }
    let fits = |j: usize| children.get(j).is_some_and(|(_, n)| n.len() + len <= full - full / 8);
    let left = if fits(i + 1) {
        i
    } else if i > 0 && fits(i - 1) {
        i - 1
    } else {
        return;
    };
    let (bound, right) = children.remove(left + 1);
    owned.trim(children);
    match (&mut children[left].1, right) {
        (Node::Leaf(to), Node::Leaf(mut from)) => {
            owned.sub(&from);
            owned.edit(to, |to| to.append(&mut from));
        }
        (Node::Inner(to), Node::Inner(mut from)) => {
            owned.sub(&from);
            // The first bound of a node may be stale; the one above it is not.
            from[0].0 = bound;
            owned.edit(to, |to| to.append(&mut from));
        }
        _ => unreachable!("neighbours have the same depth"),
    }
}

impl<K: Copy + Ord, V> OrdMap<K, V> {
    /// An empty map; owns no memory yet.
    pub const fn new() -> OrdMap<K, V> {
        OrdMap { root: Node::Leaf(Vec::new()), len: 0, owned: Owned { bytes: 0, nodes: 1 } }
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Heap bytes of the nodes, as the allocator counts them; what values own is not in it.
    #[inline]
    pub fn mem_bytes(&self) -> usize {
        self.owned.bytes
    }

    /// Number of nodes, the root of an empty map included.
    pub fn nodes(&self) -> usize {
        self.owned.nodes
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(children) => node = &children[child_for(children, key)].1,
                Node::Leaf(items) => {
                    let i = items.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
                    return Some(&items[i].1);
                }
            }
        }
    }

    /// The value of a key, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Inner(children) => {
                    let i = child_for(children, key);
                    node = &mut children[i].1;
                }
                Node::Leaf(items) => {
                    let i = items.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
                    return Some(&mut items[i].1);
                }
            }
        }
    }

    /// Whether a key is there.
    pub fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The element with the greatest key, its value to change.
    #[inline]
    pub fn last_mut(&mut self) -> Option<(K, &mut V)> {
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Inner(children) => node = &mut children.last_mut()?.1,
                Node::Leaf(items) => return items.last_mut().map(|(k, v)| (*k, v)),
            }
        }
    }

    /// The element with the least key.
    pub fn first(&self) -> Option<(K, &V)> {
        self.iter().next()
    }

    /// The element with the greatest key.
    pub fn last(&self) -> Option<(K, &V)> {
        self.iter().next_back()
    }

    /// The element with the greatest key that is not above `key`.
    pub fn floor(&self, key: &K) -> Option<(K, &V)> {
        self.range(None, Some(*key)).next_back()
    }

    /// Sets the value of a key and returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (old, split) = self.root.insert(key, value, true, &mut self.owned);
        if let Some(right) = split {
            let left = std::mem::replace(&mut self.root, Node::Inner(Vec::new()));
            // The first bound is never looked at.
            let children = vec![(right.0, left), right];
            self.owned.add(&children);
            self.root = Node::Inner(children);
        }
        self.len += usize::from(old.is_none());
        old
    }

    /// Takes an element out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.root.remove(key, &mut self.owned)?;
        self.len -= 1;
        if self.len == 0 {
            *self = OrdMap::new();
        }
        while let Node::Inner(children) = &mut self.root
            && children.len() == 1
            && let Some((_, child)) = children.pop()
        {
            self.owned.sub(children);
            self.root = child;
        }
        Some(value)
    }

    /// All elements in order, from either end.
    pub fn iter(&self) -> Iter<'_, K, V> {
        self.range(None, None)
    }

    /// The elements with keys from `from` to `to`, both included, from either end.
    pub fn range(&self, from: Option<K>, to: Option<K>) -> Iter<'_, K, V> {
        Iter::new(self, from, to)
    }

    /// Panics if an invariant of the module page does not hold.
    #[cfg(test)]
    fn check(&self) {
        let (mut owned, mut depths) = (Owned::default(), Vec::new());
        assert_eq!(self.root.check(&mut owned, 0, &mut depths), self.len);
        assert_eq!(owned, self.owned);
        depths.dedup();
        assert_eq!(depths.len(), 1);
    }
}

impl<K: Copy + Ord, V> Default for OrdMap<K, V> {
    fn default() -> Self {
        OrdMap::new()
    }
}

impl<K: Copy + Ord, V: Clone> Clone for OrdMap<K, V> {
    fn clone(&self) -> Self {
        let root = self.root.clone();
        let mut owned = Owned::default();
        root.measure(&mut owned);
        OrdMap { root, len: self.len, owned }
    }
}

impl<K: Copy + Ord + std::fmt::Debug, V: std::fmt::Debug> std::fmt::Debug for OrdMap<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
