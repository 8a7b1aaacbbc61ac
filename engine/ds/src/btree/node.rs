//! Nodes of the counted tree: what one node does to itself and its children.

/// Elements of a leaf: 1016 bytes, just under a size class. Small in this crate's tests, so that they
/// reach every shape; the engine's tests run the real size.
pub(super) const LEAF: usize = if cfg!(test) { 7 } else { 63 };
/// Children of an inner node: 1264 bytes.
pub(super) const FAN: usize = if cfg!(test) { 6 } else { 35 };

/// A handle by which the tree reaches a member's bytes.
pub trait Member: Copy {
    /// The member's bytes; the same for as long as the handle is in a tree.
    fn bytes(&self) -> &[u8];
}

/// How many nodes of each kind a tree owns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nodes {
    pub(super) leaves: usize,
    pub(super) inners: usize,
}

/// Whether a node is on the left or right border of the tree. Elements that come in order
/// split off an empty neighbour there, so that nodes behind the border stay full.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) first: bool,
    pub(super) last: bool,
}

impl Place {
    /// Where to cut a full node when the new entry goes to `at`.
    fn cut(self, at: usize, len: usize) -> usize {
        if self.last && at == len {
            len
        } else if self.first && at == 0 {
            0
        } else {
            len / 2
        }
    }
}

#[inline]
pub(super) fn less(score_a: f64, a: &[u8], score_b: f64, b: &[u8]) -> bool {
    score_a < score_b || (score_a == score_b && a < b)
}

/// Number of pairs below (score, member), or, with `or_equal`, at or below it.
#[inline]
fn count_below<M: Member>(
    scores: &[f64],
    members: &[M],
    score: f64,
    member: &[u8],
    or_equal: bool,
) -> usize {
    let low = scores.partition_point(|s| *s < score);
    if scores.get(low) != Some(&score) {
        return low;
    }
    let ties = scores[low..].partition_point(|s| *s <= score);
    low + members[low..low + ties].partition_point(|m| {
        let bytes = m.bytes();
        if or_equal { bytes <= member } else { bytes < member }
    })
}

/// Number of leading pairs for which `before` holds.
#[inline]
fn partition<M: Member>(
    scores: &[f64],
    members: &[M],
    before: &mut impl FnMut(f64, M) -> bool,
) -> usize {
    let (mut low, mut high) = (0, scores.len());
    while low < high {
        let mid = (low + high) / 2;
        if before(scores[mid], members[mid]) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    low
}

/// Opens place `at` in the first `len` of `items` and fills it.
#[inline]
fn put<T: Copy>(items: &mut [T], len: usize, at: usize, item: T) {
    items.copy_within(at..len, at + 1);
    items[at] = item;
}

pub(super) enum Node<M> {
    Leaf(Box<Leaf<M>>),
    Inner(Box<Inner<M>>),
}

#[repr(C)]
pub(super) struct Leaf<M> {
    len: u32,
    scores: [f64; LEAF],
    members: [M; LEAF],
}

#[repr(C)]
pub(super) struct Inner<M> {
    len: u32,
    counts: [u32; FAN],
    scores: [f64; FAN],
    members: [M; FAN],
    children: [Option<Node<M>>; FAN],
}

impl<M: Member> Leaf<M> {
    pub(super) fn with(score: f64, member: M) -> Box<Leaf<M>> {
        // Places beyond the length hold copies that are never looked at.
        Box::new(Leaf { len: 1, scores: [score; LEAF], members: [member; LEAF] })
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) fn get(&self, i: usize) -> (f64, M) {
        (self.scores[i], self.members[i])
    }

    #[inline]
    fn below(&self, score: f64, member: &[u8]) -> usize {
        let n = self.len();
        count_below(&self.scores[..n], &self.members[..n], score, member, false)
    }

    #[inline]
    pub(super) fn find(&self, score: f64, member: &[u8]) -> Option<usize> {
        let i = self.below(score, member);
        (i < self.len() && self.scores[i] == score && self.members[i].bytes() == member)
            .then_some(i)
    }

    pub(super) fn partition(&self, before: &mut impl FnMut(f64, M) -> bool) -> usize {
        partition(&self.scores[..self.len()], &self.members[..self.len()], before)
    }

    fn put(&mut self, at: usize, score: f64, member: M) {
        let n = self.len();
        put(&mut self.scores, n, at, score);
        put(&mut self.members, n, at, member);
        self.len += 1;
    }

    fn cut_out(&mut self, from: usize, to: usize) {
        let n = self.len();
        self.scores.copy_within(to..n, from);
        self.members.copy_within(to..n, from);
        self.len -= (to - from) as u32;
    }

    fn split(&mut self, at: usize) -> Box<Leaf<M>> {
        let n = self.len();
        let mut right = Leaf::with(self.scores[0], self.members[0]);
        right.scores[..n - at].copy_from_slice(&self.scores[at..n]);
        right.members[..n - at].copy_from_slice(&self.members[at..n]);
        right.len = (n - at) as u32;
        self.len = at as u32;
        right
    }

    fn append(&mut self, right: &Leaf<M>) {
        let (n, m) = (self.len(), right.len());
        self.scores[n..n + m].copy_from_slice(&right.scores[..m]);
        self.members[n..n + m].copy_from_slice(&right.members[..m]);
        self.len += right.len;
    }
}

impl<M: Member> Inner<M> {
    /// A node with two children.
    pub(super) fn over(left: Node<M>, right: Node<M>) -> Box<Inner<M>> {
        let mut inner = Inner::empty(left.least());
        inner.put(0, left);
        inner.put(1, right);
        inner
    }

    fn empty((score, member): (f64, M)) -> Box<Inner<M>> {
        Box::new(Inner {
            len: 0,
            counts: [0; FAN],
            scores: [score; FAN],
            members: [member; FAN],
            children: [const { None }; FAN],
        })
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) fn child(&self, i: usize) -> &Node<M> {
        self.children[i].as_ref().expect("children below the length are there")
    }

    #[inline]
    fn child_mut(&mut self, i: usize) -> &mut Node<M> {
        self.children[i].as_mut().expect("children below the length are there")
    }

    /// The child that holds, or would take, an element.
    #[inline]
    pub(super) fn child_for(&self, score: f64, member: &[u8]) -> usize {
        let n = self.len();
        count_below(&self.scores[..n], &self.members[..n], score, member, true).saturating_sub(1)
    }

    pub(super) fn partition(&self, before: &mut impl FnMut(f64, M) -> bool) -> usize {
        partition(&self.scores[..self.len()], &self.members[..self.len()], before)
    }

    /// Elements in front of child `i`.
    #[inline]
    pub(super) fn before(&self, i: usize) -> usize {
        self.counts[..i].iter().map(|c| *c as usize).sum()
    }

    /// The child with element number `rest`, which becomes its number inside that child.
    #[inline]
    pub(super) fn child_at(&self, rest: &mut usize) -> usize {
        let mut i = 0;
        while *rest >= self.counts[i] as usize {
            *rest -= self.counts[i] as usize;
            i += 1;
        }
        i
    }

    pub(super) fn take_only(&mut self) -> Option<Node<M>> {
        self.len = 0;
        self.children[0].take()
    }

    /// Brings count and least element of child `i` up to date.
    #[inline]
    fn refresh_least(&mut self, i: usize) {
        (self.scores[i], self.members[i]) = self.child(i).least();
    }

    fn put(&mut self, at: usize, child: Node<M>) {
        let n = self.len();
        let (score, member) = child.least();
        put(&mut self.counts, n, at, child.count() as u32);
        put(&mut self.scores, n, at, score);
        put(&mut self.members, n, at, member);
        self.children[at..=n].rotate_right(1);
        self.children[at] = Some(child);
        self.len += 1;
    }

    /// Takes the children `from..to` out, dropping them.
    fn cut_out(&mut self, from: usize, to: usize) {
        let n = self.len();
        self.counts.copy_within(to..n, from);
        self.scores.copy_within(to..n, from);
        self.members.copy_within(to..n, from);
        self.children[from..n].rotate_left(to - from);
        self.children[n - (to - from)..n].fill_with(|| None);
        self.len -= (to - from) as u32;
    }

    fn split(&mut self, at: usize) -> Box<Inner<M>> {
        let n = self.len();
        let mut right = Inner::empty((self.scores[0], self.members[0]));
        right.take_children(0, self, at, n);
        self.len = at as u32;
        right
    }

    /// Moves the children `from..to` of `other` behind the first `at` of this node.
    fn take_children(&mut self, at: usize, other: &mut Inner<M>, from: usize, to: usize) {
        let end = at + to - from;
        self.counts[at..end].copy_from_slice(&other.counts[from..to]);
        self.scores[at..end].copy_from_slice(&other.scores[from..to]);
        self.members[at..end].copy_from_slice(&other.members[from..to]);
        self.children[at..end].swap_with_slice(&mut other.children[from..to]);
        self.len = end as u32;
    }

    /// After child `i` lost elements: removes it if it is empty, joins it with a neighbour if
    /// it is under a third full and the two leave an eighth of a node free.
    fn mend(&mut self, i: usize, nodes: &mut Nodes) {
        let Some(Some(child)) = self.children.get(i) else { return };
        let (len, cap) = (child.len(), child.capacity());
        if len == 0 {
            child.forget(nodes);
            self.cut_out(i, i + 1);
            return;
        }
        if len >= cap / 3 {
            return;
        }
        let fits = |j: usize| self.child(j).len() + len <= cap - cap / 8;
        let left = if i > 0 && fits(i - 1) {
            i - 1
        } else if i + 1 < self.len() && fits(i + 1) {
            i
        } else {
            return;
        };
        let right = self.children[left + 1].take().expect("checked above");
        right.forget(nodes);
        self.counts[left] += self.counts[left + 1];
        match (self.child_mut(left), right) {
            (Node::Leaf(a), Node::Leaf(b)) => a.append(&b),
            (Node::Inner(a), Node::Inner(mut b)) => {
                let (n, m) = (a.len(), b.len());
                a.take_children(n, &mut b, 0, m);
            }
            _ => unreachable!("all leaves have the same depth"),
        }
        self.cut_out(left + 1, left + 2);
    }
}

impl<M: Member> Node<M> {
    /// Entries of this node: elements of a leaf, children of an inner node.
    fn len(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.len(),
            Node::Inner(inner) => inner.len(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Node::Leaf(_) => LEAF,
            Node::Inner(_) => FAN,
        }
    }

    /// Elements below this node.
    fn count(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.len(),
            Node::Inner(inner) => inner.before(inner.len()),
        }
    }

    fn least(&self) -> (f64, M) {
        match self {
            Node::Leaf(leaf) => leaf.get(0),
            Node::Inner(inner) => (inner.scores[0], inner.members[0]),
        }
    }

    /// Takes this node, not what is below it, out of the books.
    fn forget(&self, nodes: &mut Nodes) {
        match self {
            Node::Leaf(_) => nodes.leaves -= 1,
            Node::Inner(_) => nodes.inners -= 1,
        }
    }

    /// Adds an element; returns the node split off to the right, if it came to that.
    pub(super) fn insert(
        &mut self,
        score: f64,
        member: M,
        place: Place,
        nodes: &mut Nodes,
    ) -> Option<Node<M>> {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.below(score, member.bytes());
                if leaf.len() < LEAF {
                    leaf.put(at, score, member);
                    return None;
                }
                nodes.leaves += 1;
                let cut = place.cut(at, LEAF);
                let mut right = leaf.split(cut);
                if at < cut || cut == 0 {
                    leaf.put(at, score, member);
                } else {
                    right.put(at - cut, score, member);
                }
                Some(Node::Leaf(right))
            }
            Node::Inner(inner) => {
                let i = inner.child_for(score, member.bytes());
                let below = Place {
                    first: place.first && i == 0,
                    last: place.last && i + 1 == inner.len(),
                };
                let split = inner.child_mut(i).insert(score, member, below, nodes);
                let Some(right) = split else {
                    inner.counts[i] += 1;
                    // Only the first child can get an element below its least one.
                    if i == 0 {
                        inner.refresh_least(0);
                    }
                    return None;
                };
                inner.counts[i] = inner.child(i).count() as u32;
                inner.refresh_least(i);
                let at = i + 1;
                if inner.len() < FAN {
                    inner.put(at, right);
                    return None;
                }
                nodes.inners += 1;
                let cut = if below.last { FAN } else { FAN / 2 };
                let mut sibling = inner.split(cut);
                if at < cut {
                    inner.put(at, right);
                } else {
                    sibling.put(at - cut, right);
                }
                Some(Node::Inner(sibling))
            }
        }
    }

    pub(super) fn remove(&mut self, score: f64, member: &[u8], nodes: &mut Nodes) -> Option<M> {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.find(score, member)?;
                let gone = leaf.members[at];
                leaf.cut_out(at, at + 1);
                Some(gone)
            }
            Node::Inner(inner) => {
                let i = inner.child_for(score, member);
                let gone = inner.child_mut(i).remove(score, member, nodes)?;
                inner.counts[i] -= 1;
                if inner.counts[i] > 0 && inner.scores[i] == score {
                    inner.refresh_least(i);
                }
                inner.mend(i, nodes);
                Some(gone)
            }
        }
    }

    /// Changes a score where the element lies, if it keeps its place between two neighbours of its
    /// leaf.
    pub(super) fn set_score_in_place(&mut self, old: f64, new: f64, member: M) -> bool {
        let mut node = self;
        loop {
            match node {
                Node::Inner(inner) => {
                    let i = inner.child_for(old, member.bytes());
                    node = inner.child_mut(i);
                }
                Node::Leaf(leaf) => {
                    let Some(i) = leaf.find(old, member.bytes()) else { return false };
                    if i == 0 || i + 1 == leaf.len() {
                        return false;
                    }
                    let ((low, before), (high, after)) = (leaf.get(i - 1), leaf.get(i + 1));
                    let stays = less(low, before.bytes(), new, member.bytes())
                        && less(new, member.bytes(), high, after.bytes());
                    if stays {
                        leaf.scores[i] = new;
                    }
                    return stays;
                }
            }
        }
    }

    /// Hands every element below to `f` and takes all nodes out of the books.
    fn visit(&self, f: &mut impl FnMut(f64, M), nodes: &mut Nodes) {
        self.forget(nodes);
        match self {
            Node::Leaf(leaf) => (0..leaf.len()).for_each(|i| f(leaf.scores[i], leaf.members[i])),
            Node::Inner(inner) => {
                (0..inner.len()).for_each(|i| inner.child(i).visit(f, nodes));
            }
        }
    }

    /// Removes the elements numbered `from..to` below this node, which must leave at least
    /// one somewhere in the tree. A node may come out empty; its parent mends that.
    pub(super) fn remove_range(
        &mut self,
        from: usize,
        to: usize,
        f: &mut impl FnMut(f64, M),
        nodes: &mut Nodes,
    ) {
        match self {
            Node::Leaf(leaf) => {
                (from..to).for_each(|i| f(leaf.scores[i], leaf.members[i]));
                leaf.cut_out(from, to);
            }
            Node::Inner(inner) => {
                let mut start = 0;
                let (mut whole, mut whole_end) = (None, 0);
                for i in 0..inner.len() {
                    let end = start + inner.counts[i] as usize;
                    if end > from && start < to {
                        if start >= from && end <= to {
                            inner.child(i).visit(f, nodes);
                            whole.get_or_insert(i);
                            whole_end = i + 1;
                        } else {
                            let (a, b) = (from.max(start) - start, to.min(end) - start);
                            inner.child_mut(i).remove_range(a, b, f, nodes);
                            inner.counts[i] -= (b - a) as u32;
                            inner.refresh_least(i);
                        }
                    }
                    start = end;
                }
                let seam = match whole {
                    Some(i) => {
                        inner.cut_out(i, whole_end);
                        i
                    }
                    None => {
                        // Nothing went whole: the cut lies in one child or between two.
                        let mut rest = from;
                        let mut i = 0;
                        while i + 1 < inner.len() && rest >= inner.counts[i] as usize {
                            rest -= inner.counts[i] as usize;
                            i += 1;
                        }
                        i
                    }
                };
                for i in [seam + 1, seam, seam.wrapping_sub(1)] {
                    if i < inner.len() {
                        inner.mend(i, nodes);
                    }
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn check(&self, seen: &mut Nodes) -> (usize, usize) {
        assert!(self.len() > 0 && self.len() <= self.capacity());
        match self {
            Node::Leaf(leaf) => {
                seen.leaves += 1;
                (leaf.len(), 0)
            }
            Node::Inner(inner) => {
                seen.inners += 1;
                let mut depth = None;
                for i in 0..inner.len() {
                    let (count, below) = inner.child(i).check(seen);
                    assert_eq!(count, inner.counts[i] as usize);
                    let (score, member) = inner.child(i).least();
                    assert_eq!(
                        (score, member.bytes()),
                        (inner.scores[i], inner.members[i].bytes())
                    );
                    assert_eq!(*depth.get_or_insert(below), below);
                }
                assert!(inner.children[inner.len()..].iter().all(Option::is_none));
                (self.count(), depth.expect("an inner node has children") + 1)
            }
        }
    }
}
