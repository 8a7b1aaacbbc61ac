//! A fingerprint of the logical state: what a client could read, nothing about how it is kept.
//!
//! Equal for live state, base plus log, replica and restored copy of the same data. 128 bits,
//! a sum over keys, so the order of visiting does not matter; it covers database, key, type,
//! content and absolute time to live.

use crate::db::Db;
use crate::exec::Shard;
use crate::types::Object;
use moon_ds::{Entry, ValueRef};
use moon_formats::number::Digits;
use xxhash_rust::xxh3::Xxh3;

/// Fingerprint of one entry in a database.
pub fn entry_digest(db: u16, e: &Entry<Object>) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&db.to_le_bytes());
    hash.update(&(e.key().len() as u64).to_le_bytes());
    hash.update(e.key());
    hash.update(&e.expire_ms().map_or(0, |t| t.wrapping_add(1)).to_le_bytes());
    add_value(&mut hash, e);
    hash.digest128()
}

/// Fingerprint of the value of an entry alone.
pub fn value_digest(e: &Entry<Object>) -> u128 {
    let mut hash = Xxh3::new();
    add_value(&mut hash, e);
    hash.digest128()
}

fn add_value(hash: &mut Xxh3, e: &Entry<Object>) {
    match e.value() {
        ValueRef::Int(n) => {
            hash.update(&[0]);
            hash.update(Digits::of_i64(n).as_bytes());
        }
        ValueRef::Bytes(b) => {
            hash.update(&[0]);
            hash.update(b);
        }
        ValueRef::Object(o) => {
            hash.update(&[1]);
            hash.update(&o.digest().to_le_bytes());
        }
    }
}

/// Fingerprint of a database; 0 if it is empty.
pub fn db_digest(number: u16, db: &Db) -> u128 {
    db.table().iter().fold(0u128, |sum, e| sum.wrapping_add(entry_digest(number, e)))
}

impl Shard {
    /// Fingerprint of all databases.
    pub fn digest(&self) -> u128 {
        (0u16..).zip(self.dbs()).fold(0u128, |sum, (n, db)| sum.wrapping_add(db_digest(n, db)))
    }
}
