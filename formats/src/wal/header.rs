//! Segment header: the first 64 bytes of a log file.
//!
//! The byte table is [`HEADER_FIELDS`], printed in `docs/formats/wal.md`. With the R1 flag the
//! last 20 bytes are in use and the whole header is covered by a CRC32C; without it the file
//! was written by a reference server and those bytes are zero.

#![warn(clippy::indexing_slicing)]

use crate::bytes::{Put, Reader};
use crate::crc::crc32c;
use crate::error::{Cause, DecodeError};
use std::fmt;

/// Bytes of a header.
pub const HEADER_LEN: usize = 64;
/// Version of the log format.
pub const VERSION: u8 = 3;
const MAGIC: &[u8] = b"RRDWAL";

/// `(offset, size, name)` of each field; compared with the page by a test.
pub const HEADER_FIELDS: &[(usize, usize, &str)] = &[
    (0, 6, "magic"),
    (6, 1, "version"),
    (7, 1, "flags"),
    (8, 2, "shard_id"),
    (10, 1, "align_log2"),
    (11, 1, "zero"),
    (12, 8, "epoch"),
    (20, 8, "redo_lsn"),
    (28, 8, "base_lsn"),
    (36, 8, "segment_size"),
    (44, 8, "segment_seq"),
    (52, 4, "prev_tail_crc"),
    (56, 4, "features"),
    (60, 4, "header_crc"),
];

/// Bits of the header's `flags`.
pub mod header_flags {
    /// The reference always sets it; it has no meaning for Moon.
    pub const FPI_ENABLED: u8 = 0x01;
    /// Records may be compressed.
    pub const COMPRESSED: u8 = 0x02;
    /// Native: bytes 44..64 are valid, records carry `db`, framing by sync groups.
    pub const R1: u8 = 0x04;
    /// Repeats the records whose sync failed in the file before.
    pub const REWIND: u8 = 0x08;
    /// First segment after a crash tail.
    pub const AFTER_CRASH: u8 = 0x10;
    /// First segment of a new timeline.
    pub const FORK: u8 = 0x20;
    /// All bits a reader knows.
    pub const KNOWN: u8 = 0x3f;
}

/// Features this reader knows.
const FEATURES_KNOWN: u32 = 0;

/// A verified segment header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Bits of [`header_flags`].
    pub flags: u8,
    /// The shard whose log this is.
    pub shard_id: u16,
    /// log2 of the alignment `A` in bytes; 0 in a reference file.
    pub align_log2: u8,
    /// Timeline, from 1; 0 in a reference file.
    pub epoch: u64,
    /// Base LSN in force when the segment was opened.
    pub redo_lsn: u64,
    /// LSN of the first data record.
    pub base_lsn: u64,
    /// Preallocated bytes.
    pub segment_size: u64,
    /// Number in the file name; 0 in a reference file.
    pub segment_seq: u64,
    /// CRC of the last data record before `base_lsn`, 0 if there is none.
    pub prev_tail_crc: u32,
    /// Incompatible features in use.
    pub features: u32,
}

impl SegmentHeader {
    /// True for a native segment.
    pub fn is_r1(&self) -> bool {
        self.flags & header_flags::R1 != 0
    }

    /// True when block 0 holds a `Cut` (REWIND, AFTER_CRASH or FORK).
    pub fn has_cut(&self) -> bool {
        use header_flags::{AFTER_CRASH, FORK, REWIND};
        self.flags & (REWIND | AFTER_CRASH | FORK) != 0
    }

    /// Alignment in bytes; 1 in a reference file.
    pub fn align(&self) -> u64 {
        1 << self.align_log2
    }

    /// The 64 bytes of the header.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = Vec::with_capacity(HEADER_LEN);
        self.put(&mut out);
        *out.first_chunk().expect("put appends HEADER_LEN bytes")
    }

    /// Appends the 64 bytes of the header.
    pub fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put(MAGIC);
        out.put_u8(VERSION);
        out.put_u8(self.flags);
        out.put_u16(self.shard_id);
        out.put_u8(self.align_log2);
        out.put_u8(0);
        out.put_u64(self.epoch);
        out.put_u64(self.redo_lsn);
        out.put_u64(self.base_lsn);
        out.put_u64(self.segment_size);
        out.put_u64(self.segment_seq);
        out.put_u32(self.prev_tail_crc);
        out.put_u32(self.features);
        let crc = match self.is_r1() {
            true => crc32c(out.get(start..).unwrap_or_default()),
            false => 0,
        };
        out.put_u32(crc);
    }
}

impl fmt::Display for SegmentHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "segment seq={} shard={} epoch={} base_lsn={} redo_lsn={} size={} align={} \
             prev_tail_crc={:08x} features={:#x} flags=",
            self.segment_seq,
            self.shard_id,
            self.epoch,
            self.base_lsn,
            self.redo_lsn,
            self.segment_size,
            self.align(),
            self.prev_tail_crc,
            self.features,
        )?;
        let names = ["FPI_ENABLED", "COMPRESSED", "R1", "REWIND", "AFTER_CRASH", "FORK"];
        write_flags(f, self.flags, &names)
    }
}

/// Writes the names of the set bits, lowest first, joined by `|`; `0` if none is set.
pub(crate) fn write_flags(f: &mut fmt::Formatter<'_>, flags: u8, names: &[&str]) -> fmt::Result {
    if flags == 0 {
        return f.write_str("0");
    }
    let mut bar = "";
    for (bit, name) in names.iter().enumerate() {
        if flags >> bit & 1 == 1 {
            write!(f, "{bar}{name}")?;
            bar = "|";
        }
    }
    Ok(())
}

/// 64 bytes that look like a header and are not believed yet.
#[derive(Debug, Clone, Copy)]
pub struct UnverifiedHeader {
    bytes: [u8; HEADER_LEN],
    base: u64,
}

impl UnverifiedHeader {
    /// Takes the first 64 bytes of `buf`, which lie at offset `base`, if they carry the magic
    /// and version of this format.
    pub fn parse(buf: &[u8], base: u64) -> Result<UnverifiedHeader, DecodeError> {
        let bytes = Reader::new(buf, base).array::<HEADER_LEN>("segment header")?;
        let mut r = Reader::new(&bytes, base);
        let magic = r.bytes(MAGIC.len(), "segment header")?;
        if magic != MAGIC {
            let found = *bytes.first_chunk().expect("a header has 64 bytes");
            let cause = Cause::Magic { expected: MAGIC, found };
            return Err(DecodeError::new(base, "segment header", cause));
        }
        match r.u8("WAL")? {
            VERSION => Ok(UnverifiedHeader { bytes, base }),
            version @ 0..VERSION => Err(DecodeError::new(
                base + 6,
                "WAL",
                Cause::Removed { version: u64::from(version) },
            )),
            newer => Err(DecodeError::new(
                base + 6,
                "WAL version",
                Cause::Newer { found: u64::from(newer) },
            )),
        }
    }

    /// The segment number the header claims, for messages about a header that fails.
    pub fn claimed_seq(&self) -> u64 {
        self.fields().map_or(0, |h| h.segment_seq)
    }

    fn fields(&self) -> Result<SegmentHeader, DecodeError> {
        let mut r = Reader::new(&self.bytes, self.base);
        r.bytes(7, "segment header")?;
        let flags = r.u8("flags")?;
        let shard_id = r.u16("shard_id")?;
        let align_log2 = r.u8("align_log2")?;
        r.u8("zero")?;
        Ok(SegmentHeader {
            flags,
            shard_id,
            align_log2,
            epoch: r.u64("epoch")?,
            redo_lsn: r.u64("redo_lsn")?,
            base_lsn: r.u64("base_lsn")?,
            segment_size: r.u64("segment_size")?,
            segment_seq: r.u64("segment_seq")?,
            prev_tail_crc: r.u32("prev_tail_crc")?,
            features: r.u32("features")?,
        })
    }

    /// Checks CRC and every field and gives the header.
    pub fn verify(self) -> Result<SegmentHeader, DecodeError> {
        let header = self.fields()?;
        let at = |field: &'static str, offset: u64, cause| {
            Err(DecodeError::new(self.base + offset, field, cause))
        };
        let mut r = Reader::new(&self.bytes, self.base);
        let body = r.bytes(44, "segment header")?;
        if !header.is_r1() {
            // A reference file has no checksum; what it keeps zero is all there is to check.
            r.zeros(HEADER_LEN - 44, "reserved bytes of a segment without R1")?;
            Reader::new(body.get(10..12).unwrap_or_default(), self.base + 10)
                .zeros(2, "reserved bytes of a segment without R1")?;
        } else {
            r.bytes(16, "segment header")?;
            let stored = r.u32("header_crc")?;
            let computed = crc32c(self.bytes.get(..60).unwrap_or_default());
            if stored != computed {
                let (stored, computed) = (u64::from(stored), u64::from(computed));
                return at("header_crc", 60, Cause::Checksum { stored, computed });
            }
            Reader::new(body.get(11..12).unwrap_or_default(), self.base + 11).zeros(1, "zero")?;
            if !(12..=24).contains(&header.align_log2) {
                let found = u64::from(header.align_log2);
                return at("align_log2", 10, Cause::Value { expected: "12 to 24", found });
            }
            if header.epoch == 0 {
                return at("epoch", 12, Cause::Value { expected: "at least 1", found: 0 });
            }
            if header.base_lsn == 0 {
                return at("base_lsn", 28, Cause::Value { expected: "at least 1", found: 0 });
            }
            let unknown = header.features & !FEATURES_KNOWN;
            if unknown != 0 {
                return at("WAL feature", 56, Cause::Newer { found: u64::from(unknown) });
            }
        }
        let unknown = header.flags & !header_flags::KNOWN;
        if unknown != 0 {
            return at("WAL header flag", 7, Cause::Newer { found: u64::from(unknown) });
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use header_flags::*;

    fn sample() -> SegmentHeader {
        SegmentHeader {
            flags: R1 | FPI_ENABLED,
            shard_id: 3,
            align_log2: 12,
            epoch: 1,
            redo_lsn: 7,
            base_lsn: 1000,
            segment_size: 16 << 20,
            segment_seq: 42,
            prev_tail_crc: 0xdead_beef,
            features: 0,
        }
    }

    fn decode(bytes: &[u8]) -> Result<SegmentHeader, DecodeError> {
        UnverifiedHeader::parse(bytes, 0)?.verify()
    }

    #[test]
    fn comes_back() {
        assert_eq!(decode(&sample().encode()), Ok(sample()));
        assert_eq!(UnverifiedHeader::parse(&sample().encode(), 0).unwrap().claimed_seq(), 42);
    }

    #[test]
    fn fields_tile_the_header() {
        let mut at = 0;
        for &(offset, size, name) in HEADER_FIELDS {
            assert_eq!(offset, at, "{name}");
            at += size;
        }
        assert_eq!(at, HEADER_LEN);
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let good = sample().encode();
        for bit in 0..HEADER_LEN * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_prefix_is_truncated() {
        let good = sample().encode();
        for cut in 0..HEADER_LEN {
            assert!(decode(&good[..cut]).unwrap_err().is_truncated());
        }
    }

    #[test]
    fn a_reference_header_is_read_and_kept() {
        let h = SegmentHeader {
            flags: FPI_ENABLED,
            align_log2: 0,
            epoch: 0,
            segment_seq: 0,
            prev_tail_crc: 0,
            ..sample()
        };
        let bytes = h.encode();
        assert_eq!(bytes[44..], [0; 20]);
        assert_eq!(decode(&bytes), Ok(h));
    }

    #[test]
    fn newer_and_removed_versions_are_named() {
        let mut bytes = sample().encode();
        bytes[6] = 2;
        assert_eq!(decode(&bytes).unwrap_err().cause, Cause::Removed { version: 2 });
        bytes[6] = 4;
        assert!(decode(&bytes).unwrap_err().is_newer());
        let newer = SegmentHeader { features: 8, ..sample() }.encode();
        let e = decode(&newer).unwrap_err();
        assert_eq!((e.offset, e.cause), (56, Cause::Newer { found: 8 }));
        let newer = SegmentHeader { flags: R1 | 0x80, ..sample() }.encode();
        assert!(decode(&newer).unwrap_err().is_newer());
    }

    #[test]
    fn senseless_values_with_a_good_crc_are_refused() {
        for h in [
            SegmentHeader { align_log2: 11, ..sample() },
            SegmentHeader { align_log2: 63, ..sample() },
            SegmentHeader { epoch: 0, ..sample() },
            SegmentHeader { base_lsn: 0, ..sample() },
        ] {
            assert!(decode(&h.encode()).is_err(), "{h}");
        }
    }

    #[test]
    fn prints() {
        assert_eq!(
            SegmentHeader { flags: R1 | REWIND, ..sample() }.to_string(),
            "segment seq=42 shard=3 epoch=1 base_lsn=1000 redo_lsn=7 size=16777216 align=4096 \
             prev_tail_crc=deadbeef features=0x0 flags=R1|REWIND"
        );
    }
}
