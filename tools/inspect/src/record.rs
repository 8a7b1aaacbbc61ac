//! One record as a line or an object, and the filters on records.

use std::fmt::Write as _;

use moon_formats::DecodeError;
use moon_formats::wal::body::{Op, SubRecord};
use moon_formats::wal::{
    Body, Command, DB_NONE, EffectMeta, Kind, Record, RecordType, record_flags,
};
use moon_storage::scan::Position;

use crate::cli::Filter;
use crate::fail::Failure;
use crate::out::{Fields, Out, Value, hex_dump};

/// Bytes of an argument shown to a person without `--full`.
const SHOWN_MAX: usize = 64;
/// Characters of any other content shown without `--full`.
const TEXT_MAX: usize = 1024;

/// A key given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) Vec<u8>);

/// Reads a key with the escapes of the output.
pub(crate) fn parse_key(text: &str) -> Result<Key, String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'\\' {
            out.push(b);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(c @ (b'\\' | b'"' | b'\'')) => out.push(c),
            Some(b'x') => {
                let mut digit = || bytes.next().and_then(|c| char::from(c).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
                    _ => return Err("\\x needs two hexadecimal digits".into()),
                }
            }
            _ => return Err("escapes are \\n \\r \\t \\\\ \\\" \\' \\xNN".into()),
        }
    }
    Ok(Key(out))
}

/// Reads a record type: name or code.
pub(crate) fn parse_type(text: &str) -> Result<u8, String> {
    let by_name = RecordType::ALL.iter().find(|t| t.name().eq_ignore_ascii_case(text));
    let code = match (by_name, text.strip_prefix("0x")) {
        (Some(t), _) => Some(t.code()),
        (None, Some(hex)) => u8::from_str_radix(hex, 16).ok(),
        (None, None) => text.parse().ok(),
    };
    code.ok_or_else(|| {
        let names: Vec<&str> =
            RecordType::ALL.iter().filter(|t| !t.is_control()).map(|t| t.name()).collect();
        format!("no record type; types are {} or a code such as 0x20", names.join(", "))
    })
}

/// Name of a type code.
pub(crate) fn type_name(code: u8) -> String {
    RecordType::from_code(code).map_or_else(|| format!("{code:#04x}"), |t| t.name().to_owned())
}

/// Names of the flags that are set.
pub(crate) fn flag_names(flags: u8) -> Vec<&'static str> {
    [
        (record_flags::LZ4, "LZ4"),
        (record_flags::ZSTD, "ZSTD"),
        (record_flags::EFFECT_META, "EFFECT_META"),
        (record_flags::INTERNAL, "INTERNAL"),
    ]
    .into_iter()
    .filter(|(bit, _)| flags & bit != 0)
    .map(|(_, name)| name)
    .collect()
}

/// Decodes a record and hands its body on; the payload is unpacked first if need be. `None`:
/// a type that this version may skip.
pub(crate) fn with_body<T>(
    record: &Record<'_>,
    f: impl FnOnce(Option<&Body<'_>>) -> T,
) -> Result<T, DecodeError> {
    let rtype = match record.kind()? {
        Kind::Known(rtype) => rtype,
        Kind::Skippable(_) => return Ok(f(None)),
    };
    let payload = record.raw_payload()?;
    let body = Body::decode(rtype, record.flags, &payload, record.payload_offset())?;
    Ok(f(Some(&body)))
}

/// Whether a body names `key`.
fn names_key(body: &Body<'_>, key: &[u8]) -> bool {
    let op = |op: &Op<'_>| match op {
        Op::Set { key: k, .. } | Op::Del { key: k } => *k == key,
    };
    let sub = |s: &SubRecord<'_>| s.body().is_ok_and(|b| names_key(&b, key));
    match body {
        Body::Command(c) => {
            c.effects().flatten().any(|e| e.args.iter().skip(1).any(|arg| *arg == key))
        }
        Body::VectorUpsert(b) => b.key == key,
        Body::VectorDelete(b) => b.key == key,
        Body::TemporalUpsert(b) => b.key == key,
        Body::Spill(b) => b.entries.iter().any(|(k, _)| *k == key),
        Body::XactCommitV1(b) => b.ops.iter().any(op),
        Body::XactCommit(b) => b.ops.iter().any(op),
        // Units do not nest, so this recursion is one level deep.
        Body::Xact(b) => b.subs.iter().any(sub),
        Body::XactPart(b) => b.subs.iter().any(sub),
        Body::MqCreate(b) => b.queue.key == key,
        Body::MqAck(b) => b.queue.key == key,
        Body::MqPush(b) => b.queue.key == key,
        Body::MqPop(b) => b.queue.key == key,
        Body::MqDrop(b) => b.queue.key == key,
        Body::MqTrigger(b) => b.trigger_key == key || b.queue_key == key,
        Body::Pad(_)
        | Body::BatchHead(_)
        | Body::SegmentEnd(_)
        | Body::Cut(_)
        | Body::FullPageImage(_)
        | Body::Checkpoint(_)
        | Body::RestorePoint(_)
        | Body::VectorTxnCommit(_)
        | Body::VectorTxnAbort(_)
        | Body::VectorCheckpoint(_)
        | Body::GraphTemporal(_)
        | Body::TemporalAnchor(_)
        | Body::FileCreate(_)
        | Body::FileDelete(_)
        | Body::FileTierChange(_)
        | Body::XactBegin(_)
        | Body::XactAbort(_)
        | Body::WorkspaceCreate(_)
        | Body::WorkspaceDrop(_) => false,
    }
}

impl Filter {
    /// Codes of the types that were asked for; refuses those that no record has.
    pub(crate) fn record_types(&self) -> Result<Vec<u8>, Failure> {
        self.types.iter().map(|name| parse_type(name).map_err(Failure::usage)).collect()
    }

    /// Whether a record is to be printed. One that cannot be decoded is, with its error, unless
    /// a key is asked for. `types` are those of [`Filter::record_types`].
    pub(crate) fn takes(&self, record: &Record<'_>, types: &[u8]) -> bool {
        if !types.is_empty() && !types.contains(&record.code) {
            return false;
        }
        match &self.key {
            None => true,
            Some(key) => with_body(record, |body| body.is_some_and(|b| names_key(b, &key.0)))
                .unwrap_or(false),
        }
    }
}

/// Quotes bytes as the log's own printing does, cut at `max`.
pub(crate) fn quoted(bytes: &[u8], max: usize) -> String {
    match bytes.get(..max) {
        Some(head) if bytes.len() > max => {
            format!("\"{}\"...(+{} bytes)", head.escape_ascii(), bytes.len() - max)
        }
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// The effects of a command record, cut to what a person wants to see.
fn command_text(command: &Command<'_>, max: usize) -> String {
    let mut out = String::new();
    for (i, effect) in command.effects().enumerate() {
        if i > 0 {
            out.push_str("; ");
        }
        let effect = match effect {
            Ok(effect) => effect,
            Err(e) => {
                let _ = write!(out, "<{e}>");
                continue;
            }
        };
        let args: Vec<String> = effect.args.iter().map(|arg| quoted(arg, max)).collect();
        out.push_str(&args.join(" "));
        for meta in &effect.metas {
            let _ = write!(out, "{meta}");
        }
    }
    out
}

fn body_text(body: Option<&Body<'_>>, full: bool) -> String {
    let max = if full { usize::MAX } else { SHOWN_MAX };
    let mut text = match body {
        None => "of a newer Moon, to be skipped".to_owned(),
        Some(Body::Command(command)) => return command_text(command, max),
        Some(body) => body.to_string(),
    };
    if !full && let Some((cut, _)) = text.char_indices().nth(TEXT_MAX) {
        let rest = text.len() - cut;
        text.truncate(cut);
        let _ = write!(text, "...(+{rest})");
    }
    text
}

/// What an effect did to a key.
fn meta_fields(meta: &EffectMeta<'_>) -> Fields {
    let mut fields: Fields = Vec::new();
    if let Some(place) = meta.place {
        fields.push(("word", place.word.into()));
        fields.push(("db", place.db.into()));
    }
    fields.push(("created", meta.created.into()));
    fields.push(("removed", meta.removed.into()));
    for (name, on) in [("expired", meta.expired), ("evicted", meta.evicted)] {
        if on {
            fields.push((name, on.into()));
        }
    }
    if let Some(image) = meta.before {
        let mut before: Fields = vec![("type", image.kind.into())];
        if let Some(ms) = image.ttl_ms {
            before.push(("ttl_ms", ms.into()));
        }
        before.push(("body", image.body.map(Value::from).into()));
        fields.push(("before", before.into()));
    }
    fields
}

/// The effects of a command record as objects.
fn commands_value(command: &Command<'_>) -> Value {
    let effects = command.effects().map(|effect| {
        let effect = match effect {
            Ok(effect) => effect,
            Err(e) => return Value::Map(vec![("error", e.to_string().into())]),
        };
        let args: Vec<Value> = effect.args.iter().map(|a| Value::from(*a)).collect();
        let mut fields: Fields = vec![("args", args.into())];
        match &*effect.metas {
            [] => {}
            [meta] if meta.place.is_none() => fields.extend(meta_fields(meta)),
            metas => {
                let keys: Vec<Value> = metas.iter().map(|m| meta_fields(m).into()).collect();
                fields.push(("keys", keys.into()));
            }
        }
        fields.into()
    });
    Value::List(effects.collect())
}

/// Prints a record.
pub(crate) fn print(out: &mut Out<'_>, shard: u16, r: &Record<'_>, at: Position, filter: &Filter) {
    let db = (r.db != DB_NONE).then_some(r.db);
    if out.is_json() {
        let flags: Vec<Value> = flag_names(r.flags).into_iter().map(Value::from).collect();
        let mut fields: Fields = vec![
            ("shard", shard.into()),
            ("lsn", r.lsn.into()),
            ("segment", at.seq.into()),
            ("offset", at.offset.into()),
            ("type", type_name(r.code).into()),
            ("code", r.code.into()),
            ("flags", flags.into()),
            ("db", db.into()),
            ("bytes", (r.record_len() as u64).into()),
            ("crc", format!("{:08x}", r.crc).into()),
        ];
        let body = with_body(r, |body| match body {
            Some(Body::Command(command)) => ("commands", commands_value(command)),
            body => ("text", body_text(body, true).into()),
        });
        fields.push(body.unwrap_or_else(|e| ("error", e.to_string().into())));
        if filter.hex {
            let hex: String = r.payload.iter().map(|b| format!("{b:02x}")).collect();
            fields.push(("payload_hex", hex.into()));
        }
        out.item("record", fields, "");
        return;
    }
    let body = with_body(r, |body| body_text(body, filter.full))
        .unwrap_or_else(|e| format!("<cannot be decoded: {e}>"));
    let db = db.map_or_else(|| "-".to_owned(), |db| db.to_string());
    let mut text = format!("{} {}:{} db={db} {}", r.lsn, at.seq, at.offset, type_name(r.code));
    let flags = flag_names(r.flags & !record_flags::EFFECT_META);
    if !flags.is_empty() {
        let _ = write!(text, " [{}]", flags.join("|"));
    }
    let _ = write!(text, " {body}");
    if filter.hex {
        text.push_str(&hex_dump(r.payload, r.payload_offset()));
    }
    out.item("record", vec![], &text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use moon_formats::resp::encode_command;
    use moon_formats::value::StreamId;
    use moon_formats::wal::Payload;
    use moon_formats::wal::body::{MqAck, Queue, TemporalUpsert, Xact};

    #[test]
    fn keys_read_what_the_output_prints() {
        let key: Vec<u8> = (0..=255).collect();
        let printed = quoted(&key, usize::MAX);
        let inner = &printed[1..printed.len() - 1];
        assert_eq!(parse_key(inner), Ok(Key(key)));
        for bad in ["\\", "\\q", "\\x0", "\\xzz"] {
            assert!(parse_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn types_have_names_and_codes() {
        assert_eq!(parse_type("command"), Ok(1));
        assert_eq!(parse_type("0xC1"), Ok(0xc1));
        assert_eq!(parse_type("32"), Ok(0x20));
        assert!(parse_type("Comand").unwrap_err().contains("Checkpoint"));
    }

    #[test]
    fn long_arguments_are_cut() {
        assert_eq!(quoted(b"abcd", 4), "\"abcd\"");
        assert_eq!(quoted(b"abcde", 4), "\"abcd\"...(+1 bytes)");
    }

    #[test]
    fn keys_are_found_in_every_plane() {
        let mut resp = Vec::new();
        encode_command(&mut resp, [&b"SET"[..], b"k", b"v"].into_iter());
        let command = Body::Command(Command::new(&resp));
        assert!(names_key(&command, b"k"));
        assert!(!names_key(&command, b"SET"));
        let temporal = TemporalUpsert { key: b"t", valid_from: 0, system_from: 0, value: b"" };
        let mut payload = Vec::new();
        temporal.put(&mut payload);
        let subs = vec![
            SubRecord::new(RecordType::Command, 0, 0, &resp),
            SubRecord::new(RecordType::TemporalUpsert, 0, 0, &payload),
        ];
        let unit = Body::Xact(Xact { txn_id: 1, subs });
        assert!(names_key(&unit, b"k") && names_key(&unit, b"t") && !names_key(&unit, b"x"));
        let ack = Body::MqAck(MqAck {
            queue: Queue { db: 0, key: b"q" },
            id: StreamId { ms: 1, seq: 2 },
        });
        assert!(names_key(&ack, b"q") && !names_key(&ack, b"k"));
    }
}
