//! Redis and Valkey values and files: DUMP payloads, `dump.rdb`, full synchronisation.
//!
//! One codec for all of them. It turns a foreign value into a body of [`crate::value`] and back, so nothing
//! else in Moon knows the encodings of other servers. Every input is hostile: packed blocks (listpack,
//! ziplist, zipmap, intset) are checked in full, and a value comes out whole or not at all.
//!
//! | type | value | decoded | encoded |
//! |---|---|---|---|
//! | 0 | string | yes | yes |
//! | 1, 10, 14 | list: elements, ziplist, ziplists | yes | - |
//! | 18 | list: listpacks | yes | yes |
//! | 2, 11, 20 | set: members, intset, listpack | yes | yes; 20 from version 11 |
//! | 3, 12 | sorted set: scores as text, ziplist | yes | - |
//! | 5, 17 | sorted set: binary scores, listpack | yes | yes |
//! | 9, 13 | hash: zipmap, ziplist | yes | - |
//! | 4, 16 | hash: pairs, listpack | yes | yes |
//! | 22, 23 | hash with field TTLs of Redis 7.4 before its release; under `VALKEY` 22 is that of Valkey 9 | yes | - |
//! | 24, 25 | hash with field TTLs: pairs, listpack | yes | yes, version 12 |
//! | 15 | stream | yes | - |
//! | 19, 21 | stream with offsets; with activity times | yes | yes; 21 from version 11 |
//! | 26 | stream with idempotent ids | yes | version 13 |
//! | 27 | the same, with pending entries that no consumer holds | yes | version 14 |
//! | 6, 7 | module values | refused; 7 skipped on demand | - |
//!
//! The same byte means different things by magic and version, therefore every decoder is given a
//! [`Format`]. A DUMP payload is
//!
//! ```text
//! payload  type u8 | body | version u16 | crc64 u64
//! ```
//!
//! with the CRC64 (Jones) over all that stands before it; the layout of files is in `file.rs`.
//!
//! Members that occur twice are noticed by whoever builds the value: it comes out shorter than announced.
//!
//! What is truncated says so ([`DecodeError::is_truncated`]), and only that: a reader that gets more bytes may
//! try again. Damage inside a packed block is never reported as truncation.

#![warn(clippy::indexing_slicing)]

mod decode;
mod encode;
mod file;
pub mod functions;
mod lzf;
mod module;
mod packed;
mod prim;
mod stream;
#[cfg(test)]
mod tests;

pub use encode::{Encoder, Unfit};
pub use file::{FileReader, FileWriter, Item, Key, Module, Step};

use crate::bytes::{Put, Reader};
use crate::crc::crc64;
use crate::error::{Cause, DecodeError};
use crate::value::ValueType;

/// The version written unless a value needs a newer one: Redis 7.2, Valkey 7.2 and all later ones read it.
pub const VERSION: u16 = 11;
/// The version that brought field TTLs: Redis 7.4.
pub const VERSION_FIELD_TTL: u16 = 12;
/// The version that brought idempotent ids of streams: Redis 8.6.
pub const VERSION_IDEMPOTENCE: u16 = 13;
/// The oldest version written: Redis 7.0.
pub const VERSION_LOWEST: u16 = 10;
/// The version that brought stream entries given back (XNACK): Redis 8.8. The newest one written.
pub const VERSION_MAX: u16 = 14;
/// Newest version read under the magic `REDIS`. Later ones brought types that are refused by number, no new
/// meaning of an old one.
const REDIS_MAX: u16 = 15;

/// Type bytes.
mod code {
    pub(super) const STRING: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    pub(super) const ZSET: u8 = 3;
    pub(super) const HASH: u8 = 4;
    pub(super) const ZSET_2: u8 = 5;
    pub(super) const MODULE_PRE: u8 = 6;
    pub(super) const MODULE: u8 = 7;
    pub(super) const HASH_ZIPMAP: u8 = 9;
    pub(super) const LIST_ZIPLIST: u8 = 10;
    pub(super) const SET_INTSET: u8 = 11;
    pub(super) const ZSET_ZIPLIST: u8 = 12;
    pub(super) const HASH_ZIPLIST: u8 = 13;
    pub(super) const LIST_QUICKLIST: u8 = 14;
    pub(super) const STREAM: u8 = 15;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const ZSET_LISTPACK: u8 = 17;
    pub(super) const LIST_QUICKLIST_2: u8 = 18;
    pub(super) const STREAM_2: u8 = 19;
    pub(super) const SET_LISTPACK: u8 = 20;
    pub(super) const STREAM_3: u8 = 21;
    pub(super) const HASH_22: u8 = 22;
    pub(super) const HASH_23: u8 = 23;
    pub(super) const HASH_TTL: u8 = 24;
    pub(super) const HASH_TTL_LISTPACK: u8 = 25;
    pub(super) const STREAM_4: u8 = 26;
    pub(super) const STREAM_5: u8 = 27;
}

/// Whose numbering applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Magic {
    /// `REDIS`: Redis, Valkey up to 8, and relatives.
    Redis,
    /// `VALKEY`: Valkey from 9 on.
    Valkey,
}

/// Magic and version: what the bytes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The magic.
    pub magic: Magic,
    /// The version.
    pub version: u16,
}

impl Format {
    /// What Moon writes.
    pub const OWN: Format = Format { magic: Magic::Redis, version: VERSION_MAX };

    /// A format of this name and number, if it exists and is read: `REDIS` 1-15, `VALKEY` 80-81.
    pub fn new(magic: Magic, version: u16) -> Option<Format> {
        let known = match magic {
            Magic::Redis => (1..=REDIS_MAX).contains(&version),
            Magic::Valkey => (80..=81).contains(&version),
        };
        known.then_some(Format { magic, version })
    }
}

/// What a decoder takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest string, and longest packed block, in bytes.
    pub string_max: usize,
    /// Longest value body that may come out of one value, in bytes: compressed input grows.
    pub body_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { string_max: 512 << 20, body_max: 4 << 30 }
    }
}

/// Bytes after the body of a payload.
const TRAILER: usize = 10;

/// Closes a DUMP payload whose type byte and body start at `from`.
pub fn seal(out: &mut Vec<u8>, from: usize, version: u16) {
    out.put_u16(version);
    let crc = crc64(0, out.get(from..).unwrap_or_default());
    out.put_u64(crc);
}

/// A DUMP payload whose version and checksum have been looked at, not yet its content.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// Type byte and body.
    pub content: &'a [u8],
    /// What they mean.
    pub format: Format,
    /// Whether the checksum was right.
    pub intact: bool,
}

impl<'a> Payload<'a> {
    /// Splits a payload. Versions above those that [`seal`] is given by Moon are refused, as every server
    /// refuses what is newer than itself; so is a wrong checksum, unless `unchecked`.
    pub fn open(bytes: &'a [u8], unchecked: bool) -> Result<Payload<'a>, DecodeError> {
        let Some(split) = bytes.len().checked_sub(TRAILER) else {
            let (needed, remaining) = (TRAILER as u64, bytes.len() as u64);
            return Err(DecodeError::new(0, "payload", Cause::Truncated { needed, remaining }));
        };
        let (content, trailer) = bytes.split_at(split);
        let mut r = Reader::new(trailer, split as u64);
        let version = r.u16("payload version")?;
        let format = Format::new(Magic::Redis, version)
            .or(Format::new(Magic::Valkey, version))
            .filter(|f| f.magic == Magic::Valkey || f.version <= VERSION_MAX);
        let Some(format) = format else {
            let cause = Cause::Newer { found: u64::from(version) };
            return Err(DecodeError::new(split as u64, "payload version", cause));
        };
        let stored = r.u64("payload checksum")?;
        let computed = crc64(0, bytes.get(..bytes.len() - 8).unwrap_or_default());
        let intact = stored == computed;
        if !intact && !unchecked {
            let cause = Cause::Checksum { stored, computed };
            return Err(DecodeError::new(split as u64 + 2, "payload checksum", cause));
        }
        Ok(Payload { content, format, intact })
    }

    /// Appends the value body and returns its type. On an error `body` holds rubbish.
    pub fn decode(&self, limits: &Limits, body: &mut Vec<u8>) -> Result<ValueType, DecodeError> {
        let mut r = Reader::new(self.content, 0);
        let code = r.u8("value type")?;
        let kind = decode_value(&mut r, code, self.format, limits, body)?;
        r.finish("value")?;
        Ok(kind)
    }
}

/// Decodes the value that follows its type byte and appends its body (see [`crate::value`]). Leaves the
/// reader behind it. On an error `body` holds rubbish.
pub fn decode_value(
    r: &mut Reader<'_>,
    code: u8,
    format: Format,
    limits: &Limits,
    body: &mut Vec<u8>,
) -> Result<ValueType, DecodeError> {
    decode::value(r, code, format, limits, body)
}
