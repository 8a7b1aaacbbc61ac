//! Envelopes letter by letter, and any record's against a reader of JSON.

use super::*;
use crate::testing::is_json;
use crate::value::{Value, put_hash};
use crate::wal::{
    BeforeImage, Command, CommandWriter, EffectMeta, KeyPlace, Payload, Record, record_flags,
};
use proptest::prelude::*;

/// Effects and what they did, as a record's flags and payload.
fn unit(effects: &[(&str, &[EffectMeta<'_>])]) -> (u8, Vec<u8>) {
    let has_meta = effects.iter().any(|(_, metas)| !metas.is_empty());
    let mut out = Vec::new();
    let w = CommandWriter::begin(&mut out, 1, 0, 0, has_meta);
    for (line, _) in effects {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        w.command(&mut out, words.into_iter());
    }
    w.end_commands(&mut out);
    for (_, metas) in effects.iter().filter(|_| has_meta) {
        match metas.split_last() {
            None => EffectMeta::default().put(&mut out),
            Some((last, others)) => {
                others.iter().for_each(|m| m.put_one(&mut out, true));
                last.put(&mut out);
            }
        }
    }
    w.finish(&mut out);
    let record = Record::decode(&out, 0).unwrap();
    (record.flags, record.payload.to_vec())
}

fn encoder(format: Format) -> Encoder<'static> {
    Encoder { name: "n".into(), shard: 0, epoch: 1, format, before: true, now_ms: 99 }
}

const AT: At = At { lsn: 42, previous: 41, wall_us: 1_700_000_000_123_456 };

fn envelopes(format: Format, flags: u8, payload: &[u8]) -> Vec<String> {
    let changes = Changes::of(1, flags, 0, payload).unwrap();
    let all = changes.list.len();
    let encode = |(i, change): (usize, &Change<'_>)| {
        let unit = Unit { gtid: changes.gtid, changes: all, order: i + 1, order_in_db: i + 1 };
        let mut out = Vec::new();
        encoder(format).put_change(&mut out, change, &AT, &unit);
        let text = String::from_utf8(out).unwrap();
        assert!(is_json(text.as_bytes()), "{text}");
        text
    };
    changes.list.iter().enumerate().map(encode).collect()
}

/// What differs between envelopes of [`AT`].
fn short(text: &str) -> String {
    let (head, rest) = text.split_once(",\"source\":").unwrap();
    let (source, tail) = rest.split_once("},\"op\":").unwrap();
    let (_, end) = source.split_once("\"record_type\":").unwrap();
    format!("{head} {end} {tail}")
}

#[test]
fn a_creation_letter_by_letter() {
    let (flags, payload) =
        unit(&[("SET k v PXAT 5000", &[EffectMeta { created: true, ..Default::default() }])]);
    let want = r#"{"before":null,"after":{"record_type":"kv","db":0,"key":"k","type":"string","command":"SET","args":["k","v","PXAT","5000"],"value":"v","ttl_ms":5000},"source":{"version":"moon-1","connector":"moon","name":"n","ts_ms":1700000000123,"ts_us":1700000000123456,"snapshot":"false","db":"0","sequence":"[\"1:41\",\"1:42\"]","shard":0,"lsn":42,"epoch":1,"record_type":"kv"},"op":"c","ts_ms":99,"transaction":null}"#;
    assert_eq!(envelopes(Format::Debezium, flags, &payload), [want]);
    let raw = &envelopes(Format::Raw, flags, &payload)[0];
    assert!(raw.contains(r#""type":"string","raw_resp":"KjUNCiQzDQpTRVQNCiQxDQprDQok"#), "{raw}");
}

#[test]
fn places_are_counted_per_unit_and_per_database() {
    let none = EffectMeta::default();
    let at = |word| EffectMeta { place: Some(KeyPlace { word, db: 0 }), ..none };
    let (flags, payload) = unit(&[
        ("MSET a 1 b 2", &[at(1), at(3)]),
        ("SELECT 3", &[none]),
        ("XADD x 1-1 f v", &[none]),
    ]);
    let changes = Changes::of(1, flags, 0, &payload).unwrap();
    let places = changes.placed().map(|(c, u)| (c.db, u.changes, u.order, u.order_in_db));
    assert_eq!(
        places.collect::<Vec<_>>(),
        [(Some(0), 3, 1, 1), (Some(0), 3, 2, 2), (Some(3), 3, 3, 1)]
    );
}

#[test]
fn what_effects_become() {
    let none = EffectMeta::default();
    let at = |word, db| EffectMeta { place: Some(KeyPlace { word, db }), ..none };
    let gone = EffectMeta { removed: true, ..none };
    let image = |kind, ttl_ms, body: &'static [u8]| {
        Some(BeforeImage { kind, ttl_ms, body: Some(body).filter(|b| !b.is_empty()) })
    };
    for (effects, want) in [
        (
            &[("HSET h f 1", &[][..])][..],
            &[
                r#"{"before":null,"after":{"record_type":"kv","db":0,"key":"h","type":"hash","command":"HSET","args":["h","f","1"]} "kv" "u","ts_ms":99,"transaction":null}"#,
            ][..],
        ),
        (
            &[("HDEL h f", &[EffectMeta { expired: true, ..gone }])],
            &[
                r#"{"before":{"record_type":"kv","db":0,"key":"h"},"after":null "kv","reason":"expire" "d","ts_ms":99,"transaction":null}"#,
            ],
        ),
        // What goes comes last, so that a consumer still has it when it makes the other.
        (
            &[(
                "RENAME a b",
                &[
                    EffectMeta { removed: true, ..at(1, 0) },
                    EffectMeta { created: true, ..at(2, 0) },
                ],
            )],
            &[
                r#"{"before":null,"after":{"record_type":"kv","db":0,"key":"b","type":null,"command":"RENAME","args":["a","b"]} "kv" "c","ts_ms":99,"transaction":{"id":"0:42","total_order":1,"data_collection_order":1}}"#,
                r#"{"before":{"record_type":"kv","db":0,"key":"a"},"after":null "kv","reason":"client" "d","ts_ms":99,"transaction":{"id":"0:42","total_order":2,"data_collection_order":2}}"#,
            ],
        ),
        (
            &[
                ("MSET a 1 b 2", &[at(1, 0), at(3, 0)]),
                ("SELECT 3", &[none]),
                ("XADD x 1-1 f v", &[none]),
            ],
            &[
                r#"{"before":null,"after":{"record_type":"kv","db":0,"key":"a","type":"string","command":"MSET","args":["a","1"],"value":"1"} "kv" "u","ts_ms":99,"transaction":{"id":"0:42","total_order":1,"data_collection_order":1}}"#,
                r#"{"before":null,"after":{"record_type":"kv","db":0,"key":"b","type":"string","command":"MSET","args":["b","2"],"value":"2"} "kv" "u","ts_ms":99,"transaction":{"id":"0:42","total_order":2,"data_collection_order":2}}"#,
                r#"{"before":null,"after":{"record_type":"stream","db":3,"key":"x","type":"stream","command":"XADD","args":["x","1-1","f","v"]} "stream" "u","ts_ms":99,"transaction":{"id":"0:42","total_order":3,"data_collection_order":3}}"#,
            ],
        ),
        (
            &[("MSETEX 2 a 1 b 2 PXAT 77", &[at(4, 0)])],
            &[
                r#"{"before":null,"after":{"record_type":"kv","db":0,"key":"b","type":"string","command":"MSETEX","args":["1","b","2","PXAT","77"],"value":"2","ttl_ms":77} "kv" "u","ts_ms":99,"transaction":null}"#,
            ],
        ),
        // Of a key that is named twice the last value counts, whether it has one entry or two.
        (
            &[("MSET a 1 a 2", &[none])],
            &[
                r#"{"before":null,"after":{"record_type":"kv","db":0,"key":"a","type":"string","command":"MSET","args":["a","2"],"value":"2"} "kv" "u","ts_ms":99,"transaction":null}"#,
            ],
        ),
        (
            &[(
                "MSETEX 3 a 1 b 2 a 3 PXAT 7",
                &[EffectMeta { created: true, ..at(2, 0) }, at(4, 0), at(2, 0)],
            )],
            &[
                r#"{"before":null,"after":{"record_type":"kv","db":0,"key":"a","type":"string","command":"MSETEX","args":["1","a","3","PXAT","7"],"value":"3","ttl_ms":7} "kv" "c","ts_ms":99,"transaction":{"id":"0:42","total_order":1,"data_collection_order":1}}"#,
                r#"{"before":null,"after":{"record_type":"kv","db":0,"key":"b","type":"string","command":"MSETEX","args":["1","b","2","PXAT","7"],"value":"2","ttl_ms":7} "kv" "u","ts_ms":99,"transaction":{"id":"0:42","total_order":2,"data_collection_order":2}}"#,
            ],
        ),
        (
            &[("FLUSHALL", &[][..])],
            &[
                r#"{"before":null,"after":{"record_type":"kv","db":null,"key":null,"type":null,"command":"FLUSHALL","args":[]} "kv" "t","ts_ms":99,"transaction":null}"#,
            ],
        ),
        // As records were before they said what became of keys.
        (
            &[("DEL a b", &[][..])],
            &[
                r#"{"before":{"record_type":"kv","db":0,"key":"a"},"after":null "kv","reason":"client" "d","ts_ms":99,"transaction":{"id":"0:42","total_order":1,"data_collection_order":1}}"#,
                r#"{"before":{"record_type":"kv","db":0,"key":"b"},"after":null "kv","reason":"client" "d","ts_ms":99,"transaction":{"id":"0:42","total_order":2,"data_collection_order":2}}"#,
            ],
        ),
        (
            &[("DEL a", &[EffectMeta { before: image(0, Some(5), b"\x01\0\0\0\xff"), ..gone }])],
            &[
                r#"{"before":{"record_type":"kv","db":0,"key":"a","type":"string","command":null,"args":[],"value":{"_b64":"/w=="},"ttl_ms":5},"after":null "kv","reason":"client" "d","ts_ms":99,"transaction":null}"#,
            ],
        ),
        (
            &[("DEL s", &[EffectMeta { before: image(6, None, b""), ..gone }])],
            &[
                r#"{"before":{"record_type":"stream","db":0,"key":"s","type":"stream","command":null,"args":[],"value_omitted":true},"after":null "kv","reason":"client" "d","ts_ms":99,"transaction":null}"#,
            ],
        ),
        // Made by another effect of the same command: the type is the command's.
        (
            &[(
                "HPEXPIREAT h 77 FIELDS 1 f",
                &[EffectMeta { before: image(BeforeImage::NO_TYPE, None, b""), ..none }],
            )],
            &[
                r#"{"before":{"record_type":"kv","db":0,"key":"h","type":"hash","command":null,"args":[],"value_omitted":true},"after":{"record_type":"kv","db":0,"key":"h","type":"hash","command":"HPEXPIREAT","args":["h","77","FIELDS","1","f"]} "kv" "u","ts_ms":99,"transaction":null}"#,
            ],
        ),
        // A body of a newer Moon.
        (
            &[("SET k v", &[EffectMeta { before: image(77, None, b"?"), ..none }])],
            &[
                r#"{"before":{"record_type":"kv","db":0,"key":"k","type":"string","command":null,"args":[],"value_omitted":true},"after":{"record_type":"kv","db":0,"key":"k","type":"string","command":"SET","args":["k","v"],"value":"v"} "kv" "u","ts_ms":99,"transaction":null}"#,
            ],
        ),
        (&[("CDC.SLOT SET s", &[][..])], &[]),
    ] {
        let (flags, payload) = unit(effects);
        let got: Vec<String> =
            envelopes(Format::Debezium, flags, &payload).iter().map(|e| short(e)).collect();
        assert_eq!(got, want, "{effects:?}");
    }
}

#[test]
fn a_row_of_a_snapshot() {
    let mut body = Vec::new();
    let pairs: [(&[u8], &[u8]); 2] = [(b"f", b"1"), (b"g", b"\xff")];
    put_hash(&mut body, pairs.into_iter(), [(&b"g"[..], 77)].into_iter());
    let value = Value::decode(&body, 1, 0).unwrap();
    let row = Row { db: 2, key: b"h", value: &value, ttl_ms: Some(5), place: Snapshot::First };
    let mut out = Vec::new();
    encoder(Format::Debezium).put_row(&mut out, &row, &AT);
    let text = String::from_utf8(out).unwrap();
    assert!(is_json(text.as_bytes()) && text.contains(r#""snapshot":"first","db":"2""#), "{text}");
    assert_eq!(
        short(&text),
        r#"{"before":null,"after":{"record_type":"kv","db":2,"key":"h","type":"hash","command":null,"args":[],"value":[["f","1"],["g",{"_b64":"/w=="},77]],"ttl_ms":5} "kv" "r","ts_ms":99,"transaction":null}"#
    );
    // What was there before a change is shown the same way, in either format, and only to who asks for it.
    for format in [Format::Debezium, Format::Raw] {
        let mut shown = Vec::new();
        encoder(format).put_row(&mut shown, &Row { db: 0, ..row.clone() }, &AT);
        let shown = String::from_utf8(shown).unwrap();
        let (_, shown) = shown.split_once("\"after\":").unwrap();
        let (row, _) = shown.split_once(",\"source\"").unwrap();
        let image = BeforeImage { kind: 1, ttl_ms: Some(5), body: Some(&body) };
        let meta = EffectMeta { before: Some(image), removed: true, ..Default::default() };
        let (flags, payload) = unit(&[("DEL h", &[meta])]);
        let event = &envelopes(format, flags, &payload)[0];
        assert!(event.starts_with(&format!("{{\"before\":{row},\"after\":null")), "{event}");
        let changes = Changes::of(1, flags, 0, &payload).unwrap();
        let mut out = Vec::new();
        let place = Unit { gtid: None, changes: 1, order: 1, order_in_db: 1 };
        let without = Encoder { before: false, ..encoder(format) };
        without.put_change(&mut out, &changes.list[0], &AT, &place);
        let want = br#"{"before":{"record_type":"kv","db":0,"key":"h"},"after":null"#;
        assert!(out.starts_with(want), "{}", out.escape_ascii());
    }
}

#[test]
fn internal_records_are_not_shown() {
    let (flags, payload) = unit(&[("SET k v", &[][..])]);
    let changes = Changes::of(1, flags | record_flags::INTERNAL, 0, &payload).unwrap();
    assert_eq!(changes, Changes::default());
}

proptest! {
    #[test]
    fn any_words_become_json(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 1..6)) {
        let mut resp = Vec::new();
        crate::resp::encode_command(&mut resp, words.iter().map(Vec::as_slice));
        let command = Command::new(&resp);
        let mut payload = Vec::new();
        command.put(&mut payload);
        for format in [Format::Debezium, Format::Raw] {
            let _ = envelopes(format, 0, &payload);
        }
    }

    /// An image whose body is anything becomes JSON, or is left out.
    #[test]
    fn any_image_becomes_json(
        kind in 0u8..128,
        ttl_ms in any::<Option<u64>>(),
        body in prop::collection::vec(any::<u8>(), 1..60),
        removed in any::<bool>(),
    ) {
        let image = BeforeImage { kind, ttl_ms, body: Some(&body) };
        let meta = EffectMeta { before: Some(image), removed, ..Default::default() };
        let (flags, payload) = unit(&[("HSET k f v", &[meta])]);
        for format in [Format::Debezium, Format::Raw] {
            let event = &envelopes(format, flags, &payload)[0];
            let (head, _) = event.split_once(",\"after\":").unwrap();
            let known = Value::decode(&body, kind, 0).is_ok();
            prop_assert_eq!(head.ends_with("\"value_omitted\":true}")
                || head.contains("\"value_omitted\":true,\"ttl_ms\":"), !known);
        }
    }
}
