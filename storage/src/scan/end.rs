//! How a log ends, and what is wrong with it when it does not end well.

use std::fmt;
use std::io;
use std::path::PathBuf;

use moon_formats::DecodeError;
use moon_formats::wal::RECORD_LEN_MIN;

use crate::log::SegmentInfo;

use super::{Position, Scan, Seg, VisitError};

/// The result of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    /// How it ended.
    pub kind: EndKind,
    /// LSN of the last record that counts; 0 if there is none.
    pub last_lsn: u64,
    /// LSN expected next (`h` of storage-formats.md §3.6). Above `last_lsn + 1` after a gap.
    pub next_lsn: u64,
    /// Highest LSN seen anywhere, void records included.
    pub max_seen_lsn: u64,
    /// Highest LSN known to have been durable (`D`).
    pub durable_lsn: u64,
    /// Where the next record would stand.
    pub at: Position,
    /// Highest segment number in the directory; 0 if there is none.
    pub last_seq: u64,
    /// Timeline.
    pub epoch: u64,
    /// Highest base LSN named by a segment header.
    pub redo_lsn: u64,
    /// CRC field of the last record that counts; 0 if there is none.
    pub last_crc: u32,
    /// Latest batch clock, in microseconds.
    pub last_mono_us: u64,
    /// Records that count.
    pub records: u64,
    /// Bytes of these records.
    pub bytes: u64,
    /// Segment files, oldest first.
    pub segments: Vec<SegmentInfo>,
}

impl LogEnd {
    pub(super) fn empty(next_lsn: u64) -> LogEnd {
        LogEnd {
            kind: EndKind::Clean,
            last_lsn: next_lsn - 1,
            next_lsn,
            max_seen_lsn: next_lsn - 1,
            durable_lsn: next_lsn - 1,
            at: Position { seq: 0, offset: 0 },
            last_seq: 0,
            epoch: 1,
            redo_lsn: next_lsn - 1,
            last_crc: 0,
            last_mono_us: 0,
            records: 0,
            bytes: 0,
            segments: Vec::new(),
        }
    }

    /// A segment of which nothing counts.
    pub(super) fn add_void(&mut self, seq: u64, base_lsn: u64, bytes: u64) {
        let last_lsn = self.next_lsn - 1;
        let (recyclable, void) = (false, true);
        self.segments.push(SegmentInfo { seq, base_lsn, last_lsn, bytes, recyclable, void });
    }
}

/// How the log ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndKind {
    /// By a clean shutdown, or it is empty.
    Clean,
    /// By a crash: the record expected next was never durable.
    CrashTail {
        /// File in which it should stand.
        path: PathBuf,
        /// Its offset.
        offset: u64,
        /// Batches of never-synced records lie behind and are dropped.
        dropped: bool,
    },
    /// Something durable is missing or damaged.
    Hole(Hole),
    /// The visitor stopped the scan, or it has come as far as it was to go.
    Stopped,
}

/// Damage below what was durable; displays with the tool to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Damaged or missing file.
    pub path: PathBuf,
    /// Offset in it.
    pub offset: u64,
    /// LSN expected there (`h`).
    pub next_lsn: u64,
    /// Highest LSN known durable (`D`).
    pub durable_lsn: u64,
    /// What proves the damage.
    pub reason: HoleReason,
}

/// What proves that a log is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoleReason {
    /// A later batch head, or a base, says that the record was durable.
    DurableRecordsMissing,
    /// A later cut keeps the record.
    KeptRecordsMissing,
    /// The first block of a segment is damaged.
    Header(DecodeError),
    /// A segment is missing.
    SegmentMissing,
    /// There is no log, but there must be one.
    LogMissing,
    /// A segment does not continue the one before.
    ChainBroken,
    /// A segment belongs to an older timeline than the one before.
    EpochWentBack,
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hole { path, offset, next_lsn, durable_lsn, reason } = self;
        let dir = path.parent().unwrap_or(path);
        write!(f, "log damaged: {} offset {offset}: ", path.display())?;
        match reason {
            HoleReason::DurableRecordsMissing => f.write_str("a durable record is missing")?,
            HoleReason::KeptRecordsMissing => f.write_str("a record kept by a cut is missing")?,
            HoleReason::Header(e) => write!(f, "segment header: {e}")?,
            HoleReason::SegmentMissing => f.write_str("the segment is missing")?,
            HoleReason::LogMissing => f.write_str("the log is missing")?,
            HoleReason::ChainBroken => f.write_str("the segment does not continue the log")?,
            HoleReason::EpochWentBack => f.write_str("the segment is of an older timeline")?,
        }
        write!(
            f,
            "; expected lsn h={next_lsn}, durable up to D={durable_lsn}; run: moon-inspect wal verify {}",
            dir.display()
        )
    }
}

impl std::error::Error for Hole {}

/// Why a scan gave no result.
#[derive(Debug)]
pub enum ScanError {
    /// A file or the directory cannot be read.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Sound bytes of a newer Moon.
    Newer {
        /// Which file.
        path: PathBuf,
        /// What is unknown, and where.
        cause: DecodeError,
    },
    /// The segment was written by a reference server; only the tools read those.
    Reference {
        /// Which file.
        path: PathBuf,
    },
    /// The visitor failed.
    Visitor(VisitError),
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScanError::Io { path, cause } => write!(f, "cannot read {}: {cause}", path.display()),
            ScanError::Newer { path, cause } => write!(f, "{}: {cause}", path.display()),
            ScanError::Reference { path } => {
                write!(f, "{}: written by a reference server; run: moon-migrate", path.display())
            }
            ScanError::Visitor(e) => write!(f, "log: {e}"),
        }
    }
}

impl std::error::Error for ScanError {}

impl Scan<'_> {
    pub(super) fn hole(&mut self, path: PathBuf, offset: u64, reason: HoleReason) {
        if mutant!(self.opts, HoleTreatedAsTail) {
            self.end.kind = EndKind::CrashTail { path, offset, dropped: true };
            self.end.last_seq = self.segs.last().map_or(0, |s| s.seq);
            return;
        }
        self.end.kind = EndKind::Hole(Hole {
            path,
            offset,
            next_lsn: self.end.next_lsn,
            durable_lsn: self.end.durable_lsn,
            reason,
        });
    }

    /// Whether everything that was asked for was found.
    pub(super) fn is_enough(&self) -> bool {
        self.opts.until.is_some_and(|until| self.end.next_lsn > until)
    }

    /// Ends the scan in front of segment `i`. What lies behind is not read; how high its LSNs can
    /// be follows from the sizes.
    pub(super) fn stop_before(&mut self, i: usize) -> Result<(), ScanError> {
        self.end.kind = EndKind::Stopped;
        let mut bound = self.end.max_seen_lsn;
        for seg in &self.segs[i.saturating_sub(1)..] {
            if let Ok((header, _)) = &seg.opening {
                bound = bound.max(header.base_lsn.saturating_sub(1));
            }
            bound += seg.bytes / RECORD_LEN_MIN as u64;
        }
        self.end.max_seen_lsn = bound;
        Ok(())
    }

    /// The log may not end below what is durable elsewhere.
    pub(super) fn check_floor(&mut self, seg: &Seg) -> Result<(), ScanError> {
        if self.opts.durable_floor >= self.end.next_lsn {
            self.end.durable_lsn = self.end.durable_lsn.max(self.opts.durable_floor);
            let offset = self.end.at.offset;
            self.hole(seg.path.clone(), offset, HoleReason::DurableRecordsMissing);
        }
        Ok(())
    }
}
