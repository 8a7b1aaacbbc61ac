//! The set type.

use std::collections::BTreeSet;

use moon_ds::sizeclass::round_up;
use moon_ds::thin::{Form, FormMut, Thin};
use moon_ds::{
    self as ds, Entry, Intset, Item, ItemBuf, Listpack, Meter, NewValue, Pass, WatchedTable,
    intset, listpack,
};
use moon_formats::bytes::Put;

use crate::types::{Limits, digest, sample};

/// A set of byte strings.
pub struct Set {
    form: Thin<Listpack, Intset, WatchedTable>,
}

impl Set {
    /// An empty set.
    pub fn new() -> Set {
        Set { form: Thin::second(Intset::new()) }
    }

    /// A set of these members (loading, SINTERSTORE).
    pub fn from_members<'a>(members: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Set {
        let mut set = Set::new();
        for member in members {
            set.add(member, limits);
        }
        set
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self.form.form() {
            Form::First(pack) => pack.len(),
            Form::Second(ints) => ints.len(),
            Form::Large(table) => table.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes, O(1).
    pub fn mem_bytes(&self) -> usize {
        match self.form.form() {
            Form::First(pack) => pack.mem_bytes(),
            Form::Second(ints) => ints.mem_bytes(),
            Form::Large(table) => round_up(size_of::<WatchedTable>()) + table.mem_bytes(),
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
            Form::Second(_) => 1,
            Form::Large(_) => self.len(),
        }
    }

    /// Name as OBJECT ENCODING prints it.
    pub fn encoding(&self) -> &'static str {
        match self.form.form() {
            Form::First(_) => "listpack",
            Form::Second(_) => "intset",
            Form::Large(_) => "hashtable",
        }
    }

    fn make_large(&mut self, limits: &Limits) {
        let mut table = WatchedTable::new(limits.hash_seed);
        let mut buf = ItemBuf::new();
        for member in self.iter() {
            table.insert(member.as_bytes(&mut buf), NewValue::Bytes(b""));
        }
        self.form = Thin::large(Box::new(table));
    }

    /// Says how many members are about to be added at once, the first of which is `first` (SADD): decides a new
    /// set's encoding and makes a small one large at once where that many would (Redis: `setTypeCreate`,
    /// `setTypeMaybeConvert`).
    pub fn will_add(&mut self, first: &[u8], members: usize, limits: &Limits) {
        let max = match self.form.form() {
            Form::Second(ints) if ints.is_empty() => {
                if matches!(Item::from(first), Item::Int(_))
                    && members <= limits.set_max_intset_entries
                {
                    return;
                }
                self.form = Thin::first(Listpack::new());
                limits.set_max_listpack_entries
            }
            Form::First(_) => limits.set_max_listpack_entries,
            Form::Second(_) => limits.set_max_intset_entries,
            Form::Large(_) => return,
        };
        if members > max {
            self.make_large(limits);
        }
    }

    /// Adds a member; false if it was there.
    pub fn add(&mut self, member: &[u8], limits: &Limits) -> bool {
        match self.form.form_mut() {
            FormMut::Large(table) => !table.get_or_insert_with(member, || NewValue::Bytes(b"")).1,
            FormMut::Second(ints) => match Item::from(member) {
                Item::Int(n) => {
                    let added = ints.insert(n);
                    if ints.len() > limits.set_max_intset_entries.min(intset::LEN_MAX - 1) {
                        self.make_large(limits);
                    }
                    added
                }
                Item::Bytes(_) => {
                    self.leave_intset(member, limits);
                    self.add(member, limits)
                }
            },
            FormMut::First(pack) => {
                let item = Item::from(member);
                if pack.find(pack.first(), item, 0).is_some() {
                    return false;
                }
                if pack.len() < limits.set_max_listpack_entries
                    && member.len() <= limits.set_max_listpack_value
                    && pack.fits(member.len())
                {
                    pack.push_back(item);
                    return true;
                }
                self.make_large(limits);
                self.add(member, limits)
            }
        }
    }

    /// A word is about to join integers.
    fn leave_intset(&mut self, word: &[u8], limits: &Limits) {
        let Form::Second(ints) = self.form.form() else { return };
        let longest = [ints.min(), ints.max()].into_iter().flatten().map(|n| Item::Int(n).len());
        let longest = longest.max().unwrap_or(0).max(word.len());
        if ints.len() < limits.set_max_listpack_entries && longest <= limits.set_max_listpack_value
        {
            self.form = Thin::first(ints.iter().map(Item::Int).collect());
        } else {
            self.make_large(limits);
        }
    }

    /// Whether a member is there.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.form.form() {
            Form::First(pack) => pack.find(pack.first(), Item::from(member), 0).is_some(),
            Form::Second(ints) => {
                matches!(Item::from(member), Item::Int(n) if ints.contains(n))
            }
            Form::Large(table) => table.contains(member),
        }
    }

    /// Whether a member of another set is there; integers are not printed where both have them as such.
    #[inline]
    pub fn contains_item(&self, member: Item<'_>) -> bool {
        match (self.form.form(), member) {
            (Form::Second(ints), Item::Int(n)) => ints.contains(n),
            (Form::First(pack), Item::Int(_)) => pack.find(pack.first(), member, 0).is_some(),
            _ => self.contains(member.as_bytes(&mut ItemBuf::new())),
        }
    }

    /// Removes a member; false if it was not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.form.form_mut() {
            FormMut::First(pack) => {
                let Some(pos) = pack.find(pack.first(), Item::from(member), 0) else {
                    return false;
                };
                pack.remove(pos);
                true
            }
            FormMut::Second(ints) => {
                matches!(Item::from(member), Item::Int(n) if ints.remove(n))
            }
            FormMut::Large(table) => table.remove(member).is_some(),
        }
    }

    /// A member picked at random (SRANDMEMBER).
    pub fn random(&self, rng: &mut impl FnMut() -> u64) -> Option<Item<'_>> {
        match self.form.form() {
            Form::First(pack) => pack.index(sample::below(rng(), pack.len())),
            Form::Second(ints) => ints.get(sample::below(rng(), ints.len())).map(Item::Int),
            Form::Large(table) => table.random(rng()).map(|e| Item::Bytes(e.key())),
        }
    }

    /// Takes a member picked at random out (SPOP).
    pub fn pop_random(&mut self, rng: &mut impl FnMut() -> u64) -> Option<Vec<u8>> {
        match self.form.form_mut() {
            FormMut::First(pack) => {
                let pos = pack.seek(sample::below(rng(), pack.len()))?;
                let member = pack.get(pos).to_vec();
                pack.remove(pos);
                Some(member)
            }
            FormMut::Second(ints) => {
                if ints.is_empty() {
                    return None;
                }
                let n = ints.remove_at(sample::below(rng(), ints.len()));
                Some(Item::Int(n).to_vec())
            }
            FormMut::Large(table) => {
                let member = table.random(rng())?.key().to_vec();
                drop(table.remove(&member));
                Some(member)
            }
        }
    }

    /// Hands `n` different members, or all if there are not as many, to `f`, each choice with equal chance
    /// (SRANDMEMBER with a positive count).
    pub fn sample(&self, n: usize, rng: &mut impl FnMut() -> u64, mut f: impl FnMut(Item<'_>)) {
        if let Form::Large(table) = self.form.form()
            && n.saturating_mul(4) < table.len()
        {
            let mut seen = BTreeSet::new();
            while seen.len() < n {
                let Some(entry) = table.random(rng()) else { return };
                if seen.insert(entry.key()) {
                    f(Item::Bytes(entry.key()));
                }
            }
            return;
        }
        sample::select(self.iter(), self.len(), n, rng, f);
    }

    /// The members: ascending in an intset, as added in a listpack, in hash order in a table.
    pub fn iter(&self) -> SetIter<'_> {
        match self.form.form() {
            Form::First(pack) => SetIter(Walk::Packed(pack.iter())),
            Form::Second(ints) => SetIter(Walk::Ints(ints.iter())),
            Form::Large(table) => SetIter(Walk::Table(table.iter())),
        }
    }

    /// SSCAN: visits about `count` members from a cursor on and returns the next, 0 at the end. A packed set is
    /// visited whole.
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(Item<'_>)) -> u64 {
        if let Form::Large(table) = self.form.form() {
            return table.scan(cursor, count, |entry| f(Item::Bytes(entry.key())));
        }
        self.iter().for_each(f);
        0
    }

    /// A fingerprint of the content.
    pub fn digest(&self) -> u128 {
        let mut sum = digest::Elements::of(3);
        self.iter().for_each(|member| sum.part(member).end());
        sum.sum()
    }

    /// Whether a walk can give its body.
    pub(crate) fn can_walk(&self) -> bool {
        matches!(self.form.form(), Form::Large(_))
    }

    /// Begins a walk that gives the value body.
    pub(crate) fn begin_walk(&mut self, tag: u64, meter: &Meter) {
        let FormMut::Large(table) = self.form.form_mut() else { return };
        let mut head = Vec::new();
        head.put_count32(table.len());
        let put = |member: &Entry<()>, out: &mut Vec<u8>| out.put_bytes32(member.key());
        table.begin_walk(tag, vec![Pass { head, put: Some(put) }], meter);
    }

    /// The table that a walk goes over.
    pub(crate) fn walked(&mut self) -> Option<&mut WatchedTable> {
        match self.form.form_mut() {
            FormMut::Large(table) => Some(table),
            FormMut::First(_) | FormMut::Second(_) => None,
        }
    }

    /// The tag of the walk, if there is one.
    pub(crate) fn walk_tag(&self) -> Option<u64> {
        match self.form.form() {
            Form::Large(table) => table.walk_tag(),
            Form::First(_) | Form::Second(_) => None,
        }
    }

    /// Appends the value body, type 3.
    pub fn to_body(&self, out: &mut Vec<u8>) {
        let mut buf = ItemBuf::new();
        out.put_count32(self.len());
        for member in self.iter() {
            out.put_bytes32(member.as_bytes(&mut buf));
        }
    }
}

impl Clone for Set {
    fn clone(&self) -> Self {
        let form = match self.form.form() {
            Form::First(pack) => Thin::first(pack.clone()),
            Form::Second(ints) => Thin::second(ints.clone()),
            Form::Large(table) => {
                let mut copy = WatchedTable::new(table.seed());
                for entry in table.iter() {
                    copy.insert(entry.key(), NewValue::Bytes(b""));
                }
                Thin::large(Box::new(copy))
            }
        };
        Set { form }
    }
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

enum Walk<'a> {
    Packed(listpack::Iter<'a>),
    Ints(intset::Iter<'a>),
    Table(ds::Iter<'a, ()>),
}

/// Members of a set.
pub struct SetIter<'a>(Walk<'a>);

impl<'a> Iterator for SetIter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match &mut self.0 {
            Walk::Packed(iter) => iter.next(),
            Walk::Ints(iter) => iter.next().map(Item::Int),
            Walk::Table(iter) => iter.next().map(|e| Item::Bytes(e.key())),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Walk::Packed(iter) => iter.size_hint(),
            Walk::Ints(iter) => iter.size_hint(),
            Walk::Table(iter) => iter.size_hint(),
        }
    }
}

impl ExactSizeIterator for SetIter<'_> {}
