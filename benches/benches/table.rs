//! The table at a million keys of 16 bytes, in random order: every lookup misses the cache as it does in a store.
//!
//! Beside it std's map of boxed keys and values, with its own hasher and with the table's hash: the structure one would
//! use without thinking. Figures are per operation.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use moon_ds::{HashSeed, NewValue, Table, hash};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const N: usize = 1_000_000;
const SEED: HashSeed = HashSeed(0x5851_f42d_4c95_7f2d, 0x1405_7b7e_f767_814f);
const VALUE: &[u8] = &[b'v'; 64];

#[derive(Clone, Copy)]
struct TableHash;
struct TableHasher(u64);

impl BuildHasher for TableHash {
    type Hasher = TableHasher;
    fn build_hasher(&self) -> TableHasher {
        TableHasher(0)
    }
}

impl Hasher for TableHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= hash(SEED, bytes);
    }
    fn write_usize(&mut self, _: usize) {}
    fn finish(&self) -> u64 {
        self.0
    }
}

/// `N` keys from `from` on, shuffled.
fn keys(from: usize) -> Vec<[u8; 16]> {
    let mut keys: Vec<[u8; 16]> = (from..from + N)
        .map(|i| format!("key:{i:012}").into_bytes().try_into().expect("16 bytes"))
        .collect();
    let mut x = 88_172_645_463_325_252u64;
    for i in (1..N).rev() {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        keys.swap(i, (x % (i as u64 + 1)) as usize);
    }
    keys
}

fn std_map<S: BuildHasher>(keys: &[[u8; 16]], hasher: S) -> HashMap<Box<[u8]>, Box<[u8]>, S> {
    let mut map = HashMap::with_hasher(hasher);
    for k in keys {
        map.insert(k.as_slice().into(), VALUE.into());
    }
    map
}

fn table(keys: &[[u8; 16]]) -> Table<Box<u64>> {
    let mut table = Table::new(SEED);
    for k in keys {
        table.insert(k, NewValue::Bytes(VALUE));
    }
    table
}

fn bench(c: &mut Criterion) {
    let (hits, misses) = (keys(0), keys(N));
    let mut at = 0;
    let mut next = || {
        at = if at + 1 == N { 0 } else { at + 1 };
        at
    };
    let mut g = c.benchmark_group("table");
    g.sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    {
        let table = table(&hits);
        g.bench_function("moon get hit", |b| {
            b.iter(|| match table.get(&hits[next()]).map(|e| e.value()) {
                Some(moon_ds::ValueRef::Bytes(v)) => v[0],
                _ => panic!("missing"),
            })
        });
        g.bench_function("moon get miss", |b| {
            b.iter(|| black_box(table.get(&misses[next()]).is_none()))
        });
        g.bench_function("moon get hit, batches of 16 prefetched", |b| {
            b.iter(|| {
                let i = next() & !15;
                let batch = &hits[i.min(N - 16)..][..16];
                let hashes: [u64; 16] = std::array::from_fn(|j| table.prefetch(&batch[j]));
                hashes.iter().for_each(|h| table.prefetch_entry(*h));
                let found = |j: usize| table.get_hashed(hashes[j], &batch[j]).is_some();
                for _ in 0..15 {
                    next();
                }
                black_box((0..16).filter(|j| found(*j)).count())
            })
        });
    }
    {
        let mut table = table(&hits);
        g.bench_function("moon overwrite, same size", |b| {
            b.iter(|| table.insert(&hits[next()], NewValue::Bytes(VALUE)).access())
        });
        g.bench_function("moon remove and insert", |b| {
            b.iter(|| {
                let k = &hits[next()];
                drop(table.remove(k));
                table.insert(k, NewValue::Bytes(VALUE)).access()
            })
        });
    }
    {
        // Without cache misses: what the instructions cost.
        let few = &hits[..1000];
        let (ours, std) = (table(few), std_map(few, TableHash));
        g.bench_function("moon get hit, 1000 keys", |b| {
            b.iter(|| ours.contains(&few[next() % 1000]))
        });
        g.bench_function("std, same hash, get hit, 1000 keys", |b| {
            b.iter(|| std.contains_key(few[next() % 1000].as_slice()))
        });
    }
    g.bench_function("hash of 16 bytes", |b| b.iter(|| hash(SEED, &hits[next()])));
    {
        let map = std_map(&hits, std::hash::RandomState::new());
        g.bench_function("std get hit", |b| b.iter(|| map[hits[next()].as_slice()][0]));
        g.bench_function("std get miss", |b| {
            b.iter(|| black_box(map.contains_key(misses[next()].as_slice())))
        });
    }
    {
        let mut map = std_map(&hits, TableHash);
        g.bench_function("std, same hash, get hit", |b| b.iter(|| map[hits[next()].as_slice()][0]));
        g.bench_function("std, same hash, get miss", |b| {
            b.iter(|| black_box(map.contains_key(misses[next()].as_slice())))
        });
        g.bench_function("std, same hash, remove and insert", |b| {
            b.iter(|| {
                let k = hits[next()].as_slice();
                drop(map.remove(k));
                map.insert(k.into(), VALUE.into()).is_none()
            })
        });
    }
    g.sample_size(10);
    let some = &hits[..200_000];
    g.bench_function("fill with 200k: moon", |b| b.iter(|| table(some).len()));
    g.bench_function("fill with 200k: std", |b| {
        b.iter(|| std_map(some, std::hash::RandomState::new()).len())
    });
    g.bench_function("fill with 200k: std, same hash", |b| {
        b.iter(|| std_map(some, TableHash).len())
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
