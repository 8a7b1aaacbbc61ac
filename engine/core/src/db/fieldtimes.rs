//! Which hashes have fields that expire, in the order in which they will.
//!
//! One pair of (next expiry of a field, place of the key in hash order) a hash, and only for
//! hashes that have such a field. Writes ask one question, whether anything is due in the whole database,
//! which is a comparison; active expiry takes the pairs from the front.
//!
//! A field whose time has come is not there for whoever names it or lists fields, and goes when it
//! is named or when active expiry finds it. Until then it counts, as in Redis: HLEN includes it,
//! HDEL removes it, and a hash of such fields alone is still a key.
//!
//! Invariant: the set holds exactly `(next_expire, hash48)` of every hash in the table whose
//! `next_expire` is some; `earliest` is the first of them.

use super::{Db, Keyspace};
use crate::event::{Class, Event};
use crate::journal::Fate;
use crate::types::{Hash, Object};
use moon_ds::{Entry, ValueRef};
use std::collections::BTreeSet;

/// A field reached its time to live.
const HEXPIRED: Event = Event::new(Class::HASH, "hexpired");
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
fn due_hash(e: &Entry<Object>, now_ms: u64) -> Option<&Hash> {
    match e.value() {
        ValueRef::Object(Object::Hash(hash)) if hash.next_expire()? <= now_ms => Some(hash),
        _ => None,
    }
}

impl Db {
    /// Whether an entry is a key at an instant: its time has not run out.
    #[inline]
    pub fn is_live(&self, e: &Entry<Object>, now_ms: u64) -> bool {
        e.expire_ms().is_none_or(|t| t > now_ms)
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
    /// Removes those of `fields` that are due, before the running command looks at them.
    #[inline]
    pub fn settle_fields<'f>(&mut self, key: &[u8], fields: impl IntoIterator<Item = &'f [u8]>) {
        let now_ms = self.now.unix_ms;
        if self.dbs[usize::from(self.cur)].field_times.any_due(now_ms) {
            self.reap_with(key, |hash, gone| {
                let due = fields.into_iter().filter(|field| hash.remove_if_due(field, now_ms));
                gone.extend(due.map(Box::from));
            });
        }
    }

    /// Counts fields that a command removed because the time it gave them has come.
    pub fn count_expired_fields(&mut self, n: usize) {
        self.stats.expired_subkeys += n as u64;
    }

    /// Removes up to `budget` due fields of a key. Returns how many.
    pub(crate) fn reap_fields(&mut self, key: &[u8], budget: usize) -> usize {
        let now_ms = self.now.unix_ms;
        self.reap_with(key, |hash, gone| {
            hash.reap(now_ms, budget, |field| gone.push(field.into()));
        })
    }

    /// Lets `f` remove due fields of a key and name them: each is logged as an HDEL of its own, all
    /// are told as one event, and the key goes with the last. Returns how many.
    fn reap_with(&mut self, key: &[u8], f: impl FnOnce(&mut Hash, &mut Vec<Box<[u8]>>)) -> usize {
        let now_ms = self.now.unix_ms;
        let table = &self.dbs[usize::from(self.cur)].table;
        if table.get(key).is_none_or(|e| due_hash(e, now_ms).is_none()) {
            return 0;
        }
        self.before_change(key);
        let db = &mut self.dbs[usize::from(self.cur)];
        let Some(mut e) = db.table.get_mut(key) else { return 0 };
        let Some(Object::Hash(hash)) = e.object_mut() else { return 0 };
        let (bytes, next) = (hash.mem_bytes(), hash.next_expire());
        let mut fields = Vec::new();
        f(hash, &mut fields);
        let (left, new) = (hash.next_expire(), hash.mem_bytes());
        let emptied = hash.is_empty();
        db.object_bytes = db.object_bytes + new - bytes;
        db.retime(key, next, left);
        if fields.is_empty() {
            return 0;
        }
        for (left, field) in (0..fields.len()).rev().zip(&fields) {
            let fate = if emptied && left == 0 { Fate::EXPIRED } else { Fate::PART_EXPIRED };
            self.unit.side_effect(self.cur, &[b"HDEL", key, field], fate);
        }
        self.unit.note(self.cur, key, HEXPIRED);
        if emptied {
            self.drop_key(key, false);
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
