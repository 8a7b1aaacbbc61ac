//! Lists, hashes, sets and sorted sets: time per operation and bytes per element.
//!
//! The bytes are printed first, by the structures' own accounting, which counts allocator size classes. Times of
//! large collections are with 100,000 elements of 16 bytes.
#![allow(clippy::print_stdout, reason = "a benchmark's report")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use moon_engine::types::{End, Hash, Limits, List, Object, ScoreRange, Set, ZSet};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const N: usize = 100_000;

fn name(i: usize) -> Vec<u8> {
    format!("member-{i:09}").into_bytes()
}

fn names(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(name).collect()
}

/// A permutation of `0..N`: random order without a random source.
fn scattered(i: usize) -> usize {
    i * 61_803 % N
}

fn zset(n: usize, limits: &Limits) -> ZSet {
    let mut zset = ZSet::new();
    for i in 0..n {
        let i = scattered(i) % n.max(1);
        zset.add(&name(i), i as f64 * 0.37, limits);
    }
    zset
}

fn objects(n: usize, limits: &Limits) -> [Object; 4] {
    let names = names(n);
    let all = || names.iter().map(|m| &m[..]);
    [
        Object::List(List::from_elements(all(), limits)),
        Object::Hash(Hash::from_pairs(all().map(|m| (m, m)), std::iter::empty(), limits)),
        Object::Set(Set::from_members(all(), limits)),
        Object::ZSet(if n == N {
            zset(n, limits)
        } else {
            ZSet::from_members(all().zip(0u32..).map(|(m, i)| (m, f64::from(i))), limits)
        }),
    ]
}

fn bytes(limits: &Limits) {
    for n in [5, 100, N] {
        for object in objects(n, limits) {
            println!(
                "{n} x 16 bytes, {} ({}): {} bytes, {:.1} an element",
                object.type_name(),
                object.encoding(),
                object.mem_bytes(),
                object.mem_bytes() as f64 / n as f64
            );
        }
    }
}

fn lists(c: &mut Criterion, limits: &Limits) {
    let names = names(N);
    for (size, n) in [("100", 100), ("100k", N)] {
        let mut list = List::from_elements(names[..n].iter().map(|m| &m[..]), limits);
        let mut i = 0;
        for (what, push, pop) in
            [("rpush + lpop", End::Back, End::Front), ("lpush + rpop", End::Front, End::Back)]
        {
            c.bench_function(&format!("list of {size}: {what}"), |b| {
                b.iter(|| {
                    i = (i + 1) % N;
                    list.push_one(push, &names[i], limits);
                    list.pop(pop, limits, |item| black_box(item.len()))
                });
            });
        }
        c.bench_function(&format!("list of {size}: lindex in the middle"), |b| {
            b.iter(|| list.get(black_box(n / 2)).map(|item| item.len()));
        });
    }
}

fn hashes_and_sets(c: &mut Criterion, limits: &Limits) {
    let names = names(N);
    let pairs = |n: usize| names[..n].iter().map(|m| (&m[..], &m[..]));
    for (size, n) in [("5", 5), ("100", 100), ("100k", N)] {
        let mut hash = Hash::from_pairs(pairs(n), std::iter::empty(), limits);
        let mut i = 0;
        c.bench_function(&format!("hash of {size}: hset"), |b| {
            b.iter(|| {
                i = (i + 61_803) % n;
                hash.set(&names[i], &names[(i + 1) % n], limits)
            });
        });
        c.bench_function(&format!("hash of {size}: hget"), |b| {
            b.iter(|| {
                i = (i + 61_803) % n;
                hash.get(&names[i], 1).map(|v| v.len())
            });
        });
        let set = Set::from_members(names[..n].iter().map(|m| &m[..]), limits);
        c.bench_function(&format!("set of {size}: sismember"), |b| {
            b.iter(|| {
                i = (i + 61_803) % n;
                set.contains(&names[i])
            });
        });
    }
}

fn zsets(c: &mut Criterion, limits: &Limits) {
    let names = names(N);
    for (size, n) in [("100", 100), ("100k", N)] {
        let mut zset = zset(n, limits);
        let mut i = 0;
        let mut step = || {
            i = (i + 61_803) % n;
            i
        };
        c.bench_function(&format!("zset of {size}: zscore"), |b| {
            b.iter(|| zset.score(&names[step()]));
        });
        c.bench_function(&format!("zset of {size}: zrank"), |b| {
            b.iter(|| zset.rank(&names[step()]));
        });
        c.bench_function(&format!("zset of {size}: zrange of 10 by rank"), |b| {
            b.iter(|| {
                let from = step();
                zset.range(from..from + 10).map(|(m, _)| m.len()).sum::<usize>()
            });
        });
        c.bench_function(&format!("zset of {size}: zcount"), |b| {
            b.iter(|| {
                let min = step() as f64 * 0.37;
                zset.by_score(&ScoreRange { min, max: min + 100.0, ..ScoreRange::ALL }).len()
            });
        });
        c.bench_function(&format!("zset of {size}: zadd, another score"), |b| {
            let mut turn = 0.0;
            b.iter(|| {
                turn += 1.0;
                let i = step();
                zset.add(&names[i], (scattered(i) as f64 + turn) * 0.37 % 37_000.0, limits)
            });
        });
        c.bench_function(&format!("zset of {size}: zincrby 1"), |b| {
            b.iter(|| zset.upsert(&names[step()], limits, |old| old.map(|s| s + 1.0)).new);
        });
        c.bench_function(&format!("zset of {size}: zrem + zadd"), |b| {
            b.iter(|| {
                let member = &names[step()];
                let score = zset.remove(member).unwrap_or(1.0);
                zset.add(member, score, limits)
            });
        });
    }
}

fn all(c: &mut Criterion) {
    let limits = Limits::default();
    bytes(&limits);
    lists(c, &limits);
    hashes_and_sets(c, &limits);
    zsets(c, &limits);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(500));
    targets = all
}
criterion_main!(benches);
