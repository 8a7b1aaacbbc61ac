//! A point in time, as an operator names it, and the LSN it stands for (durability.md §12).
//!
//! The one idea: every batch says when it was written and a restore point is a record, so the log
//! itself is the table of times and names. It is scanned by the rules of every other reader: what
//! does not count at a start is no target.
//!
//! Invariants: nothing is written; an answer is one LSN that recovery can stop at, never a guess:
//! a time that the clock passed twice, or a name that was given twice, is refused unless the
//! operator says which.

use std::collections::VecDeque;
use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;

use moon_formats::aof::{Base, PartList};
use moon_formats::rrdshard::{Decoder, Item};
use moon_formats::time::utc;
use moon_formats::wal::body::{Payload, RestorePoint, XactPart};
use moon_formats::wal::{BatchHead, Record, RecordType};

use crate::io::{Access, Caching};
use crate::parts::{bases, read_list};
use crate::scan::{EndKind, LogEnd, LogStart, Position, ScanOptions, VisitError, Visitor, scan};

use super::timeline::pending;
use super::{RecoveryError, Request};

/// A clock set back by more than this makes the times it passed twice ambiguous, in microseconds.
const STEP_US: i64 = 1_000_000;
/// So many candidates are listed.
const CANDIDATES_MAX: usize = 16;

/// Where recovery is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PointTarget {
    /// The last record at or before this LSN.
    Lsn(u64),
    /// The last batch written at or before this time, microseconds since 1970.
    Time(i64),
    /// The restore point of this name, itself included.
    Name(Vec<u8>),
    /// The restore point, or unit over several shards, with this global number, itself included.
    Gtid(u64),
    /// The last record there is.
    End,
}

impl PointTarget {
    /// Whether it is one particular record, and not a place between records.
    fn is_record(&self) -> bool {
        matches!(self, PointTarget::Name(_) | PointTarget::Gtid(_))
    }
}

impl fmt::Display for PointTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PointTarget::Lsn(lsn) => write!(f, "lsn {lsn}"),
            PointTarget::Time(us) => write!(f, "time {}", utc(*us)),
            PointTarget::Name(name) => write!(f, "restore point \"{}\"", name.escape_ascii()),
            PointTarget::Gtid(gtid) => write!(f, "gtid {gtid}"),
            PointTarget::End => f.write_str("the end of the log"),
        }
    }
}

/// What is done about several points that a target fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimePolicy {
    /// They are listed, and nothing happens.
    #[default]
    Refuse,
    /// The first one.
    First,
    /// The last one.
    Last,
}

/// Where recovery ends, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Last LSN that counts: that of a record, the cut of a base, or 0.
    pub lsn: u64,
    /// A new timeline begins there when the log is opened; without it the log must not be opened.
    pub fork: bool,
}

/// Part of a log's history that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// First LSN to stop at: the cut of the oldest base, 0 without one.
    pub oldest_lsn: u64,
    /// When it was written, microseconds since 1970, if that is known.
    pub oldest_us: Option<i64>,
    /// Last LSN.
    pub newest_lsn: u64,
    /// When it was written.
    pub newest_us: Option<i64>,
    /// Where the timeline in force has left the one before it.
    pub forked_at: Option<u64>,
}

impl Reach {
    /// What somebody has to know who names a target that an earlier start has recovered to.
    fn hint(&self) -> String {
        match self.forked_at {
            None => String::new(),
            Some(lsn) => format!(
                "; the timeline in force was forked at lsn {lsn}: if this target has been recovered \
                 to already, start without it"
            ),
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |f: &mut fmt::Formatter<'_>, lsn: u64, us: Option<i64>| match us {
            Some(us) => write!(f, "lsn {lsn} ({})", utc(us)),
            None => write!(f, "lsn {lsn}"),
        };
        side(f, self.oldest_lsn, self.oldest_us)?;
        f.write_str(" to ")?;
        side(f, self.newest_lsn, self.newest_us)
    }
}

/// A point that fits a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its LSN.
    pub lsn: u64,
    /// The clock when it was written, microseconds since 1970.
    pub wall_us: Option<i64>,
    /// Its global number, if it has one.
    pub gtid: Option<u64>,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lsn {}", self.lsn)?;
        if let Some(gtid) = self.gtid {
            write!(f, " gtid {gtid}")?;
        }
        match self.wall_us {
            Some(us) => write!(f, " ({})", utc(us)),
            None => Ok(()),
        }
    }
}

/// A restore point that the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPoint {
    /// Its name.
    pub name: Vec<u8>,
    /// Its place.
    pub at: Candidate,
}

/// A target that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Last LSN that counts.
    pub lsn: u64,
    /// When it was written, microseconds since 1970, if that is known.
    pub wall_us: Option<i64>,
    /// The base that recovery begins with; `None`: the log holds everything.
    pub base: Option<Base>,
    /// Whether the log is known to be on the device up to there. If not, [`super::settle`] comes
    /// before a fork.
    pub is_durable: bool,
    /// What could have been had.
    pub reach: Reach,
}

/// Why a point in time cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetError {
    /// It is not in the reachable part of the log.
    Unreachable(PointTarget, Reach),
    /// No record of that part of the log has this name or number; the last restore points that
    /// there are.
    NoPoint(PointTarget, Reach, Vec<NamedPoint>),
    /// Several points fit.
    Ambiguous(PointTarget, Vec<Candidate>),
    /// It is later than the clock, in microseconds since 1970: the target, and now.
    Future(i64, i64),
    /// There is no part list: nothing has been written under this directory yet.
    NoLog(PathBuf),
    /// A fork was begun by an earlier start and has not been finished.
    Unfinished(u64),
    /// The shard was only looked at and cannot be written to.
    Inspected,
    /// The log has been switched off: what was saved since is in no log.
    SwitchedOff(PathBuf),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetError::Unreachable(target, reach) => {
                write!(f, "recovery target not reachable: {target}; reachable is {reach}")?;
                f.write_str(&reach.hint())
            }
            TargetError::NoPoint(target, reach, points) => {
                write!(f, "recovery target not reachable: there is no {target} from {reach}")?;
                for (i, NamedPoint { name, at }) in points.iter().enumerate() {
                    let gap = if i > 0 { ", " } else { "; restore points are " };
                    write!(f, "{gap}\"{}\" at {at}", name.escape_ascii())?;
                }
                f.write_str(&reach.hint())
            }
            TargetError::Ambiguous(target, candidates) => {
                write!(f, "recovery target ambiguous: {target} fits ")?;
                for (i, candidate) in candidates.iter().enumerate() {
                    write!(f, "{}{candidate}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("; give --recovery-target-lsn, or --recovery-time-policy first or last")
            }
            TargetError::Future(us, now_us) => {
                write!(f, "recovery target in the future: {}; it is {}", utc(*us), utc(*now_us))
            }
            TargetError::NoLog(list) => {
                write!(f, "no recovery target without a log: {} does not exist", list.display())
            }
            TargetError::Unfinished(lsn) => write!(
                f,
                "a recovery to lsn {lsn} was begun and not finished; start once without a recovery \
                 target to finish it"
            ),
            TargetError::SwitchedOff(list) => write!(
                f,
                "no recovery target where the log has been switched off ({}); start once with \
                 `appendonly yes` and without a recovery target",
                list.display()
            ),
            TargetError::Inspected => {
                f.write_str("a shard recovered for inspection cannot be written to")
            }
        }
    }
}

impl std::error::Error for TargetError {}

/// Looks for a target while the log goes by.
struct Search<'a> {
    target: &'a PointTarget,
    /// Batch whose first record has not come yet.
    head: Option<BatchHead>,
    /// Last record and the clock of its batch.
    last: Candidate,
    first_us: Option<i64>,
    /// Highest clock of any batch.
    highest_us: i64,
    /// The clock was set back by more than [`STEP_US`].
    stepped: bool,
    /// Last record at or before the target, by what never goes back: LSN or log time.
    best: Option<Candidate>,
    /// Something behind the target was seen, so that damage further on does not matter.
    passed: bool,
    /// All points that fit by the clock as read, or have the name or number.
    candidates: Vec<Candidate>,
    found: u64,
    /// The last restore points, where a name or number is looked for.
    points: VecDeque<NamedPoint>,
}

impl Search<'_> {
    fn add(&mut self, candidate: Candidate) {
        self.found += 1;
        if self.candidates.len() == CANDIDATES_MAX {
            // The last one is what `last` asks for.
            self.candidates.pop();
        }
        self.candidates.push(candidate);
    }

    /// Looks at a record that may be the one that is looked for.
    fn compare(&mut self, r: &Record<'_>) -> Result<(), VisitError> {
        let at = r.payload_offset();
        let (gtid, name) = match RecordType::from_code(r.code) {
            Some(RecordType::RestorePoint) => {
                let point = RestorePoint::decode(r.payload, r.flags, at)?;
                (point.gtid, Some(point.name))
            }
            Some(RecordType::XactPart) => (XactPart::decode(r.payload, r.flags, at)?.gtid, None),
            _ => return Ok(()),
        };
        let candidate = Candidate { gtid: Some(gtid), ..self.last };
        let fits = match self.target {
            PointTarget::Name(wanted) => name == Some(wanted.as_slice()),
            PointTarget::Gtid(wanted) => gtid == *wanted,
            PointTarget::Lsn(_) | PointTarget::Time(_) | PointTarget::End => false,
        };
        if fits {
            self.add(candidate);
            self.best = Some(candidate);
            self.passed = true;
        }
        if let Some(name) = name {
            if self.points.len() == CANDIDATES_MAX {
                self.points.pop_front();
            }
            self.points.push_back(NamedPoint { name: name.to_vec(), at: candidate });
        }
        Ok(())
    }

    fn begin(&mut self, head: &BatchHead) {
        if let PointTarget::Time(us) = self.target {
            let before = self.last.wall_us.is_some_and(|wall| wall <= *us);
            if before && head.wall_us > *us {
                self.add(self.last);
            }
            self.passed |= head.mono_us > u64::try_from(*us).unwrap_or(0);
        }
        self.first_us.get_or_insert(head.wall_us);
        self.stepped |= head.wall_us < self.highest_us.saturating_sub(STEP_US);
        self.highest_us = self.highest_us.max(head.wall_us);
        self.last.wall_us = Some(head.wall_us);
    }
}

impl Visitor for Search<'_> {
    fn batch(&mut self, head: &BatchHead, _: Position) -> Result<(), VisitError> {
        self.head = Some(*head);
        Ok(())
    }

    fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        if let Some(head) = self.head.take() {
            self.begin(&head);
        }
        self.last.lsn = r.lsn;
        if self.target.is_record() {
            self.compare(r)?;
            return Ok(ControlFlow::Continue(()));
        }
        let fits = match self.target {
            PointTarget::Lsn(lsn) => {
                self.passed |= r.lsn >= *lsn;
                r.lsn <= *lsn
            }
            PointTarget::Time(_) => !self.passed,
            PointTarget::Name(_) | PointTarget::Gtid(_) | PointTarget::End => true,
        };
        if fits {
            self.best = Some(self.last);
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Finds the LSN that `target` stands for in a shard.
///
/// # Errors
/// [`RecoveryError::Target`] if it cannot be had; [`RecoveryError::Hole`] if the log is damaged
/// before it; or as recovery itself.
pub async fn resolve(
    req: &Request<'_>,
    target: &PointTarget,
    policy: TimePolicy,
) -> Result<Resolved, RecoveryError> {
    let list = readable(req).await?;
    let oldest = bases(&list).last().copied();
    let mut start = Candidate { lsn: oldest.map_or(0, |b| b.cut), wall_us: None, gtid: None };
    if let Some(base) = &oldest {
        start.wall_us = base_time(req, base).await;
    }
    let mut search = Search {
        target,
        head: None,
        last: start,
        first_us: None,
        highest_us: i64::MIN,
        stepped: false,
        best: None,
        passed: false,
        candidates: Vec::new(),
        found: 0,
        points: VecDeque::new(),
    };
    let unfinished = pending(req, &list).await?;
    let end = look_from(req, &list, unfinished, &mut search).await?;
    let hole = match end.kind {
        EndKind::Hole(hole) => Some(hole),
        _ => None,
    };
    let reach = Reach {
        oldest_lsn: start.lsn,
        oldest_us: start.wall_us.or(search.first_us),
        newest_lsn: search.last.lsn,
        newest_us: search.last.wall_us,
        forked_at: list.timelines.last().and_then(|t| t.forked_at),
    };
    let at_start = match target {
        PointTarget::Lsn(lsn) => start.lsn <= *lsn,
        PointTarget::Time(us) => start.wall_us.is_some_and(|wall| wall <= *us),
        PointTarget::End => true,
        PointTarget::Name(_) | PointTarget::Gtid(_) => false,
    };
    if at_start {
        search.best.get_or_insert(start);
    }
    if let (PointTarget::Time(us), None) = (target, &hole)
        && search.last.wall_us.is_some_and(|wall| wall <= *us)
    {
        search.add(search.last);
    }
    let ambiguous = match target {
        PointTarget::Lsn(_) | PointTarget::End => false,
        PointTarget::Time(_) => {
            search.stepped && (search.found > 1 || search.candidates.last() != search.best.as_ref())
        }
        PointTarget::Name(_) | PointTarget::Gtid(_) => search.found > 1,
    };
    let best = match policy {
        _ if !ambiguous => search.best,
        TimePolicy::First => search.candidates.first().copied(),
        TimePolicy::Last => search.candidates.last().copied(),
        TimePolicy::Refuse => {
            let mut all = search.candidates;
            if let Some(best) = search.best.filter(|best| !all.contains(best)) {
                all.push(best);
            }
            return Err(RecoveryError::Target(TargetError::Ambiguous(target.clone(), all)));
        }
    };
    // Before everything there is, or behind it.
    let outside = match target {
        PointTarget::Lsn(lsn) => *lsn > search.last.lsn || *lsn < start.lsn,
        PointTarget::Time(us) => reach.oldest_us.is_some_and(|oldest| *us < oldest) && !ambiguous,
        PointTarget::Name(_) | PointTarget::Gtid(_) | PointTarget::End => false,
    };
    let best = match (best, hole) {
        (Some(best), None) if !outside => best,
        (Some(best), Some(_)) if search.passed && !outside => best,
        (_, Some(hole)) => return Err(RecoveryError::Hole(hole)),
        _ => {
            return Err(RecoveryError::Target(match unfinished {
                Some(lsn) => TargetError::Unfinished(lsn),
                None if target.is_record() => {
                    TargetError::NoPoint(target.clone(), reach, search.points.into())
                }
                None => TargetError::Unreachable(target.clone(), reach),
            }));
        }
    };
    Ok(Resolved {
        lsn: best.lsn,
        wall_us: best.wall_us,
        base: bases(&list).find(|b| b.cut <= best.lsn).copied(),
        is_durable: end.durable_lsn >= best.lsn || unfinished.is_some(),
        reach,
    })
}

/// The part list of a shard that has a log.
async fn readable(req: &Request<'_>) -> Result<PartList, RecoveryError> {
    let list = read_list(req.disk, req.paths).await.map_err(RecoveryError::Parts)?;
    match list {
        None => Err(RecoveryError::Target(TargetError::NoLog(req.paths.part_list()))),
        Some(list) if list.ended.is_some() => {
            Err(RecoveryError::Target(TargetError::SwitchedOff(req.paths.part_list())))
        }
        Some(list) => Ok(list),
    }
}

/// Hands every record behind the oldest base to `visitor`: all that a target is looked for in. Where
/// that ends in damage, the kind of the end says so.
///
/// # Errors
/// As [`resolve`], damage excepted.
pub async fn look(
    req: &Request<'_>,
    visitor: &mut dyn Visitor,
) -> Result<(PartList, LogEnd), RecoveryError> {
    let list = readable(req).await?;
    let unfinished = pending(req, &list).await?;
    let end = look_from(req, &list, unfinished, visitor).await?;
    Ok((list, end))
}

async fn look_from(
    req: &Request<'_>,
    list: &PartList,
    until: Option<u64>,
    visitor: &mut dyn Visitor,
) -> Result<LogEnd, RecoveryError> {
    let cut = bases(list).last().map_or(0, |base| base.cut);
    let opts = ScanOptions { until, ..options(req, list, cut) };
    scan(req.disk, &req.paths.log(), &opts, visitor).await.map_err(RecoveryError::Scan)
}

/// How the log of a shard is read from its oldest base on.
fn options(req: &Request<'_>, list: &PartList, cut: u64) -> ScanOptions {
    ScanOptions {
        shard: Some(req.paths.shard),
        start: Some(LogStart { lsn: list.log_from_lsn.max(1), seq: list.log_from_seq }),
        durable_floor: cut,
        visit_from: cut + 1,
        may_be_empty: list.log_from_seq == 0,
        via: Caching::Direct,
        #[cfg(any(test, feature = "mutants"))]
        mutant: req.mutant,
        ..ScanOptions::default()
    }
}

/// The clock at the cut of a base; `None` if its head cannot be read.
async fn base_time(req: &Request<'_>, base: &Base) -> Option<i64> {
    let path = req.paths.base(base.seq);
    let file = req.disk.open(&path, Access::Read, Caching::Direct).await.ok()?;
    let mut decoder = Decoder::new();
    decoder.feed(&file.read_at(0, req.disk.alignment()).await.ok()?);
    match decoder.next().ok()? {
        Some(Item::Head(head)) => head.extension.and_then(|e| i64::try_from(e.mono_us).ok()),
        _ => None,
    }
}
