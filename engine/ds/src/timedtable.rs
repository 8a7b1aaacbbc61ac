//! A table whose entries may expire, with the order in which they will.
//!
//! The table keeps the times, in the entries; beside it, once there is a first time, stands a counting
//! B+ tree of (time, entry). So the next time, the number of entries due at an instant and the due entries
//! themselves are found without a look at the others, and a table without times pays one word.
//!
//! Invariant: the tree holds exactly the entries that have an expiry, under that time. An entry's address changes
//! with its value and when it gains or loses its expiry, so it is taken out of the tree before any change.
#![allow(unsafe_code)]

use crate::btree::{CountedTree, Member};
use crate::entry::{EntryPtr, NewValue, ValueRef};
use crate::hash::HashSeed;
use crate::meter::Meter;
use crate::sizeclass::round_up;
use crate::table::{Lookup, Table};
use crate::watched::{Pass, WatchedTable};

/// A table entry as the tree sees it.
#[derive(Clone, Copy)]
struct EntryRef(EntryPtr<()>);

impl Member for EntryRef {
    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: EntryRefs exist only in the tree of a TimedTable; an entry leaves the tree before it
        // changes or leaves the table.
        unsafe { self.0.key() }
    }
}

/// Times are ordered as doubles: exact up to 2^53 milliseconds, which is the year 287396.
#[inline]
fn score(at_ms: u64) -> f64 {
    at_ms as f64
}

/// A table of entries that may expire; see the module page.
pub struct TimedTable {
    table: WatchedTable,
    order: Option<Box<CountedTree<EntryRef>>>,
}

// SAFETY: the tree refers to entries of the table beside it and to nothing else, so both move together.
unsafe impl Send for TimedTable {}

impl TimedTable {
    /// An empty table that hashes with `seed`.
    pub fn new(seed: HashSeed) -> TimedTable {
        TimedTable { table: WatchedTable::new(seed), order: None }
    }

    /// The entries, to read.
    #[inline]
    pub fn table(&self) -> &Table<()> {
        &self.table
    }

    /// See [`WatchedTable::begin_walk`].
    pub fn begin_walk(&mut self, tag: u64, passes: Vec<Pass>, meter: &Meter) {
        self.table.begin_walk(tag, passes, meter);
    }

    /// See [`WatchedTable::walk_tag`].
    pub fn walk_tag(&self) -> Option<u64> {
        self.table.walk_tag()
    }

    /// See [`WatchedTable::step_walk`].
    pub fn step_walk(&mut self, out: &mut Vec<u8>, budget: usize) -> bool {
        self.table.step_walk(out, budget)
    }

    /// See [`WatchedTable::end_walk`].
    pub fn end_walk(&mut self) {
        self.table.end_walk();
    }

    /// Heap bytes, as the allocator counts them.
    pub fn mem_bytes(&self) -> usize {
        let order = self
            .order
            .as_ref()
            .map_or(0, |order| round_up(size_of::<CountedTree<EntryRef>>()) + order.mem_bytes());
        self.table.mem_bytes() + order
    }

    /// Sets the value of a key and takes its expiry off, unless it is to be kept. Returns whether
    /// the key is new.
    pub fn set(&mut self, key: &[u8], value: NewValue<'_, ()>, keep_expire: bool) -> bool {
        match self.table.lookup(key) {
            Lookup::Vacant(place) => {
                place.insert(value);
                true
            }
            Lookup::Found(mut entry) => {
                let Some(at_ms) = entry.expire_ms() else {
                    entry.set(value);
                    return false;
                };
                let order = self.order.as_mut().expect("an entry with an expiry is in the order");
                order.remove(score(at_ms), key);
                entry.set(value);
                if keep_expire {
                    order.insert(score(at_ms), EntryRef(entry.as_ptr()));
                } else {
                    entry.set_expire(None);
                }
                false
            }
        }
    }

    /// Sets or takes off the expiry of a key, milliseconds since 1970; false if there is no such key.
    pub fn set_expire(&mut self, key: &[u8], expire_ms: Option<u64>) -> bool {
        let Some(mut entry) = self.table.get_mut(key) else { return false };
        let old = entry.expire_ms();
        if old == expire_ms {
            return true;
        }
        if let (Some(at_ms), Some(order)) = (old, &mut self.order) {
            order.remove(score(at_ms), key);
        }
        entry.set_expire(expire_ms);
        if let Some(at_ms) = expire_ms {
            let order = self.order.get_or_insert_with(Box::default);
            order.insert(score(at_ms), EntryRef(entry.as_ptr()));
        }
        true
    }

    /// Removes a key; returns whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let Some(entry) = self.table.get_mut(key) else { return false };
        if let (Some(at_ms), Some(order)) = (entry.expire_ms(), &mut self.order) {
            order.remove(score(at_ms), key);
        }
        drop(entry.remove());
        true
    }

    /// When the next entry expires.
    pub fn next_expire(&self) -> Option<u64> {
        self.order.as_ref()?.get(0).map(|(at, _)| at as u64)
    }

    /// Number of entries that expire at or before `now_ms`.
    pub fn due(&self, now_ms: u64) -> usize {
        let count = |order: &CountedTree<_>| order.partition_point(|at, _| at <= score(now_ms));
        self.order.as_deref().map_or(0, count)
    }

    /// Removes up to `budget` entries due at `now_ms`, the earliest first, handing each key to `f`
    /// before; true if more are due.
    pub fn remove_due(&mut self, now_ms: u64, budget: usize, mut f: impl FnMut(&[u8])) -> bool {
        let due = self.due(now_ms);
        let Some(order) = &mut self.order else { return false };
        let table = &mut self.table;
        order.remove_range(0, due.min(budget), |_, entry| {
            f(entry.bytes());
            // The tree does not look at an entry again after handing it out here.
            drop(table.remove(entry.bytes()));
        });
        due > budget
    }
}

impl Clone for TimedTable {
    fn clone(&self) -> Self {
        let mut copy = TimedTable::new(self.table.seed());
        for from in self.table.iter() {
            let value = match from.value() {
                ValueRef::Int(n) => NewValue::Int(n),
                ValueRef::Bytes(b) => NewValue::Bytes(b),
                ValueRef::Object(()) => NewValue::Object(()),
            };
            copy.set(from.key(), value, false);
            copy.set_expire(from.key(), from.expire_ms());
        }
        copy
    }
}

#[cfg(test)]
mod tests;
