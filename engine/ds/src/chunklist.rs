//! A list of any length as a deque of listpacks.
//!
//! Nodes hold up to a limit that the caller passes in (Redis' `list-max-listpack-size`), so a
//! long list costs about two bytes per element over its content, and no edit moves more
//! than a node. Pushing and popping at either end touches the end node only, and there, thanks to the
//! listpack's hole, only the element itself. An index is found by adding up the counts kept beside
//! the node pointers, 16 bytes per node and contiguous.
//!
//! Invariants: no node is empty; `len` is the sum of the counts; `heap` is the sum of the nodes'
//! heap bytes. An element larger than the limit has a node to itself.

use std::collections::VecDeque;

use crate::item::Item;
use crate::listpack::{self, Listpack};
use crate::sizeclass::round_up;

mod walk;

use walk::ChunkWalk;

/// How much a node may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeLimit {
    /// Bytes of a node, counted as a Redis listpack.
    pub bytes: usize,
    /// Elements of a node.
    pub count: usize,
    /// Bytes from which on an element has a node to itself; 0 for those that no node holds.
    pub lone: usize,
}

impl NodeLimit {
    /// Limits by Redis' `list-max-listpack-size`: -1..-5 are 4, 8, 16, 32 and 64 KiB, a positive
    /// number counts elements, within 8 KiB (quicklist.c, `quicklistNodeLimit`).
    pub fn from_fill(fill: i64) -> NodeLimit {
        if fill >= 0 {
            let count = usize::try_from(fill.max(1)).unwrap_or(usize::MAX);
            NodeLimit { bytes: 8192, count, lone: 0 }
        } else {
            NodeLimit { bytes: 4096 << (-fill.max(-5) - 1), count: usize::MAX, lone: 0 }
        }
    }

    /// Whether a node of this size would be over the limit (`quicklistNodeExceedsLimit`).
    #[inline]
    pub fn exceeded_by(&self, bytes: usize, count: usize) -> bool {
        bytes > self.bytes || count > self.count
    }

    /// Whether an element is too large to share a node.
    #[inline]
    fn is_large(&self, len: usize) -> bool {
        if self.lone > 0 { len >= self.lone } else { len > self.bytes }
    }
}

struct Node {
    pack: Listpack,
    count: u32,
    /// Number in the walk, if it has not been given nor changed since the walk began; else 0.
    stamp: u32,
}

impl Node {
    fn new(pack: Listpack) -> Node {
        let count = pack.len() as u32;
        Node { pack, count, stamp: 0 }
    }

    fn of(item: Item<'_>) -> Node {
        let mut pack = Listpack::new();
        pack.push_back(item);
        Node { pack, count: 1, stamp: 0 }
    }

    /// Whether it holds one element that is not to share a node.
    fn is_lone(&self, limit: NodeLimit) -> bool {
        let large = |item: Item<'_>| limit.is_large(item.len());
        limit.lone > 0 && self.count == 1 && self.pack.index(0).is_some_and(large)
    }

    /// Redis estimates eight bytes around an element before it is encoded
    /// (`SIZE_ESTIMATE_OVERHEAD`).
    #[inline]
    fn takes(&self, len: usize, limit: NodeLimit) -> bool {
        !limit.is_large(len)
            && !self.is_lone(limit)
            && !limit.exceeded_by(self.pack.redis_bytes() + len + 8, self.count as usize + 1)
    }
}

/// Which end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The head, index 0.
    Front,
    /// The tail.
    Back,
}

/// A list as a deque of listpacks; see the module page.
#[derive(Default)]
pub struct ChunkList {
    nodes: VecDeque<Node>,
    len: usize,
    heap: usize,
    walk: Option<Box<ChunkWalk>>,
}

impl Clone for ChunkList {
    fn clone(&self) -> ChunkList {
        let copy = |n: &Node| Node { pack: n.pack.clone(), count: n.count, stamp: 0 };
        let nodes = self.nodes.iter().map(copy).collect();
        ChunkList { nodes, len: self.len, heap: self.heap, walk: None }
    }
}

impl ChunkList {
    /// An empty list.
    pub fn new() -> ChunkList {
        ChunkList::default()
    }

    /// A list of one node.
    pub fn from_pack(pack: Listpack) -> ChunkList {
        let mut list = ChunkList::new();
        if !pack.is_empty() {
            list.insert_node(0, Node::new(pack));
        }
        list
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Heap bytes, as the allocator counts them.
    pub fn mem_bytes(&self) -> usize {
        self.heap + round_up(self.nodes.capacity() * size_of::<Node>())
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The node, if there is exactly one.
    pub fn single(&self) -> Option<&Listpack> {
        (self.nodes.len() == 1).then(|| &self.nodes[0].pack)
    }

    /// Takes the only node out, leaving the list empty, if there is exactly one and `really`.
    pub fn take_single_if(&mut self, really: bool) -> Option<Listpack> {
        (really && self.nodes.len() == 1).then(|| self.remove_node(0).pack)
    }

    fn insert_node(&mut self, at: usize, node: Node) {
        self.len += node.count as usize;
        self.heap += node.pack.mem_bytes();
        self.nodes.insert(at, node);
    }

    fn remove_node(&mut self, at: usize) -> Node {
        self.will_change(at);
        let node = self.nodes.remove(at).expect("a node index is below the node count");
        self.len -= node.count as usize;
        self.heap -= node.pack.mem_bytes();
        // A list that has been long and is short now gives its node array back.
        if self.nodes.len() * 4 < self.nodes.capacity() && self.nodes.capacity() > 16 {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
        node
    }

    /// Edits one node with the sums kept right. The caller removes a node that became empty.
    #[inline]
    fn edit<R>(&mut self, at: usize, f: impl FnOnce(&mut Listpack) -> R) -> R {
        self.will_change(at);
        let node = &mut self.nodes[at];
        let (heap, count) = (node.pack.mem_bytes(), node.count);
        let out = f(&mut node.pack);
        node.count = node.pack.len() as u32;
        self.heap = self.heap - heap + node.pack.mem_bytes();
        self.len = self.len - count as usize + node.count as usize;
        out
    }

    fn drop_if_empty(&mut self, at: usize) -> bool {
        let empty = self.nodes[at].count == 0;
        if empty {
            self.remove_node(at);
        }
        empty
    }

    /// Node and offset in it of element `index`, which must exist.
    fn locate(&self, index: usize) -> (usize, usize) {
        debug_assert!(index < self.len);
        if index <= self.len / 2 {
            let mut rest = index;
            for (i, node) in self.nodes.iter().enumerate() {
                if rest < node.count as usize {
                    return (i, rest);
                }
                rest -= node.count as usize;
            }
        } else {
            let mut after = self.len - index;
            for (i, node) in self.nodes.iter().enumerate().rev() {
                if after <= node.count as usize {
                    return (i, node.count as usize - after);
                }
                after -= node.count as usize;
            }
        }
        unreachable!("the counts add up to the length")
    }

    /// Adds an element at one end.
    pub fn push<'a>(&mut self, end: End, item: impl Into<Item<'a>>, limit: NodeLimit) {
        let item = item.into();
        let (last, fresh) = match end {
            End::Front => (0, 0),
            End::Back => (self.nodes.len().wrapping_sub(1), self.nodes.len()),
        };
        if self.nodes.get(last).is_some_and(|n| n.takes(item.len(), limit)) {
            self.edit(last, |pack| match end {
                End::Front => pack.push_front(item),
                End::Back => pack.push_back(item),
            });
        } else {
            self.insert_node(fresh, Node::of(item));
        }
    }

    /// Takes the element at one end out through `f`.
    pub fn pop<R>(&mut self, end: End, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let at = match end {
            End::Front => 0,
            End::Back => self.nodes.len().wrapping_sub(1),
        };
        if at >= self.nodes.len() {
            return None;
        }
        if self.walk.is_some() && self.nodes[at].count == 1 {
            return self.pop_whole(at, f);
        }
        let out = self.edit(at, |pack| match end {
            End::Front => pack.pop_front(f),
            End::Back => pack.pop_back(f),
        });
        self.drop_if_empty(at);
        out
    }

    /// The element number `index`.
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        if index >= self.len {
            return None;
        }
        let (node, offset) = self.locate(index);
        self.nodes[node].pack.index(offset)
    }

    /// Inserts an element so that it becomes number `index`, at most the length.
    ///
    /// # Panics
    /// If `index` is over the length.
    pub fn insert<'a>(&mut self, index: usize, item: impl Into<Item<'a>>, limit: NodeLimit) {
        let item = item.into();
        assert!(index <= self.len, "index out of bounds");
        if index == 0 {
            return self.push(End::Front, item, limit);
        }
        if index == self.len {
            return self.push(End::Back, item, limit);
        }
        let (at, offset) = self.locate(index);
        self.insert_in(at, offset, item, limit);
    }

    /// Inserts in front of the element at `offset` of node `at`.
    fn insert_in(&mut self, at: usize, offset: usize, item: Item<'_>, limit: NodeLimit) {
        if self.nodes[at].takes(item.len(), limit) {
            self.edit(at, |pack| {
                let pos = pack.seek(offset).unwrap_or(pack.end());
                pack.insert(pos, item);
            });
            return;
        }
        // At the border between two nodes the one before may have room.
        if offset == 0 {
            if at > 0 && self.nodes[at - 1].takes(item.len(), limit) {
                self.edit(at - 1, |pack| pack.push_back(item));
            } else {
                self.insert_node(at, Node::of(item));
            }
            return;
        }
        let right = self.edit(at, |pack| match pack.seek(offset) {
            Some(pos) => pack.split_off(pos, offset),
            None => Listpack::new(),
        });
        if !right.is_empty() {
            self.insert_node(at + 1, Node::new(right));
        }
        if self.nodes[at].takes(item.len(), limit) {
            self.edit(at, |pack| pack.push_back(item));
        } else {
            self.insert_node(at + 1, Node::of(item));
        }
    }

    /// Replaces element `index`; false if there is none.
    pub fn set<'a>(&mut self, index: usize, item: impl Into<Item<'a>>, limit: NodeLimit) -> bool {
        let item = item.into();
        if index >= self.len {
            return false;
        }
        let (at, offset) = self.locate(index);
        let node = &self.nodes[at];
        let old = node.pack.index(offset).expect("located").len();
        let size = node.pack.redis_bytes().saturating_sub(old) + item.len() + 8;
        let count = node.count as usize;
        if count == 1
            || (item.len() <= old && !limit.is_large(item.len()))
            || (!limit.is_large(item.len()) && !limit.exceeded_by(size, count))
        {
            self.edit(at, |pack| {
                let pos = pack.seek(offset).expect("located");
                pack.replace(pos, item);
            });
            return true;
        }
        self.edit(at, |pack| {
            let pos = pack.seek(offset).expect("located");
            pack.remove(pos);
        });
        self.insert_in(at, offset, item, limit);
        true
    }

    /// Removes `n` elements from `start` on, or as many as there are.
    pub fn remove_range(&mut self, start: usize, n: usize, limit: NodeLimit) {
        let mut left = n.min(self.len.saturating_sub(start));
        if left == 0 {
            return;
        }
        let (mut at, mut offset) = self.locate(start);
        let first = at;
        while left > 0 {
            let count = self.nodes[at].count as usize;
            let here = left.min(count - offset);
            left -= here;
            if here == count {
                // Whole nodes go together, so that the deque moves once.
                let mut end = at + 1;
                while end < self.nodes.len() && self.nodes[end].count as usize <= left {
                    left -= self.nodes[end].count as usize;
                    end += 1;
                }
                for node in self.nodes.drain(at..end) {
                    self.len -= node.count as usize;
                    self.heap -= node.pack.mem_bytes();
                    if let Some(walk) = &mut self.walk {
                        walk.keep(node.stamp, || node.pack);
                    }
                }
            } else {
                self.edit(at, |pack| {
                    let pos = pack.seek(offset).expect("offset below the count");
                    pack.remove_n(pos, here);
                });
                at += 1;
            }
            offset = 0;
        }
        self.nodes.shrink_to(self.nodes.len() * 2 + 4);
        self.merge(first, limit);
        self.merge(first.wrapping_sub(1), limit);
    }

    /// Joins node `at` with the one behind it if both leave a quarter of a node free.
    fn merge(&mut self, at: usize, limit: NodeLimit) -> bool {
        let (Some(a), Some(b)) = (self.nodes.get(at), self.nodes.get(at.wrapping_add(1))) else {
            return false;
        };
        if a.is_lone(limit) || b.is_lone(limit) {
            return false;
        }
        let bytes = a.pack.redis_bytes() + b.pack.redis_bytes();
        if limit.exceeded_by(bytes + bytes / 3, a.count as usize + b.count as usize) {
            return false;
        }
        let right = self.remove_node(at + 1);
        self.edit(at, |pack| pack.append(&right.pack));
        true
    }

    /// Removes up to `max` elements equal to `item`, searching from one end; returns how many.
    pub fn remove_equal<'a>(
        &mut self,
        from: End,
        item: impl Into<Item<'a>>,
        max: usize,
        limit: NodeLimit,
    ) -> usize {
        let item = item.into();
        let mut removed = 0;
        let mut at = match from {
            End::Front => 0,
            End::Back => self.nodes.len().wrapping_sub(1),
        };
        while removed < max && at < self.nodes.len() {
            let here = self.edit(at, |pack| remove_from_pack(pack, from, item, max - removed));
            removed += here;
            let gone = here > 0 && self.drop_if_empty(at);
            at = match from {
                End::Front if gone => at,
                End::Front => at + 1,
                End::Back => at.wrapping_sub(1),
            };
        }
        if removed > 0 {
            let mut at = 0;
            while at + 1 < self.nodes.len() {
                if !self.merge(at, limit) {
                    at += 1;
                }
            }
        }
        removed
    }

    /// All elements from the head.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0, self.len)
    }

    /// Up to `n` elements from `start` on.
    pub fn range(&self, start: usize, n: usize) -> Iter<'_> {
        let left = n.min(self.len.saturating_sub(start));
        if left == 0 {
            return Iter { nodes: &self.nodes, node: 0, pack: None, left: 0 };
        }
        let (node, offset) = self.locate(start);
        let pack = &self.nodes[node].pack;
        let pos = pack.seek(offset).expect("offset below the count");
        Iter { nodes: &self.nodes, node, pack: Some(pack.iter_from(pos, offset)), left }
    }

    /// Up to `n` elements from `start` on, towards the head.
    pub fn range_back(&self, start: usize, n: usize) -> IterBack<'_> {
        if start >= self.len {
            return IterBack { nodes: &self.nodes, node: 0, pack: None, left: 0 };
        }
        let left = n.min(start + 1);
        let (node, offset) = self.locate(start);
        let pack = &self.nodes[node].pack;
        let pos = pack.seek(offset + 1).unwrap_or(pack.end());
        IterBack { nodes: &self.nodes, node, pack: Some(pack.iter_until(pos, offset + 1)), left }
    }
}

/// Removes up to `max` entries equal to `item` from a listpack, searching from one end; returns how
/// many.
pub fn remove_from_pack(pack: &mut Listpack, from: End, item: Item<'_>, max: usize) -> usize {
    let mut removed = 0;
    let mut at = pack.find(pack.first(), item, 0);
    if at.is_some() && from == End::Back {
        return remove_backward(pack, item, max);
    }
    while let Some(pos) = at
        && removed < max
    {
        let next = pack.remove(pos);
        removed += 1;
        at = pack.find(next, item, 0);
    }
    removed
}

fn remove_backward(pack: &mut Listpack, item: Item<'_>, max: usize) -> usize {
    let (mut removed, mut at) = (0, pack.last());
    while removed < max {
        let Some(pos) = at else { break };
        at = pack.prev(pos);
        if pack.get(pos) == item {
            pack.remove(pos);
            removed += 1;
        }
    }
    removed
}

impl std::fmt::Debug for ChunkList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.nodes.iter().map(|n| &n.pack)).finish()
    }
}

impl<'a> IntoIterator for &'a ChunkList {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Elements of a [`ChunkList`] towards the tail.
#[derive(Clone)]
pub struct Iter<'a> {
    nodes: &'a VecDeque<Node>,
    node: usize,
    pack: Option<listpack::Iter<'a>>,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        loop {
            if let Some(item) = self.pack.as_mut().and_then(Iterator::next) {
                return Some(item);
            }
            self.node += 1;
            self.pack = Some(self.nodes.get(self.node)?.pack.iter());
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// Elements of a [`ChunkList`] towards the head.
#[derive(Clone)]
pub struct IterBack<'a> {
    nodes: &'a VecDeque<Node>,
    node: usize,
    pack: Option<listpack::Iter<'a>>,
    left: usize,
}

impl<'a> Iterator for IterBack<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        loop {
            if let Some(item) = self.pack.as_mut().and_then(DoubleEndedIterator::next_back) {
                return Some(item);
            }
            self.node = self.node.checked_sub(1)?;
            self.pack = Some(self.nodes[self.node].pack.iter());
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for IterBack<'_> {}

#[cfg(test)]
mod tests;
