//! The log of a running shard, switched on and off (`CONFIG SET appendonly`).
//!
//! The one idea: an `off` line in the part list says that the log is not the data, or no longer.
//! It is durable before a segment exists that does not count, and goes with the commit of a base.
//!
//! Invariants:
//! * Switching on: until the base is listed, a start finds what it would have found before. What
//!   was logged until then is void.
//! * Switching off: the log is durable to its end before the list says so. Base and log stay until
//!   a save that holds everything they hold is durable.
//! * LSNs go on rising: that of a new log lies above the end of the old one and above all void
//!   ones.
//!
//! | step | on | off |
//! |---|---|---|
//! | 1 | guard, part list with `off` if there is none | log: sync, checkpoint, end of the segment, sync |
//! | 2 | void segments removed, directory sync | part list with `off`: **commit** |
//! | 3 | first segment of the log | a save with the cut of the end or later |
//! | 4 | cut, base; part list with it and without `off`: **commit** | part list that needs no base and no log |
//! | 5 | older bases and segments removed | bases and segments removed |

#[cfg(test)]
mod tests;

use std::fmt;
use std::rc::Rc;

use moon_formats::aof::{Ended, PartList};
use moon_formats::names;
use moon_formats::wal::{HEADER_LEN, UnverifiedHeader};

use crate::files::Files;
use crate::io::{Access, Caching, Disk, Runtime};
use crate::log::{Log, LogConfig, LogState};
use crate::manifest::{self, Moment};
use crate::parts::{Parts, ShardPaths, holds_nothing, read_guard, without_base, write_guard};
use crate::recovery::{Opened, RecoveredEnd, RecoveryError, open_table};
use crate::scan::LogStart;
use crate::whole::{self, FileError};

/// What is left of the log of a shard that goes on without one.
#[derive(Clone)]
pub struct Standing {
    parts: Parts,
    end: RecoveredEnd,
    /// A start has found a later save beside what the list still names.
    in_save: bool,
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl Standing {
    /// A list with an `off` line, and where its log ends.
    pub(crate) fn new(parts: Parts, end: RecoveredEnd) -> Standing {
        Standing { parts, end, in_save: false }
    }

    /// A list whose base and log a later save has taken the place of.
    pub(crate) fn in_save(parts: Parts, lsn: u64) -> Standing {
        Standing { parts, end: RecoveredEnd::fresh(lsn + 1), in_save: true }
    }

    /// Last LSN of the log. A save made from now on carries it as its cut.
    pub fn lsn(&self) -> u64 {
        self.parts.with(|list| list.ended).map_or(self.end.last_lsn, |ended| ended.lsn)
    }

    /// Whether base and log are kept because no later save has taken their place.
    pub fn holds_data(&self) -> bool {
        !self.parts.with(holds_nothing)
    }
}

/// Opens a log for a running shard whose data are elsewhere, or in what `standing` names. It counts
/// from the next commit of a base on. `after_lsn` is the cut of the save that was loaded; without
/// `standing` the log begins behind it.
///
/// # Errors
/// See [`RecoveryError`]; what a start would find is unchanged.
pub async fn begin(
    disk: Rc<dyn Disk>,
    rt: Rc<dyn Runtime>,
    paths: &ShardPaths,
    shards: u16,
    cfg: LogConfig,
    standing: Option<Standing>,
    after_lsn: u64,
) -> Result<(Opened, Standing), RecoveryError> {
    if read_guard(&*disk, paths).await?.is_none() {
        write_guard(&*disk, paths, shards).await?;
    }
    let standing = match standing {
        Some(standing) => standing,
        None => nothing_yet(&*disk, paths, after_lsn).await?,
    };
    let standing = match standing.in_save && standing.holds_data() {
        true => supersede(&*disk, &standing).await?,
        false => standing,
    };
    let list = standing.parts.list();
    let mut end = standing.end.clone();
    clear_void(&*disk, paths, &list, &mut end).await?;
    let epoch = list.timelines.last().map_or(1, |t| t.epoch);
    let cfg = LogConfig { shard: paths.shard, epoch, ..cfg };
    let dir = paths.log();
    disk.create_dir_all(&dir).await.map_err(|e| RecoveryError::Io(dir.clone(), e))?;
    let log = Log::open(Rc::clone(&disk), Rc::clone(&rt), dir, cfg, &end)
        .await
        .map_err(RecoveryError::Log)?;
    let parts = standing.parts.clone();
    if parts.table().is_none() {
        let found = manifest::read(&*disk, paths).await.map_err(RecoveryError::Table)?;
        let base_cut = list.base.map_or(0, |base| base.cut);
        let moment = Moment { redo_lsn: base_cut, flushed_lsn: standing.lsn() };
        let now_secs = u64::try_from(rt.wall_us() / 1_000_000).unwrap_or(0);
        open_table(&*disk, &parts, found, Files::default(), moment, now_secs).await?;
    }
    Ok((Opened { log, parts }, standing))
}

/// A list that says: no log, and never was one.
async fn nothing_yet(
    disk: &dyn Disk,
    paths: &ShardPaths,
    after_lsn: u64,
) -> Result<Standing, RecoveryError> {
    let list = PartList {
        ended: Some(Ended { lsn: after_lsn, seq: 0 }),
        ..without_base(paths.shard, 1, LogStart { lsn: after_lsn + 1, seq: 0 })
    };
    let parts = Parts::new(paths.clone(), list.clone(), 0);
    parts.commit(disk, list).await?;
    Ok(Standing::new(parts, RecoveredEnd::fresh(after_lsn + 1)))
}

/// Ends the log of a running shard. Called again after an error, it goes on.
///
/// # Errors
/// The log is degraded, or the list cannot be written; until this succeeds a start needs the log.
pub async fn end(disk: &dyn Disk, log: &Log, parts: &Parts) -> Result<Standing, RecoveryError> {
    if log.state() != LogState::Closed {
        log.shutdown().await.map_err(RecoveryError::Log)?;
    }
    let end = log.end();
    let ended = Ended { lsn: end.last_lsn, seq: end.last_seq };
    parts.commit(disk, PartList { ended: Some(ended), ..parts.list() }).await?;
    Ok(Standing::new(parts.clone(), end))
}

/// A save is durable whose cut is [`Standing::lsn`] or later: base and log are not needed any more.
/// Files that cannot be removed are told and stay until the next log begins.
///
/// # Errors
/// The list cannot be written; nothing has been removed then.
pub async fn supersede(disk: &dyn Disk, standing: &Standing) -> Result<Standing, FileError> {
    let parts = &standing.parts;
    let old = parts.list();
    let lsn = standing.lsn();
    let next =
        PartList { base: None, history: Vec::new(), log_from_lsn: lsn + 1, log_from_seq: 0, ..old };
    parts.commit(disk, next).await?;
    if let Err(e) = remove_all(disk, parts.paths()).await {
        tracing::warn!(error = %e, "files of the log that was switched off stay");
    }
    Ok(Standing::in_save(parts.clone(), lsn))
}

/// Removes all bases and segments.
async fn remove_all(disk: &dyn Disk, paths: &ShardPaths) -> Result<(), RecoveryError> {
    let dir = paths.parts();
    let entries = disk.list(&dir).await.map_err(|e| RecoveryError::Io(dir.clone(), e))?;
    for entry in entries.iter().filter(|e| names::parse_base_file(&e.name).is_some()) {
        let path = dir.join(&entry.name);
        whole::remove(disk, &path).await.map_err(|e| RecoveryError::Io(path, e))?;
    }
    disk.sync_dir(&dir).await.map_err(|e| RecoveryError::Io(dir, e))?;
    remove_segments(disk, paths, 0).await.map(|_| ())
}

/// Removes segments that do not count before a log is opened behind `end`, and has its LSNs begin
/// above theirs.
pub(crate) async fn clear_void(
    disk: &dyn Disk,
    paths: &ShardPaths,
    list: &PartList,
    end: &mut RecoveredEnd,
) -> Result<(), RecoveryError> {
    let Some(ended) = list.ended else { return Ok(()) };
    let first = if holds_nothing(list) { 0 } else { ended.seq + 1 };
    if let Some(lsn) = remove_segments(disk, paths, first).await? {
        // As behind a torn tail, which the gap is made for.
        end.clean = false;
        end.max_seen_lsn = end.max_seen_lsn.max(lsn);
    }
    Ok(())
}

/// Removes the segments from number `first` on, and those under temporary names; the highest LSN at which
/// one of them begins.
async fn remove_segments(
    disk: &dyn Disk,
    paths: &ShardPaths,
    first: u64,
) -> Result<Option<u64>, RecoveryError> {
    let dir = paths.log();
    let entries = match disk.list(&dir).await {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(RecoveryError::Io(dir, e)),
    };
    let mut highest = None;
    for entry in &entries {
        let path = dir.join(&entry.name);
        let at = |e| RecoveryError::Io(path.clone(), e);
        match names::parse_wal_segment(&entry.name) {
            Some(seq) if seq >= first => {}
            None if names::is_temporary(&entry.name) && !entry.is_dir => {
                whole::remove(disk, &path).await.map_err(at)?;
                continue;
            }
            _ => continue,
        }
        let file = disk.open(&path, Access::Read, Caching::Direct).await.map_err(at)?;
        let block = file.read_at(0, disk.alignment()).await.map_err(at)?;
        let header = block.get(..HEADER_LEN).and_then(|b| UnverifiedHeader::parse(b, 0).ok());
        // One that cannot be read never got a record that somebody saw.
        let lsn = header.and_then(|h| h.verify().ok()).map_or(0, |h| h.base_lsn);
        highest = highest.max(Some(lsn));
        drop(file);
        whole::remove(disk, &path).await.map_err(at)?;
    }
    if highest.is_some() {
        disk.sync_dir(&dir).await.map_err(|e| RecoveryError::Io(dir, e))?;
    }
    Ok(highest)
}
