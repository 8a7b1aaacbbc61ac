//! `rdb verify`: every checksum, every value, and what the part list says of a base.

use std::ops::ControlFlow;

use moon_formats::DecodeError;
use moon_formats::rrdshard::{Head, section};

use super::source::{End, Item, format_name, read};
use super::{ADVICE, Snapshot};
use crate::fail::{DAMAGE, Failure, SOUND};
use crate::logs::Files;
use crate::out::{Fields, Out};

/// Checks what a section means, if it is known.
fn section(s: &moon_formats::rrdshard::Section<'_>) -> Result<(), DecodeError> {
    if !section::is_known(s.section, s.version) {
        return Ok(());
    }
    match s.section {
        section::FUNCTIONS => section::read_functions(s.payload, s.offset).map(drop),
        section::CDC_SLOTS => section::read_slots(s.payload, s.offset).map(drop),
        section::REPLICATION => section::Replication::read(s.payload, s.offset).map(drop),
        _ => section::read_files(s.payload, s.offset).map(drop),
    }
}

/// What disagrees between a base and the part list, or its name.
fn disagreement(snapshot: &Snapshot, head: Option<&Head>, end: &End, bytes: u64) -> Option<String> {
    if let (Some(shard), Some(head)) = (snapshot.shard, head)
        && head.extension.is_some()
        && head.preamble.shard_id != shard
    {
        return Some(format!(
            "it is of shard {}, its directory of {shard}",
            head.preamble.shard_id
        ));
    }
    let base = snapshot.listed.base()?;
    let Some((summary, head)) = end.summary.zip(head) else {
        return Some("the part list names it, but it is not a base".into());
    };
    let say = |what, found: String, listed: String| {
        (found != listed).then(|| format!("{what} {found}, the part list says {listed}"))
    };
    let seq = head.extension.map_or(0, |e| e.base_seq);
    say("base_seq", seq.to_string(), base.seq.to_string())
        .or_else(|| say("cut", head.preamble.last_lsn.to_string(), base.cut.to_string()))
        .or_else(|| say("bytes", bytes.to_string(), base.bytes.to_string()))
        .or_else(|| say("crc", format!("{:08x}", summary.crc), format!("{:08x}", base.crc)))
}

pub(super) fn run(files: &Files, snapshot: &Snapshot, out: &mut Out<'_>) -> Result<u8, Failure> {
    let path = &snapshot.path;
    let (_, bytes) = files.head(path, 1)?;
    let (mut head, mut format) = (None, None);
    let (mut keys, mut expires, mut cold) = (0u64, 0u64, 0u64);
    let mut broken = None;
    let read = read(files, path, &mut |_, item| {
        match item {
            Item::Head(h) => (head, format) = (Some(h), Some(kind(&h))),
            Item::ForeignHead(f) => format = Some(format_name(f)),
            Item::Key(key) => {
                keys += 1;
                expires += u64::from(key.expire_ms.is_some());
                cold += u64::from(key.value().is_none());
            }
            Item::Section(s) => broken = section(&s).err(),
            Item::Range(_) | Item::Aux(..) | Item::Function(_) => {}
        }
        match broken {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    });
    let format = format.unwrap_or_else(|| "unknown".into());
    let what = match (read, broken) {
        (Err(failure), _) if failure.code != DAMAGE => return Err(failure),
        (Err(failure), _) => Err(failure.message),
        (Ok(_), Some(e)) => Err(format!("{}: {e}; {ADVICE}", path.display())),
        (Ok(None), None) => return Ok(SOUND),
        (Ok(Some(end)), None) => match disagreement(snapshot, head.as_ref(), &end, bytes) {
            Some(what) => Err(format!("{}: {what}; {ADVICE}", path.display())),
            None => Ok(end),
        },
    };
    let mut fields: Fields = vec![
        ("result", if what.is_ok() { "sound" } else { "damaged" }.into()),
        ("file", path.as_path().into()),
        ("format", format.as_str().into()),
        ("listed", snapshot.listed.name().into()),
        ("file_bytes", bytes.into()),
        ("keys", keys.into()),
        ("expires", expires.into()),
        ("cold", cold.into()),
    ];
    match what {
        Ok(end) => {
            fields.push(("checksum", end.checked.into()));
            fields.push(("last_lsn", head.map(|h| h.preamble.last_lsn).into()));
            fields.push(("blocks", end.summary.map(|s| s.blocks).into()));
            fields.push(("sections", end.summary.map(|s| s.sections).into()));
            let crc = end.summary.map(|s| format!("{:08x}", s.crc));
            fields.push(("crc", crc.into()));
            let mut text = format!(
                "sound: {}: {format}, {keys} keys, {expires} with expiry, {cold} cold, {bytes} bytes",
                path.display()
            );
            if let Some(s) = end.summary {
                text.push_str(&format!(
                    ", {} blocks, {} sections, crc {:08x}",
                    s.blocks, s.sections, s.crc
                ));
            }
            if !end.checked {
                text.push_str("; it was written without a checksum");
            }
            if end.bytes < bytes {
                text.push_str(&format!("; {} bytes of something else follow", bytes - end.bytes));
            }
            out.item("snapshot", fields, &text);
            Ok(SOUND)
        }
        Err(message) => {
            fields.push(("error", message.as_str().into()));
            out.item("snapshot", fields, &format!("damaged: {message}"));
            Ok(DAMAGE)
        }
    }
}

/// Name and version of a file of ours.
pub(super) fn kind(head: &Head) -> String {
    match head.form {
        moon_formats::rrdshard::Form::Rrdshard => format!("RRDSHARD {}", head.preamble.version),
        moon_formats::rrdshard::Form::Moon => format!("MOON {}", head.preamble.version),
    }
}
