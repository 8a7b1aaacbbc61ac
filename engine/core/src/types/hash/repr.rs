//! The hash type.

use std::collections::BTreeSet;
use std::mem;

use moon_ds::listpack::Pos;
use moon_ds::sizeclass::round_up;
use moon_ds::thin::{Form, FormMut, Never, Thin};
use moon_ds::{self as ds, Item, ItemBuf, Listpack, Meter, Pass, PutEntry, TimedTable, listpack};
use moon_formats::bytes::Put;

use super::large::{is_due, new_value, value_of};
use crate::types::{Limits, digest, sample};

/// A map from fields to values.
pub struct Hash {
    /// A listpack holds field, value and, if marked, expiry in milliseconds (0 for none).
    form: Thin<Listpack, Never, TimedTable>,
}

/// Columns of a packed hash.
fn columns(pack: &Listpack) -> usize {
    if pack.mark() { 3 } else { 2 }
}

fn find(pack: &Listpack, field: &[u8]) -> Option<Pos> {
    pack.find(pack.first(), Item::from(field), columns(pack) - 1)
}

/// Value and expiry of the field at `pos`.
fn read(pack: &Listpack, pos: Pos) -> (Item<'_>, Option<u64>) {
    let value = pack.next(pos).expect("a field is followed by its value");
    let (value, expire) = pack.get_next(value);
    let expire = if pack.mark() { expire.and_then(|pos| expire_of(pack.get(pos))) } else { None };
    (value, expire)
}

fn expire_of(column: Item<'_>) -> Option<u64> {
    match column {
        Item::Int(ms) if ms > 0 => Some(ms as u64),
        _ => None,
    }
}

fn expire_item(expire_ms: Option<u64>) -> Item<'static> {
    Item::Int(expire_ms.map_or(0, |ms| i64::try_from(ms).unwrap_or(i64::MAX)))
}

impl Hash {
    /// An empty hash.
    pub fn new() -> Hash {
        Hash { form: Thin::first(Listpack::new()) }
    }

    /// A hash of these pairs and expiries (loading).
    pub fn from_pairs<'a>(
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        expires: impl Iterator<Item = (&'a [u8], u64)>,
        limits: &Limits,
    ) -> Hash {
        let mut hash = Hash::new();
        for (field, value) in pairs {
            hash.set(field, value, limits);
        }
        for (field, expire_ms) in expires {
            hash.set_expire(field, Some(expire_ms));
        }
        hash
    }

    /// Number of fields, due ones included (HLEN).
    #[inline]
    pub fn len(&self) -> usize {
        match self.form.form() {
            Form::First(pack) => pack.len() / columns(pack),
            Form::Second(never) => match *never {},
            Form::Large(large) => large.table().len(),
        }
    }

    /// Number of fields not due at `now_ms`. Constant time
    /// for a packed hash without expiries, logarithmic for a large one.
    pub fn len_at(&self, now_ms: u64) -> usize {
        match self.form.form() {
            Form::First(pack) if !pack.mark() => pack.len() / 2,
            Form::First(_) => self.iter(now_ms).count(),
            Form::Second(never) => match *never {},
            Form::Large(large) => large.table().len() - large.due(now_ms),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes, O(1).
    pub fn mem_bytes(&self) -> usize {
        match self.form.form() {
            Form::First(pack) => pack.mem_bytes(),
            Form::Second(never) => match *never {},
            Form::Large(large) => round_up(size_of::<TimedTable>()) + large.mem_bytes(),
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
            Form::Large(large) => large.table().len(),
        }
    }

    /// Name as OBJECT ENCODING prints it.
    pub fn encoding(&self) -> &'static str {
        match self.form.form() {
            Form::First(pack) if pack.mark() => "listpackex",
            Form::First(_) => "listpack",
            Form::Second(never) => match *never {},
            Form::Large(_) => "hashtable",
        }
    }

    fn make_large(&mut self, limits: &Limits) {
        let mut large = TimedTable::new(limits.hash_seed);
        let (mut field_buf, mut value_buf) = (ItemBuf::new(), ItemBuf::new());
        for (field, value, expire) in self.entries() {
            let field = field.as_bytes(&mut field_buf);
            large.set(field, new_value(value.as_bytes(&mut value_buf)), false);
            if expire.is_some() {
                large.set_expire(field, expire);
            }
        }
        self.form = Thin::large(Box::new(large));
    }

    /// Says how many fields are about to be set at once (HSET): over the limit the hash becomes large at once,
    /// even if some of them are there already (Redis: `hashTypeTryConversion`).
    pub fn will_set(&mut self, fields: usize, limits: &Limits) {
        if fields > limits.hash_max_listpack_entries
            && let Form::First(_) = self.form.form()
        {
            self.make_large(limits);
        }
    }

    /// Sets a field and clears its expiry (HSET); true if the field is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        self.set_with(field, value, false, limits)
    }

    /// Sets a field and keeps its expiry (HINCRBY, HSETEX KEEPTTL); true if the field is new.
    pub fn set_keep_expire(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        self.set_with(field, value, true, limits)
    }

    fn set_with(&mut self, field: &[u8], value: &[u8], keep: bool, limits: &Limits) -> bool {
        if let FormMut::First(pack) = self.form.form_mut() {
            let longest = field.len().max(value.len());
            if longest > limits.hash_max_listpack_value
                || !pack.fits(field.len() + value.len() + 40)
            {
                self.make_large(limits);
            }
        }
        match self.form.form_mut() {
            FormMut::First(pack) => {
                if let Some(pos) = find(pack, field) {
                    let at = pack.next(pos).expect("a field is followed by its value");
                    pack.replace(at, value);
                    if !keep && pack.mark() {
                        let at = pack.next(at).expect("a value is followed by its expiry");
                        pack.replace(at, 0i64);
                    }
                    return false;
                }
                pack.push_back(field);
                pack.push_back(value);
                if pack.mark() {
                    pack.push_back(0i64);
                }
                if pack.len() / columns(pack) > limits.hash_max_listpack_entries {
                    self.make_large(limits);
                }
                true
            }
            FormMut::Second(never) => match *never {},
            FormMut::Large(large) => large.set(field, new_value(value), keep),
        }
    }

    /// The value of a field and its expiry, if the field is there, due or not.
    #[inline]
    pub fn find(&self, field: &[u8]) -> Option<(Item<'_>, Option<u64>)> {
        Some(match self.form.form() {
            Form::First(pack) => read(pack, find(pack, field)?),
            Form::Second(never) => match *never {},
            Form::Large(large) => {
                let entry = large.table().get(field)?;
                (value_of(entry), entry.expire_ms())
            }
        })
    }

    /// The value of a field and its expiry, if the field is there and not due.
    pub fn get_with_expire(&self, field: &[u8], now_ms: u64) -> Option<(Item<'_>, Option<u64>)> {
        self.find(field).filter(|(_, expire)| !is_due(*expire, now_ms))
    }

    /// The value of a field, if the field is there and not due (HGET).
    #[inline]
    pub fn get(&self, field: &[u8], now_ms: u64) -> Option<Item<'_>> {
        self.get_with_expire(field, now_ms).map(|(value, _)| value)
    }

    /// Whether a field is there and not due (HEXISTS).
    pub fn contains(&self, field: &[u8], now_ms: u64) -> bool {
        self.get(field, now_ms).is_some()
    }

    /// Removes a field, due or not; true if it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self.form.form_mut() {
            FormMut::First(pack) => {
                let Some(pos) = find(pack, field) else { return false };
                pack.remove_n(pos, columns(pack));
                true
            }
            FormMut::Second(never) => match *never {},
            FormMut::Large(large) => large.remove(field),
        }
    }

    /// Removes a field that is due; true if it was there and due.
    pub fn remove_if_due(&mut self, field: &[u8], now_ms: u64) -> bool {
        let due = self.find(field).is_some_and(|(_, expire)| is_due(expire, now_ms));
        due && self.remove(field)
    }

    /// Sets or removes the expiry of a field (milliseconds since 1970); false if the field is not there.
    pub fn set_expire(&mut self, field: &[u8], expire_ms: Option<u64>) -> bool {
        match self.form.form_mut() {
            FormMut::First(pack) => {
                if find(pack, field).is_none() {
                    return false;
                }
                if !pack.mark() {
                    if expire_ms.is_none() {
                        return true;
                    }
                    add_expire_column(pack);
                }
                let pos = find(pack, field).expect("found above");
                let value = pack.next(pos).expect("a field is followed by its value");
                let at = pack.next(value).expect("a value is followed by its expiry");
                pack.replace(at, expire_item(expire_ms));
                true
            }
            FormMut::Second(never) => match *never {},
            FormMut::Large(large) => large.set_expire(field, expire_ms),
        }
    }

    /// When the next field expires; `None` if none does.
    pub fn next_expire(&self) -> Option<u64> {
        match self.form.form() {
            Form::First(pack) if !pack.mark() => None,
            Form::First(_) => self.entries().filter_map(|e| e.2).min(),
            Form::Second(never) => match *never {},
            Form::Large(large) => large.next_expire(),
        }
    }

    /// Whether any field has an expiry.
    pub fn has_expires(&self) -> bool {
        match self.form.form() {
            Form::First(pack) => pack.mark() && self.entries().any(|e| e.2.is_some()),
            Form::Second(never) => match *never {},
            Form::Large(large) => large.table().expires() > 0,
        }
    }

    /// Removes up to `budget` fields that are due at `now_ms`, handing each to `f` first; true if more may be
    /// due.
    pub fn reap(&mut self, now_ms: u64, budget: usize, mut f: impl FnMut(&[u8])) -> bool {
        match self.form.form_mut() {
            FormMut::First(pack) => {
                let (mut at, mut left) = (pack.first().filter(|_| pack.mark()), budget);
                let mut buf = ItemBuf::new();
                while let Some(pos) = at {
                    if is_due(read(pack, pos).1, now_ms) {
                        if left == 0 {
                            return true;
                        }
                        left -= 1;
                        f(pack.get(pos).as_bytes(&mut buf));
                        at = pack.remove_n(pos, 3);
                    } else {
                        at = (0..3).try_fold(pos, |pos, _| pack.next(pos));
                    }
                }
                false
            }
            FormMut::Second(never) => match *never {},
            FormMut::Large(large) => large.remove_due(now_ms, budget, f),
        }
    }

    /// All fields with value and expiry.
    fn entries(&self) -> Entries<'_> {
        match self.form.form() {
            Form::First(pack) => Entries::Packed(pack.iter(), pack.mark()),
            Form::Second(never) => match *never {},
            Form::Large(large) => Entries::Table(large.table().iter()),
        }
    }

    /// Fields and values, without those due at `now_ms`.
    pub fn iter(&self, now_ms: u64) -> HashIter<'_> {
        HashIter { entries: self.entries(), now_ms }
    }

    /// Fields that have an expiry.
    pub fn expires(&self) -> impl Iterator<Item = (Item<'_>, u64)> {
        self.entries().filter_map(|(field, _, expire)| Some((field, expire?)))
    }

    /// HSCAN: visits about `count` fields from a cursor on and returns the next, 0 at the end. A packed
    /// hash is visited whole.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        now_ms: u64,
        mut f: impl FnMut(Item<'_>, Item<'_>),
    ) -> u64 {
        match self.form.form() {
            Form::First(_) => {
                self.iter(now_ms).for_each(|(field, value)| f(field, value));
                0
            }
            Form::Second(never) => match *never {},
            Form::Large(large) => large.table().scan(cursor, count, |entry| {
                if !is_due(entry.expire_ms(), now_ms) {
                    f(Item::Bytes(entry.key()), value_of(entry));
                }
            }),
        }
    }

    /// A field picked at random, with its value, among those not due.
    pub fn random(
        &self,
        now_ms: u64,
        rng: &mut impl FnMut() -> u64,
    ) -> Option<(Item<'_>, Item<'_>)> {
        if let Form::Large(large) = self.form.form() {
            // With most fields due a hit is unlikely; then the walk below decides.
            for _ in 0..16 {
                let entry = large.table().random(rng())?;
                if !is_due(entry.expire_ms(), now_ms) {
                    return Some((Item::Bytes(entry.key()), value_of(entry)));
                }
            }
        }
        let len = self.len_at(now_ms);
        self.iter(now_ms).nth(sample::below(rng(), len))
    }

    /// Hands `n` different fields, or all if there are not as many, to `f` with their values, each choice
    /// with equal chance (HRANDFIELD with a positive count).
    pub fn sample(
        &self,
        n: usize,
        now_ms: u64,
        rng: &mut impl FnMut() -> u64,
        mut f: impl FnMut(Item<'_>, Item<'_>),
    ) {
        let len = self.len_at(now_ms);
        if let Form::Large(large) = self.form.form()
            && n.saturating_mul(4) < len
        {
            let mut seen = BTreeSet::new();
            // Few of many: repeats are rare. The bound ends a walk among fields mostly due.
            for _ in 0..n.saturating_mul(16) {
                if seen.len() == n {
                    return;
                }
                if let Some(entry) = large.table().random(rng())
                    && !is_due(entry.expire_ms(), now_ms)
                    && seen.insert(entry.key())
                {
                    f(Item::Bytes(entry.key()), value_of(entry));
                }
            }
            let rest = n - seen.len();
            let unseen = self.iter(now_ms).filter(|(field, _)| match field {
                Item::Bytes(b) => !seen.contains(b),
                Item::Int(_) => true,
            });
            sample::select(unseen, len - seen.len(), rest, rng, |(field, value)| f(field, value));
            return;
        }
        sample::select(self.iter(now_ms), len, n, rng, |(field, value)| f(field, value));
    }

    /// A fingerprint of the content: fields, values, expiries.
    pub fn digest(&self) -> u128 {
        let mut sum = digest::Elements::of(1);
        for (field, value, expire) in self.entries() {
            sum.part(field).part(value).word(expire.unwrap_or(0)).end();
        }
        sum.sum()
    }

    /// Whether a walk can give its body.
    pub(crate) fn can_walk(&self) -> bool {
        matches!(self.form.form(), Form::Large(_))
    }

    /// Begins a walk that gives the value body: the fields, then those that expire.
    pub(crate) fn begin_walk(&mut self, tag: u64, meter: &Meter) {
        let FormMut::Large(large) = self.form.form_mut() else { return };
        let (mut fields, mut times) = (Vec::new(), Vec::new());
        fields.put_count32(large.table().len());
        let expiring = large.table().expires();
        times.put_count32(expiring);
        let put_field: PutEntry = |entry, out| {
            out.put_bytes32(entry.key());
            out.put_bytes32(value_of(entry).as_bytes(&mut ItemBuf::new()));
        };
        let put_time: PutEntry = |entry, out| {
            if let Some(at_ms) = entry.expire_ms() {
                out.put_bytes32(entry.key());
                out.put_u64(at_ms);
            }
        };
        let fields = Pass { head: fields, put: Some(put_field) };
        let times = Pass { head: times, put: (expiring > 0).then_some(put_time) };
        large.begin_walk(tag, vec![fields, times], meter);
    }

    /// What a walk goes over.
    pub(crate) fn walked(&mut self) -> Option<&mut TimedTable> {
        match self.form.form_mut() {
            FormMut::Large(large) => Some(large),
            FormMut::First(_) => None,
            FormMut::Second(never) => match *never {},
        }
    }

    /// The tag of the walk, if there is one.
    pub(crate) fn walk_tag(&self) -> Option<u64> {
        match self.form.form() {
            Form::Large(large) => large.walk_tag(),
            Form::First(_) => None,
            Form::Second(never) => match *never {},
        }
    }

    /// Appends the value body, type 1, with its expiries.
    pub fn to_body(&self, out: &mut Vec<u8>) {
        let mut buf = ItemBuf::new();
        out.put_count32(self.len());
        for (field, value) in self.iter(0) {
            out.put_bytes32(field.as_bytes(&mut buf));
            out.put_bytes32(value.as_bytes(&mut buf));
        }
        let expires = if self.has_expires() { self.expires().count() } else { 0 };
        out.put_count32(expires);
        if expires > 0 {
            for (field, expire_ms) in self.expires() {
                out.put_bytes32(field.as_bytes(&mut buf));
                out.put_u64(expire_ms);
            }
        }
    }
}

fn add_expire_column(pack: &mut Listpack) {
    let mut wide = Listpack::new();
    wide.reserve(pack.used_bytes() + pack.len());
    for (i, item) in mem::take(pack).iter().enumerate() {
        wide.push_back(item);
        if i % 2 == 1 {
            wide.push_back(0i64);
        }
    }
    wide.set_mark(true);
    *pack = wide;
}

impl Clone for Hash {
    fn clone(&self) -> Self {
        let form = match self.form.form() {
            Form::First(pack) => Thin::first(pack.clone()),
            Form::Second(never) => match *never {},
            Form::Large(large) => Thin::large(Box::new(large.clone())),
        };
        Hash { form }
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter(0)).finish()
    }
}

enum Entries<'a> {
    Packed(listpack::Iter<'a>, bool),
    Table(ds::Iter<'a, ()>),
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Item<'a>, Item<'a>, Option<u64>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Entries::Packed(iter, with_expire) => {
                let (field, value) = (iter.next()?, iter.next()?);
                let expire = if *with_expire { expire_of(iter.next()?) } else { None };
                Some((field, value, expire))
            }
            Entries::Table(iter) => {
                let entry = iter.next()?;
                Some((Item::Bytes(entry.key()), value_of(entry), entry.expire_ms()))
            }
        }
    }
}

/// Fields and values of a hash.
pub struct HashIter<'a> {
    entries: Entries<'a>,
    now_ms: u64,
}

impl<'a> Iterator for HashIter<'a> {
    type Item = (Item<'a>, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let now_ms = self.now_ms;
        let (field, value, _) = self.entries.find(|e| !is_due(e.2, now_ms))?;
        Some((field, value))
    }
}
