//! Good inputs of the targets, which tests and fuzzers begin with.

use crate::aof::{self, PartList};
use crate::marker::Marker;
use crate::migration::{Journal, State};
use crate::salvage::{FileMark, Hole, KeptBase, Lost, Plan, Reason, ShardPlan};
use crate::value::{self, StreamId};
use crate::wal::body::*;
use crate::wal::{RecordType, SegmentHeader, header_flags};

pub(super) fn request_samples() -> Vec<Vec<u8>> {
    [
        "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$5\r\nvalue\r\n*1\r\n$4\r\nPING\r\n",
        "PING\r\nset a \"b \\x41\\n\" 'c\\'d'\r\n\r\n*0\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
        "*2\r\n$4\r\nECHO\r\n$100\r\nabc",
    ]
    .map(|s| s.as_bytes().to_vec())
    .to_vec()
}

pub(super) fn reply_samples() -> Vec<Vec<u8>> {
    [
        "*3\r\n:1\r\n$2\r\nab\r\n*1\r\n$-1\r\n",
        "%2\r\n+a\r\n,1.5\r\n+b\r\n~2\r\n#t\r\n_\r\n",
        "|1\r\n+k\r\n(12345678901234567890\r\n>2\r\n+x\r\n=6\r\ntxt:hi\r\n",
        "-ERR no\r\n",
    ]
    .map(|s| s.as_bytes().to_vec())
    .to_vec()
}

pub(super) fn record_samples() -> Vec<Vec<u8>> {
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

pub(super) fn header_samples() -> Vec<Vec<u8>> {
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

pub(super) fn value_samples() -> Vec<Vec<u8>> {
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
        source: Some(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210),
        databases: Some(20),
        accepted: vec!["use".into(), "tail".into()],
        backup: Some("moon.v1.bak".into()),
    }
}

pub(super) fn part_list_samples() -> Vec<Vec<u8>> {
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
