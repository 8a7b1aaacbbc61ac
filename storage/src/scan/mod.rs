//! The one log scanner. Recovery, inspection, restore and the change stream visit the log
//! through it; nobody else parses a segment.
//!
//! Rules (storage-formats.md §3.6), in the terms used here: `next` is the LSN expected next,
//! `D` the highest LSN known to have been durable.
//!
//! * A later `Cut` bounds what counts: records above the smallest `keep_lsn` of all later cuts
//!   are void, and every record up to it must be found.
//! * Where no valid record follows, the log has ended. If `D >= next`, something that was
//!   durable is gone: a *hole*. Else it is a *crash tail*, whatever valid records lie behind.
//! * A segment under its final name has a good first block; anything else is damage.
//!
//! Invariants: nothing is written; memory is one read chunk or one record; records are visited
//! in LSN order, each LSN once, and only while no damage was met before them.

mod any;
mod end;
mod reference;
mod resync;
mod visitor;
pub(crate) mod window;

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_formats::DecodeError;
use moon_formats::names;
use moon_formats::wal::body::Payload;
use moon_formats::wal::{
    BatchHead, Checkpoint, CheckpointKind, Cut, Record, RecordType, SegmentEnd, SegmentHeader,
    UnverifiedHeader,
};

use crate::io::{Access, Caching, Disk, File};
use crate::log::SegmentInfo;
#[cfg(any(test, feature = "mutants"))]
use crate::mutant::Mutant;

pub use any::scan_any_bytes;
pub use end::{EndKind, Hole, HoleReason, LogEnd, ScanError};
pub(crate) use resync::each_head;
pub use visitor::{Position, Verify, VisitError, Visitor};
use window::{Found, Window};

/// Bytes read to see a header and its cut; the smallest alignment there is.
pub(crate) const FIRST_BLOCK: usize = 4096;

/// First LSN and segment that must exist, from the part manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStart {
    /// First LSN needed.
    pub lsn: u64,
    /// Segment that holds it; 0 where the list was written before the first segment.
    pub seq: u64,
}

/// What the scanner is told about the log from outside.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// Shard whose log this must be.
    pub shard: Option<u16>,
    /// Where the log must begin; older files are ignored.
    pub start: Option<LogStart>,
    /// Last segment that counts; later files are ignored.
    pub last_seq: Option<u64>,
    /// Highest LSN known durable from elsewhere: cut of the base, `wal_flush_lsn`.
    pub durable_floor: u64,
    /// Records below this LSN are checked, not visited. The log must reach back to it; 0 asks
    /// for whatever there is.
    pub visit_from: u64,
    /// Last LSN that counts: the scan stops behind it, as [`EndKind::Stopped`], and damage that
    /// lies further on does not matter.
    pub until: Option<u64>,
    /// A directory without segments is a log that begins after `durable_floor` (a restored or
    /// migrated base), not a missing one.
    pub may_be_empty: bool,
    /// Segments of the reference server are read too; the tools ask for it, recovery never.
    pub reference: bool,
    /// Recovery reads past the page cache, so that it believes only what the device holds.
    pub via: Caching,
    /// The broken line of this run.
    #[cfg(any(test, feature = "mutants"))]
    pub mutant: Option<Mutant>,
}

impl Default for ScanOptions {
    fn default() -> ScanOptions {
        ScanOptions {
            shard: None,
            start: None,
            last_seq: None,
            durable_floor: 0,
            visit_from: 0,
            until: None,
            may_be_empty: false,
            reference: false,
            via: Caching::Cached,
            #[cfg(any(test, feature = "mutants"))]
            mutant: None,
        }
    }
}

/// A segment file and what its first block says.
struct Seg {
    seq: u64,
    path: PathBuf,
    bytes: u64,
    file: Rc<dyn File>,
    opening: Result<(SegmentHeader, Option<Cut>), DecodeError>,
}

impl Seg {
    fn is_reference(&self) -> bool {
        self.opening.as_ref().is_ok_and(|(header, _)| !header.is_r1())
    }

    fn cut(&self) -> Option<&Cut> {
        self.opening.as_ref().ok().and_then(|(_, cut)| cut.as_ref())
    }
}

/// Scans the log in `dir` from its start to its end.
///
/// # Errors
/// A file cannot be read, was written by a newer Moon, or the visitor failed. Damage is not an
/// error here but a kind of end: [`EndKind::Hole`].
pub async fn scan(
    disk: &dyn Disk,
    dir: &Path,
    opts: &ScanOptions,
    visitor: &mut dyn Visitor,
) -> Result<LogEnd, ScanError> {
    let segs = open_segments(disk, dir, opts).await?;
    let keeps = suffix_keeps(&segs);
    let mut scan = Scan {
        opts,
        visitor,
        segs: &segs,
        end: LogEnd::empty(opts.durable_floor + 1),
        last_crc: None,
        entered: false,
        clean_mark: false,
    };
    scan.run(dir, &keeps).await?;
    Ok(scan.end)
}

/// For each segment the smallest `keep_lsn` of the cuts after it.
fn suffix_keeps(segs: &[Seg]) -> Vec<Option<u64>> {
    let mut keeps = vec![None; segs.len()];
    let mut keep: Option<u64> = None;
    for (i, seg) in segs.iter().enumerate().rev() {
        keeps[i] = keep;
        if let Some(cut) = seg.cut() {
            keep = Some(keep.map_or(cut.keep_lsn, |k| k.min(cut.keep_lsn)));
        }
    }
    keeps
}

async fn open_segments(
    disk: &dyn Disk,
    dir: &Path,
    opts: &ScanOptions,
) -> Result<Vec<Seg>, ScanError> {
    let entries = match disk.list(dir).await {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(cause) => return Err(ScanError::Io { path: dir.to_owned(), cause }),
    };
    let counts = opts.start.map_or(0, |s| s.seq)..=opts.last_seq.unwrap_or(u64::MAX);
    let mut segs = Vec::new();
    for entry in entries.iter().filter(|e| !e.is_dir) {
        let Some(seq) = names::parse_wal_segment(&entry.name).filter(|s| counts.contains(s)) else {
            continue;
        };
        let path = dir.join(&entry.name);
        let at = |cause| ScanError::Io { path: path.clone(), cause };
        let file = disk.open(&path, Access::Read, opts.via).await.map_err(at)?;
        let block = file.read_at(0, FIRST_BLOCK).await.map_err(at)?;
        let opening = read_opening(&block, seq, opts);
        if let Err(e) = &opening
            && e.is_newer()
        {
            return Err(ScanError::Newer { path, cause: e.clone() });
        }
        segs.push(Seg { seq, bytes: file.size(), path, file, opening });
    }
    segs.sort_by_key(|s| s.seq);
    Ok(segs)
}

/// Checks the first block of a segment: header, name, shard, cut.
pub(crate) fn read_opening(
    block: &[u8],
    seq: u64,
    opts: &ScanOptions,
) -> Result<(SegmentHeader, Option<Cut>), DecodeError> {
    use moon_formats::Cause::Mismatch;
    use moon_formats::wal::HEADER_LEN;
    let header = UnverifiedHeader::parse(block, 0)?.verify()?;
    if let Some(shard) = opts.shard
        && shard != header.shard_id
    {
        let cause = Mismatch { expected: shard.into(), found: header.shard_id.into() };
        return Err(DecodeError::new(8, "shard_id", cause));
    }
    if !header.is_r1() {
        return Ok((header, None));
    }
    if header.segment_seq != seq {
        let cause = Mismatch { expected: seq, found: header.segment_seq };
        return Err(DecodeError::new(44, "segment_seq", cause));
    }
    if !header.has_cut() {
        return Ok((header, None));
    }
    let record = Record::decode(block.get(HEADER_LEN..).unwrap_or_default(), HEADER_LEN as u64)?;
    if record.code != RecordType::Cut.code() {
        let cause = Mismatch { expected: RecordType::Cut.code().into(), found: record.code.into() };
        return Err(DecodeError::new(record.offset + 12, "record after the header", cause));
    }
    let cut = Cut::decode(record.payload, record.flags, record.payload_offset())?;
    if cut.keep_lsn >= header.base_lsn {
        let cause = Mismatch { expected: header.base_lsn, found: cut.keep_lsn };
        return Err(DecodeError::new(record.payload_offset(), "keep_lsn below base_lsn", cause));
    }
    Ok((header, Some(cut)))
}

/// Why the walk over a segment ended.
enum Stop {
    /// A valid SegmentEnd.
    Ended,
    /// All that a later cut keeps was found.
    Kept,
    /// No valid next record at this offset. `resume`: end of the batch it should lie in.
    Failed { offset: u64, resume: Option<u64> },
    /// The visitor has enough.
    Break,
    /// Damage, already noted.
    Hole,
}

struct Scan<'a> {
    opts: &'a ScanOptions,
    visitor: &'a mut dyn Visitor,
    segs: &'a [Seg],
    end: LogEnd,
    /// CRC of the record at `next - 1`, once one was seen.
    last_crc: Option<u32>,
    /// A segment that is not void was met.
    entered: bool,
    /// The last record was the checkpoint of a clean shutdown.
    clean_mark: bool,
}

impl Scan<'_> {
    async fn run(&mut self, dir: &Path, keeps: &[Option<u64>]) -> Result<(), ScanError> {
        let Some(first) = self.segs.first() else {
            let needed = self.opts.start.is_some() || self.opts.durable_floor > 0;
            if needed && !self.opts.may_be_empty {
                self.hole(dir.to_owned(), 0, HoleReason::LogMissing);
            }
            return Ok(());
        };
        if let Some(start) = self.opts.start
            && start.seq != 0
            && first.seq != start.seq
        {
            self.hole(dir.join(names::wal_segment(start.seq)), 0, HoleReason::SegmentMissing);
            return Ok(());
        }
        for (i, (seg, keep)) in self.segs.iter().zip(keeps).enumerate() {
            if self.entered && self.is_enough() {
                return self.stop_before(i);
            }
            if self.is_void(i, *keep) {
                self.pass_over(seg);
                continue;
            }
            if !self.enter(i, seg)? {
                return Ok(());
            }
            let bound = keep.iter().copied().chain(self.opts.until).min();
            let stop = match bound {
                Some(bound) if self.end.next_lsn > bound => Stop::Kept,
                _ => self.walk(seg, bound).await?,
            };
            self.leave(seg);
            match stop {
                Stop::Ended | Stop::Kept => {}
                Stop::Break => {
                    self.end.kind = EndKind::Stopped;
                    return Ok(());
                }
                Stop::Hole => return Ok(()),
                Stop::Failed { offset, resume } => {
                    return self.settle(i, offset, resume, *keep).await;
                }
            }
            if self.is_enough() {
                return self.stop_before(i + 1);
            }
            if i + 1 == self.segs.len() {
                let at = self.end.at.offset;
                // A reference log says nowhere how it ended.
                let ended = self.clean_mark || seg.is_reference();
                self.end.kind = match (stop, ended) {
                    (Stop::Ended, true) => EndKind::Clean,
                    _ => EndKind::CrashTail { path: seg.path.clone(), offset: at, dropped: false },
                };
                return self.check_floor(seg);
            }
        }
        Ok(())
    }

    /// A segment without a cut behind a crash tail, or written behind a suspect file: a later
    /// cut says that nothing in it counts. Its place in the chain was never durable.
    fn is_void(&self, i: usize, keep: Option<u64>) -> bool {
        let seg = &self.segs[i];
        let (Ok((header, None)), Some(keep)) = (&seg.opening, keep) else { return false };
        if i > 0 && seg.seq != self.segs[i - 1].seq + 1 {
            return false;
        }
        let next = if self.entered { self.end.next_lsn } else { header.base_lsn };
        next > keep && header.is_r1()
    }

    fn pass_over(&mut self, seg: &Seg) {
        if let Ok((header, _)) = &seg.opening {
            let seen = header.base_lsn.saturating_sub(1);
            self.end.max_seen_lsn = self.end.max_seen_lsn.max(seen);
            self.end.add_void(seg.seq, header.base_lsn, seg.bytes);
        }
    }

    /// Chain rules at the start of a segment. False: the scan has ended in a hole.
    fn enter(&mut self, i: usize, seg: &Seg) -> Result<bool, ScanError> {
        let (header, cut) = match &seg.opening {
            Ok((header, cut)) => (header, cut.as_ref()),
            Err(e) => {
                self.hole(seg.path.clone(), e.offset, HoleReason::Header(e.clone()));
                return Ok(false);
            }
        };
        let next = self.end.next_lsn;
        let problem = if i > 0 && seg.seq != self.segs[i - 1].seq + 1 {
            Some(HoleReason::SegmentMissing)
        } else if !self.entered {
            self.first_problem(header, cut)
        } else if header.epoch < self.end.epoch {
            Some(HoleReason::EpochWentBack)
        } else {
            let joined = match cut {
                Some(cut) => next > cut.keep_lsn,
                None => header.base_lsn == next || !header.is_r1(),
            };
            let crc_differs =
                header.is_r1() && self.last_crc.is_some_and(|crc| crc != header.prev_tail_crc);
            (!joined || crc_differs).then_some(HoleReason::ChainBroken)
        };
        if let Some(reason) = problem {
            let path = match reason {
                HoleReason::SegmentMissing if i > 0 => {
                    seg.path.with_file_name(names::wal_segment(self.segs[i - 1].seq + 1))
                }
                _ => seg.path.clone(),
            };
            self.hole(path, 0, reason);
            return Ok(false);
        }
        if !std::mem::replace(&mut self.entered, true) && header.is_r1() {
            // Segments before it were removed only once they were durable.
            self.end.durable_lsn = self.end.durable_lsn.max(header.base_lsn.saturating_sub(1));
            self.last_crc = Some(header.prev_tail_crc);
            self.end.last_crc = header.prev_tail_crc;
        }
        if header.is_r1() {
            self.end.next_lsn = header.base_lsn;
        }
        self.end.epoch = header.epoch;
        self.end.redo_lsn = self.end.redo_lsn.max(header.redo_lsn);
        self.end.last_seq = seg.seq;
        self.end.max_seen_lsn = self.end.max_seen_lsn.max(header.base_lsn.saturating_sub(1));
        if let Some(cut) = cut {
            // One of the files before it was being written when something failed: it may hold torn
            // bytes that no sync has covered or will cover.
            self.end.segments.iter_mut().for_each(|s| s.recyclable = false);
            self.end.durable_lsn = self.end.durable_lsn.max(cut.keep_lsn);
            self.end.max_seen_lsn = self.end.max_seen_lsn.max(cut.max_seen_lsn);
        }
        self.clean_mark = false;
        self.end.at = Position { seq: seg.seq, offset: header.align().max(64) };
        self.end.segments.push(SegmentInfo {
            seq: seg.seq,
            base_lsn: header.base_lsn,
            last_lsn: header.base_lsn.saturating_sub(1),
            bytes: seg.bytes,
            recyclable: true,
            void: false,
        });
        self.visitor.segment(header, cut).map_err(ScanError::Visitor)?;
        Ok(true)
    }

    /// The first segment must reach back to where the log has to begin.
    fn first_problem(&self, header: &SegmentHeader, cut: Option<&Cut>) -> Option<HoleReason> {
        let from = cut.map_or(header.base_lsn, |c| c.keep_lsn + 1);
        let late = self.opts.start.is_some_and(|s| from > s.lsn)
            || (self.opts.visit_from > 0 && from > self.opts.visit_from);
        late.then_some(HoleReason::SegmentMissing)
    }

    fn leave(&mut self, seg: &Seg) {
        let last = self.end.next_lsn - 1;
        if let Some(info) = self.end.segments.last_mut() {
            debug_assert_eq!(info.seq, seg.seq);
            info.last_lsn = last.max(info.base_lsn.saturating_sub(1));
        }
    }

    /// Visits the records of one segment.
    async fn walk(&mut self, seg: &Seg, keep: Option<u64>) -> Result<Stop, ScanError> {
        let Ok((header, _)) = &seg.opening else { return Ok(Stop::Ended) };
        if !header.is_r1() {
            return match self.opts.reference {
                true => self.walk_reference(seg).await,
                false => Err(ScanError::Reference { path: seg.path.clone() }),
            };
        }
        let io = |cause| ScanError::Io { path: seg.path.clone(), cause };
        let align = header.align();
        let mut window = Window::new(&*seg.file, align.max(FIRST_BLOCK as u64));
        let mut pos = align;
        let mut records = 0u64;
        // Records still to come in the current batch, and where it ends.
        let (mut left, mut batch_end) = (0u32, 0u64);
        loop {
            self.end.at = Position { seq: seg.seq, offset: pos };
            let resume = (left > 0).then_some(batch_end);
            let record = match window.record(pos) {
                Found::Record(record) => record,
                Found::Nothing => return Ok(Stop::Failed { offset: pos, resume }),
                Found::More(len) => {
                    window.slide(pos, len).await.map_err(io)?;
                    continue;
                }
            };
            let len = record.record_len() as u64;
            let failed = Ok(Stop::Failed { offset: pos, resume });
            if left > 0 {
                if !self.is_next_data(&record) {
                    return failed;
                }
                if let Err(cause) = record.kind() {
                    return Err(ScanError::Newer { path: seg.path.clone(), cause });
                }
                if self.visit(&record, seg.seq)?.is_break() {
                    return Ok(Stop::Break);
                }
                left -= 1;
                records += 1;
                if left == 0 && pos + len != batch_end {
                    return Ok(Stop::Failed { offset: pos + len, resume: Some(batch_end) });
                }
                if keep.is_some_and(|keep| self.end.next_lsn > keep) {
                    self.end.at.offset = pos + len;
                    return Ok(Stop::Kept);
                }
            } else {
                match self.control(&record, seg.seq, records) {
                    Control::Pad => {}
                    Control::Batch(head) => {
                        if pos + u64::from(head.batch_bytes) > window.size() {
                            return failed;
                        }
                        left = head.data_records;
                        batch_end = pos + u64::from(head.batch_bytes);
                        self.end.durable_lsn = self.end.durable_lsn.max(head.durable_lsn);
                        self.end.max_seen_lsn = self.end.max_seen_lsn.max(head.last_lsn);
                        self.end.last_mono_us = self.end.last_mono_us.max(head.mono_us);
                        let at = self.end.at;
                        self.visitor.batch(&head, at).map_err(ScanError::Visitor)?;
                    }
                    Control::End(end) => {
                        self.end.last_mono_us = self.end.last_mono_us.max(end.last_mono_us);
                        self.end.at.offset = pos + len;
                        self.visitor.sealed(self.end.at).map_err(ScanError::Visitor)?;
                        return Ok(Stop::Ended);
                    }
                    Control::None => return failed,
                }
            }
            pos += len;
        }
    }

    fn is_next_data(&self, record: &Record<'_>) -> bool {
        if mutant!(self.opts, StaleBatchesAccepted) {
            return record.is_data();
        }
        record.is_data() && record.lsn == self.end.next_lsn
    }

    fn control(&self, record: &Record<'_>, seq: u64, records: u64) -> Control {
        let stale_ok = mutant!(self.opts, StaleBatchesAccepted);
        control(record, seq, self.end.next_lsn, Some(records), stale_ok)
    }

    fn visit(&mut self, record: &Record<'_>, seq: u64) -> Result<ControlFlow<()>, ScanError> {
        if record.lsn >= self.opts.visit_from {
            let at = Position { seq, offset: record.offset };
            let flow = self.visitor.record(record, at).map_err(ScanError::Visitor)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        self.end.last_lsn = record.lsn;
        self.end.next_lsn = record.lsn + 1;
        self.end.max_seen_lsn = self.end.max_seen_lsn.max(record.lsn);
        self.end.last_crc = record.crc;
        self.last_crc = Some(record.crc);
        self.end.records += 1;
        self.end.bytes += record.record_len() as u64;
        self.clean_mark = record.code == RecordType::Checkpoint.code() && is_clean_mark(record);
        Ok(ControlFlow::Continue(()))
    }
}

/// What stands between batches.
pub(crate) enum Control {
    /// Nothing up to the next block.
    Pad,
    /// A batch begins.
    Batch(BatchHead),
    /// The segment ends.
    End(SegmentEnd),
    /// Stale or damaged: it does not fit the place.
    None,
}

/// What may stand between batches of segment `seq` where LSN `next` is expected; `records` are those of the
/// segment so far, for whoever has counted them.
pub(crate) fn control(
    record: &Record<'_>,
    seq: u64,
    next: u64,
    records: Option<u64>,
    stale_ok: bool,
) -> Control {
    let payload = (record.payload, record.flags, record.payload_offset());
    match RecordType::from_code(record.code) {
        Some(RecordType::Pad) if record.lsn + 1 == next || stale_ok => Control::Pad,
        Some(RecordType::BatchHead) => match BatchHead::decode(payload.0, payload.1, payload.2) {
            Ok(head) if stale_ok && head.data_records > 0 => Control::Batch(head),
            Ok(head) if head.segment_seq == seq && is_sound(&head, next) => Control::Batch(head),
            _ => Control::None,
        },
        Some(RecordType::SegmentEnd) => match SegmentEnd::decode(payload.0, payload.1, payload.2) {
            Ok(end)
                if end.next_seq == seq + 1
                    && end.last_lsn + 1 == next
                    && records.is_none_or(|n| end.data_records == n)
                    && end.offset_of_this == record.offset =>
            {
                Control::End(end)
            }
            _ => Control::None,
        },
        _ => Control::None,
    }
}

/// Whether a head agrees with itself and with the LSN expected next.
fn is_sound(head: &BatchHead, next: u64) -> bool {
    head.data_records > 0
        && head.first_lsn == next
        && head.last_lsn.wrapping_sub(head.first_lsn) == u64::from(head.data_records) - 1
}

fn is_clean_mark(record: &Record<'_>) -> bool {
    Checkpoint::decode(record.payload, record.flags, record.payload_offset())
        .is_ok_and(|c| c.native.is_some_and(|n| n.kind == CheckpointKind::CleanShutdown))
}
