//! Where a log goes on (durability.md §10, steps 4, 6 and 9).
//!
//! Invariant: after an unclean end the new LSNs start above every LSN a torn tail can have held.

use std::path::Path;

use moon_formats::aof::Timeline;

use crate::io::{Caching, Disk};
use crate::log::{LogConfig, SegmentInfo};
use crate::scan::{EndKind, LogEnd, ScanOptions, Visitor, scan};

use super::RecoveryError;

/// Distance between the highest LSN seen and the first one after a crash. Unsynced bytes are
/// capped at 256 MiB and a record takes 20 bytes at least, so no torn tail reaches so far.
pub const LSN_GAP: u64 = 1 << 24;

/// Where the log goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredEnd {
    /// The log was shut down cleanly, or is new.
    pub clean: bool,
    /// LSN of the last record recovered; 0 if there is none.
    pub last_lsn: u64,
    /// LSN expected next.
    pub next_lsn: u64,
    /// Highest LSN seen, void ones included.
    pub max_seen_lsn: u64,
    /// Highest LSN known durable; later records are repeated in a new segment before the log
    /// goes on.
    pub durable_lsn: u64,
    /// Highest segment number; 0 if there is none.
    pub last_seq: u64,
    /// Timeline.
    pub epoch: u64,
    /// Base LSN in force.
    pub redo_lsn: u64,
    /// CRC field of the last record.
    pub last_crc: u32,
    /// Latest batch clock.
    pub last_mono_us: u64,
    /// Segment files.
    pub segments: Vec<SegmentInfo>,
    /// Timelines of the part list, oldest first.
    pub timelines: Vec<Timeline>,
    /// A new timeline begins here.
    pub fork: Option<ForkPoint>,
}

/// Where a timeline leaves the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkPoint {
    /// Last LSN that both share.
    pub keep_lsn: u64,
    /// First LSN of the new one.
    pub base_lsn: u64,
}

impl RecoveredEnd {
    /// A log that does not exist yet and begins with LSN `next_lsn`.
    pub fn fresh(next_lsn: u64) -> RecoveredEnd {
        let last = next_lsn.saturating_sub(1);
        RecoveredEnd {
            clean: true,
            last_lsn: last,
            next_lsn: last + 1,
            max_seen_lsn: last,
            durable_lsn: last,
            last_seq: 0,
            epoch: 1,
            redo_lsn: last,
            last_crc: 0,
            last_mono_us: 0,
            segments: Vec::new(),
            timelines: Vec::new(),
            fork: None,
        }
    }

    /// First LSN of the segment that continues this log.
    pub fn next_base_lsn(&self, cfg: &LogConfig) -> u64 {
        if let Some(fork) = self.fork {
            return fork.base_lsn;
        }
        if self.clean || mutant!(cfg, LsnReusedAfterTornTail) {
            return self.next_lsn;
        }
        self.max_seen_lsn.max(self.next_lsn - 1) + 1 + LSN_GAP
    }
}

impl From<LogEnd> for RecoveredEnd {
    fn from(end: LogEnd) -> RecoveredEnd {
        RecoveredEnd {
            clean: end.kind == EndKind::Clean,
            last_lsn: end.last_lsn,
            next_lsn: end.next_lsn,
            max_seen_lsn: end.max_seen_lsn,
            durable_lsn: end.durable_lsn,
            last_seq: end.last_seq,
            epoch: end.epoch,
            redo_lsn: end.redo_lsn,
            last_crc: end.last_crc,
            last_mono_us: end.last_mono_us,
            segments: end.segments,
            timelines: Vec::new(),
            fork: None,
        }
    }
}

/// Reads the log, hands every record to `visitor`, and says where the log goes on.
///
/// # Errors
/// See [`RecoveryError`]. The directory is unchanged then, and also on success: the first write
/// is made by [`crate::log::Log::open`].
pub async fn recover(
    disk: &dyn Disk,
    dir: &Path,
    opts: &ScanOptions,
    visitor: &mut dyn Visitor,
) -> Result<RecoveredEnd, RecoveryError> {
    let opts = ScanOptions { via: Caching::Direct, ..opts.clone() };
    let end = scan(disk, dir, &opts, visitor).await.map_err(RecoveryError::Scan)?;
    match end.kind {
        EndKind::Hole(hole) => Err(RecoveryError::Hole(hole)),
        EndKind::Stopped if opts.until.is_some_and(|until| end.next_lsn > until) => {
            Ok(RecoveredEnd::from(end))
        }
        EndKind::Stopped => Err(RecoveryError::Stopped { next_lsn: end.next_lsn }),
        EndKind::Clean | EndKind::CrashTail { .. } => {
            let end = RecoveredEnd::from(end);
            Ok(RecoveredEnd { durable_lsn: end.durable_lsn.max(opts.durable_floor), ..end })
        }
    }
}
