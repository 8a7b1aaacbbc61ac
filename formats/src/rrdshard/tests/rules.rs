//! Files that break one rule each, with all checksums right.

use super::decode;
use crate::bytes::Put;
use crate::error::{Cause, DecodeError};
use crate::rrdshard::*;
use crate::testing::{reseal, sample_head, sample_snapshot};
use crate::value::ValueType;

/// Begin and marker of every block of the sample.
fn blocks(data: &[u8]) -> Vec<(usize, u8)> {
    let mut decoder = Decoder::new();
    decoder.feed(data);
    decoder.close();
    let mut all = Vec::new();
    while let Some(item) = decoder.next().unwrap() {
        let marker = match item {
            Item::Head(_) | Item::Entry(_) => continue,
            Item::Db(_) => marker::SELECT,
            Item::Range(_) => marker::RANGE,
            Item::Chunk(_) => marker::CHUNK,
            Item::Section(_) => marker::SECTION,
            Item::End(_) => marker::END,
        };
        all.push((decoder.item_offset() as usize, marker));
    }
    for (at, marker) in &all {
        assert_eq!(data[*at], *marker);
    }
    all
}

/// Changes the sample, puts every checksum right, and reads it.
fn broken(change: impl FnOnce(&mut Vec<u8>, &[(usize, u8)])) -> DecodeError {
    let mut data = sample_snapshot(false);
    let blocks = blocks(&data);
    change(&mut data, &blocks);
    decode(&reseal(&data)).unwrap_err()
}

/// The `n`th block of a kind: where it begins and where the next does.
fn nth(blocks: &[(usize, u8)], marker: u8, n: usize) -> (usize, usize) {
    let i = blocks.iter().enumerate().filter(|(_, b)| b.1 == marker).nth(n).unwrap().0;
    (blocks[i].0, blocks[i + 1].0)
}

/// Adds to a count of the trailer.
fn trailer(data: &mut [u8], at: usize, add: i8) {
    let at = data.len() - 21 + at;
    data[at] = data[at].wrapping_add_signed(add);
}

#[test]
fn rules_are_checked_with_right_checksums() {
    use marker::*;
    let remove = |data: &mut Vec<u8>, (from, to): (usize, usize)| drop(data.drain(from..to));
    let repeat = |data: &mut Vec<u8>, (from, to): (usize, usize), at: usize| {
        let block = data[from..to].to_vec();
        data.splice(at..at, block);
    };
    let check = |what, e: DecodeError| assert_eq!(e.what, what, "{e}");

    // Counts.
    for (at, what) in [(1, "entries"), (9, "blocks"), (13, "sections")] {
        check(what, broken(|d, _| trailer(d, at, 1)));
    }
    // A range that is missing, twice, empty or beyond the order.
    check(
        "ranges",
        broken(|d, b| {
            remove(d, nth(b, RANGE, 3));
            trailer(d, 9, -1);
        }),
    );
    check("range", broken(|d, b| repeat(d, nth(b, RANGE, 3), nth(b, RANGE, 3).0)));
    check("hash_hi", broken(|d, b| d[nth(b, RANGE, 3).0 + 14] = 0));
    check("hash_hi", broken(|d, b| d[nth(b, RANGE, 2).0 + 9] = 1));
    // A database that is not there, selected twice in a row, or selected and not written.
    check("database", broken(|d, b| d[nth(b, SELECT, 1).0 + 1] = 16));
    check("database", broken(|d, b| d[nth(b, SELECT, 1).0 + 1] = 0));
    check(
        "range",
        broken(|d, b| {
            remove(d, nth(b, SELECT, 0));
        }),
    );
    check(
        "ranges",
        broken(|d, b| {
            let (at, end) = nth(b, SELECT, 1);
            repeat(d, (at, end), at);
            d[at + 1] = 9;
        }),
    );
    // Entries and their count.
    check("range", broken(|d, b| d[nth(b, RANGE, 0).0 + 17] = 7));
    assert!(broken(|d, b| d[nth(b, RANGE, 0).0 + 17] = 9).is_truncated());
    check("entries", broken(|d, b| d[nth(b, RANGE, 0).0 + 18] = 1));
    // Large values.
    check(
        "value_id",
        broken(|d, b| {
            remove(d, nth(b, CHUNK, 0));
            let at = nth(b, CHUNK, 0).0;
            d[at + 41 + 1 + 1 + 4 + 4 + 4 + 32 + 1 + 1 + 4 + 6] = 3;
        }),
    );
    check(
        "chunk",
        broken(|d, b| {
            remove(d, nth(b, CHUNK, 0));
            trailer(d, 9, -1);
        }),
    );
    check(
        "large value",
        broken(|d, b| {
            remove(d, nth(b, CHUNK, 2));
            trailer(d, 9, -1);
        }),
    );
    check("large value", broken(|d, b| d[nth(b, CHUNK, 2).0 + 13] = 0));
    check("value_id", broken(|d, b| repeat(d, nth(b, CHUNK, 2), nth(b, SECTION, 0).0)));
    check("value_id", broken(|d, b| repeat(d, nth(b, CHUNK, 1), nth(b, RANGE, 0).0)));
    // Sections.
    check("section", broken(|d, b| repeat(d, nth(b, SECTION, 0), nth(b, SECTION, 2).0)));
    check("range", broken(|d, b| repeat(d, nth(b, RANGE, 3), nth(b, SECTION, 2).0)));
    check("chunk", broken(|d, b| repeat(d, nth(b, CHUNK, 1), nth(b, SECTION, 2).0)));
    check("database", broken(|d, b| repeat(d, nth(b, SELECT, 1), nth(b, SECTION, 2).0)));
    let e = broken(|d, b| d[nth(b, SECTION, 3).0 + 5] = 1);
    assert!(e.is_newer() && e.what == "required section", "{e}");
    let e = broken(|d, b| d[nth(b, SECTION, 0).0 + 3] = 2);
    assert!(e.is_newer() && e.what == "FUNCTIONS", "{e}");
    assert!(broken(|d, b| d[nth(b, SECTION, 3).0 + 5] = 2).is_newer());
    // A section of a later version that may be skipped is.
    let mut data = sample_snapshot(false);
    let at = nth(&blocks(&data), SECTION, 1).0;
    data[at + 3] = 9;
    assert!(decode(&reseal(&data)).is_ok());
    // Codecs.
    assert!(broken(|d, b| d[nth(b, RANGE, 0).0 + 21] = 2).is_newer());
    check("reserved", broken(|d, b| d[nth(b, RANGE, 0).0 + 22] = 1));
    check("codec", {
        let mut data = sample_snapshot(true);
        data[39] &= !4;
        decode(&reseal(&data)).unwrap_err()
    });
    // Lengths above the limits are refused before anything is waited for.
    check("raw_len", broken(|d, b| d[nth(b, RANGE, 0).0 + 25 + 4] = 1));
    check("stored_len", broken(|d, b| d[nth(b, RANGE, 0).0 + 33] ^= 1));
    check("chunk length", broken(|d, b| d[nth(b, CHUNK, 0).0 + 14 + 4] = 1));
    check("block", broken(|d, b| d[nth(b, CHUNK, 0).0] = 0xfa));
}

#[test]
fn entries_are_checked_with_right_checksums() {
    let (preamble, extension) = sample_head(false);
    let with = |flags: u32, entry: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        let extension = Extension { flags, ..extension };
        let mut w = Encoder::new(&preamble, &extension, &mut out);
        w.select(0, &mut out);
        w.begin(0);
        let key = Key { key: b"k", expire_ms: None, access: None };
        w.entry(&key, |out| {
            let start = out.len() - 7;
            out.truncate(start);
            entry(out);
            ValueType::from_code(out[start]).unwrap_or(ValueType::String)
        })
        .unwrap();
        w.end(HASH_END, &mut out);
        w.finish(&mut out).unwrap();
        decode(&out)
    };
    let ptr = b"\x0c\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\x02\x64\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0";
    let cold = |out: &mut Vec<u8>| {
        out.put(b"\0\x04\x01\0\0\0k");
        out.put(ptr);
    };
    assert!(with(file_flags::COLD_BY_REFERENCE, &cold).is_ok());
    assert_eq!(with(file_flags::SELF_CONTAINED, &cold).unwrap_err().what, "eflags");
    for (bytes, what) in [
        (&b"\0\x10\x01\0\0\0k\0\0\0\0"[..], "eflags"),
        (b"\0\x0c\x01\0\0\0k\x01\0\0\0\0\0\0\0", "eflags"),
        (b"\0\x08\x01\0\0\0k\x02\0\0\0\0\0\0\0", "value_id"),
        (b"\0\x08\x01\0\0\0k\0\0\0\0\0\0\0\0", "value_id"),
        (b"\x04\0\x01\0\0\0k\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\xf8\x7f", "score"),
        (b"\0\0\xff\xff\xff\xffk\0\0\0\0", "key"),
    ] {
        let e = with(file_flags::COLD_BY_REFERENCE, &|out| out.put(bytes)).unwrap_err();
        assert_eq!(e.what, what, "{e}");
    }
    let mut wrong_type = ptr.to_vec();
    wrong_type[14] = 1;
    let e = with(file_flags::COLD_BY_REFERENCE, &|out| {
        out.put(b"\0\x04\x01\0\0\0k");
        out.put(&wrong_type);
    });
    assert_eq!(e.unwrap_err().what, "ptr type");
}

#[test]
fn heads_are_checked_with_right_checksums() {
    let (preamble, extension) = sample_head(false);
    let decode = |preamble: Preamble, extension: Extension| {
        let mut out = Vec::new();
        let w = Encoder::new(&preamble, &extension, &mut out);
        w.finish(&mut out).unwrap();
        decode(&out).map(drop)
    };
    assert_eq!(decode(preamble, extension), Ok(()));
    for (bad, what) in [
        (Extension { flags: 0, ..extension }, "flags"),
        (Extension { flags: 3, ..extension }, "flags"),
        (Extension { timeline: 0, ..extension }, "timeline"),
        (Extension { shards: 0, ..extension }, "shards"),
        (Extension { shards: 1025, ..extension }, "shards"),
        (Extension { shards: 3, ..extension }, "shard_id"),
        (Extension { databases: 0, ..extension }, "databases"),
        (Extension { databases: 65535, ..extension }, "databases"),
        (Extension { align_log2: 11, ..extension }, "align_log2"),
    ] {
        assert_eq!(decode(preamble, bad).unwrap_err().what, what);
    }
    let newer = Extension { features: 1, ..extension };
    assert!(decode(preamble, newer).unwrap_err().is_newer());
    let newer = Extension { flags: 2 | 8, ..extension };
    assert!(decode(preamble, newer).unwrap_err().is_newer());
    let e = super::decode(b"RRDSHARD\x05 and what a later Moon writes").unwrap_err();
    assert!(e.is_newer());
    assert!(matches!(super::decode(b"REDIS0012").unwrap_err().cause, Cause::Magic { .. }));
}
