//! Change events: whatever a record holds, what comes out is JSON.

use crate::cdc::{At, Changes, Encoder, Format, Unit};
use crate::wal::{Record, RecordType, record_flags};

/// Turns a record into envelopes; also takes the bytes as a payload of each type, past the CRC.
pub fn cdc_events(data: &[u8]) {
    if let Ok(record) = Record::decode(data, 0)
        && let Ok(payload) = record.raw_payload()
    {
        check(record.code, record.flags, record.db, &payload);
    }
    for &rtype in RecordType::ALL {
        for flags in [0, record_flags::EFFECT_META] {
            check(rtype.code(), flags, 0, data);
        }
    }
}

fn check(code: u8, flags: u8, db: u16, payload: &[u8]) {
    let Ok(changes) = Changes::of(code, flags, db, payload) else { return };
    let at = At { lsn: u64::MAX, previous: 0, wall_us: i64::MIN };
    let all = changes.list.len();
    for (i, change) in changes.list.iter().enumerate().take(100) {
        for (format, before) in [(Format::Debezium, true), (Format::Raw, false)] {
            let encoder =
                Encoder { name: "n".into(), shard: 1, epoch: 1, format, before, now_ms: 0 };
            let unit = Unit { gtid: changes.gtid, changes: all, order: i + 1, order_in_db: 1 };
            let mut out = Vec::new();
            encoder.put_change(&mut out, change, &at, &unit);
            assert!(is_json(&out), "{}", out.escape_ascii());
        }
    }
}

/// Whether bytes are one value of JSON and nothing else.
pub fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| value(text).is_some_and(str::is_empty))
}

/// Takes a value off the front; this crate writes no white space.
fn value(text: &str) -> Option<&str> {
    match text.as_bytes().first()? {
        b'"' => string(text),
        b'{' => items(text, '}', |text| value(string(text)?.strip_prefix(':')?)),
        b'[' => items(text, ']', value),
        b'-' | b'0'..=b'9' => {
            let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
            let rest = text.trim_start_matches(is_part);
            text.get(..text.len() - rest.len())?.parse::<f64>().ok()?;
            Some(rest)
        }
        _ => ["null", "true", "false"].iter().find_map(|word| text.strip_prefix(word)),
    }
}

fn items<'t>(
    text: &'t str,
    end: char,
    item: impl Fn(&'t str) -> Option<&'t str>,
) -> Option<&'t str> {
    let mut rest = text.get(1..)?;
    if let Some(behind) = rest.strip_prefix(end) {
        return Some(behind);
    }
    loop {
        rest = item(rest)?;
        if let Some(behind) = rest.strip_prefix(end) {
            return Some(behind);
        }
        rest = rest.strip_prefix(',')?;
    }
}

fn string(text: &str) -> Option<&str> {
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some(chars.as_str()),
            '\\' => match chars.next()? {
                'u' => {
                    for _ in 0..4 {
                        chars.next()?.to_digit(16)?;
                    }
                }
                c if "\"\\/bfnrt".contains(c) => {}
                _ => return None,
            },
            c if u32::from(c) < 0x20 => return None,
            _ => {}
        }
    }
}
