//! Record payloads: one file per family, one struct per type.
//!
//! Every struct implements [`Payload`]: append, read, print. [`Body`] is the sum of them and
//! the one place that maps a type to its struct. Payloads borrow from the record.

#![warn(clippy::indexing_slicing)]

mod command;
mod control;

pub use command::{Command, CommandWriter, Effect, EffectIter, EffectMeta};
pub use control::{
    BATCH_HEAD_RECORD_LEN, BatchHead, Checkpoint, CheckpointKind, Cut, CutReason, NativeCheckpoint,
    SegmentEnd,
};

use super::record::{Record, RecordType, begin_record, end_record};
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
                    #[allow(unreachable_patterns)]
                    other => Err(DecodeError::new(
                        offset,
                        "record type",
                        Cause::Value { expected: "a type with a payload", found: u64::from(other.code()) },
                    )),
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
    BatchHead(BatchHead),
    SegmentEnd(SegmentEnd),
    Cut(Cut),
    Checkpoint(Checkpoint),
}

impl<'a> Body<'a> {
    /// Reads the payload of an uncompressed record of a known type.
    pub fn of(record: &Record<'a>, rtype: RecordType) -> Result<Body<'a>, DecodeError> {
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
