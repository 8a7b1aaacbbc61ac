//! A B+ tree ordered by (score, member) that counts what lies below each child.
//!
//! The counts make every question about order a question about ranks: a score range, a
//! lexicographic range and a rank range are all found as two ranks in O(log n), and then counted,
//! walked or deleted the same way. The tree stores eight-byte handles of members ([`Member`]), never
//! their bytes, because the member table beside it already has them; scores lie in the nodes, so
//! that a comparison follows a handle only between equal scores.
//!
//! ```text
//! inner   len | counts [u32; F] | least score of each child | least member of each child | children
//! leaf    len | scores [f64; L] | members [M; L]
//! ```
//!
//! Invariants: elements ascend strictly by (score, member bytes) and no score is NaN; all leaves have
//! the same depth; `counts[i]` is the number of elements below child `i` and the pair beside it
//! is the *least* element there, kept exact, so no node ever holds the handle of a removed member;
//! no node is empty except that an empty tree has no node. Density is kept, not guaranteed: after
//! a removal a node under a third full is joined with a neighbour where both leave an eighth free.

mod node;

use crate::sizeclass::round_up;
use node::{Inner, Leaf, Node, Nodes, Place};

pub use node::Member;

/// An ordered set of (score, member) pairs; see the module page.
pub struct CountedTree<M> {
    root: Option<Node<M>>,
    len: usize,
    nodes: Nodes,
}

impl<M: Member> CountedTree<M> {
    /// An empty tree; owns no memory yet.
    pub const fn new() -> CountedTree<M> {
        CountedTree { root: None, len: 0, nodes: Nodes { leaves: 0, inners: 0 } }
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

    /// Heap bytes of the nodes, as the allocator counts them.
    pub fn mem_bytes(&self) -> usize {
        self.nodes.leaves * round_up(size_of::<Leaf<M>>())
            + self.nodes.inners * round_up(size_of::<Inner<M>>())
    }

    /// Adds an element that is not there yet.
    pub fn insert(&mut self, score: f64, member: M) {
        debug_assert!(!score.is_nan());
        self.len += 1;
        let Some(root) = &mut self.root else {
            self.nodes.leaves += 1;
            self.root = Some(Node::Leaf(Leaf::with(score, member)));
            return;
        };
        let place = Place { first: true, last: true };
        if let Some(right) = root.insert(score, member, place, &mut self.nodes) {
            self.nodes.inners += 1;
            let left = self.root.take().expect("the root was just used");
            self.root = Some(Node::Inner(Inner::over(left, right)));
        }
    }

    /// Removes the element with this score and these member bytes.
    pub fn remove(&mut self, score: f64, member: &[u8]) -> Option<M> {
        let gone = self.root.as_mut()?.remove(score, member, &mut self.nodes)?;
        self.len -= 1;
        self.collapse();
        Some(gone)
    }

    /// Moves an element that is there from one score to another.
    pub fn set_score(&mut self, old: f64, new: f64, member: M) {
        debug_assert!(!new.is_nan());
        // Most changes are small steps: when the neighbours in the leaf still enclose the element,
        // nothing moves.
        if self.root.as_mut().is_some_and(|root| root.set_score_in_place(old, new, member)) {
            return;
        }
        if self.remove(old, member.bytes()).is_some() {
            self.insert(new, member);
        } else {
            debug_assert!(false, "set_score of an element that is not there");
        }
    }

    /// Number of elements before this one, if it is there.
    pub fn rank(&self, score: f64, member: &[u8]) -> Option<usize> {
        let mut node = self.root.as_ref()?;
        let mut rank = 0;
        loop {
            match node {
                Node::Inner(inner) => {
                    let i = inner.child_for(score, member);
                    rank += inner.before(i);
                    node = inner.child(i);
                }
                Node::Leaf(leaf) => return leaf.find(score, member).map(|i| rank + i),
            }
        }
    }

    /// Number of elements for which `before` holds; it must hold for a prefix of the order.
    pub fn partition_point(&self, mut before: impl FnMut(f64, M) -> bool) -> usize {
        let Some(mut node) = self.root.as_ref() else { return 0 };
        let mut rank = 0;
        loop {
            match node {
                Node::Inner(inner) => {
                    let Some(i) = inner.partition(&mut before).checked_sub(1) else {
                        return rank;
                    };
                    rank += inner.before(i);
                    node = inner.child(i);
                }
                Node::Leaf(leaf) => return rank + leaf.partition(&mut before),
            }
        }
    }

    /// The leaf that holds element number `rank`, and where in it.
    fn leaf_at(&self, rank: usize) -> Option<(&Leaf<M>, usize)> {
        if rank >= self.len {
            return None;
        }
        let mut node = self.root.as_ref()?;
        let mut rest = rank;
        loop {
            match node {
                Node::Inner(inner) => {
                    let i = inner.child_at(&mut rest);
                    node = inner.child(i);
                }
                Node::Leaf(leaf) => return Some((leaf, rest)),
            }
        }
    }

    /// The element number `rank`.
    pub fn get(&self, rank: usize) -> Option<(f64, M)> {
        self.leaf_at(rank).map(|(leaf, i)| leaf.get(i))
    }

    /// The elements with ranks `from..to`, from either end.
    pub fn range(&self, from: usize, to: usize) -> Iter<'_, M> {
        let to = to.min(self.len);
        Iter { tree: self, from: from.min(to), to, front: None, back: None }
    }

    /// Removes the elements with ranks `from..to` and hands each to `f`, ascending.
    pub fn remove_range(&mut self, from: usize, to: usize, mut f: impl FnMut(f64, M)) {
        let to = to.min(self.len);
        if from >= to {
            return;
        }
        if to - from == self.len {
            for (score, member) in self.range(from, to) {
                f(score, member);
            }
            *self = CountedTree::new();
            return;
        }
        if let Some(root) = &mut self.root {
            root.remove_range(from, to, &mut f, &mut self.nodes);
        }
        self.len -= to - from;
        self.collapse();
    }

    /// Lowers the tree while its root has a single child.
    fn collapse(&mut self) {
        loop {
            match &mut self.root {
                Some(Node::Inner(inner)) if inner.len() == 1 => {
                    self.root = inner.take_only();
                    self.nodes.inners -= 1;
                }
                Some(Node::Leaf(leaf)) if leaf.len() == 0 => {
                    self.root = None;
                    self.nodes.leaves -= 1;
                }
                _ => return,
            }
        }
    }

    /// Panics if an invariant of the module page does not hold.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let mut seen = Nodes { leaves: 0, inners: 0 };
        let count = self.root.as_ref().map_or(0, |root| root.check(&mut seen).0);
        assert_eq!(count, self.len);
        assert_eq!((seen.leaves, seen.inners), (self.nodes.leaves, self.nodes.inners));
        let all: Vec<_> = self.range(0, self.len).collect();
        assert!(all.is_sorted_by(|a, b| node::less(a.0, a.1.bytes(), b.0, b.1.bytes())));
    }
}

impl<M: Member> Default for CountedTree<M> {
    fn default() -> Self {
        CountedTree::new()
    }
}

impl<M> std::fmt::Debug for CountedTree<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CountedTree").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Elements of a [`CountedTree`] with their ranks in a range.
///
/// A cursor is a leaf and a place in it; at the end of a leaf the next is found by rank, which
/// costs one descent per leaf and keeps leaves free of links to maintain.
pub struct Iter<'a, M> {
    tree: &'a CountedTree<M>,
    from: usize,
    to: usize,
    front: Option<(&'a Leaf<M>, usize)>,
    back: Option<(&'a Leaf<M>, usize)>,
}

impl<M: Member> Iterator for Iter<'_, M> {
    type Item = (f64, M);

    #[inline]
    fn next(&mut self) -> Option<(f64, M)> {
        if self.from >= self.to {
            return None;
        }
        let (leaf, i) = match self.front {
            Some((leaf, i)) if i < leaf.len() => (leaf, i),
            _ => self.tree.leaf_at(self.from)?,
        };
        self.front = Some((leaf, i + 1));
        self.from += 1;
        Some(leaf.get(i))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.to - self.from;
        (left, Some(left))
    }

    fn nth(&mut self, n: usize) -> Option<(f64, M)> {
        self.from = self.from.saturating_add(n).min(self.to);
        self.front = None;
        self.next()
    }
}

impl<M: Member> DoubleEndedIterator for Iter<'_, M> {
    #[inline]
    fn next_back(&mut self) -> Option<(f64, M)> {
        if self.from >= self.to {
            return None;
        }
        let (leaf, i) = match self.back {
            Some((leaf, i)) if i > 0 => (leaf, i - 1),
            _ => self.tree.leaf_at(self.to - 1)?,
        };
        self.back = Some((leaf, i));
        self.to -= 1;
        Some(leaf.get(i))
    }

    fn nth_back(&mut self, n: usize) -> Option<(f64, M)> {
        self.to = self.to.saturating_sub(n).max(self.from);
        self.back = None;
        self.next_back()
    }
}

impl<M: Member> ExactSizeIterator for Iter<'_, M> {}

#[cfg(test)]
mod tests;
