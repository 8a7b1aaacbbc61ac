//! Every record type: it comes back, it is complete, it has one form.

use super::*;
use crate::testing::sample_bodies;
use crate::wal::record::Kind;

fn payload(body: &Body<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    body.put(&mut out);
    out
}

#[test]
fn there_is_a_sample_of_every_type() {
    let types: Vec<RecordType> = sample_bodies().iter().map(Body::record_type).collect();
    assert_eq!(types, RecordType::ALL);
}

#[test]
fn samples_come_back_in_a_record() {
    for body in sample_bodies() {
        let mut out = Vec::new();
        let code = body.record_type().code();
        crate::wal::put_record(&mut out, 9, code, body.flags(), 1, &payload(&body));
        let record = Record::decode(&out, 0).unwrap();
        assert_eq!(record.kind(), Ok(Kind::Known(body.record_type())));
        let again = Body::of(&record, body.record_type()).unwrap();
        assert_eq!(payload(&again), payload(&body));
        assert_eq!(again.to_string(), body.to_string());
    }
}

/// A payload cut short, or one byte too long, is an error or one of the older, shorter forms;
/// what decodes encodes to the same bytes.
#[test]
fn prefixes_are_errors_or_older_forms() {
    for body in sample_bodies() {
        let (rtype, flags) = (body.record_type(), body.flags());
        let mut whole = payload(&body);
        whole.push(0xee);
        let mut accepted = 0;
        for cut in (0..whole.len() - 1).chain([whole.len()]) {
            let Some(bytes) = whole.get(..cut) else { continue };
            if let Ok(b) = Body::decode(rtype, flags, bytes, 0) {
                assert_eq!(payload(&b), bytes, "{} cut at {cut}", rtype.name());
                accepted += 1;
            }
        }
        let older = match rtype {
            // Anything goes: checked when the parts are read.
            RecordType::Command | RecordType::Pad | RecordType::FullPageImage => continue,
            RecordType::Checkpoint | RecordType::GraphTemporal | RecordType::WorkspaceCreate => 1,
            _ => 0,
        };
        assert_eq!(accepted, older, "{}", rtype.name());
    }
}

#[test]
fn older_versions_and_newer_ones() {
    let mut v1 = payload(&Body::MqCreate(MqCreate {
        queue: Queue { db: 0, key: b"q" },
        max_delivery: 3,
        settings: None,
    }));
    assert_eq!(v1[0], 1);
    assert!(Body::decode(RecordType::MqCreate, 0, &v1, 0).is_ok());
    v1[0] = 3;
    assert!(Body::decode(RecordType::MqCreate, 0, &v1, 0).unwrap_err().is_newer());
    v1[0] = 0;
    assert!(!Body::decode(RecordType::MqCreate, 0, &v1, 0).unwrap_err().is_newer());
}

#[test]
fn units_do_not_nest_and_hold_data_only() {
    for (code, flags, newer) in [
        (RecordType::Xact.code(), 0, false),
        (RecordType::XactPart.code(), 0, false),
        (RecordType::Pad.code(), 0, false),
        (RecordType::Command.code(), record_flags::ZSTD, false),
        (RecordType::Command.code(), 0x80, true),
        (0x7f, 0, true),
        (0xc0, 0, true),
    ] {
        let mut p = Vec::new();
        p.extend_from_slice(&1u64.to_le_bytes());
        p.extend_from_slice(&1u32.to_le_bytes());
        p.extend_from_slice(&[code, flags, 0, 0, 0, 0, 0, 0]);
        let e = Body::decode(RecordType::Xact, 0, &p, 0).unwrap_err();
        assert_eq!(e.is_newer(), newer, "{code:#x} {flags:#x}: {e}");
    }
}

#[test]
fn compressed_records_are_unpacked() {
    let body = sample_bodies().remove(0);
    let mut packed = Vec::new();
    crate::compress::pack_zstd(&mut packed, &payload(&body), 1);
    let flags = record_flags::ZSTD | body.flags();
    let mut out = Vec::new();
    crate::wal::put_record(&mut out, 9, 1, flags, 1, &packed);
    let record = Record::decode(&out, 0).unwrap();
    assert!(Body::of(&record, RecordType::Command).is_err());
    let raw = record.raw_payload().unwrap();
    let again = Body::decode(RecordType::Command, flags, &raw, 0).unwrap();
    assert_eq!(again.to_string(), body.to_string());
    let both = Record { flags: 3, ..record };
    assert!(both.raw_payload().is_err());
}

#[test]
fn text_of_every_type() {
    let text: String =
        sample_bodies().iter().map(|b| format!("{} {b}\n", b.record_type().name())).collect();
    for line in [
        r#"Command "SET" "k" "v" +created; "DEL" "h" +removed +before(type 0, 8 bytes)"#,
        "BatchHead seq=1 bytes=200 records=2 lsn=8..=9 durable=7 wall_us=1700000000000000 mono_us=1700000000000001",
        "Cut keep=7 max_seen=9 reason=SyncFailed wall_us=1700000000000000",
        "Checkpoint redo_lsn=7 base_seq=3 base_crc=1a2b3c4d kind=CleanShutdown",
        r#"XactPart gtid=5 participants=[0, 3] [Command db=1 "DEL" "k"]"#,
        "WorkspaceDrop ws=018f2a3b-4c5d-7e6f-8091-a2b3c4d5e6f7",
        r#"MqPop queue=2/"jobs" last=5-1 5-1x1 dead 4-0->4-1 delivery_ms=1000 seen_ms=1001"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\nnot in\n{text}");
    }
}
