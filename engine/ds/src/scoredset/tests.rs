//! Goal: table and tree agree with a sorted model after any edits, and no handle outlives its entry
//! (run under Miri with `-Zmiri-tree-borrows`, which entry references need). Method: random scripts against a `BTreeMap` of scores and a sorted vector.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SEED: HashSeed = HashSeed(0x1234_5678_9abc_def1, 0xfedc_ba98_7654_3211);

type Pairs = Vec<(Vec<u8>, f64)>;

fn sorted(model: &BTreeMap<Vec<u8>, f64>) -> Pairs {
    let mut all: Pairs = model.iter().map(|(m, s)| (m.clone(), *s)).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    all
}

fn owned<'a>(items: impl Iterator<Item = (&'a [u8], f64)>) -> Pairs {
    items.map(|(m, s)| (m.to_vec(), s)).collect()
}

#[test]
fn negative_zero_is_zero() {
    let mut set = ScoredSet::new(SEED);
    set.upsert(b"b", |_| Some(-0.0));
    set.upsert(b"a", |_| Some(0.0));
    assert_eq!(owned(set.iter()), [(b"a".to_vec(), 0.0), (b"b".to_vec(), 0.0)]);
    assert!(set.score(b"b").unwrap().is_sign_positive());
}

#[test]
fn refusing_an_update_changes_nothing() {
    let mut set = ScoredSet::new(SEED);
    assert_eq!(set.upsert(b"m", |_| None), Upsert { old: None, new: None });
    assert!(set.is_empty());
    set.upsert(b"m", |_| Some(1.5));
    assert_eq!(set.upsert(b"m", |_| None), Upsert { old: Some(1.5), new: Some(1.5) });
    assert_eq!(set.upsert(b"m", |s| s.map(|s| s + 1.0)), Upsert { old: Some(1.5), new: Some(2.5) });
    assert_eq!(set.rank(b"m"), Some((0, 2.5)));
}

#[derive(Clone, Debug)]
enum Op {
    Set(u8, i8),
    Remove(u8),
    RemoveRange(usize, usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (any::<u8>(), -3i8..3).prop_map(|(m, s)| Op::Set(m, s)),
        10 => any::<u8>().prop_map(Op::Remove),
        1 => (any::<usize>(), 0usize..40).prop_map(|(i, n)| Op::RemoveRange(i, n)),
    ]
}

fn member(m: u8) -> Vec<u8> {
    // Different lengths, one the prefix of another.
    b"member-of-the-set"[..usize::from(m % 17)].iter().copied().chain([m]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 150 }))]
    #[test]
    fn agrees_with_a_sorted_model(
        ops in prop::collection::vec(op(), 0..if cfg!(miri) { 120 } else { 500 }),
    ) {
        let (mut set, mut model) = (ScoredSet::new(SEED), BTreeMap::<Vec<u8>, f64>::new());
        for op in ops {
            match op {
                Op::Set(m, s) => {
                    let (m, s) = (member(m), f64::from(s) / 2.0);
                    let old = model.insert(m.clone(), s);
                    prop_assert_eq!(set.upsert(&m, |_| Some(s)), Upsert { old, new: Some(s) });
                }
                Op::Remove(m) => {
                    prop_assert_eq!(set.remove(&member(m)), model.remove(&member(m)));
                }
                Op::RemoveRange(i, n) => {
                    let i = i % (model.len() + 1);
                    let mut gone = Pairs::new();
                    set.remove_range(i, i + n, |m, s| gone.push((m.to_vec(), s)));
                    let want: Pairs = sorted(&model).into_iter().skip(i).take(n).collect();
                    want.iter().for_each(|(m, _)| { model.remove(m); });
                    prop_assert_eq!(gone, want);
                }
            }
            prop_assert_eq!(set.len(), model.len());
        }
        set.tree.check();
        let want = sorted(&model);
        prop_assert_eq!(set.table.len(), want.len());
        prop_assert_eq!(owned(set.iter()), want.clone());
        prop_assert_eq!(owned(set.clone().iter()), want.clone());
        for (rank, (m, s)) in want.iter().enumerate() {
            prop_assert_eq!(set.rank(m), Some((rank, *s)));
            prop_assert_eq!(set.get(rank), Some((&m[..], *s)));
        }
        for bound in -4..=4 {
            let bound = f64::from(bound) / 2.0;
            prop_assert_eq!(
                set.count_while_score(|s| s < bound),
                want.iter().filter(|p| p.1 < bound).count()
            );
        }
        let mut seen = Pairs::new();
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, 10, |m, s| seen.push((m.to_vec(), s)));
            if cursor == 0 { break }
        }
        seen.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        prop_assert_eq!(seen, want);
    }
}
