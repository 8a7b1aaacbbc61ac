//! Vectors that no hash field holds, and what index segments cover.
//!
//! ```text
//! VectorUpsert      ver u8 {1} | index bytes16 | field u16 | key bytes32 | global_id u32 |
//!                   elem u8 {1 f32, 2 f16, 3 bf16} | dim u32 | data rest
//! VectorDelete      ver u8 {1} | index bytes16 | field u16 {0xFFFF all} | key bytes32
//! VectorTxnCommit   txn_id u64
//! VectorTxnAbort    txn_id u64
//! VectorCheckpoint  ver u8 {1} | index_id u64 | covered_lsn u64 | count u32 |
//!                   (file_id u64)*count
//! ```

use super::{Payload, Quoted};
use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use crate::wal::record::RecordType;
use std::fmt;

/// Element type of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Elem {
    /// IEEE single.
    F32 = 1,
    /// IEEE half.
    F16 = 2,
    /// bfloat16.
    Bf16 = 3,
}

impl Elem {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Elem::F32 => 4,
            Elem::F16 | Elem::Bf16 => 2,
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Elem, DecodeError> {
        let at = r.offset();
        match r.u8("elem")? {
            1 => Ok(Elem::F32),
            2 => Ok(Elem::F16),
            3 => Ok(Elem::Bf16),
            other => {
                let cause = Cause::Value { expected: "1 to 3", found: u64::from(other) };
                Err(DecodeError::new(at, "elem", cause))
            }
        }
    }
}

/// A vector was set. The dimension is `data.len() / elem.size()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VectorUpsert<'a> {
    /// Index name.
    pub index: &'a [u8],
    /// Field number.
    pub field: u16,
    /// Key.
    pub key: &'a [u8],
    /// Row id within the index.
    pub global_id: u32,
    /// Element type.
    pub elem: Elem,
    /// Elements, little-endian.
    pub data: &'a [u8],
}

impl<'a> Payload<'a> for VectorUpsert<'a> {
    const TYPE: RecordType = RecordType::VectorUpsert;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(1);
        out.put_bytes16(self.index);
        out.put_u16(self.field);
        out.put_bytes32(self.key);
        out.put_u32(self.global_id);
        out.put_u8(self.elem as u8);
        debug_assert_eq!(self.data.len() % self.elem.size(), 0, "whole elements");
        out.put_count32(self.data.len() / self.elem.size());
        out.put(self.data);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        r.version(1, 1, "VectorUpsert version")?;
        let index = r.bytes16("index")?;
        let field = r.u16("field")?;
        let key = r.bytes32("key")?;
        let global_id = r.u32("global_id")?;
        let elem = Elem::read(r)?;
        let dim = r.count32(elem.size(), "vector elements")?;
        let data = r.bytes(dim * elem.size(), "vector")?;
        Ok(VectorUpsert { index, field, key, global_id, elem, data })
    }
}

impl fmt::Display for VectorUpsert<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VectorUpsert { index, field, key, global_id, elem, data } = self;
        write!(f, "index={} field={field} key={}", Quoted(index), Quoted(key))?;
        write!(f, " global_id={global_id} elem={elem:?} dim={}", data.len() / elem.size())
    }
}

/// A vector was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VectorDelete<'a> {
    /// Index name.
    pub index: &'a [u8],
    /// Field number, 0xFFFF for all.
    pub field: u16,
    /// Key.
    pub key: &'a [u8],
}

impl<'a> Payload<'a> for VectorDelete<'a> {
    const TYPE: RecordType = RecordType::VectorDelete;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(1);
        out.put_bytes16(self.index);
        out.put_u16(self.field);
        out.put_bytes32(self.key);
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        r.version(1, 1, "VectorDelete version")?;
        Ok(VectorDelete {
            index: r.bytes16("index")?,
            field: r.u16("field")?,
            key: r.bytes32("key")?,
        })
    }
}

impl fmt::Display for VectorDelete<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index={} field={}", Quoted(self.index), self.field)?;
        write!(f, " key={}", Quoted(self.key))
    }
}

/// What the segment files of a vector index cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorCheckpoint {
    /// The index.
    pub index_id: u64,
    /// Everything up to this LSN is in the files.
    pub covered_lsn: u64,
    /// The files.
    pub file_ids: Vec<u64>,
}

impl<'a> Payload<'a> for VectorCheckpoint {
    const TYPE: RecordType = RecordType::VectorCheckpoint;

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(1);
        out.put_u64(self.index_id);
        out.put_u64(self.covered_lsn);
        out.put_count32(self.file_ids.len());
        for id in &self.file_ids {
            out.put_u64(*id);
        }
    }

    fn read(r: &mut Reader<'a>, _: u8) -> Result<Self, DecodeError> {
        r.version(1, 1, "VectorCheckpoint version")?;
        let index_id = r.u64("index_id")?;
        let covered_lsn = r.u64("covered_lsn")?;
        let count = r.count32(8, "segment files")?;
        let mut file_ids = Vec::with_capacity(count);
        for _ in 0..count {
            file_ids.push(r.u64("file_id")?);
        }
        Ok(VectorCheckpoint { index_id, covered_lsn, file_ids })
    }
}

impl fmt::Display for VectorCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VectorCheckpoint { index_id, covered_lsn, file_ids } = self;
        write!(f, "index_id={index_id} covered={covered_lsn} files={file_ids:?}")
    }
}
