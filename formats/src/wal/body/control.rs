//! Records that give the log its shape: batch heads, ends, cuts, checkpoints.
//!
//! ```text
//! BatchHead   segment_seq u64 | batch_bytes u32 | data_records u32 | first_lsn u64 |
//!             last_lsn u64 | durable_lsn u64 | wall_us i64 | mono_us u64
//! SegmentEnd  next_seq u64 | last_lsn u64 | data_records u64 | offset_of_this u64 |
//!             last_mono_us u64
//! Cut         keep_lsn u64 | max_seen_lsn u64 | reason u8 | wall_us i64
//! Checkpoint  redo_lsn u64 | [base_seq u64 | base_crc u32 | kind u8]
//! ```

use super::Payload;
use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use crate::wal::record::{DB_NONE, RECORD_LEN_MIN, RecordType};
use std::fmt;

/// Bytes of a whole `BatchHead` record.
pub const BATCH_HEAD_RECORD_LEN: usize = RECORD_LEN_MIN + 56;

/// First record of every write batch (storage-formats §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchHead {
    /// Number of the segment; kills stale batches in recycled files.
    pub segment_seq: u64,
    /// Bytes from this record's first to the end of the last data record.
    pub batch_bytes: u32,
    /// Data records that follow.
    pub data_records: u32,
    /// LSN of the first.
    pub first_lsn: u64,
    /// LSN of the last.
    pub last_lsn: u64,
    /// Highest LSN known durable when the batch was submitted.
    pub durable_lsn: u64,
    /// Unix time in microseconds, as the clock read.
    pub wall_us: i64,
    /// The same, never going back: max(previous + 1, `wall_us`).
    pub mono_us: u64,
}

impl BatchHead {
    /// The whole record. A writer reserves [`BATCH_HEAD_RECORD_LEN`] bytes at the start of a
    /// batch and fills them in when the batch closes. `lsn` is the last data LSN before it.
    pub fn record(&self, lsn: u64) -> [u8; BATCH_HEAD_RECORD_LEN] {
        let mut out = Vec::with_capacity(BATCH_HEAD_RECORD_LEN);
        self.put_record(&mut out, lsn, 0, DB_NONE);
        *out.first_chunk().expect("a BatchHead record has a fixed length")
    }
}

impl<'a> Payload<'a> for BatchHead {
    const TYPE: RecordType = RecordType::BatchHead;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.segment_seq);
        out.put_u32(self.batch_bytes);
        out.put_u32(self.data_records);
        out.put_u64(self.first_lsn);
        out.put_u64(self.last_lsn);
        out.put_u64(self.durable_lsn);
        out.put_i64(self.wall_us);
        out.put_u64(self.mono_us);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(BatchHead {
            segment_seq: r.u64("segment_seq")?,
            batch_bytes: r.u32("batch_bytes")?,
            data_records: r.u32("data_records")?,
            first_lsn: r.u64("first_lsn")?,
            last_lsn: r.u64("last_lsn")?,
            durable_lsn: r.u64("durable_lsn")?,
            wall_us: r.i64("wall_us")?,
            mono_us: r.u64("mono_us")?,
        })
    }
}

impl fmt::Display for BatchHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BatchHead { segment_seq, batch_bytes, data_records, .. } = self;
        write!(f, "seq={segment_seq} bytes={batch_bytes} records={data_records}")?;
        write!(f, " lsn={}..={} durable={}", self.first_lsn, self.last_lsn, self.durable_lsn)?;
        write!(f, " wall_us={} mono_us={}", self.wall_us, self.mono_us)
    }
}

/// Last record of a finished segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentEnd {
    /// Number of the segment that follows.
    pub next_seq: u64,
    /// Last LSN in this segment.
    pub last_lsn: u64,
    /// Data records in this segment.
    pub data_records: u64,
    /// File offset of this record.
    pub offset_of_this: u64,
    /// `mono_us` of the last batch.
    pub last_mono_us: u64,
}

impl<'a> Payload<'a> for SegmentEnd {
    const TYPE: RecordType = RecordType::SegmentEnd;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.next_seq);
        out.put_u64(self.last_lsn);
        out.put_u64(self.data_records);
        out.put_u64(self.offset_of_this);
        out.put_u64(self.last_mono_us);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(SegmentEnd {
            next_seq: r.u64("next_seq")?,
            last_lsn: r.u64("last_lsn")?,
            data_records: r.u64("data_records")?,
            offset_of_this: r.u64("offset_of_this")?,
            last_mono_us: r.u64("last_mono_us")?,
        })
    }
}

impl fmt::Display for SegmentEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SegmentEnd { next_seq, last_lsn, data_records, offset_of_this, last_mono_us } = self;
        write!(f, "next_seq={next_seq} last_lsn={last_lsn} records={data_records} ")?;
        write!(f, "offset={offset_of_this} mono_us={last_mono_us}")
    }
}

/// Why a `Cut` was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum CutReason {
    /// A sync of the file before failed; its records are repeated here.
    SyncFailed = 1,
    /// The tail after a crash was dropped.
    CrashTail = 2,
    /// The part of a cross-shard unit had no counterpart.
    OrphanedPart = 3,
    /// A point-in-time restore forked the timeline.
    Pitr = 4,
}

/// Voids `keep_lsn < lsn < base_lsn` of earlier segments. Stands in block 0 of a segment
/// flagged REWIND, AFTER_CRASH or FORK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Last LSN that stays.
    pub keep_lsn: u64,
    /// Highest LSN seen anywhere when the cut was made.
    pub max_seen_lsn: u64,
    /// Why.
    pub reason: CutReason,
    /// Unix time in microseconds.
    pub wall_us: i64,
}

impl<'a> Payload<'a> for Cut {
    const TYPE: RecordType = RecordType::Cut;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.keep_lsn);
        out.put_u64(self.max_seen_lsn);
        out.put_u8(self.reason as u8);
        out.put_i64(self.wall_us);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(Cut {
            keep_lsn: r.u64("keep_lsn")?,
            max_seen_lsn: r.u64("max_seen_lsn")?,
            reason: {
                let at = r.offset();
                match r.u8("cut reason")? {
                    1 => CutReason::SyncFailed,
                    2 => CutReason::CrashTail,
                    3 => CutReason::OrphanedPart,
                    4 => CutReason::Pitr,
                    other => {
                        let found = u64::from(other);
                        let cause = Cause::Value { expected: "1 to 4", found };
                        return Err(DecodeError::new(at, "cut reason", cause));
                    }
                }
            },
            wall_us: r.i64("wall_us")?,
        })
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cut { keep_lsn, max_seen_lsn, reason, wall_us } = self;
        write!(f, "keep={keep_lsn} max_seen={max_seen_lsn} reason={reason:?} wall_us={wall_us}")
    }
}

/// What a native checkpoint stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum CheckpointKind {
    /// A base was committed.
    BaseCommitted = 0,
    /// The server stopped in order; everything before is durable.
    CleanShutdown = 1,
}

/// Marks what a base covers, or a clean shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Replay may start after this LSN.
    pub redo_lsn: u64,
    /// The native part; absent in records of the reference.
    pub native: Option<NativeCheckpoint>,
}

/// Native part of a [`Checkpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeCheckpoint {
    /// Number of the base in force.
    pub base_seq: u64,
    /// Its final CRC32C.
    pub base_crc: u32,
    /// What happened.
    pub kind: CheckpointKind,
}

impl Checkpoint {
    /// A native checkpoint.
    pub fn new(redo_lsn: u64, base_seq: u64, base_crc: u32, kind: CheckpointKind) -> Checkpoint {
        Checkpoint { redo_lsn, native: Some(NativeCheckpoint { base_seq, base_crc, kind }) }
    }
}

impl<'a> Payload<'a> for Checkpoint {
    const TYPE: RecordType = RecordType::Checkpoint;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.redo_lsn);
        if let Some(n) = &self.native {
            out.put_u64(n.base_seq);
            out.put_u32(n.base_crc);
            out.put_u8(n.kind as u8);
        }
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        let redo_lsn = r.u64("redo_lsn")?;
        if r.is_empty() {
            return Ok(Checkpoint { redo_lsn, native: None });
        }
        let base_seq = r.u64("base_seq")?;
        let base_crc = r.u32("base_crc")?;
        let kind = match r.bool("checkpoint kind")? {
            false => CheckpointKind::BaseCommitted,
            true => CheckpointKind::CleanShutdown,
        };
        Ok(Checkpoint::new(redo_lsn, base_seq, base_crc, kind))
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redo_lsn={}", self.redo_lsn)?;
        match &self.native {
            None => Ok(()),
            Some(n) => {
                write!(f, " base_seq={} base_crc={:08x} kind={:?}", n.base_seq, n.base_crc, n.kind)
            }
        }
    }
}
