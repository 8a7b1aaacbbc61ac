//! Salvage: a damaged shard starts again with what can be read, by a plan that an operator has seen
//! (durability.md §10, §11).
//!
//! The one idea: a plan follows from the directory alone. It is made once for the operator and once
//! more by the start that carries it out, which does nothing unless both are the same.
//!
//! What is kept is a state that the shard has had: the newest sound base, and the log behind it up to
//! the first record that is missing. Records behind a gap are not applied: they were made for a state
//! that is not there.
//!
//! | found | kept |
//! |---|---|
//! | a base before the hole | that base, and the log up to the hole |
//! | a base behind the hole, and a segment that begins before its cut | that base, and the log from that segment on: nothing is given up but the way back |
//! | a base behind the hole, no such segment | that base |
//!
//! | step | after a crash |
//! |---|---|
//! | `salvage-<plan>/`: copy of the segment that is cut, part list in force, plan | as before; the flag again |
//! | the part list is replaced: what is kept, `salvage <plan> kept <lsn> unfinished` | the plan goes on, with the flag or without |
//! | what is not kept is moved to `salvage-<plan>/`; directory syncs | the same |
//! | the part list is replaced: without `unfinished` | done; a new timeline is *pending* as that of a fork |
//! | if something is given up: a segment flagged FORK with a `Cut` | done |
//!
//! Invariants:
//! * Nothing is removed: every byte of the damaged directory is in place or in `salvage-<plan>/`.
//! * An LSN that is given up is not used again: what is new begins above all of them.

mod carry_out;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use moon_formats::DecodeError;
use moon_formats::aof::{Base, PartList};
use moon_formats::crc::{crc32c, crc32c_append};
use moon_formats::names;
use moon_formats::salvage::{FileMark, Hole, KeptBase, Lost, Plan, Reason, ShardPlan};
use moon_formats::wal::{BatchHead, Cut, RECORD_LEN_MIN, SegmentHeader};

use crate::io::{Access, Caching, Disk, File};
use crate::manifest;
use crate::parts::{ShardPaths, bases, read_list};
use crate::scan::{
    EndKind, FIRST_BLOCK, HoleReason, LogEnd, LogStart, ScanOptions, Verify, each_head,
    read_opening, scan,
};
use crate::whole;

use super::shard::{list_dir, load_listed, options};
use super::timeline::pending;
use super::{LSN_GAP, Nothing, RecoveryError, Request};
pub(super) use carry_out::Salvage;

/// More records than files that are gone can have held: 20 TiB of the shortest there are.
const LSN_HIDDEN: u64 = 1 << 40;
/// Bytes of a file that are read or copied at once.
const PIECE: usize = 1 << 20;

/// Why a plan cannot be made or carried out.
#[derive(Debug)]
pub enum SalvageError {
    /// The plan cannot be read.
    Io(PathBuf, io::Error),
    /// It is damaged, or of a newer Moon.
    Bad(PathBuf, DecodeError),
    /// It was made for another directory.
    Foreign {
        /// Identity in the plan.
        plan: [u8; 16],
        /// Identity of the directory.
        found: [u8; 16],
    },
    /// The directory is not as it was when the plan was made: what differs.
    Changed(&'static str),
    /// The log is not damaged.
    Sound(PathBuf),
    /// A plan or a recovery to a point in time was begun and has to end first.
    Unfinished,
    /// A recovery to a point in time was asked for as well.
    WithTarget,
    /// The log has been switched off.
    SwitchedOff(PathBuf),
    /// There is nothing to begin with.
    Nothing(PathBuf),
}

impl fmt::Display for SalvageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |uuid: &[u8; 16]| uuid.iter().map(|b| format!("{b:02x}")).collect::<String>();
        match self {
            SalvageError::Io(path, e) => write!(f, "salvage plan {}: {e}", path.display()),
            SalvageError::Bad(path, e) => write!(f, "salvage plan {}: {e}", path.display()),
            SalvageError::Foreign { plan, found } => write!(
                f,
                "the salvage plan is for the directory with uuid {}, this one has {}; nothing was changed",
                hex(plan),
                hex(found)
            ),
            SalvageError::Changed(what) => write!(
                f,
                "the directory has changed since the salvage plan was made ({what}); nothing was changed; \
                 look again: moon-inspect wal verify DIR --plan FILE"
            ),
            SalvageError::Sound(log) => {
                write!(f, "{} is not damaged; start without --salvage", log.display())
            }
            SalvageError::Unfinished => f.write_str(
                "a salvage or a recovery to a point in time was begun and not finished; start once \
                 without these options to finish it",
            ),
            SalvageError::WithTarget => f.write_str(
                "--salvage and a recovery target exclude each other: one after the other",
            ),
            SalvageError::SwitchedOff(list) => write!(
                f,
                "no salvage where the log has been switched off ({}): restore the data directory from \
                 a backup or a replica",
                list.display()
            ),
            SalvageError::Nothing(list) => write!(
                f,
                "nothing can be salvaged: {} names no sound base, and the log cannot be read from \
                 its beginning; restore the data directory from a backup or a replica",
                list.display()
            ),
        }
    }
}

impl std::error::Error for SalvageError {}

impl From<SalvageError> for RecoveryError {
    fn from(e: SalvageError) -> RecoveryError {
        RecoveryError::Salvage(e)
    }
}

/// Reads a plan.
///
/// # Errors
/// [`SalvageError::Io`] or [`SalvageError::Bad`].
pub async fn read_plan(disk: &dyn Disk, path: &Path) -> Result<Plan, SalvageError> {
    let at = |e| SalvageError::Io(path.to_owned(), e);
    let text = whole::read(disk, path).await.map_err(at)?;
    let text = text.ok_or_else(|| at(io::ErrorKind::NotFound.into()))?;
    Plan::decode(&text).map_err(|e| SalvageError::Bad(path.to_owned(), e))
}

/// What a shard keeps.
struct Kept {
    base: Option<Base>,
    /// Where the log begins; segment 0: no segment is kept.
    log: LogStart,
    lsn: u64,
    /// Something durable is given up.
    gives_up: bool,
}

/// Makes the plan of a shard; `None` if its log is not damaged. The directory is unchanged.
///
/// # Errors
/// See [`SalvageError`]; or as recovery itself.
pub async fn plan(req: &Request<'_>) -> Result<Option<ShardPlan>, RecoveryError> {
    let (disk, paths) = (req.disk, req.paths);
    let path = paths.part_list();
    let Some(list) = read_list(disk, paths).await? else {
        return Err(RecoveryError::PartsMissing { path, found: "a damaged log" });
    };
    if list.ended.is_some() {
        return Err(SalvageError::SwitchedOff(path).into());
    }
    if list.salvaged.last().is_some_and(|s| s.unfinished) || pending(req, &list).await?.is_some() {
        return Err(SalvageError::Unfinished.into());
    }
    let table = manifest::read(disk, paths).await.map_err(RecoveryError::Table)?;
    let opts = ScanOptions { via: Caching::Direct, ..options(req, &list, &table) };
    let end = look(disk, paths, &opts).await?;
    let EndKind::Hole(hole) = &end.kind else { return Ok(None) };
    let segments = read_segments(disk, paths).await?;
    let durable_lsn = hole.durable_lsn.max(end.durable_lsn);
    let hole = Hole {
        reason: reason(&hole.reason),
        segment: hole
            .path
            .file_name()
            .and_then(|n| names::parse_wal_segment(n.to_str()?))
            .unwrap_or(0),
        offset: hole.offset,
        next_lsn: hole.next_lsn,
        durable_lsn,
    };
    // A record before the hole that no sync has covered is not known to be there tomorrow.
    let readable = (!end.segments.is_empty()).then(|| (end.next_lsn - 1).min(durable_lsn));
    let kept = choose(req, &list, &opts, &segments, readable).await?;
    let counted = count(disk, paths, &opts, &kept).await?;
    let mut plan = ShardPlan {
        shard: paths.shard,
        list_crc: list_crc(&list),
        hole,
        base: kept.base.map(|b| KeptBase { seq: b.seq, cut: b.cut }),
        keep_lsn: kept.lsn,
        records: counted.records,
        bytes: counted.bytes,
        log_from_lsn: kept.log.lsn,
        log_from_seq: kept.log.seq,
        timeline: None,
        lost: Vec::new(),
        cut: None,
        segments: Vec::new(),
        bases: Vec::new(),
    };
    if kept.gives_up {
        let before = list.timelines.last().copied();
        let seen = segments.iter().map(|s| s.bound).max().unwrap_or(0);
        let seen = seen.max(durable_lsn).max(kept.lsn).max(before.map_or(0, |t| t.from_lsn));
        let hidden = if hole.reason.hides_more() { LSN_HIDDEN } else { 0 };
        let from_lsn = seen.saturating_add(1 + LSN_GAP + hidden);
        plan.timeline = Some((before.map_or(1, |t| t.epoch) + 1, from_lsn));
        plan.lost = lost(&segments, kept.lsn, durable_lsn);
    }
    let last_seq = if kept.log.seq == 0 { 0 } else { counted.last_seq };
    for segment in &segments {
        let goes = kept.log.seq == 0
            || segment.seq < kept.log.seq
            || (kept.gives_up && segment.seq > last_seq);
        let path = paths.log().join(names::wal_segment(segment.seq));
        if goes {
            plan.segments.push(mark(disk, &path, segment.seq).await?);
        } else if kept.gives_up && segment.seq == last_seq {
            plan.cut = Some(mark(disk, &path, segment.seq).await?);
        }
    }
    let files = list_dir(disk, &paths.parts()).await?;
    let listed = kept_bases(&list, &kept);
    let mut others: Vec<u64> =
        files.iter().filter_map(|e| names::parse_base_file(&e.name)).collect();
    others.retain(|seq| listed.iter().all(|b| b.seq != *seq));
    others.sort_unstable();
    for seq in others {
        plan.bases.push(mark(disk, &paths.base(seq), seq).await?);
    }
    Ok(Some(plan))
}

/// Bases that stay listed, newest first.
fn kept_bases(list: &PartList, kept: &Kept) -> Vec<Base> {
    let goes_back_to = |b: &&Base| b.cut + 1 >= kept.log.lsn || kept.base.as_ref() == Some(*b);
    let from_kept = bases(list).skip_while(|b| kept.base.as_ref() != Some(*b));
    from_kept.filter(goes_back_to).copied().collect()
}

fn list_crc(list: &PartList) -> u32 {
    crc32c(list.encode().as_bytes())
}

fn reason(reason: &HoleReason) -> Reason {
    match reason {
        HoleReason::DurableRecordsMissing => Reason::Record,
        HoleReason::KeptRecordsMissing => Reason::KeptRecord,
        HoleReason::Header(_) => Reason::Header,
        HoleReason::SegmentMissing => Reason::Segment,
        HoleReason::LogMissing => Reason::Log,
        HoleReason::ChainBroken => Reason::Chain,
        HoleReason::EpochWentBack => Reason::Epoch,
    }
}

async fn look(
    disk: &dyn Disk,
    paths: &ShardPaths,
    opts: &ScanOptions,
) -> Result<LogEnd, RecoveryError> {
    scan(disk, &paths.log(), opts, &mut Verify).await.map_err(RecoveryError::Scan)
}

/// A segment file, and what can be read of it.
struct Segment {
    seq: u64,
    opening: Option<(SegmentHeader, Option<Cut>)>,
    /// First and last LSN of every batch whose head is sound, and its bytes.
    batches: Vec<(u64, u64, u64)>,
    /// No LSN in it is higher.
    bound: u64,
}

impl Segment {
    /// First LSN from which on the log can be read here.
    fn reaches_back_to(&self) -> Option<u64> {
        let (header, cut) = self.opening.as_ref()?;
        Some(cut.as_ref().map_or(header.base_lsn, |cut| cut.keep_lsn + 1))
    }
}

/// Every segment in the directory, ascending.
async fn read_segments(disk: &dyn Disk, paths: &ShardPaths) -> Result<Vec<Segment>, RecoveryError> {
    let dir = paths.log();
    let opts = ScanOptions { shard: Some(paths.shard), ..ScanOptions::default() };
    let mut all = Vec::new();
    for entry in list_dir(disk, &dir).await?.iter().filter(|e| !e.is_dir) {
        let Some(seq) = names::parse_wal_segment(&entry.name) else { continue };
        let path = dir.join(&entry.name);
        let at = |e| RecoveryError::Io(path.clone(), e);
        let file = disk.open(&path, Access::Read, Caching::Direct).await.map_err(at)?;
        let block = file.read_at(0, FIRST_BLOCK.max(disk.alignment())).await.map_err(at)?;
        let opening = read_opening(&block, seq, &opts).ok();
        let align = opening.as_ref().map_or(0, |(header, _)| header.align());
        let mut batches = Vec::new();
        let mut note = |head: &BatchHead| {
            batches.push((head.first_lsn, head.last_lsn, head.batch_bytes.into()));
        };
        each_head(&*file, seq, align, None, None, &mut note).await.map_err(at)?;
        let heads = batches.iter().map(|b| b.1);
        let named = opening.iter().flat_map(|(header, cut)| {
            let cut = cut.as_ref().map_or(0, |cut| cut.max_seen_lsn);
            [header.base_lsn.saturating_sub(1), cut]
        });
        let highest = heads.chain(named).max().unwrap_or(0);
        let bound = highest.saturating_add(entry.bytes / RECORD_LEN_MIN as u64);
        all.push(Segment { seq, opening, batches, bound });
    }
    all.sort_by_key(|s| s.seq);
    Ok(all)
}

/// The newest state that can be had. `readable` is the last LSN before the hole, if the log can be
/// read from where it has to begin.
async fn choose(
    req: &Request<'_>,
    list: &PartList,
    opts: &ScanOptions,
    segments: &[Segment],
    readable: Option<u64>,
) -> Result<Kept, RecoveryError> {
    let nothing = || RecoveryError::from(SalvageError::Nothing(req.paths.part_list()));
    let log = LogStart { lsn: list.log_from_lsn.max(1), seq: list.log_from_seq };
    if list.base.is_none() {
        return match readable {
            Some(lsn) if lsn > 0 => Ok(Kept { base: None, log, lsn, gives_up: true }),
            _ => Err(nothing()),
        };
    }
    for base in bases(list) {
        let path = req.paths.base(base.seq);
        match load_listed(req, base, &path, &mut Nothing::default(), &mut |_| {}).await {
            Ok(_) => {}
            Err(e) if e.is_damage() => continue,
            Err(e) => return Err(RecoveryError::Base(path, e)),
        }
        return match readable {
            Some(lsn) if base.cut <= lsn && base.cut + 1 >= log.lsn => {
                Ok(Kept { base: Some(*base), log, lsn, gives_up: true })
            }
            _ => ahead(req, opts, segments, *base).await,
        };
    }
    Err(nothing())
}

/// A base behind the hole, and as much of the log behind it as can be read.
async fn ahead(
    req: &Request<'_>,
    opts: &ScanOptions,
    segments: &[Segment],
    base: Base,
) -> Result<Kept, RecoveryError> {
    let lsn = base.cut + 1;
    let reaches = |s: &&Segment| s.reaches_back_to().is_some_and(|from| from <= lsn);
    if let Some(first) = segments.iter().rfind(reaches) {
        let log = LogStart { lsn, seq: first.seq };
        let from = ScanOptions { start: Some(log), visit_from: lsn, ..opts.clone() };
        let end = look(req.disk, req.paths, &from).await?;
        let base = Some(base);
        match &end.kind {
            EndKind::Hole(_) if end.segments.is_empty() || end.next_lsn <= lsn => {}
            EndKind::Hole(hole) => {
                let durable = hole.durable_lsn.max(end.durable_lsn);
                let kept = (end.next_lsn - 1).min(durable);
                return Ok(Kept { base, log, lsn: kept, gives_up: true });
            }
            _ => {
                let kept = end.last_lsn.max(lsn - 1);
                return Ok(Kept { base, log, lsn: kept, gives_up: false });
            }
        }
    }
    let log = LogStart { lsn, seq: 0 };
    Ok(Kept { base: Some(base), log, lsn: base.cut, gives_up: true })
}

/// The log as it will be read.
async fn count(
    disk: &dyn Disk,
    paths: &ShardPaths,
    opts: &ScanOptions,
    kept: &Kept,
) -> Result<LogEnd, RecoveryError> {
    let opts = ScanOptions {
        start: Some(kept.log),
        last_seq: (kept.log.seq == 0).then_some(0),
        may_be_empty: kept.log.seq == 0,
        until: kept.gives_up.then_some(kept.lsn),
        durable_floor: match kept.gives_up {
            true => kept.lsn.min(opts.durable_floor),
            false => opts.durable_floor,
        },
        visit_from: kept.base.map_or(kept.log.lsn, |b| b.cut + 1),
        ..opts.clone()
    };
    look(disk, paths, &opts).await
}

/// LSNs above `keep` that are known to have been there.
fn lost(segments: &[Segment], keep: u64, durable_lsn: u64) -> Vec<Lost> {
    let mut ranges: Vec<Lost> = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        for &(first, last, bytes) in &segment.batches {
            // What a later cut voids is lost already.
            let cuts = segments[i + 1..].iter().filter_map(|s| s.opening.as_ref()?.1.as_ref());
            let last = cuts.map(|cut| cut.keep_lsn).min().map_or(last, |keep| last.min(keep));
            let first = first.max(keep + 1);
            if first <= last {
                let found = last - first + 1;
                ranges.push(Lost { from_lsn: first, to_lsn: last, found, bytes });
            }
        }
    }
    ranges.sort_by_key(|l| (l.from_lsn, l.to_lsn));
    let mut all: Vec<Lost> = Vec::new();
    for next in ranges {
        let before = all.last().map_or(keep, |l| l.to_lsn);
        match all.last_mut() {
            // The same records again, as after a failed sync.
            _ if next.to_lsn <= before => {}
            // What lies between cannot be read: only a crash leaves a gap, and a larger one.
            Some(last) if next.from_lsn - last.to_lsn.min(next.from_lsn) <= LSN_GAP => {
                last.found += next.to_lsn - next.from_lsn.max(before + 1) + 1;
                last.to_lsn = next.to_lsn;
                last.bytes += next.bytes;
            }
            None if next.from_lsn - keep <= LSN_GAP => {
                all.push(Lost { from_lsn: keep + 1, ..next });
            }
            _ => all.push(next),
        }
    }
    let known = all.last().map_or(keep, |l| l.to_lsn);
    if durable_lsn > known {
        match all.last_mut() {
            Some(last) => last.to_lsn = durable_lsn,
            None => {
                let from_lsn = keep + 1;
                all.push(Lost { from_lsn, to_lsn: durable_lsn, found: 0, bytes: 0 });
            }
        }
    }
    all
}

/// Calls `take` with a file, piece by piece.
async fn pieces(
    file: &dyn File,
    mut take: impl AsyncFnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut pos = 0;
    while pos < file.size() {
        let piece = file.read_at(pos, PIECE).await?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        take(pos, &piece).await?;
        pos += piece.len() as u64;
    }
    Ok(pos)
}

async fn mark(disk: &dyn Disk, path: &Path, seq: u64) -> Result<FileMark, RecoveryError> {
    let read = async {
        let file = disk.open(path, Access::Read, Caching::Direct).await?;
        let mut crc = 0;
        let bytes = pieces(&*file, async |_, piece| {
            crc = crc32c_append(crc, piece);
            Ok(())
        });
        let bytes = bytes.await?;
        Ok(FileMark { seq, bytes, crc })
    };
    read.await.map_err(|e| RecoveryError::Io(path.to_owned(), e))
}
