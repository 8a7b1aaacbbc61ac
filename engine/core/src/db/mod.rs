//! Databases: tables of keys, and the only ways to look at and change them.
//!
//! [`ReadSpace`] sees live keys and cannot change any. [`Keyspace`] is the one gate for
//! mutation: every change goes through its methods, which keep the memory accounting, remove
//! collections that became empty, and record the change in the open [`crate::journal::Unit`].
//! Expired keys are invisible to both; whoever meets one causes its logged removal.

mod access;
mod edit;
mod expire;
mod fieldtimes;
mod garbage;
mod keys;
mod keyspace;
mod load;
mod read;
mod removal;
mod watch;
mod whole;

pub(crate) use access::Access;
pub use access::Lfu;
pub use edit::{Collection, Edit};
pub use garbage::{Garbage, LazyFree, Trash};
pub(crate) use keys::Keys;
pub use keyspace::{Keyspace, Ttl};
pub(crate) use read::{Overdue, OverduePart};
pub use read::{ReadSpace, StrValue, encoding, entry_bytes, type_name};
pub use watch::{WatchFlag, WatchId};
pub use whole::{CopiedValue, Stored};

use crate::types::Object;
use moon_ds::{HashSeed, Table};
use std::collections::HashMap;

/// An entry of a table: key, value, time to live.
pub type Live = moon_ds::Entry<Object>;

/// Entry user bit: a string that APPEND, SETRANGE and the like have made; reported as `raw`.
pub const USER_RAW: u8 = 1;

/// One database.
pub struct Db {
    pub(crate) table: Keys,
    /// Heap bytes of all collections.
    pub(crate) object_bytes: usize,
    pub(crate) field_times: fieldtimes::FieldTimes,
    pub(crate) watchers: HashMap<Box<[u8]>, Vec<watch::Watcher>>,
    pub(crate) reap_cursor: u64,
}

impl Db {
    /// An empty database.
    pub fn new(seed: HashSeed) -> Self {
        Db {
            table: Keys::new(seed),
            object_bytes: 0,
            field_times: fieldtimes::FieldTimes::default(),
            watchers: HashMap::new(),
            reap_cursor: 0,
        }
    }

    /// Number of keys, expired ones that nobody met yet included (as in Redis).
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// Keys with a time to live.
    pub fn expires(&self) -> usize {
        self.table.expires()
    }

    /// Bytes of keys, values and index.
    pub fn mem_bytes(&self) -> usize {
        self.table.mem_bytes() + self.object_bytes + self.field_times.mem_bytes()
    }

    /// The table, to read.
    pub fn table(&self) -> &Table<Object> {
        &self.table
    }
}
