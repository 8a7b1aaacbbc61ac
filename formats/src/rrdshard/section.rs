//! Sections of a snapshot: what a shard holds besides keys (storage-formats §6.1).
//!
//! ```text
//! FUNCTIONS    n u32 | (source bytes32)*n
//! CDC_SLOTS    n u32 | (slot slot)*n
//! slot         name bytes16 | floor_lsn u64 | created_us u64 | flags u32 {1 given up}
//! REPLICATION  n u32 {1} | replid 40 bytes | offset u64 | second_replid 40 bytes | second_offset i64
//! FILES        n u32 | (file file)*n
//! file         file_id u64 | type u8 | tier u8 | reserved 2 bytes | crc u32 | byte_size u64
//! ```
//!
//! These are of version 1. The other codes of [`NAMES`] are reserved: a reader that meets one of them with
//! the flag for required refuses the file, as with any code it does not know.

use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};

/// Flag of a section that a reader must understand.
pub const REQUIRED: u32 = 1;
/// Version of the sections below.
pub const VERSION: u16 = 1;

/// Function libraries.
pub const FUNCTIONS: u16 = 9;
/// Slots of readers of changes.
pub const CDC_SLOTS: u16 = 10;
/// Replication ids and offsets.
pub const REPLICATION: u16 = 11;
/// Files the snapshot refers to.
pub const FILES: u16 = 12;

/// Codes that have a meaning, and their names.
pub const NAMES: &[(u16, &str)] = &[
    (1, "INDEX_DEFS"),
    (2, "VECTOR"),
    (3, "TEXT"),
    (4, "GRAPH"),
    (5, "MQ"),
    (6, "WS"),
    (7, "TEMPORAL_KV"),
    (8, "TEMPORAL_ANCHORS"),
    (FUNCTIONS, "FUNCTIONS"),
    (CDC_SLOTS, "CDC_SLOTS"),
    (REPLICATION, "REPLICATION"),
    (FILES, "FILES"),
];

/// Name of a section.
pub fn name(section: u16) -> Option<&'static str> {
    NAMES.iter().find(|(code, _)| *code == section).map(|(_, name)| *name)
}

/// True if this reader knows what the section means.
pub fn is_known(section: u16, version: u16) -> bool {
    matches!(section, FUNCTIONS | CDC_SLOTS | REPLICATION | FILES) && version == VERSION
}

/// Bytes of a replication id.
pub const REPLID_LEN: usize = 40;
const FILE_LEN: usize = 24;

/// Appends the payload of [`FUNCTIONS`].
pub fn put_functions<'a>(out: &mut Vec<u8>, sources: impl ExactSizeIterator<Item = &'a [u8]>) {
    out.put_count32(sources.len());
    for source in sources {
        out.put_bytes32(source);
    }
}

/// Reads the payload of [`FUNCTIONS`]. `offset` is that of the payload in the file, here and below.
pub fn read_functions(payload: &[u8], offset: u64) -> Result<Vec<&[u8]>, DecodeError> {
    let mut r = Reader::new(payload, offset);
    let n = r.count32(4, "function libraries")?;
    let sources = (0..n).map(|_| r.bytes32("library source")).collect::<Result<_, _>>()?;
    r.finish("section FUNCTIONS")?;
    Ok(sources)
}

/// A named place in the log that a reader of changes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The lowest LSN that its reader still needs.
    pub floor_lsn: u64,
    /// When it was made, microseconds since 1970.
    pub created_us: u64,
    /// [`SLOT_GIVEN_UP`].
    pub flags: u32,
}

/// Flag of a slot that held more of the log than it may: it holds nothing any more.
pub const SLOT_GIVEN_UP: u32 = 1;
const SLOT_LEN_MIN: usize = 22;

/// Appends the payload of [`CDC_SLOTS`].
pub fn put_slots<'a>(out: &mut Vec<u8>, slots: impl ExactSizeIterator<Item = Slot<'a>>) {
    out.put_count32(slots.len());
    for slot in slots {
        out.put_bytes16(slot.name);
        out.put_u64(slot.floor_lsn);
        out.put_u64(slot.created_us);
        out.put_u32(slot.flags);
    }
}

/// Reads the payload of [`CDC_SLOTS`].
pub fn read_slots(payload: &[u8], offset: u64) -> Result<Vec<Slot<'_>>, DecodeError> {
    let mut r = Reader::new(payload, offset);
    let n = r.count32(SLOT_LEN_MIN, "slots")?;
    let mut slots = Vec::with_capacity(n);
    for _ in 0..n {
        let name = r.bytes16("slot name")?;
        let (floor_lsn, created_us) = (r.u64("floor_lsn")?, r.u64("created_us")?);
        let at = r.offset();
        let flags = r.u32("slot flags")?;
        if flags > SLOT_GIVEN_UP {
            let cause = Cause::Newer { found: u64::from(flags) };
            return Err(DecodeError::new(at, "slot flags", cause));
        }
        slots.push(Slot { name, floor_lsn, created_us, flags });
    }
    r.finish("section CDC_SLOTS")?;
    Ok(slots)
}

/// Where a shard stands in replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replication {
    /// Id of the history of writes.
    pub replid: [u8; REPLID_LEN],
    /// Bytes of it at the cut.
    pub offset: u64,
    /// Id of the history before.
    pub second_replid: [u8; REPLID_LEN],
    /// Up to where it is the same history; -1 for none.
    pub second_offset: i64,
}

impl Replication {
    /// Appends the payload of [`REPLICATION`].
    pub fn put(&self, out: &mut Vec<u8>) {
        out.put_u32(1);
        out.put(&self.replid);
        out.put_u64(self.offset);
        out.put(&self.second_replid);
        out.put_i64(self.second_offset);
    }

    /// Reads it.
    pub fn read(payload: &[u8], offset: u64) -> Result<Replication, DecodeError> {
        let mut r = Reader::new(payload, offset);
        let n = r.u32("replication states")?;
        if n != 1 {
            let cause = Cause::Value { expected: "1", found: u64::from(n) };
            return Err(DecodeError::new(offset, "replication states", cause));
        }
        let state = Replication {
            replid: r.array("replid")?,
            offset: r.u64("offset")?,
            second_replid: r.array("second_replid")?,
            second_offset: r.i64("second_offset")?,
        };
        r.finish("section REPLICATION")?;
        Ok(state)
    }
}

/// A file the snapshot refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRef {
    /// Its id.
    pub file_id: u64,
    /// Kind of file: code of the [`crate::page::PageType`] of its content.
    pub file_type: u8,
    /// 1 hot, 2 warm, 3 cold, 4 archive.
    pub tier: u8,
    /// CRC32C of its first page.
    pub crc: u32,
    /// Its size in bytes.
    pub byte_size: u64,
}

/// Appends the payload of [`FILES`].
pub fn put_files(out: &mut Vec<u8>, files: &[FileRef]) {
    out.put_count32(files.len());
    for file in files {
        out.put_u64(file.file_id);
        out.put(&[file.file_type, file.tier, 0, 0]);
        out.put_u32(file.crc);
        out.put_u64(file.byte_size);
    }
}

/// Reads the payload of [`FILES`].
pub fn read_files(payload: &[u8], offset: u64) -> Result<Vec<FileRef>, DecodeError> {
    let mut r = Reader::new(payload, offset);
    let n = r.count32(FILE_LEN, "files")?;
    let mut files = Vec::with_capacity(n);
    for _ in 0..n {
        let file_id = r.u64("file_id")?;
        let file_type = r.u8("file type")?;
        let at = r.offset();
        let tier = r.u8("file tier")?;
        if !(1..=4).contains(&tier) {
            let cause = Cause::Value { expected: "1 to 4", found: u64::from(tier) };
            return Err(DecodeError::new(at, "file tier", cause));
        }
        r.zeros(2, "reserved")?;
        files.push(FileRef {
            file_id,
            file_type,
            tier,
            crc: r.u32("crc")?,
            byte_size: r.u64("byte_size")?,
        });
    }
    r.finish("section FILES")?;
    Ok(files)
}
