//! Goal: a stream answers as a plain ordered map does, keeps exact count of its memory, and comes back from
//! its body unchanged. Method: random operations over few ids, with small blocks.

use super::*;
use crate::types::{Limits, Object};
use moon_formats::value::Value;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Fields = Vec<Vec<u8>>;

#[derive(Debug, Clone)]
enum Op {
    Append(u64, u64, Fields),
    Delete(usize),
    Trim { to: TrimTo, whole_blocks: bool, limit: u64, references: References },
    Group(u8, u64),
    Deliver(u8, u8, usize),
    Acknowledge(u8, usize),
    GiveBack(u8, usize),
    RemoveConsumer(u8, u8),
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (0u8..4).prop_map(|n| vec![b'f', b'0' + n]),
        2 => (-5000i64..5000).prop_map(|n| n.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..90),
        1 => Just(b"007".to_vec()),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let fields = prop_oneof![
        2 => word().prop_map(|v| vec![b"a".to_vec(), v]),
        1 => (word(), word()).prop_map(|(a, b)| vec![b"a".to_vec(), a, b"b".to_vec(), b]),
        1 => prop::collection::vec(word(), 1..4)
            .prop_map(|w| w.iter().flat_map(|w| [w.clone(), w.clone()]).collect()),
    ];
    let to = prop_oneof![
        (0u64..40).prop_map(TrimTo::Len),
        (0u64..60, 0u64..3).prop_map(|(ms, seq)| TrimTo::Id(StreamId { ms, seq })),
    ];
    let references =
        prop::sample::select(vec![References::Keep, References::Delete, References::Acknowledged]);
    let op = prop_oneof![
        12 => (0u64..3, 0u64..5, fields).prop_map(|(ms, seq, f)| Op::Append(ms, seq, f)),
        4 => (0usize..100).prop_map(Op::Delete),
        1 => (to, any::<bool>(), 0u64..9, references).prop_map(|(to, whole_blocks, limit, references)| {
            let limit = if whole_blocks { limit } else { 0 };
            Op::Trim { to, whole_blocks, limit, references }
        }),
        1 => (0u8..3, 0u64..60).prop_map(|(g, ms)| Op::Group(g, ms)),
        6 => (0u8..3, 0u8..4, 0usize..100).prop_map(|(g, c, i)| Op::Deliver(g, c, i)),
        3 => (0u8..3, 0usize..100).prop_map(|(g, i)| Op::Acknowledge(g, i)),
        1 => (0u8..3, 0usize..100).prop_map(|(g, i)| Op::GiveBack(g, i)),
        1 => (0u8..3, 0u8..4).prop_map(|(g, c)| Op::RemoveConsumer(g, c)),
    ];
    prop::collection::vec(op, 0..250)
}

/// Pending entries with their consumers.
type Pel = BTreeMap<StreamId, (Option<u8>, u64)>;

#[derive(Default)]
struct Model {
    entries: BTreeMap<StreamId, Fields>,
    every_id: Vec<StreamId>,
    groups: BTreeMap<u8, (StreamId, Pel)>,
}

impl Model {
    fn id(&self, i: usize) -> StreamId {
        self.every_id.get(i % self.every_id.len().max(1)).copied().unwrap_or_default()
    }

    fn acknowledged(&self, id: StreamId) -> bool {
        self.groups.values().all(|(last, pel)| id <= *last && !pel.contains_key(&id))
    }
}

fn fields(entry: &Entry<'_>) -> Fields {
    let mut buf = moon_ds::ItemBuf::new();
    let both = entry.fields.clone().flat_map(|(n, v)| [n, v]);
    both.map(|item| item.as_bytes(&mut buf).to_vec()).collect()
}

fn same_entries(log: &Log, model: &Model) {
    assert_eq!(log.len(), model.entries.len() as u64);
    let want: Vec<_> = model.entries.iter().map(|(id, f)| (*id, f.clone())).collect();
    assert_eq!(log.iter().map(|e| (e.id, fields(&e))).collect::<Vec<_>>(), want);
    let back = log.range_back(StreamId::MIN, StreamId::MAX);
    let mut back: Vec<_> = back.map(|e| (e.id, fields(&e))).collect();
    back.reverse();
    assert_eq!(back, want);
    assert_eq!(log.first_id(), want.first().map_or(StreamId::MIN, |e| e.0));
    for pair in model.every_id.windows(2).step_by(5) {
        let (a, b) = (pair[0], *model.every_id.last().unwrap());
        assert_eq!(log.get(a).is_some(), model.entries.contains_key(&a));
        let ids: Vec<_> = log.range(a, b).map(|e| e.id).collect();
        assert_eq!(ids, model.entries.range(a..=b).map(|(id, _)| *id).collect::<Vec<_>>());
        let ids: Vec<_> = log.range_back(a, b).map(|e| e.id).collect();
        assert_eq!(ids, model.entries.range(a..=b).rev().map(|(id, _)| *id).collect::<Vec<_>>());
    }
}

fn same_groups(stream: &Stream, model: &Model) {
    for (name, (last, pel)) in &model.groups {
        let group = stream.group(&[*name]).unwrap();
        assert_eq!((group.last_id, group.pending_count()), (*last, pel.len()));
        for (id, pending) in group.pending_range(StreamId::MIN, StreamId::MAX) {
            let owner = group.owner(pending).map(|c| c.name()[0]);
            assert_eq!((owner, pending.deliveries), pel[&id]);
        }
        for consumer in group.consumers() {
            let held: Vec<_> = consumer.held_from(StreamId::MIN, StreamId::MAX).collect();
            let name = Some(consumer.name()[0]);
            let want = pel.iter().filter(|(_, (c, _))| *c == name).map(|(id, _)| *id);
            assert_eq!(held, want.collect::<Vec<_>>());
            assert_eq!(held.len(), consumer.held());
        }
    }
}

fn apply(stream: &mut Stream, model: &mut Model, op: Op, limits: &Limits) {
    match op {
        Op::Append(ms, seq, f) => {
            let last = stream.log().last_id();
            let id =
                StreamId { ms: last.ms + ms, seq: if ms == 0 { last.seq + 1 + seq } else { seq } };
            let words: Vec<&[u8]> = f.iter().map(Vec::as_slice).collect();
            stream.log_mut().append(id, &words, limits).unwrap();
            model.entries.insert(id, f);
            model.every_id.push(id);
        }
        Op::Delete(i) => {
            let id = model.id(i);
            assert_eq!(stream.log_mut().delete(id), model.entries.remove(&id).is_some());
        }
        Op::Trim { to, whole_blocks, limit, references } => {
            let before = model.entries.len();
            let done = stream.trim(&Trim { to, whole_blocks, limit, references });
            let ids: Vec<StreamId> = model.entries.keys().copied().collect();
            if whole_blocks {
                // How far depends on the blocks; that it is never too far, and from the front.
                let left: Vec<_> = stream.log().iter().map(|e| e.id).collect();
                match to {
                    TrimTo::Len(n) => assert!(left.len() as u64 >= n.min(before as u64)),
                    TrimTo::Id(min) => assert!(ids.iter().all(|id| *id < min || left.contains(id))),
                }
                assert!(limit == 0 || done.removed <= limit);
                model.entries.retain(|id, _| left.contains(id));
            } else {
                for id in ids {
                    let enough = match to {
                        TrimTo::Len(n) => model.entries.len() as u64 <= n,
                        TrimTo::Id(min) => id >= min,
                    };
                    if enough {
                        break;
                    }
                    if references != References::Acknowledged || model.acknowledged(id) {
                        model.entries.remove(&id);
                    }
                }
            }
            assert_eq!(done.removed as usize, before - model.entries.len());
            if references == References::Delete && done.removed > 0 {
                let there = &model.entries;
                let gone: Vec<StreamId> =
                    model.every_id.iter().copied().filter(|id| !there.contains_key(id)).collect();
                for (name, (_, pel)) in &mut model.groups {
                    let group = stream.group(&[*name]).unwrap();
                    // Entries that were deleted before go on being pending.
                    pel.retain(|id, _| !gone.contains(id) || group.pending(*id).is_some());
                }
            }
        }
        Op::Group(g, ms) => {
            let last = StreamId { ms, seq: 0 };
            let made = stream.create_group(&[g], last, None);
            assert_eq!(made, !model.groups.contains_key(&g));
            model.groups.entry(g).or_insert((last, Pel::new()));
        }
        Op::Deliver(g, c, i) => {
            let id = model.id(i);
            if let Some((last, pel)) = model.groups.get_mut(&g) {
                stream.edit_group(&[g], |log, group| {
                    let (consumer, _) = group.find_or_create(&[c], 5);
                    group.deliver(id, consumer, i as u64, i as u64 + 1);
                    group.advance(log, id);
                });
                pel.insert(id, (Some(c), i as u64 + 1));
                *last = id;
            }
        }
        Op::Acknowledge(g, i) => {
            let id = model.id(i);
            let did = stream.edit_group(&[g], |_, group| group.acknowledge(id).is_some());
            let want = model.groups.get_mut(&g).map(|(_, pel)| pel.remove(&id).is_some());
            assert_eq!(did, want);
        }
        Op::GiveBack(g, i) => {
            let id = model.id(i);
            if let Some((_, pel)) = model.groups.get_mut(&g) {
                stream.edit_group(&[g], |_, group| group.give_back(id, 0, 7));
                pel.insert(id, (None, 7));
            }
        }
        Op::RemoveConsumer(g, c) => {
            if let Some((_, pel)) = model.groups.get_mut(&g) {
                stream.edit_group(&[g], |_, group| group.remove_consumer(&[c]));
                pel.retain(|_, (owner, _)| *owner != Some(c));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn behaves_as_a_map(ops in ops(), bytes in 0usize..600, entries in 0u64..9) {
        let limits = Limits {
            stream_node_max_bytes: bytes,
            stream_node_max_entries: entries,
            ..Limits::default()
        };
        let (mut stream, mut model) = (Stream::new(), Model::default());
        for op in ops {
            apply(&mut stream, &mut model, op, &limits);
        }
        same_entries(stream.log(), &model);
        same_groups(&stream, &model);

        let copy = stream.clone();
        assert_eq!(copy.digest(), stream.digest());
        let mut body = Vec::new();
        stream.to_body(&mut body);
        let value = Value::decode(&body, 6, 0).unwrap();
        let Some(Object::Stream(again)) = Object::from_value(value, &Limits::default()) else {
            panic!("a stream");
        };
        assert_eq!(again.digest(), stream.digest());
        assert_eq!(again.log().first_id(), stream.log().first_id());
        same_groups(&again, &model);

        // Taking everything away gives all memory back but the stream's own.
        let mut rest = stream;
        for group in model.groups.keys() {
            assert!(rest.destroy_group(&[*group]));
        }
        rest.trim(&Trim {
            to: TrimTo::Len(0),
            whole_blocks: false,
            limit: 0,
            references: References::Keep,
        });
        assert!(rest.mem_bytes() <= Stream::new().mem_bytes() + 64, "{}", rest.mem_bytes());
    }
}

#[test]
fn a_small_stream_is_small() {
    let mut stream = Stream::new();
    for i in 1..=5 {
        let id = StreamId { ms: 1_700_000_000_000 + i, seq: 0 };
        stream
            .log_mut()
            .append(id, &[b"sensor", b"17", b"value", b"204"], &Limits::default())
            .unwrap();
    }
    assert!(stream.mem_bytes() < 600, "{}", stream.mem_bytes());
}

#[test]
fn blocks_end_where_those_of_redis_do() {
    let limits =
        Limits { stream_node_max_bytes: 0, stream_node_max_entries: 10, ..Limits::default() };
    let mut stream = Stream::new();
    for ms in 1..=25 {
        stream.log_mut().append(StreamId { ms, seq: 0 }, &[b"f", b"v"], &limits).unwrap();
    }
    assert_eq!(stream.log().shape().0, 3);
    let whole =
        |n| Trim { to: TrimTo::Len(n), whole_blocks: true, limit: 0, references: References::Keep };
    assert_eq!(stream.trim(&whole(16)).removed, 0);
    assert_eq!(stream.trim(&whole(15)).removed, 10);
    // Dead entries take part in filling a block.
    assert!(stream.log_mut().delete(StreamId { ms: 25, seq: 0 }));
    for ms in 26..=31 {
        stream.log_mut().append(StreamId { ms, seq: 0 }, &[b"f", b"v"], &limits).unwrap();
    }
    assert_eq!(stream.log().shape().0, 3);
    assert_eq!(stream.log().len(), 20);
}

#[test]
fn contradicting_bodies_are_refused() {
    let entry = |out: &mut Vec<u8>, ms| {
        let id = StreamId { ms, seq: 0 };
        let pair: [(&[u8], &[u8]); 1] = [(b"f", b"v")];
        moon_formats::value::put_stream_entry(out, id, pair.into_iter());
    };
    for (ids, last) in [([1, 1], 5), ([2, 1], 5), ([1, 2], 1)] {
        let mut body = Vec::new();
        moon_formats::value::put_stream_head(&mut body, 2, StreamId { ms: last, seq: 0 });
        ids.into_iter().for_each(|ms| entry(&mut body, ms));
        moon_formats::value::put_stream_groups(&mut body, &[]);
        let value = Value::decode(&body, 5, 0).unwrap();
        assert!(Object::from_value(value, &Limits::default()).is_none(), "{ids:?} {last}");
    }
}
