//! Values and files of Redis and Valkey.

use super::sample_values;
use crate::bytes::Reader;
use crate::error::DecodeError;
use crate::redis_rdb::{
    Encoder, FileReader, FileWriter, Format, Item, Limits, Magic, Payload, Step, decode_value,
};
use crate::value::Value;
use std::collections::HashSet;

/// Limits under which a few bytes cannot ask for much memory.
const RDB_LIMITS: Limits = Limits { string_max: 1 << 16, body_max: 1 << 18 };

/// Type byte and body of a foreign value, under both magics; what is read is written and read again.
pub fn redis_rdb_value(data: &[u8]) {
    let Some((&code, bytes)) = data.split_first() else { return };
    for (magic, version) in [(Magic::Redis, 12), (Magic::Valkey, 80)] {
        let format = Format::new(magic, version).expect("a known format");
        let mut r = Reader::new(bytes, 0);
        let mut body = Vec::new();
        let Ok(kind) = decode_value(&mut r, code, format, &RDB_LIMITS, &mut body) else {
            continue;
        };
        let value = Value::decode(&body, kind.code(), 0).expect("a decoded body is sound");
        if has_duplicates(&value) {
            continue;
        }
        let mut payload = Vec::new();
        Encoder::default().dump(&value, &mut payload).expect("RDB holds what came from it");
        let mut again = Vec::new();
        let payload = Payload::open(&payload, false).expect("own payloads are sound");
        let limits = Limits::default();
        assert_eq!(payload.decode(&limits, &mut again).expect("own payloads are read"), kind);
        let again = Value::decode(&again, kind.code(), 0).expect("a body");
        match (&value, &again) {
            // Their order is not part of the value.
            (Value::Set(a), Value::Set(b)) => assert_eq!(a.len(), b.len()),
            (Value::ZSet(a), Value::ZSet(b)) => assert_eq!(a.len(), b.len()),
            (Value::Hash(a), Value::Hash(b)) => {
                assert_eq!((a.pairs.len(), a.ttls.len()), (b.pairs.len(), b.ttls.len()));
            }
            _ => assert_eq!(value, again),
        }
    }
}

/// Whether a member or field occurs twice; the codec leaves that to whoever builds the value.
fn has_duplicates(value: &Value<'_>) -> bool {
    fn twice<'a>(items: impl ExactSizeIterator<Item = &'a [u8]>) -> bool {
        let len = items.len();
        items.collect::<HashSet<_>>().len() < len
    }
    match value {
        Value::Set(e) => twice(e.clone()),
        Value::ZSet(z) => twice(z.clone().map(|(m, _)| m)),
        Value::Hash(h) => twice(h.pairs.clone().map(|(f, _)| f)),
        Value::String(_) | Value::List(_) | Value::Stream(_) => false,
    }
}

/// Reads a file at once and in pieces; both must come to the same end. A file without data of modules is the
/// same to a reader that skips them.
pub fn redis_rdb_file(data: &[u8]) {
    let run = |step: usize, skips: bool| {
        let reader = FileReader::new(RDB_LIMITS);
        let mut reader = if skips { reader.skip_modules() } else { reader };
        let (mut have, mut items) = (step.min(data.len()), 0);
        loop {
            let from = reader.offset() as usize;
            let part = data.get(from..have.max(from)).unwrap_or_default();
            match reader.next(part, have >= data.len()) {
                Ok(Step::More(n)) => {
                    have = have.max(from + n.min(step)).max(have + 1).min(data.len())
                }
                Ok(Step::Item(_, Item::End { .. })) => return (items, None),
                Ok(Step::Item(taken, _)) => {
                    assert!(taken > 0);
                    items += 1;
                }
                Err(e) => return (items, Some(e)),
            }
        }
    };
    let (whole, skipping) = (run(data.len().max(1), false), run(data.len().max(1), true));
    assert_eq!(whole, run(7, false));
    assert_eq!(skipping, run(7, true));
    if !whole.1.as_ref().is_some_and(DecodeError::is_of_module) {
        assert_eq!(whole, skipping);
    }
}

/// A file with data of modules: beside the keys, and in a key; parts of every type.
pub(super) fn file_with_modules() -> Vec<u8> {
    let id = b"\x81\x45\xe2\x52\x38\xdf\x91\x2c\x03";
    let parts = b"\x01\x05\x02\x40\x80\x03\0\0\xc0\x3f\x04\0\0\0\0\0\0\xf8\x3f\x05\x03abc\0";
    let head = &b"REDIS0011"[..];
    [head, b"\xf7", id, b"\x02\x01", parts, b"\x07\x01k", id, parts, b"\xff", &[0; 8]].concat()
}

/// Type byte and body of values: those that Moon writes, and the older forms.
pub fn value_samples() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (code, body) in sample_values() {
        let value = Value::decode(&body, code, 0).expect("samples are sound");
        let mut payload = Vec::new();
        Encoder::default().dump(&value, &mut payload).expect("samples fit");
        payload.truncate(payload.len() - 10);
        all.push(payload);
    }
    let old: [&[u8]; 12] = [
        b"\x01\x02\x01a\xc0\x05",
        b"\x02\x02\x01a\xc1\x05\x05",
        b"\x03\x02\x01a\x031.5\x01b\xfe",
        b"\x04\x01\x01f\xc3\x05\x16\0a\xe0\x0c\0",
        b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x3f",
        b"\x09\x0a\x01\x01f\x03\x02abc\0\0\xff",
        b"\x0a\x12\x12\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\x09\xff",
        b"\x0b\x0c\x02\0\0\0\x02\0\0\0\x01\0\x02\0",
        b"\x0c\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf5\xff",
        b"\x0d\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf5\xff",
        b"\x16\x01\x05\x01f\x01v",
        b"\x18\x05\0\0\0\0\0\0\0\x02\x01\x01f\x01v\0\x01g\x01w",
    ];
    all.extend(old.map(<[u8]>::to_vec));
    all
}

/// A file with every kind of item.
pub fn sample_file() -> Vec<u8> {
    let mut w = FileWriter::new(Encoder::default());
    w.aux(b"redis-ver", b"7.4.0");
    w.function(b"#!lua name=lib");
    w.select(0);
    w.resize(3, 1);
    for (i, (code, body)) in sample_values().iter().enumerate() {
        let value = Value::decode(body, *code, 0).expect("samples are sound");
        let expire = (i == 1).then_some(1_700_000_000_000);
        w.key(b"key", expire, Some(7), None, &value).expect("samples fit");
    }
    w.finish()
}
