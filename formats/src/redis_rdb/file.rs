//! Whole files: `dump.rdb`, the preamble of an AOF, the payload of a full synchronisation.
//!
//! ```text
//! file   REDIS | version as 4 digits, or VALKEY | version as 3 digits, then item*
//! FA     name | value: auxiliary field          FE  database
//! FB     keys | keys that expire                F4  slot | keys | keys that expire
//! F3     job | n | (first slot | last slot)*n: unfinished slot import of Valkey, skipped
//! F7     module id | part* | 0: what a module keeps beside the keys
//! F5     source of a function library           FF  end, then from version 5 a crc64 u64, 0 for none
//! else   [FD seconds i32 | FC ms i64] | [F8 idle seconds] | [F9 frequency u8] | type u8 | key | value
//! ```
//!
//! [`FileReader`] is a pull parser: the caller hands in what it has of the file, and gets one item or is asked
//! for more bytes. It needs memory for one value, no more. Unknown types and opcodes are refused by number, and
//! so are data of modules, unless the reader was made to skip them.

use super::encode::{Encoder, Unfit};
use super::prim::{length, put_length, put_raw, string};
use super::{Format, Limits, Magic, VERSION_LOWEST, code, decode, module};
use crate::bytes::{Put, Reader};
use crate::crc::crc64;
use crate::error::{Cause, DecodeError};
use crate::value::{Value, ValueType};
use std::borrow::Cow;

/// Opcodes.
pub(super) mod op {
    pub(in crate::redis_rdb) const SLOT_IMPORT: u8 = 243;
    pub(in crate::redis_rdb) const SLOT_INFO: u8 = 244;
    pub(in crate::redis_rdb) const FUNCTION: u8 = 245;
    pub(in crate::redis_rdb) const FUNCTION_PRE: u8 = 246;
    pub(in crate::redis_rdb) const MODULE_AUX: u8 = 247;
    pub(in crate::redis_rdb) const IDLE: u8 = 248;
    pub(in crate::redis_rdb) const FREQ: u8 = 249;
    pub(in crate::redis_rdb) const AUX: u8 = 250;
    pub(in crate::redis_rdb) const RESIZE: u8 = 251;
    pub(in crate::redis_rdb) const EXPIRE_MS: u8 = 252;
    pub(in crate::redis_rdb) const EXPIRE: u8 = 253;
    pub(in crate::redis_rdb) const SELECT: u8 = 254;
    pub(in crate::redis_rdb) const END: u8 = 255;
}

/// A key with its value.
#[derive(Debug, PartialEq)]
pub struct Key<'a> {
    /// Database.
    pub db: u64,
    /// Name.
    pub key: Cow<'a, [u8]>,
    /// When it expires, in milliseconds since 1970.
    pub expire_ms: Option<u64>,
    /// Seconds since it was used last.
    pub idle_secs: Option<u64>,
    /// How often it is used, on a logarithmic scale.
    pub freq: Option<u8>,
    /// Type of the value.
    pub kind: ValueType,
    /// Value body.
    pub body: &'a [u8],
}

impl<'a> Key<'a> {
    /// The value.
    pub fn value(&self) -> Result<Value<'a>, DecodeError> {
        Value::decode(self.body, self.kind.code(), 0)
    }
}

/// Data of a module, without what they are.
#[derive(Debug, PartialEq)]
pub struct Module<'a> {
    /// Name of the type, nine letters.
    pub name: [u8; 9],
    /// Database.
    pub db: u64,
    /// The key that holds them; `None` for what stands beside the keys.
    pub key: Option<Cow<'a, [u8]>>,
}

/// What a file holds.
#[derive(Debug, PartialEq)]
pub enum Item<'a> {
    /// Magic and version.
    Head(Format),
    /// An auxiliary field.
    Aux(Cow<'a, [u8]>, Cow<'a, [u8]>),
    /// How many keys, and keys that expire, follow in this database. A hint.
    Resize(u64, u64),
    /// The source of a function library.
    Function(Cow<'a, [u8]>),
    /// A key.
    Key(Key<'a>),
    /// Data of a module, which were skipped ([`FileReader::skip_modules`]).
    Module(Module<'a>),
    /// The end; whether there was a checksum. It was right.
    End {
        /// False if the file was written without.
        checked: bool,
    },
}

/// What a call of [`FileReader::next`] came to.
#[derive(Debug, PartialEq)]
pub enum Step<'a> {
    /// An item that took so many bytes of the input.
    Item(usize, Item<'a>),
    /// So many bytes, from the same start, should be there at the next call.
    More(usize),
}

/// Reads a file piece by piece.
pub struct FileReader {
    limits: Limits,
    skips_modules: bool,
    format: Option<Format>,
    offset: u64,
    crc: u64,
    db: u64,
    body: Vec<u8>,
    ended: bool,
}

/// Least bytes to ask for. Each request doubles what there was, so that trying again costs no more than
/// reading twice.
const MORE_MIN: usize = 64 << 10;

/// First version with a checksum at its end.
const CHECKSUM_SINCE: u16 = 5;

impl FileReader {
    /// At the start of a file.
    pub fn new(limits: Limits) -> FileReader {
        FileReader {
            limits,
            skips_modules: false,
            format: None,
            offset: 0,
            crc: 0,
            db: 0,
            body: Vec::new(),
            ended: false,
        }
    }

    /// The same reader, which skips data of modules and gives an [`Item::Module`] for each. Without that they are
    /// refused, and those of modules before Redis 4 (type 6) are always: nothing says where they end.
    pub fn skip_modules(mut self) -> FileReader {
        self.skips_modules = true;
        self
    }

    /// Offset of the next item in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the item at the start of `buf`, which holds the file from [`FileReader::offset`] on. If `last`,
    /// no more bytes will come. After [`Item::End`] there is nothing to read.
    pub fn next<'a>(&'a mut self, buf: &'a [u8], last: bool) -> Result<Step<'a>, DecodeError> {
        let mut r = Reader::new(buf, self.offset);
        if self.ended {
            return Err(r.error("item", Cause::Form { expected: "nothing after the end" }));
        }
        self.body.clear();
        let mut state = State {
            db: self.db,
            crc: self.crc,
            skips_modules: self.skips_modules,
            body: &mut self.body,
        };
        let found = match self.format {
            None => head(&mut r),
            Some(format) => item(&mut r, format, &self.limits, &mut state),
        };
        let found = match found {
            Ok(found) => found,
            Err(e) if e.is_truncated() && !last => {
                return Ok(Step::More(buf.len().saturating_mul(2).max(MORE_MIN)));
            }
            Err(e) => return Err(e),
        };
        self.db = state.db;
        let taken = r.position();
        self.crc = crc64(self.crc, buf.get(..taken).unwrap_or_default());
        self.offset = r.offset();
        Ok(Step::Item(
            taken,
            match found {
                Found::Head(format) => {
                    self.format = Some(format);
                    Item::Head(format)
                }
                Found::Aux(name, value) => Item::Aux(name, value),
                Found::Resize(keys, expires) => Item::Resize(keys, expires),
                Found::Function(source) => Item::Function(source),
                Found::End { checked } => {
                    self.ended = true;
                    Item::End { checked }
                }
                Found::Module(name, key) => Item::Module(Module { name, db: self.db, key }),
                Found::Key(k) => Item::Key(Key {
                    db: self.db,
                    key: k.key,
                    expire_ms: k.expire_ms,
                    idle_secs: k.idle_secs,
                    freq: k.freq,
                    kind: k.kind,
                    body: &self.body,
                }),
            },
        ))
    }
}

/// What reading an item may change.
struct State<'s> {
    db: u64,
    crc: u64,
    skips_modules: bool,
    body: &'s mut Vec<u8>,
}

struct FoundKey<'a> {
    key: Cow<'a, [u8]>,
    expire_ms: Option<u64>,
    idle_secs: Option<u64>,
    freq: Option<u8>,
    kind: ValueType,
}

enum Found<'a> {
    Head(Format),
    Aux(Cow<'a, [u8]>, Cow<'a, [u8]>),
    Resize(u64, u64),
    Function(Cow<'a, [u8]>),
    Key(FoundKey<'a>),
    Module([u8; 9], Option<Cow<'a, [u8]>>),
    End { checked: bool },
}

fn head<'a>(r: &mut Reader<'a>) -> Result<Found<'a>, DecodeError> {
    let bytes: [u8; 9] = r.array("magic")?;
    let (magic, digits) = match &bytes {
        [b'R', b'E', b'D', b'I', b'S', digits @ ..] => (Magic::Redis, &digits[..]),
        [b'V', b'A', b'L', b'K', b'E', b'Y', digits @ ..] => (Magic::Valkey, &digits[..]),
        _ => {
            let [found @ .., _] = bytes;
            let expected = b"REDIS";
            return Err(DecodeError::new(0, "magic", Cause::Magic { expected, found }));
        }
    };
    let at = (bytes.len() - digits.len()) as u64;
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecodeError::new(at, "version", Cause::Form { expected: "digits" }));
    }
    let version = digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
    match Format::new(magic, version) {
        Some(format) => Ok(Found::Head(format)),
        None => {
            let cause = Cause::Newer { found: u64::from(version) };
            Err(DecodeError::new(at, "version", cause))
        }
    }
}

fn item<'a>(
    r: &mut Reader<'a>,
    format: Format,
    limits: &Limits,
    state: &mut State<'_>,
) -> Result<Found<'a>, DecodeError> {
    let start = r.position();
    let (mut expire_ms, mut idle_secs, mut freq) = (None, None, None);
    let mut of_key = false;
    loop {
        let at = r.offset();
        let code = r.u8("type or opcode")?;
        let alone = !of_key;
        match code {
            op::EXPIRE => {
                let secs = i64::from(i32::from_le_bytes(r.array("expiry")?));
                expire_ms = Some(u64::try_from(secs).unwrap_or(0).saturating_mul(1000));
            }
            op::EXPIRE_MS => {
                expire_ms = Some(u64::try_from(r.i64("expiry")?).unwrap_or(0));
            }
            op::IDLE => idle_secs = Some(length(r, "idle time")?),
            op::FREQ => freq = Some(r.u8("frequency")?),
            // What stands before a key stands directly before it.
            op::SLOT_IMPORT..=op::END if !alone => {
                let cause = Cause::Value { expected: "the type of a key", found: u64::from(code) };
                return Err(DecodeError::new(at, "type", cause));
            }
            op::SELECT => state.db = length(r, "database")?,
            op::AUX => {
                let name = string(r, limits, "name of a field")?;
                return Ok(Found::Aux(name, string(r, limits, "field")?));
            }
            op::RESIZE => {
                let keys = length(r, "number of keys")?;
                return Ok(Found::Resize(keys, length(r, "number of keys that expire")?));
            }
            op::FUNCTION => return Ok(Found::Function(string(r, limits, "function library")?)),
            op::SLOT_INFO => {
                for _ in 0..3 {
                    length(r, "slot")?;
                }
            }
            op::SLOT_IMPORT if format.magic == Magic::Valkey => {
                string(r, limits, "slot import")?;
                for _ in 0..length(r, "slot ranges")? {
                    length(r, "slot")?;
                    length(r, "slot")?;
                }
            }
            op::END => return end(r, start, format, state.crc),
            op::MODULE_AUX => {
                let name = module::type_name(r)?;
                if !state.skips_modules {
                    return Err(DecodeError::new(at, "auxiliary field", Cause::Module { name }));
                }
                module::skip(r, limits)?;
                return Ok(Found::Module(name, None));
            }
            op::SLOT_IMPORT | op::FUNCTION_PRE => {
                let cause = Cause::Value { expected: "an opcode that is read", found: code.into() };
                return Err(DecodeError::new(at, "opcode", cause));
            }
            kind => {
                let key = string(r, limits, "key")?;
                if kind == code::MODULE && state.skips_modules {
                    let name = module::type_name(r)?;
                    module::skip(r, limits)?;
                    return Ok(Found::Module(name, Some(key)));
                }
                let kind = decode::value(r, kind, format, limits, state.body)?;
                return Ok(Found::Key(FoundKey { key, expire_ms, idle_secs, freq, kind }));
            }
        }
        of_key = expire_ms.is_some() || idle_secs.is_some() || freq.is_some();
    }
}

fn end<'a>(
    r: &mut Reader<'a>,
    start: usize,
    format: Format,
    crc: u64,
) -> Result<Found<'a>, DecodeError> {
    if format.version < CHECKSUM_SINCE {
        return Ok(Found::End { checked: false });
    }
    let at = r.offset();
    let taken = r.position();
    let stored = r.u64("checksum")?;
    if stored == 0 {
        return Ok(Found::End { checked: false });
    }
    let computed = crc64(crc, r.taken(start, taken));
    if stored != computed {
        return Err(DecodeError::new(at, "checksum", Cause::Checksum { stored, computed }));
    }
    Ok(Found::End { checked: true })
}

/// Writes a file piece by piece.
pub struct FileWriter {
    encoder: Encoder,
    /// Writes the values that the encoder's version cannot hold, if that is wanted.
    newest: Option<Encoder>,
    out: Vec<u8>,
    /// Checksum of what was taken.
    crc: u64,
}

impl FileWriter {
    /// A file of the encoder's version.
    pub fn new(encoder: Encoder) -> FileWriter {
        let out = format!("REDIS{:04}", encoder.version()).into_bytes();
        FileWriter { encoder, newest: None, out, crc: 0 }
    }

    /// A file for a reader whose version is not known: of the lowest version, with values of newer types
    /// only where nothing else holds them. Readers look at the version first and at types as they meet them.
    pub fn for_any_reader() -> FileWriter {
        let newest = Some(Encoder::default());
        FileWriter { newest, ..FileWriter::new(Encoder::new(VERSION_LOWEST)) }
    }

    /// Writes an auxiliary field.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) {
        self.out.put_u8(op::AUX);
        self.encoder.put_string(&mut self.out, name);
        self.encoder.put_string(&mut self.out, value);
    }

    /// The keys that follow are in this database.
    pub fn select(&mut self, db: u64) {
        self.out.put_u8(op::SELECT);
        put_length(&mut self.out, db);
    }

    /// So many keys, and keys that expire, follow in this database.
    pub fn resize(&mut self, keys: u64, expires: u64) {
        self.out.put_u8(op::RESIZE);
        put_length(&mut self.out, keys);
        put_length(&mut self.out, expires);
    }

    /// Writes the source of a function library.
    pub fn function(&mut self, source: &[u8]) {
        self.out.put_u8(op::FUNCTION);
        put_raw(&mut self.out, source);
    }

    /// Writes a key. If its value does not fit, nothing is written.
    pub fn key(
        &mut self,
        key: &[u8],
        expire_ms: Option<u64>,
        idle_secs: Option<u64>,
        freq: Option<u8>,
        value: &Value<'_>,
    ) -> Result<(), Unfit> {
        let (encoder, kind) = match (self.encoder.type_byte(value), &mut self.newest) {
            (Err(_), Some(newest)) => {
                let kind = newest.type_byte(value)?;
                (newest, kind)
            }
            (kind, _) => (&mut self.encoder, kind?),
        };
        if let Some(at) = expire_ms {
            self.out.put_u8(op::EXPIRE_MS);
            self.out.put_u64(at);
        }
        if let Some(secs) = idle_secs {
            self.out.put_u8(op::IDLE);
            put_length(&mut self.out, secs);
        }
        if let Some(freq) = freq {
            self.out.put(&[op::FREQ, freq]);
        }
        self.out.put_u8(kind);
        encoder.put_string(&mut self.out, key);
        encoder.put_body(&mut self.out, kind, value);
        Ok(())
    }

    /// Bytes not yet taken.
    pub fn pending(&self) -> usize {
        self.out.len()
    }

    /// Hands out what has been written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        self.crc = crc64(self.crc, &self.out);
        std::mem::take(&mut self.out)
    }

    /// Ends the file and hands out the rest of it.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.put_u8(op::END);
        let crc = crc64(self.crc, &self.out);
        self.out.put_u64(crc);
        self.out
    }
}
