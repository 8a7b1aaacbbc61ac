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
mod snapshot;

pub use backup::{backup, sample_backup};
pub use cold::{cold_leaf, cold_page};
pub use events::{cdc_events, is_json};
pub use foreign::{
    redis_rdb_file, redis_rdb_value, sample_file as redis_rdb_sample,
    value_samples as rdb_value_samples,
};
pub use manifest::{old_shard_manifest, page, sample_root, sample_shard_manifest, shard_manifest};
pub use snapshot::{
    moon_snapshot, old_snapshot, read_snapshot, reseal, rewrite, rrdshard, sample_head,
    sample_snapshot,
};

use crate::aof::{self, PartList};
use crate::marker::Marker;
use crate::migration::{Journal, State};
use crate::resp::{CommandIter, Limits, Parsed, Proto, Reply, RequestParser, Value};
use crate::salvage::{FileMark, Hole, KeptBase, Lost, Plan, Reason, ShardPlan};
use crate::value::{self, StreamId};
use crate::wal::body::*;
use crate::wal::{Kind, Record, RecordType, SegmentHeader, UnverifiedHeader, header_flags};

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
    ("redis_rdb_file", foreign::redis_rdb_file, || vec![foreign::sample_file()]),
    ("rrdshard", rrdshard, snapshot::samples),
    ("cdc_events", cdc_events, record_samples),
    ("page", page, manifest::page_samples),
    ("cold_page", cold_page, cold::samples),
    ("shard_manifest", shard_manifest, manifest::samples),
    ("marker", marker, || vec![sample_marker().encode().into_bytes()]),
    ("backup", backup, backup::samples),
    ("part_list", part_list, part_list_samples),
    ("migration_journal", migration_journal, || vec![sample_migration().encode().into_bytes()]),
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

fn request_samples() -> Vec<Vec<u8>> {
    [
        "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$5\r\nvalue\r\n*1\r\n$4\r\nPING\r\n",
        "PING\r\nset a \"b \\x41\\n\" 'c\\'d'\r\n\r\n*0\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
        "*2\r\n$4\r\nECHO\r\n$100\r\nabc",
    ]
    .map(|s| s.as_bytes().to_vec())
    .to_vec()
}

fn reply_samples() -> Vec<Vec<u8>> {
    [
        "*3\r\n:1\r\n$2\r\nab\r\n*1\r\n$-1\r\n",
        "%2\r\n+a\r\n,1.5\r\n+b\r\n~2\r\n#t\r\n_\r\n",
        "|1\r\n+k\r\n(12345678901234567890\r\n>2\r\n+x\r\n=6\r\ntxt:hi\r\n",
        "-ERR no\r\n",
    ]
    .map(|s| s.as_bytes().to_vec())
    .to_vec()
}

fn record_samples() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for body in sample_bodies() {
        let mut payload = Vec::new();
        body.put(&mut payload);
        let mut record = Vec::new();
        crate::wal::put_record(
            &mut record,
            7,
            body.record_type().code(),
            body.flags(),
            0,
            &payload,
        );
        all.extend([record, payload]);
    }
    all
}

fn header_samples() -> Vec<Vec<u8>> {
    let reference = SegmentHeader {
        flags: header_flags::FPI_ENABLED,
        align_log2: 0,
        epoch: 0,
        segment_seq: 0,
        prev_tail_crc: 0,
        ..sample_header()
    };
    vec![sample_header().encode().to_vec(), reference.encode().to_vec()]
}

fn value_samples() -> Vec<Vec<u8>> {
    sample_values()
        .into_iter()
        .map(|(code, mut body)| {
            body.insert(0, code);
            body
        })
        .collect()
}

/// A native header.
pub fn sample_header() -> SegmentHeader {
    SegmentHeader {
        flags: header_flags::FPI_ENABLED | header_flags::R1,
        shard_id: 3,
        align_log2: 12,
        epoch: 1,
        redo_lsn: 0,
        base_lsn: 1,
        segment_size: 16 << 20,
        segment_seq: 1,
        prev_tail_crc: 0,
        features: 0,
    }
}

/// A marker.
pub fn sample_marker() -> Marker {
    Marker {
        uuid: *b"\x01\x8f\x2a\x3b\x4c\x5d\x7e\x6f\x80\x91\xa2\xb3\xc4\xd5\xe6\xf7",
        shards: 4,
        databases: 16,
        created_ms: 1_700_000_000_000,
        extra: vec![],
    }
}

/// A journal with every kind of line.
pub fn sample_migration() -> Journal {
    Journal {
        state: State::Swapping,
        from: "redis-rdb:/srv/old data/dump.rdb".into(),
        databases: Some(20),
        accepted: vec!["use".into(), "tail".into()],
        backup: Some("moon.v1.bak".into()),
    }
}

fn part_list_samples() -> Vec<Vec<u8>> {
    let salvaged = vec![aof::Salvaged { plan_crc: 7, kept_lsn: 98_300, unfinished: true }];
    [sample_part_list(), PartList { salvaged, ..sample_part_list() }]
        .map(|list| list.encode().into_bytes())
        .to_vec()
}

/// A plan for two shards, with every kind of line.
pub fn sample_salvage_plan() -> Plan {
    let file = |seq, bytes, crc| FileMark { seq, bytes, crc };
    let hole = |reason, segment, offset, next_lsn, durable_lsn| Hole {
        reason,
        segment,
        offset,
        next_lsn,
        durable_lsn,
    };
    let first = ShardPlan {
        shard: 0,
        list_crc: 0x263f_6625,
        hole: hole(Reason::Record, 41, 8192, 120_410, 130_000),
        base: Some(KeptBase { seq: 7, cut: 120_345 }),
        keep_lsn: 120_409,
        records: 22_198,
        bytes: 3_000_000,
        log_from_lsn: 98_212,
        log_from_seq: 41,
        timeline: Some((2, 33_700_001)),
        lost: vec![
            Lost { from_lsn: 120_410, to_lsn: 130_000, found: 9000, bytes: 1_234_567 },
            Lost { from_lsn: 16_907_217, to_lsn: 16_907_300, found: 84, bytes: 9000 },
        ],
        cut: Some(file(41, 16 << 20, 0x1a2b_3c4d)),
        segments: vec![file(42, 16 << 20, 0x99aa_0011), file(43, 16 << 20, 0)],
        bases: vec![file(6, 9_120_003, 0x99aa_0011)],
    };
    let second = ShardPlan {
        shard: 2,
        list_crc: 1,
        hole: hole(Reason::Segment, 2, 0, 45, 45),
        base: None,
        keep_lsn: 44,
        records: 44,
        bytes: 4000,
        log_from_lsn: 1,
        log_from_seq: 1,
        timeline: Some((2, 16_777_300)),
        lost: vec![],
        cut: None,
        segments: vec![],
        bases: vec![],
    };
    let uuid = sample_marker().uuid;
    Plan { uuid, created_ms: 1_700_000_000_000, shards: vec![first, second] }
}

/// A part list with every kind of line but those of a salvage.
pub fn sample_part_list() -> PartList {
    let base = |seq, cut, crc| aof::Base { seq, cut, bytes: 9_933_221, crc };
    PartList {
        shard: 0,
        base: Some(base(7, 120_345, 0x1a2b_3c4d)),
        history: vec![base(6, 98_211, 0x99aa_0011)],
        log_from_lsn: 98_212,
        log_from_seq: 41,
        ended: None,
        timelines: vec![
            aof::Timeline { epoch: 1, from_lsn: 1, forked_at: None },
            aof::Timeline { epoch: 2, from_lsn: 16_900_001, forked_at: Some(88_100) },
        ],
        salvaged: vec![],
        extra: vec![],
    }
}

/// Type code and body of one value of each type.
pub fn sample_values() -> Vec<(u8, Vec<u8>)> {
    let mut all = Vec::new();
    let mut add = |code: u8, put: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        put(&mut out);
        all.push((code, out));
    };
    let id = |ms, seq| StreamId { ms, seq };
    let groups = [value::Group {
        name: b"group",
        last_delivered: id(5, 1),
        pel: vec![value::PelEntry {
            id: id(5, 1),
            consumer: b"alice",
            delivery_ms: 1000,
            deliveries: 2,
        }],
        consumers: vec![value::Consumer {
            name: b"alice",
            seen_ms: 1001,
            pending: vec![id(5, 1)],
            active_ms: 1002,
        }],
        entries_read: 1,
    }];
    let stream = |out: &mut Vec<u8>| {
        value::put_stream_head(out, 2, id(6, 0));
        value::put_stream_entry(out, id(5, 1), [(&b"f"[..], &b"v"[..])].into_iter());
        value::put_stream_entry(out, id(6, 0), [(&b"g"[..], &b""[..])].into_iter());
        value::put_stream_groups(out, &groups);
    };
    let ext = value::StreamExt {
        entries_added: 9,
        max_deleted: id(4, 4),
        first: id(5, 1),
        durable_queue: false,
    };
    add(0, &|out| value::put_string(out, b"hello\0world"));
    add(1, &|out| {
        let pairs = [(&b"field"[..], &b"value"[..]), (b"short", b"")];
        value::put_hash(out, pairs.into_iter(), [(&b"short"[..], 1_700_000_000_000)].into_iter());
    });
    add(2, &|out| value::put_elements(out, [&b"head"[..], b"", b"tail"].into_iter()));
    add(3, &|out| value::put_elements(out, [&b"1"[..], b"member"].into_iter()));
    add(4, &|out| {
        let members = [(&b"a"[..], -1.5), (b"b", 0.1), (b"c", f64::INFINITY)];
        value::put_scored(out, members.into_iter());
    });
    add(5, &stream);
    add(6, &|out| {
        stream(out);
        value::put_stream_ext(out, &ext, &groups);
    });
    let producers = vec![value::Producer { name: b"p1", iids: vec![(&b"iid"[..], id(6, 0))] }];
    let idempotence =
        value::Idempotence { duration_secs: 100, max: 50, added: 2, duplicates: 1, producers };
    add(8, &|out| {
        stream(out);
        value::put_stream_ext(out, &ext, &groups);
        value::put_stream_idempotence(out, &idempotence);
    });
    all
}

/// One payload of each record type, by ascending code.
pub fn sample_bodies() -> Vec<Body<'static>> {
    let queue = Queue { db: 2, key: b"jobs" };
    let id = |ms, seq| StreamId { ms, seq };
    let ops = vec![Op::Set { key: b"k", value: b"v" }, Op::Del { key: b"old" }];
    let subs = vec![SubRecord::new(RecordType::Command, 0, 1, b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n")];
    vec![
        Body::Command(Command {
            resp: b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*2\r\n$3\r\nDEL\r\n$1\r\nh\r\n",
            meta: Some(b"\x01\x06\x00\x08\x00\x00\x00\x04\x00\x00\x00body"),
            offset: 0,
        }),
        Body::Pad(Pad { zeros: 12 }),
        Body::BatchHead(BatchHead {
            segment_seq: 1,
            batch_bytes: 200,
            data_records: 2,
            first_lsn: 8,
            last_lsn: 9,
            durable_lsn: 7,
            wall_us: 1_700_000_000_000_000,
            mono_us: 1_700_000_000_000_001,
        }),
        Body::SegmentEnd(SegmentEnd {
            next_seq: 2,
            last_lsn: 9,
            data_records: 9,
            offset_of_this: 8192,
            last_mono_us: 1_700_000_000_000_001,
        }),
        Body::Cut(Cut {
            keep_lsn: 7,
            max_seen_lsn: 9,
            reason: CutReason::SyncFailed,
            wall_us: 1_700_000_000_000_000,
        }),
        Body::FullPageImage(FullPageImage {
            file_id: 1,
            page_index: 2,
            codec: Some(0),
            page: b"page",
        }),
        Body::Checkpoint(Checkpoint::new(7, 3, 0x1a2b_3c4d, CheckpointKind::CleanShutdown)),
        Body::RestorePoint(RestorePoint { gtid: 5, wall_us: 6, name: b"before-upgrade" }),
        Body::VectorUpsert(VectorUpsert {
            index: b"idx",
            field: 0,
            key: b"k",
            global_id: 4,
            elem: Elem::F32,
            data: b"\0\0\x80\x3f\0\0\0\x40",
        }),
        Body::VectorDelete(VectorDelete { index: b"idx", field: 0xffff, key: b"k" }),
        Body::VectorTxnCommit(VectorTxnCommit { txn_id: 1 }),
        Body::VectorTxnAbort(VectorTxnAbort { txn_id: 1 }),
        Body::VectorCheckpoint(VectorCheckpoint {
            index_id: 1,
            covered_lsn: 9,
            file_ids: vec![10, 11],
        }),
        Body::TemporalUpsert(TemporalUpsert {
            key: b"k",
            valid_from: 1,
            system_from: 2,
            value: b"v",
        }),
        Body::GraphTemporal(GraphTemporal {
            entity_id: 1,
            is_node: true,
            valid_to: 2,
            system_from: 3,
            graph: Some(b"g"),
        }),
        Body::TemporalAnchor(TemporalAnchor { wall_ms: 1, lsn: 2 }),
        Body::FileCreate(FileEntry {
            file_id: 12,
            file_type: 0x10,
            status: 3,
            tier: 3,
            page_size_log2: 12,
            page_count: 16,
            byte_size: 65536,
            created_lsn: 8,
            db: 0,
            max_key_hash: 0,
            last_modified_lsn: 8,
        }),
        Body::FileDelete(FileDelete { file_id: 12, reason: 1 }),
        Body::FileTierChange(FileTierChange { file_id: 12, from: 2, to: 3 }),
        Body::Spill(Spill {
            reason: SpillReason::Spill,
            old_file_id: 0,
            file_id: 12,
            entries: vec![(
                b"k",
                ColdPtr {
                    file_id: 12,
                    page: 1,
                    slot: 2,
                    value_type: 0,
                    codec: 2,
                    stored_len: 100,
                    logical_len: 300,
                },
            )],
        }),
        Body::XactBegin(XactBegin { txn_id: 1 }),
        Body::XactCommitV1(XactCommitV1 { txn_id: 1, ops: ops.clone() }),
        Body::XactAbort(XactAbort { txn_id: 1 }),
        Body::XactCommit(XactCommit { txn_id: 1, db: 0, ops }),
        Body::Xact(Xact { txn_id: 1, subs: subs.clone() }),
        Body::XactPart(XactPart { gtid: 5, participants: vec![0, 3], subs }),
        Body::WorkspaceCreate(WorkspaceCreate {
            ws_id: *b"\x01\x8f\x2a\x3b\x4c\x5d\x7e\x6f\x80\x91\xa2\xb3\xc4\xd5\xe6\xf7",
            name: b"team",
            created_at_ms: Some(1_700_000_000_000),
        }),
        Body::WorkspaceDrop(WorkspaceDrop {
            ws_id: *b"\x01\x8f\x2a\x3b\x4c\x5d\x7e\x6f\x80\x91\xa2\xb3\xc4\xd5\xe6\xf7",
        }),
        Body::MqCreate(MqCreate {
            queue,
            max_delivery: 5,
            settings: Some(MqSettings {
                visibility_ms: 30_000,
                debounce_ms: 100,
                maxlen: 1000,
                retention_ms: 0,
            }),
        }),
        Body::MqAck(MqAck { queue, id: id(5, 1) }),
        Body::MqPush(MqPush { queue, id: id(5, 1), fields: vec![(b"f", b"v")] }),
        Body::MqPop(MqPop {
            queue,
            last: id(5, 1),
            delivered: vec![(id(5, 1), 1)],
            dead: vec![(id(4, 0), id(4, 1))],
            times: Some(PopTimes { delivery_ms: 1000, seen_ms: 1001 }),
        }),
        Body::MqTrigger(MqTrigger {
            trigger_key: b"t",
            queue_key: b"jobs",
            callback: b"fn",
            debounce_ms: 100,
        }),
        Body::MqDrop(MqDrop { queue }),
    ]
}
