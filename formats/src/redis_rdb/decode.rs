//! Values of every type to value bodies.

use super::prim::{length, string};
use super::{Format, Limits, Magic, code, module, packed, stream};
use crate::bytes::{Put, Reader};
use crate::error::{Cause, DecodeError};
use crate::number::parse_score;
use crate::value::ValueType;
use std::borrow::Cow;

/// Latest instant of a field TTL: 48 bits (`EB_EXPIRE_TIME_MAX` in Redis' ebuckets.h).
pub(super) const FIELD_TTL_MAX: u64 = (1 << 48) - 1;

/// A body under construction, bounded.
pub(super) struct Body<'o> {
    pub(super) out: &'o mut Vec<u8>,
    start: usize,
    max: usize,
    /// Where the number of items stands, and the number so far.
    count_at: usize,
    count: u64,
}

impl<'o> Body<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>, limits: &Limits) -> Self {
        let start = out.len();
        Body { out, start, max: limits.body_max, count_at: start, count: 0 }
    }

    /// Leaves room for the number of items.
    fn counted(out: &'o mut Vec<u8>, limits: &Limits) -> Self {
        let body = Body::new(out, limits);
        body.out.put_u32(0);
        body
    }

    pub(super) fn room(&self, at: u64, more: usize) -> Result<(), DecodeError> {
        let len = self.out.len() - self.start + more;
        if len <= self.max {
            return Ok(());
        }
        let cause = Cause::Value { expected: "within the limit of values", found: len as u64 };
        Err(DecodeError::new(at, "value", cause))
    }

    /// Appends a string.
    pub(super) fn text(&mut self, at: u64, bytes: &[u8]) -> Result<(), DecodeError> {
        self.room(at, bytes.len() + 4)?;
        self.out.put_bytes32(bytes);
        Ok(())
    }

    /// Appends a member's score.
    fn score(&mut self, at: u64, score: f64) -> Result<(), DecodeError> {
        if score.is_nan() {
            return Err(DecodeError::new(at, "score", Cause::Form { expected: "a number" }));
        }
        self.room(at, 8)?;
        self.out.put_f64(score);
        Ok(())
    }

    /// Puts the number of items where it belongs. An empty collection is no value.
    fn close(&mut self, at: u64) -> Result<(), DecodeError> {
        let found = self.count;
        let Some(count) = u32::try_from(found).ok().filter(|n| *n > 0) else {
            let cause = Cause::Value { expected: "1 to 2^32 - 1", found };
            return Err(DecodeError::new(at, "number of elements", cause));
        };
        let field = self.out.get_mut(self.count_at..).and_then(|b| b.first_chunk_mut());
        *field.expect("room was left for the count") = count.to_le_bytes();
        Ok(())
    }
}

/// Decodes the value that follows its type byte.
pub(super) fn value(
    r: &mut Reader<'_>,
    kind: u8,
    format: Format,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<ValueType, DecodeError> {
    match kind {
        code::STRING => {
            let at = r.offset();
            let text = string(r, limits, "string")?;
            Body::new(out, limits).text(at, &text)?;
            Ok(ValueType::String)
        }
        code::LIST => sequence(r, limits, out).map(|()| ValueType::List),
        code::LIST_ZIPLIST => {
            packed_sequence(r, limits, out, Block::Ziplist)?;
            Ok(ValueType::List)
        }
        code::LIST_QUICKLIST | code::LIST_QUICKLIST_2 => {
            quicklist(r, limits, out, kind == code::LIST_QUICKLIST_2)?;
            Ok(ValueType::List)
        }
        code::SET => sequence(r, limits, out).map(|()| ValueType::Set),
        code::SET_INTSET => intset(r, limits, out).map(|()| ValueType::Set),
        code::SET_LISTPACK => {
            packed_sequence(r, limits, out, Block::Listpack)?;
            Ok(ValueType::Set)
        }
        code::ZSET | code::ZSET_2 => {
            zset(r, limits, out, kind == code::ZSET_2)?;
            Ok(ValueType::ZSet)
        }
        code::ZSET_ZIPLIST => packed_zset(r, limits, out, Block::Ziplist),
        code::ZSET_LISTPACK => packed_zset(r, limits, out, Block::Listpack),
        code::HASH => hash(r, limits, out, FieldTtl::None),
        code::HASH_22 if format.magic == Magic::Valkey => hash(r, limits, out, FieldTtl::After),
        code::HASH_22 if format.version >= 12 => hash(r, limits, out, FieldTtl::Absolute),
        code::HASH_TTL if format.magic == Magic::Redis => hash(r, limits, out, FieldTtl::Relative),
        code::HASH_ZIPMAP => packed_hash(r, limits, out, Block::Zipmap, false),
        code::HASH_ZIPLIST => packed_hash(r, limits, out, Block::Ziplist, false),
        code::HASH_LISTPACK => packed_hash(r, limits, out, Block::Listpack, false),
        code::HASH_23 if format.magic == Magic::Redis && format.version >= 12 => {
            packed_hash(r, limits, out, Block::Listpack, true)
        }
        code::HASH_TTL_LISTPACK if format.magic == Magic::Redis => {
            // The earliest of its TTLs; they are all there again.
            r.u64("earliest field TTL")?;
            packed_hash(r, limits, out, Block::Listpack, true)
        }
        code::STREAM | code::STREAM_2 | code::STREAM_3 => {
            stream::decode(r, kind, limits, out)?;
            Ok(ValueType::Stream2)
        }
        code::STREAM_4 | code::STREAM_5 if format.magic == Magic::Redis => {
            stream::decode(r, kind, limits, out)?;
            Ok(ValueType::Stream3)
        }
        code::MODULE_PRE | code::MODULE => {
            let at = r.offset().saturating_sub(1);
            Err(DecodeError::new(at, "value", Cause::Module { name: module::type_name(r)? }))
        }
        found => {
            let cause = Cause::Newer { found: u64::from(found) };
            Err(DecodeError::new(r.offset().saturating_sub(1), "value type", cause))
        }
    }
}

/// The packed blocks that hold entries in a row.
#[derive(Clone, Copy)]
enum Block {
    Listpack,
    Ziplist,
    Zipmap,
}

impl Block {
    fn entries(
        self,
        bytes: &[u8],
        at: u64,
        mut each: impl FnMut(packed::Entry<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        match self {
            Block::Listpack => packed::listpack(bytes, at, each),
            Block::Ziplist => packed::ziplist(bytes, at, each),
            Block::Zipmap => packed::zipmap(bytes, at, |field, value| {
                each(packed::Entry::Bytes(field))?;
                each(packed::Entry::Bytes(value))
            }),
        }
    }
}

fn block<'a>(r: &mut Reader<'a>, limits: &Limits) -> Result<(u64, Cow<'a, [u8]>), DecodeError> {
    let at = r.offset();
    Ok((at, string(r, limits, "packed block")?))
}

fn sequence(r: &mut Reader<'_>, limits: &Limits, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let start = r.offset();
    let mut body = Body::counted(out, limits);
    for _ in 0..length(r, "number of elements")? {
        let at = r.offset();
        body.text(at, &string(r, limits, "element")?)?;
        body.count += 1;
    }
    body.close(start)
}

fn packed_sequence(
    r: &mut Reader<'_>,
    limits: &Limits,
    out: &mut Vec<u8>,
    form: Block,
) -> Result<(), DecodeError> {
    let (at, bytes) = block(r, limits)?;
    let mut body = Body::counted(out, limits);
    append(&mut body, form, &bytes, at)?;
    body.close(at)
}

fn append(body: &mut Body<'_>, form: Block, bytes: &[u8], at: u64) -> Result<(), DecodeError> {
    form.entries(bytes, at, |entry| {
        body.count += 1;
        entry.with(|b| body.text(at, b))
    })
}

fn quicklist(
    r: &mut Reader<'_>,
    limits: &Limits,
    out: &mut Vec<u8>,
    second: bool,
) -> Result<(), DecodeError> {
    const PLAIN: u64 = 1;
    const PACKED: u64 = 2;
    let start = r.offset();
    let mut body = Body::counted(out, limits);
    for _ in 0..length(r, "number of list nodes")? {
        let at = r.offset();
        let container = if second { length(r, "list node")? } else { PACKED };
        let (at, bytes) = match container {
            PLAIN | PACKED => block(r, limits)?,
            found => {
                let cause = Cause::Value { expected: "1 or 2", found };
                return Err(DecodeError::new(at, "list node", cause));
            }
        };
        if container == PLAIN {
            body.count += 1;
            body.text(at, &bytes)?;
        } else {
            let form = if second { Block::Listpack } else { Block::Ziplist };
            append(&mut body, form, &bytes, at)?;
        }
    }
    body.close(start)
}

fn intset(r: &mut Reader<'_>, limits: &Limits, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let (at, bytes) = block(r, limits)?;
    let mut body = Body::counted(out, limits);
    packed::intset(&bytes, at, |n| {
        body.count += 1;
        packed::Entry::Int(n).with(|b| body.text(at, b))
    })?;
    body.close(at)
}

fn zset(
    r: &mut Reader<'_>,
    limits: &Limits,
    out: &mut Vec<u8>,
    binary: bool,
) -> Result<(), DecodeError> {
    let start = r.offset();
    let mut body = Body::counted(out, limits);
    for _ in 0..length(r, "number of members")? {
        let at = r.offset();
        body.text(at, &string(r, limits, "member")?)?;
        let at = r.offset();
        let score = if binary { r.f64("score")? } else { text_score(r)? };
        body.score(at, score)?;
        body.count += 1;
    }
    body.close(start)
}

/// A score as text with its length in a byte; the highest three lengths are names.
fn text_score(r: &mut Reader<'_>) -> Result<f64, DecodeError> {
    let at = r.offset();
    match r.u8("score")? {
        255 => Ok(f64::NEG_INFINITY),
        254 => Ok(f64::INFINITY),
        253 => Ok(f64::NAN),
        len => {
            let text = r.bytes(usize::from(len), "score")?;
            parse_score(text)
                .ok_or_else(|| DecodeError::new(at, "score", Cause::Form { expected: "a number" }))
        }
    }
}

fn packed_zset(
    r: &mut Reader<'_>,
    limits: &Limits,
    out: &mut Vec<u8>,
    form: Block,
) -> Result<ValueType, DecodeError> {
    let (at, bytes) = block(r, limits)?;
    let mut body = Body::counted(out, limits);
    let mut is_score = false;
    form.entries(&bytes, at, |entry| {
        if is_score {
            let score = match entry {
                packed::Entry::Int(n) => Some(n as f64),
                packed::Entry::Bytes(b) => parse_score(b),
            };
            body.score(at, score.unwrap_or(f64::NAN))?;
        } else {
            body.count += 1;
            entry.with(|b| body.text(at, b))?;
        }
        is_score = !is_score;
        Ok(())
    })?;
    whole(at, is_score)?;
    body.close(at)?;
    Ok(ValueType::ZSet)
}

/// Whether the last tuple of a packed block was begun and not ended.
fn whole(at: u64, open: bool) -> Result<(), DecodeError> {
    if !open {
        return Ok(());
    }
    let cause = Cause::Form { expected: "whole tuples" };
    Err(DecodeError::new(at, "packed block", cause))
}

/// How the TTLs of fields are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldTtl {
    /// There are none.
    None,
    /// Before the field, as an instant, 0 for none.
    Absolute,
    /// Before the field, after the earliest of all plus one, 0 for none.
    Relative,
    /// After the value, as an instant in 64 bits, -1 for none.
    After,
}

/// Field TTLs on their way to the trailer of the body.
#[derive(Default)]
struct Ttls {
    bytes: Vec<u8>,
    count: u32,
}

impl Ttls {
    fn add(&mut self, at: u64, field: &[u8], expire_ms: u64) -> Result<(), DecodeError> {
        if expire_ms > FIELD_TTL_MAX {
            let cause = Cause::Value { expected: "at most 48 bits", found: expire_ms };
            return Err(DecodeError::new(at, "field TTL", cause));
        }
        self.bytes.put_bytes32(field);
        self.bytes.put_u64(expire_ms);
        // There are no more than fields, whose number is checked at the end.
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    fn close(self, body: &mut Body<'_>, at: u64) -> Result<ValueType, DecodeError> {
        body.close(at)?;
        body.room(at, self.bytes.len() + 4)?;
        body.out.put_u32(self.count);
        body.out.put(&self.bytes);
        Ok(ValueType::Hash)
    }
}

fn hash(
    r: &mut Reader<'_>,
    limits: &Limits,
    out: &mut Vec<u8>,
    form: FieldTtl,
) -> Result<ValueType, DecodeError> {
    let start = r.offset();
    let earliest = match form {
        FieldTtl::Relative => r.u64("earliest field TTL")?,
        _ => 0,
    };
    let mut body = Body::counted(out, limits);
    let mut ttls = Ttls::default();
    for _ in 0..length(r, "number of fields")? {
        let at = r.offset();
        let mut expire_ms = match form {
            FieldTtl::None | FieldTtl::After => 0,
            FieldTtl::Absolute => length(r, "field TTL")?,
            FieldTtl::Relative => match length(r, "field TTL")? {
                0 => 0,
                n => earliest.saturating_add(n - 1),
            },
        };
        let field = string(r, limits, "field")?;
        body.text(at, &field)?;
        body.text(at, &string(r, limits, "value")?)?;
        body.count += 1;
        if form == FieldTtl::After {
            expire_ms = u64::try_from(r.i64("field TTL")?).unwrap_or(0);
        }
        if expire_ms != 0 {
            ttls.add(at, &field, expire_ms)?;
        }
    }
    ttls.close(&mut body, start)
}

/// A hash in a packed block: pairs, or triples that end with the instant of the TTL, 0 for none.
fn packed_hash(
    r: &mut Reader<'_>,
    limits: &Limits,
    out: &mut Vec<u8>,
    form: Block,
    triples: bool,
) -> Result<ValueType, DecodeError> {
    let (at, bytes) = block(r, limits)?;
    let mut body = Body::counted(out, limits);
    let mut ttls = Ttls::default();
    let mut column = 0;
    let mut field = Vec::new();
    form.entries(&bytes, at, |entry| {
        match column {
            0 => {
                body.count += 1;
                if triples {
                    field.clear();
                    entry.with(|b| field.extend_from_slice(b));
                }
                entry.with(|b| body.text(at, b))?;
            }
            1 => entry.with(|b| body.text(at, b))?,
            _ => match entry.int().and_then(|n| u64::try_from(n).ok()) {
                Some(0) => {}
                Some(expire_ms) => ttls.add(at, &field, expire_ms)?,
                None => {
                    let cause = Cause::Form { expected: "an instant" };
                    return Err(DecodeError::new(at, "field TTL", cause));
                }
            },
        }
        column = (column + 1) % if triples { 3 } else { 2 };
        Ok(())
    })?;
    whole(at, column != 0)?;
    ttls.close(&mut body, at)
}
