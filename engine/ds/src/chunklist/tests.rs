//! Goal: a chunk list reads as the deque that the same edits give, at every node limit, and its
//! sums stay exact. Method: random scripts against `VecDeque`, with limits small enough that
//! nodes split and merge all the time.

use proptest::prelude::*;

use super::*;

fn all(list: &ChunkList) -> Vec<Vec<u8>> {
    list.iter().map(|i| i.to_vec()).collect()
}

fn check_sums(list: &ChunkList) {
    assert!(list.nodes.iter().all(|n| n.count > 0 && n.count as usize == n.pack.len()));
    assert_eq!(list.len, list.nodes.iter().map(|n| n.count as usize).sum::<usize>());
    assert_eq!(list.heap, list.nodes.iter().map(|n| n.pack.mem_bytes()).sum::<usize>());
}

#[test]
fn limits_follow_redis_fill() {
    assert_eq!(NodeLimit::from_fill(-1).bytes, 4096);
    assert_eq!(NodeLimit::from_fill(-2).bytes, 8192);
    assert_eq!(NodeLimit::from_fill(-5).bytes, 65536);
    assert_eq!(NodeLimit::from_fill(-9).bytes, 65536);
    assert_eq!(NodeLimit::from_fill(0), NodeLimit { bytes: 8192, count: 1, lone: 0 });
    assert_eq!(NodeLimit::from_fill(128), NodeLimit { bytes: 8192, count: 128, lone: 0 });
    assert!(NodeLimit::from_fill(i64::MIN).exceeded_by(65537, 1));
}

#[test]
fn nodes_fill_up_to_the_limit_and_large_elements_stand_alone() {
    let limit = NodeLimit::from_fill(-2);
    let mut list = ChunkList::new();
    for i in 0..4000 {
        list.push(End::Back, format!("element-{i:08}").as_bytes(), limit);
    }
    assert_eq!(list.node_count(), 9);
    assert!(list.nodes.iter().all(|n| n.pack.mem_bytes() <= 8192));
    list.insert(2000, &vec![b'x'; 10_000][..], limit);
    let (node, offset) = list.locate(2000);
    assert_eq!((offset, list.nodes[node].count), (0, 1));
    check_sums(&list);
}

#[test]
fn a_long_list_that_shrinks_gives_memory_back() {
    let limit = NodeLimit::from_fill(1);
    let mut list = ChunkList::new();
    for i in 0..10_000i64 {
        list.push(End::Front, i, limit);
    }
    while list.len() > 1 {
        list.pop(End::Back, |_| ());
    }
    assert!(list.mem_bytes() < 1024, "{}", list.mem_bytes());
}

#[derive(Clone, Debug)]
enum Op {
    Push(bool, Vec<u8>),
    Pop(bool),
    Insert(usize, Vec<u8>),
    Set(usize, Vec<u8>),
    RemoveRange(usize, usize),
    RemoveEqual(bool, Vec<u8>, usize),
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0i64..12).prop_map(|n| n.to_string().into_bytes()),
        3 => prop::collection::vec(any::<u8>(), 0..30),
        1 => (100usize..400).prop_map(|n| vec![b'L'; n]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (any::<bool>(), element()).prop_map(|(f, e)| Op::Push(f, e)),
        4 => any::<bool>().prop_map(Op::Pop),
        4 => (any::<usize>(), element()).prop_map(|(i, e)| Op::Insert(i, e)),
        4 => (any::<usize>(), element()).prop_map(|(i, e)| Op::Set(i, e)),
        1 => (any::<usize>(), 0usize..30).prop_map(|(i, n)| Op::RemoveRange(i, n)),
        1 => (any::<bool>(), element(), 0usize..5).prop_map(|(f, e, n)| Op::RemoveEqual(f, e, n)),
    ]
}

fn end(front: bool) -> End {
    if front { End::Front } else { End::Back }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 300 }))]
    #[test]
    fn agrees_with_a_deque(
        ops in prop::collection::vec(op(), 0..200),
        limit in prop::sample::select(vec![
            NodeLimit { bytes: 64, count: usize::MAX, lone: 0 },
            NodeLimit { bytes: 300, count: usize::MAX, lone: 0 },
            NodeLimit { bytes: 8192, count: 1, lone: 0 },
            NodeLimit { bytes: 8192, count: 5, lone: 3 },
            NodeLimit { bytes: 8192, count: usize::MAX, lone: 0 },
        ]),
    ) {
        let (mut list, mut model) = (ChunkList::new(), VecDeque::<Vec<u8>>::new());
        for op in ops {
            match op {
                Op::Push(front, e) => {
                    list.push(end(front), &e[..], limit);
                    if front { model.push_front(e) } else { model.push_back(e) }
                }
                Op::Pop(front) => {
                    let want = if front { model.pop_front() } else { model.pop_back() };
                    prop_assert_eq!(list.pop(end(front), |i| i.to_vec()), want);
                }
                Op::Insert(i, e) => {
                    let i = i % (model.len() + 1);
                    list.insert(i, &e[..], limit);
                    model.insert(i, e);
                }
                Op::Set(i, e) => {
                    let i = i % (model.len() + 1);
                    prop_assert_eq!(list.set(i, &e[..], limit), i < model.len());
                    if let Some(slot) = model.get_mut(i) {
                        *slot = e;
                    }
                }
                Op::RemoveRange(i, n) => {
                    let i = i % (model.len() + 1);
                    list.remove_range(i, n, limit);
                    model.drain(i..(i + n).min(model.len()));
                }
                Op::RemoveEqual(front, e, max) => {
                    let mut hits: Vec<usize> =
                        (0..model.len()).filter(|i| model[*i] == e).collect();
                    if !front {
                        hits.reverse();
                    }
                    hits.truncate(max);
                    hits.sort_unstable();
                    for i in hits.iter().rev() {
                        model.remove(*i);
                    }
                    prop_assert_eq!(list.remove_equal(end(front), &e[..], max, limit), hits.len());
                }
            }
            check_sums(&list);
            prop_assert_eq!(list.len(), model.len());
        }
        prop_assert_eq!(all(&list), Vec::from(model.clone()));
        for (start, n) in [(0, 3), (1, 100), (model.len() / 2, 7), (model.len(), 1)] {
            let got: Vec<_> = list.range(start, n).map(|i| i.to_vec()).collect();
            let want: Vec<_> = model.iter().skip(start).take(n).cloned().collect();
            prop_assert_eq!(got, want);
            let got: Vec<_> = list.range_back(start, n).map(|i| i.to_vec()).collect();
            let want: Vec<_> = if start < model.len() {
                model.iter().take(start + 1).rev().take(n).cloned().collect()
            } else {
                vec![]
            };
            prop_assert_eq!(got, want);
        }
        for (i, e) in model.iter().enumerate() {
            prop_assert_eq!(&list.get(i).unwrap().to_vec(), e);
        }
        // Nodes respect the limit unless one element alone is over it.
        for node in &list.nodes {
            prop_assert!(node.count == 1
                || !limit.exceeded_by(node.pack.redis_bytes(), node.count as usize));
        }
    }
}

/// A change between the steps of a walk.
#[derive(Debug, Clone)]
enum Change {
    Push(End, u8),
    Pop(End),
    Insert(usize, u8),
    Set(usize, u8),
    Remove(usize, usize),
    RemoveEqual(u8),
    Step(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let end = || prop_oneof![Just(End::Front), Just(End::Back)];
    prop_oneof![
        (end(), any::<u8>()).prop_map(|(e, v)| Change::Push(e, v)),
        end().prop_map(Change::Pop),
        (0usize..80, any::<u8>()).prop_map(|(i, v)| Change::Insert(i, v)),
        (0usize..80, any::<u8>()).prop_map(|(i, v)| Change::Set(i, v)),
        (0usize..80, 0usize..20).prop_map(|(i, n)| Change::Remove(i, n)),
        any::<u8>().prop_map(Change::RemoveEqual),
        (1usize..10).prop_map(Change::Step),
    ]
}

proptest! {
    /// A list that changes between the steps of a walk; the walk gives what it held at the start.
    #[test]
    fn a_walk_gives_the_moment(
        start in prop::collection::vec(0u8..8, 0..120),
        changes in prop::collection::vec(change(), 0..60),
        count in 1usize..6,
    ) {
        let limit = NodeLimit { bytes: 60, count, lone: 0 };
        let bytes = |v: u8| vec![b'a' + v % 8; usize::from(v % 8) + 1];
        let mut list = ChunkList::new();
        start.iter().for_each(|v| list.push(End::Back, &bytes(*v)[..], limit));
        let want = all(&list);
        let meter = crate::Meter::default();
        list.begin_walk(5, &meter);
        let mut seen = Vec::new();
        for change in changes {
            match change {
                Change::Push(end, v) => list.push(end, &bytes(v)[..], limit),
                Change::Pop(end) => drop(list.pop(end, |item| item.to_vec())),
                Change::Insert(i, v) => list.insert(i.min(list.len()), &bytes(v)[..], limit),
                Change::Set(i, v) => drop(list.set(i, &bytes(v)[..], limit)),
                Change::Remove(i, n) => list.remove_range(i, n, limit),
                Change::RemoveEqual(v) => {
                    list.remove_equal(End::Front, &bytes(v)[..], 3, limit);
                }
                Change::Step(n) => {
                    let until = seen.len() + n;
                    list.step_walk(|item| {
                        seen.push(item.to_vec());
                        seen.len() < until
                    });
                }
            }
            check_sums(&list);
        }
        while list.step_walk(|item| {
            seen.push(item.to_vec());
            true
        }) {}
        prop_assert_eq!(seen, want);
        prop_assert_eq!(meter.bytes(), 0);
        prop_assert_eq!(list.walk_tag(), None);
        prop_assert!(list.nodes.iter().all(|n| n.stamp == 0));
    }
}
