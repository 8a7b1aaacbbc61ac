//! Fork: a shard goes on from a point in its past, on a timeline of its own (durability.md §12).
//!
//! The one idea: the part list is the commit. Before it is replaced the old timeline is complete
//! and in force; from then on the new one is, and what is left to do (moving files, the first
//! segment of the new timeline) is done by whichever start comes next.
//!
//! | step | after a crash |
//! |---|---|
//! | the part list in force is copied to `timeline-<e>/` | the old timeline |
//! | the part list is replaced: `epoch <e+1> from <lsn> forked-at <target>`, bases up to the target | the new one, *pending* |
//! | later segments, bases and cold values are moved to `timeline-<e>/`; directory syncs | pending |
//! | a segment flagged FORK with a `Cut` (reason 4) is put in place | done |
//!
//! A fork is pending while the newest segment is of an older timeline than the part list.
//!
//! Invariants:
//! * A fork removes nothing: every byte of the old timeline is in the directory or in
//!   `timeline-<e>/`. The segment that holds the target stays; its later records are void.
//! * The first LSN of a timeline is above every LSN that another can have used.
//! * What is kept was durable before the commit.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_formats::aof::{PartList, Timeline};
use moon_formats::names;
use moon_formats::wal::UnverifiedHeader;

use crate::failpoint::{Point as Step, reach};
use crate::io::{Access, Caching, DirEntry, Disk, Runtime};
use crate::log::LogConfig;
use crate::parts::{ShardPaths, bases};
use crate::whole::{self, How};

use super::target::{Point, PointTarget, Reach, TargetError};
use super::{ForkPoint, LSN_GAP, Nothing, RecoveredEnd, RecoveryError, Request, recover_shard};

/// Whether a file of this name belongs to the timeline that is left.
type Goes<'a> = &'a dyn Fn(&str) -> bool;

/// A way back to a point in the past of a shard.
#[derive(Debug)]
pub(super) struct Fork {
    point: Point,
    /// The list from the fork on.
    list: PartList,
    /// The list in force; `None` once the new one is.
    old: Option<PartList>,
}

impl Fork {
    /// What has to be done for `req` where `list` is in force; `None`: nothing.
    pub(super) async fn plan(
        req: &Request<'_>,
        list: &PartList,
        segments: &[(u64, u64)],
    ) -> Result<Option<Fork>, RecoveryError> {
        let unfinished = pending_in(req, list, segments).await?;
        let point = match (req.point, unfinished) {
            (None, None) => return Ok(None),
            (Some(point), None) => point,
            (Some(point), Some(lsn)) if point.lsn != lsn && point.fork => {
                return Err(RecoveryError::Target(TargetError::Unfinished(lsn)));
            }
            (Some(point), Some(lsn)) if point.lsn != lsn => point,
            (point, Some(lsn)) => {
                let point = Point { lsn, fork: point.is_none_or(|p| p.fork) };
                return Ok(Some(Fork { point, list: list.clone(), old: None }));
            }
        };
        let forked_at = list.timelines.last().and_then(|t| t.forked_at);
        if point.fork && forked_at == Some(point.lsn) {
            return Ok(None);
        }
        let mut kept = bases(list).filter(|b| b.cut <= point.lsn).copied();
        let mut next = list.clone();
        next.base = kept.next();
        next.history = kept.collect();
        if list.base.is_some() && next.base.is_none() {
            let oldest_lsn = bases(list).last().map_or(0, |b| b.cut);
            let reach = Reach { oldest_lsn, newest_lsn: oldest_lsn, ..Reach::default() };
            let error = TargetError::Unreachable(PointTarget::Lsn(point.lsn), reach);
            return Err(RecoveryError::Target(error));
        }
        let epoch = list.timelines.last().map_or(1, |t| t.epoch) + 1;
        let from_lsn = point.lsn + 1;
        next.timelines.push(Timeline { epoch, from_lsn, forked_at: Some(point.lsn) });
        Ok(Some(Fork { point, list: next, old: Some(list.clone()) }))
    }

    /// Last LSN that counts.
    pub(super) fn lsn(&self) -> u64 {
        self.point.lsn
    }

    /// The list from the fork on.
    pub(super) fn list(&self) -> &PartList {
        &self.list
    }

    /// The log was read: where the new timeline begins.
    pub(super) fn begin(&mut self, end: &mut RecoveredEnd) -> Result<(), RecoveryError> {
        let lsn = self.point.lsn;
        if end.next_lsn <= lsn {
            let reach = Reach { newest_lsn: end.last_lsn, ..Reach::default() };
            let error = TargetError::Unreachable(PointTarget::Lsn(lsn), reach);
            return Err(RecoveryError::Target(error));
        }
        let before = self.list.timelines.iter().rev().nth(1).map_or(0, |t| t.from_lsn);
        let Some(timeline) = self.list.timelines.last_mut() else { return Ok(()) };
        if self.old.is_some() {
            // Where nothing was ever written, only its place in the list has to be its own.
            timeline.from_lsn = match end.segments.is_empty() {
                true => before.max(lsn) + 1,
                false => end.max_seen_lsn.max(before).max(lsn) + 1 + LSN_GAP,
            };
        }
        // Both are so before the part list is replaced.
        end.durable_lsn = end.durable_lsn.max(end.last_lsn).max(lsn);
        end.clean = false;
        end.fork = Some(ForkPoint { keep_lsn: lsn, base_lsn: timeline.from_lsn });
        Ok(())
    }

    /// Leaves the old timeline, with the files that the new one does not name (those of cold values are in
    /// `unnamed`), up to the first segment of the new one.
    pub(super) async fn carry_out(
        self,
        disk: &dyn Disk,
        paths: &ShardPaths,
        cfg: &LogConfig,
        end: &RecoveredEnd,
        unnamed: &[PathBuf],
    ) -> Result<(), RecoveryError> {
        if !self.point.fork {
            return Err(RecoveryError::Target(TargetError::Inspected));
        }
        let (log, parts) = (paths.log(), paths.parts());
        let left = self.list.timelines.iter().rev().nth(1).map_or(1, |t| t.epoch);
        let aside = log.join(names::timeline_dir(left));
        let at = |path: &Path| {
            let path = path.to_owned();
            move |e| RecoveryError::Io(path, e)
        };
        disk.create_dir_all(&aside).await.map_err(at(&aside))?;
        disk.sync_dir(&log).await.map_err(at(&log))?;
        let later = |seq: u64| end.last_seq > 0 && seq > end.last_seq;
        if mutant!(cfg, ForkMovesFirst) {
            set_aside(disk, paths, &self.list, &aside, &later, unnamed).await?;
        }
        if let Some(old) = &self.old {
            let (left, now) = (names::AOF_MANIFEST_LEFT, names::AOF_MANIFEST);
            let steps = [
                (&aside, left, old, Step::ForkKept),
                (&parts, now, &self.list, Step::ForkCommitted),
            ];
            for (dir, name, list, point) in steps {
                let text = list.encode();
                let done = whole::replace(disk, dir, name, text.as_bytes(), How::default()).await;
                done.map_err(|(_, e)| RecoveryError::Io(dir.join(name), e))?;
                reach(point).map_err(at(dir))?;
            }
        }
        set_aside(disk, paths, &self.list, &aside, &later, unnamed).await?;
        reach(Step::ForkMoved).map_err(at(&aside))
    }
}

/// Moves to `aside` the segments whose number `goes`, bases that `list` does not name, and the files
/// of cold values among `unnamed`. Durable when this returns; what an earlier try has moved is there.
pub(super) async fn set_aside(
    disk: &dyn Disk,
    paths: &ShardPaths,
    list: &PartList,
    aside: &Path,
    goes: &dyn Fn(u64) -> bool,
    unnamed: &[PathBuf],
) -> Result<(), RecoveryError> {
    let (log, parts, cold) = (paths.log(), paths.parts(), paths.cold());
    let at = |path: &Path| {
        let path = path.to_owned();
        move |e| RecoveryError::Io(path, e)
    };
    let later = |name: &str| names::parse_wal_segment(name).is_some_and(goes);
    let unlisted = |name: &str| {
        names::parse_base_file(name).is_some_and(|seq| bases(list).all(|base| base.seq != seq))
    };
    let moves: [(&Path, Goes<'_>); 2] = [(&log, &later), (&parts, &unlisted)];
    for (dir, goes) in moves {
        let entries = disk.list(dir).await.map_err(at(dir))?;
        for entry in entries.iter().filter(|e| !e.is_dir && goes(&e.name)) {
            let from = dir.join(&entry.name);
            disk.rename(&from, &aside.join(&entry.name)).await.map_err(at(&from))?;
        }
    }
    // Values that only what is left has.
    let is_value = |path: &&PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        path.starts_with(&cold) && name.is_some_and(|name| names::parse_heap_file(name).is_some())
    };
    let mut dirs = vec![aside, &log, &parts];
    for from in unnamed.iter().filter(is_value) {
        let Some(name) = from.file_name() else { continue };
        disk.rename(from, &aside.join(name)).await.map_err(at(from))?;
        if dirs.len() == 3 {
            dirs.push(&cold);
        }
    }
    // The new name first: a file must not be in neither directory.
    for dir in dirs {
        disk.sync_dir(dir).await.map_err(at(dir))?;
    }
    Ok(())
}

/// The LSN of a fork that was committed and has no segment yet.
pub(super) async fn pending(
    req: &Request<'_>,
    list: &PartList,
) -> Result<Option<u64>, RecoveryError> {
    let dir = req.paths.log();
    let entries = match req.disk.list(&dir).await {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(RecoveryError::Io(dir, e)),
    };
    let segment = |e: &DirEntry| Some((names::parse_wal_segment(&e.name)?, e.bytes));
    let segments: Vec<(u64, u64)> = entries.iter().filter_map(segment).collect();
    pending_in(req, list, &segments).await
}

async fn pending_in(
    req: &Request<'_>,
    list: &PartList,
    segments: &[(u64, u64)],
) -> Result<Option<u64>, RecoveryError> {
    let Some(Timeline { epoch, forked_at: Some(lsn), .. }) = list.timelines.last() else {
        return Ok(None);
    };
    let newest = segments.iter().map(|s| s.0).filter(|seq| *seq >= list.log_from_seq).max();
    let Some(newest) = newest else {
        // Not even its first segment is kept: what is to come begins where the timeline does.
        let at_base = list.base.map_or(0, |base| base.cut) == *lsn;
        return Ok((list.log_from_seq == 0 && at_base).then_some(*lsn));
    };
    let path = req.paths.log().join(names::wal_segment(newest));
    let at = |e| RecoveryError::Io(path.clone(), e);
    let file = req.disk.open(&path, Access::Read, Caching::Direct).await.map_err(at)?;
    let block = file.read_at(0, req.disk.alignment()).await.map_err(at)?;
    // One that cannot be read is for the scan to judge.
    let header = UnverifiedHeader::parse(&block, 0).and_then(|header| header.verify());
    Ok(header.is_ok_and(|header| header.epoch < *epoch).then_some(*lsn))
}

/// Starts a shard on its timeline and stops it: what was written and may not be on the device is
/// there afterwards. A fork keeps only what is.
///
/// # Errors
/// As a start.
pub async fn settle(
    disk: Rc<dyn Disk>,
    rt: Rc<dyn Runtime>,
    paths: &ShardPaths,
    shards: u16,
    cfg: LogConfig,
) -> Result<(), RecoveryError> {
    let request = Request::new(&*disk, paths, shards);
    let found = recover_shard(&request, &mut Nothing::default(), &mut |_| {}).await?;
    let opened = found.open(Rc::clone(&disk), rt, cfg).await?;
    opened.log.shutdown().await.map_err(RecoveryError::Log)
}
