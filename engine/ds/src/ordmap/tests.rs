//! Goal: an ordered map answers as the standard one does, and its invariants hold after each change.

use super::OrdMap;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Op {
    Insert(u16, u32),
    Append(u32),
    Remove(u16),
    RemoveFirst(u8),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0u16..400, any::<u32>()).prop_map(|(k, v)| Op::Insert(k, v)),
        3 => any::<u32>().prop_map(Op::Append),
        4 => (0u16..400).prop_map(Op::Remove),
        1 => (0u8..40).prop_map(Op::RemoveFirst),
    ];
    prop::collection::vec(op, 0..600)
}

fn compare(map: &OrdMap<u32, u32>, model: &BTreeMap<u32, u32>, keys: &[u32]) {
    map.check();
    assert_eq!(map.len(), model.len());
    let pairs = |m: &BTreeMap<u32, u32>| m.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>();
    assert_eq!(map.iter().map(|(k, v)| (k, *v)).collect::<Vec<_>>(), pairs(model));
    let mut back: Vec<_> = map.iter().rev().map(|(k, v)| (k, *v)).collect();
    back.reverse();
    assert_eq!(back, pairs(model));
    assert_eq!(map.first(), model.first_key_value().map(|(k, v)| (*k, v)));
    assert_eq!(map.last(), model.last_key_value().map(|(k, v)| (*k, v)));
    for pair in keys.chunks(2) {
        let (a, b) = (pair[0], pair[pair.len() - 1]);
        assert_eq!(map.get(&a), model.get(&a));
        assert_eq!(map.floor(&a), model.range(..=a).next_back().map(|(k, v)| (*k, v)));
        let (low, high) = (a.min(b), a.max(b));
        let want: Vec<u32> = model.range(low..=high).map(|(k, _)| *k).collect();
        let got: Vec<u32> = map.range(Some(low), Some(high)).map(|(k, _)| k).collect();
        assert_eq!(got, want);
        // From both ends in turn until they meet.
        let mut iter = map.range(Some(low), Some(high));
        let (mut front, mut rear) = (Vec::new(), Vec::new());
        while let Some((k, _)) = iter.next() {
            front.push(k);
            rear.extend(iter.next_back().map(|(k, _)| k));
        }
        front.extend(rear.into_iter().rev());
        assert_eq!(front, want);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn behaves_as_the_standard_map(ops in ops(), keys in prop::collection::vec(0u32..1200, 8)) {
        let (mut map, mut model) = (OrdMap::new(), BTreeMap::new());
        for op in ops {
            match op {
                Op::Insert(k, v) => {
                    assert_eq!(map.insert(u32::from(k), v), model.insert(u32::from(k), v));
                }
                Op::Append(v) => {
                    let next = model.last_key_value().map_or(0, |(k, _)| k + 1);
                    assert_eq!(map.insert(next, v), model.insert(next, v));
                    assert_eq!(map.last_mut().map(|(k, v)| (k, *v)), Some((next, v)));
                }
                Op::Remove(k) => {
                    let k = u32::from(k);
                    if let Some(v) = map.get_mut(&k) {
                        *v = v.wrapping_add(1);
                        model.entry(k).and_modify(|v| *v = v.wrapping_add(1));
                    }
                    assert_eq!(map.remove(&k), model.remove(&k));
                }
                Op::RemoveFirst(n) => {
                    for _ in 0..n {
                        let Some((k, _)) = map.first() else { break };
                        assert_eq!(map.remove(&k), model.remove(&k));
                    }
                }
            }
            map.check();
        }
        compare(&map, &model, &keys);
        let copy = map.clone();
        compare(&copy, &model, &keys);
    }
}

#[test]
fn memory_follows_the_content() {
    let mut map = OrdMap::new();
    assert_eq!((map.mem_bytes(), map.nodes()), (0, 1));
    for k in 0..10_000u64 {
        map.insert(k, k);
    }
    // Growing at the end leaves full nodes behind.
    assert!(map.mem_bytes() < 10_000 * 16 * 6 / 5 + 30_000, "{}", map.mem_bytes());
    for k in 0..9_990 {
        map.remove(&k);
        map.check();
    }
    assert!(map.mem_bytes() < 1024, "{}", map.mem_bytes());
    for k in 9_990..10_000 {
        map.remove(&k);
    }
    assert_eq!((map.mem_bytes(), map.nodes()), (0, 1));
}
