//! Set P: recovery to points in time (crash-matrix.md O14).
//!
//! One small life with bases, restore points and moments noted from outside; then every LSN, moment and
//! restore point is recovered to and held against the digest taken behind that record. From one point the
//! life forks and goes on, and power is lost at the operations of the fork and of what follows.

use moon_engine::exec::Shard;
use moon_storage::io::Runtime;
use moon_storage::io::sim::{Image, SimDisk, SimRng};
use moon_storage::log::{LogConfig, Policy};
use moon_storage::parts::read_list;
use moon_storage::recovery::target::resolve;
use moon_storage::recovery::{Point, PointTarget, RecoveryError, TargetError, TimePolicy, settle};
use moon_storage::snapshot::Retention;

use crate::bugs::Bug;
use crate::figures::{Figures, Outcome};
use crate::life::{History, Life, marker_of, paths};
use crate::oracle::{Recovered, digest_at, request, start_at};
use crate::proof::{Trial, prove};
use crate::run::{Effort, Run};
use crate::workload::Workload;

/// Parts of a life; each ends with a sync, a moment and perhaps a restore point.
const PARTS: u64 = 24;
/// Commands of a part.
const COMMANDS: u64 = 6;

/// A moment at which everything was durable.
struct Moment {
    wall_us: i64,
    lsn: u64,
    /// Number of the restore point, if one was made then.
    gtid: Option<u64>,
}

/// A life that has ended.
struct Past {
    disk: SimDisk,
    history: History,
    moments: Vec<Moment>,
    cfg: LogConfig,
    bug: Bug,
    /// The cut of the oldest base.
    oldest: u64,
    /// Highest LSN in use.
    last_lsn: u64,
}

impl Drop for Past {
    fn drop(&mut self) {
        self.disk.runtime().shutdown();
    }
}

/// One run of the set.
pub(crate) fn run(run: &Run, effort: Effort, bug: Bug, first: bool) -> Outcome {
    prove(run, effort, bug, first, record, &[points, moments, forks])
}

fn record(run: &Run, cfg: LogConfig, bug: Bug, figures: &mut Figures) -> Result<Past, String> {
    let disk = run.disk();
    let mut life = Life::first(&disk, &cfg, bug)?;
    life.plan.plane = run.cell.plane;
    life.plan.retention = Retention { bases: 3, window_ms: 0 };
    let mut work = Workload::new(run.cell.plane, run.seed);
    let mut rng = SimRng::new(run.seed ^ 0x7069_7472);
    let mut moments = Vec::new();
    for part in 0..PARTS {
        life.drive(&mut work, COMMANDS, &mut rng);
        if part % 7 == 5 {
            life.whole_snapshot(true).map_err(|e| format!("O14: no base: {e}"))?;
        }
        let made = match part % 3 {
            0 => {
                let name = format!("part-{part}");
                let made = life.shard.add_restore_point(name.as_bytes());
                let made = made.map_err(|e| format!("O14: no restore point: {e}"))?;
                Some(made.gtid)
            }
            _ => None,
        };
        life.sync().map_err(|e| format!("O14: cannot sync: {e}"))?;
        let rt = disk.runtime();
        rt.run_for(1000);
        moments.push(Moment { wall_us: rt.wall_us(), lsn: life.log.last_lsn(), gtid: made });
        rt.run_for(1000);
    }
    let last_lsn = life.log.last_lsn();
    let history = life.noted(figures, "")?;
    let bases = life.seen.snapshots.0;
    life.shutdown().map_err(|e| format!("O14: no clean shutdown: {e}"))?;
    drop(life);
    if bases < 2 {
        return Err(format!("O14: {bases} bases are too few to tell them apart"));
    }
    let disk = disk.power_loss(Image::None, run.seed);
    disk.set_recording(false);
    let oldest = oldest(&disk)?;
    Ok(Past { disk, history, moments, cfg, bug, oldest, last_lsn })
}

/// The target in the log, as the server looks for it.
fn find(past: &Past, target: &PointTarget) -> Result<u64, RecoveryError> {
    let paths = paths();
    let request = request(&past.disk, &paths, &past.cfg);
    let found = resolve(&request, target, TimePolicy::Refuse);
    past.disk.runtime().block_on(found).map(|found| found.lsn)
}

/// The cut of the oldest base.
fn oldest(disk: &SimDisk) -> Result<u64, String> {
    let paths = paths();
    let list = disk.runtime().block_on(read_list(disk, &paths));
    let list = list.map_err(|e| e.to_string())?.ok_or("O14: no part list")?;
    Ok(list.history.last().or(list.base.as_ref()).map_or(0, |base| base.cut))
}

fn show(past: &Past, lsn: u64, fork: bool) -> Result<Recovered, String> {
    let point = Some(Point { lsn, fork });
    start_at(&past.disk, &past.history, &past.cfg, past.bug, true, point)
        .map_err(|e| format!("O14: not recovered to lsn {lsn}: {e}"))
}

/// The state is the one behind `lsn`.
pub(crate) fn is_state(
    shard: &Shard,
    history: &History,
    lsn: u64,
    what: &str,
) -> Result<(), String> {
    match digest_at(history, lsn) {
        Some(want) if want == shard.digest() => Ok(()),
        Some(_) => Err(format!("O14: {what}: the state is not that of lsn {lsn}")),
        None => Ok(()),
    }
}

/// Every LSN, or a sample with both ends.
fn points(t: &mut Trial<'_, Past>) -> Result<(), String> {
    let (past, first) = (t.past, t.past.oldest);
    let all: Vec<u64> = (first..=past.last_lsn).collect();
    let mut rng = SimRng::new(t.run.seed ^ 0x6c73_6e73);
    let last = all.len().saturating_sub(1);
    for (i, lsn) in all.iter().enumerate() {
        if i > 0 && i < last && !t.takes(&mut rng, all.len()) {
            continue;
        }
        let found = find(past, &PointTarget::Lsn(*lsn)).map_err(|e| format!("O14: {e}"))?;
        if found != *lsn {
            return Err(format!("O14: lsn {lsn} was taken for lsn {found}"));
        }
        let shown = show(past, *lsn, false)?;
        is_state(&shown.shard, &past.history, *lsn, "by lsn")?;
        t.hash.update(&lsn.to_le_bytes());
        t.out.points.0 += 1;
        t.out.replayed += shown.found.records;
    }
    // The log goes on behind what the life has noted: the mark of its end.
    for (lsn, what) in [(first.wrapping_sub(1), "before the first"), (past.last_lsn + 9, "later")] {
        let refused = matches!(
            find(past, &PointTarget::Lsn(lsn)),
            Err(RecoveryError::Target(TargetError::Unreachable(..)))
        );
        if !refused && lsn != u64::MAX {
            return Err(format!("O14: lsn {lsn}, {what}, is not refused"));
        }
    }
    Ok(())
}

/// Every moment and restore point behind the oldest base.
fn moments(t: &mut Trial<'_, Past>) -> Result<(), String> {
    let past = t.past;
    for (part, moment) in past.moments.iter().enumerate() {
        if moment.lsn <= past.oldest {
            continue;
        }
        let mut targets = vec![PointTarget::Time(moment.wall_us)];
        if let Some(gtid) = moment.gtid {
            targets.push(PointTarget::Name(format!("part-{part}").into_bytes()));
            targets.push(PointTarget::Gtid(gtid));
        }
        for target in targets {
            let lsn = find(past, &target).map_err(|e| format!("O14: {target}: {e}"))?;
            if lsn != moment.lsn {
                return Err(format!("O14: {target} is lsn {lsn}, it was {}", moment.lsn));
            }
            let shown = show(past, lsn, false)?;
            is_state(&shown.shard, &past.history, lsn, &target.to_string())?;
            t.hash.update(&lsn.to_le_bytes());
            t.out.points.1 += 1;
        }
    }
    Ok(())
}

/// The timeline in force.
fn epoch(disk: &SimDisk) -> Result<u64, String> {
    let paths = paths();
    let list = disk.runtime().block_on(read_list(disk, &paths)).map_err(|e| e.to_string())?;
    Ok(list.and_then(|list| list.timelines.last().map(|t| t.epoch)).unwrap_or(1))
}

/// Forks, goes on, and loses power at operations of both.
fn forks(t: &mut Trial<'_, Past>) -> Result<(), String> {
    let (run, past) = (t.run, t.past);
    let mut rng = SimRng::new(run.seed ^ 0x666f_726b);
    let ahead = (past.last_lsn - past.oldest).saturating_sub(2).max(1);
    let lsn = past.oldest + 1 + rng.below(ahead);
    let disk = past.disk.power_loss(Image::None, run.seed);
    disk.set_recording(true);
    let point = Some(Point { lsn, fork: true });
    let found = start_at(&disk, &past.history, &past.cfg, past.bug, true, point)?;
    is_state(&found.shard, &past.history, lsn, "a fork")?;
    let shared: History = past.history[..found.kept].to_vec();
    let mut life = Life::start(
        &disk,
        past.cfg.clone(),
        found.found,
        found.shard,
        shared.clone(),
        past.last_lsn,
        past.bug,
    )
    .map_err(|e| format!("O14: the fork does not open: {e}"))?
    .with_model();
    let mut work = Workload::new(run.cell.plane, run.seed ^ 3);
    life.plan.plane = run.cell.plane;
    life.drive(&mut work, 20, &mut rng);
    life.whole_snapshot(true).map_err(|e| format!("O14: no base after a fork: {e}"))?;
    life.drive(&mut work, 10, &mut rng);
    life.sync().map_err(|e| format!("O14: cannot sync after a fork: {e}"))?;
    let history = life.history.borrow().clone();
    if let Some(finding) = life.findings.borrow().first() {
        return Err(finding.clone());
    }
    let (mut old, mut new) = (0, 0);
    let of = format!("fork at lsn {lsn}, ");
    t.each_crash(&disk, 0..disk.stop_count(), &mut rng, &of, |t, left| {
        let after = &left.disk;
        let is_new = epoch(after)? > 1;
        let known = if is_new { &history } else { &past.history };
        let again = start_at(after, known, &past.cfg, past.bug, true, None)?;
        let end = match again.kept.checked_sub(1) {
            Some(i) => known[i].lsn,
            None => 0,
        };
        is_state(&again.shard, known, end, "after a crash")?;
        let least = if is_new { promised(&life, left.stop, &shared) } else { last(known) };
        if end < least {
            return Err(format!("O2: acknowledged lsn {least} is lost, the log ends at {end}"));
        }
        match is_new {
            true => new += 1,
            false => old += 1,
        }
        t.hash.update(&[u8::from(is_new)]);
        t.hash.update(&end.to_le_bytes());
        with_the_flag(past, after, &history, lsn, is_new)
    })?;
    if t.effort.stops.is_none() && (old == 0 || new == 0) {
        return Err(format!("O14: {old} crashes before the fork counts, {new} behind"));
    }
    t.out.points.2 += old + new;
    if let Some(v) = disk.violations().first() {
        return Err(format!("manners of a fork: {v:?}"));
    }
    life.shutdown().map_err(|e| format!("O14: no clean shutdown after a fork: {e}"))?;
    let live = life.shard.digest();
    life.close();
    let restarted = disk.power_loss(Image::None, run.seed);
    let end = start_at(&restarted, &history, &past.cfg, past.bug, true, None)?;
    restarted.runtime().shutdown();
    if end.shard.digest() != live || !end.end.clean {
        return Err("O14: a clean restart after a fork gives another state".into());
    }
    Ok(())
}

/// LSN that was acknowledged before a stop; all of the shared past was.
pub(crate) fn promised(life: &Life, stop: usize, shared: &History) -> u64 {
    let acks = life.acks.borrow();
    let acked = match life.log.policy() {
        Policy::Always => {
            acks.iter().filter(|a| a.moment <= stop).map(|a| a.lsn).max().unwrap_or(0)
        }
        _ => 0,
    };
    // Records of the log itself have numbers too.
    let logged = life.history.borrow();
    let known = logged.partition_point(|r| r.lsn <= acked);
    known.checked_sub(1).map_or(0, |i| logged[i].lsn).max(last(shared))
}

fn last(history: &History) -> u64 {
    history.last().map_or(0, |record| record.lsn)
}

/// The same target once more: the old timeline is left for good, the new one goes on.
fn with_the_flag(
    past: &Past,
    disk: &SimDisk,
    history: &History,
    lsn: u64,
    is_new: bool,
) -> Result<(), String> {
    let rt = disk.runtime();
    let cfg = past.cfg.clone();
    let paths = paths();
    let settled = settle(disk.as_dyn(), rt.as_dyn(), &paths, marker_of().shards, cfg);
    rt.block_on(settled).map_err(|e| format!("O14: does not settle: {e}"))?;
    let point = Some(Point { lsn, fork: true });
    let known = if is_new { history } else { &past.history };
    let found = start_at(disk, known, &past.cfg, past.bug, true, point)?;
    let end = if is_new { found.kept.checked_sub(1).map_or(0, |i| known[i].lsn) } else { lsn };
    is_state(&found.shard, known, end, "with the target again")?;
    let opened = found.found.open(disk.as_dyn(), rt.as_dyn(), past.cfg.clone());
    let opened = rt.block_on(opened).map_err(|e| format!("O14: does not open again: {e}"))?;
    rt.block_on(opened.log.shutdown()).map_err(|e| format!("O14: does not close: {e}"))?;
    if epoch(disk)? != 2 {
        return Err("O14: the target given again made another timeline".into());
    }
    Ok(())
}
