//! The dataset digest of Redis (DEBUG DIGEST): a replica, a reloaded server and their origin must come out
//! the same, whichever of them is Redis.
//!
//! SHA-1 throughout. Order matters inside a list and between a field and its value; it does not between
//! keys, members and fields, whose digests are combined by exclusive or.

use crate::db::{Db, Live};
use crate::types::{ItemBuf, Object};
use moon_ds::ValueRef;
use moon_formats::number::{Digits, write_shortest};
use moon_formats::sha1::sha1;

/// A digest that grows.
#[derive(Clone, Copy, Default)]
struct Digest([u8; 20]);

impl Digest {
    /// Adds something whose place among the others does not matter.
    fn add(&mut self, data: &[u8]) {
        for (byte, other) in self.0.iter_mut().zip(sha1(data)) {
            *byte ^= other;
        }
    }

    /// Adds something that comes after all that was added before.
    fn append(&mut self, data: &[u8]) {
        self.add(data);
        self.0 = sha1(&self.0);
    }
}

/// Digest of all databases; zeros if all are empty.
pub fn of_all(dbs: &[Db]) -> [u8; 20] {
    let mut all = Digest::default();
    for (number, db) in dbs.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        all.append(&(number as u32).to_be_bytes());
        for entry in db.table().iter() {
            let mut one = Digest::default();
            one.append(entry.key());
            add_value(&mut one, entry);
            all.add(&one.0);
        }
    }
    all.0
}

/// Digest of one value, its time to live included.
pub fn of_value(entry: &Live) -> [u8; 20] {
    let mut digest = Digest::default();
    add_value(&mut digest, entry);
    digest.0
}

fn add_value(digest: &mut Digest, entry: &Live) {
    let mut start = |kind: u32| digest.append(&kind.to_be_bytes());
    let mut buf = ItemBuf::new();
    match entry.value() {
        ValueRef::Int(n) => {
            start(0);
            digest.append(Digits::of_i64(n).as_bytes());
        }
        ValueRef::Bytes(bytes) => {
            start(0);
            digest.append(bytes);
        }
        ValueRef::Object(Object::List(list)) => {
            start(1);
            list.iter().for_each(|item| digest.append(item.as_bytes(&mut buf)));
        }
        ValueRef::Object(Object::Set(set)) => {
            start(2);
            set.iter().for_each(|item| digest.add(item.as_bytes(&mut buf)));
        }
        ValueRef::Object(Object::ZSet(zset)) => {
            start(3);
            let mut score_text = Vec::new();
            for (member, score) in zset.iter() {
                let mut element = Digest::default();
                element.append(member.as_bytes(&mut buf));
                score_text.clear();
                write_shortest(&mut score_text, score);
                element.append(&score_text);
                digest.add(&element.0);
            }
        }
        ValueRef::Object(Object::Stream(stream)) => {
            start(6);
            for entry in stream.log().iter() {
                digest.append(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                for (name, value) in entry.fields {
                    digest.append(name.as_bytes(&mut buf));
                    digest.append(value.as_bytes(&mut buf));
                }
            }
        }
        ValueRef::Object(Object::Hash(hash)) => {
            start(4);
            let mut field_buf = ItemBuf::new();
            // At instant zero, fields whose time has come are still there, as they are for Redis.
            for (field, value) in hash.iter(0) {
                let field = field.as_bytes(&mut field_buf);
                let mut element = Digest::default();
                element.append(field);
                element.append(value.as_bytes(&mut buf));
                if hash.get_with_expire(field, 0).is_some_and(|(_, ttl)| ttl.is_some()) {
                    element.add(b"!!hexpire!!");
                }
                digest.add(&element.0);
            }
        }
    }
    if entry.expire_ms().is_some() {
        digest.add(b"!!expire!!");
    }
}
