//! Value bodies: how a value is written in snapshots, cold pages and before-images
//! (storage-formats §6).
//!
//! ```text
//! 0 string   value bytes32
//! 1 hash     n u32 | (field bytes32 | value bytes32)*n | m u32 |
//!            (field bytes32 | expire_ms u64)*m
//! 2 list     n u32 | (element bytes32)*n
//! 3 set      n u32 | (member bytes32)*n
//! 4 zset     n u32 | (member bytes32 | score f64)*n
//! ```
//!
//! 5, 6 and 8 are streams, see `stream.rs`; a string in a page is bare bytes. The notation is that of
//! [`crate::wal::body`].
//!
//! In-memory encodings never reach these bodies. Readers check a whole body once and then
//! iterate without errors and without copies; writers append from iterators, so a type needs
//! no second form of itself to be saved.

#![warn(clippy::indexing_slicing)]

mod stream;

use stream::Form;
pub use stream::{
    Consumer, Group, Idempotence, PelEntry, Producer, Stream, StreamEntries, StreamEntry,
    StreamExt, StreamId, put_stream_consumer, put_stream_entry, put_stream_ext, put_stream_group,
    put_stream_groups, put_stream_head, put_stream_id, put_stream_idempotence, put_stream_pending,
};

use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use std::fmt;

/// Smallest encoded size of items, for count checks.
mod item_min {
    pub(super) const ELEMENT: usize = 4;
    pub(super) const PAIR: usize = 8;
    pub(super) const SCORED: usize = 12;
    pub(super) const TTL: usize = 12;
}

/// Type code of a value body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ValueType {
    /// Byte string (also HyperLogLog and bitmap).
    String = 0,
    /// Field-value map with optional field TTLs.
    Hash = 1,
    /// List.
    List = 2,
    /// Set.
    Set = 3,
    /// Sorted set.
    ZSet = 4,
    /// Stream as the reference writes it. Read only.
    Stream = 5,
    /// Stream with all its fields.
    Stream2 = 6,
    /// The same, and idempotent ids. 7 is kept for vector sets.
    Stream3 = 8,
}

impl ValueType {
    /// The type with this code.
    pub fn from_code(code: u8) -> Option<ValueType> {
        Some(match code {
            0 => ValueType::String,
            1 => ValueType::Hash,
            2 => ValueType::List,
            3 => ValueType::Set,
            4 => ValueType::ZSet,
            5 => ValueType::Stream,
            6 => ValueType::Stream2,
            8 => ValueType::Stream3,
            _ => return None,
        })
    }

    /// The code on disk.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Whether hash bodies carry the TTL trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlTrailer {
    /// Everything native, RRDSHARD from version 3, `MOON` from version 2.
    Present,
    /// RRDSHARD 1-2, `MOON` 1.
    Absent,
    /// The oldest cold values: the end of the body means no TTLs.
    IfAny,
}

/// A decoded body, borrowed from the input.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Byte string.
    String(&'a [u8]),
    /// Fields, values and field TTLs.
    Hash(Hash<'a>),
    /// Elements from head to tail.
    List(Elements<'a>),
    /// Members in any order.
    Set(Elements<'a>),
    /// Members with scores, in any order.
    ZSet(Scored<'a>),
    /// Stream of either type.
    Stream(Stream<'a>),
}

impl<'a> Value<'a> {
    /// Reads the body of a value of this type code. Leaves the reader at its end.
    pub fn read(r: &mut Reader<'a>, code: u8, ttls: TtlTrailer) -> Result<Value<'a>, DecodeError> {
        let Some(kind) = ValueType::from_code(code) else {
            return Err(r.error("value type", Cause::Newer { found: u64::from(code) }));
        };
        Ok(match kind {
            ValueType::String => Value::String(r.bytes32("string")?),
            ValueType::Hash => Value::Hash(Hash::read(r, ttls)?),
            ValueType::List => Value::List(Elements::read(r, "list")?),
            ValueType::Set => Value::Set(Elements::read(r, "set")?),
            ValueType::ZSet => Value::ZSet(Scored::read(r)?),
            ValueType::Stream => Value::Stream(Stream::read(r, Form::Plain)?),
            ValueType::Stream2 => Value::Stream(Stream::read(r, Form::Ext)?),
            ValueType::Stream3 => Value::Stream(Stream::read(r, Form::Idempotent)?),
        })
    }

    /// Reads a whole native body; bytes after it are an error.
    pub fn decode(bytes: &'a [u8], code: u8, offset: u64) -> Result<Value<'a>, DecodeError> {
        let mut r = Reader::new(bytes, offset);
        let value = Value::read(&mut r, code, TtlTrailer::Present)?;
        r.finish("value body")?;
        Ok(value)
    }

    /// The type it is written as.
    pub fn value_type(&self) -> ValueType {
        match self {
            Value::String(_) => ValueType::String,
            Value::Hash(_) => ValueType::Hash,
            Value::List(_) => ValueType::List,
            Value::Set(_) => ValueType::Set,
            Value::ZSet(_) => ValueType::ZSet,
            Value::Stream(s) if s.idempotence.is_some() => ValueType::Stream3,
            Value::Stream(s) if s.ext.is_some() => ValueType::Stream2,
            Value::Stream(_) => ValueType::Stream,
        }
    }

    /// Appends the body.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Value::String(s) => put_string(out, s),
            Value::Hash(h) => put_hash(out, h.pairs.clone(), h.ttls.clone()),
            Value::List(e) | Value::Set(e) => put_elements(out, e.clone()),
            Value::ZSet(z) => put_scored(out, z.clone()),
            Value::Stream(s) => s.put(out),
        }
    }
}

/// Appends a string body.
pub fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_bytes32(bytes);
}

/// Appends a list or set body.
pub fn put_elements<'a>(out: &mut Vec<u8>, elements: impl ExactSizeIterator<Item = &'a [u8]>) {
    out.put_count32(elements.len());
    for e in elements {
        out.put_bytes32(e);
    }
}

/// Appends a zset body. Panics on NaN: a NaN score must not have come into being.
pub fn put_scored<'a>(out: &mut Vec<u8>, members: impl ExactSizeIterator<Item = (&'a [u8], f64)>) {
    out.put_count32(members.len());
    for (member, score) in members {
        assert!(!score.is_nan(), "a score is never NaN");
        out.put_bytes32(member);
        out.put_f64(score);
    }
}

/// Appends a hash body with its TTL trailer (expiry in Unix milliseconds).
pub fn put_hash<'a>(
    out: &mut Vec<u8>,
    pairs: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>,
    ttls: impl ExactSizeIterator<Item = (&'a [u8], u64)>,
) {
    out.put_count32(pairs.len());
    for (field, value) in pairs {
        out.put_bytes32(field);
        out.put_bytes32(value);
    }
    out.put_count32(ttls.len());
    for (field, expire_ms) in ttls {
        out.put_bytes32(field);
        out.put_u64(expire_ms);
    }
}

/// Iterators over checked bytes: reading again cannot fail.
macro_rules! checked_iter {
    ($(#[$doc:meta])* $name:ident, $item:ty, $what:literal, $min:expr, |$r:ident| $read:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name<'a> {
            r: Reader<'a>,
            left: usize,
        }

        impl<'a> $name<'a> {
            /// Reads the count and checks every item.
            fn read_as(r: &mut Reader<'a>, what: &'static str) -> Result<Self, DecodeError> {
                let left = r.count32($min, what)?;
                let all = Self { r: r.clone(), left };
                for _ in 0..left {
                    Self::item(r)?;
                }
                Ok(all)
            }

            fn item($r: &mut Reader<'a>) -> Result<$item, DecodeError> {
                $read
            }

            /// No items.
            pub fn empty() -> Self {
                Self { r: Reader::new(&[], 0), left: 0 }
            }
        }

        impl<'a> Iterator for $name<'a> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                self.left = self.left.checked_sub(1)?;
                Some(Self::item(&mut self.r).expect("items were checked when the body was read"))
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                (self.left, Some(self.left))
            }
        }

        impl ExactSizeIterator for $name<'_> {}

        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.clone().eq(other.clone())
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.clone()).finish()
            }
        }
    };
}

checked_iter! {
    /// Byte strings of a list or set.
    Elements, &'a [u8], "elements", item_min::ELEMENT, |r| r.bytes32("element")
}

checked_iter! {
    /// Pairs of byte strings: fields and values.
    Pairs, (&'a [u8], &'a [u8]), "pairs", item_min::PAIR,
    |r| Ok((r.bytes32("field")?, r.bytes32("value")?))
}

checked_iter! {
    /// Fields with their expiry in Unix milliseconds.
    Ttls, (&'a [u8], u64), "field TTLs", item_min::TTL,
    |r| Ok((r.bytes32("field")?, r.u64("expire_ms")?))
}

checked_iter! {
    /// Members with scores, none NaN.
    Scored, (&'a [u8], f64), "members", item_min::SCORED,
    |r| {
        let member = r.bytes32("member")?;
        let at = r.offset();
        let score = r.f64("score")?;
        if score.is_nan() {
            return Err(DecodeError::new(at, "score", Cause::Form { expected: "a number" }));
        }
        Ok((member, score))
    }
}

impl<'a> Elements<'a> {
    fn read(r: &mut Reader<'a>, what: &'static str) -> Result<Self, DecodeError> {
        Self::read_as(r, what)
    }
}

impl<'a> Pairs<'a> {
    pub(crate) fn read(r: &mut Reader<'a>, what: &'static str) -> Result<Self, DecodeError> {
        Self::read_as(r, what)
    }
}

impl<'a> Scored<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Self::read_as(r, "zset")
    }
}

/// A decoded hash.
#[derive(Debug, Clone, PartialEq)]
pub struct Hash<'a> {
    /// Fields and values.
    pub pairs: Pairs<'a>,
    /// Fields that expire.
    pub ttls: Ttls<'a>,
}

impl<'a> Hash<'a> {
    fn read(r: &mut Reader<'a>, trailer: TtlTrailer) -> Result<Self, DecodeError> {
        let pairs = Pairs::read_as(r, "hash")?;
        let present = match trailer {
            TtlTrailer::Present => true,
            TtlTrailer::Absent => false,
            TtlTrailer::IfAny => !r.is_empty(),
        };
        let ttls = if present { Ttls::read_as(r, "field TTLs")? } else { Ttls::empty() };
        Ok(Hash { pairs, ttls })
    }
}

impl fmt::Display for Value<'_> {
    /// One line for tools: the type, then every item.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::wal::body::Quoted;
        match self {
            Value::String(s) => write!(f, "string {}", Quoted(s)),
            Value::Hash(h) => {
                write!(f, "hash {}", h.pairs.len())?;
                for (field, value) in h.pairs.clone() {
                    write!(f, " {}={}", Quoted(field), Quoted(value))?;
                }
                for (field, ms) in h.ttls.clone() {
                    write!(f, " {} expires {ms}", Quoted(field))?;
                }
                Ok(())
            }
            Value::List(e) | Value::Set(e) => {
                let name = if matches!(self, Value::List(_)) { "list" } else { "set" };
                write!(f, "{name} {}", e.len())?;
                for element in e.clone() {
                    write!(f, " {}", Quoted(element))?;
                }
                Ok(())
            }
            Value::ZSet(z) => {
                write!(f, "zset {}", z.len())?;
                for (member, score) in z.clone() {
                    write!(f, " {}={score:?}", Quoted(member))?;
                }
                Ok(())
            }
            Value::Stream(s) => s.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
