//! Record payloads: one file per family, one struct per type.
//!
//! Every struct implements [`Payload`]: append, read, print. [`Body`] is the sum of them and
//! the one place that maps a type to its struct. Payloads borrow from the record.
//!
//! Each file opens with its byte table: `name type` items joined by `|`; `bytes16` and
//! `bytes32` are a length and that many bytes; `(...)*n` repeats; `[...]` may be absent,
//! `[ver=2: ...]` depends on a field; `{...}` is a note. A test walks the samples by these
//! tables and compares them with `docs/formats/wal.md`.

#![warn(clippy::indexing_slicing)]

mod command;
mod control;
mod file;
mod image;
mod mq;
mod temporal;
mod vector;
mod workspace;
mod xact;

pub use command::{BeforeImage, Command, CommandWriter, Effect, EffectIter, EffectMeta, KeyPlace};
pub use control::{
    BATCH_HEAD_RECORD_LEN, BatchHead, Checkpoint, CheckpointKind, Cut, CutReason, NativeCheckpoint,
    SegmentEnd,
};
pub use file::{
    ColdPtr, FILE_ENTRY_LEN, FileCreate, FileDelete, FileEntry, FileTierChange, PTR_LEN, Spill,
    SpillReason,
};
pub use image::{FullPageImage, Pad};
pub use mq::{MqAck, MqCreate, MqDrop, MqPop, MqPush, MqSettings, MqTrigger, PopTimes, Queue};
pub use temporal::{GraphTemporal, TemporalAnchor, TemporalUpsert};
pub use vector::{Elem, VectorCheckpoint, VectorDelete, VectorUpsert};
pub use workspace::{WorkspaceCreate, WorkspaceDrop};
pub use xact::{
    Op, RestorePoint, SubRecord, VectorTxnAbort, VectorTxnCommit, Xact, XactAbort, XactBegin,
    XactCommit, XactCommitV1, XactPart,
};

use super::record::{Record, RecordType, begin_record, end_record, record_flags};
use crate::bytes::Reader;
use crate::error::{Cause, DecodeError};
use std::fmt;

/// A payload that can be appended, read and printed.
pub trait Payload<'a>: Sized + fmt::Display {
    /// The record type that carries it.
    const TYPE: RecordType;

    /// Appends the payload.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads the payload. `flags` are those of the record. Leaves the reader where the
    /// payload ends.
    fn read(r: &mut Reader<'a>, flags: u8) -> Result<Self, DecodeError>;

    /// Record flags that follow from the content.
    fn flags(&self) -> u8 {
        0
    }

    /// Appends a whole record. `flags` adds to those that follow from the content. Returns the
    /// record's CRC.
    fn put_record(&self, out: &mut Vec<u8>, lsn: u64, flags: u8, db: u16) -> u32 {
        let start = begin_record(out, lsn, Self::TYPE.code(), flags | self.flags(), db);
        self.put(out);
        end_record(out, start)
    }

    /// Reads a whole payload; bytes after it are an error. `offset` is that of the payload in
    /// the file.
    fn decode(payload: &'a [u8], flags: u8, offset: u64) -> Result<Self, DecodeError> {
        let mut r = Reader::new(payload, offset);
        let body = Self::read(&mut r, flags)?;
        r.finish(Self::TYPE.name())?;
        Ok(body)
    }
}

macro_rules! bodies {
    ($($name:ident($t:ty),)*) => {
        /// A decoded payload of any type.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Body<'a> {
            $(
                #[doc = concat!("Payload of `", stringify!($name), "`.")]
                $name($t),
            )*
        }

        impl<'a> Body<'a> {
            /// Reads the payload of a record of type `rtype`. Compressed payloads are unpacked
            /// by the caller first.
            pub fn decode(
                rtype: RecordType,
                flags: u8,
                payload: &'a [u8],
                offset: u64,
            ) -> Result<Body<'a>, DecodeError> {
                match rtype {
                    $(RecordType::$name => {
                        <$t as Payload<'a>>::decode(payload, flags, offset).map(Body::$name)
                    })*
                }
            }

            /// The record type that carries it.
            pub fn record_type(&self) -> RecordType {
                match self {
                    $(Body::$name(_) => RecordType::$name,)*
                }
            }

            /// Appends the payload.
            pub fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Body::$name(b) => b.put(out),)*
                }
            }

            /// Record flags that follow from the content.
            pub fn flags(&self) -> u8 {
                match self {
                    $(Body::$name(b) => b.flags(),)*
                }
            }
        }

        impl fmt::Display for Body<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Body::$name(b) => b.fmt(f),)*
                }
            }
        }
    };
}

bodies! {
    Command(Command<'a>),
    Pad(Pad),
    BatchHead(BatchHead),
    SegmentEnd(SegmentEnd),
    Cut(Cut),
    FullPageImage(FullPageImage<'a>),
    Checkpoint(Checkpoint),
    RestorePoint(RestorePoint<'a>),
    VectorUpsert(VectorUpsert<'a>),
    VectorDelete(VectorDelete<'a>),
    VectorTxnCommit(VectorTxnCommit),
    VectorTxnAbort(VectorTxnAbort),
    VectorCheckpoint(VectorCheckpoint),
    TemporalUpsert(TemporalUpsert<'a>),
    GraphTemporal(GraphTemporal<'a>),
    TemporalAnchor(TemporalAnchor),
    FileCreate(FileCreate),
    FileDelete(FileDelete),
    FileTierChange(FileTierChange),
    Spill(Spill<'a>),
    XactBegin(XactBegin),
    XactCommitV1(XactCommitV1<'a>),
    XactAbort(XactAbort),
    XactCommit(XactCommit<'a>),
    Xact(Xact<'a>),
    XactPart(XactPart<'a>),
    WorkspaceCreate(WorkspaceCreate<'a>),
    WorkspaceDrop(WorkspaceDrop),
    MqCreate(MqCreate<'a>),
    MqAck(MqAck<'a>),
    MqPush(MqPush<'a>),
    MqPop(MqPop<'a>),
    MqTrigger(MqTrigger<'a>),
    MqDrop(MqDrop<'a>),
}

impl<'a> Body<'a> {
    /// Reads the payload of a record of a known type that is not compressed; for one that may
    /// be, decode what [`Record::raw_payload`] gives.
    pub fn of(record: &Record<'a>, rtype: RecordType) -> Result<Body<'a>, DecodeError> {
        let packed = record.flags & (record_flags::LZ4 | record_flags::ZSTD);
        if packed != 0 {
            let cause = Cause::Value { expected: "not compressed", found: u64::from(packed) };
            return Err(DecodeError::new(record.offset + 13, "record flags", cause));
        }
        Body::decode(rtype, record.flags, record.payload, record.payload_offset())
    }
}

/// Prints bytes as an escaped string in quotes.
pub(crate) struct Quoted<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests;
