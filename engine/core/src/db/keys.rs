//! The keys of a database, and what a change of one has to pass.
//!
//! One idea: a running snapshot must see every change before it happens, so the table is not reachable for
//! changing except through [`Keys`]. Whoever writes here has shown the key to the snapshot first, be it a
//! command, a script, expiry, eviction or the log read back.
//!
//! Without a snapshot each of these costs one branch.

use crate::snapshot::{Change, Frozen, Walk};
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
    fn before(&mut self, change: Change, key: &[u8]) {
        if let Some(walk) = &mut self.walk {
            walk.before_change(&mut self.table, key, change);
        }
    }

    /// The entry of a key, to change its time to live and not its value.
    #[inline]
    pub(crate) fn get_mut_beside(&mut self, key: &[u8]) -> Option<EntryMut<'_, Object>> {
        self.before(Change::Beside, key);
        self.table.get_mut(key)
    }

    /// See [`Table::get_mut`].
    #[inline]
    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<EntryMut<'_, Object>> {
        self.before(Change::Value, key);
        self.table.get_mut(key)
    }

    /// See [`Table::lookup`].
    #[inline]
    pub(crate) fn lookup<'t, 'k>(&'t mut self, key: &'k [u8]) -> Lookup<'t, 'k, Object> {
        self.before(Change::Value, key);
        self.table.lookup(key)
    }

    /// The same for a value that is to be replaced whole: if the snapshot still writes it, a string is found
    /// empty.
    #[inline]
    pub(crate) fn lookup_to_replace<'t, 'k>(&'t mut self, key: &'k [u8]) -> Lookup<'t, 'k, Object> {
        self.before(Change::Whole, key);
        self.table.lookup(key)
    }

    /// See [`Table::get_or_insert_with`].
    #[inline]
    pub(crate) fn get_or_insert_with<'v>(
        &mut self,
        key: &[u8],
        value: impl FnOnce() -> NewValue<'v, Object>,
    ) -> (EntryMut<'_, Object>, bool) {
        self.before(Change::Value, key);
        self.table.get_or_insert_with(key, value)
    }

    /// See [`Table::reserve`].
    pub(super) fn reserve(&mut self, keys: usize) {
        self.table.reserve(keys);
    }

    /// See [`Table::insert`].
    #[inline]
    pub(crate) fn insert(
        &mut self,
        key: &[u8],
        value: NewValue<'_, Object>,
    ) -> EntryMut<'_, Object> {
        self.before(Change::Value, key);
        self.table.insert(key, value)
    }

    /// See [`Table::insert_removed`].
    pub(crate) fn insert_removed(
        &mut self,
        key: &[u8],
        removed: Removed<Object>,
    ) -> EntryMut<'_, Object> {
        self.before(Change::Value, key);
        self.table.insert_removed(key, removed)
    }

    /// See [`Table::remove`].
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Removed<Object>> {
        self.before(Change::Value, key);
        self.table.remove(key)
    }

    /// The same for a value that nobody wants any more.
    pub(crate) fn remove_for_good(&mut self, key: &[u8]) -> Option<Removed<Object>> {
        self.before(Change::Whole, key);
        self.table.remove(key)
    }

    /// The object at a key, if the snapshot walks it under this number. It is the snapshot's business alone.
    pub(crate) fn walked_object(&mut self, key: &[u8], id: u64) -> Option<&mut Object> {
        let object = self.table.get_mut(key)?.into_object_mut()?;
        (object.walk_tag() == Some(id)).then_some(object)
    }

    /// Takes such an object out, before all keys go.
    pub(crate) fn take_walked(&mut self, key: &[u8], id: u64) -> Option<Object> {
        self.walked_object(key, id)?;
        self.table.remove(key)?.into_object()
    }

    /// Number at the cut of the database whose keys these were, while the snapshot walks them.
    pub(crate) fn walked_as(&self) -> Option<u32> {
        Some(self.walk.as_ref()?.db())
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

    /// Appends what the walk writes next. False if it has come to its end, or there is none.
    pub(crate) fn step(&mut self, out: &mut Vec<u8>) -> bool {
        self.walk.as_mut().is_some_and(|walk| walk.step(&mut self.table, out))
    }
}
