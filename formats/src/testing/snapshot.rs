//! Snapshots: samples of every version, and the target that reads them.

use super::sample_values;
use crate::bytes::Put;
use crate::crc::{crc32, crc32c};
use crate::error::Cause;
use crate::rrdshard::{
    Decoder, Encoder, Extension, HASH_END, Item, Joiner, Key, Preamble, Stored, file_flags, section,
};
use crate::value::{Value, ValueType};
use crate::wal::body::ColdPtr;

/// Reads a snapshot at once, in pieces, and with its checksums put right, so that mutations get past them.
/// One that is whole and not compressed is written again, to equal bytes.
pub fn rrdshard(data: &[u8]) {
    let sealed = reseal(data);
    for data in [data, &sealed] {
        let whole = read_snapshot(data, data.len().max(1));
        assert_eq!(whole, read_snapshot(data, 7));
        let is_plain = data.get(39).is_some_and(|flags| u32::from(*flags) & file_flags::ZSTD == 0);
        if data.get(8) == Some(&4) && whole.1.is_none() && is_plain {
            assert_eq!(rewrite(data), data);
        }
    }
}

/// Hands in a piece in one of the ways there are, which may make no difference: copied, or in storage with
/// `n` modulo some bytes of room before it.
pub fn hand_in(decoder: &mut Decoder, piece: &[u8], n: usize) {
    let room = n % 48;
    if room.is_multiple_of(3) {
        return decoder.feed(piece);
    }
    let storage = [&vec![0xAA; room], piece, &[0xBB; 7]].concat();
    decoder.exchange(storage, room..room + piece.len());
}

/// Text form of every item, and the error it came to.
pub fn read_snapshot(data: &[u8], step: usize) -> (Vec<String>, Option<String>) {
    let mut decoder = Decoder::new();
    let mut joiner = Joiner::default();
    let mut pieces = data.chunks(step);
    let mut items = Vec::new();
    loop {
        let done = decoder.is_done();
        match decoder.next() {
            Ok(Some(item)) => {
                items.push(format!("{item:?}"));
                match &item {
                    Item::Entry(entry) => joiner.entry(entry),
                    Item::Chunk(chunk) => {
                        if let Some(joined) = joiner.chunk(chunk) {
                            items.push(format!("{:?}", joined.value().is_ok()));
                        }
                    }
                    Item::Section(s) if section::is_known(s.section, s.version) => {
                        let _ = match s.section {
                            section::FUNCTIONS => {
                                section::read_functions(s.payload, s.offset).map(drop)
                            }
                            section::CDC_SLOTS => {
                                section::read_slots(s.payload, s.offset).map(drop)
                            }
                            section::REPLICATION => {
                                section::Replication::read(s.payload, s.offset).map(drop)
                            }
                            _ => section::read_files(s.payload, s.offset).map(drop),
                        };
                    }
                    _ => {}
                }
            }
            Ok(None) if done && pieces.len() == 0 => return (items, None),
            Ok(None) => match pieces.next() {
                Some(piece) => hand_in(&mut decoder, piece, pieces.len()),
                None => decoder.close(),
            },
            Err(mut e) => {
                // How many bytes there are depends on how many were fed.
                if let Cause::Trailing { bytes } = &mut e.cause {
                    *bytes = 1;
                }
                return (items, Some(e.to_string()));
            }
        }
    }
}

/// Writes what a snapshot of version 4 holds. Panics on one that is not whole.
pub fn rewrite(data: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new();
    decoder.feed(data);
    decoder.close();
    let mut out = Vec::new();
    let mut encoder: Option<Encoder> = None;
    let mut open: Option<(u64, u32)> = None;
    while let Some(item) = decoder.next().expect("the snapshot is whole") {
        if let Item::Head(head) = &item {
            let ext = head.extension.as_ref().expect("version 4 has an extension");
            encoder = Some(Encoder::new(&head.preamble, ext, &mut out));
            continue;
        }
        let mut writer = encoder.take().expect("the head comes first");
        match item {
            Item::Head(_) => {}
            Item::Db(db) => writer.select(db, &mut out),
            Item::Range(range) => {
                writer.begin(range.hash_lo);
                open = Some((range.hash_hi, range.count));
            }
            Item::Entry(e) => {
                let key = Key { key: e.key, expire_ms: e.expire_ms, access: e.access };
                match e.value {
                    Stored::Body { bytes, value } => writer
                        .entry(&key, |out| {
                            let start = out.len();
                            value.put(out);
                            assert_eq!(&out[start..], bytes);
                            e.kind
                        })
                        .expect("it fitted before"),
                    Stored::Cold(ptr) => writer.cold(&key, &ptr).expect("it fitted before"),
                    Stored::Large(id) => {
                        assert_eq!(writer.large(&key, e.kind).expect("it fitted before"), id);
                    }
                }
                open = open.map(|(hi, left)| (hi, left - 1));
            }
            Item::Chunk(c) => writer.chunk(c.value_id, c.bytes, c.last, &mut out),
            Item::Section(s) => writer.section(s.section, s.version, s.flags, s.payload, &mut out),
            Item::End(summary) => {
                assert_eq!(writer.finish(&mut out), Ok(summary));
                continue;
            }
        }
        if let Some((hi, 0)) = open {
            writer.end(hi, &mut out);
            open = None;
        }
        encoder = Some(writer);
    }
    out
}

/// Puts the checksums of a snapshot of version 4 right, as far as its blocks can be told apart; those of an
/// old one at its end only.
pub fn reseal(data: &[u8]) -> Vec<u8> {
    let mut out = data.to_vec();
    let u64_at = |out: &[u8], at: usize| {
        let bytes = out.get(at..at + 8).and_then(|b| b.first_chunk::<8>());
        bytes.map_or(usize::MAX, |b| u64::from_le_bytes(*b) as usize)
    };
    let seal = |out: &mut [u8], from: usize, at: usize| {
        let Some((body, rest)) = out.split_at_mut_checked(at) else { return };
        if let Some(crc) = rest.first_chunk_mut::<4>() {
            *crc = crc32c(&body[from..]).to_le_bytes();
        }
    };
    if out.get(8) != Some(&4) {
        if let Some(at) = out.len().checked_sub(4) {
            let crc = crc32(&out[..at]);
            out[at..].copy_from_slice(&crc.to_le_bytes());
        }
        return out;
    }
    seal(&mut out, 35, 111);
    let mut at = 115;
    while let Some(&marker) = out.get(at) {
        let body = match marker {
            0xfe => 5,
            0xfd => u64_at(&out, at + 33).saturating_add(41),
            0xfc => u64_at(&out, at + 21).saturating_add(29),
            0xfb => u64_at(&out, at + 14).saturating_add(22),
            0xff => {
                seal(&mut out, 0, at + 17);
                break;
            }
            _ => break,
        };
        let Some(end) = at.checked_add(body).filter(|&end| end < out.len()) else { break };
        seal(&mut out, at, end);
        at = end + 4;
    }
    out
}

/// Every version and both codecs.
pub(super) fn samples() -> Vec<Vec<u8>> {
    let old = [1, 2, 3].map(old_snapshot);
    let moon = [1, 2].map(moon_snapshot);
    let new = vec![sample_snapshot(false), sample_snapshot(true)];
    new.into_iter().chain(old).chain(moon).collect()
}

/// A head of version 4; with `zstd`, of a file whose blocks may be compressed.
pub fn sample_head(zstd: bool) -> (Preamble, Extension) {
    let preamble = Preamble {
        version: 4,
        shard_id: 3,
        epoch: 7,
        last_lsn: 120_345,
        created_at_ms: 1_700_000_000_000,
    };
    let flags = file_flags::COLD_BY_REFERENCE | if zstd { file_flags::ZSTD } else { 0 };
    let extension = Extension {
        flags,
        features: 0,
        storage_uuid: *b"\x01\x8f\x2a\x3b\x4c\x5d\x7e\x6f\x80\x91\xa2\xb3\xc4\xd5\xe6\xf7",
        timeline: 1,
        base_seq: 7,
        last_gtid: 5,
        wal_first_seq: 41,
        mono_us: 1_700_000_000_000_001,
        shards: 4,
        databases: 16,
        align_log2: 12,
    };
    (preamble, extension)
}

/// A snapshot of version 4 with every kind of block and entry.
pub fn sample_snapshot(zstd: bool) -> Vec<u8> {
    let (preamble, extension) = sample_head(zstd);
    let mut out = Vec::new();
    let mut w = Encoder::new(&preamble, &extension, &mut out);
    let kind = |code| ValueType::from_code(code).expect("samples have a known type");
    let name = |i: usize| format!("key:{i}").into_bytes();
    w.select(0, &mut out);
    w.begin(0);
    for (i, (code, body)) in sample_values().into_iter().enumerate() {
        let key = Key {
            key: &name(i),
            expire_ms: (i % 2 == 1).then_some(1_700_000_000_000),
            access: (i % 4 > 1).then_some(0x00ab_cdef),
        };
        w.entry(&key, |out| {
            out.put(&body);
            kind(code)
        })
        .expect("samples fit");
    }
    w.end(1 << 40, &mut out);
    // A database is written to while another is walked.
    w.select(5, &mut out);
    w.begin(0);
    let key = Key { key: b"large", expire_ms: Some(5), access: Some(1) };
    let first = w.large(&key, ValueType::String).expect("samples fit");
    w.end(HASH_END, &mut out);
    w.select(0, &mut out);
    w.chunk(first, b"\x0b\0\0\0hello", false, &mut out);
    w.begin(1 << 41);
    let ptr = ColdPtr {
        file_id: 12,
        page: 1,
        slot: 2,
        value_type: 1,
        codec: 2,
        stored_len: 100,
        logical_len: 3,
    };
    w.cold(&Key { key: b"cold", expire_ms: None, access: Some(9) }, &ptr).expect("samples fit");
    let key = Key { key: b"larger", expire_ms: None, access: None };
    let second = w.large(&key, ValueType::List).expect("samples fit");
    w.end(HASH_END, &mut out);
    w.begin(1 << 40);
    w.end(1 << 41, &mut out);
    w.chunk(second, b"\x01\0\0\0\x02\0\0\0el", true, &mut out);
    w.chunk(first, b"\0world", true, &mut out);
    let mut payload = Vec::new();
    section::put_functions(&mut payload, [&b"#!lua name=lib\n"[..]; 3].into_iter());
    w.section(section::FUNCTIONS, section::VERSION, section::REQUIRED, &payload, &mut out);
    payload.clear();
    let state = section::Replication {
        replid: [b'a'; 40],
        offset: 1000,
        second_replid: [b'0'; 40],
        second_offset: -1,
    };
    state.put(&mut payload);
    w.section(section::REPLICATION, section::VERSION, 0, &payload, &mut out);
    payload.clear();
    let file = section::FileRef {
        file_id: 12,
        file_type: 0x10,
        tier: 3,
        crc: 0x1a2b_3c4d,
        byte_size: 65536,
    };
    section::put_files(&mut payload, &[file]);
    w.section(section::FILES, section::VERSION, section::REQUIRED, &payload, &mut out);
    w.section(500, 1, 0, b"of a later Moon", &mut out);
    w.finish(&mut out).expect("the sample is whole");
    out
}

/// Entries of an old file; hashes have TTLs only where the version knows them.
fn old_entries(ttls: bool) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (i, (code, body)) in sample_values().into_iter().filter(|(code, _)| *code <= 5).enumerate()
    {
        let mut entry = vec![code];
        entry.put_bytes32(format!("key:{i}").as_bytes());
        entry.put_i64(if i == 1 { 1_700_000_000_000 } else { 0 });
        match Value::decode(&body, code, 0).expect("samples are sound") {
            Value::Hash(hash) if !ttls => {
                entry.put_count32(hash.pairs.len());
                for (field, value) in hash.pairs {
                    entry.put_bytes32(field);
                    entry.put_bytes32(value);
                }
            }
            _ => entry.put(&body),
        }
        all.push(entry);
    }
    all
}

/// A file of the reference, RRDSHARD 1 to 3. Moon writes none; this is for tests.
pub fn old_snapshot(version: u8) -> Vec<u8> {
    let mut out = b"RRDSHARD".to_vec();
    out.put_u8(version);
    out.put_u16(2);
    out.put_u64(9);
    if version > 1 {
        out.put_u64(77);
        out.put_u64(1_600_000_000_000);
    }
    let entries = old_entries(version >= 3);
    for (db, segments) in [(0u8, entries.chunks(4)), (1, entries.chunks(64))] {
        out.put(&[0xfe, db]);
        for (segment, entries) in segments.chain([&[][..]]).enumerate() {
            out.put_u8(0xfd);
            out.put_count32(segment);
            out.put_count32(entries.len());
            let bytes = entries.concat();
            out.put(&bytes);
            out.put_u32(crc32(&bytes));
        }
    }
    out.put_u8(0xff);
    let crc = crc32(&out);
    out.put_u32(crc);
    out
}

/// A file of the reference, `MOON` 1 or 2.
pub fn moon_snapshot(version: u8) -> Vec<u8> {
    let mut out = b"MOON".to_vec();
    out.put_u8(version);
    for db in [0, 3] {
        out.put(&[0xfe, db]);
        out.put(&old_entries(version >= 2).concat());
    }
    out.put_u8(0xff);
    let crc = crc32(&out);
    out.put_u32(crc);
    out
}
