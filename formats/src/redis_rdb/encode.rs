//! Values to their RDB form.
//!
//! Small collections become packed blocks, by the thresholds that Redis ships with: the receiver converts
//! whatever its own thresholds disagree with. Strings become integers where they are the canonical form of
//! one, or LZF where that saves anything.

use super::lzf::Compressor;
use super::packed::{ListpackWriter, put_intset};
use super::prim::{put_integer, put_length, put_raw};
use super::{
    VERSION, VERSION_FIELD_TTL, VERSION_IDEMPOTENCE, VERSION_LOWEST, VERSION_MAX, code, seal,
    stream,
};
use crate::bytes::Put;
use crate::number::{parse_i64, write_score};
use crate::value::{Elements, Group, Hash, Scored, Value};
use std::collections::HashMap;
use std::fmt;
use std::mem;

/// Most members of an intset.
const INTSET_MAX: usize = 512;
/// Most fields of a packed hash, and most members of a packed set or sorted set.
const HASH_MAX: usize = 512;
const MEMBERS_MAX: usize = 128;
/// Longest string in one.
const TEXT_MAX: usize = 64;
/// About the size of a list's node.
const LIST_NODE_BYTES: usize = 8192;
/// Shorter strings are not compressed.
const LZF_MIN: usize = 21;

/// Why a value has no form in the version that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// A hash has fields that expire: version 12.
    FieldTtl,
    /// A stream is a durable queue: no version of other servers.
    DurableQueue,
    /// A stream knows idempotent ids (XADD IDMP): version 13.
    Idempotence,
    /// A stream has pending entries that no consumer holds (XNACK): version 14.
    Unowned,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::FieldTtl => "hash fields that expire need RDB version 12",
            Unfit::DurableQueue => "durable queues have no form in RDB",
            Unfit::Idempotence => "idempotent ids of streams need RDB version 13",
            Unfit::Unowned => "stream entries that were given back (XNACK) need RDB version 14",
        })
    }
}

impl std::error::Error for Unfit {}

/// Whether some pending entry belongs to no consumer.
fn has_unowned(group: &Group<'_>) -> bool {
    group.consumers.iter().map(|c| c.pending.len()).sum::<usize>() < group.pel.len()
}

/// Writes values; keeps its buffers from value to value.
pub struct Encoder {
    version: u16,
    lzf: Compressor,
    block: Vec<u8>,
    squeezed: Vec<u8>,
}

impl Default for Encoder {
    /// For the newest version written.
    fn default() -> Encoder {
        Encoder::new(VERSION_MAX)
    }
}

impl Encoder {
    /// For readers of this version: types that are newer are not written. Panics outside of 10..=14.
    pub fn new(version: u16) -> Encoder {
        assert!((VERSION_LOWEST..=VERSION_MAX).contains(&version), "versions 10 to 14 are written");
        Encoder { version, lzf: Compressor::default(), block: Vec::new(), squeezed: Vec::new() }
    }

    /// The version it writes for.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Appends a DUMP payload of the lowest version that holds the value, but not below [`VERSION`] unless
    /// the encoder's own is.
    pub fn dump(&mut self, value: &Value<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let kind = self.type_byte(value)?;
        let from = out.len();
        out.put_u8(kind);
        self.put_body(out, kind, value);
        let version = match kind {
            code::STREAM_5.. => VERSION_MAX,
            code::STREAM_4 => VERSION_IDEMPOTENCE,
            code::HASH_TTL.. => VERSION_FIELD_TTL,
            _ => VERSION,
        };
        seal(out, from, version.min(self.version));
        Ok(())
    }

    /// The type that [`Encoder::put_body`] is to write this value as.
    pub fn type_byte(&self, value: &Value<'_>) -> Result<u8, Unfit> {
        let short = |b: &[u8]| b.len() <= TEXT_MAX;
        Ok(match value {
            Value::String(_) => code::STRING,
            Value::List(_) => code::LIST_QUICKLIST_2,
            Value::Set(e) => {
                let int = |b: &[u8]| b.len() <= 20 && parse_i64(b).is_some();
                if e.len() <= INTSET_MAX && e.clone().all(int) {
                    code::SET_INTSET
                } else if e.len() <= MEMBERS_MAX && self.version >= 11 && e.clone().all(short) {
                    code::SET_LISTPACK
                } else {
                    code::SET
                }
            }
            Value::ZSet(z) => match z.len() <= MEMBERS_MAX && z.clone().all(|(m, _)| short(m)) {
                true => code::ZSET_LISTPACK,
                false => code::ZSET_2,
            },
            Value::Hash(h) => {
                let small =
                    h.pairs.len() <= HASH_MAX && h.pairs.clone().all(|(f, v)| short(f) && short(v));
                let expires = h.ttls.len() > 0;
                if expires && self.version < VERSION_FIELD_TTL {
                    return Err(Unfit::FieldTtl);
                }
                match (small, expires) {
                    (true, false) => code::HASH_LISTPACK,
                    (false, false) => code::HASH,
                    (true, true) => code::HASH_TTL_LISTPACK,
                    (false, true) => code::HASH_TTL,
                }
            }
            Value::Stream(s) if s.ext.is_some_and(|ext| ext.durable_queue) => {
                return Err(Unfit::DurableQueue);
            }
            Value::Stream(s) if s.groups.iter().any(has_unowned) => {
                if self.version < VERSION_MAX {
                    return Err(Unfit::Unowned);
                }
                code::STREAM_5
            }
            Value::Stream(s) if s.idempotence.is_some() => {
                if self.version < VERSION_IDEMPOTENCE {
                    return Err(Unfit::Idempotence);
                }
                code::STREAM_4
            }
            Value::Stream(_) if self.version >= 11 => code::STREAM_3,
            Value::Stream(_) => code::STREAM_2,
        })
    }

    /// Appends the body of a value whose type byte is `kind`, as [`Encoder::type_byte`] gave it.
    pub fn put_body(&mut self, out: &mut Vec<u8>, kind: u8, value: &Value<'_>) {
        match value {
            Value::String(s) => self.put_string(out, s),
            Value::List(e) => self.put_list(out, e),
            Value::Set(e) if kind == code::SET_INTSET => {
                let mut ints: Vec<i64> = e.clone().filter_map(parse_i64).collect();
                ints.sort_unstable();
                let mut block = mem::take(&mut self.block);
                block.clear();
                put_intset(&mut block, &ints);
                self.put_text(out, &block);
                self.block = block;
            }
            Value::Set(e) if kind == code::SET_LISTPACK => {
                self.put_block(out, |w| e.clone().for_each(|m| w.push(m)));
            }
            Value::Set(e) => {
                put_length(out, e.len() as u64);
                e.clone().for_each(|m| self.put_string(out, m));
            }
            Value::ZSet(z) => self.put_zset(out, kind, z),
            Value::Hash(h) if h.ttls.len() > 0 => self.put_ttl_hash(out, kind, h),
            Value::Hash(h) if kind == code::HASH_LISTPACK => self.put_block(out, |w| {
                for (field, value) in h.pairs.clone() {
                    w.push(field);
                    w.push(value);
                }
            }),
            Value::Hash(h) => {
                put_length(out, h.pairs.len() as u64);
                for (field, value) in h.pairs.clone() {
                    self.put_string(out, field);
                    self.put_string(out, value);
                }
            }
            Value::Stream(s) => stream::encode(self, s, kind, out),
        }
    }

    /// Appends a string: as an integer, compressed, or as it is.
    pub(super) fn put_string(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        if !put_integer(out, bytes) {
            self.put_text(out, bytes);
        }
    }

    /// Appends a string that is not an integer.
    fn put_text(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        if bytes.len() >= LZF_MIN {
            self.squeezed.clear();
            if self.lzf.compress(bytes, bytes.len() - 4, &mut self.squeezed) {
                out.put_u8(0xc3);
                put_length(out, self.squeezed.len() as u64);
                put_length(out, bytes.len() as u64);
                out.put(&self.squeezed);
                return;
            }
        }
        put_raw(out, bytes);
    }

    /// Appends a listpack as a string.
    pub(super) fn put_block(
        &mut self,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut ListpackWriter<'_>),
    ) {
        let mut block = mem::take(&mut self.block);
        block.clear();
        let mut w = ListpackWriter::new(&mut block);
        fill(&mut w);
        w.finish();
        self.put_text(out, &block);
        self.block = block;
    }

    fn put_list(&mut self, out: &mut Vec<u8>, elements: &Elements<'_>) {
        const PACKED: u64 = 2;
        // Elements of a node: those that fit, one if it is longer than a node.
        let fitting = |from: &Elements<'_>| {
            let mut size = 0;
            let fits = from.clone().take_while(|e| {
                let first = size == 0;
                size += e.len() + 11;
                first || size <= LIST_NODE_BYTES
            });
            fits.count()
        };
        let mut nodes = 0;
        let mut rest = elements.clone();
        while rest.len() > 0 {
            let n = fitting(&rest);
            rest.by_ref().take(n).for_each(drop);
            nodes += 1;
        }
        put_length(out, nodes);
        let mut rest = elements.clone();
        while rest.len() > 0 {
            let n = fitting(&rest);
            put_length(out, PACKED);
            self.put_block(out, |w| rest.by_ref().take(n).for_each(|e| w.push(e)));
        }
    }

    fn put_zset(&mut self, out: &mut Vec<u8>, kind: u8, members: &Scored<'_>) {
        if kind == code::ZSET_2 {
            put_length(out, members.len() as u64);
            for (member, score) in members.clone() {
                self.put_string(out, member);
                out.put_f64(score);
            }
            return;
        }
        // In a listpack the order is part of the value. -0 and 0 are one place in it.
        let mut sorted: Vec<(&[u8], f64)> = members.clone().collect();
        sorted.sort_by(|a, b| (a.1 + 0.0).total_cmp(&(b.1 + 0.0)).then_with(|| a.0.cmp(b.0)));
        let mut text = Vec::new();
        self.put_block(out, |w| {
            for (member, score) in sorted {
                w.push(member);
                text.clear();
                // The score form has no sign of zero; readers take it.
                match score == 0.0 && score.is_sign_negative() {
                    true => text.put(b"-0"),
                    false => write_score(&mut text, score),
                }
                w.push(&text);
            }
        });
    }

    fn put_ttl_hash(&mut self, out: &mut Vec<u8>, kind: u8, hash: &Hash<'_>) {
        let ttls: HashMap<&[u8], u64> = hash.ttls.clone().collect();
        let expire_ms = |field: &[u8]| ttls.get(field).copied();
        let earliest = ttls.values().copied().min().unwrap_or(0);
        out.put_u64(earliest);
        if kind == code::HASH_TTL {
            put_length(out, hash.pairs.len() as u64);
            for (field, value) in hash.pairs.clone() {
                put_length(out, expire_ms(field).map_or(0, |at| at - earliest + 1));
                self.put_string(out, field);
                self.put_string(out, value);
            }
            return;
        }
        // In a listpack fields stand in the order of their TTLs, those without at the end.
        let mut sorted: Vec<(u64, &[u8], &[u8])> =
            hash.pairs.clone().map(|(f, v)| (expire_ms(f).unwrap_or(u64::MAX), f, v)).collect();
        sorted.sort_by_key(|t| t.0);
        self.put_block(out, |w| {
            for (at, field, value) in sorted {
                w.push(field);
                w.push(value);
                w.push_int(if at == u64::MAX { 0 } else { at as i64 });
            }
        });
    }
}
