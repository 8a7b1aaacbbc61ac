//! A plan that a start carries out: what it writes and moves, in which order, and where the log goes on.

use std::path::{Path, PathBuf};

use moon_formats::aof::{PartList, Salvaged, Timeline};
use moon_formats::names;
use moon_formats::salvage::ShardPlan;

use crate::io::{Access, Caching, Disk};
use crate::marker;
use crate::parts::{ShardPaths, bases};
use crate::recovery::timeline::set_aside;
use crate::recovery::{ForkPoint, RecoveredEnd, RecoveryError, Request};
use crate::scan::LogStart;
use crate::whole::{self, How};

use super::{Kept, SalvageError, kept_bases, pieces};

/// A plan that is being carried out.
#[derive(Debug)]
pub(in crate::recovery) struct Salvage {
    salvaged: Salvaged,
    /// The list from now on.
    list: PartList,
    /// What is written before that list; `None` once it is in force.
    before: Option<Before>,
}

/// What a start has to write before it commits.
#[derive(Debug)]
struct Before {
    list: PartList,
    plan: String,
    cut: Option<u64>,
}

impl Salvage {
    /// What has to be done for `req` where `list` is in force; `None`: nothing.
    pub(in crate::recovery) async fn plan(
        req: &Request<'_>,
        list: &PartList,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Salvage>, RecoveryError> {
        let given = req.salvage.map(|plan| (plan.checksum(), plan));
        if let Some((_, plan)) = given {
            if req.point.is_some() {
                return Err(SalvageError::WithTarget.into());
            }
            let marker = marker::read(req.disk, &req.paths.data).await.ok().flatten();
            let found = marker.map_or([0; 16], |marker| marker.uuid);
            if plan.uuid != found {
                return Err(SalvageError::Foreign { plan: plan.uuid, found }.into());
            }
        }
        if let Some(last) = list.salvaged.last().filter(|s| s.unfinished) {
            if given.is_some_and(|(crc, _)| crc != last.plan_crc) || req.point.is_some() {
                return Err(SalvageError::Unfinished.into());
            }
            warnings.push(format!(
                "salvage plan {:08x} was begun by an earlier start, and goes on: lsn {} is the last that \
                 is kept",
                last.plan_crc, last.kept_lsn
            ));
            return Ok(Some(Salvage { salvaged: *last, list: list.clone(), before: None }));
        }
        let Some((plan_crc, plan)) = given else { return Ok(None) };
        let Some(of_shard) = plan.shard(req.paths.shard) else { return Ok(None) };
        if list.salvaged.iter().any(|s| s.plan_crc == plan_crc) {
            warnings.push(format!(
                "salvage plan {plan_crc:08x} was carried out by an earlier start; --salvage is not needed \
                 any more"
            ));
            return Ok(None);
        }
        let Some(now) = super::plan(req).await? else {
            return Err(SalvageError::Sound(req.paths.log()).into());
        };
        if let Some(what) = differs(of_shard, &now) {
            return Err(SalvageError::Changed(what).into());
        }
        let salvaged = Salvaged { plan_crc, kept_lsn: now.keep_lsn, unfinished: true };
        warnings.push(told(&now, plan_crc));
        let kept = Kept {
            base: now.base.and_then(|b| bases(list).find(|l| l.seq == b.seq).copied()),
            log: LogStart { lsn: now.log_from_lsn, seq: now.log_from_seq },
            lsn: now.keep_lsn,
            gives_up: now.timeline.is_some(),
        };
        let mut stay = kept_bases(list, &kept).into_iter();
        let mut next = list.clone();
        next.base = stay.next();
        next.history = stay.collect();
        next.log_from_lsn = kept.log.lsn;
        next.log_from_seq = kept.log.seq;
        if let Some((epoch, from_lsn)) = now.timeline {
            next.timelines.push(Timeline { epoch, from_lsn, forked_at: Some(kept.lsn) });
        }
        next.salvaged.push(salvaged);
        let before =
            Before { list: list.clone(), plan: plan.encode(), cut: now.cut.map(|file| file.seq) };
        Ok(Some(Salvage { salvaged, list: next, before: Some(before) }))
    }

    /// The list while files are moved.
    pub(in crate::recovery) fn list(&self) -> &PartList {
        &self.list
    }

    /// Last LSN that counts; `None` if the log is read to its end.
    pub(in crate::recovery) fn until(&self) -> Option<u64> {
        let forked_at = self.list.timelines.last().and_then(|t| t.forked_at);
        forked_at.filter(|lsn| *lsn == self.salvaged.kept_lsn)
    }

    /// The log was read: where it goes on.
    pub(in crate::recovery) fn begin(&self, end: &mut RecoveredEnd) -> Result<(), RecoveryError> {
        let (Some(keep_lsn), Some(timeline)) = (self.until(), self.list.timelines.last()) else {
            return Ok(());
        };
        if end.next_lsn <= keep_lsn {
            return Err(SalvageError::Changed("the log ends earlier").into());
        }
        // As the plan has seen it.
        end.durable_lsn = end.durable_lsn.max(end.last_lsn).max(keep_lsn);
        end.clean = false;
        end.fork = Some(ForkPoint { keep_lsn, base_lsn: timeline.from_lsn });
        Ok(())
    }

    /// Sets aside what is not kept, and gives the list that is in force then.
    pub(in crate::recovery) async fn carry_out(
        self,
        disk: &dyn Disk,
        paths: &ShardPaths,
        end: &RecoveredEnd,
        unnamed: &[PathBuf],
    ) -> Result<PartList, RecoveryError> {
        let (log, parts) = (paths.log(), paths.parts());
        let aside = log.join(names::salvage_dir(self.salvaged.plan_crc));
        disk.create_dir_all(&aside).await.map_err(|e| RecoveryError::Io(aside.clone(), e))?;
        disk.sync_dir(&log).await.map_err(|e| RecoveryError::Io(log.clone(), e))?;
        if let Some(before) = &self.before {
            if let Some(seq) = before.cut {
                let name = names::wal_segment(seq);
                let copied = copy(disk, &log.join(&name), &aside.join(&name)).await;
                copied.map_err(|e| RecoveryError::Io(aside.join(&name), e))?;
            }
            // Each syncs the directory, the copy with it.
            replace(disk, &aside, names::AOF_MANIFEST_LEFT, &before.list.encode()).await?;
            replace(disk, &aside, names::SALVAGE_PLAN, &before.plan).await?;
            replace(disk, &parts, names::AOF_MANIFEST, &self.list.encode()).await?;
        }
        let (first_seq, gives_up) = (self.list.log_from_seq, self.until().is_some());
        let goes = |seq: u64| first_seq == 0 || seq < first_seq || (gives_up && seq > end.last_seq);
        set_aside(disk, paths, &self.list, &aside, &goes, unnamed).await?;
        let mut done = self.list;
        if let Some(last) = done.salvaged.last_mut() {
            last.unfinished = false;
        }
        replace(disk, &parts, names::AOF_MANIFEST, &done.encode()).await?;
        Ok(done)
    }
}

async fn replace(disk: &dyn Disk, dir: &Path, name: &str, text: &str) -> Result<(), RecoveryError> {
    let done = whole::replace(disk, dir, name, text.as_bytes(), How::default()).await;
    done.map_err(|(_, e)| RecoveryError::Io(dir.join(name), e))
}

/// The first thing that is not the same.
fn differs(planned: &ShardPlan, now: &ShardPlan) -> Option<&'static str> {
    let same = [
        (planned.list_crc == now.list_crc, "its part list"),
        (planned.hole == now.hole, "the damage"),
        (planned.base == now.base, "its bases"),
        (planned.segments == now.segments && planned.cut == now.cut, "segments of the log"),
        (planned.bases == now.bases, "its bases"),
        (planned == now, "what can be kept"),
    ];
    same.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
}

/// What is done, for the log of the server.
fn told(plan: &ShardPlan, plan_crc: u32) -> String {
    let given_up = plan.lost.iter().map(|l| {
        format!(
            "lsn {} to {} ({} records, of which {} stand in batches that can be found, {} bytes)",
            l.from_lsn,
            l.to_lsn,
            l.records(),
            l.found,
            l.bytes
        )
    });
    let given_up: Vec<String> = given_up.collect();
    let what = match (plan.timeline, given_up.is_empty()) {
        (None, _) => "given up: the way back to before its base, and nothing else".to_owned(),
        (Some(_), true) => "given up: everything behind it".to_owned(),
        (Some(_), false) => format!("given up: {}", given_up.join(", ")),
    };
    let more = match plan.timeline.is_some() && plan.hole.reason.hides_more() {
        true => ", and what was in files that are missing or cannot be read",
        false => "",
    };
    format!(
        "salvage plan {plan_crc:08x} of shard {}: lsn {} is the last that is kept; {what}{more}; {} segments and \
         {} bases are set aside in {}",
        plan.shard,
        plan.keep_lsn,
        plan.segments.len(),
        plan.bases.len(),
        names::salvage_dir(plan_crc)
    )
}

/// Copies a file; durable but for its name when this returns.
async fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> std::io::Result<()> {
    whole::remove(disk, to).await?;
    let old = disk.open(from, Access::Read, Caching::Direct).await?;
    let new = disk.open(to, Access::CreateNew, Caching::Cached).await?;
    pieces(&*old, async |pos, piece| whole::write_at(&*new, pos, piece).await).await?;
    new.sync().await
}
