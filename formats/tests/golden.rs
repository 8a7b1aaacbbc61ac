//! Golden files: bytes that every later Moon must read to the same meaning.
//!
//! For each file of `golden/<format>/v<N>/`: it decodes, encodes again to equal bytes, and its
//! explanation (`EXPLAINED.md` beside it) accounts for every byte and for the decoded meaning.
//! With `MOON_GOLDEN=new` in the environment, missing files are written; existing ones never are.

mod layout;
mod manifests;
mod snapshots;

use layout::Walk;
use moon_formats::aof::{self, Ended, PartList};
use moon_formats::backup::{Backup, FileKind, Kind as BackupKind};
use moon_formats::marker::Marker;
use moon_formats::migration::Journal;
use moon_formats::salvage::Plan;
use moon_formats::testing::*;
use moon_formats::value::Value;
use moon_formats::wal::body::{Cut, CutReason, Payload, SegmentEnd};
use moon_formats::wal::*;
use std::fmt::Write;
use std::path::PathBuf;

/// A file, what each byte of it means, and its text form.
struct Golden {
    name: String,
    bytes: Vec<u8>,
    pieces: Vec<(usize, String)>,
    dump: String,
}

const ALIGN: u64 = 4096;

/// A segment with every record type: block 0 with a Cut, one group, SegmentEnd.
fn new_segment() -> Vec<u8> {
    let mut out = Vec::new();
    let first = 8;
    let header = SegmentHeader {
        flags: header_flags::FPI_ENABLED | header_flags::R1 | header_flags::REWIND,
        base_lsn: first,
        redo_lsn: 5,
        prev_tail_crc: 0x1234_5678,
        ..sample_header()
    };
    header.put(&mut out);
    let wall_us = 1_700_000_000_000_000;
    let cut = Cut { keep_lsn: 7, max_seen_lsn: 9, reason: CutReason::SyncFailed, wall_us };
    cut.put_record(&mut out, 7, 0, DB_NONE);
    let pad = pad_len(out.len() as u64, ALIGN);
    put_pad(&mut out, 7, pad);

    let batch = out.len();
    out.resize(batch + BATCH_HEAD_RECORD_LEN, 0);
    let mut lsn = first - 1;
    for body in sample_bodies().iter().filter(|b| !b.record_type().is_control()) {
        lsn += 1;
        let mut payload = Vec::new();
        body.put(&mut payload);
        put_record(&mut out, lsn, body.record_type().code(), body.flags(), 0, &payload);
    }
    let head = BatchHead {
        segment_seq: 1,
        batch_bytes: (out.len() - batch) as u32,
        data_records: (lsn + 1 - first) as u32,
        first_lsn: first,
        last_lsn: lsn,
        durable_lsn: 7,
        wall_us,
        mono_us: wall_us as u64 + 1,
    };
    out[batch..batch + BATCH_HEAD_RECORD_LEN].copy_from_slice(&head.record(first - 1));
    let pad = pad_len(out.len() as u64, ALIGN);
    put_pad(&mut out, lsn, pad);

    let end = SegmentEnd {
        next_seq: 2,
        last_lsn: lsn,
        data_records: lsn + 1 - first,
        offset_of_this: out.len() as u64,
        last_mono_us: wall_us as u64 + 1,
    };
    end.put_record(&mut out, lsn, 0, DB_NONE);
    let pad = pad_len(out.len() as u64, ALIGN);
    put_pad(&mut out, lsn, pad);
    out
}

fn read_segment(bytes: Vec<u8>) -> Golden {
    let header = UnverifiedHeader::parse(&bytes, 0).unwrap().verify().unwrap();
    let mut again = header.encode().to_vec();
    let mut dump = format!("{header}\n");
    let mut pieces = Vec::new();
    for &(at, size, name) in HEADER_FIELDS {
        let text = match &bytes[at..at + size] {
            b"RRDWAL" => "\"RRDWAL\"".to_owned(),
            field => field.iter().rev().fold(0u64, |v, &b| v << 8 | u64::from(b)).to_string(),
        };
        pieces.push((size, format!("header: {name} = {text}")));
    }
    let layouts = layout::wal();
    while again.len() < bytes.len() {
        let at = again.len();
        let record = Record::decode(&bytes[at..], at as u64).unwrap();
        let Ok(Kind::Known(rtype)) = record.kind() else { panic!("{record}") };
        let body = Body::of(&record, rtype).unwrap();
        writeln!(dump, "{record} {body}").unwrap();
        let mut payload = Vec::new();
        body.put(&mut payload);
        put_record(&mut again, record.lsn, rtype.code(), record.flags, record.db, &payload);

        let name = rtype.name();
        let Record { lsn, code, flags, db, .. } = record;
        pieces.push((4, format!("{name}: record_len = {}", record.record_len())));
        pieces.push((8, format!("  lsn = {lsn}")));
        pieces.push((1, format!("  type = {code:#04x}")));
        pieces.push((1, format!("  flags = {flags:#04x}")));
        pieces.push((2, format!("  db = {db}")));
        let mut walk = Walk::new(&layouts, record.payload);
        match flags & record_flags::EFFECT_META {
            0 => walk.walk(&layouts[name]),
            _ => walk.walk("commands bytes32 | effect_meta rest"),
        }
        pieces.extend(walk.pieces.into_iter().map(|(n, text)| match rtype {
            RecordType::Pad => (n, format!("  {n} zeros")),
            _ => (n, format!("  {text}")),
        }));
        pieces.push((4, format!("  CRC32C = {:08x}", record.crc)));
    }
    assert_eq!(again, bytes, "encodes to equal bytes");
    Golden { name: "000000000001.wal".into(), bytes, pieces, dump }
}

fn read_value(name: &str, code: u8, bytes: Vec<u8>) -> Golden {
    let value = Value::decode(&bytes, code, 0).unwrap();
    let mut again = Vec::new();
    value.put(&mut again);
    assert_eq!(again, bytes, "{name}");
    let layouts = layout::value();
    let mut walk = Walk::new(&layouts, &bytes);
    walk.walk(&layouts[&code.to_string()]);
    let (pieces, dump) = (walk.pieces, format!("{value}\n"));
    Golden { name: name.into(), bytes, pieces, dump }
}

/// A text file explains itself line by line; `meaning` says what each line is for.
fn read_text(name: &str, bytes: Vec<u8>, meaning: &[&str], dump: String) -> Golden {
    let text = std::str::from_utf8(&bytes).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    assert_eq!(lines.len(), meaning.len(), "{name}");
    let pieces = lines
        .iter()
        .zip(meaning)
        .map(|(l, m)| (l.len(), format!("{}: {m}", l.trim_end())))
        .collect();
    Golden { name: name.into(), bytes, pieces, dump }
}

fn read_marker(bytes: Vec<u8>) -> Golden {
    let marker = Marker::decode(&bytes).unwrap();
    assert_eq!(marker.encode().into_bytes(), bytes);
    let meaning = [
        "version of the umbrella",
        "formats in use",
        "identity of the directory",
        "number of shards",
        "how keys map to shards",
        "number of databases",
        "Unix milliseconds of creation",
        "lowest revision a reader must know",
        "CRC32C of all lines before",
    ];
    read_text("moon.storage", bytes, &meaning, format!("{marker:?}\n"))
}

fn read_guard(bytes: Vec<u8>) -> Golden {
    let shards = aof::decode_guard(&bytes).unwrap();
    assert_eq!(aof::encode_guard(shards).into_bytes(), bytes);
    let meaning = [
        "a reference server stops here",
        "where the data is instead",
        "number of shards",
        "CRC32C of all lines before",
    ];
    read_text("guard.manifest", bytes, &meaning, format!("shards {shards}\n"))
}

fn read_part_list(name: &str, bytes: Vec<u8>) -> Golden {
    let list = PartList::decode(&bytes).unwrap();
    assert_eq!(list.encode().into_bytes(), bytes);
    let mut meaning = vec![
        "version of the manifest",
        "whose list this is",
        "the base to load: number, file, last LSN in it, size, final CRC32C",
        "an older base kept for PITR",
        "first LSN the log must hold, and its segment",
        "first timeline",
        "second timeline: its first LSN, and the last LSN shared with the first",
        "CRC32C of all lines before",
    ];
    if list.ended.is_some() {
        meaning.insert(5, "the log has ended: its last LSN, and its last segment");
    }
    read_text(name, bytes, &meaning, format!("{list:?}\n"))
}

fn read_plan(bytes: Vec<u8>) -> Golden {
    let plan = Plan::decode(&bytes).unwrap();
    assert_eq!(plan.encode().into_bytes(), bytes);
    let shard = [
        "the lines below belong to this shard",
        "CRC32C of its part list",
        "the damage: segment, offset, LSN expected there, highest LSN known durable",
    ];
    let kept = [
        "last LSN that is kept, and what the log holds up to there",
        "first LSN the log must hold from now on, and its segment",
        "number and first LSN of the timeline that begins",
    ];
    let mut meaning =
        vec!["version of the plan", "the directory it was made for", "Unix milliseconds of making"];
    meaning.extend(shard);
    meaning.push("the base to load: number, last LSN in it");
    meaning.extend(kept);
    meaning.extend(["LSNs given up, and what can still be read of them"; 2]);
    meaning.push("stays, and is copied: size, CRC32C of the file");
    meaning.extend(["set aside: size, CRC32C of the file"; 3]);
    meaning.extend(shard);
    meaning.extend(kept);
    meaning.push("CRC32C of all lines before");
    read_text("salvage.plan", bytes, &meaning, format!("{plan:?}\n"))
}

fn read_journal(bytes: Vec<u8>) -> Golden {
    let journal = Journal::decode(&bytes).unwrap();
    assert_eq!(journal.encode().into_bytes(), bytes);
    let meaning = [
        "version of the journal",
        "how far the run has come",
        "the source: kind and path; %20 is a blank",
        "print of what the source held when it was copied",
        "databases of the new directory, as the run was told",
        "a loss that is accepted",
        "another",
        "name of the old tree once it has made way",
        "CRC32C of all lines before",
    ];
    read_text("moon.moon.migrate.journal", bytes, &meaning, format!("{journal:?}\n"))
}

fn read_backup(name: &str, bytes: Vec<u8>) -> Golden {
    let backup = Backup::decode(&bytes).unwrap();
    assert_eq!(backup.encode(), bytes);
    let mut meaning = vec![
        "version of the file, program, set, what it builds on; identity, shards, databases and making of \
         the directory; moment of the set",
        "a shard: timeline, base, LSNs, segments, CRC of its last record, clocks, digest, part list",
    ];
    meaning.extend(backup.files.iter().map(|file| match file.kind {
        FileKind::Base(..) => "the base: size, XXH64, how it is stored, bytes of that",
        FileKind::Segment(..) => "a segment: size up to where it counts, XXH64, how it is stored",
    }));
    meaning.push("CRC32C of all bytes before this member");
    read_text(name, bytes, &meaning, format!("{backup:?}\n"))
}

fn explain(all: &[Golden]) -> String {
    let mut md = String::from(
        "# Every byte explained\n\nOffset, bytes in hexadecimal (`00*n`: n zeros), meaning. \
         Under each file stands what it decodes to.\n",
    );
    for golden in all {
        write!(md, "\n## {}\n\n```text\n", golden.name).unwrap();
        let mut at = 0;
        for (len, meaning) in &golden.pieces {
            let piece = &golden.bytes[at..at + len];
            let hex = match piece.iter().all(|&b| b == 0) && *len > 8 {
                true => format!("00*{len}"),
                false => piece.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "),
            };
            writeln!(md, "{at:06x}  {hex:<23}  {meaning}").unwrap();
            at += len;
        }
        assert_eq!(at, golden.bytes.len(), "{}: every byte is explained", golden.name);
        write!(md, "```\n\n```text\n{}```\n", golden.dump).unwrap();
    }
    md
}

/// The bytes of a golden file; with `MOON_GOLDEN=new`, made first if missing.
fn bytes_of(dir: &str, name: &str, new: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = path(dir, name);
    if !path.exists() && std::env::var("MOON_GOLDEN").is_ok_and(|v| v == "new") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, new()).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn path(dir: &str, name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "golden", dir, name].iter().collect()
}

fn check(dir: &str, all: &[Golden]) {
    let want = explain(all);
    let found = bytes_of(dir, "EXPLAINED.md", || want.clone().into_bytes());
    assert!(found == want.as_bytes(), "{dir}/EXPLAINED.md does not explain the files beside it");
}

#[test]
fn log_segment() {
    let bytes = bytes_of("wal/v3", "000000000001.wal", new_segment);
    // The writer of today makes the same bytes.
    assert_eq!(bytes, new_segment());
    check("wal/v3", &[read_segment(bytes)]);
}

#[test]
fn value_bodies() {
    let names = ["string", "hash", "list", "set", "zset", "stream", "stream2", "stream3"];
    let all: Vec<Golden> = names
        .iter()
        .zip(sample_values())
        .map(|(name, (code, body))| {
            let name = format!("{code}-{name}.bin");
            let bytes = bytes_of("value/v1", &name, || body.clone());
            assert_eq!(bytes, body, "{name}");
            read_value(&name, code, bytes)
        })
        .collect();
    check("value/v1", &all);
}

#[test]
fn text_files() {
    let bytes = bytes_of("marker/v1", "moon.storage", || sample_marker().encode().into());
    check("marker/v1", &[read_marker(bytes)]);
    let guard = bytes_of("aof/v3", "guard.manifest", || aof::encode_guard(4).into());
    let parts = bytes_of("aof/v3", "part-list.manifest", || sample_part_list().encode().into());
    let off = PartList { ended: Some(Ended { lsn: 130_000, seq: 44 }), ..sample_part_list() };
    let off = bytes_of("aof/v3", "part-list-off.manifest", || off.encode().into());
    let lists = [("part-list.manifest", parts), ("part-list-off.manifest", off)];
    let mut all = vec![read_guard(guard)];
    all.extend(lists.map(|(name, bytes)| read_part_list(name, bytes)));
    check("aof/v3", &all);
    let plan = bytes_of("salvage/v1", "salvage.plan", || sample_salvage_plan().encode().into());
    check("salvage/v1", &[read_plan(plan)]);
    let journal = bytes_of("migration/v1", "moon.moon.migrate.journal", || {
        sample_migration().encode().into()
    });
    check("migration/v1", &[read_journal(journal)]);
    let parent = BackupKind::Incremental("set-20260101T000000Z-00000001".into());
    let sets = [("backup.json", BackupKind::Full), ("incremental.json", parent)];
    let sets = sets.map(|(name, kind)| {
        read_backup(name, bytes_of("backup/v1", name, || sample_backup(kind).encode()))
    });
    check("backup/v1", &sets);
}

#[test]
fn snapshots_of_a_shard() {
    let all: Vec<Golden> = [("sample.rrdshard", false), ("zstd.rrdshard", true)]
        .map(|(name, zstd)| {
            let bytes = bytes_of("rrdshard/v4", name, || sample_snapshot(zstd));
            // What zstd makes of a block may change with its version.
            if !zstd {
                assert_eq!(bytes, sample_snapshot(false));
                assert_eq!(rewrite(&bytes), bytes);
            }
            snapshots::read(name, bytes)
        })
        .into();
    check("rrdshard/v4", &all);
    for version in 1..=3 {
        let dir = format!("rrdshard/v{version}");
        let bytes = bytes_of(&dir, "sample.rrdshard", || old_snapshot(version));
        check(&dir, &[snapshots::read("sample.rrdshard", bytes)]);
    }
    for version in 1..=2 {
        let dir = format!("moon/v{version}");
        let bytes = bytes_of(&dir, "sample.rdb", || moon_snapshot(version));
        check(&dir, &[snapshots::read("sample.rdb", bytes)]);
    }
}

#[test]
fn shard_manifests() {
    let files = [
        (3, "three-commits.manifest", sample_shard_manifest()),
        (2, "shard-0.manifest", old_shard_manifest(2, 71)),
        (1, "shard-0.manifest", old_shard_manifest(1, 3)),
    ];
    for (version, name, new) in files {
        let dir = format!("shard_manifest/v{version}");
        let bytes = bytes_of(&dir, name, || new.clone());
        assert_eq!(bytes, new);
        check(&dir, &[manifests::read(name, bytes)]);
    }
}
