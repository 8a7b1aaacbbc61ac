//! MoonPage: the 64-byte header of every page of a data file (storage-formats §4).
//!
//! The byte table is [`HEADER_FIELDS`], printed in `docs/formats/shard-manifest.md`. The header says what the
//! page is, which page of which file it should be, and carries a checksum of the payload. Version 1, that of
//! the reference, leaves the header itself unprotected; from version 2 on a second checksum covers it, and
//! what follows the payload is zero, so that no bit of a page is outside a checksum or a rule.
//!
//! A page is believed only after [`Page::decode`], which also holds its ids against the place it was read
//! from: a write that went astray is damage although its checksum is right.

#![warn(clippy::indexing_slicing)]

use crate::bytes::{Put, Reader};
use crate::crc::crc32c;
use crate::error::{Cause, DecodeError};
use std::fmt;

/// Bytes of a header.
pub const HEADER_LEN: usize = 64;
/// Bytes of a page, except those of [`PageType::VecCodes`] and [`PageType::VecFull`].
pub const PAGE_LEN: usize = 4096;
/// Bytes of a page of [`PageType::VecCodes`] or [`PageType::VecFull`].
pub const PAGE_LEN_LARGE: usize = 65536;
/// Version of data pages that is written.
pub const VERSION: u8 = 2;

/// First bytes of a page.
pub const MAGIC: &[u8] = b"GPNM";

/// `(offset, size, name)` of each field; compared with the page of the format by a test.
pub const HEADER_FIELDS: &[(usize, usize, &str)] = &[
    (0, 4, "magic"),
    (4, 1, "format_version"),
    (5, 1, "page_type"),
    (6, 2, "flags"),
    (8, 8, "page_lsn"),
    (16, 4, "payload_crc"),
    (20, 4, "payload_bytes"),
    (24, 8, "page_id"),
    (32, 8, "file_id"),
    (40, 4, "prev_page"),
    (44, 4, "next_page"),
    (48, 8, "txn_id"),
    (56, 4, "entry_count"),
    (60, 4, "header_crc"),
];

/// Bits of a page's `flags`.
pub mod page_flags {
    /// Changed since the last checkpoint; the reference sets it in memory only.
    pub const DIRTY: u16 = 0x01;
    /// The payload is compressed with LZ4.
    pub const LZ4: u16 = 0x02;
    /// A full-page image.
    pub const FPI: u16 = 0x04;
    /// The payload is a zstd frame; from version 2.
    pub const ZSTD: u16 = 0x08;
    /// All bits a reader knows.
    pub const KNOWN: u16 = 0x0f;
}

macro_rules! page_types {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What a page holds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum PageType {
            $($(#[$doc])* $name = $code,)*
        }

        impl PageType {
            /// All types, by ascending code.
            pub const ALL: &[PageType] = &[$(PageType::$name,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(PageType::$name => stringify!($name),)*
                }
            }
        }
    };
}

page_types! {
    /// Root of a shard manifest.
    ManifestRoot = 0x01,
    /// File entries that do not fit in the root.
    ManifestEntry = 0x02,
    /// Control file of the reference.
    Control = 0x03,
    /// Commit log of the reference, 2 bits a transaction.
    Clog = 0x04,
    /// First page of a native data file.
    FileHead = 0x05,
    /// Cold values.
    KvLeaf = 0x10,
    /// The rest of a large cold value.
    KvOverflow = 0x11,
    /// Keys by hash.
    KvIndex = 0x12,
    /// Quantized vectors.
    VecCodes = 0x20,
    /// Full vectors.
    VecFull = 0x21,
    /// Neighbours of vectors.
    VecGraph = 0x22,
    /// When vectors came and went.
    VecMvcc = 0x23,
    /// What a vector segment is.
    VecMeta = 0x24,
    /// Undo of vector changes.
    VecUndo = 0x25,
    /// Keys of vectors.
    VecKeys = 0x26,
    /// Codebook and codes of a product quantizer.
    VecPq = 0x27,
    /// Bitmap of free pages.
    FreeMap = 0xf0,
}

impl PageType {
    /// The type with this code.
    pub fn from_code(code: u8) -> Option<PageType> {
        PageType::ALL.iter().copied().find(|t| t.code() == code)
    }

    /// The code on disk.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Bytes of a page of this type.
    pub fn page_len(self) -> usize {
        match self {
            PageType::VecCodes | PageType::VecFull => PAGE_LEN_LARGE,
            _ => PAGE_LEN,
        }
    }
}

/// The versions a family of pages has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The newest that is read.
    pub newest: u8,
    /// The first whose header has a checksum.
    pub sealed: u8,
}

/// Versions of data pages.
pub const DATA_PAGES: Versions = Versions { newest: VERSION, sealed: 2 };

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageHeader {
    /// Version of the page, or of the manifest it belongs to.
    pub version: u8,
    /// What the page holds.
    pub page_type: PageType,
    /// Bits of [`page_flags`].
    pub flags: u16,
    /// LSN of the last change the page holds.
    pub page_lsn: u64,
    /// Bytes of the payload.
    pub payload_bytes: u32,
    /// Index of the page in its file.
    pub page_id: u64,
    /// The file.
    pub file_id: u64,
    /// The page before in a chain; 0 for none.
    pub prev_page: u32,
    /// The page after in a chain; 0 for none.
    pub next_page: u32,
    /// Transaction; in a manifest the epoch.
    pub txn_id: u64,
    /// Entries in the payload.
    pub entry_count: u32,
}

impl PageHeader {
    /// A header of `version` with nothing set but the type.
    pub fn new(version: u8, page_type: PageType) -> PageHeader {
        PageHeader {
            version,
            page_type,
            flags: 0,
            page_lsn: 0,
            payload_bytes: 0,
            page_id: 0,
            file_id: 0,
            prev_page: 0,
            next_page: 0,
            txn_id: 0,
            entry_count: 0,
        }
    }

    /// Appends a whole page: header, payload, zeros. `payload_bytes` is set from the payload; panics if that
    /// does not fit in the page.
    pub fn put_page(&self, versions: Versions, payload: &[u8], out: &mut Vec<u8>) {
        let len = self.page_type.page_len();
        assert!(payload.len() <= len - HEADER_LEN, "a payload of {} bytes", payload.len());
        let start = out.len();
        out.put(MAGIC);
        out.put(&[self.version, self.page_type.code()]);
        out.put_u16(self.flags);
        out.put_u64(self.page_lsn);
        out.put_u32(crc32c(payload));
        out.put_count32(payload.len());
        out.put_u64(self.page_id);
        out.put_u64(self.file_id);
        out.put_u32(self.prev_page);
        out.put_u32(self.next_page);
        out.put_u64(self.txn_id);
        out.put_u32(self.entry_count);
        let sealed = self.version >= versions.sealed;
        let crc = if sealed { crc32c(out.get(start..).unwrap_or_default()) } else { 0 };
        out.put_u32(crc);
        out.put(payload);
        out.resize(start + len, 0);
    }
}

impl fmt::Display for PageHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PageHeader { version, page_lsn, payload_bytes, page_id, file_id, .. } = self;
        write!(f, "page type={} version={version} file={file_id}", self.page_type.name())?;
        write!(f, " page={page_id} lsn={page_lsn} payload={payload_bytes}")?;
        write!(f, " entries={} prev={}", self.entry_count, self.prev_page)?;
        write!(f, " next={} txn={} flags=", self.next_page, self.txn_id)?;
        crate::wal::write_flags(f, self.flags as u8, &["DIRTY", "LZ4", "FPI", "ZSTD"])
    }
}

/// Where a page was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file_id: u64,
    /// Index of the page in the file.
    pub page_id: u64,
}

/// A page that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<'a> {
    /// Its header.
    pub header: PageHeader,
    /// Its payload, as stored.
    pub payload: &'a [u8],
    /// Offset of the payload in the file.
    pub offset: u64,
}

impl<'a> Page<'a> {
    /// Reads the page at the start of `buf`, which lies at `offset` of its file. With a `place`, a page with
    /// a checksum in its header must name that place; the reference's pages name none reliably.
    pub fn decode(
        buf: &'a [u8],
        offset: u64,
        versions: Versions,
        place: Option<Place>,
    ) -> Result<Page<'a>, DecodeError> {
        let mut r = Reader::new(buf, offset);
        let bytes = r.array::<HEADER_LEN>("page header")?;
        let refuse = |at: u64, what, cause| Err(DecodeError::new(offset + at, what, cause));
        let mut h = Reader::new(&bytes, offset);
        if h.bytes(MAGIC.len(), "page magic")? != MAGIC {
            let found = *bytes.first_chunk().expect("a header has 64 bytes");
            return refuse(0, "page magic", Cause::Magic { expected: MAGIC, found });
        }
        let version = h.u8("format_version")?;
        if version == 0 {
            let cause = Cause::Value { expected: "at least 1", found: 0 };
            return refuse(4, "format_version", cause);
        }
        let (covered, stored) = bytes.split_last_chunk::<4>().expect("a header has 64 bytes");
        let stored = u32::from_le_bytes(*stored);
        let sealed = version >= versions.sealed;
        let computed = if sealed { crc32c(covered) } else { 0 };
        if stored != computed {
            let cause = Cause::Checksum { stored: stored.into(), computed: computed.into() };
            return refuse(60, "header_crc", cause);
        }
        if version > versions.newest {
            return refuse(4, "format_version", Cause::Newer { found: version.into() });
        }
        let code = h.u8("page_type")?;
        let Some(page_type) = PageType::from_code(code) else {
            return refuse(5, "page_type", Cause::Newer { found: code.into() });
        };
        let flags = h.u16("flags")?;
        let unknown = flags & !page_flags::KNOWN;
        if unknown != 0 {
            return refuse(6, "page flags", Cause::Newer { found: unknown.into() });
        }
        let page_lsn = h.u64("page_lsn")?;
        let payload_crc = h.u32("payload_crc")?;
        let payload_bytes = h.u32("payload_bytes")?;
        let header = PageHeader {
            version,
            page_type,
            flags,
            page_lsn,
            payload_bytes,
            page_id: h.u64("page_id")?,
            file_id: h.u64("file_id")?,
            prev_page: h.u32("prev_page")?,
            next_page: h.u32("next_page")?,
            txn_id: h.u64("txn_id")?,
            entry_count: h.u32("entry_count")?,
        };
        let room = page_type.page_len() - HEADER_LEN;
        if payload_bytes as usize > room {
            let cause = Cause::Value { expected: "at most the page", found: payload_bytes.into() };
            return refuse(20, "payload_bytes", cause);
        }
        let mut body = Reader::new(r.bytes(room, "page")?, offset + HEADER_LEN as u64);
        let payload = body.bytes(payload_bytes as usize, "page")?;
        let computed = crc32c(payload);
        if payload_crc != computed {
            let cause = Cause::Checksum { stored: payload_crc.into(), computed: computed.into() };
            return refuse(16, "payload_crc", cause);
        }
        if sealed {
            body.zeros(body.remaining(), "end of page")?;
            if let Some(place) = place {
                for (at, what, expected, found) in [
                    (24, "page_id", place.page_id, header.page_id),
                    (32, "file_id", place.file_id, header.file_id),
                ] {
                    if expected != found {
                        return refuse(at, what, Cause::Mismatch { expected, found });
                    }
                }
            }
        }
        Ok(Page { header, payload, offset: offset + HEADER_LEN as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> PageHeader {
        PageHeader {
            flags: page_flags::ZSTD,
            page_lsn: 9,
            page_id: 3,
            file_id: 12,
            prev_page: 2,
            next_page: 4,
            txn_id: 8,
            entry_count: 1,
            ..PageHeader::new(VERSION, PageType::KvLeaf)
        }
    }

    fn page(header: PageHeader, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        header.put_page(DATA_PAGES, payload, &mut out);
        out
    }

    fn decode(buf: &[u8]) -> Result<Page<'_>, DecodeError> {
        Page::decode(buf, 0, DATA_PAGES, Some(Place { file_id: 12, page_id: 3 }))
    }

    proptest! {
        #[test]
        fn comes_back(payload in proptest::collection::vec(any::<u8>(), 0..=PAGE_LEN - HEADER_LEN)) {
            let bytes = page(header(), &payload);
            prop_assert_eq!(bytes.len(), PAGE_LEN);
            let read = decode(&bytes).unwrap();
            prop_assert_eq!(read.payload, &payload[..]);
            let payload_bytes = payload.len() as u32;
            prop_assert_eq!(read.header, PageHeader { payload_bytes, ..header() });
        }
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let good = page(header(), b"payload");
        for bit in 0..PAGE_LEN * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_err(), "bit {bit}");
        }
        for cut in 0..PAGE_LEN {
            assert!(decode(&good[..cut]).unwrap_err().is_truncated(), "{cut}");
        }
    }

    #[test]
    fn a_page_of_the_reference_is_read() {
        let old = PageHeader { version: 1, flags: page_flags::LZ4, ..header() };
        let mut bytes = page(old, b"payload");
        assert_eq!(bytes[60..64], [0; 4]);
        // What follows the payload was never cleared, and the ids mean nothing.
        bytes[200] = 1;
        bytes[24] = 77;
        assert_eq!(decode(&bytes).unwrap().payload, b"payload");
        bytes[64] ^= 1;
        assert_eq!(decode(&bytes).unwrap_err().what, "payload_crc");
    }

    #[test]
    fn a_misdirected_write_is_damage() {
        let bytes = page(header(), b"");
        for (place, what) in [
            (Place { file_id: 13, page_id: 3 }, "file_id"),
            (Place { file_id: 12, page_id: 4 }, "page_id"),
        ] {
            let e = Page::decode(&bytes, 0, DATA_PAGES, Some(place)).unwrap_err();
            assert_eq!(e.what, what);
        }
    }

    #[test]
    fn what_a_later_moon_wrote_is_named() {
        let newer = page(PageHeader { version: 3, ..header() }, b"");
        assert!(decode(&newer).unwrap_err().is_newer());
        let newer = page(PageHeader { flags: 0x10, ..header() }, b"");
        assert!(decode(&newer).unwrap_err().is_newer());
        let mut newer = page(header(), b"");
        newer[5] = 0x7f;
        let crc = crc32c(&newer[..60]);
        newer[60..64].copy_from_slice(&crc.to_le_bytes());
        assert!(decode(&newer).unwrap_err().is_newer());
    }

    #[test]
    fn fields_tile_the_header_and_types_come_back() {
        let mut at = 0;
        for &(offset, size, name) in HEADER_FIELDS {
            assert_eq!(offset, at, "{name}");
            at += size;
        }
        assert_eq!(at, HEADER_LEN);
        for &t in PageType::ALL {
            assert_eq!(PageType::from_code(t.code()), Some(t));
        }
        assert_eq!(PageType::VecCodes.page_len(), PAGE_LEN_LARGE);
    }

    #[test]
    fn prints() {
        assert_eq!(
            header().to_string(),
            "page type=KvLeaf version=2 file=12 page=3 lsn=9 payload=0 entries=1 prev=2 next=4 \
             txn=8 flags=ZSTD"
        );
    }
}
