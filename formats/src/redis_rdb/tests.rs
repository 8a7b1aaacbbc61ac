//! Properties of the codec: values come back; whatever else is fed in gives a value or an error.

use super::*;
use crate::value::{
    self, Consumer, Group, Idempotence, PelEntry, Producer, StreamExt, StreamId, Value,
    put_elements, put_hash, put_scored, put_stream_entry, put_stream_ext, put_stream_groups,
    put_stream_head, put_stream_idempotence, put_string,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

/// Strings of all forms: integers, compressible, short, long.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        (-200i64..200).prop_map(|n| n.to_string().into_bytes()),
        vec(any::<u8>(), 0..12),
        vec(b'a'..b'c', 0..100),
        (0usize..5000).prop_map(|n| vec![b'x'; n]),
    ]
}

fn slices(v: &[Vec<u8>]) -> impl ExactSizeIterator<Item = &[u8]> {
    v.iter().map(Vec::as_slice)
}

fn of_elements(v: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let v: Vec<Vec<u8>> = v.into_iter().collect();
    let mut out = Vec::new();
    put_elements(&mut out, slices(&v));
    out
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let entry = vec((vec(b'a'..b'd', 0..3), text()), 1..4);
    let ids = btree_map((0u64..3000, any::<u64>()), entry, 0..150);
    let pel = btree_map((any::<u64>(), any::<u64>()), (0u64..1 << 40, 0u64..9, 0usize..3), 0..20);
    let groups = btree_map(text(), (any::<(u64, u64)>(), pel, -1i64..100), 0..3);
    (ids, any::<(u64, u64)>(), groups, any::<(u64, u64)>()).prop_map(
        |(entries, max, groups, add)| {
            let id = |(ms, seq): (u64, u64)| StreamId { ms: ms + 1, seq };
            let mut out = Vec::new();
            let last = entries.keys().next_back().map_or(StreamId::default(), |k| id(*k));
            put_stream_head(&mut out, entries.len() as u64, last);
            for (at, fields) in &entries {
                let fields = fields.iter().map(|(f, v)| (f.as_slice(), v.as_slice()));
                put_stream_entry(&mut out, id(*at), fields);
            }
            let names = [&b"c1"[..], b"c2", b"idle"];
            let groups: Vec<Group<'_>> = groups
                .iter()
                .map(|(name, (at, pel, read))| Group {
                    name,
                    last_delivered: StreamId { ms: at.0, seq: at.1 },
                    pel: pel
                        .iter()
                        .map(|((ms, seq), (delivery_ms, deliveries, c))| PelEntry {
                            id: StreamId { ms: *ms, seq: *seq },
                            consumer: names[*c],
                            delivery_ms: *delivery_ms,
                            deliveries: *deliveries,
                        })
                        .collect(),
                    consumers: (0..3)
                        .map(|c| Consumer {
                            name: names[c],
                            seen_ms: 77,
                            pending: pel
                                .iter()
                                .filter(|(_, p)| p.2 == c)
                                .map(|((ms, seq), _)| StreamId { ms: *ms, seq: *seq })
                                .collect(),
                            active_ms: c as i64 - 1,
                        })
                        .collect(),
                    entries_read: *read,
                })
                .collect();
            put_stream_groups(&mut out, &groups);
            let ext = StreamExt {
                entries_added: add.0,
                max_deleted: StreamId { ms: max.0, seq: max.1 },
                first: entries.keys().next().map_or(StreamId::default(), |k| id(*k)),
                durable_queue: false,
            };
            put_stream_ext(&mut out, &ext, &groups);
            out
        },
    )
}

/// A stream with idempotent ids.
fn idempotent_stream() -> impl Strategy<Value = Vec<u8>> {
    let iids = btree_map(text(), (any::<u64>(), any::<u64>()), 0..4);
    (stream(), btree_map(text(), iids, 0..4), any::<(u32, u16, u32, u32)>()).prop_map(
        |(mut out, producers, n)| {
            let producers = producers.iter().map(|(name, iids)| Producer {
                name,
                iids: iids
                    .iter()
                    .map(|(iid, &(ms, seq))| (iid.as_slice(), StreamId { ms, seq }))
                    .collect(),
            });
            let idempotence = Idempotence {
                duration_secs: u64::from(n.0),
                max: u64::from(n.1),
                added: u64::from(n.2),
                duplicates: u64::from(n.3),
                producers: producers.collect(),
            };
            put_stream_idempotence(&mut out, &idempotence);
            out
        },
    )
}

/// A value body with its type code.
fn body() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let n = prop_oneof![1usize..20, 100usize..700];
    prop_oneof![
        text().prop_map(|s| {
            let mut out = Vec::new();
            put_string(&mut out, &s);
            (0, out)
        }),
        n.clone()
            .prop_flat_map(|n| btree_map(text(), (text(), any::<Option<u32>>()), 1..=n))
            .prop_map(|m| {
                let mut out = Vec::new();
                let pairs = m.iter().map(|(f, (v, _))| (f.as_slice(), v.as_slice()));
                let ttls: Vec<(&[u8], u64)> = m
                    .iter()
                    .filter_map(|(f, (_, t))| Some((f.as_slice(), u64::from((*t)?) + 1)))
                    .filter(|_| m.len() % 2 == 0)
                    .collect();
                put_hash(&mut out, pairs, ttls.into_iter());
                (1, out)
            }),
        n.clone().prop_flat_map(|n| vec(text(), 1..=n)).prop_map(|v| (2, of_elements(v))),
        n.clone().prop_flat_map(|n| btree_set(text(), 1..=n)).prop_map(|v| (3, of_elements(v))),
        btree_set(any::<i32>(), 1..600)
            .prop_map(|v| (3, of_elements(v.into_iter().map(|n| n.to_string().into_bytes())))),
        n.prop_flat_map(|n| btree_map(text(), any::<f64>(), 1..=n)).prop_map(|m| {
            let mut out = Vec::new();
            let score = |s: &f64| if s.is_nan() { -0.0 } else { *s };
            put_scored(&mut out, m.iter().map(|(m, s)| (m.as_slice(), score(s))));
            (4, out)
        }),
        stream().prop_map(|b| (6, b)),
        idempotent_stream().prop_map(|b| (8, b)),
    ]
}

/// The same content in one order, for types that have none.
fn sorted(body: &[u8], code: u8) -> String {
    let value = Value::decode(body, code, 0).expect("a body");
    let mut parts: Vec<String> = match &value {
        Value::Set(e) => e.clone().map(|m| format!("{m:?}")).collect(),
        Value::ZSet(z) => z.clone().map(|(m, s)| format!("{m:?} {:x}", s.to_bits())).collect(),
        Value::Hash(h) => {
            let pairs = h.pairs.clone().map(|p| format!("{p:?}"));
            pairs.chain(h.ttls.clone().map(|t| format!("ttl {t:?}"))).collect()
        }
        other => vec![other.to_string()],
    };
    parts.sort();
    parts.join("\n")
}

fn dumped(code: u8, body: &[u8], version: u16) -> Result<Vec<u8>, Unfit> {
    let mut out = Vec::new();
    let value = Value::decode(body, code, 0).expect("a body");
    Encoder::new(version).dump(&value, &mut out)?;
    Ok(out)
}

fn restored(payload: &[u8]) -> Result<(u8, Vec<u8>), DecodeError> {
    let mut body = Vec::new();
    let limits = Limits { string_max: 1 << 20, body_max: 8 << 20 };
    let kind = Payload::open(payload, true)?.decode(&limits, &mut body)?;
    Value::decode(&body, kind.code(), 0).expect("what was decoded is a body");
    Ok((kind.code(), body))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn values_come_back((code, body) in body(), version in 10u16..=14) {
        let payload = match dumped(code, &body, version) {
            Ok(payload) => payload,
            Err(unfit) => {
                let (needs, kind) = match code {
                    1 => (12, Unfit::FieldTtl),
                    _ => (13, Unfit::Idempotence),
                };
                prop_assert_eq!(unfit, kind);
                prop_assert!(version < needs);
                return Ok(());
            }
        };
        prop_assert!(Payload::open(&payload, false).unwrap().intact);
        let (kind, back) = restored(&payload).unwrap();
        prop_assert_eq!(kind, code);
        // Version 10 has no activity times.
        if code != 6 || version > 10 {
            prop_assert_eq!(sorted(&back, code), sorted(&body, code));
        }
    }

    #[test]
    fn damage_is_an_error_or_a_value((code, body) in body(), at in any::<proptest::sample::Index>(), with in 1u8..) {
        let payload = dumped(code, &body, 14).unwrap();
        let end = payload.len() - 10;
        let mut bad = payload.clone();
        bad[at.index(end)] ^= with;
        let _ = restored(&bad);
        // A wrong checksum is always noticed.
        prop_assert!(Payload::open(&bad, false).is_err());
        // Every prefix of the content is truncated, and says so.
        let format = Format::OWN;
        for cut in 0..end.min(600) {
            let mut r = Reader::new(&payload[1..], 0);
            let content = r.bytes(cut.min(end - 1), "content").unwrap();
            let mut r = Reader::new(content, 0);
            let mut out = Vec::new();
            if let Err(e) = decode_value(&mut r, payload[0], format, &Limits::default(), &mut out) {
                prop_assert!(e.is_truncated(), "{e}");
            } else {
                prop_assert_eq!(cut, end - 1);
            }
        }
    }

    #[test]
    fn files_come_back_in_pieces(bodies in vec(body(), 0..6), step in 1usize..3000) {
        let mut writer = FileWriter::new(Encoder::default());
        writer.aux(b"redis-ver", b"7.4.0");
        writer.resize(bodies.len() as u64, 0);
        writer.function(b"#!lua name=l");
        let mut bytes = Vec::new();
        for (i, (code, body)) in bodies.iter().enumerate() {
            writer.select(i as u64);
            let value = Value::decode(body, *code, 0).unwrap();
            let n = i as u64;
            let expire = (i % 2 == 0).then_some(n + 5);
            writer.key(b"key", expire, Some(n), Some(i as u8), &value).unwrap();
            if i % 3 == 0 {
                bytes.extend(writer.take());
            }
        }
        bytes.extend(writer.finish());

        let mut reader = FileReader::new(Limits::default());
        let (mut have, mut keys) = (0, 0);
        loop {
            let from = reader.offset() as usize;
            let last = have == bytes.len();
            match reader.next(&bytes[from..have.max(from)], last).unwrap() {
                Step::More(n) => {
                    prop_assert!(!last && n > 0);
                    have = (have + step.min(n)).min(bytes.len());
                }
                Step::Item(_, Item::Key(key)) => {
                    let (code, body) = &bodies[keys];
                    let n = keys as u64;
                    prop_assert_eq!((key.db, key.idle_secs, key.freq), (n, Some(n), Some(keys as u8)));
                    prop_assert_eq!(key.expire_ms, (keys % 2 == 0).then_some(n + 5));
                    prop_assert_eq!(sorted(key.body, *code), sorted(body, *code));
                    keys += 1;
                }
                Step::Item(_, Item::End { checked }) => {
                    prop_assert!(checked);
                    break;
                }
                Step::Item(..) => {}
            }
        }
        prop_assert_eq!(keys, bodies.len());
        prop_assert_eq!(reader.offset() as usize, bytes.len());
    }
}

#[test]
fn payloads_as_documented() {
    let mut body = Vec::new();
    put_string(&mut body, b"hello");
    let payload = dumped(0, &body, 12).unwrap();
    assert_eq!(payload[..9], *b"\x00\x05hello\x0b\x00");
    body.clear();
    put_string(&mut body, b"10");
    assert_eq!(dumped(0, &body, 12).unwrap()[..3], *b"\x00\xc0\x0a");
    // A field TTL needs version 12, and no other value has it.
    body.clear();
    let ttls = [(&b"f"[..], 5u64)];
    put_hash(&mut body, [(&b"f"[..], &b"v"[..])].into_iter(), ttls.into_iter());
    let payload = dumped(1, &body, 12).unwrap();
    assert_eq!((payload[0], payload[payload.len() - 10]), (25, 12));
    assert_eq!(dumped(1, &body, 11), Err(Unfit::FieldTtl));
}

#[test]
fn modules_and_unknown_types_are_refused_by_number() {
    for kind in [6u8, 7, 8, 28, 32, 200, 247] {
        let mut payload = vec![kind, 0, 0, 0];
        seal(&mut payload, 0, 11);
        let e = Payload::open(&payload, false).unwrap().decode(&Limits::default(), &mut Vec::new());
        let e = e.unwrap_err();
        assert_eq!(e.offset, 0, "{e}");
        match kind {
            6 | 7 => assert_eq!(e.cause, Cause::Module { name: *b"AAAAAAAAA" }),
            _ => assert_eq!(e.cause, Cause::Newer { found: u64::from(kind) }),
        }
    }
    for version in [15, 79, 82, 99] {
        let mut payload = vec![0, 1, b'x'];
        seal(&mut payload, 0, version);
        assert!(Payload::open(&payload, true).unwrap_err().is_newer(), "{version}");
    }
}

#[test]
fn data_of_modules_have_the_name_of_their_type() {
    // As the documentation of the module interface packs it: nine letters of 6 bits, 10 bits of version.
    let packed = |name: &[u8; 9], version: u64| {
        name.iter().fold(0u64, |id, letter| {
            let index = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'-' => 62,
                _ => 63,
            };
            id << 6 | u64::from(index)
        }) << 10
            | version
    };
    for name in [b"ReJSON-RL", b"MBbloom--", b"TSDB-TYPE"] {
        let id = [&[0x81][..], &packed(name, 3).to_be_bytes()].concat();
        let mut payload = [&[7][..], &id, &[0]].concat();
        seal(&mut payload, 0, 11);
        let e = Payload::open(&payload, false).unwrap().decode(&Limits::default(), &mut Vec::new());
        let e = e.unwrap_err();
        assert!(e.is_of_module() && e.cause == Cause::Module { name: *name }, "{e}");
        // Before any key.
        let text = [&b"REDIS0011\xf7"[..], &id, &[2, 1, 2, 0, 0]].concat();
        let mut reader = FileReader::new(Limits::default());
        let Ok(Step::Item(head, _)) = reader.next(&text, true) else { panic!("no head") };
        let e = reader.next(&text[head..], true).unwrap_err();
        assert_eq!((e.offset, &e.cause), (9, &Cause::Module { name: *name }), "{e}");
    }
}

/// A file with these bytes behind its head and no checksum.
fn file_of(items: &[&[u8]]) -> Vec<u8> {
    [&b"REDIS0011"[..], &items.concat(), b"\xff\0\0\0\0\0\0\0\0"].concat()
}

/// `ReJSON-RL` version 3 as a length of 64 bits.
const JSON_ID: &[u8] = b"\x81\x45\xe2\x52\x38\xdf\x91\x2c\x03";

#[test]
fn data_of_modules_are_skipped_on_demand_and_named() {
    // All types of parts: -1, 5, 1.5 in 4 and in 8 bytes, a string, the end.
    let parts = b"\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x02\x05\x03\0\0\xc0\x3f\
        \x04\0\0\0\0\0\0\xf8\x3f\x05\x03abc\0";
    let value = [b"\xfe\x02\xfc\x10\0\0\0\0\0\0\0\x07\x03doc", JSON_ID, parts].concat();
    let aux = [b"\xf7", JSON_ID, &b"\x02\x01\x05\x01x\0"[..]].concat();
    let text = file_of(&[&aux, &value, b"\0\x01k\x01v"]);
    for piece in [1, 7, text.len()] {
        let mut reader = FileReader::new(Limits::default()).skip_modules();
        let (mut at, mut until, mut modules, mut keys) = (0, piece, Vec::new(), Vec::new());
        loop {
            match reader.next(&text[at..until], until == text.len()).unwrap() {
                Step::More(_) => until = text.len().min(until + piece),
                Step::Item(taken, item) => {
                    at += taken;
                    match item {
                        Item::Module(m) => {
                            assert_eq!(&m.name, b"ReJSON-RL");
                            modules.push((m.db, m.key.map(|k| k.into_owned())));
                        }
                        // Its own time to live has gone with the one before.
                        Item::Key(k) => keys.push((k.db, k.key.into_owned(), k.expire_ms)),
                        Item::End { .. } => break,
                        _ => {}
                    }
                }
            }
        }
        assert_eq!(modules, [(0, None), (2, Some(b"doc".to_vec()))]);
        assert_eq!(keys, [(2, b"k".to_vec(), None)]);
    }
}

#[test]
fn what_is_no_part_of_a_module_or_has_no_end_is_refused() {
    let json = |parts: &[u8]| file_of(&[&[b"\x07\x01k", JSON_ID, parts].concat()]);
    let old = file_of(&[&[b"\x06\x01k", JSON_ID, &b"\0"[..]].concat()]);
    let refusal = |text: &[u8]| {
        let mut reader = FileReader::new(Limits::default()).skip_modules();
        let Ok(Step::Item(head, _)) = reader.next(text, true) else { panic!("no head") };
        reader.next(&text[head..], true).unwrap_err()
    };
    assert_eq!(refusal(&old).cause, Cause::Module { name: *b"ReJSON-RL" });
    let e = refusal(&json(b"\x06"));
    assert_eq!((e.offset, e.is_truncated()), (21, false), "{e}");
    assert!(refusal(&json(b"\x05\x80\xff\xff\xff\xff")).offset > 20);
    let mut open = json(b"\x02\x01");
    open.truncate(23);
    assert!(refusal(&open).is_truncated());
}

/// The type byte 22 is one thing under `REDIS` 12 and another under `VALKEY` 80.
#[test]
fn the_same_type_byte_by_magic() {
    let valkey = b"\x16\x01\x01f\x01v\x05\0\0\0\0\0\0\0";
    let redis = b"\x16\x01\x05\x01f\x01v";
    for (content, version, fits) in [
        (&valkey[..], 80, true),
        (&redis[..], 12, true),
        (&redis[..], 11, false),
        (&redis[..], 80, false),
    ] {
        let mut payload = content.to_vec();
        seal(&mut payload, 0, version);
        let back = restored(&payload);
        assert_eq!(back.is_ok(), fits, "{version}");
        if let Ok((code, body)) = back {
            let Ok(Value::Hash(h)) = Value::decode(&body, code, 0) else { panic!("a hash") };
            assert_eq!(h.ttls.collect::<Vec<_>>(), [(&b"f"[..], 5)]);
        }
    }
}

#[test]
fn lengths_that_lie_allocate_nothing() {
    // 2^63 elements; a string of 2^40 bytes; LZF that claims 512 MiB from two bytes.
    for content in [
        &b"\x01\x81\x80\0\0\0\0\0\0\0\x01a"[..],
        b"\0\x81\0\0\x01\0\0\0\0\0x",
        b"\0\xc3\x02\x80\x20\0\0\0\0a",
        b"\x12\x81\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut payload = content.to_vec();
        seal(&mut payload, 0, 11);
        assert!(restored(&payload).is_err());
    }
    // A body that grows beyond its limit.
    let mut big = Vec::new();
    value::put_elements(&mut big, vec![&[b'x'; 100_000][..]; 100].into_iter());
    let payload = dumped(2, &big, 11).unwrap();
    assert!(payload.len() < 200_000);
    let e = restored(&payload).unwrap_err();
    assert!(matches!(e.cause, Cause::Value { .. }), "{e}");
}

/// Entries that were given back belong to no consumer: only version 14 can say so.
#[test]
fn entries_that_nobody_holds() {
    let id = |ms| StreamId { ms, seq: 0 };
    let pel = |ms, consumer| PelEntry { id: id(ms), consumer, delivery_ms: 5, deliveries: 2 };
    let groups = [Group {
        name: b"g",
        last_delivered: id(3),
        pel: vec![pel(1, &b"c"[..]), pel(2, b""), pel(3, b"")],
        consumers: vec![Consumer { name: b"c", seen_ms: 6, pending: vec![id(1)], active_ms: 7 }],
        entries_read: 3,
    }];
    let mut body = Vec::new();
    put_stream_head(&mut body, 0, id(3));
    put_stream_groups(&mut body, &groups);
    let ext = StreamExt { entries_added: 3, max_deleted: id(3), ..StreamExt::default() };
    put_stream_ext(&mut body, &ext, &groups);
    assert_eq!(dumped(6, &body, 13), Err(Unfit::Unowned));
    let payload = dumped(6, &body, 14).unwrap();
    assert_eq!(payload[0], code::STREAM_5);
    let (kind, back) = restored(&payload).unwrap();
    assert_eq!(kind, ValueType::Stream3.code());
    let text = |kind, body: &[u8]| Value::decode(body, kind, 0).unwrap().to_string();
    let rest = " iids for 100 s max 100 added 0 duplicates 0";
    assert_eq!(text(kind, &back), text(6, &body) + rest);

    // The ids of the unowned are the last 16-byte ids: an owned one, or one twice, is refused.
    let at = |ms: u64| {
        let raw = [ms.to_be_bytes(), 0u64.to_be_bytes()].concat();
        payload.windows(16).rposition(|w| w == raw).unwrap()
    };
    for (place, ms) in [(2, 1u64), (2, 3), (3, 9)] {
        let mut bad = payload.clone();
        let at = at(place);
        bad[at..at + 8].copy_from_slice(&ms.to_be_bytes());
        assert!(restored(&bad).is_err(), "{place} as {ms}");
    }
}
