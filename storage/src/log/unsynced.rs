//! A start moves what no sync is known to cover into a new segment.
//!
//! A killed process leaves its last records in the page cache, where a read finds them. If a sync
//! of their file had failed, no later sync will write them: the kernel has forgotten that they
//! are dirty. So nothing above the durable LSN is believed to be on the device because it can be
//! read. It is read once more, repeated in a segment flagged REWIND, and only then declared kept.
//!
//! Invariant: until that segment is durable with its name the old files are as they were, so a
//! crash in between is followed by the same start.

use std::ops::ControlFlow;

#[cfg(any(test, feature = "mutants"))]
use moon_formats::names;
use moon_formats::wal::{Cut, CutReason, Record, SegmentHeader};

use crate::io::Caching;
use crate::recovery::RecoveredEnd;
use crate::scan::{LogStart, Position, ScanError, ScanOptions, VisitError, Visitor, scan};

use super::Inner;
use super::buffer::Tail;
use super::segment::Segment;
use super::status::LogError;

/// Collects the records behind an LSN, and the CRC of the record before them.
struct Collect {
    after: u64,
    tail: Tail,
    crc_before: Option<u32>,
    last_crc: u32,
}

impl Visitor for Collect {
    fn segment(&mut self, header: &SegmentHeader, _: Option<&Cut>) -> Result<(), VisitError> {
        self.crc_before.get_or_insert(header.prev_tail_crc);
        Ok(())
    }

    fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        if r.lsn <= self.after {
            self.crc_before = Some(r.crc);
        } else if r.lsn == self.tail.last_lsn() + 1 {
            self.tail.append(r.code, r.flags, r.db, r.payload);
            self.last_crc = r.crc;
        } else {
            return Err(format!("lsn {} follows {}", r.lsn, self.tail.last_lsn()).into());
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Inner {
    /// Repeats the recovered records above the durable LSN in a new segment and returns it;
    /// `None` if there are none.
    pub(super) async fn keep_unsynced(
        &self,
        end: &RecoveredEnd,
    ) -> Result<Option<Segment>, LogError> {
        if end.last_lsn <= end.durable_lsn {
            return Ok(None);
        }
        #[cfg(any(test, feature = "mutants"))]
        if mutant!(self.cfg, RecoveredTailSynced) {
            return self.sync_in_place(end).await.map(|()| None);
        }
        let found = self.collect(end).await?;
        let goes_on = self.tail.replace(found.tail);
        self.durable_lsn.set(end.durable_lsn);
        self.durable_crc.set(found.crc_before.unwrap_or(0));
        let repeated = self.repeat_retained(CutReason::CrashTail, end.max_seen_lsn).await;
        self.tail.replace(goes_on);
        // From here on as if the log had been opened behind a durable end.
        let last_lsn = self.last_lsn.get();
        self.written_lsn.set(last_lsn);
        self.durable_lsn.set(last_lsn);
        self.written_bytes.set(0);
        self.durable_bytes.set(0);
        let segment = repeated.map_err(|f| LogError::Io { doing: f.doing, cause: f.cause })?;
        self.mark_open_ends(end);
        Ok(Some(segment))
    }

    /// The files that were being written are never used again: one of them may be a file whose
    /// sync failed, or hold torn bytes that nobody has synced.
    pub(super) fn mark_open_ends(&self, end: &RecoveredEnd) {
        let mut segments = self.segments.borrow_mut();
        let open = segments.iter_mut().filter(|s| s.last_lsn >= end.durable_lsn);
        open.for_each(|s| s.recyclable = false);
    }

    async fn collect(&self, end: &RecoveredEnd) -> Result<Collect, LogError> {
        let doing = "read the last records again";
        let first = end
            .segments
            .iter()
            .rev()
            .find(|s| !s.void && s.base_lsn <= end.durable_lsn + 1)
            .or(end.segments.first());
        let opts = ScanOptions {
            shard: Some(self.cfg.shard),
            start: first.map(|s| LogStart { lsn: s.base_lsn, seq: s.seq }),
            via: Caching::Direct,
            #[cfg(any(test, feature = "mutants"))]
            mutant: self.cfg.mutant,
            ..ScanOptions::default()
        };
        let mut found = Collect {
            after: end.durable_lsn,
            tail: Tail::new(end.durable_lsn, self.cfg.batch_bytes_max_for(self.align), false),
            crc_before: None,
            last_crc: 0,
        };
        match scan(&*self.disk, &self.dir, &opts, &mut found).await {
            Ok(_) if found.tail.last_lsn() == end.last_lsn && found.last_crc == end.last_crc => {
                Ok(found)
            }
            Ok(_) => Err(LogError::io(doing)(std::io::Error::other(format!(
                "they end at lsn {}, not at {}",
                found.tail.last_lsn(),
                end.last_lsn
            )))),
            Err(ScanError::Io { cause, .. }) => Err(LogError::io(doing)(cause)),
            Err(e) => Err(LogError::io(doing)(std::io::Error::other(e.to_string()))),
        }
    }

    /// The bug that this module exists for: believing a sync of the old files.
    #[cfg(any(test, feature = "mutants"))]
    async fn sync_in_place(&self, end: &RecoveredEnd) -> Result<(), LogError> {
        for info in end.segments.iter().filter(|s| s.last_lsn >= end.durable_lsn) {
            let path = self.dir.join(names::wal_segment(info.seq));
            let file = self
                .disk
                .open(&path, crate::io::Access::ReadWrite, Caching::Cached)
                .await
                .map_err(LogError::io("open a recovered segment"))?;
            file.sync().await.map_err(LogError::io("sync a recovered segment"))?;
        }
        Ok(())
    }
}
