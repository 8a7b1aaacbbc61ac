//! The table against a plain map, and its invariants.

mod adversary;
mod order;

use std::collections::HashMap;

use proptest::prelude::*;

use super::segment::{Pos, Segment};
use super::*;
use crate::ValueRef;

const SEED: HashSeed = HashSeed(0x5851_f42d_4c95_7f2d, 0x1405_7b7e_f767_814f);

impl<V> Table<V> {
    /// Walks everything and recomputes what is kept as sums.
    fn check(&self) {
        let (mut len, mut expires, mut segment_bytes, mut entry_bytes) = (0, 0, 0, 0);
        let (mut segments, mut deepest, mut index, mut border) = (0, 0, 0, 0);
        while index < self.dir.len() {
            let segment = self.dir[index];
            let after = self.index_after(index);
            assert!(self.dir[index..after].iter().all(|s| *s == segment));
            assert_eq!(
                index & (after - index - 1),
                0,
                "a range starts on a multiple of its length"
            );
            assert_eq!(segment.bucket_start(0), border);
            border = segment.bucket_start(segment.buckets());
            segments += 1;
            deepest += usize::from(segment.depth() == self.bits);
            let header = segment.header();
            let (mut count, mut ttl) = (0, 0);
            segment.for_each(|control, slot| {
                // SAFETY: a live entry of this table.
                let entry = unsafe { slot.entry::<V>() };
                let hash = self.hash(entry.key());
                assert_eq!(
                    self.dir_index(hash) >> (self.bits - segment.depth()),
                    index >> (self.bits - segment.depth())
                );
                assert_eq!(control, segment::control_of(hash));
                assert_eq!(slot.tag(), segment::tag_of(hash, segment.depth()));
                let home = segment.probe(hash).home;
                let range = segment.bucket_start(home)..segment.bucket_start(home + 1);
                assert!(range.contains(&(hash >> 16)));
                assert_eq!(slot.has_ttl(), entry.expire_ms().is_some());
                if let Some(ms) = entry.expire_ms() {
                    ttl += 1;
                    assert!(header.min_expire <= ms);
                }
                count += 1;
                entry_bytes += entry.mem_bytes();
                assert!(std::ptr::eq(self.get(entry.key()).unwrap(), entry));
            });
            let mut by_home = 0;
            for b in 0..segment.buckets() {
                segment.for_home(b, |_| by_home += 1);
            }
            assert_eq!((header.count, header.ttl, by_home), (count, ttl, count));
            segment.check_overflow_bits();
            len += count as usize;
            expires += ttl as usize;
            segment_bytes += segment.mem_bytes();
            index = after;
        }
        assert!(self.dir.is_empty() || border == HASH48_END);
        assert_eq!((self.len, self.expires), (len, expires));
        assert_eq!((self.segment_bytes, self.entry_bytes), (segment_bytes, entry_bytes));
        assert_eq!((self.segments, self.deepest), (segments, deepest));
        assert!(self.bits == 0 || deepest > 0, "the directory is no larger than needed");
        assert_eq!(self.iter().count(), len);
    }
}

impl Segment {
    fn check_overflow_bits(self) {
        let mut expect = vec![0u8; self.buckets()];
        for b in 0..self.buckets() {
            for i in self.bucket(b).used() {
                let home = self.home_at(Pos { bucket: b, slot: i });
                let d = (b + self.buckets() - home) % self.buckets();
                if d > 0 {
                    expect[home] |= 1 << (d - 1);
                }
            }
        }
        for i in 0..self.header().stash.len() {
            expect[self.home_at(Pos { bucket: segment::STASH, slot: i })] |= 0x80;
        }
        for (b, e) in expect.iter().enumerate() {
            assert_eq!(self.overflow_at(b), *e, "overflow byte of bucket {b}");
        }
    }
}

#[test]
fn room_that_is_made_in_advance_changes_nothing_else() {
    let mut table = Table::<u64>::new(SEED);
    let key = |i: u32| format!("key:{i}").into_bytes();
    for (count, room) in [(0, 50_000), (600, 40_000), (3000, 300_000), (3100, 10)] {
        for i in table.len() as u32..count {
            let mut entry = table.insert(&key(i), NewValue::Int(i64::from(i)));
            if i % 3 == 0 {
                entry.set_expire(Some(u64::from(i) + 1));
            }
        }
        table.reserve(room);
        table.check();
        assert_eq!(table.len(), count as usize);
        assert!((0..count).all(|i| table.contains(&key(i))));
    }
    let mut full = Table::<u64>::new(SEED);
    full.reserve(100_000);
    let segments = full.segments;
    for i in 0..100_000 {
        full.insert(&key(i), NewValue::Int(1));
    }
    full.check();
    assert_eq!(full.segments, segments, "none had to split");
    for i in 0..100_000 {
        full.remove(&key(i));
    }
    full.check();
    assert_eq!(full.dir.len(), 1, "and it gets small again");
}

#[derive(Clone, Debug, PartialEq)]
enum Val {
    Int(i64),
    Bytes(Vec<u8>),
    Object(Box<u64>),
}

impl Val {
    fn to_new(&self) -> NewValue<'_, Box<u64>> {
        match self {
            Val::Int(n) => NewValue::Int(*n),
            Val::Bytes(b) => NewValue::Bytes(b),
            Val::Object(o) => NewValue::Object(o.clone()),
        }
    }
    fn of(v: ValueRef<'_, Box<u64>>) -> Val {
        match v {
            ValueRef::Int(n) => Val::Int(n),
            ValueRef::Bytes(b) => Val::Bytes(b.to_vec()),
            ValueRef::Object(o) => Val::Object(o.clone()),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    value: Val,
    expire: Option<u64>,
    access: u32,
    user: u8,
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u16, Val),
    Set(u16, Val),
    GetOrInsert(u16, Val),
    Remove(u16),
    Expire(u16, Option<u64>),
    Append(u16, Vec<u8>),
    Resize(u16, usize),
    Poke(u16, usize, u8),
    Mark(u16, u32, u8),
    Rename(u16, u16),
    Drain(u8),
    Clear,
}

fn val() -> impl Strategy<Value = Val> {
    prop_oneof![
        any::<i64>().prop_map(Val::Int),
        len().prop_map(|n| Val::Bytes((0..n).map(|i| (i * 7 + n) as u8).collect())),
        any::<u64>().prop_map(|n| Val::Object(Box::new(n))),
    ]
}

/// Lengths around every border of the layout.
fn len() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0..300usize,
        1 => 500..530usize,
        1 => 900..1300usize,
        1 => 4090..4100usize,
        1 => 5000..9000usize,
    ]
}

fn op(keys: u16) -> impl Strategy<Value = Op> {
    let k = move || 0..keys;
    prop_oneof![
        6 => (k(), val()).prop_map(|(k, v)| Op::Insert(k, v)),
        3 => (k(), val()).prop_map(|(k, v)| Op::Set(k, v)),
        2 => (k(), val()).prop_map(|(k, v)| Op::GetOrInsert(k, v)),
        5 => k().prop_map(Op::Remove),
        3 => (k(), proptest::option::of(1..1000u64)).prop_map(|(k, t)| Op::Expire(k, t)),
        2 => (k(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(k, v)| Op::Append(k, v)),
        1 => (k(), len()).prop_map(|(k, n)| Op::Resize(k, n)),
        1 => (k(), any::<usize>(), any::<u8>()).prop_map(|(k, i, b)| Op::Poke(k, i, b)),
        1 => (k(), 0..1u32 << 24, 0..16u8).prop_map(|(k, a, u)| Op::Mark(k, a, u)),
        2 => (k(), k()).prop_map(|(a, b)| Op::Rename(a, b)),
    ]
}

/// Keys of all lengths, some above the short form's 254 bytes; distinct because each starts with its number.
fn key(k: u16) -> Vec<u8> {
    let mut key = k.to_be_bytes().to_vec();
    let n = if k % 97 == 5 { 250 + k as usize % 20 } else { k as usize * 7 % 41 };
    key.resize(2 + n, b'k');
    key
}

type Model = HashMap<Vec<u8>, Row>;

fn text(row: &mut Row) -> Option<&mut Vec<u8>> {
    if let Val::Int(n) = row.value {
        row.value = Val::Bytes(n.to_string().into_bytes());
    }
    match &mut row.value {
        Val::Bytes(b) => Some(b),
        _ => None,
    }
}

fn apply(table: &mut Table<Box<u64>>, model: &mut Model, op: &Op) {
    let fresh = |v: &Val| Row { value: v.clone(), expire: None, access: 0, user: 0 };
    match op {
        Op::Insert(k, v) => {
            let e = table.insert(&key(*k), v.to_new());
            assert_eq!(Val::of(e.value()), *v);
            model.insert(key(*k), fresh(v));
        }
        Op::Set(k, v) => {
            let (e, row) = (table.get_mut(&key(*k)), model.get_mut(&key(*k)));
            assert_eq!(e.is_some(), row.is_some());
            if let (Some(mut e), Some(row)) = (e, row) {
                let old = match v {
                    Val::Int(n) => e.set_int(*n),
                    v => e.set(v.to_new()),
                };
                let was = std::mem::replace(&mut row.value, v.clone());
                assert_eq!(old.map(Val::Object), matches!(was, Val::Object(_)).then_some(was));
            }
        }
        Op::GetOrInsert(k, v) => {
            let (e, had) = table.get_or_insert_with(&key(*k), || v.to_new());
            assert_eq!(had, model.contains_key(&key(*k)));
            let row = model.entry(key(*k)).or_insert_with(|| fresh(v));
            assert_eq!(Val::of(e.value()), row.value);
        }
        Op::Remove(k) => {
            let (old, row) = (table.remove(&key(*k)), model.remove(&key(*k)));
            assert_eq!(old.is_some(), row.is_some());
            if let (Some(old), Some(row)) = (old, row) {
                assert_eq!(old.key(), key(*k));
                assert_eq!(Val::of(old.value()), row.value);
                assert_eq!(old.expire_ms(), row.expire);
                let object = old.into_object().map(Val::Object);
                assert_eq!(object, matches!(row.value, Val::Object(_)).then_some(row.value));
            }
        }
        Op::Expire(k, t) => {
            if let Some(mut e) = table.get_mut(&key(*k)) {
                e.set_expire(*t);
                model.get_mut(&key(*k)).unwrap().expire = *t;
            }
        }
        Op::Append(k, tail) => {
            let row = model.get_mut(&key(*k));
            if let Some(mut e) = table.get_mut(&key(*k)) {
                let bytes = text(row.unwrap());
                let mut b = e.bytes_mut();
                assert_eq!(b.is_some(), bytes.is_some());
                if let (Some(b), Some(bytes)) = (&mut b, bytes) {
                    b.append(tail);
                    bytes.extend_from_slice(tail);
                    assert_eq!(b[..], bytes[..]);
                }
            }
        }
        Op::Resize(k, n) => {
            let row = model.get_mut(&key(*k));
            if let Some(mut e) = table.get_mut(&key(*k))
                && let Some(mut b) = e.bytes_mut()
            {
                b.resize(*n);
                text(row.unwrap()).unwrap().resize(*n, 0);
            }
        }
        Op::Poke(k, i, byte) => {
            let row = model.get_mut(&key(*k));
            if let Some(mut e) = table.get_mut(&key(*k))
                && let Some(mut b) = e.bytes_mut()
            {
                let bytes = text(row.unwrap()).unwrap();
                if !b.is_empty() {
                    let i = i % b.len();
                    b[i] = *byte;
                    bytes[i] = *byte;
                }
            }
        }
        Op::Mark(k, access, user) => {
            if let Some(e) = table.get(&key(*k)) {
                e.set_access(*access);
                e.set_user(*user);
                let row = model.get_mut(&key(*k)).unwrap();
                (row.access, row.user) = (*access, *user);
            }
        }
        Op::Rename(from, to) => {
            if let Some(e) = table.remove(&key(*from)) {
                table.insert_removed(&key(*to), e);
                let row = model.remove(&key(*from)).unwrap();
                model.insert(key(*to), row);
            }
        }
        Op::Drain(n) => {
            let want = (*n as usize).min(table.len());
            let done = table.drain_some(*n as usize, |e| {
                assert!(model.remove(e.key()).is_some());
            });
            assert_eq!(done, want);
        }
        Op::Clear => {
            table.clear();
            model.clear();
        }
    }
}

fn same(table: &Table<Box<u64>>, model: &Model) {
    table.check();
    assert_eq!(table.len(), model.len());
    for e in table {
        let row = &model[e.key()];
        let seen = Row {
            value: Val::of(e.value()),
            expire: e.expire_ms(),
            access: e.access(),
            user: e.user(),
        };
        assert_eq!(seen, *row);
    }
}

/// Splitmix64, for tests that draw in the course of things.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Goal: each unsafe path under Miri, whose pace allows only a few hundred operations. Method: the model's
/// operations drawn without proptest, over few keys with values at the layout's borders.
#[test]
fn drawn_operations_follow_the_model() {
    let (ops, seeds) = if cfg!(miri) { (250, 2) } else { (4000, 20) };
    for seed in 0..seeds {
        let mut d = Draw(seed);
        let (mut table, mut model) = (Table::new(SEED), Model::new());
        for i in 0..ops {
            let keys = if seed % 2 == 0 { 12 } else { 90 };
            let k = d.below(keys) as u16 + 90 * (i % 2);
            let lens = [0, 1, 20, 255, 256, 511, 600, 1024, 4096, 5000];
            let v = match d.below(3) {
                0 => Val::Int(d.next() as i64),
                1 => Val::Bytes(vec![i as u8; lens[d.below(10) as usize]]),
                _ => Val::Object(Box::new(d.next())),
            };
            let op = match d.below(20) {
                0..6 => Op::Insert(k, v),
                6..9 => Op::Set(k, v),
                9 => Op::GetOrInsert(k, v),
                10..12 => Op::Remove(k),
                12..14 => Op::Expire(k, (d.below(2) == 0).then_some(d.below(1000))),
                14 => Op::Append(k, vec![9; d.below(300) as usize]),
                15 => Op::Resize(k, d.below(700) as usize),
                16 => Op::Poke(k, d.next() as usize, 1),
                17 => Op::Mark(k, d.below(1 << 24) as u32, d.below(16) as u8),
                18 => Op::Rename(k, d.below(keys) as u16),
                _ if d.below(12) == 0 => Op::Drain(30),
                _ => Op::Remove(k),
            };
            apply(&mut table, &mut model, &op);
        }
        same(&table, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Goal: the table does what a map does. Method: random operations on few keys (everything meets everything), then
    /// all rows, sums and invariants are compared.
    #[test]
    #[cfg_attr(miri, ignore)]
    fn few_keys_follow_the_model(ops in proptest::collection::vec(op(40), 1..1500)) {
        let (mut table, mut model) = (Table::new(SEED), Model::new());
        for op in &ops {
            apply(&mut table, &mut model, op);
        }
        same(&table, &model);
    }

    /// The same with enough keys for splits and merges: phases that lean to inserting and to removing.
    #[test]
    #[cfg_attr(miri, ignore)]
    fn many_keys_follow_the_model(
        ops in proptest::collection::vec(op(3000), 1..1500),
        phases in proptest::collection::vec((0..3000u16, 1..3000u16, any::<bool>()), 1..4),
        drain in any::<u8>(),
        clear in proptest::bool::weighted(0.1),
    ) {
        let (mut table, mut model) = (Table::new(SEED), Model::new());
        for (from, n, insert) in phases {
            for k in from..from + n {
                let op = if insert { Op::Insert(k, Val::Int(k.into())) } else { Op::Remove(k) };
                apply(&mut table, &mut model, &op);
            }
            for op in &ops {
                apply(&mut table, &mut model, op);
            }
            same(&table, &model);
            apply(&mut table, &mut model, &Op::Drain(drain));
            same(&table, &model);
        }
        if clear {
            apply(&mut table, &mut model, &Op::Clear);
            same(&table, &model);
        }
    }
}
