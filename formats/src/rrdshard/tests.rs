//! Goal: what was written is read back whatever the pieces it comes in, and nothing else passes. Method: a
//! plain list of entries as the model; every truncation and every flipped bit of a sample; and files that
//! break one rule each, with all checksums right.

mod rules;

use super::*;
use crate::bytes::Put;
use crate::error::{Cause, DecodeError};
use crate::testing::{
    hand_in, moon_snapshot, old_snapshot, read_snapshot, rewrite, sample_head, sample_snapshot,
};
use crate::value::{self, Value, ValueType};
use proptest::prelude::*;

/// Reads to the end or to the first error; what holds keys, as text without block borders.
fn decode(data: &[u8]) -> Result<Summary, DecodeError> {
    let mut decoder = Decoder::new();
    decoder.feed(data);
    decoder.close();
    let mut summary = None;
    loop {
        match decoder.next()? {
            Some(Item::End(found)) => summary = Some(found),
            Some(_) => {}
            None => return Ok(summary.expect("a closed decoder ends or fails")),
        }
    }
}

#[test]
fn the_sample_comes_back() {
    for (zstd, data) in [(false, sample_snapshot(false)), (true, sample_snapshot(true))] {
        let summary = decode(&data).unwrap();
        assert_eq!(summary.bytes, data.len() as u64);
        assert_eq!((summary.entries, summary.blocks, summary.sections), (11, 7, 4));
        assert_eq!(data[data.len() - 4..], summary.crc.to_le_bytes());
        // Compression depends on zstd's version, the rest does not.
        if !zstd {
            assert_eq!(rewrite(&data), data);
        }
        let (items, _) = read_snapshot(&data, data.len());
        assert_eq!(items.iter().filter(|i| i.starts_with("Entry")).count(), 11);
        assert_eq!(items.iter().filter(|i| *i == "true").count(), 2, "both large values decode");
    }
    assert!(sample_snapshot(true).len() < sample_snapshot(false).len());
}

#[test]
fn every_split_gives_the_same_items() {
    let all = [
        sample_snapshot(false),
        sample_snapshot(true),
        old_snapshot(1),
        old_snapshot(3),
        moon_snapshot(2),
    ];
    for data in all {
        let whole = read_snapshot(&data, data.len());
        assert_eq!(whole.1, None);
        for step in (1..64).chain([100, 1000]) {
            assert_eq!(read_snapshot(&data, step), whole, "{step}");
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for data in [
        sample_snapshot(false),
        sample_snapshot(true),
        old_snapshot(1),
        old_snapshot(2),
        moon_snapshot(1),
    ] {
        for cut in 0..data.len() {
            let e = decode(&data[..cut]).unwrap_err();
            // In an old file a count may be what more bytes are missed for.
            let old = &data[..9] != b"RRDSHARD\x04";
            assert!(e.is_truncated() || old && matches!(e.cause, Cause::Count { .. }), "{e}");
        }
        let mut long = data.clone();
        long.push(0);
        let at = data.len() as u64;
        let e = decode(&long).unwrap_err();
        assert_eq!((e.offset, e.cause), (at, Cause::Trailing { bytes: 1 }));
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for data in [sample_snapshot(false), sample_snapshot(true), old_snapshot(3), moon_snapshot(2)] {
        let mut bad = data.clone();
        for bit in 0..data.len() * 8 {
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_err(), "bit {bit}");
            bad[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn old_versions_are_read() {
    for version in 1..=3 {
        let (items, error) = read_snapshot(&old_snapshot(version), 64);
        assert_eq!(error, None);
        let hash = items.iter().find(|i| i.contains("Hash(Hash")).unwrap();
        assert!(hash.contains("expire_ms: Some(1700000000000)"), "{hash}");
        assert_eq!(hash.contains("ttls: []"), version < 3, "{hash}");
        assert_eq!(items.iter().filter(|i| i.starts_with("Entry")).count(), 12);
        assert_eq!(items.iter().filter(|i| i.starts_with("Range")).count(), 5);
        assert!(items[0].contains(&format!("last_lsn: {}", if version > 1 { 77 } else { 0 })));
    }
    for version in 1..=2 {
        let (items, error) = read_snapshot(&moon_snapshot(version), 64);
        assert_eq!(error, None);
        assert_eq!(items.iter().filter(|i| i.starts_with("Entry")).count(), 12);
    }
}

#[test]
fn what_follows_a_moon_preamble_is_left() {
    let mut data = moon_snapshot(2);
    data.put(b"*1\r\n$4\r\nPING\r\n");
    let mut decoder = Decoder::new();
    decoder.feed(&data);
    while !decoder.is_done() {
        decoder.next().unwrap().expect("all bytes are there");
    }
    assert_eq!(decoder.rest(), b"*1\r\n$4\r\nPING\r\n");
    assert!(decoder.next().is_err());
}

/// One entry of the model.
#[derive(Debug, Clone)]
struct Model {
    position: u64,
    db: u32,
    key: Vec<u8>,
    expire_ms: Option<u64>,
    access: Option<u32>,
    elements: Vec<Vec<u8>>,
    large: bool,
}

fn models() -> impl Strategy<Value = Vec<Model>> {
    let bytes = |n| proptest::collection::vec(any::<u8>(), 0..n);
    let one = (
        (0..HASH_END, 0u32..3, bytes(20)),
        (any::<Option<u64>>(), any::<Option<u32>>()),
        (proptest::collection::vec(bytes(40), 0..12), proptest::bool::weighted(0.2)),
    );
    proptest::collection::vec(
        one.prop_map(|((position, db, key), (expire_ms, access), (elements, large))| Model {
            position,
            db,
            key,
            expire_ms,
            access,
            elements,
            large,
        }),
        0..40,
    )
}

fn body(model: &Model) -> Vec<u8> {
    let mut out = Vec::new();
    value::put_elements(&mut out, model.elements.iter().map(Vec::as_slice));
    out
}

/// Writes the entries, each database cut into ranges at `cuts` and the ranges taken in an order that
/// `cuts` decides, the chunks of large values `chunk` bytes long and interleaved with later ranges.
fn write(models: &[Model], cuts: &[u64], chunk: usize, zstd: bool) -> (Vec<u8>, Summary) {
    let (preamble, extension) = sample_head(zstd);
    let mut out = Vec::new();
    let mut w = Encoder::new(&preamble, &extension, &mut out);
    let mut cuts = cuts.to_vec();
    cuts.extend([0, HASH_END]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut ranges: Vec<(u32, u64, u64)> = Vec::new();
    for db in 0..3 {
        ranges.extend(cuts.windows(2).map(|w| (db, w[0], w[1])));
    }
    ranges.sort_by_key(|&(db, lo, _)| (lo ^ u64::from(db)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut waiting: Vec<(u64, Vec<u8>)> = Vec::new();
    let send = |w: &mut Encoder, waiting: &mut Vec<(u64, Vec<u8>)>, out: &mut Vec<u8>| {
        waiting.retain_mut(|(id, rest)| {
            let piece: Vec<u8> = rest.drain(..chunk.min(rest.len())).collect();
            w.chunk(*id, &piece, rest.is_empty(), out);
            !rest.is_empty()
        });
    };
    for (db, lo, hi) in ranges {
        w.select(db, &mut out);
        w.begin(lo);
        let mut new = Vec::new();
        for m in models.iter().filter(|m| m.db == db && (lo..hi).contains(&m.position)) {
            let key = Key { key: &m.key, expire_ms: m.expire_ms, access: m.access };
            if m.large {
                new.push((w.large(&key, ValueType::List).unwrap(), body(m)));
            } else {
                w.entry(&key, |out| {
                    out.put(&body(m));
                    ValueType::List
                })
                .unwrap();
            }
        }
        w.end(hi, &mut out);
        send(&mut w, &mut waiting, &mut out);
        waiting.extend(new);
    }
    while !waiting.is_empty() {
        send(&mut w, &mut waiting, &mut out);
    }
    assert_eq!(w.bytes(), out.len() as u64);
    let summary = w.finish(&mut out).unwrap();
    (out, summary)
}

/// What a file holds, each key as one line.
fn lines(data: &[u8], step: usize) -> Vec<String> {
    let mut decoder = Decoder::new();
    let mut joiner = Joiner::default();
    let mut pieces = data.chunks(step);
    let mut lines = Vec::new();
    loop {
        let done = decoder.is_done();
        match decoder.next().unwrap() {
            Some(Item::Entry(e)) => {
                joiner.entry(&e);
                if let Stored::Body { value, .. } = e.value {
                    lines.push(line(e.db, e.key, e.expire_ms, e.access, &value));
                }
            }
            Some(Item::Chunk(c)) => {
                if let Some(j) = joiner.chunk(&c) {
                    lines.push(line(j.db, &j.key, j.expire_ms, j.access, &j.value().unwrap()));
                }
            }
            Some(_) => {}
            None if done => break,
            // Bytes of an unfinished block are all that is kept.
            None => hand_in(&mut decoder, pieces.next().unwrap(), pieces.len()),
        }
    }
    lines.sort_unstable();
    lines
}

fn line(db: u32, key: &[u8], ttl: Option<u64>, access: Option<u32>, value: &Value<'_>) -> String {
    format!("{db} {} {ttl:?} {access:?} {value}", key.escape_ascii())
}

proptest! {
    #[test]
    fn any_content_in_any_pieces_comes_back(
        models in models(),
        cuts in proptest::collection::vec(1..HASH_END, 0..12),
        chunk in 1usize..50,
        step in 1usize..300,
        zstd: bool,
    ) {
        let (data, summary) = write(&models, &cuts, chunk, zstd);
        prop_assert_eq!(decode(&data), Ok(summary));
        prop_assert_eq!(summary.entries, models.len() as u64);
        let mut want: Vec<String> = models
            .iter()
            .map(|m| {
                let body = body(m);
                let value = Value::decode(&body, ValueType::List.code(), 0).unwrap();
                line(m.db, &m.key, m.expire_ms, m.access, &value)
            })
            .collect();
        want.sort_unstable();
        prop_assert_eq!(lines(&data, step), want);
        if !zstd {
            prop_assert_eq!(rewrite(&data), data);
        }
    }

    #[test]
    fn any_damage_is_refused(
        models in models(),
        at: prop::sample::Index,
        bit in 0u8..8,
        zstd: bool,
    ) {
        let (mut data, _) = write(&models, &[HASH_END / 2], 9, zstd);
        let at = at.index(data.len());
        data[at] ^= 1 << bit;
        prop_assert!(decode(&data).is_err());
        data.truncate(at);
        prop_assert!(decode(&data).unwrap_err().is_truncated());
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for head in [&sample_snapshot(false)[..115], b"RRDSHARD\x02", b"MOON\x02"] {
            let mut data = head.to_vec();
            data.put(&bytes);
            crate::testing::rrdshard(&data);
        }
    }
}

#[test]
fn fields_tile_the_head() {
    let mut at = 0;
    for &(offset, size, name) in PREAMBLE_FIELDS.iter().chain(EXTENSION_FIELDS) {
        assert_eq!(offset, at, "{name}");
        at += size;
    }
    assert_eq!(at, PREAMBLE_LEN + EXTENSION_LEN);
}

#[test]
fn an_unfinished_snapshot_does_not_end() {
    let (preamble, extension) = sample_head(false);
    let run = |calls: &dyn Fn(&mut Encoder, &mut Vec<u8>)| {
        let mut out = Vec::new();
        let mut w = Encoder::new(&preamble, &extension, &mut out);
        w.select(1, &mut out);
        calls(&mut w, &mut out);
        w.finish(&mut out)
    };
    let range = |w: &mut Encoder, out: &mut Vec<u8>, lo, hi| {
        w.begin(lo);
        w.end(hi, out);
    };
    let gap = |position| Err(Incomplete::Uncovered(Uncovered { db: 1, position: Some(position) }));
    assert_eq!(run(&|_, _| {}), gap(0));
    assert_eq!(run(&|w, out| range(w, out, 0, 9)), gap(9));
    assert_eq!(run(&|w, out| range(w, out, 9, HASH_END)), gap(0));
    let twice = run(&|w, out| {
        range(w, out, 0, HASH_END);
        range(w, out, 5, 6);
    });
    assert_eq!(twice, Err(Incomplete::Overlap { db: 1, hash_lo: 5 }));
    let large = |w: &mut Encoder, out: &mut Vec<u8>| {
        w.begin(0);
        let key = Key { key: b"k", expire_ms: None, access: None };
        assert_eq!(w.large(&key, ValueType::Set), Ok(1));
        w.end(HASH_END, out);
        w.chunk(1, b"abc", false, out);
    };
    assert_eq!(run(&large), Err(Incomplete::Unfinished { value_id: 1 }));
    let stray = run(&|w, out| {
        large(w, out);
        w.chunk(1, b"", true, out);
        w.chunk(1, b"", true, out);
    });
    assert_eq!(stray, Err(Incomplete::StrayChunk { value_id: 1 }));
}

#[test]
fn blocks_have_a_limit() {
    let (preamble, extension) = sample_head(true);
    let mut out = Vec::new();
    let mut w = Encoder::new(&preamble, &extension, &mut out);
    w.select(0, &mut out);
    w.begin(0);
    let key = |key| Key { key, expire_ms: None, access: None };
    let zeros = vec![0; BLOCK_RAW_MAX];
    let put = |n: usize| {
        let zeros = &zeros[..n];
        move |out: &mut Vec<u8>| {
            value::put_string(out, zeros);
            ValueType::String
        }
    };
    assert_eq!(w.entry(&key(b"a"), put(BLOCK_RAW_MAX)), Err(Unfit::TooLarge));
    assert_eq!(w.block_len(), 0);
    w.entry(&key(b"a"), put(BLOCK_RAW_MAX / 2)).unwrap();
    let len = w.block_len();
    assert_eq!(w.entry(&key(b"b"), put(BLOCK_RAW_MAX / 2)), Err(Unfit::BlockFull));
    assert_eq!((w.block_len(), w.entries()), (len, 1));
    assert_eq!(w.large(&key(&zeros[..BLOCK_RAW_MAX / 2]), ValueType::List), Err(Unfit::BlockFull));
    assert_eq!(w.large(&key(b"b"), ValueType::List), Ok(1));
    w.end(5, &mut out);
    // A key alone may be longer than a block.
    w.begin(5);
    w.entry(&key(&zeros), put(3)).unwrap();
    assert_eq!(w.entry(&key(b"c"), put(3)), Err(Unfit::BlockFull));
    w.end(HASH_END, &mut out);
    w.chunk(1, b"\0\0\0\0", true, &mut out);
    let summary = w.finish(&mut out).unwrap();
    assert_eq!(decode(&out), Ok(summary));
    assert_eq!(summary.entries, 3);
}

#[test]
fn a_decoder_keeps_one_block_and_one_piece() {
    let models: Vec<Model> = (0..200u64)
        .map(|i| Model {
            position: i << 40,
            db: 0,
            key: vec![1; 100],
            expire_ms: None,
            access: None,
            elements: vec![vec![2; 100]; 10],
            large: false,
        })
        .collect();
    let cuts: Vec<u64> = (1..200u64).map(|i| i << 40).collect();
    let (data, _) = write(&models, &cuts, 100, false);
    let mut decoder = Decoder::new();
    let mut most = 0;
    for piece in data.chunks(100) {
        decoder.feed(piece);
        most = most.max(decoder.rest().len());
        while decoder.next().unwrap().is_some() {}
    }
    assert!(decoder.is_done());
    assert!(most < 1300 + 100, "{most}");
}

#[test]
fn a_huge_count_of_an_old_file_asks_for_no_memory() {
    let mut data = old_snapshot(3);
    // The count of the first range.
    data[35 + 2 + 5..35 + 2 + 9].fill(0xff);
    assert!(decode(&data).is_err());
}
