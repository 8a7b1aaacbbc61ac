//! A table that can be read as it was at one moment while it goes on changing.
//!
//! One idea: what is about to change is read first. A walk takes the entries in hash order, a granule after
//! the other; a change of a key in a granule that it has not reached has the granule written into a
//! buffer at once. Entries come in any order, each once. A walk may have several passes, each with a form
//! of its own for an entry (a hash is written as its fields and then as their times): the next one begins
//! where the one before has ended, and both see the same moment.
//!
//! Invariant: a granule that a pass has not done holds exactly what it held when the walk began.

use std::ops::{Deref, Range};

use crate::entry::{Entry, NewValue, Removed};
use crate::granules::Granules;
use crate::hash::HashSeed;
use crate::meter::Meter;
use crate::table::{EntryMut, Lookup, Table};

/// Bytes of entries in a granule, about.
const GRANULE_BYTES: usize = 4096;

/// Appends an entry in the form of a pass.
pub type PutEntry = fn(&Entry<()>, &mut Vec<u8>);

/// What a pass of a walk writes.
pub struct Pass {
    /// What stands before the entries.
    pub head: Vec<u8>,
    /// Appends an entry; `None` if nothing but the head is to be written.
    pub put: Option<PutEntry>,
}

/// A pass under way.
struct Open {
    pass: Pass,
    granules: Granules,
    cursor: u64,
    /// Granules written ahead of the cursor.
    ahead: Vec<Vec<u8>>,
    begun: bool,
}

impl Open {
    fn put(&self, table: &Table<()>, positions: Range<u64>, out: &mut Vec<u8>) {
        if let Some(put) = self.pass.put {
            table.for_range(positions, |entry| put(entry, out));
        }
    }
}

/// A walk over a table; see the module page.
pub struct TableWalk {
    tag: u64,
    meter: Meter,
    /// The one under way first.
    passes: Vec<Open>,
}

impl TableWalk {
    fn new(tag: u64, table: &Table<()>, passes: Vec<Pass>, meter: &Meter) -> TableWalk {
        let bytes = table.mem_bytes() - table.overhead_bytes();
        let wanted = (bytes / GRANULE_BYTES).min(table.len());
        let open = |pass: Pass| {
            let granules = Granules::new(if pass.put.is_some() { wanted } else { 0 });
            // Without a form for entries everything is done.
            let cursor = if pass.put.is_some() { 0 } else { granules.count() };
            Open { pass, granules, cursor, ahead: Vec::new(), begun: false }
        };
        let passes = passes.into_iter().map(open).collect();
        TableWalk { tag, meter: meter.clone(), passes }
    }

    #[cold]
    fn before_change(&mut self, table: &Table<()>, key: &[u8]) {
        for open in &mut self.passes {
            let granule = open.granules.of(table.hash48(key));
            if granule < open.cursor || open.granules.is_done(granule) {
                continue;
            }
            let mut ahead = Vec::new();
            let positions = open.granules.positions(granule..granule + 1);
            open.put(table, positions, &mut ahead);
            open.granules.set_done(granule);
            self.meter.add(ahead.len());
            open.ahead.push(ahead);
        }
    }

    /// Appends about `budget` bytes of what comes next; false when all has been given.
    fn step(&mut self, table: &Table<()>, out: &mut Vec<u8>, budget: usize) -> bool {
        let until = out.len() + budget;
        while let Some(open) = self.passes.first_mut() {
            if !open.begun {
                open.begun = true;
                out.append(&mut open.pass.head);
            }
            while out.len() < until
                && let Some(ahead) = open.ahead.pop()
            {
                self.meter.sub(ahead.len());
                out.extend_from_slice(&ahead);
            }
            if out.len() >= until {
                return true;
            }
            let granule = open.granules.next_open(open.cursor);
            if granule == open.granules.count() {
                self.passes.remove(0);
                continue;
            }
            let positions = open.granules.positions(granule..granule + 1);
            open.put(table, positions, out);
            open.cursor = granule + 1;
        }
        false
    }
}

impl Drop for TableWalk {
    fn drop(&mut self) {
        let ahead = self.passes.iter().flat_map(|open| &open.ahead);
        self.meter.sub(ahead.map(Vec::len).sum());
    }
}

/// A table of entries without objects that a walk may be reading. Reads like the table.
pub struct WatchedTable {
    table: Table<()>,
    walk: Option<Box<TableWalk>>,
}

impl Deref for WatchedTable {
    type Target = Table<()>;

    #[inline]
    fn deref(&self) -> &Table<()> {
        &self.table
    }
}

impl WatchedTable {
    /// An empty table.
    pub fn new(seed: HashSeed) -> WatchedTable {
        WatchedTable { table: Table::new(seed), walk: None }
    }

    #[inline]
    fn will_change(&mut self, key: &[u8]) {
        if let Some(walk) = &mut self.walk {
            walk.before_change(&self.table, key);
        }
    }

    /// See [`Table::get_mut`].
    #[inline]
    pub fn get_mut(&mut self, key: &[u8]) -> Option<EntryMut<'_, ()>> {
        self.will_change(key);
        self.table.get_mut(key)
    }

    /// See [`Table::lookup`].
    #[inline]
    pub fn lookup<'t, 'k>(&'t mut self, key: &'k [u8]) -> Lookup<'t, 'k, ()> {
        self.will_change(key);
        self.table.lookup(key)
    }

    /// See [`Table::get_or_insert_with`].
    #[inline]
    pub fn get_or_insert_with<'v>(
        &mut self,
        key: &[u8],
        value: impl FnOnce() -> NewValue<'v, ()>,
    ) -> (EntryMut<'_, ()>, bool) {
        self.will_change(key);
        self.table.get_or_insert_with(key, value)
    }

    /// See [`Table::insert`].
    pub fn insert(&mut self, key: &[u8], value: NewValue<'_, ()>) -> EntryMut<'_, ()> {
        self.will_change(key);
        self.table.insert(key, value)
    }

    /// See [`Table::remove`].
    pub fn remove(&mut self, key: &[u8]) -> Option<Removed<()>> {
        self.will_change(key);
        self.table.remove(key)
    }

    /// Begins a walk over what is here now. `tag` is the reader's; `meter` counts what is kept for it.
    pub fn begin_walk(&mut self, tag: u64, passes: Vec<Pass>, meter: &Meter) {
        self.walk = Some(Box::new(TableWalk::new(tag, &self.table, passes, meter)));
    }

    /// The tag of the walk, if there is one.
    #[inline]
    pub fn walk_tag(&self) -> Option<u64> {
        Some(self.walk.as_ref()?.tag)
    }

    /// Appends about `budget` bytes (more if much was written ahead) of what comes next, and ends the walk
    /// with the last; false if that was it, or there is no walk.
    pub fn step_walk(&mut self, out: &mut Vec<u8>, budget: usize) -> bool {
        let more = self.walk.as_mut().is_some_and(|walk| walk.step(&self.table, out, budget));
        if !more {
            self.walk = None;
        }
        more
    }

    /// Gives the walk up.
    pub fn end_walk(&mut self) {
        self.walk = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ValueRef;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn put(entry: &Entry<()>, out: &mut Vec<u8>) {
        let ValueRef::Int(n) = entry.value() else { unreachable!("only integers are put in") };
        out.extend_from_slice(entry.key());
        out.extend_from_slice(&n.to_le_bytes());
    }

    fn key(n: u32) -> [u8; 4] {
        n.to_le_bytes()
    }

    proptest! {
        /// A table that changes between the steps of a walk of two passes; each gives what it held at the start.
        #[test]
        fn both_passes_give_the_moment(
            start in prop::collection::btree_map(0u32..3000, 0i64..100, 0..1500),
            changes in prop::collection::vec((0u32..4000, any::<bool>(), 0usize..3000), 0..300),
        ) {
            let mut table = WatchedTable::new(HashSeed(3, 4));
            for (k, v) in &start {
                table.insert(&key(*k), NewValue::Int(*v));
            }
            let meter = Meter::default();
            let pass = |head: &[u8]| Pass { head: head.to_vec(), put: Some(put) };
            let only_head = Pass { head: b"!".to_vec(), put: None };
            table.begin_walk(9, vec![pass(b"a"), only_head, pass(b"b")], &meter);
            let mut out = Vec::new();
            for (k, insert, budget) in changes {
                if insert {
                    table.insert(&key(k), NewValue::Int(1000));
                } else {
                    drop(table.remove(&key(k)));
                }
                if budget > 2000 {
                    table.step_walk(&mut out, budget - 2000);
                }
            }
            while table.step_walk(&mut out, 500) {}
            prop_assert_eq!(table.walk_tag(), None);
            prop_assert_eq!(meter.bytes(), 0);
            let half = 1 + 12 * start.len();
            prop_assert_eq!(out.len(), 2 * half + 1);
            prop_assert_eq!((out[0], out[half], out[half + 1]), (b'a', b'!', b'b'));
            for pass in [&out[1..half], &out[half + 2..]] {
                let read = |e: &[u8]| {
                    let (k, v) = e.split_at(4);
                    let k = u32::from_le_bytes(k.try_into().expect("4 bytes"));
                    (k, i64::from_le_bytes(v.try_into().expect("8 bytes")))
                };
                let entries: BTreeMap<u32, i64> = pass.chunks(12).map(read).collect();
                prop_assert_eq!(&entries, &start);
            }
        }
    }

    #[test]
    fn a_walk_that_is_given_up_leaves_nothing() {
        let mut table = WatchedTable::new(HashSeed(1, 2));
        for n in 0..2000 {
            table.insert(&key(n), NewValue::Int(1));
        }
        let meter = Meter::default();
        table.begin_walk(1, vec![Pass { head: Vec::new(), put: Some(put) }], &meter);
        table.insert(&key(5), NewValue::Int(2));
        assert!(meter.bytes() > 0);
        table.end_walk();
        assert_eq!(meter.bytes(), 0);
        assert!(!table.step_walk(&mut Vec::new(), 10));
    }
}
