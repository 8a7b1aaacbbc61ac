//! Whole values on their way from one key to another: RENAME, MOVE, COPY, RESTORE.

use super::{Keyspace, type_name};
use crate::event::Event;
use crate::journal::{Fate, Unit};
use crate::types::Object;
use moon_ds::{NewValue, Removed, ValueRef};

/// A value on its way from one key to another, with what belongs to it.
pub enum Stored {
    /// Taken out of a database.
    Taken {
        /// The entry.
        entry: Removed<Object>,
        /// Where it was, and what its going is told as.
        from: (u16, Box<[u8]>, Event),
    },
    /// Copied.
    Copied {
        /// The copy.
        value: CopiedValue,
        /// Time to live, milliseconds since 1970.
        expire_ms: Option<u64>,
        /// User bits of the entry.
        user: u8,
    },
}

/// A copied value.
pub enum CopiedValue {
    /// An integer.
    Int(i64),
    /// A string.
    Bytes(Box<[u8]>),
    /// A collection.
    Object(Object),
}

impl Stored {
    /// Its time to live, milliseconds since 1970.
    pub fn expire_ms(&self) -> Option<u64> {
        match self {
            Stored::Taken { entry, .. } => entry.expire_ms(),
            Stored::Copied { expire_ms, .. } => *expire_ms,
        }
    }

    fn object(&self) -> Option<&Object> {
        match self {
            Stored::Taken { entry, .. } => entry.object(),
            Stored::Copied { value: CopiedValue::Object(o), .. } => Some(o),
            Stored::Copied { .. } => None,
        }
    }
}

impl Keyspace<'_> {
    /// Takes a live key out, to be put elsewhere (RENAME, MOVE). Its going is recorded when it
    /// has its new place.
    pub fn take(&mut self, key: &[u8], event: Event) -> Option<Stored> {
        self.settle(key);
        self.before_change(key);
        let entry = self.take_raw(key, false)?;
        Some(Stored::Taken { entry, from: (self.cur, key.into(), event) })
    }

    /// Puts a taken or copied value, with its time to live, under a key, replacing what is there.
    pub fn place(&mut self, key: &[u8], stored: Stored, event: Event) {
        self.settle(key);
        self.before_change(key);
        let old = self.take_raw(key, true);
        if let (Some(snapshot), Stored::Taken { entry, .. }) = (&mut *self.snapshot, &stored) {
            snapshot.moves(entry, self.cur, key);
        }
        let access = self.access;
        let cur = self.cur;
        let db = self.db();
        if let Some(object) = stored.object() {
            db.account(key, object);
        }
        let mut from = None;
        match stored {
            Stored::Taken { entry, from: place } => {
                db.table.insert_removed(key, entry);
                from = Some(place);
            }
            Stored::Copied { value, expire_ms, user } => {
                let value = match value {
                    CopiedValue::Int(n) => NewValue::Int(n),
                    CopiedValue::Bytes(ref b) => NewValue::Bytes(b),
                    CopiedValue::Object(o) => NewValue::Object(o),
                };
                let mut e = db.table.insert(key, value);
                e.set_user(user);
                access.begin(&e);
                if expire_ms.is_some() {
                    e.set_expire(expire_ms);
                }
            }
        }
        // What was there is gone, so this is a new key whether or not there was one.
        self.unit.note(cur, key, Event::NEW);
        self.unit.mark(cur, key, Fate::written(old.is_none()));
        if let Some((from_db, from_key, from_event)) = from {
            self.unit.note(from_db, &from_key, from_event);
            self.unit.mark(from_db, &from_key, Fate::REMOVED);
        }
        self.unit.touch(cur, key, event);
        let Some(old) = old else { return };
        if let Some(new) = self.dbs[usize::from(cur)].table.get(key) {
            let (old, new) = (type_name(&old.value()), type_name(&new.value()));
            replaced(self.unit, cur, key, old, new);
        }
        self.free(old, self.trash.lazy.server_del);
    }

    /// A deep copy of a live key's value (COPY).
    pub fn copy(&mut self, key: &[u8]) -> Option<Stored> {
        self.settle(key);
        let e = self.db().table.get(key)?;
        let value = match e.value() {
            ValueRef::Int(n) => CopiedValue::Int(n),
            ValueRef::Bytes(b) => CopiedValue::Bytes(b.into()),
            ValueRef::Object(o) => CopiedValue::Object(o.clone()),
        };
        Some(Stored::Copied { value, expire_ms: e.expire_ms(), user: e.user() })
    }
}

/// Records that a key's value was replaced unseen.
pub(super) fn replaced(unit: &mut Unit, db: u16, key: &[u8], old_type: &str, new_type: &str) {
    unit.note(db, key, Event::OVERWRITTEN);
    if old_type != new_type {
        unit.note(db, key, Event::TYPE_CHANGED);
    }
}
