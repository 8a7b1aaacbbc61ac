//! Bodies of RRDSHARD 1 to 3 and of `MOON` 1 and 2, files of the reference. Read only.
//!
//! ```text
//! moon_head   magic 4 bytes | version u8
//! old_select  marker u8 {0xFE} | db u8
//! old_range   marker u8 {0xFD} | segment u32 | count u32 | (key old_item)*count | crc u32
//! old_end     marker u8 {0xFF} | file_crc u32
//! old_item    type u8 {0 to 5} | key bytes32 | ttl_ms i64 {not positive: none} | value body
//! ```
//!
//! The checksums are CRC32 of IEEE 802.3: `crc` of the entries of its range, `file_crc` of every byte before
//! it. `MOON` has no ranges. A block does not say how long it is, so the end of an entry is found by reading
//! it.

use super::MOON_MAGIC;
use super::head::{Form, Head, Preamble};
use super::item::{Entry, Stored};
use super::marker;
use crate::bytes::Reader;
use crate::error::{Cause, DecodeError};
use crate::value::{TtlTrailer, Value, ValueType};

/// Which of the old forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Old {
    /// Entries stand in ranges: RRDSHARD, not `MOON`.
    pub ranges: bool,
    /// Hash bodies end with TTLs.
    pub ttls: TtlTrailer,
}

impl Old {
    pub(super) fn of_rrdshard(version: u8) -> Old {
        let ttls = if version >= 3 { TtlTrailer::Present } else { TtlTrailer::Absent };
        Old { ranges: true, ttls }
    }

    pub(super) fn of_moon(version: u8) -> Old {
        let ttls = if version >= 2 { TtlTrailer::Present } else { TtlTrailer::Absent };
        Old { ranges: false, ttls }
    }
}

/// Reads the head of a `MOON` file.
pub(super) fn moon_head(r: &mut Reader<'_>) -> Result<(Head, Old), DecodeError> {
    r.bytes(MOON_MAGIC.len(), "MOON")?;
    let version = r.version(1, 2, "MOON version")?;
    let preamble = Preamble { version, shard_id: 0, epoch: 0, last_lsn: 0, created_at_ms: 0 };
    Ok((Head { form: Form::Moon, preamble, extension: None }, Old::of_moon(version)))
}

/// What stands between entries.
pub(super) enum Mark {
    Select { db: u32 },
    Range { segment: u32, count: u32 },
    End { crc: u32 },
}

/// Reads a mark; `None` if an entry comes instead, which only a file without ranges may have here.
pub(super) fn mark(r: &mut Reader<'_>, ranges: bool) -> Result<Option<Mark>, DecodeError> {
    let at = r.offset();
    Ok(Some(match r.u8("block")? {
        marker::SELECT => Mark::Select { db: u32::from(r.u8("database")?) },
        marker::RANGE if ranges => Mark::Range { segment: r.u32("range")?, count: r.u32("range")? },
        marker::END => Mark::End { crc: r.u32("snapshot")? },
        _ if !ranges => return Ok(None),
        found => {
            let cause = Cause::Value { expected: "a block, 0xFD to 0xFF", found: found.into() };
            return Err(DecodeError::new(at, "block", cause));
        }
    }))
}

/// Reads an entry.
pub(super) fn entry<'a>(r: &mut Reader<'a>, db: u32, old: Old) -> Result<Entry<'a>, DecodeError> {
    let offset = r.offset();
    let code = r.u8("type")?;
    let kind = match ValueType::from_code(code) {
        Some(kind) if code <= ValueType::Stream.code() => kind,
        _ => {
            let cause = Cause::Value { expected: "0 to 5", found: u64::from(code) };
            return Err(DecodeError::new(offset, "value type", cause));
        }
    };
    let key = r.bytes32("key")?;
    // Not positive is none, as the reference reads it.
    let expire_ms = u64::try_from(r.i64("ttl_ms")?).ok().filter(|&ms| ms > 0);
    let from = r.position();
    let value = Value::read(r, code, old.ttls)?;
    let bytes = r.taken(from, r.position());
    let value = Stored::Body { bytes, value };
    Ok(Entry { db, key, kind, expire_ms, access: None, value, offset })
}
