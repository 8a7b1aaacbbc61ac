//! The list type.

use std::mem;

use moon_ds::chunklist::{self, ChunkList, End};
use moon_ds::sizeclass::round_up;
use moon_ds::thin::{Form, FormMut, Never, Thin};
use moon_ds::{Item, Listpack, Meter, listpack};
use moon_formats::bytes::Put;

use crate::types::{Limits, digest};

/// A list of byte strings.
pub struct List {
    form: Thin<Listpack, Never, ChunkList>,
}

impl List {
    /// An empty list.
    pub fn new() -> List {
        List { form: Thin::first(Listpack::new()) }
    }

    /// A list of these elements, in the encoding that suits the whole (loading, SORT STORE).
    pub fn from_elements<'a>(items: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> List {
        let limit = limits.list_node();
        let mut chunks = ChunkList::new();
        for item in items {
            chunks.push(End::Back, item, limit);
        }
        let fits =
            chunks.single().is_some_and(|pack| !limit.exceeded_by(pack.redis_bytes(), pack.len()));
        match chunks.take_single_if(fits) {
            Some(pack) => List { form: Thin::first(pack) },
            None if chunks.is_empty() => List::new(),
            None => List { form: Thin::large(Box::new(chunks)) },
        }
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        match self.form.form() {
            Form::First(pack) => pack.len(),
            Form::Second(never) => match *never {},
            Form::Large(chunks) => chunks.len(),
        }
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes, O(1).
    pub fn mem_bytes(&self) -> usize {
        match self.form.form() {
            Form::First(pack) => pack.mem_bytes(),
            Form::Second(never) => match *never {},
            Form::Large(chunks) => round_up(size_of::<ChunkList>()) + chunks.mem_bytes(),
        }
    }

    /// The listpack, if it is one.
    pub fn packed(&self) -> Option<&Listpack> {
        match self.form.form() {
            Form::First(pack) => Some(pack),
            _ => None,
        }
    }

    /// About how many allocations it consists of.
    pub fn allocations(&self) -> usize {
        match self.form.form() {
            Form::First(_) => 1,
            Form::Second(never) => match *never {},
            Form::Large(chunks) => chunks.node_count(),
        }
    }

    /// Name as OBJECT ENCODING prints it.
    pub fn encoding(&self) -> &'static str {
        match self.form.form() {
            Form::First(_) => "listpack",
            Form::Second(never) => match *never {},
            Form::Large(_) => "quicklist",
        }
    }

    /// Converts if `count` elements of `bytes` bytes in all, about to be added, would put a
    /// listpack over the limit.
    fn will_grow(&mut self, bytes: usize, count: usize, limits: &Limits) {
        if let FormMut::First(pack) = self.form.form_mut() {
            let limit = limits.list_node();
            if limit.exceeded_by(pack.redis_bytes() + bytes, pack.len() + count) {
                let pack = mem::take(pack);
                self.form = Thin::large(Box::new(ChunkList::from_pack(pack)));
            }
        }
    }

    /// Converts back if what is left is one node of at most half the limit.
    fn has_shrunk(&mut self, limits: &Limits) {
        if let FormMut::Large(chunks) = self.form.form_mut() {
            // A walk keeps what it has copied beside the nodes.
            if chunks.walk_tag().is_some() {
                return;
            }
            let limit = limits.list_node();
            // Half of the limit that is set: bytes or elements (quicklistNodeLimit).
            let by_count = limits.list_max_listpack_size >= 0;
            let small = chunks.single().is_some_and(|pack| {
                let bytes = pack.redis_bytes() * if by_count { 1 } else { 2 };
                !limit.exceeded_by(bytes, pack.len() * 2)
            });
            if let Some(pack) = chunks.take_single_if(small || chunks.is_empty()) {
                self.form = Thin::first(pack);
            }
        }
    }

    /// Adds elements at one end, one after the other (LPUSH, RPUSH). The encoding is decided once for all of
    /// them, as Redis does.
    pub fn push<'a>(
        &mut self,
        end: End,
        items: impl Iterator<Item = &'a [u8]> + Clone,
        limits: &Limits,
    ) {
        let (bytes, count) =
            items.clone().fold((0, 0), |(bytes, count), i| (bytes + i.len(), count + 1));
        self.will_grow(bytes, count, limits);
        match self.form.form_mut() {
            FormMut::First(pack) => items.for_each(|item| match end {
                End::Front => pack.push_front(item),
                End::Back => pack.push_back(item),
            }),
            FormMut::Second(never) => match *never {},
            FormMut::Large(chunks) => {
                let limit = limits.list_node();
                items.for_each(|item| chunks.push(end, item, limit));
            }
        }
    }

    /// Adds one element at one end.
    #[inline]
    pub fn push_one(&mut self, end: End, item: &[u8], limits: &Limits) {
        self.push(end, std::iter::once(item), limits);
    }

    /// Takes the element at one end out through `f` (LPOP, RPOP).
    pub fn pop<R>(
        &mut self,
        end: End,
        limits: &Limits,
        f: impl FnOnce(Item<'_>) -> R,
    ) -> Option<R> {
        match self.form.form_mut() {
            FormMut::First(pack) => match end {
                End::Front => pack.pop_front(f),
                End::Back => pack.pop_back(f),
            },
            FormMut::Second(never) => match *never {},
            FormMut::Large(chunks) => {
                let out = chunks.pop(end, f);
                self.has_shrunk(limits);
                out
            }
        }
    }

    /// The element number `index` from the head.
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        match self.form.form() {
            Form::First(pack) => pack.index(index),
            Form::Second(never) => match *never {},
            Form::Large(chunks) => chunks.get(index),
        }
    }

    /// Replaces the element number `index`; false if there is none (LSET).
    pub fn set(&mut self, index: usize, item: &[u8], limits: &Limits) -> bool {
        if index >= self.len() {
            return false;
        }
        self.will_grow(item.len(), 1, limits);
        match self.form.form_mut() {
            FormMut::First(pack) => {
                if let Some(pos) = pack.seek(index) {
                    pack.replace(pos, item);
                }
            }
            FormMut::Second(never) => match *never {},
            FormMut::Large(chunks) => {
                chunks.set(index, item, limits.list_node());
                self.has_shrunk(limits);
            }
        }
        true
    }

    /// Inserts an element so that it becomes number `index`, at most the length.
    ///
    /// # Panics
    /// If `index` is over the length.
    pub fn insert(&mut self, index: usize, item: &[u8], limits: &Limits) {
        assert!(index <= self.len(), "index out of bounds");
        self.will_grow(item.len(), 1, limits);
        match self.form.form_mut() {
            FormMut::First(pack) => {
                let pos = pack.seek(index).unwrap_or(pack.end());
                pack.insert(pos, item);
            }
            FormMut::Second(never) => match *never {},
            FormMut::Large(chunks) => chunks.insert(index, item, limits.list_node()),
        }
    }

    /// Inserts an element in front of or behind the first one equal to `pivot`; false if there is none
    /// (LINSERT).
    pub fn insert_near(
        &mut self,
        pivot: &[u8],
        behind: bool,
        item: &[u8],
        limits: &Limits,
    ) -> bool {
        let pivot = Item::from(pivot);
        let Some(at) = self.iter().position(|i| i == pivot) else { return false };
        self.insert(at + usize::from(behind), item, limits);
        true
    }

    /// Removes up to `n` elements from `start` on.
    pub fn remove_range(&mut self, start: usize, n: usize, limits: &Limits) {
        match self.form.form_mut() {
            FormMut::First(pack) => {
                if let Some(pos) = pack.seek(start) {
                    pack.remove_n(pos, n);
                }
            }
            FormMut::Second(never) => match *never {},
            FormMut::Large(chunks) => {
                chunks.remove_range(start, n, limits.list_node());
                self.has_shrunk(limits);
            }
        }
    }

    /// Keeps only the elements `start..end` (LTRIM).
    pub fn trim(&mut self, start: usize, end: usize, limits: &Limits) {
        let end = end.min(self.len()).max(start);
        self.remove_range(end, usize::MAX, limits);
        self.remove_range(0, start, limits);
    }

    /// Removes up to `max` elements equal to `item`, searching from one end; returns how many (LREM).
    pub fn remove_equal(&mut self, from: End, item: &[u8], max: usize, limits: &Limits) -> usize {
        match self.form.form_mut() {
            FormMut::First(pack) => chunklist::remove_from_pack(pack, from, Item::from(item), max),
            FormMut::Second(never) => match *never {},
            FormMut::Large(chunks) => {
                let removed = chunks.remove_equal(from, item, max, limits.list_node());
                self.has_shrunk(limits);
                removed
            }
        }
    }

    /// Finds elements equal to `item` and hands their indexes to `f`: from the head for a positive
    /// `rank`, from the tail for a negative one, skipping the first `|rank| - 1`; at most `count` of them;
    /// looking at no more than `maxlen` elements (LPOS; for no limit pass `usize::MAX`).
    pub fn positions(
        &self,
        item: &[u8],
        rank: i64,
        count: usize,
        maxlen: usize,
        mut f: impl FnMut(usize),
    ) {
        let item = Item::from(item);
        let skip = usize::try_from(rank.unsigned_abs().saturating_sub(1)).unwrap_or(usize::MAX);
        let len = self.len();
        let hits = |i: &(usize, Item<'_>)| i.1 == item;
        if rank >= 0 {
            let found = self.iter().take(maxlen).enumerate().filter(hits);
            found.skip(skip).take(count).for_each(|(i, _)| f(i));
        } else if len > 0 {
            let found = self.range_back(len - 1, maxlen).enumerate().filter(hits);
            found.skip(skip).take(count).for_each(|(i, _)| f(len - 1 - i));
        }
    }

    /// All elements from the head.
    pub fn iter(&self) -> ListIter<'_> {
        self.range(0, usize::MAX)
    }

    /// Up to `n` elements from `start` on (LRANGE).
    pub fn range(&self, start: usize, n: usize) -> ListIter<'_> {
        match self.form.form() {
            Form::First(pack) => {
                let iter = match pack.seek(start) {
                    Some(pos) => pack.iter_from(pos, start),
                    None => pack.iter_from(pack.end(), pack.len()),
                };
                ListIter(Walk::Packed(iter.take(n)))
            }
            Form::Second(never) => match *never {},
            Form::Large(chunks) => ListIter(Walk::Chunked(chunks.range(start, n))),
        }
    }

    /// Up to `n` elements from `start` on towards the head.
    pub fn range_back(&self, start: usize, n: usize) -> ListIterBack<'_> {
        match self.form.form() {
            Form::First(pack) => {
                let pos = pack.seek(start.saturating_add(1)).unwrap_or(pack.end());
                let count = if start < pack.len() { start + 1 } else { 0 };
                let n = if count == 0 { 0 } else { n };
                ListIterBack(Walk::Packed(pack.iter_until(pos, count).rev().take(n)))
            }
            Form::Second(never) => match *never {},
            Form::Large(chunks) => ListIterBack(Walk::Chunked(chunks.range_back(start, n))),
        }
    }

    /// A fingerprint of the content and its order.
    pub fn digest(&self) -> u128 {
        digest::of_sequence(2, self.iter())
    }

    /// Whether a walk can give its body.
    pub(crate) fn can_walk(&self) -> bool {
        matches!(self.form.form(), Form::Large(_))
    }

    /// Begins a walk that gives the elements of the value body, and appends their number.
    pub(crate) fn begin_walk(&mut self, tag: u64, meter: &Meter, head: &mut Vec<u8>) {
        let FormMut::Large(chunks) = self.form.form_mut() else { return };
        head.put_count32(chunks.len());
        chunks.begin_walk(tag, meter);
    }

    /// What a walk goes over.
    pub(crate) fn walked(&mut self) -> Option<&mut ChunkList> {
        match self.form.form_mut() {
            FormMut::Large(chunks) => Some(chunks),
            FormMut::First(_) => None,
            FormMut::Second(never) => match *never {},
        }
    }

    /// Appends about `budget` bytes of what comes next; false if that was it.
    pub(crate) fn step_walk(&mut self, out: &mut Vec<u8>, budget: usize) -> bool {
        let until = out.len() + budget;
        let mut buf = moon_ds::ItemBuf::new();
        self.walked().is_some_and(|chunks| {
            chunks.step_walk(|item| {
                out.put_bytes32(item.as_bytes(&mut buf));
                out.len() < until
            })
        })
    }

    /// The tag of the walk, if there is one.
    pub(crate) fn walk_tag(&self) -> Option<u64> {
        match self.form.form() {
            Form::Large(chunks) => chunks.walk_tag(),
            Form::First(_) => None,
            Form::Second(never) => match *never {},
        }
    }

    /// A walk has ended: what was put off for it is done.
    pub(crate) fn after_walk(&mut self, limits: &Limits) {
        self.has_shrunk(limits);
    }

    /// Appends the value body, type 2.
    pub fn to_body(&self, out: &mut Vec<u8>) {
        let mut buf = moon_ds::ItemBuf::new();
        out.put_count32(self.len());
        for item in self.iter() {
            out.put_bytes32(item.as_bytes(&mut buf));
        }
    }
}

impl Clone for List {
    fn clone(&self) -> Self {
        let form = match self.form.form() {
            Form::First(pack) => Thin::first(pack.clone()),
            Form::Second(never) => match *never {},
            Form::Large(chunks) => Thin::large(Box::new(chunks.clone())),
        };
        List { form }
    }
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[derive(Clone)]
enum Walk<P, C> {
    Packed(P),
    Chunked(C),
}

impl<'a, P, C> Walk<P, C>
where
    P: Iterator<Item = Item<'a>>,
    C: Iterator<Item = Item<'a>>,
{
    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Walk::Packed(iter) => iter.next(),
            Walk::Chunked(iter) => iter.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Walk::Packed(iter) => iter.size_hint(),
            Walk::Chunked(iter) => iter.size_hint(),
        }
    }
}

/// Elements of a list towards the tail.
#[derive(Clone)]
pub struct ListIter<'a>(Walk<std::iter::Take<listpack::Iter<'a>>, chunklist::Iter<'a>>);

/// Elements of a list towards the head.
#[derive(Clone)]
pub struct ListIterBack<'a>(
    Walk<std::iter::Take<std::iter::Rev<listpack::Iter<'a>>>, chunklist::IterBack<'a>>,
);

impl<'a> Iterator for ListIter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<'a> Iterator for ListIterBack<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for ListIter<'_> {}
impl ExactSizeIterator for ListIterBack<'_> {}
