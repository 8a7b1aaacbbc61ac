//! Goal: a set is the set that the same commands give, and its encodings are Redis'. Method: random
//! scripts against `BTreeSet`, across the conversions; tables for the rules.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::types::{Item, Limits};

fn rng() -> impl FnMut() -> u64 {
    let mut state = 11u64;
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state ^ state >> 29
    }
}

fn members(set: &Set) -> BTreeSet<Vec<u8>> {
    set.iter().map(|i| i.to_vec()).collect()
}

fn of(items: &[&str]) -> Set {
    Set::from_members(items.iter().map(|s| s.as_bytes()), &Limits::default())
}

fn numbers(n: usize) -> Set {
    let limits = Limits::default();
    let mut set = Set::new();
    (0..n).for_each(|i| {
        set.add(i.to_string().as_bytes(), &limits);
    });
    set
}

#[test]
fn encodings_follow_redis() {
    let limits = Limits::default();
    assert_eq!(of(&["1", "2"]).encoding(), "intset");
    assert_eq!(of(&["1", "a"]).encoding(), "listpack");
    assert_eq!(of(&["a", "1"]).encoding(), "listpack");
    assert_eq!(numbers(512).encoding(), "intset");
    assert_eq!(numbers(513).encoding(), "hashtable");
    for (n, encoding) in [(127, "listpack"), (128, "hashtable")] {
        let mut set = numbers(n);
        set.add(b"word", &limits);
        assert_eq!(set.encoding(), encoding, "a word after {n} integers");
    }
    let mut set = of(&["a"]);
    set.add(&[b'x'; 64], &limits);
    assert_eq!(set.encoding(), "listpack");
    set.add(&[b'x'; 65], &limits);
    assert_eq!(set.encoding(), "hashtable");
    set.remove(&[b'x'; 65]);
    assert_eq!(set.encoding(), "hashtable", "no way back");

    // The number of arguments decides before the first is added.
    for (first, n, encoding) in [
        (&b"1"[..], 512, "intset"),
        (b"1", 513, "hashtable"),
        (b"a", 128, "listpack"),
        (b"a", 129, "hashtable"),
    ] {
        let mut set = Set::new();
        set.will_add(first, n, &limits);
        set.add(first, &limits);
        assert_eq!(set.encoding(), encoding, "{n}");
    }
}

#[test]
fn algebra_agrees_with_btree_sets_in_every_encoding() {
    let limits = Limits::default();
    let sets = [
        numbers(40),
        numbers(600),
        of(&["3", "5", "a", "b"]),
        of(&["b", "7", "39", "41"]),
        Set::from_members(
            (0..300)
                .map(|i| if i % 2 == 0 { format!("w{i}") } else { i.to_string() })
                .collect::<Vec<_>>()
                .iter()
                .map(|s| s.as_bytes()),
            &limits,
        ),
        Set::new(),
    ];
    for a in &sets {
        for b in &sets {
            for c in &sets {
                let (ma, mb, mc) = (members(a), members(b), members(c));
                let mut got = BTreeSet::new();
                intersection(&[a, b, c], |i| got.insert(i.to_vec()));
                let want: BTreeSet<_> =
                    ma.iter().filter(|m| mb.contains(*m) && mc.contains(*m)).cloned().collect();
                assert_eq!(got, want);
                let mut got = BTreeSet::new();
                difference(a, &[b, c], &limits, |i| got.insert(i.to_vec()));
                let want: BTreeSet<_> =
                    ma.iter().filter(|m| !mb.contains(*m) && !mc.contains(*m)).cloned().collect();
                assert_eq!(got, want);
                let want: BTreeSet<_> = ma.iter().chain(&mb).chain(&mc).cloned().collect();
                assert_eq!(members(&union(&[a, b, c], &limits)), want);
                // Three sets are asked, five merged: both ways agree.
                for more in [&[a, b, c][..], &[a, b, c, c, b]] {
                    let mut got = BTreeSet::new();
                    union_each(more, &limits, |i| {
                        assert!(got.insert(i.to_vec()), "handed on once");
                        true
                    });
                    assert_eq!(got, want);
                }
                let (mut few, mut many) = (BTreeSet::new(), BTreeSet::new());
                difference(a, &[b], &limits, |i| few.insert(i.to_vec()));
                difference(a, &[b; 6], &limits, |i| many.insert(i.to_vec()));
                assert_eq!(few, many);
            }
        }
    }
    let mut n = 0;
    intersection(&[&sets[0], &sets[1]], |_| {
        n += 1;
        n < 3
    });
    assert_eq!(n, 3, "stops when told");
}

#[test]
fn random_picks_are_members_and_reach_all() {
    for set in [numbers(30), of(&["a", "b", "c", "1"]), numbers(700)] {
        let mut rng = rng();
        let mut hit = BTreeSet::new();
        for _ in 0..20_000 {
            let item = set.random(&mut rng).unwrap();
            assert!(set.contains_item(item));
            hit.insert(item.to_vec());
        }
        assert_eq!(hit.len(), set.len());
        for n in [0, 1, 3, set.len() / 2, set.len(), set.len() + 1] {
            let mut got = Vec::new();
            set.sample(n, &mut rng, |i| got.push(i.to_vec()));
            let distinct: BTreeSet<_> = got.iter().cloned().collect();
            assert_eq!((got.len(), distinct.len()), (n.min(set.len()), n.min(set.len())));
        }
        let mut all = members(&set);
        let mut popped = set.clone();
        while let Some(member) = popped.pop_random(&mut rng) {
            assert!(all.remove(&member));
        }
        assert!(all.is_empty() && popped.is_empty());
        assert!(Set::new().random(&mut rng).is_none());
    }
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (-9i64..9).prop_map(|n| n.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => prop::collection::vec(b'a'..b'c', 0..3),
        1 => prop::sample::select(vec![b"007".to_vec(), b"-0".to_vec(), vec![b'x'; 70]]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn agrees_with_a_set(
        ops in prop::collection::vec((0u8..3, member()), 0..100),
        entries in prop::sample::select(vec![0usize, 4, 8, 128]),
    ) {
        let limits = Limits {
            set_max_intset_entries: entries * 2,
            set_max_listpack_entries: entries,
            ..Limits::default()
        };
        let (mut set, mut model) = (Set::new(), BTreeSet::<Vec<u8>>::new());
        for (op, m) in ops {
            match op {
                0 | 1 => prop_assert_eq!(set.add(&m, &limits), model.insert(m.clone())),
                _ => prop_assert_eq!(set.remove(&m), model.remove(&m)),
            }
            prop_assert_eq!(set.contains(&m), model.contains(&m));
            prop_assert_eq!(set.contains_item(Item::from(&m[..])), model.contains(&m));
            prop_assert_eq!(set.len(), model.len());
        }
        prop_assert_eq!(members(&set), model.clone());
        prop_assert_eq!(members(&set.clone()), model.clone());
        let (mut scanned, mut cursor) = (BTreeSet::new(), 0);
        loop {
            cursor = set.scan(cursor, 2, |i| { scanned.insert(i.to_vec()); });
            if cursor == 0 { break }
        }
        prop_assert_eq!(scanned, model);
    }
}
