//! Values that have left the keyspace and are costly to free.
//!
//! Freeing a large collection, or a database, takes as long as walking it. So whoever removes
//! such a value may put it here; the driver takes what has gathered and frees it where nobody waits.
//! Without a driver that does (tests, recovery) everything is freed at once.
//!
//! Invariant: what is here belongs to no database: it is counted neither as keys nor as their
//! memory, and nothing looks at it again.

use crate::types::Object;
use moon_ds::{Removed, Table, ValueRef};

/// Allocations up to which a value is freed on the spot (Redis `LAZYFREE_THRESHOLD`).
const CHEAP: usize = 64;
/// Keys of a database freed in one step.
const STEP: usize = 1024;

/// Which removals leave freeing to somebody else, as Redis' options of the same names say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LazyFree {
    /// `lazyfree-lazy-eviction`
    pub eviction: bool,
    /// `lazyfree-lazy-expire`
    pub expire: bool,
    /// `lazyfree-lazy-server-del`: a value is replaced, or removed as a side effect.
    pub server_del: bool,
    /// `lazyfree-lazy-user-del`: DEL is as UNLINK.
    pub user_del: bool,
    /// `lazyfree-lazy-user-flush`: FLUSHALL and FLUSHDB without a mode are ASYNC.
    pub user_flush: bool,
}

/// Something to free.
pub struct Garbage {
    what: What,
    keys: usize,
    bytes: usize,
}

enum What {
    Entry(Removed<Object>),
    Value(Object),
    Database(Table<Object>),
}

impl Garbage {
    /// Keys it was the value of.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frees it, telling after each step how many keys and bytes are gone.
    pub fn free(self, mut freed: impl FnMut(usize, usize)) {
        let mut table = match self.what {
            What::Entry(entry) => {
                drop(entry);
                return freed(self.keys, self.bytes);
            }
            What::Value(object) => {
                drop(object);
                return freed(self.keys, self.bytes);
            }
            What::Database(table) => table,
        };
        let (mut keys, mut bytes) = (self.keys, self.bytes);
        loop {
            let n = table.drain_some(STEP, drop);
            if n < STEP {
                break;
            }
            // A share of the whole: the values are of any size.
            let share = (bytes as u128 * n as u128 / keys.max(1) as u128) as usize;
            (keys, bytes) = (keys - n, bytes - share);
            freed(n, share);
        }
        drop(table);
        freed(keys, bytes);
    }
}

/// What waits to be taken away; see the module page.
#[derive(Default)]
pub struct Trash {
    /// Which removals put their values here.
    pub lazy: LazyFree,
    collected: bool,
    items: Vec<Garbage>,
    keys: u64,
    bytes: u64,
    awaited: bool,
}

impl Trash {
    /// From here on somebody takes away what gathers ([`Trash::take`]).
    pub fn collect(&mut self) {
        self.collected = true;
    }

    /// Whether somebody takes away what gathers.
    pub fn is_collected(&self) -> bool {
        self.collected
    }

    /// Whether nothing has gathered.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes what has gathered.
    pub fn take(&mut self) -> Vec<Garbage> {
        std::mem::take(&mut self.items)
    }

    /// Keys put here ever.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Bytes put here ever.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The running command's client is to be answered when all that is here has been freed.
    pub fn await_free(&mut self) {
        self.awaited = true;
    }

    /// Whether that was asked for since the last call.
    #[inline]
    pub fn take_awaited(&mut self) -> bool {
        std::mem::take(&mut self.awaited)
    }

    /// Frees an entry, now or later.
    pub(super) fn entry(&mut self, entry: Removed<Object>, later: bool) {
        if let ValueRef::Object(object) = entry.value()
            && later
            && self.worth(object)
        {
            let bytes = object.mem_bytes() + entry.mem_bytes();
            self.put(Garbage { what: What::Entry(entry), keys: 1, bytes });
        }
    }

    /// Frees a value that another has taken the place of, now or later.
    pub(crate) fn value(&mut self, object: Object, later: bool) {
        if later && self.worth(&object) {
            let bytes = object.mem_bytes();
            self.put(Garbage { what: What::Value(object), keys: 1, bytes });
        }
    }

    /// Frees the keys of a database, now or later. `bytes` are those of table and values.
    pub(crate) fn database(&mut self, table: Table<Object>, bytes: usize, later: bool) {
        if later && self.collected && !table.is_empty() {
            let keys = table.len();
            self.put(Garbage { what: What::Database(table), keys, bytes });
        }
    }

    fn worth(&self, object: &Object) -> bool {
        self.collected && object.allocations() > CHEAP
    }

    fn put(&mut self, garbage: Garbage) {
        self.keys += garbage.keys as u64;
        self.bytes += garbage.bytes as u64;
        self.items.push(garbage);
    }
}
