//! `wal verify`: clean, crash tail or hole, by the rules recovery follows.

use moon_storage::scan::{EndKind, Verify};

use crate::fail::{DAMAGE, ENVIRONMENT, Failure, SOUND};
use crate::logs::{Files, LogDir, scan_log};
use crate::out::{Fields, Out};

pub(super) fn run(files: &Files, log: &LogDir, out: &mut Out<'_>) -> Result<u8, Failure> {
    let end = scan_log(files, &log.dir, &log.options(), &mut Verify)?;
    let first = end.segments.first().map_or(end.next_lsn, |s| s.base_lsn);
    let counted = format!(
        "{} records, {} bytes, lsn {first}..={}, {} segments, epoch {}",
        end.records,
        end.bytes,
        end.last_lsn,
        end.segments.len(),
        end.epoch
    );
    let mut fields: Fields = vec![
        ("shard", log.shard.into()),
        ("dir", log.dir.as_path().into()),
        ("records", end.records.into()),
        ("bytes", end.bytes.into()),
        ("first_lsn", first.into()),
        ("last_lsn", end.last_lsn.into()),
        ("next_lsn", end.next_lsn.into()),
        ("durable_lsn", end.durable_lsn.into()),
        ("max_seen_lsn", end.max_seen_lsn.into()),
        ("segments", (end.segments.len() as u64).into()),
        ("epoch", end.epoch.into()),
    ];
    let (code, result, text) = match &end.kind {
        EndKind::Clean if end.records == 0 && end.segments.is_empty() => {
            (SOUND, "clean", "clean: the log is empty".to_owned())
        }
        EndKind::Clean => (SOUND, "clean", format!("clean: {counted}")),
        EndKind::CrashTail { path, offset, dropped } => {
            fields.push(("file", path.as_path().into()));
            fields.push(("offset", (*offset).into()));
            fields.push(("dropped", (*dropped).into()));
            let behind = match dropped {
                true => "; batches that were never synced lie behind and do not count",
                false => "",
            };
            let text = format!(
                "crash tail at {} offset {offset}: expected lsn h={}, durable up to D={}{behind}; {counted}; \
                 nothing to do: the server starts here (or it is running now)",
                path.display(),
                end.next_lsn,
                end.durable_lsn
            );
            (ENVIRONMENT, "crash_tail", text)
        }
        EndKind::Hole(hole) => {
            let what = hole.to_string();
            let what = what.split("; run: ").next().unwrap_or_default();
            let what = what.strip_prefix("log damaged: ").unwrap_or(what);
            fields.push(("file", hole.path.as_path().into()));
            fields.push(("offset", hole.offset.into()));
            fields.push(("reason", what.into()));
            let advice = super::advice(&end);
            fields.push(("advice", advice.as_str().into()));
            (DAMAGE, "hole", format!("hole at {what}; before it {counted}; {advice}"))
        }
        // The visitor never stops a scan.
        EndKind::Stopped => (SOUND, "stopped", counted),
    };
    fields.insert(0, ("result", result.into()));
    out.item("log", fields, &text);
    Ok(code)
}
