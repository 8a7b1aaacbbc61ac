//! Goal: ranks, ranges and counts are those of a sorted vector after any edits, and every
//! invariant of the tree holds. Method: random scripts and sweeps over all ranks, with nodes of 7 and
//! 6 entries, so that a few hundred elements make four levels.

use proptest::prelude::*;

use super::*;

/// A member that is its own handle: a number, ordered by its big-endian bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Name([u8; 4]);

impl Member for Name {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn name(n: u32) -> Name {
    Name(n.to_be_bytes())
}

/// Elements of a tree of four levels; checked slowly under Miri, hence fewer there.
const N: u32 = if cfg!(miri) { 70 } else { 700 };

type Pairs = Vec<(f64, Name)>;

fn all(tree: &CountedTree<Name>) -> Pairs {
    tree.range(0, usize::MAX).collect()
}

fn built(n: u32, order: impl Fn(u32) -> u32) -> (CountedTree<Name>, Pairs) {
    let mut tree = CountedTree::new();
    let mut model = Pairs::new();
    for i in 0..n {
        let i = order(i);
        let pair = (f64::from(i / 3), name(i));
        tree.insert(pair.0, pair.1);
        model.push(pair);
        tree.check();
    }
    model.sort_by(|a, b| a.partial_cmp(b).unwrap());
    (tree, model)
}

#[test]
fn insertion_orders_all_give_the_sorted_sequence() {
    let orders: [fn(u32) -> u32; 3] = [|i| i, |i| N - 1 - i, |i| i * 331 % N];
    for order in orders {
        let (tree, model) = built(N, order);
        assert_eq!(all(&tree), model);
        let mut back: Pairs = tree.range(0, usize::MAX).rev().collect();
        back.reverse();
        assert_eq!(back, model);
        for (rank, (score, member)) in model.iter().enumerate() {
            assert_eq!(tree.rank(*score, member.bytes()), Some(rank));
            assert_eq!(tree.get(rank), Some((*score, *member)));
        }
        assert_eq!(tree.rank(0.5, &[0]), None);
        assert_eq!(tree.get(model.len()), None);
    }
}

#[test]
fn ordered_inserts_leave_full_nodes() {
    let orders: [fn(u32) -> u32; 2] = [|i| i, |i| N - 1 - i];
    for order in orders {
        let (tree, _) = built(N, order);
        assert_eq!(tree.nodes.leaves, N as usize / node::LEAF);
    }
}

#[test]
fn every_rank_range_can_be_read_and_removed() {
    for n in if cfg!(miri) { vec![1u32, 8, 15] } else { vec![1, 7, 8, 40, 95] } {
        let (_, model) = built(n, |i| i);
        for from in 0..=n as usize {
            for to in from..=n as usize {
                let mut tree = CountedTree::new();
                (0..n).for_each(|i| tree.insert(f64::from(i / 3), name(i)));
                let got: Pairs = tree.range(from, to).collect();
                assert_eq!(got, model[from..to]);
                let mut got: Pairs = tree.range(from, to).rev().collect();
                got.reverse();
                assert_eq!(got, model[from..to]);
                let mut gone = Pairs::new();
                tree.remove_range(from, to, |s, m| gone.push((s, m)));
                assert_eq!(gone, model[from..to]);
                tree.check();
                let mut rest = model.clone();
                rest.drain(from..to);
                assert_eq!(all(&tree), rest);
            }
        }
    }
}

#[test]
fn partition_points_agree_with_the_sorted_vector() {
    let n = N.min(300);
    let (tree, model) = built(n, |i| i * 31 % N.min(300));
    for bound in 0..=n / 3 + 1 {
        let bound = f64::from(bound) - 0.5;
        for bound in [bound, bound + 0.5] {
            assert_eq!(
                tree.partition_point(|s, _| s < bound),
                model.partition_point(|p| p.0 < bound)
            );
            assert_eq!(
                tree.partition_point(|s, _| s <= bound),
                model.partition_point(|p| p.0 <= bound)
            );
        }
    }
    assert_eq!(CountedTree::<Name>::new().partition_point(|_, _| true), 0);
}

#[test]
fn walking_skips_with_nth() {
    let (tree, model) = built(200, |i| i);
    let mut walk = tree.range(10, 190);
    assert_eq!(walk.nth(50), Some(model[60]));
    assert_eq!(walk.next(), Some(model[61]));
    assert_eq!(walk.nth_back(9), Some(model[180]));
    assert_eq!(walk.len(), 180 - 62);
    assert_eq!(walk.nth(1000), None);
    assert_eq!(walk.next_back(), None);
}

#[derive(Clone, Debug)]
enum Op {
    Set(u32, f64),
    Remove(u32),
    RemoveRange(usize, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let score = prop_oneof![
        4 => (0i32..6).prop_map(f64::from),
        2 => any::<i16>().prop_map(f64::from),
        1 => prop::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY, 0.1, 5e-324]),
    ];
    prop_oneof![
        20 => (0u32..200, score).prop_map(|(m, s)| Op::Set(m, s)),
        8 => (0u32..200).prop_map(Op::Remove),
        1 => (any::<usize>(), 0usize..60).prop_map(|(i, n)| Op::RemoveRange(i, n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 150 }))]
    #[test]
    fn agrees_with_a_sorted_vector(ops in prop::collection::vec(op(), 0..400)) {
        let mut tree = CountedTree::new();
        let mut model = Pairs::new();
        for op in ops {
            match op {
                Op::Set(m, score) => {
                    let old = model.iter().position(|p| p.1 == name(m));
                    match old {
                        Some(i) => tree.set_score(model.remove(i).0, score, name(m)),
                        None => tree.insert(score, name(m)),
                    }
                    let at = model.partition_point(|p| *p < (score, name(m)));
                    model.insert(at, (score, name(m)));
                }
                Op::Remove(m) => {
                    if let Some(i) = model.iter().position(|p| p.1 == name(m)) {
                        let (score, _) = model.remove(i);
                        prop_assert_eq!(tree.remove(score, name(m).bytes()), Some(name(m)));
                    } else {
                        prop_assert_eq!(tree.remove(1.0, name(m).bytes()), None);
                    }
                }
                Op::RemoveRange(i, n) => {
                    let i = i % (model.len() + 1);
                    let end = (i + n).min(model.len());
                    let mut gone = Pairs::new();
                    tree.remove_range(i, i + n, |s, m| gone.push((s, m)));
                    prop_assert_eq!(gone, model.drain(i..end).collect::<Pairs>());
                }
            }
            tree.check();
            prop_assert_eq!(tree.len(), model.len());
        }
        prop_assert_eq!(all(&tree), model);
    }
}
