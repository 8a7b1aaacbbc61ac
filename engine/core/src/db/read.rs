//! Looking at keys without changing any.

use super::{Access, Db, USER_RAW};
use crate::clock::Now;
use crate::error::{CmdError, CmdResult};
use crate::exec::stats::Stats;
use crate::journal::Unit;
use crate::types::{Collection, Hash, Item, Limits, Object};
use moon_ds::{Entry, ValueRef};
use moon_formats::number::Digits;

/// A string value as it is kept: an integer or bytes.
#[derive(Clone, Copy, Debug)]
pub enum StrValue<'a> {
    /// A canonical 64-bit integer.
    Int(i64),
    /// Anything else.
    Bytes(&'a [u8]),
}

impl<'a> StrValue<'a> {
    /// Reads a table value; `WRONGTYPE` for collections.
    #[inline]
    pub fn of(value: ValueRef<'a, Object>) -> CmdResult<Self> {
        match value {
            ValueRef::Bytes(b) => Ok(StrValue::Bytes(b)),
            ValueRef::Int(n) => Ok(StrValue::Int(n)),
            ValueRef::Object(_) => Err(CmdError::WRONG_TYPE),
        }
    }

    /// The bytes, formatted into `buf` for an integer.
    #[inline]
    pub fn bytes<'b>(self, buf: &'b mut Digits) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            StrValue::Bytes(b) => b,
            StrValue::Int(n) => {
                *buf = Digits::of_i64(n);
                buf.as_bytes()
            }
        }
    }

    /// The integer this string spells, if it does so canonically.
    pub fn as_int(self) -> Option<i64> {
        match self {
            StrValue::Int(n) => Some(n),
            StrValue::Bytes(b) => moon_formats::number::parse_i64(b),
        }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.bytes(&mut Digits::new()).len()
    }

    /// Whether it is the empty string.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What a read has found to be over, to be removed when its unit has ended.
pub(crate) struct Overdue {
    pub(crate) db: u16,
    pub(crate) key: Box<[u8]>,
    pub(crate) what: OverduePart,
}

/// See [`Overdue`].
pub(crate) enum OverduePart {
    /// The key.
    Key,
    /// These fields of it.
    Fields(Vec<Box<[u8]>>),
    /// Whichever of its fields are due.
    AllFields,
}

/// A view of the databases for commands that read. Keys that it finds expired are noted and
/// removed, with their logged DEL, when the command has ended.
pub struct ReadSpace<'a> {
    pub(crate) dbs: &'a [Db],
    pub(crate) cur: u16,
    pub(crate) expired: &'a mut Vec<Overdue>,
    /// Takes looks in vain, nothing else.
    pub(crate) unit: &'a mut Unit,
    pub(crate) stats: &'a mut Stats,
    /// The instant of the command.
    pub now: Now,
    /// Encoding thresholds.
    pub limits: &'a Limits,
    pub(crate) touch: bool,
    /// What stamps the entries used.
    pub(crate) access: &'a Access,
}

impl<'a> ReadSpace<'a> {
    /// Number of the current database.
    pub fn db_index(&self) -> u16 {
        self.cur
    }

    /// The current database.
    pub fn db(&self) -> &'a Db {
        &self.dbs[usize::from(self.cur)]
    }

    /// All databases.
    pub fn dbs(&self) -> &'a [Db] {
        self.dbs
    }

    /// The live entry of a key, counted as hit or miss and marked as used.
    #[inline]
    pub fn get(&mut self, key: &[u8]) -> Option<&'a Entry<Object>> {
        let found = self.peek(key);
        match found {
            Some(e) => {
                self.stats.keyspace_hits += 1;
                if self.touch {
                    self.access.touch(e);
                }
            }
            None => self.missed(key),
        }
        found
    }

    #[inline]
    fn missed(&mut self, key: &[u8]) {
        self.stats.keyspace_misses += 1;
        self.unit.miss(self.cur, key);
    }

    /// The live entry of a key, counted as hit or miss, but not marked as used (EXISTS, TYPE,
    /// TTL, OBJECT).
    pub fn look(&mut self, key: &[u8]) -> Option<&'a Entry<Object>> {
        let found = self.peek(key);
        match found {
            Some(_) => self.stats.keyspace_hits += 1,
            None => self.missed(key),
        }
        found
    }

    /// The same, but a look in vain is told to nobody (OBJECT).
    pub fn look_quietly(&mut self, key: &[u8]) -> Option<&'a Entry<Object>> {
        let found = self.peek(key);
        match found {
            Some(_) => self.stats.keyspace_hits += 1,
            None => self.stats.keyspace_misses += 1,
        }
        found
    }

    /// The live entry of a key, leaving no trace of the look.
    #[inline]
    pub fn peek(&mut self, key: &[u8]) -> Option<&'a Entry<Object>> {
        let e = self.db().table.get(key)?;
        self.is_live(e).then_some(e)
    }

    /// Whether a key, found by walking the table, is live. Notes it for removal if not.
    #[inline]
    pub fn is_live(&mut self, e: &Entry<Object>) -> bool {
        let live = self.db().is_live(e, self.now.unix_ms);
        if !live {
            let key = e.key().into();
            self.expired.push(Overdue { db: self.cur, key, what: OverduePart::Key });
        }
        live
    }

    /// A field that the command names, with its value, of the hash at `key`. One that is due is not
    /// there, and noted for removal.
    #[inline]
    pub fn field(&mut self, key: &[u8], hash: &'a Hash, field: &[u8]) -> Option<Item<'a>> {
        let (value, expire_ms) = hash.find(field)?;
        if expire_ms.is_some_and(|at| at <= self.now.unix_ms) {
            self.note_field(key, field);
            return None;
        }
        Some(value)
    }

    #[cold]
    fn note_field(&mut self, key: &[u8], field: &[u8]) {
        if let Some(last) = self.expired.last_mut()
            && last.db == self.cur
            && *last.key == *key
            && let OverduePart::Fields(fields) = &mut last.what
        {
            fields.push(field.into());
            return;
        }
        let what = OverduePart::Fields(vec![field.into()]);
        self.expired.push(Overdue { db: self.cur, key: key.into(), what });
    }

    /// The command must not meet any due field of the hash at `key`: they are noted for removal.
    pub fn note_due_fields(&mut self, key: &[u8], hash: &Hash) {
        if hash.next_expire().is_some_and(|at| at <= self.now.unix_ms) {
            let what = OverduePart::AllFields;
            self.expired.push(Overdue { db: self.cur, key: key.into(), what });
        }
    }

    /// A string.
    #[inline]
    pub fn string(&mut self, key: &[u8]) -> CmdResult<Option<StrValue<'a>>> {
        self.get(key).map(|e| StrValue::of(e.value())).transpose()
    }

    /// A collection.
    #[inline]
    pub fn collection<T: Collection>(&mut self, key: &[u8]) -> CmdResult<Option<&'a T>> {
        match self.get(key).map(|e| e.value()) {
            None => Ok(None),
            Some(ValueRef::Object(o)) => T::of(o).map(Some).ok_or(CmdError::WRONG_TYPE),
            Some(_) => Err(CmdError::WRONG_TYPE),
        }
    }
}

/// Bytes that a key takes with its value, its time to live and its place in the table.
pub fn entry_bytes(e: &Entry<Object>) -> usize {
    e.mem_bytes() + e.object().map_or(0, Object::mem_bytes) + moon_ds::SLOT_BYTES
}

/// Type name of a value, as TYPE prints it.
pub fn type_name(value: &ValueRef<'_, Object>) -> &'static str {
    match value {
        ValueRef::Int(_) | ValueRef::Bytes(_) => "string",
        ValueRef::Object(o) => o.type_name(),
    }
}

/// Encoding name of an entry, as OBJECT ENCODING prints it.
pub fn encoding(e: &Entry<Object>) -> &'static str {
    match e.value() {
        ValueRef::Int(_) => "int",
        ValueRef::Bytes(b) if b.len() <= 44 && e.user() & USER_RAW == 0 => "embstr",
        ValueRef::Bytes(_) => "raw",
        ValueRef::Object(o) => o.encoding(),
    }
}
