//! The large form of a hash: a table of fields.

use moon_ds::sizeclass::round_up;
use moon_ds::{Entry, HashSeed, Item, NewValue, Table, ValueRef};

/// Fields and values in a table, with a lower bound of their expiries.
pub(super) struct Large {
    pub(super) table: Table<()>,
    /// No field expires before this; `u64::MAX` if none expires.
    pub(super) expire_min: u64,
}

/// Short numbers take fewer bytes as text than the eight of an integer.
fn new_value(value: &[u8]) -> NewValue<'_, ()> {
    match Item::from(value) {
        Item::Int(n) if value.len() >= 8 => NewValue::Int(n),
        _ => NewValue::Bytes(value),
    }
}

#[inline]
pub(super) fn value_of(entry: &Entry<()>) -> Item<'_> {
    match entry.value() {
        ValueRef::Int(n) => Item::Int(n),
        ValueRef::Bytes(b) => Item::Bytes(b),
        ValueRef::Object(()) => Item::Bytes(b""),
    }
}

#[inline]
pub(super) fn is_due(expire_ms: Option<u64>, now_ms: u64) -> bool {
    expire_ms.is_some_and(|at| at <= now_ms)
}

impl Large {
    pub(super) fn new(seed: HashSeed) -> Large {
        Large { table: Table::new(seed), expire_min: u64::MAX }
    }

    pub(super) fn mem_bytes(&self) -> usize {
        round_up(size_of::<Large>()) + self.table.mem_bytes()
    }

    pub(super) fn set(&mut self, field: &[u8], value: &[u8], keep_expire: bool) -> bool {
        let (mut entry, found) = self.table.get_or_insert_with(field, || new_value(value));
        if found {
            entry.set(new_value(value));
            if !keep_expire {
                entry.set_expire(None);
            }
        }
        !found
    }

    pub(super) fn set_expire(&mut self, field: &[u8], expire_ms: Option<u64>) -> bool {
        let Some(mut entry) = self.table.get_mut(field) else { return false };
        entry.set_expire(expire_ms);
        self.expire_min = self.expire_min.min(expire_ms.unwrap_or(u64::MAX));
        true
    }

    /// Removes up to `budget` due fields; returns how many are known to be left: 0 or 1.
    pub(super) fn reap(&mut self, now_ms: u64, budget: usize, mut f: impl FnMut(&[u8])) -> bool {
        if self.expire_min > now_ms {
            return false;
        }
        let (mut due, mut cursor) = (Vec::new(), 0);
        loop {
            self.table.reap_expired(&mut cursor, now_ms, 1024, |field| due.push(field.to_vec()));
            if cursor == 0 || due.len() >= budget {
                break;
            }
        }
        let more = cursor != 0 || due.len() > budget;
        for field in due.iter().take(budget) {
            f(field);
            drop(self.table.remove(field));
        }
        if !more {
            let left = self.table.iter().filter_map(Entry::expire_ms).min();
            self.expire_min = left.unwrap_or(u64::MAX);
        }
        more
    }

    /// Number of fields not due.
    pub(super) fn len_at(&self, now_ms: u64) -> usize {
        if self.expire_min > now_ms {
            return self.table.len();
        }
        self.table.iter().filter(|e| !is_due(e.expire_ms(), now_ms)).count()
    }
}

impl Clone for Large {
    fn clone(&self) -> Self {
        let table = Table::new(self.table.seed());
        let mut copy = Large { table, expire_min: self.expire_min };
        for from in self.table.iter() {
            let value = match from.value() {
                ValueRef::Int(n) => NewValue::Int(n),
                ValueRef::Bytes(b) => NewValue::Bytes(b),
                ValueRef::Object(()) => NewValue::Object(()),
            };
            let mut entry = copy.table.insert(from.key(), value);
            entry.set_expire(from.expire_ms());
        }
        copy
    }
}
