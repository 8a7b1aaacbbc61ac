//! One probe for "get or create".

use super::{EntryMut, Table};
use crate::entry::{Blob, NewValue};

/// What `Table::lookup` found.
pub enum Lookup<'t, 'k, V> {
    /// The entry of the key.
    Found(EntryMut<'t, V>),
    /// The place for it.
    Vacant(VacantEntry<'t, 'k, V>),
}

impl<'t, 'k, V> Lookup<'t, 'k, V> {
    /// The entry, if there was one.
    pub fn found(self) -> Option<EntryMut<'t, V>> {
        match self {
            Lookup::Found(e) => Some(e),
            Lookup::Vacant(_) => None,
        }
    }
}

/// The place for a key that has no entry yet.
pub struct VacantEntry<'t, 'k, V> {
    table: &'t mut Table<V>,
    key: &'k [u8],
    hash: u64,
}

impl<'t, 'k, V> VacantEntry<'t, 'k, V> {
    pub(super) fn new(table: &'t mut Table<V>, key: &'k [u8], hash: u64) -> Self {
        VacantEntry { table, key, hash }
    }

    /// The key that was looked up.
    #[must_use]
    pub fn key(&self) -> &'k [u8] {
        self.key
    }

    /// Creates the entry.
    ///
    /// # Panics
    /// If the key is longer than 4 GiB - 8 KiB.
    #[inline]
    pub fn insert(self, value: NewValue<'_, V>) -> EntryMut<'t, V> {
        self.table.insert_blob(self.hash, Blob::new(self.key, value))
    }
}
