//! Goal: a hash is the map that the same commands give, in every encoding, and due fields are never seen.
//! Method: random scripts against `BTreeMap`s of values and expiries, across the conversion.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::types::Limits;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

fn rng() -> impl FnMut() -> u64 {
    let mut state = 7u64;
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state ^ state >> 29
    }
}

fn seen(hash: &Hash, now: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    hash.iter(now).map(|(f, v)| (f.to_vec(), v.to_vec())).collect()
}

fn live(model: &Model, now: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let alive = model.iter().filter(|(_, (_, e))| e.is_none_or(|e| e > now));
    alive.map(|(f, (v, _))| (f.clone(), v.clone())).collect()
}

#[test]
fn encodings_follow_redis() {
    let limits = Limits { hash_max_listpack_entries: 3, ..Limits::default() };
    let mut hash = Hash::new();
    for i in 0..3 {
        hash.set(&[b'f', i], b"v", &limits);
    }
    assert_eq!(hash.encoding(), "listpack");
    hash.set_expire(b"f\x01", Some(9));
    assert_eq!(hash.encoding(), "listpackex");
    hash.set_expire(b"f\x01", None);
    assert_eq!(hash.encoding(), "listpackex", "HPERSIST does not go back");
    hash.set(b"f4", b"v", &limits);
    assert_eq!(hash.encoding(), "hashtable");
    hash.remove(b"f4");
    assert_eq!(hash.encoding(), "hashtable", "no way back");

    let mut hash = Hash::new();
    hash.set(b"f", &[b'x'; 64], &limits);
    assert_eq!(hash.encoding(), "listpack");
    hash.set(b"f", &[b'x'; 65], &limits);
    assert_eq!(hash.encoding(), "hashtable");

    let mut hash = Hash::new();
    hash.will_set(4, &limits);
    assert_eq!(hash.encoding(), "hashtable");
}

#[test]
fn setting_clears_an_expiry_unless_kept() {
    for entries in [512, 0] {
        let limits = Limits { hash_max_listpack_entries: entries, ..Limits::default() };
        let mut hash = Hash::new();
        hash.set(b"f", b"1", &limits);
        assert!(hash.set_expire(b"f", Some(100)));
        assert!(!hash.set_expire(b"g", Some(100)));
        assert!(!hash.set_keep_expire(b"f", b"2", &limits));
        assert_eq!(hash.get_with_expire(b"f", 0).unwrap().1, Some(100));
        assert_eq!((hash.next_expire(), hash.has_expires()), (Some(100), true));
        assert!(!hash.contains(b"f", 100) && hash.contains(b"f", 99));
        assert_eq!((hash.len(), hash.len_at(100), hash.len_at(99)), (1, 0, 1));
        assert!(hash.random(100, &mut rng()).is_none());
        assert!(!hash.set(b"f", b"3", &limits));
        assert_eq!(
            hash.get_with_expire(b"f", 1000).map(|(v, e)| (v.to_vec(), e)),
            Some((b"3".to_vec(), None))
        );
        assert!(!hash.has_expires());
    }
}

#[test]
fn reaping_stops_at_its_budget() {
    for entries in [512, 0] {
        let limits = Limits { hash_max_listpack_entries: entries, ..Limits::default() };
        let mut hash = Hash::new();
        for i in 0..40u8 {
            hash.set(&[i], b"v", &limits);
            if i % 2 == 0 {
                hash.set_expire(&[i], Some(u64::from(i) + 1));
            }
        }
        let mut gone = BTreeSet::new();
        assert!(hash.reap(1000, 15, |f| {
            gone.insert(f.to_vec());
        }));
        assert_eq!((hash.len(), gone.len()), (25, 15));
        assert!(!hash.reap(1000, 15, |f| {
            gone.insert(f.to_vec());
        }));
        assert_eq!((hash.len(), gone.len()), (20, 20));
        assert!(gone.iter().all(|f| f[0] % 2 == 0));
        assert_eq!(hash.next_expire(), None);
        assert!(!hash.reap(u64::MAX, 15, |_| panic!("nothing is left to expire")));
    }
}

#[test]
fn samples_are_distinct_and_live() {
    for entries in [512, 0] {
        let limits = Limits { hash_max_listpack_entries: entries, ..Limits::default() };
        let mut hash = Hash::new();
        for i in 0..200u64 {
            hash.set(i.to_string().as_bytes(), b"v", &limits);
            if i % 4 != 0 {
                hash.set_expire(i.to_string().as_bytes(), Some(5));
            }
        }
        for n in [0, 1, 10, 49, 50, 51, 1000] {
            let mut got = Vec::new();
            hash.sample(n, 5, &mut rng(), |f, _| got.push(f.to_vec()));
            let distinct: BTreeSet<_> = got.iter().cloned().collect();
            assert_eq!((got.len(), distinct.len()), (n.min(50), n.min(50)));
            assert!(got.iter().all(|f| hash.contains(f, 5)));
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Set(Vec<u8>, Vec<u8>, bool),
    Remove(Vec<u8>),
    Expire(Vec<u8>, Option<u64>),
    Reap(u64),
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0i64..20).prop_map(|n| n.to_string().into_bytes()),
        2 => prop::collection::vec(b'a'..b'd', 0..3),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<i64>().prop_map(|n| (n >> (n & 63)).to_string().into_bytes()),
        4 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (60usize..70).prop_map(|n| vec![b'x'; n]),
        1 => Just(vec![b'x'; 70_000]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (field(), value(), any::<bool>()).prop_map(|(f, v, k)| Op::Set(f, v, k)),
        4 => field().prop_map(Op::Remove),
        4 => (field(), prop::option::of(1u64..50)).prop_map(|(f, e)| Op::Expire(f, e)),
        1 => (0u64..50).prop_map(Op::Reap),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn agrees_with_a_map(
        ops in prop::collection::vec(op(), 0..120),
        entries in prop::sample::select(vec![0, 5, 512]),
        value_max in prop::sample::select(vec![64, 100_000]),
    ) {
        let limits = Limits {
            hash_max_listpack_entries: entries,
            hash_max_listpack_value: value_max,
            ..Limits::default()
        };
        let (mut hash, mut model) = (Hash::new(), Model::new());
        for op in ops {
            match op {
                Op::Set(f, v, keep) => {
                    let old = model.get(&f).map(|m| m.1);
                    let new = if keep {
                        hash.set_keep_expire(&f, &v, &limits)
                    } else {
                        hash.set(&f, &v, &limits)
                    };
                    prop_assert_eq!(new, old.is_none());
                    model.insert(f, (v, old.flatten().filter(|_| keep)));
                }
                Op::Remove(f) => {
                    prop_assert_eq!(hash.remove(&f), model.remove(&f).is_some());
                }
                Op::Expire(f, e) => {
                    prop_assert_eq!(hash.set_expire(&f, e), model.contains_key(&f));
                    if let Some(m) = model.get_mut(&f) {
                        m.1 = e;
                    }
                }
                Op::Reap(now) => {
                    prop_assert!(!hash.reap(now, usize::MAX, |_| ()));
                    model.retain(|_, m| m.1.is_none_or(|e| e > now));
                }
            }
            prop_assert_eq!(hash.len(), model.len());
            let first = model.values().filter_map(|m| m.1).min();
            prop_assert!(hash.next_expire() == first);
        }
        for now in [0, 10, 25, 60] {
            let want = live(&model, now);
            prop_assert_eq!(hash.len_at(now), want.len());
            prop_assert_eq!(seen(&hash, now), want.clone());
            prop_assert_eq!(seen(&hash.clone(), now), want.clone());
            let (mut scanned, mut cursor) = (BTreeMap::new(), 0);
            loop {
                cursor = hash.scan(cursor, 3, now, |f, v| {
                    scanned.insert(f.to_vec(), v.to_vec());
                });
                if cursor == 0 { break }
            }
            prop_assert_eq!(scanned, want);
        }
        for (f, (v, e)) in &model {
            let got = hash.get_with_expire(f, 0).map(|(v, e)| (v.to_vec(), e));
            prop_assert_eq!(got, Some((v.clone(), *e)));
        }
    }
}
