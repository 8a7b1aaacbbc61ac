//! `wal header`: the first block of a segment, field by field.

use std::path::Path;

use moon_formats::DecodeError;
use moon_formats::names;
use moon_formats::time::utc;
use moon_formats::wal::body::Payload;
use moon_formats::wal::{
    Cut, HEADER_FIELDS, HEADER_LEN, Record, SegmentHeader, UnverifiedHeader, header_flags,
};

use crate::fail::{DAMAGE, Failure, SOUND, worse};
use crate::logs::{Files, LogDir};
use crate::out::{Fields, Out, Value};

/// Bytes read: header and cut.
const OPENING_BYTES: usize = 4096;

/// Names of the flags that are set.
pub(super) fn flag_names(flags: u8) -> Vec<&'static str> {
    [
        (header_flags::FPI_ENABLED, "FPI_ENABLED"),
        (header_flags::COMPRESSED, "COMPRESSED"),
        (header_flags::R1, "R1"),
        (header_flags::REWIND, "REWIND"),
        (header_flags::AFTER_CRASH, "AFTER_CRASH"),
        (header_flags::FORK, "FORK"),
    ]
    .into_iter()
    .filter(|(bit, _)| flags & bit != 0)
    .map(|(_, name)| name)
    .collect()
}

/// Headers of all segments of a log, or of the one asked for.
pub(super) fn run(files: &Files, log: &LogDir, out: &mut Out<'_>) -> Result<u8, Failure> {
    let mut code = SOUND;
    for entry in files.list(&log.dir)? {
        let seq = names::parse_wal_segment(&entry.name);
        if !entry.is_dir && seq.is_some() && log.only.is_none_or(|only| seq == Some(only)) {
            code = worse(code, file(files, &log.dir.join(&entry.name), seq, out)?);
        }
    }
    Ok(code)
}

/// What the name must agree with.
fn name_problem(header: &SegmentHeader, seq: Option<u64>) -> Option<String> {
    let seq = seq.filter(|seq| header.is_r1() && header.segment_seq != *seq)?;
    Some(format!("segment_seq {} is not that of the name, {seq}", header.segment_seq))
}

fn decode_cut(bytes: &[u8]) -> Result<Cut, DecodeError> {
    let record = Record::decode(bytes.get(HEADER_LEN..).unwrap_or_default(), HEADER_LEN as u64)?;
    Cut::decode(record.payload, record.flags, record.payload_offset())
}

/// The header of one file.
pub(super) fn file(
    files: &Files,
    path: &Path,
    seq: Option<u64>,
    out: &mut Out<'_>,
) -> Result<u8, Failure> {
    let (bytes, size) = files.head(path, OPENING_BYTES)?;
    let seq = seq.or_else(|| names::parse_wal_segment(path.file_name()?.to_str()?));
    let unverified = match UnverifiedHeader::parse(&bytes, 0) {
        Ok(header) => header,
        Err(e) if seq.is_none() => return Err(Failure::not_ours(path, &e.to_string())),
        Err(e) if e.is_newer() => {
            return Err(Failure::environment(format!("{}: {e}", path.display())));
        }
        Err(e) => return Err(Failure::damage(damaged(path, &e.to_string()))),
    };
    let verdict = unverified.verify();
    let header = verdict.as_ref().ok();
    let problem = match &verdict {
        Err(e) => Some(e.to_string()),
        Ok(header) => name_problem(header, seq),
    };
    let cut = header.filter(|h| h.is_r1() && h.has_cut()).map(|_| decode_cut(&bytes));
    let problem = problem.or_else(|| Some(cut.as_ref()?.as_ref().err()?.to_string()));

    let mut rows = Vec::new();
    let mut text = vec![format!("{} ({size} bytes)", path.display())];
    for &(offset, len, name) in HEADER_FIELDS {
        let raw = bytes.get(offset..offset + len).unwrap_or_default();
        let (value, shown) = field(name, raw);
        text.push(format!("  {offset:>3} {len:>2}  {name:<14} {shown}"));
        rows.push(Value::Map(vec![
            ("offset", (offset as u64).into()),
            ("bytes", (len as u64).into()),
            ("name", name.into()),
            ("value", value),
        ]));
    }
    let mut fields: Fields = vec![
        ("file", path.into()),
        ("file_bytes", size.into()),
        ("reference", header.is_some_and(|h| !h.is_r1()).into()),
        ("fields", rows.into()),
    ];
    if let Some(Ok(cut)) = &cut {
        text.push(format!("  {HEADER_LEN:>3}     cut: {cut} ({})", utc(cut.wall_us)));
        let cut = vec![
            ("offset", (HEADER_LEN as u64).into()),
            ("keep_lsn", cut.keep_lsn.into()),
            ("max_seen_lsn", cut.max_seen_lsn.into()),
            ("reason", format!("{:?}", cut.reason).into()),
            ("wall_us", cut.wall_us.into()),
        ];
        fields.push(("cut", cut.into()));
    }
    if let Some(header) = header.filter(|h| !h.is_r1()) {
        text.push(format!("  written by a reference server, shard {}", header.shard_id));
    }
    fields.push(("error", problem.as_deref().into()));
    if let Some(problem) = &problem {
        text.push(format!("  {}", damaged(path, problem)));
    }
    out.item("header", fields, &text.join("\n"));
    match &verdict {
        Err(e) if e.is_newer() => Err(Failure::environment(format!(
            "{}: {e}; nothing is damaged: use the moon-inspect of that version",
            path.display()
        ))),
        _ => Ok(if problem.is_some() { DAMAGE } else { SOUND }),
    }
}

fn damaged(path: &Path, problem: &str) -> String {
    format!("damaged: {}: {problem}; restore the file from a backup or a replica", path.display())
}

/// A field as a value and as text.
fn field(name: &str, raw: &[u8]) -> (Value, String) {
    if name == "magic" {
        return (raw.into(), raw.escape_ascii().to_string());
    }
    let number = raw.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let shown = match name {
        "flags" => {
            let names = flag_names(number as u8);
            format!("{number:#04x} {}", names.join("|"))
        }
        "align_log2" if (12..=24).contains(&number) => {
            format!("{number} ({} bytes)", 1u64 << number)
        }
        "prev_tail_crc" | "header_crc" => format!("{number:08x}"),
        "features" => format!("{number:#x}"),
        _ => number.to_string(),
    };
    (number.into(), shown.trim_end().to_owned())
}
