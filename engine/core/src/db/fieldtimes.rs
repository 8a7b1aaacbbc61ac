//! Which hashes have fields that expire, in the order in which they will.
//!
//! One pair of (next expiry of a field, place of the key in hash order) a hash, and only for
//! hashes that have such a field. Reads and writes ask one question, whether anything is due in
//! the whole database, which is a comparison; active expiry takes the pairs from the front.
//!
//! Invariant: the set holds exactly `(next_expire, hash48)` of every hash in the table whose
//! `next_expire` is some; `earliest` is the first of them.

use super::{Db, Keyspace};
use crate::event::{Class, Event};
use crate::types::{Hash, Object};
use moon_ds::{Entry, ValueRef};
use std::collections::BTreeSet;

/// A field reached its time to live.
const HEXPIRED: Event = Event::new(Class::HASH, "hexpired");
/// Fields one logged HDEL names at most.
const HDEL_FIELDS: usize = 256;
/// Bytes a pair takes in the tree, as filled on average.
const PAIR_BYTES: usize = 26;

/// See the module page.
pub(crate) struct FieldTimes {
    pairs: BTreeSet<(u64, u64)>,
    earliest: u64,
}

impl Default for FieldTimes {
    fn default() -> Self {
        FieldTimes { pairs: BTreeSet::new(), earliest: u64::MAX }
    }
}

impl FieldTimes {
    /// Hashes that have fields with a time to live.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    pub(crate) fn mem_bytes(&self) -> usize {
        self.pairs.len() * PAIR_BYTES
    }

    /// Whether a field of any hash is due.
    #[inline]
    pub(crate) fn any_due(&self, now_ms: u64) -> bool {
        self.earliest <= now_ms
    }

    /// A hash at `place` whose next expiry was `old` and is `new`.
    #[inline]
    pub(crate) fn replace(&mut self, place: u64, old: Option<u64>, new: Option<u64>) {
        if old == new {
            return;
        }
        if let Some(at_ms) = old {
            self.pairs.remove(&(at_ms, place));
        }
        if let Some(at_ms) = new {
            self.pairs.insert((at_ms, place));
        }
        self.earliest = self.pairs.first().map_or(u64::MAX, |pair| pair.0);
    }

    pub(crate) fn clear(&mut self) {
        *self = FieldTimes::default();
    }
}

/// The hash of an entry, if a field of it is due.
#[inline]
pub(super) fn due_hash(e: &Entry<Object>, now_ms: u64) -> Option<&Hash> {
    match e.value() {
        ValueRef::Object(Object::Hash(hash)) if hash.next_expire()? <= now_ms => Some(hash),
        _ => None,
    }
}

impl Db {
    /// Whether an entry of this database is a key at an instant: its time has not run out, and if
    /// it is a hash, not that of all its fields.
    #[inline]
    pub fn is_live(&self, e: &Entry<Object>, now_ms: u64) -> bool {
        if e.expire_ms().is_some_and(|t| t <= now_ms) {
            return false;
        }
        !self.field_times.any_due(now_ms)
            || due_hash(e, now_ms).is_none_or(|hash| hash.len_at(now_ms) > 0)
    }

    /// Hashes that have fields with a time to live (`subexpiry` of INFO).
    pub fn field_expires(&self) -> usize {
        self.field_times.len()
    }

    /// Notes that the next expiry of a key's fields has changed.
    #[inline]
    pub(super) fn retime(&mut self, key: &[u8], old: Option<u64>, new: Option<u64>) {
        if old != new {
            let place = self.table.hash48(key);
            self.field_times.replace(place, old, new);
        }
    }

    /// Counts an object out that leaves the table, with its expiries.
    pub(super) fn forget(&mut self, key: &[u8], object: &Object) {
        self.object_bytes -= object.mem_bytes();
        self.retime(key, object.next_expire(), None);
    }

    /// Counts an object in that enters the table.
    pub(super) fn account(&mut self, key: &[u8], object: &Object) {
        self.object_bytes += object.mem_bytes();
        self.retime(key, None, object.next_expire());
    }
}

impl Keyspace<'_> {
    /// Removes up to `budget` due fields of a key, each logged in an HDEL, and the key if none is
    /// left. Returns how many.
    pub(crate) fn reap_fields(&mut self, key: &[u8], budget: usize) -> usize {
        let now_ms = self.now.unix_ms;
        let db = &mut self.dbs[usize::from(self.cur)];
        let Some(mut e) = db.table.get_mut(key) else { return 0 };
        if due_hash(&e, now_ms).is_none() {
            return 0;
        }
        let Some(Object::Hash(hash)) = e.object_mut() else { return 0 };
        let (bytes, next) = (hash.mem_bytes(), hash.next_expire());
        let mut fields: Vec<Box<[u8]>> = Vec::new();
        hash.reap(now_ms, budget, |field| fields.push(field.into()));
        let (left, new) = (hash.next_expire(), hash.mem_bytes());
        let emptied = hash.is_empty();
        db.object_bytes = db.object_bytes + new - bytes;
        db.retime(key, next, left);
        for some in fields.chunks(HDEL_FIELDS) {
            let mut words: Vec<&[u8]> = vec![b"HDEL", key];
            words.extend(some.iter().map(|field| &**field));
            self.unit.side_effect(self.cur, &words);
        }
        self.unit.note(self.cur, key, HEXPIRED);
        if emptied {
            self.drop_key(key);
            self.unit.note(self.cur, key, Event::DEL);
        }
        self.stats.expired_subkeys += fields.len() as u64;
        fields.len()
    }

    /// Active expiry of fields: removes up to `budget` due ones of the current database.
    /// Returns how many.
    pub(crate) fn reap_due_fields(&mut self, budget: usize) -> usize {
        let now_ms = self.now.unix_ms;
        let mut reaped = 0;
        while reaped < budget {
            let db = &mut self.dbs[usize::from(self.cur)];
            let Some(&(at_ms, place)) = db.field_times.pairs.first() else { break };
            if at_ms > now_ms {
                break;
            }
            let mut found: Option<Box<[u8]>> = None;
            db.table.for_range(place..place + 1, |e| {
                if due_hash(e, now_ms).is_some_and(|h| h.next_expire() == Some(at_ms)) {
                    found = Some(e.key().into());
                }
            });
            let Some(key) = found else {
                debug_assert!(false, "a pair without its hash");
                db.field_times.replace(place, Some(at_ms), None);
                continue;
            };
            reaped += self.reap_fields(&key, budget - reaped);
        }
        reaped
    }
}
