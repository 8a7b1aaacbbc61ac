//! Record frame: length, LSN, type, flags, database, payload, CRC32C.
//!
//! The CRC covers everything after the length field up to itself. The length is checked by
//! landing on a valid CRC. The byte table is [`RECORD_FIELDS`].

#![warn(clippy::indexing_slicing)]

use super::header::write_flags;
use crate::bytes::{Put, Reader};
use crate::compress::{unpack_lz4, unpack_zstd};
use crate::crc::crc32c;
use crate::error::{Cause, DecodeError};
use std::borrow::Cow;
use std::fmt;

/// Bytes before the payload.
pub const RECORD_HEAD_LEN: usize = 16;
/// Bytes after the payload.
pub const RECORD_TAIL_LEN: usize = 4;
/// Shortest record.
pub const RECORD_LEN_MIN: usize = RECORD_HEAD_LEN + RECORD_TAIL_LEN;
/// Longest record: 1 GiB.
pub const RECORD_LEN_MAX: usize = 1 << 30;
/// `db` of a record that belongs to no database.
pub const DB_NONE: u16 = 0xffff;

/// `(offset, size, name)` of the fixed fields in front of the payload; compared with the page
/// by a test.
pub const RECORD_FIELDS: &[(usize, usize, &str)] =
    &[(0, 4, "record_len"), (4, 8, "lsn"), (12, 1, "type"), (13, 1, "flags"), (14, 2, "db")];

/// Bits of a record's `flags`.
pub mod record_flags {
    /// Payload is `raw_len u32` and an LZ4 block. Reference only.
    pub const LZ4: u8 = 0x01;
    /// Payload is `raw_len u32` and a zstd frame.
    pub const ZSTD: u8 = 0x02;
    /// A `Command` payload carries effect metadata.
    pub const EFFECT_META: u8 = 0x04;
    /// Not shown to CDC and replicas.
    pub const INTERNAL: u8 = 0x08;
    /// All bits a reader knows.
    pub const KNOWN: u8 = 0x0f;
}

macro_rules! record_types {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Types of records (storage-formats §3.3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum RecordType {
            $($(#[$doc])* $name = $code,)*
        }

        impl RecordType {
            /// All types, by ascending code.
            pub const ALL: &[RecordType] = &[$(RecordType::$name,)*];

            /// The type with this code.
            pub fn from_code(code: u8) -> Option<RecordType> {
                match code {
                    $($code => Some(RecordType::$name),)*
                    _ => None,
                }
            }

            /// Name as the format page and tools print it.
            pub fn name(self) -> &'static str {
                match self {
                    $(RecordType::$name => stringify!($name),)*
                }
            }
        }
    };
}

record_types! {
    /// Effects as RESP2 commands: one atomic unit.
    Command = 0x01,
    /// Fills the rest of a sync group.
    Pad = 0x02,
    /// Head of a write batch.
    BatchHead = 0x03,
    /// Last record of a finished segment.
    SegmentEnd = 0x04,
    /// Voids a range of earlier LSNs.
    Cut = 0x05,
    /// Page image of the reference; read only.
    FullPageImage = 0x10,
    /// A base was committed, or a clean shutdown.
    Checkpoint = 0x20,
    /// Named point for PITR.
    RestorePoint = 0x21,
    /// Vector that no hash field holds.
    VectorUpsert = 0x30,
    /// Removal of such a vector.
    VectorDelete = 0x31,
    /// Reserved by the reference; not written.
    VectorTxnCommit = 0x32,
    /// Reserved by the reference; not written.
    VectorTxnAbort = 0x33,
    /// What the segment files of a vector index cover.
    VectorCheckpoint = 0x34,
    /// Version of a key in valid time.
    TemporalUpsert = 0x35,
    /// End of validity of a graph entity.
    GraphTemporal = 0x36,
    /// Wall-clock to LSN anchor.
    TemporalAnchor = 0x37,
    /// A data file was made.
    FileCreate = 0x40,
    /// A data file was dropped.
    FileDelete = 0x41,
    /// A data file moved between tiers.
    FileTierChange = 0x42,
    /// Values moved to a cold file.
    Spill = 0x43,
    /// Reference 0.1-0.2; read only.
    XactBegin = 0x50,
    /// Reference 0.1-0.2; read only.
    XactCommitV1 = 0x51,
    /// Reference; read only.
    XactAbort = 0x52,
    /// Reference; read only.
    XactCommit = 0x53,
    /// One atomic unit over several planes.
    Xact = 0x54,
    /// One shard's share of a cross-shard unit.
    XactPart = 0x55,
    /// A workspace was created.
    WorkspaceCreate = 0x60,
    /// A workspace was dropped.
    WorkspaceDrop = 0x61,
    /// A durable queue was created.
    MqCreate = 0x70,
    /// A message was acknowledged.
    MqAck = 0x71,
    /// A message was pushed.
    MqPush = 0x72,
    /// Messages were delivered.
    MqPop = 0x73,
    /// A trigger was bound to a queue.
    MqTrigger = 0x74,
    /// A queue was dropped.
    MqDrop = 0x75,
}

impl RecordType {
    /// The code on disk.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Control records consume no LSN; theirs is the last data LSN before them.
    pub fn is_control(self) -> bool {
        matches!(
            self,
            RecordType::Pad | RecordType::BatchHead | RecordType::SegmentEnd | RecordType::Cut
        )
    }
}

/// What a type code means to this reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A known type.
    Known(RecordType),
    /// Unknown, 0xC0 and above: a data record that a reader may skip.
    Skippable(u8),
}

/// A record whose CRC was right. The payload is still undecoded (and may be compressed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Log sequence number.
    pub lsn: u64,
    /// Type code.
    pub code: u8,
    /// Bits of [`record_flags`].
    pub flags: u8,
    /// Database, or [`DB_NONE`].
    pub db: u16,
    /// Payload bytes as stored.
    pub payload: &'a [u8],
    /// Offset of the record in the file, as given to [`Record::decode`].
    pub offset: u64,
    /// The CRC32C at its end.
    pub crc: u32,
}

impl<'a> Record<'a> {
    /// Reads the record at the start of `buf`, which lies at offset `base` of the file.
    /// Bytes after it are not looked at.
    ///
    /// [`Cause::Truncated`]: `buf` ends before the record does. [`Cause::Value`]: the length is
    /// impossible (0 where nothing was written yet). [`Cause::Checksum`]: the bytes are not a
    /// record, or a damaged one.
    #[inline]
    pub fn decode(buf: &'a [u8], base: u64) -> Result<Record<'a>, DecodeError> {
        let mut r = Reader::new(buf, base);
        let len = r.u32("record_len")? as usize;
        if !(RECORD_LEN_MIN..=RECORD_LEN_MAX).contains(&len) {
            let cause = Cause::Value { expected: "20 to 2^30", found: len as u64 };
            return Err(DecodeError::new(base, "record_len", cause));
        }
        if len > buf.len() {
            let cause = Cause::Truncated { needed: len as u64, remaining: buf.len() as u64 };
            return Err(DecodeError::new(base, "record", cause));
        }
        let covered = buf.get(4..len - RECORD_TAIL_LEN).unwrap_or_default();
        let lsn = r.u64("lsn")?;
        let code = r.u8("type")?;
        let flags = r.u8("flags")?;
        let db = r.u16("db")?;
        let payload = r.bytes(len - RECORD_LEN_MIN, "payload")?;
        let stored = r.u32("record CRC")?;
        let computed = crc32c(covered);
        if stored != computed {
            return Err(DecodeError::new(
                base,
                "record CRC",
                Cause::Checksum { stored: u64::from(stored), computed: u64::from(computed) },
            ));
        }
        Ok(Record { lsn, code, flags, db, payload, offset: base, crc: stored })
    }

    /// The type. An unknown one below 0xC0 with a good CRC was written by a newer Moon: the
    /// reader refuses it by name and does not treat it as a tear.
    pub fn kind(&self) -> Result<Kind, DecodeError> {
        let unknown = self.flags & !record_flags::KNOWN;
        match RecordType::from_code(self.code) {
            None if self.code >= 0xc0 => Ok(Kind::Skippable(self.code)),
            None => Err(DecodeError::new(
                self.offset + 12,
                "record type",
                Cause::Newer { found: u64::from(self.code) },
            )),
            Some(_) if unknown != 0 => Err(DecodeError::new(
                self.offset + 13,
                "record flag",
                Cause::Newer { found: u64::from(unknown) },
            )),
            Some(t) => Ok(Kind::Known(t)),
        }
    }

    /// The payload, unpacked if the record is compressed.
    pub fn raw_payload(&self) -> Result<Cow<'a, [u8]>, DecodeError> {
        let offset = self.payload_offset();
        match self.flags & (record_flags::LZ4 | record_flags::ZSTD) {
            0 => Ok(Cow::Borrowed(self.payload)),
            record_flags::LZ4 => unpack_lz4(self.payload, RECORD_LEN_MAX, offset).map(Cow::Owned),
            record_flags::ZSTD => unpack_zstd(self.payload, RECORD_LEN_MAX, offset).map(Cow::Owned),
            both => Err(DecodeError::new(
                self.offset + 13,
                "record flags",
                Cause::Value { expected: "one compression at most", found: u64::from(both) },
            )),
        }
    }

    /// True when the record consumes an LSN. Unknown types do.
    pub fn is_data(&self) -> bool {
        RecordType::from_code(self.code).is_none_or(|t| !t.is_control())
    }

    /// Bytes of the whole record.
    pub fn record_len(&self) -> usize {
        RECORD_LEN_MIN + self.payload.len()
    }

    /// Offset of the payload in the file.
    pub fn payload_offset(&self) -> u64 {
        self.offset + RECORD_HEAD_LEN as u64
    }
}

impl fmt::Display for Record<'_> {
    /// The frame without the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match RecordType::from_code(self.code) {
            Some(t) => f.write_str(t.name())?,
            None => write!(f, "type {:#04x}", self.code)?,
        }
        write!(f, " at={} len={} lsn={}", self.offset, self.record_len(), self.lsn)?;
        if self.db != DB_NONE {
            write!(f, " db={}", self.db)?;
        }
        if self.flags != 0 {
            f.write_str(" flags=")?;
            write_flags(f, self.flags, &["LZ4", "ZSTD", "EFFECT_META", "INTERNAL"])?;
        }
        write!(f, " crc={:08x}", self.crc)
    }
}

/// Bytes of a record with a payload of `payload_len` bytes.
pub fn record_len(payload_len: usize) -> usize {
    RECORD_LEN_MIN + payload_len
}

/// A record under construction: where it starts in the buffer.
#[derive(Debug)]
#[must_use = "end_record completes the record"]
pub struct RecordStart(usize);

impl RecordStart {
    /// Offset of the record in the buffer.
    pub fn offset(&self) -> usize {
        self.0
    }
}

/// Starts a record at the end of `out`: the caller appends the payload, then calls
/// [`end_record`].
#[inline]
pub fn begin_record(out: &mut Vec<u8>, lsn: u64, code: u8, flags: u8, db: u16) -> RecordStart {
    let start = out.len();
    let mut head = [0u8; RECORD_HEAD_LEN];
    head[4..12].copy_from_slice(&lsn.to_le_bytes());
    head[12] = code;
    head[13] = flags;
    head[14..16].copy_from_slice(&db.to_le_bytes());
    out.extend_from_slice(&head);
    RecordStart(start)
}

/// Completes the record: length and CRC. Returns the CRC (a segment header repeats that of the
/// last record before it). Panics if the record exceeds [`RECORD_LEN_MAX`] or the buffer was
/// cut below the record's head: both are bugs of the caller.
#[inline]
pub fn end_record(out: &mut Vec<u8>, start: RecordStart) -> u32 {
    let record = out.get_mut(start.0..).expect("the record starts inside the buffer");
    let len = record.len() + RECORD_TAIL_LEN;
    assert!((RECORD_LEN_MIN..=RECORD_LEN_MAX).contains(&len), "record of {len} bytes");
    let (len_field, covered) =
        record.split_first_chunk_mut::<4>().expect("a record is longer than its length field");
    *len_field = (len as u32).to_le_bytes();
    let crc = crc32c(covered);
    out.put_u32(crc);
    crc
}

/// Appends a record. Returns its CRC.
#[inline]
pub fn put_record(
    out: &mut Vec<u8>,
    lsn: u64,
    code: u8,
    flags: u8,
    db: u16,
    payload: &[u8],
) -> u32 {
    out.reserve(record_len(payload.len()));
    let start = begin_record(out, lsn, code, flags, db);
    out.extend_from_slice(payload);
    end_record(out, start)
}

/// Bytes of the pad that brings file offset `pos` to a multiple of `align` (a power of two,
/// at least 32): 0 if it is one, else at least a whole record.
pub fn pad_len(pos: u64, align: u64) -> usize {
    debug_assert!(align.is_power_of_two() && align >= 32);
    let gap = pos.wrapping_neg() & (align - 1);
    match gap as usize {
        0 => 0,
        gap if gap < RECORD_LEN_MIN => gap + align as usize,
        gap => gap,
    }
}

/// Appends a pad of `len` bytes (from [`pad_len`]). `lsn` is that of the last data record.
/// Nothing is written for 0.
pub fn put_pad(out: &mut Vec<u8>, lsn: u64, len: usize) {
    if len == 0 {
        return;
    }
    assert!(len >= RECORD_LEN_MIN, "a pad is at least {RECORD_LEN_MIN} bytes");
    let start = begin_record(out, lsn, RecordType::Pad.code(), 0, DB_NONE);
    out.resize(out.len() + len - RECORD_LEN_MIN, 0);
    end_record(out, start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        put_record(&mut out, 77, RecordType::Command.code(), 0, 5, b"*1\r\n$4\r\nPING\r\n");
        out
    }

    #[test]
    fn layout() {
        let out = sample();
        assert_eq!(out.len(), record_len(14));
        assert_eq!(out[..4], 34u32.to_le_bytes());
        assert_eq!(out[4..12], 77u64.to_le_bytes());
        assert_eq!(out[12..16], [1, 0, 5, 0]);
        assert_eq!(out[30..], crc32c(&out[4..30]).to_le_bytes());
        let r = Record::decode(&out, 100).unwrap();
        assert_eq!((r.lsn, r.db, r.payload_offset(), r.record_len()), (77, 5, 116, 34));
        assert_eq!(r.kind(), Ok(Kind::Known(RecordType::Command)));
        let last = RECORD_FIELDS.iter().fold(0, |at, &(offset, size, name)| {
            assert_eq!(offset, at, "{name}");
            at + size
        });
        assert_eq!(last, RECORD_HEAD_LEN);
    }

    #[test]
    fn codes_are_unique_and_ascending() {
        assert!(RecordType::ALL.windows(2).all(|w| w[0].code() < w[1].code()));
        for &t in RecordType::ALL {
            assert_eq!(RecordType::from_code(t.code()), Some(t));
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let good = sample();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::decode(&bad, 0).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_prefix_is_truncated() {
        let good = sample();
        for cut in 0..good.len() {
            assert!(Record::decode(&good[..cut], 0).unwrap_err().is_truncated(), "{cut}");
        }
    }

    #[test]
    fn lengths_that_lie() {
        for len in [0u32, 1, 19, (1 << 30) + 1, u32::MAX] {
            let mut bad = sample();
            bad[..4].copy_from_slice(&len.to_le_bytes());
            let e = Record::decode(&bad, 9).unwrap_err();
            let want = Cause::Value { expected: "20 to 2^30", found: u64::from(len) };
            assert_eq!((e.offset, e.cause), (9, want));
        }
    }

    #[test]
    fn unknown_types() {
        let mut out = Vec::new();
        put_record(&mut out, 1, 0x7f, 0, 0, b"");
        let e = Record::decode(&out, 0).unwrap().kind().unwrap_err();
        assert!(e.is_newer());
        assert_eq!(
            e.to_string(),
            "offset 12: record type 0x7f is unknown: written by a newer Moon"
        );
        out.clear();
        put_record(&mut out, 1, 0xc0, 0x80, 0, b"");
        let r = Record::decode(&out, 0).unwrap();
        assert_eq!(r.kind(), Ok(Kind::Skippable(0xc0)));
        assert!(r.is_data());
        out.clear();
        put_record(&mut out, 1, 0x01, 0x10, 0, b"");
        assert!(Record::decode(&out, 0).unwrap().kind().unwrap_err().is_newer());
    }

    #[test]
    fn pads_reach_the_boundary() {
        for align in [4096u64, 16384] {
            for pos in (0..align * 2 + 1).step_by(7).chain(align - 25..align + 25) {
                let len = pad_len(pos, align);
                assert_eq!((pos + len as u64) % align, 0);
                assert!(len == 0 || (20..align as usize + 20).contains(&len));
                let mut out = Vec::new();
                put_pad(&mut out, 3, len);
                assert_eq!(out.len(), len);
                if len > 0 {
                    let r = Record::decode(&out, 0).unwrap();
                    assert_eq!((r.lsn, r.code, r.is_data()), (3, 2, false));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn records_come_back(lsn: u64, code: u8, flags: u8, db: u16,
            payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut out = vec![0xaa; 3];
            let crc = put_record(&mut out, lsn, code, flags, db, &payload);
            out.push(0xbb);
            let want = Record { lsn, code, flags, db, payload: &payload, offset: 3, crc };
            prop_assert_eq!(Record::decode(&out[3..], 3), Ok(want));
        }

        #[test]
        fn any_bytes_are_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Record::decode(&bytes, 0);
        }
    }
}
