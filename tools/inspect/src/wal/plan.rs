//! Salvage plans: what a start could keep of a damaged log, and what it would give up. `wal verify --plan`
//! makes one, `header` shows one.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use moon_formats::marker::Marker;
use moon_formats::names;
use moon_formats::salvage::{FileMark, Plan, ShardPlan};
use moon_formats::time::utc;
use moon_storage::parts::ShardPaths;

use crate::cli::Target;
use crate::fail::{Failure, SOUND};
use crate::logs::{Files, Place, place};
use crate::out::{Fields, Out, Value};

/// Makes the plan of every damaged shard that is asked for, and writes it to `path`, which must not exist.
pub(super) fn run(
    files: &Files,
    target: &Target,
    path: &Path,
    out: &mut Out<'_>,
) -> Result<(), Failure> {
    let dir = &target.path;
    if place(files, dir)? != Place::Data {
        let e = "a salvage plan is for a whole data directory: name that, and --shard if need be";
        return Err(Failure::usage(e));
    }
    let marker = files.text(&dir.join(names::MARKER))?;
    let Some(Ok(marker)) = marker.map(|text| Marker::decode(&text)) else {
        return Err(Failure::damage(format!(
            "{}: no sound {} says which directory this is; put it back from a backup first",
            dir.display(),
            names::MARKER
        )));
    };
    let mut plan = Plan { uuid: marker.uuid, created_ms: files.now_ms(), shards: Vec::new() };
    for n in (0..marker.shards).filter(|n| target.shard.is_none_or(|s| s == *n)) {
        let made = files.plan(&ShardPaths::new(dir, n), marker.shards);
        let made = made.map_err(|e| Failure { code: e.exit_code(), message: e.to_string() })?;
        plan.shards.extend(made);
    }
    if plan.shards.is_empty() {
        let fields: Fields = vec![("result", "not needed".into())];
        out.item("plan", fields, "\nno salvage plan: no log is damaged; nothing was written");
        return Ok(());
    }
    write(path, &plan)?;
    for shard in &plan.shards {
        say(shard, path, out);
    }
    out.text(&format!(
        "\n{}: the plan. Look at it, stop the server, and start it once with --salvage {0}; what is set \
         aside is kept in the directory",
        path.display()
    ));
    Ok(())
}

/// First word of a plan.
const MAGIC: &[u8] = b"moon-salvage ";

/// Whether a file is a plan, by its content.
pub(crate) fn is_one(files: &Files, path: &Path) -> Result<bool, Failure> {
    Ok(files.head(path, MAGIC.len())?.0 == MAGIC)
}

/// `header` of a plan.
pub(crate) fn header(files: &Files, path: &Path, out: &mut Out<'_>) -> Result<u8, Failure> {
    let text = files.text(path)?.unwrap_or_default();
    let advice = "make a new one: moon-inspect wal verify DIR --plan FILE";
    let plan = Plan::decode(&text).map_err(|e| Failure::decode(path, &e, advice))?;
    let uuid: String = plan.uuid.iter().map(|b| format!("{b:02x}")).collect();
    let created = utc(i64::try_from(plan.created_ms).unwrap_or(0).saturating_mul(1000));
    out.text(&format!(
        "{} ({} bytes)\n  salvage plan {:08x} for the directory with uuid {uuid}, made {created}",
        path.display(),
        text.len(),
        plan.checksum()
    ));
    for shard in &plan.shards {
        say(shard, path, out);
    }
    Ok(SOUND)
}

fn write(path: &Path, plan: &Plan) -> Result<(), Failure> {
    let text = plan.encode();
    if let Err(e) = Plan::decode(text.as_bytes()) {
        return Err(Failure::environment(format!("the plan cannot be written: {e}; try --shard")));
    }
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    written().map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::environment(format!("{} is there already; name a new file", path.display()))
        }
        _ => Failure::environment(format!("cannot write {}: {e}", path.display())),
    })
}

fn say(plan: &ShardPlan, path: &Path, out: &mut Out<'_>) {
    let lost = plan.lost.iter().map(|l| -> Value {
        let fields: Fields = vec![
            ("from_lsn", l.from_lsn.into()),
            ("to_lsn", l.to_lsn.into()),
            ("records", l.records().into()),
            ("found", l.found.into()),
            ("bytes", l.bytes.into()),
        ];
        fields.into()
    });
    let numbers = |files: &[FileMark]| Value::List(files.iter().map(|f| f.seq.into()).collect());
    let fields: Fields = vec![
        ("file", path.into()),
        ("shard", plan.shard.into()),
        ("reason", plan.hole.reason.word().into()),
        ("segment", plan.hole.segment.into()),
        ("offset", plan.hole.offset.into()),
        ("expected_lsn", plan.hole.next_lsn.into()),
        ("durable_lsn", plan.hole.durable_lsn.into()),
        ("base", plan.base.map(|b| b.seq).into()),
        ("base_cut", plan.base.map(|b| b.cut).into()),
        ("keep_lsn", plan.keep_lsn.into()),
        ("records", plan.records.into()),
        ("bytes", plan.bytes.into()),
        ("epoch", plan.timeline.map(|t| t.0).into()),
        ("lost", Value::List(lost.collect())),
        ("cut_segment", plan.cut.map(|f| f.seq).into()),
        ("segments_aside", numbers(&plan.segments)),
        ("bases_aside", numbers(&plan.bases)),
    ];
    let mut text = format!("\nplan of shard {}\n  kept:      ", plan.shard);
    if let Some(base) = plan.base {
        text.push_str(&format!("base {} up to lsn {}", base.seq, base.cut));
    }
    if plan.log_from_seq != 0 {
        let and = if plan.base.is_some() { ", and " } else { "" };
        text.push_str(&format!(
            "{and}the log up to lsn {} ({} records, {} bytes)",
            plan.keep_lsn, plan.records, plan.bytes
        ));
    }
    let nothing = match plan.timeline {
        Some(_) => "\n  given up:  everything behind it; how much that was is not known",
        None => "\n  given up:  nothing but the way back to a time before that base",
    };
    if plan.lost.is_empty() {
        text.push_str(nothing);
    }
    for l in &plan.lost {
        text.push_str(&format!(
            "\n  given up:  lsn {} to {}: {} records, of which {} stand in batches that can be found, {} bytes",
            l.from_lsn,
            l.to_lsn,
            l.records(),
            l.found,
            l.bytes
        ));
    }
    if plan.timeline.is_some() && plan.hole.reason.hides_more() && !plan.lost.is_empty() {
        text.push_str("\n             and what was in files that are missing or cannot be read");
    }
    let list = |files: &[FileMark]| match files {
        [] => "none".to_owned(),
        [one] => one.seq.to_string(),
        [first, .., last] => format!("{} to {} ({})", first.seq, last.seq, files.len()),
    };
    text.push_str(&format!(
        "\n  set aside: segments {}, bases {}",
        list(&plan.segments),
        list(&plan.bases)
    ));
    if let Some(cut) = plan.cut {
        text.push_str(&format!(
            "; segment {} is copied, and counts up to lsn {}",
            cut.seq, plan.keep_lsn
        ));
    }
    out.item("plan", fields, &text);
}
