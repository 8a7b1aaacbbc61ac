//! Putting the chunks of large values together again.

use super::decode::Chunk;
use super::item::{Entry, Stored};
use crate::error::DecodeError;
use crate::value::{Value, ValueType};
use std::collections::BTreeMap;

/// A large value with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Database.
    pub db: u32,
    /// Name.
    pub key: Vec<u8>,
    /// Type of the value.
    pub kind: ValueType,
    /// When it expires, in Unix milliseconds.
    pub expire_ms: Option<u64>,
    /// Access word.
    pub access: Option<u32>,
    /// Its body.
    pub body: Vec<u8>,
    /// Where its entry begins.
    pub offset: u64,
}

impl Joined {
    /// The value; a body that does not decode is damage. Offsets in errors are those in the body.
    pub fn value(&self) -> Result<Value<'_>, DecodeError> {
        Value::decode(&self.body, self.kind.code(), 0)
    }
}

/// Keeps the large values that are not complete yet. Takes what [`super::Decoder`] gives, which has checked
/// the order of the chunks; memory grows by the bytes that come and by nothing that is announced.
#[derive(Debug, Default)]
pub struct Joiner {
    open: BTreeMap<u64, Joined>,
}

impl Joiner {
    /// Takes note of an entry; of no effect unless its value is large.
    pub fn entry(&mut self, entry: &Entry<'_>) {
        let &Entry { db, key, kind, expire_ms, access, ref value, offset } = entry;
        if let Stored::Large(id) = value {
            let (key, body) = (key.to_vec(), Vec::new());
            let joined = Joined { db, key, kind, expire_ms, access, body, offset };
            self.open.insert(*id, joined);
        }
    }

    /// Adds a chunk. The last one gives the value.
    pub fn chunk(&mut self, chunk: &Chunk<'_>) -> Option<Joined> {
        let joined = self.open.get_mut(&chunk.value_id)?;
        joined.body.extend_from_slice(chunk.bytes);
        if !chunk.last {
            return None;
        }
        self.open.remove(&chunk.value_id)
    }
}
