//! Reading one shard: part list, base, log.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use moon_formats::aof::{Base, PartList};
use moon_formats::names;
use moon_formats::rrdshard::Item;
use moon_formats::salvage::Plan;
use moon_formats::wal::{BatchHead, Cut, Record, SegmentHeader};

use crate::failpoint::{self, reach};
use crate::files::Files;
use crate::io::{DirEntry, Disk};
use crate::log::SegmentInfo;
use crate::manifest::{self, Found};
#[cfg(any(test, feature = "mutants"))]
use crate::mutant::Mutant;
use crate::parts::{ShardPaths, bases, holds_nothing, read_guard, read_list};
use crate::scan::{HoleReason, LogStart, Position, ScanOptions, VisitError, Visitor};
use crate::whole::FileError;

use super::base::{FileSummary, read_file};
use super::salvage::Salvage;
use super::target::{Point, TargetError};
use super::timeline::Fork;
use super::unlogged::is_in_save;
use super::{BaseError, RecoveredEnd, RecoveryError, recover};

/// What recovery fills: a shard, or a reader that only looks. The records behind the cut of the
/// base follow its items.
pub trait Target: Visitor {
    /// Drops everything: a snapshot begins. Called again if that snapshot turned out bad and an
    /// older one is tried.
    fn restart(&mut self);

    /// Sections that it knows beside those that every reader does: code, and the newest version.
    fn sections(&self) -> Vec<(u16, u16)> {
        Vec::new()
    }

    /// An item of the snapshot, in the order of the file.
    ///
    /// # Errors
    /// Refuses the snapshot.
    fn item(&mut self, item: &Item<'_>) -> Result<(), VisitError>;
}

/// How far recovery has come, in bytes of base and log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Read and applied.
    pub done: u64,
    /// To be read; a bound, since a log need not fill its last segment.
    pub total: u64,
}

/// Which shard, and where.
pub struct Request<'a> {
    /// The device.
    pub disk: &'a dyn Disk,
    /// Where its files are.
    pub paths: &'a ShardPaths,
    /// Configured number of shards.
    pub shards: u16,
    /// Read up to a point in time only.
    pub point: Option<Point>,
    /// Give up what this plan says.
    pub salvage: Option<&'a Plan>,
    /// The broken line of this run.
    #[cfg(any(test, feature = "mutants"))]
    pub mutant: Option<Mutant>,
}

impl<'a> Request<'a> {
    /// Shard and directory.
    pub fn new(disk: &'a dyn Disk, paths: &'a ShardPaths, shards: u16) -> Request<'a> {
        Request {
            disk,
            paths,
            shards,
            point: None,
            salvage: None,
            #[cfg(any(test, feature = "mutants"))]
            mutant: None,
        }
    }
}

/// Where the data came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was there.
    Fresh,
    /// The log alone.
    Log,
    /// A base, and the log behind it.
    Base {
        /// The base.
        base: Base,
        /// Keys in it.
        entries: u64,
    },
}

/// A shard that has been read; nothing has been written yet.
#[derive(Debug)]
pub struct Recovered {
    /// Where the data came from.
    pub origin: Origin,
    /// Where the log goes on.
    pub end: RecoveredEnd,
    /// Data records visited.
    pub records: u64,
    /// Their bytes.
    pub record_bytes: u64,
    /// Things worth a warning, each a sentence.
    pub warnings: Vec<String>,
    /// The listed base is damaged or gone and an older one was used: a rewrite is due.
    pub needs_rewrite: bool,
    pub(super) list: Option<PartList>,
    pub(super) guard_missing: bool,
    /// The file table, and the data files of base and log.
    pub(super) table: Found,
    pub(super) files: Files,
    pub(super) highest_seq: u64,
    /// Files that no list names.
    pub(super) orphans: Vec<PathBuf>,
    pub(super) shards: u16,
    pub(super) paths: ShardPaths,
    /// The timeline that begins when the log is opened.
    pub(super) fork: Option<Fork>,
    /// What is set aside when the log is opened.
    pub(super) salvage: Option<Salvage>,
}

impl Recovered {
    /// The part list that was found; `None` before the first one is written.
    pub fn list(&self) -> Option<&PartList> {
        self.list.as_ref()
    }

    /// Files that no list names. They are removed in the background once the log is open.
    pub fn orphans(&self) -> &[PathBuf] {
        &self.orphans
    }
}

pub(super) async fn list_dir(disk: &dyn Disk, dir: &Path) -> Result<Vec<DirEntry>, RecoveryError> {
    match disk.list(dir).await {
        Ok(entries) => Ok(entries),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(RecoveryError::Io(dir.to_owned(), e)),
    }
}

/// Reads a shard whose log is on: steps 1 to 4 and 6 of durability.md §10. The directory is
/// unchanged, whatever comes out.
///
/// # Errors
/// See [`RecoveryError`].
pub async fn recover_shard(
    req: &Request<'_>,
    target: &mut dyn Target,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recovered, RecoveryError> {
    if is_in_save(req.disk, req.paths).await? {
        return Err(RecoveryError::SavedWithoutLog(req.paths.snapshot()));
    }
    recover_logged(req, target, progress).await
}

/// As [`recover_shard`], where the last `.rrdshard` is known not to be the data.
pub(super) async fn recover_logged(
    req: &Request<'_>,
    target: &mut dyn Target,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recovered, RecoveryError> {
    let (disk, paths) = (req.disk, req.paths);
    let mut warnings = Vec::new();
    let guard_missing = check_guard(req, &mut warnings).await?;
    let list = read_list(disk, paths).await.map_err(RecoveryError::Parts)?;
    let table = manifest::read(disk, paths).await.map_err(RecoveryError::Table)?;
    if let Found::Damaged(what) = &table {
        warnings.push(format!(
            "file table damaged and made anew from base and log: {}: {what}",
            paths.table().display()
        ));
    }
    let files = list_dir(disk, &paths.parts()).await?;
    let segments = list_dir(disk, &paths.log()).await?;
    let segments: Vec<(u64, u64)> = segments
        .iter()
        .filter_map(|e| Some((names::parse_wal_segment(&e.name)?, e.bytes)))
        .collect();
    // A temporary file has the number of the base it was to become.
    let final_name = |e: &DirEntry| e.name.strip_suffix(".tmp").unwrap_or(&e.name).to_owned();
    let seqs = files.iter().filter_map(|e| names::parse_base_file(&final_name(e)));
    let highest_seq = seqs.max().unwrap_or(0);
    let has_base = files.iter().any(|e| names::parse_base_file(&e.name).is_some());
    let mut recovered = Recovered {
        origin: Origin::Fresh,
        end: RecoveredEnd::fresh(1),
        records: 0,
        record_bytes: 0,
        warnings,
        needs_rewrite: false,
        guard_missing,
        table,
        files: Files::default(),
        highest_seq,
        orphans: Vec::new(),
        shards: req.shards,
        paths: paths.clone(),
        list,
        fork: None,
        salvage: None,
    };
    let Some(mut list) = recovered.list.clone() else {
        if req.salvage.is_some() {
            let path = req.paths.part_list();
            return Err(RecoveryError::PartsMissing { path, found: "a plan that names it" });
        }
        if req.point.is_some() {
            return Err(RecoveryError::Target(TargetError::NoLog(paths.part_list())));
        }
        return without_list(req, recovered, has_base, &segments, target, progress).await;
    };
    if req.point.is_some() && list.ended.is_some() {
        return Err(RecoveryError::Target(TargetError::SwitchedOff(paths.part_list())));
    }
    let salvage = Salvage::plan(req, &list, &mut recovered.warnings).await?;
    let mut fork = match &salvage {
        Some(_) => None,
        None => Fork::plan(req, &list, &segments).await?,
    };
    if let Some(salvage) = &salvage {
        list = salvage.list().clone();
    } else if let Some(fork) = &fork {
        list = fork.list().clone();
    } else if let Some(Point { lsn, .. }) = req.point {
        recovered.warnings.push(format!(
            "this timeline begins at the recovery target, lsn {lsn}, already: it goes on, and what \
             was written on it stays"
        ));
    }
    recovered.orphans = orphans(paths, &files, &list);
    let until = fork.as_ref().map(|f| f.lsn() + u64::from(mutant!(req, PointOneLate)));
    let until = until.or(salvage.as_ref().and_then(Salvage::until));
    let last_seq = match &salvage {
        // Whatever lies there is none of it.
        Some(_) if list.log_from_seq == 0 => Some(0),
        _ => list.ended.map(|ended| ended.seq),
    };
    let segments: Vec<(u64, u64)> =
        segments.into_iter().filter(|(seq, _)| last_seq.is_none_or(|last| *seq <= last)).collect();
    if let Some(ended) = list.ended.filter(|_| holds_nothing(&list)) {
        recovered.end = RecoveredEnd::fresh(ended.lsn + 1);
        return Ok(recovered);
    }
    let needed = segments.iter().filter(|s| s.0 >= list.log_from_seq).map(|s| s.1).sum::<u64>();
    let total = needed + list.base.map_or(0, |b| b.bytes);
    let from = LogStart { lsn: list.log_from_lsn.max(1), seq: list.log_from_seq };
    let mut visit_from = from.lsn;
    let mut done = 0;
    recovered.origin = Origin::Log;
    if list.base.is_some() {
        let mut read = |bytes| progress(Progress { done: bytes, total });
        let (base, summary) = load_base(req, &list, target, &mut read, &mut recovered).await?;
        recovered.origin = Origin::Base { base, entries: summary.entries };
        visit_from = base.cut + 1;
        done = base.bytes;
        let path = paths.base(base.seq);
        reach(failpoint::Point::StartAfterBase).map_err(|e| RecoveryError::Io(path, e))?;
    }
    let opts = ScanOptions { last_seq, visit_from, until, ..options(req, &list, &recovered.table) };
    // The table may be that of the timeline that is left.
    let durable_floor =
        opts.durable_floor.min(fork.as_ref().map(Fork::lsn).or(until).unwrap_or(u64::MAX));
    let opts = ScanOptions { durable_floor, ..opts };
    let mut tracked = Tracked::new(target, progress, &segments, from.seq, Progress { done, total });
    let mut end = recover(disk, &paths.log(), &opts, &mut tracked).await?;
    recovered.records = tracked.records;
    recovered.record_bytes = tracked.record_bytes;
    recovered.files = tracked.files;
    let unnamed = recovered.files.orphans(disk, paths).await;
    recovered.orphans.extend(unnamed.map_err(|(path, e)| RecoveryError::Io(path, e))?);
    if let Origin::Base { base, .. } = &recovered.origin {
        end.redo_lsn = base.cut;
    }
    if let Some(fork) = &mut fork {
        fork.begin(&mut end)?;
        list = fork.list().clone();
    }
    let is_salvage = salvage.is_some();
    if let Some(salvage) = &salvage {
        salvage.begin(&mut end)?;
        recovered.needs_rewrite = true;
    }
    recovered.list = Some(list.clone());
    recovered.fork = fork;
    recovered.salvage = salvage;
    end.epoch = end.epoch.max(list.timelines.last().map_or(1, |t| t.epoch));
    end.timelines.clone_from(&list.timelines);
    if !is_salvage {
        keep_older(&mut end, &segments, from);
    }
    recovered.end = end;
    Ok(recovered)
}

/// How the log is read that `list` and `table` speak of.
pub(super) fn options(req: &Request<'_>, list: &PartList, table: &Found) -> ScanOptions {
    let from = LogStart { lsn: list.log_from_lsn.max(1), seq: list.log_from_seq };
    ScanOptions {
        shard: Some(req.paths.shard),
        start: Some(from),
        last_seq: list.ended.map(|ended| ended.seq),
        // The log was durable up to every listed cut before that base was listed.
        durable_floor: bases(list)
            .map(|b| b.cut)
            .chain(list.ended.map(|ended| ended.lsn))
            // A list from before the first segment is that of a restored base.
            .chain([table.flushed_lsn()].into_iter().filter(|_| list.log_from_seq != 0))
            .max()
            .unwrap_or(0),
        visit_from: list.base.map_or(from.lsn, |base| base.cut + 1),
        may_be_empty: list.log_from_seq == 0,
        #[cfg(any(test, feature = "mutants"))]
        mutant: req.mutant,
        ..ScanOptions::default()
    }
}

/// True if the guard has to be written: it is not there, or damaged. It only keeps a server of
/// the reference away, and what it says stands in the marker too.
async fn check_guard(req: &Request<'_>, warnings: &mut Vec<String>) -> Result<bool, RecoveryError> {
    match read_guard(req.disk, req.paths).await {
        Ok(None) => Ok(true),
        Ok(Some(shards)) if shards == req.shards => Ok(false),
        Ok(Some(found)) => Err(RecoveryError::ShardCount {
            path: req.paths.guard_dir().join(names::AOF_MANIFEST),
            found,
            configured: req.shards,
        }),
        Err(FileError::Bad { path, cause }) if !cause.is_newer() => {
            warnings.push(format!("guard damaged and written again: {}: {cause}", path.display()));
            Ok(true)
        }
        Err(e) => Err(RecoveryError::Parts(e)),
    }
}

/// Without a part list only a log from the first LSN on, with no base beside it, is known to be
/// everything. An empty directory is a new shard, unless a BGSAVE says that there was data.
async fn without_list(
    req: &Request<'_>,
    mut recovered: Recovered,
    has_base: bool,
    segments: &[(u64, u64)],
    target: &mut dyn Target,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recovered, RecoveryError> {
    let missing = |found| Err(RecoveryError::PartsMissing { path: req.paths.part_list(), found });
    if has_base {
        return missing("a base");
    }
    if let Found::Sound(..) = recovered.table {
        // It was written behind the list.
        return missing("a file table");
    }
    if segments.is_empty() {
        return Ok(recovered);
    }
    let start = LogStart { lsn: 1, seq: 0 };
    let opts = ScanOptions {
        shard: Some(req.paths.shard),
        start: Some(start),
        visit_from: 1,
        #[cfg(any(test, feature = "mutants"))]
        mutant: req.mutant,
        ..ScanOptions::default()
    };
    let total = segments.iter().map(|s| s.1).sum();
    let at = Progress { done: 0, total };
    let mut tracked = Tracked::new(target, progress, segments, 0, at);
    match recover(req.disk, &req.paths.log(), &opts, &mut tracked).await {
        Ok(end) => {
            recovered.records = tracked.records;
            recovered.record_bytes = tracked.record_bytes;
            recovered.files = tracked.files;
            recovered.end = end;
            recovered.origin = Origin::Log;
            Ok(recovered)
        }
        Err(RecoveryError::Hole(hole))
            if hole.next_lsn == 1 && hole.reason == HoleReason::SegmentMissing =>
        {
            missing("a log that begins after lsn 1")
        }
        Err(e) => Err(e),
    }
}

/// Loads the newest base that is sound. An older one is as good if the log reaches back to it,
/// which the list promises.
async fn load_base(
    req: &Request<'_>,
    list: &PartList,
    target: &mut dyn Target,
    read: &mut dyn FnMut(u64),
    recovered: &mut Recovered,
) -> Result<(Base, FileSummary), RecoveryError> {
    let mut first = None;
    for base in bases(list).filter(|b| b.cut + 1 >= list.log_from_lsn) {
        let path = req.paths.base(base.seq);
        match load_listed(req, base, &path, target, read).await {
            Ok(summary) => {
                if let Some((path, e)) = first {
                    recovered.needs_rewrite = true;
                    recovered.warnings.push(format!(
                        "base damaged, the one before it and the log hold everything: {}",
                        RecoveryError::Base(path, e)
                    ));
                }
                return Ok((*base, summary));
            }
            Err(e) if e.is_damage() => {
                first.get_or_insert((path, e));
            }
            Err(e) => return Err(RecoveryError::Base(path, e)),
        }
    }
    let (path, e) = first.unwrap_or_else(|| {
        let e = io::Error::from(io::ErrorKind::NotFound);
        (req.paths.part_list(), BaseError::Io(e))
    });
    Err(RecoveryError::Base(path, e))
}

pub(super) async fn load_listed(
    req: &Request<'_>,
    base: &Base,
    path: &Path,
    target: &mut dyn Target,
    read: &mut dyn FnMut(u64),
) -> Result<FileSummary, BaseError> {
    let summary = read_file(req.disk, path, target, read).await?;
    let head = &summary.head;
    let seq = head.extension.map_or(0, |e| e.base_seq);
    for (what, listed, found) in [
        ("its size", base.bytes, summary.bytes),
        ("its checksum", base.crc.into(), summary.crc.into()),
        ("its shard", req.paths.shard.into(), head.preamble.shard_id.into()),
        ("its number", base.seq, seq),
        ("its cut", base.cut, head.preamble.last_lsn),
    ] {
        if listed != found {
            return Err(BaseError::Other { what, listed, found });
        }
    }
    Ok(summary)
}

/// Bases that `list` does not name, and temporary files.
fn orphans(paths: &ShardPaths, files: &[DirEntry], list: &PartList) -> Vec<PathBuf> {
    let goes = |e: &&DirEntry| match names::parse_base_file(&e.name) {
        Some(seq) => !bases(list).any(|b| b.seq == seq),
        None => names::is_temporary(&e.name),
    };
    files.iter().filter(|e| !e.is_dir).filter(goes).map(|e| paths.parts().join(&e.name)).collect()
}

/// Segments before the first one that the list needs: the log frees them when no floor holds
/// them.
fn keep_older(end: &mut RecoveredEnd, segments: &[(u64, u64)], from: LogStart) {
    let first = end.segments.first().map_or(from.lsn, |s| s.base_lsn).min(from.lsn);
    let mut older: Vec<SegmentInfo> = segments
        .iter()
        .filter(|(seq, _)| *seq < from.seq)
        .map(|(seq, bytes)| SegmentInfo {
            seq: *seq,
            // What they held is not known any more, and nobody is to read it.
            base_lsn: first,
            last_lsn: first.saturating_sub(1),
            bytes: *bytes,
            // What became of it is written in segments that nobody reads any more.
            recyclable: false,
            void: false,
        })
        .collect();
    older.sort_by_key(|s| s.seq);
    end.segments.splice(0..0, older);
}

/// Reads the last `.rrdshard` of a shard whose log is off; `None` if there is none. The log, if
/// there is one, is not looked at.
///
/// # Errors
/// See [`RecoveryError`].
pub async fn recover_snapshot(
    req: &Request<'_>,
    target: &mut dyn Target,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<FileSummary>, RecoveryError> {
    let path = req.paths.snapshot();
    let name = names::shard_snapshot(req.paths.shard);
    let own = list_dir(req.disk, &req.paths.own()).await?;
    let Some(entry) = own.iter().find(|e| e.name == name) else { return Ok(None) };
    let total = entry.bytes;
    let mut read = |done| progress(Progress { done, total });
    let summary = match read_file(req.disk, &path, target, &mut read).await {
        Ok(summary) => summary,
        Err(e) => return Err(RecoveryError::Base(path, e)),
    };
    let (listed, found) = (req.paths.shard.into(), summary.head.preamble.shard_id.into());
    if listed != found {
        let e = BaseError::Other { what: "its shard", listed, found };
        return Err(RecoveryError::Base(path, e));
    }
    Ok(Some(summary))
}

/// Counts what a target is given and tells how far it is.
struct Tracked<'a> {
    target: &'a mut dyn Target,
    progress: &'a mut dyn FnMut(Progress),
    /// Segment number and bytes of everything before it.
    before: Vec<(u64, u64)>,
    total: u64,
    records: u64,
    record_bytes: u64,
    files: Files,
}

impl<'a> Tracked<'a> {
    fn new(
        target: &'a mut dyn Target,
        progress: &'a mut dyn FnMut(Progress),
        segments: &[(u64, u64)],
        first: u64,
        at: Progress,
    ) -> Tracked<'a> {
        let mut sum = at.done;
        let mut before = Vec::new();
        for (seq, bytes) in segments.iter().filter(|s| s.0 >= first) {
            before.push((*seq, sum));
            sum += bytes;
        }
        Tracked {
            target,
            progress,
            before,
            total: at.total,
            records: 0,
            record_bytes: 0,
            files: Files::default(),
        }
    }
}

impl Visitor for Tracked<'_> {
    fn segment(&mut self, header: &SegmentHeader, cut: Option<&Cut>) -> Result<(), VisitError> {
        self.target.segment(header, cut)
    }

    fn batch(&mut self, head: &BatchHead, at: Position) -> Result<(), VisitError> {
        let before = self.before.iter().find(|b| b.0 == at.seq).map_or(0, |b| b.1);
        (self.progress)(Progress { done: before + at.offset, total: self.total });
        self.target.batch(head, at)
    }

    fn record(&mut self, record: &Record<'_>, at: Position) -> Result<ControlFlow<()>, VisitError> {
        self.records += 1;
        self.record_bytes += record.record_len() as u64;
        self.files.note(record)?;
        self.target.record(record, at)
    }
}
