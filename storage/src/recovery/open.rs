//! From a shard that was read to one that writes: the first writes of a start.
//!
//! Order: guard, log (durable up to what was recovered), part list, file table. Only then is anything
//! removed, in the background.

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;

use moon_formats::aof::PartList;
use moon_formats::names;

use crate::failpoint::{Point, reach};
use crate::files::Files;
use crate::io::{Disk, Runtime};
use crate::log::{Log, LogConfig};
use crate::manifest::{Found, Moment, Table};
use crate::marker;
use crate::parts::{Parts, without_base, write_guard};
use crate::scan::LogStart;
use crate::switch::clear_void;
use crate::whole::{self, FileError, aside};

use super::{Recovered, RecoveryError};

/// A shard that can be written to.
#[derive(Clone)]
pub struct Opened {
    /// Its log.
    pub log: Log,
    /// Its part list.
    pub parts: Parts,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl Recovered {
    /// Opens the log behind what was recovered, makes guard and part list durable, and removes
    /// in the background what no list names. The timeline of `cfg` is taken from the data.
    ///
    /// # Errors
    /// [`RecoveryError::Log`], [`RecoveryError::Parts`] or [`RecoveryError::Io`]; the next start
    /// recovers the same records.
    pub async fn open(
        mut self,
        disk: Rc<dyn Disk>,
        rt: Rc<dyn Runtime>,
        cfg: LogConfig,
    ) -> Result<Opened, RecoveryError> {
        let dir = self.paths.log();
        let cfg = LogConfig { shard: self.paths.shard, epoch: self.end.epoch, ..cfg };
        let epoch = cfg.epoch;
        if self.guard_missing {
            let written = write_guard(&*disk, &self.paths, self.shards).await;
            written.map_err(RecoveryError::Parts)?;
        }
        disk.create_dir_all(&dir).await.map_err(|e| RecoveryError::Io(dir.clone(), e))?;
        // Before the log leaves a gap: what is told of it must be found by the next start.
        let recovered_lsn = self.end.last_lsn;
        let is_fork = self.fork.is_some();
        if let Some(fork) = self.fork.take() {
            fork.carry_out(&*disk, &self.paths, &cfg, &self.end, &self.orphans).await?;
            // Bases among them belong to the timeline that was left.
            self.orphans.retain(|path| names::is_temporary(&path.to_string_lossy()));
        }
        if let Some(salvage) = self.salvage.take() {
            self.list =
                Some(salvage.carry_out(&*disk, &self.paths, &self.end, &self.orphans).await?);
            self.orphans.retain(|path| names::is_temporary(&path.to_string_lossy()));
        }
        let mut end = self.end;
        if let Some(list) = &self.list {
            clear_void(&*disk, &self.paths, list, &mut end).await?;
        }
        let log = Log::open(Rc::clone(&disk), Rc::clone(&rt), dir.clone(), cfg, &end)
            .await
            .map_err(RecoveryError::Log)?;
        if is_fork {
            reach(Point::ForkSegment).map_err(|e| RecoveryError::Io(dir, e))?;
        }
        let first_seq = log.segments().first().map_or(0, |s| s.seq);
        let is_written = |l: &PartList| l.log_from_seq != 0 && l.ended.is_none();
        let written = self.list.as_ref().is_some_and(is_written);
        let mut list = self.list.unwrap_or_else(|| {
            without_base(self.paths.shard, epoch, LogStart { lsn: 1, seq: first_seq })
        });
        if list.log_from_seq == 0 {
            list.log_from_seq = first_seq;
        }
        list.ended = None;
        let start = LogStart { lsn: list.log_from_lsn, seq: list.log_from_seq };
        let has_base = list.base.is_some();
        let list_cut = list.base.map_or(0, |base| base.cut);
        let parts = Parts::new(self.paths, list.clone(), self.highest_seq);
        if written {
            // A killed process may have left the list named, but not for good.
            let dir = parts.paths().parts();
            disk.sync_dir(&dir).await.map_err(|e| RecoveryError::Io(dir, e))?;
        } else {
            parts.commit(&*disk, list).await.map_err(RecoveryError::Parts)?;
        }
        if has_base {
            log.keep_from(start);
        }
        let redo_lsn = list_cut;
        let moment = Moment { redo_lsn, flushed_lsn: recovered_lsn };
        let now_secs = u64::try_from(rt.wall_us() / 1_000_000).unwrap_or(0);
        open_table(&*disk, &parts, self.table, self.files, moment, now_secs).await?;
        // Names that the next snapshot or commit writes under; removing them later could strike
        // those.
        for path in [parts.paths().part_list(), parts.paths().snapshot()] {
            let aside = aside(&path);
            whole::remove(&*disk, &aside).await.map_err(|e| RecoveryError::Io(aside, e))?;
        }
        if !self.orphans.is_empty() {
            let orphans = self.orphans;
            tracing::info!(files = orphans.len(), first = %orphans[0].display(), "unlisted files are removed");
            rt.spawn(Box::pin(async move { remove(&*disk, &orphans).await }));
        }
        Ok(Opened { log, parts })
    }
}

/// Makes the file table durable as base and log have it.
pub(crate) async fn open_table(
    disk: &dyn Disk,
    parts: &Parts,
    found: Found,
    files: Files,
    moment: Moment,
    now_secs: u64,
) -> Result<(), RecoveryError> {
    let paths = parts.paths();
    let marker = marker::read(disk, &paths.data).await.ok().flatten();
    let uuid = marker.map_or([0; 16], |marker| marker.uuid);
    let was_sound = matches!(found, Found::Sound(..));
    let unfinished = aside(&paths.table());
    let removed = whole::remove(disk, &unfinished).await;
    removed.map_err(|e| RecoveryError::Io(unfinished, e))?;
    let table = Table::new(paths.clone(), found, uuid, now_secs);
    let (rows, differ) = files.settle(&table.root().files, moment.flushed_lsn);
    if was_sound && differ > 0 {
        tracing::warn!(files = differ, "the file table differed from base and log, which count");
    }
    table.commit(disk, moment, |all| *all = rows).await.map_err(RecoveryError::Table)?;
    parts.set_table(table);
    Ok(())
}

/// Removes what a start has found unlisted.
async fn remove(disk: &dyn Disk, orphans: &[PathBuf]) {
    for path in orphans {
        if let Err(e) = whole::remove(disk, path).await {
            tracing::warn!(path = %path.display(), error = %e, "unlisted file stays");
        }
    }
    let mut dirs: Vec<_> = orphans.iter().filter_map(|path| path.parent()).collect();
    dirs.dedup();
    for dir in dirs {
        if let Err(e) = disk.sync_dir(dir).await {
            tracing::warn!(path = %dir.display(), error = %e, "removal may not last");
        }
    }
}

impl From<FileError> for RecoveryError {
    fn from(e: FileError) -> RecoveryError {
        RecoveryError::Parts(e)
    }
}
