//! Goal: ranks, ranges and removals are those of a sorted vector, in both encodings. Method: random
//! scripts across the conversion; every rank and every bound of small sets exhaustively.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::types::{Limits, Upsert};

type Pairs = Vec<(Vec<u8>, f64)>;

fn limits(entries: usize) -> Limits {
    Limits { zset_max_listpack_entries: entries, ..Limits::default() }
}

fn sorted(model: &BTreeMap<Vec<u8>, f64>) -> Pairs {
    let mut all: Pairs = model.iter().map(|(m, s)| (m.clone(), *s)).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    all
}

fn owned<'a>(items: impl Iterator<Item = (crate::types::Item<'a>, f64)>) -> Pairs {
    items.map(|(m, s)| (m.to_vec(), s)).collect()
}

#[test]
fn encodings_follow_redis() {
    let limits = Limits::default();
    let mut zset = ZSet::new();
    for i in 0..128 {
        zset.add(format!("m{i}").as_bytes(), 1.0, &limits);
    }
    assert_eq!(zset.encoding(), "listpack");
    zset.add(b"m5", 2.0, &limits);
    assert_eq!(zset.encoding(), "listpack", "an update adds nothing");
    zset.add(b"one more", 2.0, &limits);
    assert_eq!(zset.encoding(), "skiplist");
    zset.remove(b"one more");
    assert_eq!(zset.encoding(), "skiplist", "no way back");
    let mut zset = ZSet::new();
    zset.add(&[b'x'; 64], 0.0, &limits);
    assert_eq!(zset.encoding(), "listpack");
    zset.add(&[b'x'; 65], 0.0, &limits);
    assert_eq!(zset.encoding(), "skiplist");
    for (n, longest, encoding) in [(128, 64, "listpack"), (129, 1, "skiplist"), (1, 65, "skiplist")]
    {
        let mut zset = ZSet::new();
        zset.will_add(n, longest, &limits);
        assert_eq!(zset.encoding(), encoding);
    }
}

#[test]
fn scores_read_back_exactly() {
    let scores = [
        0.0,
        1.0,
        -1.0,
        0.1,
        -0.1,
        1e17,
        1e300,
        5e-324,
        f64::MAX,
        f64::MIN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        9007199254740992.0,
        9007199254740993.0,
        -9007199254740994.0,
        // The bytes of this double are the digits 12345678.
        f64::from_le_bytes(*b"12345678"),
    ];
    for entries in [128, 0] {
        let mut zset = ZSet::new();
        for (i, score) in scores.iter().enumerate() {
            zset.add(format!("m{i}").as_bytes(), *score, &limits(entries));
        }
        for (i, score) in scores.iter().enumerate() {
            let got = zset.score(format!("m{i}").as_bytes()).unwrap();
            assert_eq!(got.to_bits(), score.to_bits());
        }
        zset.add(b"z", -0.0, &limits(entries));
        assert!(zset.score(b"z").unwrap().is_sign_positive());
        assert_eq!(zset.upsert(b"z", &limits(entries), |_| None).new, Some(0.0));
        assert_eq!(zset.upsert(b"y", &limits(entries), |_| None), Upsert { old: None, new: None });
    }
}

#[test]
fn every_score_range_has_the_ranks_of_a_filter() {
    for entries in [128, 0] {
        for n in [0usize, 1, 2, 7, 90] {
            let model: Pairs =
                (0..n).map(|i| (format!("{i:03}").into_bytes(), (i / 2) as f64)).collect();
            let zset =
                ZSet::from_members(model.iter().map(|(m, s)| (&m[..], *s)), &limits(entries));
            let bounds: Vec<f64> = (-1..=n as i32 / 2 + 1)
                .map(|b| f64::from(b) / 2.0)
                .chain([f64::NEG_INFINITY, f64::INFINITY])
                .collect();
            for min in &bounds {
                for max in &bounds {
                    for flags in 0..4 {
                        let range = ScoreRange {
                            min: *min,
                            max: *max,
                            min_exclusive: flags & 1 != 0,
                            max_exclusive: flags & 2 != 0,
                        };
                        let inside = |s: f64| {
                            (if flags & 1 != 0 { s > *min } else { s >= *min })
                                && (if flags & 2 != 0 { s < *max } else { s <= *max })
                        };
                        let want: Pairs = model.iter().filter(|p| inside(p.1)).cloned().collect();
                        let ranks = zset.by_score(&range);
                        assert_eq!(ranks.len(), want.len());
                        assert_eq!(owned(zset.range(ranks)), want, "{range:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_lex_range_has_the_ranks_of_a_filter() {
    let names = ["", "a", "aa", "ab", "b", "c", "cc", "d"];
    let mut bounds: Vec<String> = vec!["-".into(), "+".into()];
    for name in names.iter().chain(&["abc", "zz"]) {
        bounds.push(format!("[{name}"));
        bounds.push(format!("({name}"));
    }
    for entries in [128, 0] {
        let zset = ZSet::from_members(names.iter().map(|n| (n.as_bytes(), 0.0)), &limits(entries));
        for min in &bounds {
            for max in &bounds {
                let inside = |m: &str| {
                    let low = match (&min[..1], &min[1..]) {
                        ("-", _) => true,
                        ("+", _) => false,
                        ("[", bound) => m >= bound,
                        (_, bound) => m > bound,
                    };
                    let high = match (&max[..1], &max[1..]) {
                        ("+", _) => true,
                        ("-", _) => false,
                        ("[", bound) => m <= bound,
                        (_, bound) => m < bound,
                    };
                    low && high
                };
                let want: Vec<Vec<u8>> =
                    names.iter().filter(|m| inside(m)).map(|m| m.as_bytes().to_vec()).collect();
                let range = LexRange::parse(min.as_bytes(), max.as_bytes()).unwrap();
                let got: Vec<Vec<u8>> =
                    owned(zset.range(zset.by_lex(&range))).into_iter().map(|p| p.0).collect();
                assert_eq!(got, want, "{min} {max}");
            }
        }
    }
}

#[test]
fn bounds_are_parsed_as_redis_does() {
    let range = ScoreRange::parse(b"(1.5", b"+inf").unwrap();
    assert!(range.min_exclusive && !range.max_exclusive);
    assert_eq!((range.min, range.max), (1.5, f64::INFINITY));
    assert_eq!(ScoreRange::parse(b"-inf", b"inf"), Some(ScoreRange::ALL));
    let range = ScoreRange::parse(b"", b"(").unwrap();
    assert_eq!((range.min, range.max, range.max_exclusive), (0.0, 0.0, true));
    for bad in ["nan", "x", "1 ", "((1"] {
        assert_eq!(ScoreRange::parse(bad.as_bytes(), b"1"), None, "{bad}");
    }
    for bad in ["", "a", "--", "++", "-a"] {
        assert_eq!(LexBound::parse(bad.as_bytes()), None, "{bad}");
    }
    assert_eq!(LexBound::parse(b"["), Some(LexBound::Inclusive(b"")));
}

#[derive(Clone, Debug)]
enum Op {
    Set(Vec<u8>, f64),
    Incr(Vec<u8>, f64),
    Remove(Vec<u8>),
    RemoveRange(usize, usize),
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0u16..300).prop_map(|n| n.to_string().into_bytes()),
        2 => prop::collection::vec(b'a'..b'e', 0..4),
        1 => Just(vec![b'x'; 65]),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-3i32..3).prop_map(f64::from),
        2 => (-100i32..100).prop_map(|n| f64::from(n) / 7.0),
        1 => prop::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY, 1e300]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (member(), score()).prop_map(|(m, s)| Op::Set(m, s)),
        4 => (member(), (-4i32..4).prop_map(f64::from)).prop_map(|(m, s)| Op::Incr(m, s)),
        6 => member().prop_map(Op::Remove),
        1 => (any::<usize>(), 0usize..20).prop_map(|(i, n)| Op::RemoveRange(i, n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn agrees_with_a_sorted_model(
        ops in prop::collection::vec(op(), 0..300),
        entries in prop::sample::select(vec![0, 10, 128]),
    ) {
        let limits = limits(entries);
        let (mut zset, mut model) = (ZSet::new(), BTreeMap::<Vec<u8>, f64>::new());
        for op in ops {
            match op {
                Op::Set(m, s) => {
                    let old = model.insert(m.clone(), s);
                    prop_assert_eq!(zset.add(&m, s, &limits), old.is_none());
                }
                Op::Incr(m, by) => {
                    let done = zset.upsert(&m, &limits, |old| old.map(|s| s + by));
                    let old = model.get(&m).copied();
                    prop_assert_eq!(done, Upsert { old, new: old.map(|s| s + by) });
                    if let Some(s) = model.get_mut(&m) {
                        *s += by;
                    }
                }
                Op::Remove(m) => prop_assert_eq!(zset.remove(&m), model.remove(&m)),
                Op::RemoveRange(i, n) => {
                    let i = i % (model.len() + 1);
                    let want: Pairs = sorted(&model).into_iter().skip(i).take(n).collect();
                    want.iter().for_each(|(m, _)| { model.remove(m); });
                    let mut gone = Pairs::new();
                    zset.remove_range(i..i + n, |m, s| gone.push((m.to_vec(), s)));
                    prop_assert_eq!(gone, want);
                }
            }
            prop_assert_eq!(zset.len(), model.len());
        }
        let want = sorted(&model);
        prop_assert_eq!(owned(zset.iter()), want.clone());
        prop_assert_eq!(owned(zset.clone().iter()), want.clone());
        let mut back = owned(zset.iter().rev());
        back.reverse();
        prop_assert_eq!(back, want.clone());
        for (rank, (m, s)) in want.iter().enumerate() {
            prop_assert_eq!(zset.rank(m), Some((rank, *s)));
            prop_assert_eq!(zset.score(m), Some(*s));
            prop_assert_eq!(zset.get(rank).map(|(m, s)| (m.to_vec(), s)), Some((m.clone(), *s)));
            prop_assert_eq!(owned(zset.range(rank..rank + 3)), &want[rank..(rank + 3).min(want.len())]);
            prop_assert_eq!(
                zset.iter().rev().nth(rank).map(|p| p.1),
                Some(want[want.len() - 1 - rank].1)
            );
        }
        let (mut scanned, mut cursor) = (BTreeMap::new(), 0);
        loop {
            cursor = zset.scan(cursor, 7, |m, s| { scanned.insert(m.to_vec(), s); });
            if cursor == 0 { break }
        }
        prop_assert_eq!(scanned, model);
        let mut state = 3u64;
        let mut rng = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state ^ state >> 29
        };
        for n in [1, 5, want.len(), want.len() + 1] {
            let mut got = BTreeMap::new();
            let mut count = 0;
            zset.sample(n, &mut rng, |m, s| { count += 1; got.insert(m.to_vec(), s); });
            prop_assert_eq!((count, got.len()), (n.min(want.len()), n.min(want.len())));
        }
    }
}
