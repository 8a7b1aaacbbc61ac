//! The keys of a database, and what a change of one has to pass.
//!
//! One idea: a running snapshot must see every change before it happens, so the table is not reachable for
//! changing except through [`Keys`]. Whoever writes here has shown the key to the snapshot first, be it a
//! command, a script, expiry, eviction or the log read back.
//!
//! Without a snapshot each of these costs one branch.

use crate::snapshot::{Frozen, Walk};
use crate::types::Object;
use moon_ds::{EntryMut, HashSeed, Lookup, NewValue, Removed, Table};
use std::ops::Deref;

/// A table of keys that a snapshot may be walking. Reads like the table.
pub(crate) struct Keys {
    table: Table<Object>,
    walk: Option<Box<Walk>>,
}

impl Deref for Keys {
    type Target = Table<Object>;

    #[inline]
    fn deref(&self) -> &Table<Object> {
        &self.table
    }
}

impl Keys {
    pub(super) fn new(seed: HashSeed) -> Keys {
        Keys { table: Table::new(seed), walk: None }
    }

    /// What stands for the key goes into the snapshot as it is now, if it is not there yet.
    #[inline]
    fn will_change(&mut self, key: &[u8]) {
        if let Some(walk) = &mut self.walk {
            walk.before_change(&self.table, key);
        }
    }

    /// See [`Table::get_mut`].
    #[inline]
    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<EntryMut<'_, Object>> {
        self.will_change(key);
        self.table.get_mut(key)
    }

    /// See [`Table::lookup`].
    #[inline]
    pub(crate) fn lookup<'t, 'k>(&'t mut self, key: &'k [u8]) -> Lookup<'t, 'k, Object> {
        self.will_change(key);
        self.table.lookup(key)
    }

    /// See [`Table::get_or_insert_with`].
    #[inline]
    pub(crate) fn get_or_insert_with<'v>(
        &mut self,
        key: &[u8],
        value: impl FnOnce() -> NewValue<'v, Object>,
    ) -> (EntryMut<'_, Object>, bool) {
        self.will_change(key);
        self.table.get_or_insert_with(key, value)
    }

    /// See [`Table::insert`].
    #[inline]
    pub(crate) fn insert(
        &mut self,
        key: &[u8],
        value: NewValue<'_, Object>,
    ) -> EntryMut<'_, Object> {
        self.will_change(key);
        self.table.insert(key, value)
    }

    /// See [`Table::insert_removed`].
    pub(crate) fn insert_removed(
        &mut self,
        key: &[u8],
        removed: Removed<Object>,
    ) -> EntryMut<'_, Object> {
        self.will_change(key);
        self.table.insert_removed(key, removed)
    }

    /// See [`Table::remove`].
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Removed<Object>> {
        self.will_change(key);
        self.table.remove(key)
    }

    /// See [`Table::reap_expired`], which changes no entry.
    pub(crate) fn reap_expired(
        &mut self,
        cursor: &mut u64,
        now_ms: u64,
        budget: usize,
        f: impl FnMut(&[u8]),
    ) {
        self.table.reap_expired(cursor, now_ms, budget, f);
    }

    /// Moves all keys out, `bytes` of them with their values. `None` if a snapshot still needs them: it has
    /// them now, and lets go of them when it has written them.
    pub(crate) fn take_all(&mut self, bytes: usize) -> Option<Table<Object>> {
        let table = self.table.take_all();
        match self.walk.take() {
            None => Some(table),
            Some(walk) => {
                Frozen::keep(table, walk, bytes);
                None
            }
        }
    }

    /// A snapshot walks the keys from here on.
    pub(crate) fn begin_walk(&mut self, walk: Box<Walk>) {
        debug_assert!(self.walk.is_none(), "one snapshot at a time");
        self.walk = Some(walk);
    }

    /// The snapshot is done with the keys, or given up.
    pub(crate) fn end_walk(&mut self) {
        self.walk = None;
    }

    /// Whether a snapshot walks the keys.
    pub(crate) fn is_walked(&self) -> bool {
        self.walk.is_some()
    }

    /// Appends what the walk writes next. False if it has come to its end, or there is none.
    pub(crate) fn step(&mut self, out: &mut Vec<u8>) -> bool {
        self.walk.as_mut().is_some_and(|walk| walk.step(&self.table, out))
    }
}
