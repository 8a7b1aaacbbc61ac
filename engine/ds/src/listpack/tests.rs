//! Goal: whatever the order of edits at either end or inside, a listpack reads as the plain
//! vector of byte strings that the same edits give. Method: a random script against `Vec`, and
//! tables for each entry form at the borders of its range.

use proptest::prelude::*;

use super::*;

fn all(pack: &Listpack) -> Vec<Vec<u8>> {
    pack.iter().map(|i| i.to_vec()).collect()
}

fn borders() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for n in [0i64, 127, 128, -1, 4095, 4096, -4096, -4097, 32767, 32768, -32768, -32769]
        .into_iter()
        .chain([0x7F_FFFF, 0x80_0000, -0x80_0000, -0x80_0001, 0x7FFF_FFFF, 0x8000_0000])
        .chain([-0x8000_0000, -0x8000_0001, i64::MAX, i64::MIN])
    {
        out.push(n.to_string().into_bytes());
    }
    for len in [0, 1, 62, 63, 64, 124, 125, 126, 127, 128, 4095, 4096, 16_377, 16_378, 16_380] {
        out.push(vec![b'x'; len]);
    }
    for text in ["007", "-0", "+1", "9223372036854775808"] {
        out.push(text.as_bytes().to_vec());
    }
    out
}

#[test]
fn every_form_reads_back_from_both_ends() {
    let want = borders();
    let pack: Listpack = want.iter().map(|b| Item::from(&b[..])).collect();
    assert_eq!(all(&pack), want);
    let mut back: Vec<_> = pack.iter().rev().map(|i| i.to_vec()).collect();
    back.reverse();
    assert_eq!(back, want);
    for (i, text) in want.iter().enumerate() {
        assert_eq!(pack.index(i).unwrap().to_vec(), *text);
        let pos = pack.find(pack.first(), Item::from(&text[..]), 0).unwrap();
        assert_eq!(Some(pos), pack.seek(i));
    }
    assert_eq!(pack.index(want.len()), None);
    let again = Listpack::from_entries(pack.entries()).unwrap();
    assert_eq!(all(&again), want);
}

#[test]
fn entries_are_those_of_redis() {
    // Bytes as `DEBUG LISTPACK`/a dump of Redis shows them for these elements.
    let pack: Listpack =
        [&b"1"[..], b"hello", b"-1", b"1000", b"70000"].map(Item::from).into_iter().collect();
    assert_eq!(
        pack.entries(),
        [
            &[0x01, 1][..],
            b"\x85hello\x06",
            &[0xDF, 0xFF, 2],
            &[0xC3, 0xE8, 2],
            &[0xF2, 0x70, 0x11, 0x01, 4],
        ]
        .concat()
    );
    assert_eq!(pack.redis_bytes(), pack.entries().len() + 7);
}

#[test]
fn sixteen_byte_elements_cost_two_bytes_more() {
    let mut pack = Listpack::new();
    for i in 0..100 {
        pack.push_back(format!("element-{i:08}").as_bytes());
    }
    assert_eq!(pack.used_bytes(), 1800);
    assert_eq!(pack.mem_bytes(), 2048);
    assert_eq!(Listpack::new().mem_bytes(), 0);
}

#[test]
fn find_can_skip_values() {
    let pack: Listpack =
        ["a", "b", "b", "a", "c"].iter().map(|s| Item::from(s.as_bytes())).collect();
    let b = pack.find(pack.first(), Item::from(b"b"), 1).unwrap();
    assert_eq!(Some(b), pack.seek(2));
    assert_eq!(pack.find(pack.first(), Item::from(b"c"), 1), pack.seek(4));
    assert_eq!(pack.find(pack.first(), Item::from(b"c"), 2), None);
    assert_eq!(pack.find(None, Item::from(b"c"), 0), None);
}

#[test]
fn a_queue_in_a_full_block_neither_grows_nor_moves_each_time() {
    let mut pack = Listpack::new();
    for i in 0..400 {
        pack.push_back(format!("element-{i:08}").as_bytes());
    }
    let limit = pack.mem_bytes() * 5 / 4;
    for i in 400..5000 {
        pack.push_back(format!("element-{i:08}").as_bytes());
        let first = pack.pop_front(|i| i.to_vec()).unwrap();
        assert_eq!(first, format!("element-{:08}", i - 400).as_bytes());
        assert!(pack.mem_bytes() <= limit, "{} > {limit}", pack.mem_bytes());
    }
    for i in (0..5000).rev() {
        pack.push_front(format!("element-{i:08}").as_bytes());
        pack.pop_back(|_| ()).unwrap();
        assert!(pack.mem_bytes() <= limit);
    }
    assert_eq!(pack.len(), 400);
}

#[test]
fn mark_survives_edits_and_cloning() {
    let mut pack = Listpack::new();
    pack.set_mark(true);
    assert!(pack.mark() && pack.is_empty());
    for i in 0..300i64 {
        pack.push_front(i);
    }
    while pack.len() > 1 {
        pack.pop_back(|_| ());
    }
    assert!(pack.mark() && pack.clone().mark());
    pack.shrink_to_fit();
    assert!(pack.mark());
    pack.set_mark(false);
    assert_eq!((pack.mark(), pack.len()), (false, 1));
}

#[test]
fn bad_entries_are_refused_with_their_offset() {
    let good: Listpack = borders().iter().map(|b| Item::from(&b[..])).collect();
    let bytes = good.entries();
    // Cut anywhere: either whole entries remain or the cut one is named.
    for cut in (0..400).chain(bytes.len() - 300..bytes.len()) {
        if let Err(e) = Listpack::from_entries(&bytes[..cut]) {
            assert!(e.offset < cut, "{e}");
        }
    }
    for (bytes, cause) in [
        (&[0xFFu8, 1][..], "unknown type"),
        (&[0x05, 2], "length at the end differs"),
        (&[0x81, b'7', 2], "not the shortest form"),
        (&[0xC0, 0x05, 2], "not the shortest form"),
        (&[0xE0, 0x01, b'x', 3], "not the shortest form"),
        (&[0xF0, 0xFF, 0xFF, 0xFF, 0xFF, 0], "cut"),
        (&[0x80], "cut"),
        (&[0xE0], "cut"),
    ] {
        let e = Listpack::from_entries(bytes).unwrap_err();
        assert_eq!((e.offset, e.cause), (0, cause), "{bytes:x?}");
    }
}

#[derive(Clone, Debug)]
enum Op {
    Push(bool, Vec<u8>),
    Pop(bool),
    Insert(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    Split(usize),
    Truncate(usize),
    Shrink,
    Reserve(usize),
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<i64>().prop_map(|n| (n >> (n & 63)).to_string().into_bytes()),
        4 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (60usize..140).prop_map(|n| vec![b'm'; n]),
        1 => prop::sample::select(borders()),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (any::<bool>(), element()).prop_map(|(f, e)| Op::Push(f, e)),
        4 => any::<bool>().prop_map(Op::Pop),
        3 => (any::<usize>(), element()).prop_map(|(i, e)| Op::Insert(i, e)),
        3 => (any::<usize>(), element()).prop_map(|(i, e)| Op::Replace(i, e)),
        2 => (any::<usize>(), 0usize..6).prop_map(|(i, n)| Op::Remove(i, n)),
        1 => any::<usize>().prop_map(Op::Split),
        1 => (0usize..4).prop_map(Op::Truncate),
        1 => Just(Op::Shrink),
        1 => (0usize..300).prop_map(Op::Reserve),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 300 }))]
    #[test]
    fn agrees_with_a_vector(ops in prop::collection::vec(op(), 0..120)) {
        let (mut pack, mut model) = (Listpack::new(), Vec::<Vec<u8>>::new());
        for op in ops {
            match op {
                Op::Push(true, e) => {
                    pack.push_front(&e[..]);
                    model.insert(0, e);
                }
                Op::Push(false, e) => {
                    pack.push_back(&e[..]);
                    model.push(e);
                }
                Op::Pop(true) => {
                    let want = (!model.is_empty()).then(|| model.remove(0));
                    prop_assert_eq!(pack.pop_front(|i| i.to_vec()), want);
                }
                Op::Pop(false) => prop_assert_eq!(pack.pop_back(|i| i.to_vec()), model.pop()),
                Op::Insert(i, e) => {
                    let i = i % (model.len() + 1);
                    let pos = pack.seek(i).unwrap_or(pack.end());
                    pack.insert(pos, &e[..]);
                    model.insert(i, e);
                }
                Op::Replace(i, e) if !model.is_empty() => {
                    let i = i % model.len();
                    let pos = pack.seek(i).unwrap();
                    pack.replace(pos, &e[..]);
                    prop_assert_eq!(pack.get(pos).to_vec(), e.clone());
                    model[i] = e;
                }
                Op::Remove(i, n) if !model.is_empty() => {
                    let i = i % model.len();
                    let end = (i + n).min(model.len());
                    let next = pack.remove_n(pack.seek(i).unwrap(), n);
                    model.drain(i..end);
                    prop_assert_eq!(next.map(|p| pack.get(p).to_vec()), model.get(i).cloned());
                }
                Op::Split(i) => {
                    let i = i % (model.len() + 1);
                    let pos = pack.seek(i).unwrap_or(pack.end());
                    let right = pack.split_off(pos, i);
                    prop_assert_eq!(all(&pack), &model[..i]);
                    prop_assert_eq!(all(&right), &model[i..]);
                    pack.append(&right);
                }
                Op::Truncate(n) => {
                    pack.truncate_back(n);
                    model.truncate(model.len().saturating_sub(n));
                }
                Op::Shrink => pack.shrink_to_fit(),
                Op::Reserve(n) => pack.reserve(n),
                Op::Replace(..) | Op::Remove(..) => {}
            }
            prop_assert_eq!(pack.len(), model.len());
            prop_assert_eq!(all(&pack), model.clone());
        }
        let back: Vec<_> = pack.iter().rev().map(|i| i.to_vec()).collect();
        prop_assert!(back.iter().eq(model.iter().rev()));
        prop_assert!(Listpack::from_entries(pack.entries()).is_ok());
        prop_assert_eq!(all(&pack.clone()), model);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(pack) = Listpack::from_entries(&bytes) {
            prop_assert_eq!(pack.iter().count(), pack.len());
            prop_assert_eq!(pack.iter().rev().count(), pack.len());
        }
    }
}
