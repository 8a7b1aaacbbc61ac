//! Goal: a list is the deque that the same commands give, in whatever encoding, and the encoding
//! follows Redis. Method: random scripts against `VecDeque` under small limits; tables for the rules.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::types::{End, Limits};

fn limits(fill: i32) -> Limits {
    Limits { list_max_listpack_size: fill, ..Limits::default() }
}

fn all(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(|i| i.to_vec()).collect()
}

#[test]
fn encoding_goes_and_comes_back_by_bytes() {
    let limits = limits(-1);
    let mut list = List::new();
    assert_eq!(list.encoding(), "listpack");
    let large = vec![b'x'; 4090];
    list.push_one(End::Back, b"a", &limits);
    // 7 bytes around, 3 for the first element: 4090 more would be over 4096.
    list.push_one(End::Back, &large, &limits);
    assert_eq!(list.encoding(), "quicklist");
    list.pop(End::Back, &limits, |_| ()).unwrap();
    assert_eq!(list.encoding(), "listpack");

    // Down from two nodes: at most half of the limit must be left.
    let element = vec![b'y'; 100];
    for _ in 0..60 {
        list.push_one(End::Back, &element, &limits);
    }
    let mut len_back = 0;
    while list.encoding() == "quicklist" {
        list.pop(End::Front, &limits, |_| ()).unwrap();
        len_back = list.len();
    }
    assert!((18..=20).contains(&len_back), "{len_back}");
}

#[test]
fn encoding_goes_and_comes_back_by_count() {
    let limits = limits(4);
    let mut list = List::new();
    list.push(End::Back, [&b"1"[..], b"2", b"3", b"4"].into_iter(), &limits);
    assert_eq!(list.encoding(), "listpack");
    list.push_one(End::Front, b"0", &limits);
    assert_eq!(list.encoding(), "quicklist");
    // The element pushed at the front has a node of its own, so two nodes stay until the last pop.
    for expect in ["quicklist", "quicklist", "quicklist", "listpack"] {
        list.pop(End::Back, &limits, |_| ()).unwrap();
        assert_eq!(list.encoding(), expect);
    }
    // Many at once are counted together.
    let mut list = List::new();
    list.push(End::Back, std::iter::repeat_n(&b"e"[..], 5), &limits);
    assert_eq!((list.encoding(), list.len()), ("quicklist", 5));
    // Loading decides by the whole, not by half.
    let again = List::from_elements([&b"1"[..], b"2", b"3", b"4"].into_iter(), &limits);
    assert_eq!(again.encoding(), "listpack");
}

#[test]
fn positions_follow_lpos() {
    // The example of the LPOS documentation.
    let items = ["a", "b", "c", "1", "2", "3", "c", "c"];
    for fill in [-2, 2] {
        let list = List::from_elements(items.iter().map(|s| s.as_bytes()), &limits(fill));
        let find = |rank, count, maxlen| {
            let mut out = Vec::new();
            list.positions(b"c", rank, count, maxlen, |i| out.push(i));
            out
        };
        const ALL: usize = usize::MAX;
        assert_eq!(find(1, 1, ALL), [2]);
        assert_eq!(find(2, 1, ALL), [6]);
        assert_eq!(find(-1, 1, ALL), [7]);
        assert_eq!(find(1, 2, ALL), [2, 6]);
        assert_eq!(find(-1, 2, ALL), [7, 6]);
        assert_eq!(find(1, ALL, ALL), [2, 6, 7]);
        assert_eq!(find(1, ALL, 3), [2]);
        assert_eq!(find(-1, ALL, 2), [7, 6]);
        assert_eq!(find(4, ALL, ALL), [0; 0]);
        assert_eq!(find(i64::MIN, ALL, ALL), [0; 0]);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Push(bool, Vec<Vec<u8>>),
    Pop(bool),
    Set(usize, Vec<u8>),
    Near(Vec<u8>, bool, Vec<u8>),
    Trim(usize, usize),
    Rem(bool, Vec<u8>, usize),
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0i64..9).prop_map(|n| n.to_string().into_bytes()),
        3 => prop::collection::vec(any::<u8>(), 0..30),
        1 => (1000usize..9000).prop_map(|n| vec![b'L'; n]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (any::<bool>(), prop::collection::vec(element(), 1..4))
            .prop_map(|(f, e)| Op::Push(f, e)),
        6 => any::<bool>().prop_map(Op::Pop),
        3 => (any::<usize>(), element()).prop_map(|(i, e)| Op::Set(i, e)),
        3 => (element(), any::<bool>(), element()).prop_map(|(p, b, e)| Op::Near(p, b, e)),
        1 => (0usize..3, 0usize..20).prop_map(|(a, n)| Op::Trim(a, n)),
        1 => (any::<bool>(), element(), 0usize..4).prop_map(|(f, e, n)| Op::Rem(f, e, n)),
    ]
}

fn end(front: bool) -> End {
    if front { End::Front } else { End::Back }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn agrees_with_a_deque(
        ops in prop::collection::vec(op(), 0..120),
        fill in prop::sample::select(vec![-1, -2, 1, 3, 8]),
    ) {
        let limits = limits(fill);
        let (mut list, mut model) = (List::new(), VecDeque::<Vec<u8>>::new());
        for op in ops {
            match op {
                Op::Push(front, items) => {
                    list.push(end(front), items.iter().map(|i| &i[..]), &limits);
                    for i in items {
                        if front { model.push_front(i) } else { model.push_back(i) }
                    }
                }
                Op::Pop(front) => {
                    let want = if front { model.pop_front() } else { model.pop_back() };
                    prop_assert_eq!(list.pop(end(front), &limits, |i| i.to_vec()), want);
                }
                Op::Set(i, e) => {
                    let i = i % (model.len() + 1);
                    prop_assert_eq!(list.set(i, &e, &limits), i < model.len());
                    if let Some(slot) = model.get_mut(i) {
                        *slot = e;
                    }
                }
                Op::Near(pivot, behind, e) => {
                    let at = model.iter().position(|m| *m == pivot);
                    prop_assert_eq!(list.insert_near(&pivot, behind, &e, &limits), at.is_some());
                    if let Some(at) = at {
                        model.insert(at + usize::from(behind), e);
                    }
                }
                Op::Trim(start, n) => {
                    list.trim(start, start + n, &limits);
                    model = model.into_iter().skip(start).take(n).collect();
                }
                Op::Rem(front, e, max) => {
                    let mut hits: Vec<usize> =
                        (0..model.len()).filter(|i| model[*i] == e).collect();
                    if !front {
                        hits.reverse();
                    }
                    hits.truncate(max);
                    hits.sort_unstable();
                    hits.iter().rev().for_each(|i| { model.remove(*i); });
                    let removed = list.remove_equal(end(front), &e, max, &limits);
                    prop_assert_eq!(removed, hits.len());
                }
            }
            prop_assert_eq!(list.len(), model.len());
        }
        prop_assert_eq!(all(&list), Vec::from(model.clone()));
        prop_assert_eq!(all(&list.clone()), Vec::from(model.clone()));
        for (i, e) in model.iter().enumerate() {
            prop_assert_eq!(&list.get(i).unwrap().to_vec(), e);
        }
        for (start, n) in [(0, 2), (1, 50), (model.len(), 3)] {
            let got: Vec<_> = list.range(start, n).map(|i| i.to_vec()).collect();
            let want: Vec<_> = model.iter().skip(start).take(n).cloned().collect();
            prop_assert_eq!(got, want);
            let got: Vec<_> = list.range_back(start, n).map(|i| i.to_vec()).collect();
            let want: Vec<_> = (0..=start).rev().take(n).map(|i| model.get(i).cloned()).collect();
            prop_assert_eq!(got, if start < model.len() {
                want.into_iter().flatten().collect()
            } else {
                vec![]
            });
        }
    }
}
