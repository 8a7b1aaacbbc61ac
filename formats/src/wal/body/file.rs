//! Data files: made, dropped, moved between tiers, filled with cold values.
//!
//! ```text
//! FileCreate      file_id u64 | type u8 | status u8 | tier u8 | page_size_log2 u8 |
//!                 page_count u32 | byte_size u64 | created_lsn u64 | db u64 |
//!                 max_key_hash u64 | last_modified_lsn u64
//! FileDelete      file_id u64 | reason u8
//! FileTierChange  file_id u64 | from u8 | to u8
//! Spill           ver u8 {1} | reason u8 {0 spill, 1 compaction} | old_file_id u64 |
//!                 file_id u64 | count u32 | (key bytes32 | where ptr)*count
//! ptr             file_id u64 | page u32 | slot u16 | type u8 | codec u8 |
//!                 stored_len u64 | logical_len u64
//! ```

use super::{Payload, Quoted};
use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use crate::wal::record::RecordType;
use std::fmt;

/// Bytes of a file entry.
pub const FILE_ENTRY_LEN: usize = 56;
/// Bytes of a cold location.
pub const PTR_LEN: usize = 32;

/// A row of the file table (storage-formats §8), version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileEntry {
    /// Id of the file.
    pub file_id: u64,
    /// Kind of file.
    pub file_type: u8,
    /// 1 active, 2 building, 3 sealed, 4 compacting, 5 tombstone, 6 archived.
    pub status: u8,
    /// 1 hot, 2 warm, 3 cold, 4 archive.
    pub tier: u8,
    /// log2 of the page size in bytes.
    pub page_size_log2: u8,
    /// Pages.
    pub page_count: u32,
    /// Bytes.
    pub byte_size: u64,
    /// LSN at which it was made.
    pub created_lsn: u64,
    /// Database of its rows.
    pub db: u64,
    /// Highest key hash in it.
    pub max_key_hash: u64,
    /// LSN of its last change.
    pub last_modified_lsn: u64,
}

/// A data file was made.
pub type FileCreate = FileEntry;

impl<'a> Payload<'a> for FileEntry {
    const TYPE: RecordType = RecordType::FileCreate;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.file_id);
        out.put(&[self.file_type, self.status, self.tier, self.page_size_log2]);
        out.put_u32(self.page_count);
        out.put_u64(self.byte_size);
        out.put_u64(self.created_lsn);
        out.put_u64(self.db);
        out.put_u64(self.max_key_hash);
        out.put_u64(self.last_modified_lsn);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        let entry = FileEntry::read_v1(r)?;
        Ok(FileEntry { last_modified_lsn: r.u64("last_modified_lsn")?, ..entry })
    }
}

impl FileEntry {
    /// Reads the 48 bytes of version 1, which ends before `last_modified_lsn`: that is then `created_lsn`.
    pub fn read_v1(r: &mut Reader<'_>) -> Result<FileEntry, DecodeError> {
        let mut entry = FileEntry {
            file_id: r.u64("file_id")?,
            file_type: r.u8("file type")?,
            status: in_range(r, 1, 6, "1 to 6", "file status")?,
            tier: in_range(r, 1, 4, "1 to 4", "file tier")?,
            page_size_log2: in_range(r, 0, 24, "at most 24", "page_size_log2")?,
            page_count: r.u32("page_count")?,
            byte_size: r.u64("byte_size")?,
            created_lsn: r.u64("created_lsn")?,
            db: r.u64("db")?,
            max_key_hash: r.u64("max_key_hash")?,
            last_modified_lsn: 0,
        };
        entry.last_modified_lsn = entry.created_lsn;
        Ok(entry)
    }
}

fn in_range(
    r: &mut Reader<'_>,
    min: u8,
    max: u8,
    expected: &'static str,
    what: &'static str,
) -> Result<u8, DecodeError> {
    let at = r.offset();
    let v = r.u8(what)?;
    if (min..=max).contains(&v) {
        return Ok(v);
    }
    Err(DecodeError::new(at, what, Cause::Value { expected, found: u64::from(v) }))
}

impl fmt::Display for FileEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileEntry { file_id, file_type, status, tier, page_size_log2, .. } = self;
        write!(f, "file={file_id} type={file_type:#04x} status={status} tier={tier}")?;
        write!(f, " page_log2={page_size_log2} pages={}", self.page_count)?;
        write!(f, " bytes={} created={}", self.byte_size, self.created_lsn)?;
        write!(f, " db={} max_hash={:#x}", self.db, self.max_key_hash)?;
        write!(f, " modified={}", self.last_modified_lsn)
    }
}

/// A data file was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDelete {
    /// The file.
    pub file_id: u64,
    /// Why, as the writer counts.
    pub reason: u8,
}

impl<'a> Payload<'a> for FileDelete {
    const TYPE: RecordType = RecordType::FileDelete;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.file_id);
        out.put_u8(self.reason);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(FileDelete { file_id: r.u64("file_id")?, reason: r.u8("reason")? })
    }
}

impl fmt::Display for FileDelete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file={} reason={}", self.file_id, self.reason)
    }
}

/// A data file moved between tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileTierChange {
    /// The file.
    pub file_id: u64,
    /// Tier before.
    pub from: u8,
    /// Tier after.
    pub to: u8,
}

impl<'a> Payload<'a> for FileTierChange {
    const TYPE: RecordType = RecordType::FileTierChange;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.file_id);
        out.put_u8(self.from);
        out.put_u8(self.to);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        Ok(FileTierChange {
            file_id: r.u64("file_id")?,
            from: in_range(r, 1, 4, "1 to 4", "file tier")?,
            to: in_range(r, 1, 4, "1 to 4", "file tier")?,
        })
    }
}

impl fmt::Display for FileTierChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file={} tier={}->{}", self.file_id, self.from, self.to)
    }
}

/// Where a cold value lies (storage-formats §9.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColdPtr {
    /// The file.
    pub file_id: u64,
    /// Page in the file.
    pub page: u32,
    /// Slot in the page.
    pub slot: u16,
    /// Type code of the value.
    pub value_type: u8,
    /// 0 raw, 1 LZ4, 2 zstd.
    pub codec: u8,
    /// Bytes as stored.
    pub stored_len: u64,
    /// Bytes of a string, elements of a collection.
    pub logical_len: u64,
}

impl ColdPtr {
    /// Appends the 32 bytes.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.file_id);
        out.put_u32(self.page);
        out.put_u16(self.slot);
        out.put_u8(self.value_type);
        out.put_u8(self.codec);
        out.put_u64(self.stored_len);
        out.put_u64(self.logical_len);
    }

    /// Reads the 32 bytes.
    pub fn read(r: &mut Reader<'_>) -> Result<ColdPtr, DecodeError> {
        Ok(ColdPtr {
            file_id: r.u64("ptr file_id")?,
            page: r.u32("ptr page")?,
            slot: r.u16("ptr slot")?,
            value_type: r.u8("ptr type")?,
            codec: in_range(r, 0, 2, "0 to 2", "ptr codec")?,
            stored_len: r.u64("ptr stored_len")?,
            logical_len: r.u64("ptr logical_len")?,
        })
    }
}

/// Why values moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SpillReason {
    /// Out of memory into a file.
    Spill = 0,
    /// From a sparse file into a new one; holds for a key only while its stub still names the
    /// old file.
    Compaction = 1,
}

/// Values moved to a cold file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spill<'a> {
    /// Why.
    pub reason: SpillReason,
    /// The file compacted away, 0 for a spill.
    pub old_file_id: u64,
    /// The file that holds the values.
    pub file_id: u64,
    /// Keys and where their values lie.
    pub entries: Vec<(&'a [u8], ColdPtr)>,
}

impl<'a> Payload<'a> for Spill<'a> {
    const TYPE: RecordType = RecordType::Spill;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(1);
        out.put_u8(self.reason as u8);
        out.put_u64(self.old_file_id);
        out.put_u64(self.file_id);
        out.put_count32(self.entries.len());
        for (key, ptr) in &self.entries {
            out.put_bytes32(key);
            ptr.put(out);
        }
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        r.version(1, 1, "Spill version")?;
        let reason = match r.bool("spill reason")? {
            false => SpillReason::Spill,
            true => SpillReason::Compaction,
        };
        let old_file_id = r.u64("old_file_id")?;
        let file_id = r.u64("file_id")?;
        let count = r.count32(4 + PTR_LEN, "spilled keys")?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push((r.bytes32("key")?, ColdPtr::read(r)?));
        }
        Ok(Spill { reason, old_file_id, file_id, entries })
    }
}

impl fmt::Display for Spill<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spill { reason, old_file_id, file_id, entries } = self;
        write!(f, "reason={reason:?} old_file={old_file_id} file={file_id}")?;
        for (key, p) in entries {
            write!(f, " {}@{}:{}:{}", Quoted(key), p.file_id, p.page, p.slot)?;
            write!(f, "(type {} codec {}", p.value_type, p.codec)?;
            write!(f, " stored {} logical {})", p.stored_len, p.logical_len)?;
        }
        Ok(())
    }
}
