//! One key in a range block of version 4.

use super::large::Large;
use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use crate::value::{TtlTrailer, Value, ValueType};
use crate::wal::body::{ColdPtr, PTR_LEN, Quoted};
use std::fmt;

/// Bits of an entry's `eflags`.
pub mod eflags {
    /// `ttl_ms` follows the key.
    pub const TTL: u8 = 1;
    /// `access` follows.
    pub const ACCESS: u8 = 2;
    /// The value is a location in a file of cold values.
    pub const COLD: u8 = 4;
    /// The value follows in chunks.
    pub const LARGE: u8 = 8;
    /// All bits a reader knows.
    pub const KNOWN: u8 = 15;
}

/// Least bytes of an entry, for count checks.
pub(super) const ENTRY_MIN: usize = 1 + 1 + 4 + 4;

/// Bytes of an entry without its key and value, at most.
pub(super) const ENTRY_HEAD_MAX: usize = 1 + 1 + 4 + 8 + 4;

/// A key and what is known of its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<'a> {
    /// Database.
    pub db: u32,
    /// Name.
    pub key: &'a [u8],
    /// Type of the value.
    pub kind: ValueType,
    /// When it expires, in Unix milliseconds. It may lie in the past: a snapshot leaves nothing out.
    pub expire_ms: Option<u64>,
    /// Access word of the keyspace, as the writer keeps it.
    pub access: Option<u32>,
    /// The value.
    pub value: Stored<'a>,
    /// Where the entry begins, as [`super::Decoder::item_offset`].
    pub offset: u64,
}

/// Where the value of an entry is.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored<'a> {
    /// Here.
    Body {
        /// Its bytes.
        bytes: &'a [u8],
        /// What they mean.
        value: Value<'a>,
    },
    /// In a file of cold values.
    Cold(ColdPtr),
    /// In chunks that follow under this number.
    Large(u64),
}

/// Appends what stands before the value.
pub(super) fn put_head(
    out: &mut Vec<u8>,
    kind: ValueType,
    key: &[u8],
    expire_ms: Option<u64>,
    access: Option<u32>,
    more: u8,
) {
    let flag = |bit, set| if set { bit } else { 0 };
    out.put_u8(kind.code());
    out.put_u8(
        flag(eflags::TTL, expire_ms.is_some()) | flag(eflags::ACCESS, access.is_some()) | more,
    );
    out.put_bytes32(key);
    if let Some(ms) = expire_ms {
        out.put_u64(ms);
    }
    if let Some(access) = access {
        out.put_u32(access);
    }
}

/// Reads an entry of version 4. `cold` says whether the file may refer to cold values; a large value is
/// announced to `large`.
pub(super) fn read<'a>(
    r: &mut Reader<'a>,
    db: u32,
    cold: bool,
    large: &mut Large,
) -> Result<Entry<'a>, DecodeError> {
    let offset = r.offset();
    let code = r.u8("type")?;
    let Some(kind) = ValueType::from_code(code) else {
        return Err(DecodeError::new(offset, "value type", Cause::Newer { found: code.into() }));
    };
    let at = r.offset();
    let flags = r.u8("eflags")?;
    if flags & !eflags::KNOWN != 0 {
        let found = u64::from(flags & !eflags::KNOWN);
        return Err(DecodeError::new(at, "eflags", Cause::Newer { found }));
    }
    let key = r.bytes32("key")?;
    let expire_ms = if flags & eflags::TTL != 0 { Some(r.u64("ttl_ms")?) } else { None };
    let access = if flags & eflags::ACCESS != 0 { Some(r.u32("access")?) } else { None };
    let value = match flags & (eflags::COLD | eflags::LARGE) {
        0 => {
            let from = r.position();
            let value = Value::read(r, code, TtlTrailer::Present)?;
            Stored::Body { bytes: r.taken(from, r.position()), value }
        }
        eflags::COLD if cold => {
            let at = r.offset();
            let ptr = ColdPtr::read(r)?;
            if ptr.value_type != code {
                let (expected, found) = (u64::from(code), u64::from(ptr.value_type));
                let cause = Cause::Mismatch { expected, found };
                return Err(DecodeError::new(at, "ptr type", cause));
            }
            Stored::Cold(ptr)
        }
        eflags::LARGE => {
            let at = r.offset();
            let value_id = r.u64("value_id")?;
            large.announce(value_id, at)?;
            Stored::Large(value_id)
        }
        both => {
            let expected = match cold {
                true => "not cold and large",
                false => "no cold value in a self-contained file",
            };
            let cause = Cause::Value { expected, found: u64::from(both) };
            return Err(DecodeError::new(at, "eflags", cause));
        }
    };
    Ok(Entry { db, key, kind, expire_ms, access, value, offset })
}

/// Bytes of the value part of an entry whose value is not in the block.
pub(super) const REFERENCE_MAX: usize = PTR_LEN;

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "db={} key={}", self.db, Quoted(self.key))?;
        if let Some(ms) = self.expire_ms {
            write!(f, " expires={ms}")?;
        }
        if let Some(access) = self.access {
            write!(f, " access={access}")?;
        }
        match &self.value {
            Stored::Body { value, .. } => write!(f, " {value}"),
            Stored::Large(id) => write!(f, " {:?} large value_id={id}", self.kind),
            Stored::Cold(p) => {
                write!(f, " {:?} cold {}:{}:{}", self.kind, p.file_id, p.page, p.slot)?;
                write!(f, " codec={} stored={} logical={}", p.codec, p.stored_len, p.logical_len)
            }
        }
    }
}
