//! WAL v3 with the native extension R1: the log of one shard.
//!
//! A segment is a 64-byte header ([`SegmentHeader`]) followed by records ([`Record`]): length,
//! LSN, type, flags, database, payload, CRC32C. What a payload means is in [`body`].
//!
//! Invariants:
//! * Appending a record writes into the caller's buffer and nothing else.
//! * A record is believed only after its CRC; a header only after [`UnverifiedHeader::verify`].
//! * Everything between two `A`-aligned offsets that one sync covers is a sync group: batches
//!   ([`BatchHead`] + data records), closed by a [`pad`](put_pad).
//!
//! Layout, rules and history: `docs/formats/wal.md`; spec: storage-formats §3.

pub mod body;
mod header;
mod record;

pub use body::{
    BATCH_HEAD_RECORD_LEN, BatchHead, BeforeImage, Body, Checkpoint, CheckpointKind, Command,
    CommandWriter, Cut, CutReason, Effect, EffectIter, EffectMeta, KeyPlace, Payload, SegmentEnd,
};
pub(crate) use header::write_flags;
pub use header::{
    HEADER_FIELDS, HEADER_LEN, SegmentHeader, UnverifiedHeader, VERSION, header_flags,
};
pub use record::{
    DB_NONE, Kind, RECORD_FIELDS, RECORD_HEAD_LEN, RECORD_LEN_MAX, RECORD_LEN_MIN, RECORD_TAIL_LEN,
    Record, RecordStart, RecordType, begin_record, end_record, pad_len, put_pad, put_record,
    record_flags, record_len,
};
