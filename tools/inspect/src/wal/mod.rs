//! Verbs on the log. All records come from the scanner of moon-storage, all bytes through the
//! codecs of moon-formats.

mod dump;
mod events;
mod header;
mod ls;
pub(crate) mod plan;
mod stats;
mod tail;
mod times;
mod verify;

use moon_storage::scan::{EndKind, LogEnd};

use crate::cli::{Verb, Verify};
use crate::fail::{DAMAGE, Failure, SOUND, worse};
use crate::logs::{Files, Place, logs, place};
use crate::out::Out;

/// Runs a verb on every log that its path stands for.
pub(crate) fn run(files: &Files, verb: &Verb, out: &mut Out<'_>) -> Result<u8, Failure> {
    let target = verb.target();
    if let Verb::Digest(_) | Verb::Diff(_) | Verb::Rebuild(_) = verb {
        return Err(Failure::usage(format!(
            "wal has no verb {}; digest and diff are of storage and rdb, rebuild of aof and manifest",
            verb.name()
        )));
    }
    if let Verb::Header(_) = verb
        && place(files, &target.path)? == Place::File
    {
        if plan::is_one(files, &target.path)? {
            return plan::header(files, &target.path, out);
        }
        // A header can be shown of any segment file, whatever its name.
        return header::file(files, &target.path, None, out);
    }
    let logs = logs(files, &target.path, target.shard)?;
    if let Verb::Tail(args) = verb {
        let [log] = &logs[..] else {
            let e = format!("{} logs; choose one with --shard", logs.len());
            return Err(Failure::environment(e));
        };
        return tail::run(files, log, args, out);
    }
    let mut code = SOUND;
    for (i, log) in logs.iter().enumerate() {
        if logs.len() > 1 {
            let gap = if i > 0 { "\n" } else { "" };
            out.text(&format!("{gap}{}", log.dir.display()));
        }
        let one = match verb {
            Verb::Ls(_) => ls::run(files, log, out)?,
            Verb::Header(_) => header::run(files, log, out)?,
            Verb::Dump(args) => dump::run(files, log, args, out)?,
            Verb::Stats(range) => stats::run(files, log, range, out)?,
            Verb::Verify(_) => verify::run(files, log, out)?,
            Verb::Times(args) => times::run(files, log, args, out)?,
            Verb::Tail(_) | Verb::Digest(_) | Verb::Diff(_) | Verb::Rebuild(_) => SOUND,
        };
        code = worse(code, one);
        if let Some(e) = &log.parts_error {
            return Err(Failure::damage(e.as_str()));
        }
        if out.has_failed() {
            break;
        }
    }
    if let Verb::Verify(Verify { target, plan: Some(path) }) = verb {
        plan::run(files, target, path, out)?;
    }
    Ok(code)
}

/// What to do about damage, for somebody who already runs this tool.
fn advice(end: &LogEnd) -> String {
    let last = end.last_lsn;
    format!(
        "the server will not start on this log; nothing was changed. Restore the named file, or the \
         data directory, from a backup or a replica. Everything up to lsn {last} is readable \
         (moon-inspect wal dump --to {last}). To go on without what is lost: moon-inspect wal verify \
         DIR --plan FILE"
    )
}

/// How the log ended, for verbs whose subject is something else: silent unless it is damaged.
fn report_end(end: &LogEnd) -> Result<u8, Failure> {
    match &end.kind {
        EndKind::Hole(hole) => {
            let what = hole.to_string();
            let what = what.split("; run: ").next().unwrap_or_default().to_owned();
            Err(Failure { code: DAMAGE, message: format!("{what}; {}", advice(end)) })
        }
        EndKind::Clean | EndKind::CrashTail { .. } | EndKind::Stopped => Ok(SOUND),
    }
}
