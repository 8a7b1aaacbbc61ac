//! Goal: order and table agree whatever is done to them. Method: random scripts against a map, with values that
//! change an entry's shape.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::entry::ValueRef;

#[derive(Clone, Debug)]
enum Op {
    Set(u8, Vec<u8>, bool),
    SetInt(u8, bool),
    Expire(u8, Option<u64>),
    Remove(u8),
    Reap(u64, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(vec![b'x'; 300]),
        Just(vec![b'x'; 70_000]),
    ];
    prop_oneof![
        4 => (any::<u8>(), value, any::<bool>()).prop_map(|(k, v, keep)| Op::Set(k, v, keep)),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(k, keep)| Op::SetInt(k, keep)),
        6 => (any::<u8>(), prop::option::of(1u64..60)).prop_map(|(k, e)| Op::Expire(k, e)),
        2 => any::<u8>().prop_map(Op::Remove),
        1 => (0u64..60, 0usize..20).prop_map(|(now, budget)| Op::Reap(now, budget)),
    ]
}

fn check(t: &TimedTable, model: &BTreeMap<u8, Option<u64>>) {
    let seen: BTreeMap<u8, Option<u64>> =
        t.table().iter().map(|e| (e.key()[0], e.expire_ms())).collect();
    assert_eq!(&seen, model);
    let times = || model.values().flatten();
    assert_eq!(t.next_expire(), times().min().copied());
    for now in [0, 10, 30, 60] {
        assert_eq!(t.due(now), times().filter(|at| **at <= now).count());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn agrees_with_a_map(ops in prop::collection::vec(op(), 0..400)) {
        let mut t = TimedTable::new(HashSeed(1, 2));
        let mut model: BTreeMap<u8, Option<u64>> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Set(k, v, keep) => {
                    let old = model.get(&k).copied();
                    prop_assert_eq!(t.set(&[k], NewValue::Bytes(&v), keep), old.is_none());
                    prop_assert!(matches!(t.table().get(&[k]).unwrap().value(), ValueRef::Bytes(b) if b == v));
                    model.insert(k, old.flatten().filter(|_| keep));
                }
                Op::SetInt(k, keep) => {
                    let old = model.get(&k).copied();
                    prop_assert_eq!(t.set(&[k], NewValue::Int(7), keep), old.is_none());
                    model.insert(k, old.flatten().filter(|_| keep));
                }
                Op::Expire(k, e) => {
                    prop_assert_eq!(t.set_expire(&[k], e), model.contains_key(&k));
                    model.entry(k).and_modify(|m| *m = e);
                }
                Op::Remove(k) => prop_assert_eq!(t.remove(&[k]), model.remove(&k).is_some()),
                Op::Reap(now, budget) => {
                    let due = model.values().flatten().filter(|at| **at <= now).count();
                    let mut gone = Vec::new();
                    prop_assert_eq!(t.remove_due(now, budget, |k| gone.push(k[0])), due > budget);
                    prop_assert_eq!(gone.len(), due.min(budget));
                    for k in gone {
                        prop_assert!(model.remove(&k).flatten().is_some_and(|at| at <= now));
                    }
                }
            }
        }
        check(&t, &model);
        check(&t.clone(), &model);
    }
}

#[test]
fn memory_is_counted_and_given_back() {
    let mut t = TimedTable::new(HashSeed(1, 2));
    for i in 0..1000u32 {
        t.set(&i.to_le_bytes(), NewValue::Bytes(b"v"), false);
    }
    let plain = t.mem_bytes();
    for i in 0..1000u32 {
        t.set_expire(&i.to_le_bytes(), Some(5));
    }
    assert!(t.mem_bytes() > plain + 1000 * 16);
    assert!(!t.remove_due(5, usize::MAX, |_| ()));
    assert!(t.table().is_empty() && t.mem_bytes() < plain / 4);
}
