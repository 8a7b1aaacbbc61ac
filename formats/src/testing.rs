//! Sample inputs and fuzz targets, shared by the tests here and the fuzz package.
//!
//! A target takes any bytes and must not panic; where a decoded value has one canonical form it
//! also encodes it again and compares. [`smoke`] runs a target on mutated samples without any
//! fuzzing engine.

mod backup;
mod cold;
mod events;
mod foreign;
mod manifest;
mod planes;
mod samples;
mod snapshot;

pub use backup::{backup, sample_backup};
pub use cold::{cold_leaf, cold_page};
pub use events::{cdc_events, is_json};
pub use foreign::{
    redis_rdb_file, redis_rdb_value, sample_file as redis_rdb_sample,
    value_samples as rdb_value_samples,
};
pub use manifest::{old_shard_manifest, page, sample_root, sample_shard_manifest, shard_manifest};
pub use planes::{planes_reference, sample_text_indexes, sample_vector_indexes};
use samples::{
    header_samples, part_list_samples, record_samples, reply_samples, request_samples,
    value_samples,
};
pub use samples::{
    sample_bodies, sample_header, sample_marker, sample_migration, sample_part_list,
    sample_salvage_plan, sample_values,
};
pub use snapshot::{
    hand_in, moon_snapshot, old_snapshot, read_snapshot, reseal, rewrite, rrdshard, sample_head,
    sample_snapshot,
};

use crate::aof::{self, PartList};
use crate::marker::Marker;
use crate::migration::Journal;
use crate::resp::{CommandIter, Limits, Parsed, Proto, Reply, RequestParser, Value};
use crate::salvage::Plan;
use crate::value;
use crate::wal::body::*;
use crate::wal::{Kind, Record, RecordType, UnverifiedHeader};

/// A target: name, function, sample inputs.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// All targets.
pub const TARGETS: &[Target] = &[
    ("resp_request", resp_request, request_samples),
    ("resp_reply", resp_reply, reply_samples),
    ("wal_record", wal_record, record_samples),
    ("wal_segment_header", wal_segment_header, header_samples),
    ("value_body", value_body, value_samples),
    ("redis_rdb_value", foreign::redis_rdb_value, foreign::value_samples),
    ("redis_rdb_file", foreign::redis_rdb_file, || {
        vec![foreign::sample_file(), foreign::file_with_modules()]
    }),
    ("rrdshard", rrdshard, snapshot::samples),
    ("cdc_events", cdc_events, record_samples),
    ("page", page, manifest::page_samples),
    ("cold_page", cold_page, cold::samples),
    ("shard_manifest", shard_manifest, manifest::samples),
    ("marker", marker, || vec![sample_marker().encode().into_bytes()]),
    ("backup", backup, backup::samples),
    ("part_list", part_list, part_list_samples),
    ("migration_journal", migration_journal, || vec![sample_migration().encode().into_bytes()]),
    ("planes_reference", planes::planes_reference, planes::samples),
    ("salvage_plan", salvage_plan, || vec![sample_salvage_plan().encode().into_bytes()]),
];

/// Parses requests at once and byte by byte; both must agree.
pub fn resp_request(data: &[u8]) {
    let limits = Limits { max_bulk: 1 << 20, authenticated: true };
    // Long inputs would make the second run quadratic without showing anything new.
    let data = data.get(..4096).unwrap_or(data);
    let run = |step: usize| {
        let mut parser = RequestParser::new(limits);
        let mut out = Vec::new();
        let mut spans = Vec::new();
        let (mut start, mut end) = (0, step.min(data.len()));
        loop {
            let mut buf = data.get(start..end).unwrap_or_default().to_vec();
            match parser.parse(&mut buf, &mut spans) {
                Ok(Parsed::Request { consumed }) => {
                    out.push(spans.drain(..).map(|s| s.of(&buf).to_vec()).collect::<Vec<_>>());
                    start += consumed;
                }
                Ok(Parsed::Empty { consumed }) => start += consumed,
                Ok(Parsed::Incomplete { .. }) if end == data.len() => return (out, None),
                Ok(Parsed::Incomplete { .. }) => end = (end + step).min(data.len()),
                Err(e) => return (out, Some(e)),
            }
        }
    };
    assert_eq!(run(data.len().max(1)), run(1));
    let mut args = Vec::new();
    let mut commands = CommandIter::new(data, 0);
    while let Ok(true) = commands.next_into(&mut args) {}
}

/// Reads a reply, writes it again in both protocols, reads that.
pub fn resp_reply(data: &[u8]) {
    let Ok(Some((value, taken))) = Value::decode(data) else { return };
    assert!(taken <= data.len());
    for proto in [Proto::Resp2, Proto::Resp3] {
        let mut buf = Vec::new();
        value.write(&mut Reply::new(&mut buf, proto));
        let again = Value::decode(&buf).ok().flatten();
        assert_eq!(again.map(|(_, taken)| taken), Some(buf.len()), "{value}");
    }
    let _ = value.to_string();
}

/// Reads a record and its body; also takes the bytes as a body of each type, past the CRC.
pub fn wal_record(data: &[u8]) {
    if let Ok(record) = Record::decode(data, 0) {
        let _ = record.to_string();
        if let Ok(Kind::Known(rtype)) = record.kind()
            && let Ok(payload) = record.raw_payload()
        {
            check_body(rtype, record.flags, &payload);
        }
    }
    for &rtype in RecordType::ALL {
        for flags in [0, crate::wal::record_flags::EFFECT_META] {
            check_body(rtype, flags, data);
        }
    }
}

fn check_body(rtype: RecordType, flags: u8, payload: &[u8]) {
    if let Ok(body) = Body::decode(rtype, flags, payload, 0) {
        let mut again = Vec::new();
        body.put(&mut again);
        assert_eq!(again, payload, "{}", rtype.name());
        let _ = body.to_string();
    }
}

/// Reads a header; its checksum is also put right, so that mutations get past it.
pub fn wal_segment_header(data: &[u8]) {
    let mut sealed = data.to_vec();
    if let Some((body, crc)) = sealed.split_at_mut_checked(60)
        && let Some(crc) = crc.first_chunk_mut::<4>()
    {
        *crc = crate::crc::crc32c(body).to_le_bytes();
    }
    for data in [data, &sealed] {
        let Ok(header) = UnverifiedHeader::parse(data, 0) else { return };
        let _ = header.claimed_seq();
        if let Ok(header) = header.verify() {
            assert_eq!(Some(&header.encode()), data.first_chunk());
            let _ = header.to_string();
        }
    }
}

/// First byte is the type, the rest the body.
pub fn value_body(data: &[u8]) {
    let Some((&code, body)) = data.split_first() else { return };
    if let Ok(v) = value::Value::decode(body, code, 0) {
        let mut again = Vec::new();
        v.put(&mut again);
        assert_eq!(again, body);
        let _ = v.to_string();
    }
}

/// Reads a marker; the closing checksum is also put right, so that mutations get past it.
pub fn marker(data: &[u8]) {
    for text in [data.to_vec(), closed(data)] {
        if let Ok(marker) = Marker::decode(&text) {
            assert_eq!(marker.encode().into_bytes(), text);
        }
    }
}

/// Reads a part list and a guard; as [`marker`].
pub fn part_list(data: &[u8]) {
    for text in [data.to_vec(), closed(data)] {
        if let Ok(list) = PartList::decode(&text) {
            assert_eq!(list.encode().into_bytes(), text);
        }
        let _ = aof::decode_guard(&text);
    }
}

/// Reads a salvage plan; as [`marker`].
pub fn salvage_plan(data: &[u8]) {
    for text in [data.to_vec(), closed(data)] {
        if let Ok(plan) = Plan::decode(&text) {
            assert_eq!(plan.encode().into_bytes(), text);
            assert_eq!(closed(&text).len(), text.len());
        }
    }
}

/// Reads the journal of a migration; as [`marker`].
pub fn migration_journal(data: &[u8]) {
    for text in [data.to_vec(), closed(data)] {
        if let Ok(journal) = Journal::decode(&text) {
            assert_eq!(journal.encode().into_bytes(), text);
        }
    }
}

fn closed(data: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(data);
    let body = text.rfind("end ").and_then(|at| text.get(..at)).unwrap_or(&text);
    crate::text::close(body.to_owned()).into_bytes()
}

/// Runs `target` on its samples and on `rounds` mutations of them. The mutations follow from
/// `seed` alone.
pub fn smoke(target: &Target, seed: u64, rounds: usize) {
    let (_, run, samples) = target;
    let samples = samples();
    let mut state = seed;
    let mut next = |below: usize| {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % below.max(1) as u64) as usize
    };
    samples.iter().for_each(|s| run(s));
    for _ in 0..rounds {
        let Some(sample) = samples.get(next(samples.len())) else { return };
        let mut data = sample.clone();
        for _ in 0..=next(3) {
            let at = next(data.len());
            match next(6) {
                0 => data.truncate(at),
                1 => data.insert(at.min(data.len()), next(256) as u8),
                2 if !data.is_empty() => drop(data.remove(at)),
                3 => {
                    let end = (at + 4).min(data.len());
                    data[at.min(end)..end].fill(0xff);
                }
                4 => {
                    let end = (at + next(16)).min(data.len());
                    data.extend_from_within(at.min(end)..end);
                }
                _ => {
                    if let Some(b) = data.get_mut(at) {
                        *b ^= 1 << next(8);
                    }
                }
            }
        }
        run(&data);
    }
}
