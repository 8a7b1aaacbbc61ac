//! A large sorted set: a member table and a counting B+ tree over the same entries.
//!
//! The table answers "what score has this member", the tree everything about order. Member bytes
//! are stored once, in the table's entries; the tree holds the entries' addresses. Per element that is
//! the entry (6 bytes around member and score), about 10 bytes of table and 18-23 of tree.
//!
//! Invariants: the tree and the table hold the same members with the same scores; scores are
//! never NaN and never negative zero. An entry is created with an integer (the score's bits), gets
//! only integers, and no expiry, so its address stays valid until it is removed; before that it is taken
//! out of the tree.
#![allow(unsafe_code)]

use crate::btree::{self, CountedTree, Member};
use crate::entry::{Entry, EntryPtr, NewValue, ValueRef};
use crate::hash::HashSeed;
use crate::meter::Meter;
use crate::table::Lookup;
use crate::watched::{Pass, WatchedTable};

/// A table entry as the tree sees it.
#[derive(Clone, Copy)]
struct MemberRef(EntryPtr<()>);

impl Member for MemberRef {
    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: MemberRefs exist only in the tree of a ScoredSet and in copies made from it while
        // the set is borrowed; an entry leaves the tree before it leaves the table, and nothing
        // changes keys.
        unsafe { self.0.key() }
    }
}

/// A sorted set for any number of elements; see the module page.
pub struct ScoredSet {
    tree: CountedTree<MemberRef>,
    table: WatchedTable,
}

/// What [`ScoredSet::upsert`] did.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Upsert {
    /// The score before, if the member was there.
    pub old: Option<f64>,
    /// The score now, if the member is there.
    pub new: Option<f64>,
}

#[inline]
fn score_of(entry: &Entry<()>) -> f64 {
    match entry.value() {
        ValueRef::Int(bits) => f64::from_bits(bits as u64),
        _ => unreachable!("members hold the bits of their score"),
    }
}

// SAFETY: the tree refers to entries of the table beside it and to nothing else, so both move together.
unsafe impl Send for ScoredSet {}

impl ScoredSet {
    /// An empty set whose table hashes with `seed`.
    pub fn new(seed: HashSeed) -> ScoredSet {
        ScoredSet { tree: CountedTree::new(), table: WatchedTable::new(seed) }
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// Begins a walk over the members, whose entries hold the bits of the score as an integer; see
    /// [`WatchedTable::begin_walk`].
    pub fn begin_walk(&mut self, tag: u64, passes: Vec<Pass>, meter: &Meter) {
        self.table.begin_walk(tag, passes, meter);
    }

    /// See [`WatchedTable::walk_tag`].
    pub fn walk_tag(&self) -> Option<u64> {
        self.table.walk_tag()
    }

    /// See [`WatchedTable::step_walk`].
    pub fn step_walk(&mut self, out: &mut Vec<u8>, budget: usize) -> bool {
        self.table.step_walk(out, budget)
    }

    /// See [`WatchedTable::end_walk`].
    pub fn end_walk(&mut self) {
        self.table.end_walk();
    }

    /// Heap bytes, as the allocator counts them.
    pub fn mem_bytes(&self) -> usize {
        self.tree.mem_bytes() + self.table.mem_bytes()
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.table.get(member).map(score_of)
    }

    /// Looks a member up once and sets the score that `f` answers, given the one it has; `None`
    /// leaves everything as it is.
    ///
    /// # Panics
    /// If `f` answers NaN.
    pub fn upsert(&mut self, member: &[u8], f: impl FnOnce(Option<f64>) -> Option<f64>) -> Upsert {
        match self.table.lookup(member) {
            Lookup::Found(mut entry) => {
                let old = score_of(&entry);
                let Some(new) = f(Some(old)).map(normal) else {
                    return Upsert { old: Some(old), new: Some(old) };
                };
                if new != old {
                    entry.set_int(new.to_bits() as i64);
                    self.tree.set_score(old, new, MemberRef(entry.as_ptr()));
                }
                Upsert { old: Some(old), new: Some(new) }
            }
            Lookup::Vacant(place) => {
                let Some(new) = f(None).map(normal) else {
                    return Upsert { old: None, new: None };
                };
                let entry = place.insert(NewValue::Int(new.to_bits() as i64));
                self.tree.insert(new, MemberRef(entry.as_ptr()));
                Upsert { old: None, new: Some(new) }
            }
        }
    }

    /// Removes a member and returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let entry = self.table.get_mut(member)?;
        let score = score_of(&entry);
        self.tree.remove(score, member);
        drop(entry.remove());
        Some(score)
    }

    /// Number of elements before this one, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        self.tree.rank(score, member).map(|rank| (rank, score))
    }

    /// The element number `rank`.
    pub fn get(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.range(rank, rank.saturating_add(1)).next()
    }

    /// Number of elements whose score satisfies `before`, which must hold for the lowest scores
    /// up to some bound.
    pub fn count_while_score(&self, mut before: impl FnMut(f64) -> bool) -> usize {
        self.tree.partition_point(|score, _| before(score))
    }

    /// Number of elements whose member satisfies `before`, which must hold up to some bound; of
    /// meaning only where all scores are equal.
    pub fn count_while_member(&self, mut before: impl FnMut(&[u8]) -> bool) -> usize {
        self.tree.partition_point(|_, member| before(member.bytes()))
    }

    /// The elements with ranks `from..to`, from either end.
    pub fn range(&self, from: usize, to: usize) -> Iter<'_> {
        Iter { walk: self.tree.range(from, to) }
    }

    /// All elements in order.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0, self.len())
    }

    /// Removes the elements with ranks `from..to`, handing each to `f` first, in order.
    pub fn remove_range(&mut self, from: usize, to: usize, mut f: impl FnMut(&[u8], f64)) {
        let table = &mut self.table;
        self.tree.remove_range(from, to, |score, member| {
            f(member.bytes(), score);
            // The tree does not look at a member again after handing it out here.
            drop(table.remove(member.bytes()));
        });
    }

    /// Visits about `count` elements from a cursor on; see [`Table::scan`](crate::Table::scan).
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(&[u8], f64)) -> u64 {
        self.table.scan(cursor, count, |entry| f(entry.key(), score_of(entry)))
    }
}

/// Negative zero equals zero and prints as zero, so it is not kept apart.
#[inline]
fn normal(score: f64) -> f64 {
    assert!(!score.is_nan(), "a score is never NaN");
    score + 0.0
}

impl Clone for ScoredSet {
    fn clone(&self) -> Self {
        let mut copy = ScoredSet::new(self.table.seed());
        for (member, score) in self.iter() {
            copy.upsert(member, |_| Some(score));
        }
        copy
    }
}

impl std::fmt::Debug for ScoredSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter().map(|(m, s)| (m.escape_ascii().to_string(), s))).finish()
    }
}

/// Elements of a [`ScoredSet`] in order.
pub struct Iter<'a> {
    walk: btree::Iter<'a, MemberRef>,
}

#[inline]
fn resolve<'a>((score, member): (f64, MemberRef)) -> (&'a [u8], f64) {
    // SAFETY: called with the set borrowed for 'a, so the entry stays in the table unchanged.
    (unsafe { member.0.key() }, score)
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.walk.next().map(resolve)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.walk.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.walk.nth(n).map(resolve)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.walk.next_back().map(resolve)
    }

    fn nth_back(&mut self, n: usize) -> Option<Self::Item> {
        self.walk.nth_back(n).map(resolve)
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests;
