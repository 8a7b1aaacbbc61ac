//! `wal ls`: the files of a log.

use moon_formats::names;
use moon_formats::wal::{SegmentHeader, UnverifiedHeader};
use moon_storage::scan::{EndKind, LogEnd, ScanError, Verify};

use crate::fail::{Failure, SOUND};
use crate::logs::{Files, LogDir, scan_log};
use crate::out::{Fields, Out, Value};

use super::header::flag_names;

/// What a segment is to the log.
fn state(log: &LogDir, end: Option<&LogEnd>, header: &SegmentHeader, seq: u64) -> &'static str {
    if !header.is_r1() {
        return "reference";
    }
    let is_old = log.parts.as_ref().is_some_and(|p| seq < p.log_from_seq);
    let info = end.and_then(|e| e.segments.iter().find(|s| s.seq == seq));
    match info {
        _ if is_old || log.only.is_some_and(|only| seq < only) => "old",
        Some(info) if info.recyclable => "live",
        Some(_) => "void",
        None => "unread",
    }
}

pub(super) fn run(files: &Files, log: &LogDir, out: &mut Out<'_>) -> Result<u8, Failure> {
    let (end, failure) = match scan_log(files, &log.dir, &log.options(), &mut Verify) {
        Ok(end) => (Some(end), None),
        // The files can be listed all the same.
        Err(e @ (ScanError::Reference { .. } | ScanError::Newer { .. })) => (None, Some(e)),
        Err(e) => return Err(e.into()),
    };
    out.text(&format!(
        "{:<22}{:>8}{:>10}{:>7}{:>16}{:>16}{:>14}{:>12}  flags",
        "file", "version", "state", "epoch", "base lsn", "last lsn", "bytes", "recyclable"
    ));
    for entry in files.list(&log.dir)? {
        let seq = names::parse_wal_segment(&entry.name).filter(|_| !entry.is_dir);
        if log.only.is_some() && seq != log.only {
            continue;
        }
        let path = log.dir.join(&entry.name);
        match seq {
            Some(seq) => segment(files, log, end.as_ref(), &path, seq, entry.bytes, out)?,
            None => {
                let role = match names::is_temporary(&entry.name) {
                    true => "temporary",
                    false if entry.is_dir && names::parse_timeline_dir(&entry.name).is_some() => {
                        "timeline"
                    }
                    false if entry.is_dir && names::parse_salvage_dir(&entry.name).is_some() => {
                        "salvage"
                    }
                    false => "foreign",
                };
                let fields: Fields = vec![
                    ("shard", log.shard.into()),
                    ("file", path.as_path().into()),
                    ("state", role.into()),
                    ("file_bytes", entry.bytes.into()),
                ];
                let text = format!(
                    "{:<22}{:>8}{role:>10}{:>7}{:>16}{:>16}{:>14}{:>12}",
                    entry.name, "-", "-", "-", "-", entry.bytes, "-"
                );
                out.item("file", fields, &text);
            }
        }
    }
    if let Some(e) = failure {
        return Err(e.into());
    }
    match end {
        Some(end) if matches!(end.kind, EndKind::Hole(_)) => super::report_end(&end),
        _ => Ok(SOUND),
    }
}

fn segment(
    files: &Files,
    log: &LogDir,
    end: Option<&LogEnd>,
    path: &std::path::Path,
    seq: u64,
    bytes: u64,
    out: &mut Out<'_>,
) -> Result<(), Failure> {
    let name = names::wal_segment(seq);
    let (head, _) = files.head(path, 64)?;
    let header = match UnverifiedHeader::parse(&head, 0).and_then(UnverifiedHeader::verify) {
        Ok(header) => header,
        Err(e) => {
            let state = if e.is_newer() { "newer" } else { "bad" };
            let fields: Fields = vec![
                ("shard", log.shard.into()),
                ("file", path.into()),
                ("seq", seq.into()),
                ("state", state.into()),
                ("file_bytes", bytes.into()),
                ("error", e.to_string().into()),
            ];
            let text = format!(
                "{name:<22}{:>8}{state:>10}{:>7}{:>16}{:>16}{bytes:>14}{:>12}  {e}",
                "-", "-", "-", "-", "-"
            );
            out.item("segment", fields, &text);
            return Ok(());
        }
    };
    let state = state(log, end, &header, seq);
    let info = end.and_then(|e| e.segments.iter().find(|s| s.seq == seq));
    let last = info.filter(|i| i.last_lsn >= i.base_lsn).map(|i| i.last_lsn);
    let recyclable = info.map(|i| i.recyclable);
    let version = if header.is_r1() { "3+R1" } else { "3" };
    let flags = flag_names(header.flags);
    let names: Vec<Value> = flags.iter().map(|f| Value::from(*f)).collect();
    let fields: Fields = vec![
        ("shard", log.shard.into()),
        ("file", path.into()),
        ("seq", seq.into()),
        ("version", version.into()),
        ("state", state.into()),
        ("epoch", header.epoch.into()),
        ("base_lsn", header.base_lsn.into()),
        ("last_lsn", last.into()),
        ("redo_lsn", header.redo_lsn.into()),
        ("file_bytes", bytes.into()),
        ("recyclable", recyclable.into()),
        ("flags", names.into()),
    ];
    let text = format!(
        "{name:<22}{version:>8}{state:>10}{:>7}{:>16}{:>16}{bytes:>14}{:>12}  {}",
        header.epoch,
        header.base_lsn,
        last.map_or_else(|| "-".to_owned(), |l| l.to_string()),
        match recyclable {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        },
        flags.join("|")
    );
    out.item("segment", fields, &text);
    Ok(())
}
