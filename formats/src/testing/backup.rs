//! Sets of backups.

use crate::aof::{Base, PartList, Timeline};
use crate::backup::{Backup, BackupFile, Codec, FileKind, Kind, ShardPart};
use crate::crc::crc32c;

/// A set of one shard; of a full one with a base.
pub fn sample_backup(kind: Kind) -> Backup {
    let base = Base { seq: 3, cut: 100, bytes: 5000, crc: 0x1a2b_3c4d };
    let full = kind == Kind::Full;
    let parts = PartList {
        shard: 0,
        base: full.then_some(base),
        history: Vec::new(),
        log_from_lsn: 101,
        log_from_seq: 7,
        ended: None,
        timelines: vec![Timeline { epoch: 1, from_lsn: 1, forked_at: None }],
        salvaged: Vec::new(),
        extra: Vec::new(),
    };
    let part = ShardPart {
        shard: 0,
        lsn_from: 101,
        lsn_to: 180,
        first_seq: 7,
        last_seq: 8,
        sealed: true,
        tail_crc: Some(0xffff_0000),
        from_us: Some(1_769_903_999_123_456),
        to_us: Some(1_769_904_000_000_000),
        digest: Some(7),
        parts,
    };
    let file = |kind, bytes, codec, stored_bytes| BackupFile {
        kind,
        bytes,
        xxh64: 0x0123_4567_89ab_cdef,
        codec,
        stored_bytes,
        stored_xxh64: match codec {
            Codec::None => 0x0123_4567_89ab_cdef,
            Codec::Zstd => 0xfedc_ba98_7654_3210,
        },
    };
    let mut files = vec![
        file(FileKind::Segment(0, 7), 9000, Codec::Zstd, 4000),
        file(FileKind::Segment(0, 8), u64::MAX, Codec::Zstd, 77),
    ];
    if full {
        files.insert(0, file(FileKind::Base(0, 3), 5000, Codec::None, 5000));
    }
    Backup {
        tool: "0.1.0".into(),
        set: "set-20260131T235959Z-00c0ffee".into(),
        kind,
        uuid: [0xab; 16],
        databases: 16,
        created_ms: 1_700_000_000_000,
        taken_us: 1_769_904_000_500_000,
        shards: vec![part],
        files,
    }
}

pub(super) fn samples() -> Vec<Vec<u8>> {
    let parent = Kind::Incremental("set-20260101T000000Z-00000001".into());
    [Kind::Full, parent].map(|kind| sample_backup(kind).encode()).into()
}

/// Reads a set; the closing checksum is also put right, so that mutations get past it.
pub fn backup(data: &[u8]) {
    for text in [data.to_vec(), closed(data)] {
        if let Ok(backup) = Backup::decode(&text) {
            let again = backup.encode();
            assert_eq!(Backup::decode(&again), Ok(backup));
        }
    }
}

fn closed(data: &[u8]) -> Vec<u8> {
    let tail = b",\n\"end\":";
    let at = data.windows(tail.len()).rposition(|w| w == tail).unwrap_or(data.len());
    let mut text = data[..at].to_vec();
    let end = format!(",\n\"end\":\"{:08x}\"}}\n", crc32c(&text));
    text.extend(end.as_bytes());
    text
}
