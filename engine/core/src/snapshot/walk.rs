//! The walk over one database, and the hook that keeps it at the cut.
//!
//! Invariant: a granule that is not done holds exactly the keys and values that it held at the cut. What
//! would break that (a change of a key in it) has the granule written first.

use super::item::{Later, What, put_item, size_bound};
use super::queue::{Shared, Source, Value};
use crate::types::Object;
use moon_ds::{Entry, EntryMut, Granules, Table};
use moon_formats::bytes::Put;
use moon_formats::rrdshard::Encoder;
use std::ops::Range;
use std::rc::Rc;

/// Bytes that a granule holds, about: what a change of a key serialises at most, large values aside, and
/// what a load of writes at random keys has serialised for each. A block head takes 45 bytes.
const GRANULE_BYTES: usize = 4096;
/// Bytes of items that the walk puts into one block, about.
const BLOCK_BYTES: usize = 64 << 10;
/// Bytes of items that one block takes at most before those of a single key: far from what a reader accepts.
const BLOCK_BYTES_MAX: usize = 16 << 20;
/// Values that are on their way at once, about.
const LATER_MAX: usize = 16;
/// What looking at a granule counts as, in bytes serialised: a place without keys is not free.
const LOOK_BYTES: usize = 16;

/// What is about to happen to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Its value stays as it is: it gets another time to live.
    Beside,
    /// Its value is changed, or leaves for another key.
    Value,
    /// Its value goes, and is not looked at before.
    Whole,
}

/// The walk over the keys of one database; see the module page.
pub(crate) struct Walk {
    /// Number of the database at the cut.
    db: u32,
    granules: Granules,
    /// All granules below are done.
    cursor: u64,
    shared: Rc<Shared>,
    #[cfg(any(test, feature = "mutants"))]
    bugs: super::mutant::Memory,
}

impl Walk {
    /// A walk that begins, over a table whose values take `object_bytes` beside it.
    pub(super) fn new(
        db: u16,
        table: &Table<Object>,
        object_bytes: usize,
        shared: &Rc<Shared>,
    ) -> Walk {
        let bytes = table.mem_bytes() - table.overhead_bytes() + object_bytes;
        // A granule without a key would be a range for nothing.
        let granules = Granules::new((bytes / GRANULE_BYTES).min(table.len()));
        shared.add_walk_bytes(size_of::<Walk>() + granules.mem_bytes());
        Walk {
            db: u32::from(db),
            granules,
            cursor: 0,
            shared: Rc::clone(shared),
            #[cfg(any(test, feature = "mutants"))]
            bugs: super::mutant::Memory::new(table),
        }
    }

    pub(super) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// Number of the database at the cut.
    pub(crate) fn db(&self) -> u32 {
        self.db
    }

    /// A key is about to be changed, made or removed.
    #[cold]
    pub(crate) fn before_change(&mut self, table: &mut Table<Object>, key: &[u8], change: Change) {
        let granule = self.granules.of(table.hash48(key));
        if granule >= self.cursor && !self.granules.is_done(granule) {
            #[cfg(any(test, feature = "mutants"))]
            if self.bugs.overlooks(self.shared.mutant.get()) {
                return;
            }
            let mut later = Vec::new();
            self.shared.append(|encoder, out| {
                encoder.select(self.db, out);
                self.put_granules(table, granule..granule + 1, encoder, out, &mut later);
            });
            self.granules.set_done(granule);
            self.put_off(table, later);
        }
        if change != Change::Beside
            && !self.shared.values().borrow().is_empty()
            && let Some(mut entry) = table.get_mut(key)
        {
            self.shared.text_will_change(self.db, &mut entry, change == Change::Whole);
        }
    }

    /// Appends what comes next to `out`, where nothing waits any more. False when everything is done.
    pub(crate) fn step(&mut self, table: &mut Table<Object>, out: &mut Vec<u8>) -> bool {
        let first = self.granules.next_open(self.cursor);
        if first == self.granules.count() {
            return false;
        }
        let (mut next, mut later) = (first, Vec::new());
        self.shared.encode(|encoder| {
            encoder.select(self.db, out);
            let among = first..self.granules.count();
            next = self.put_granules(table, among, encoder, out, &mut later);
        });
        self.cursor = next;
        self.put_off(table, later);
        true
    }

    /// Values whose keys have been written come next; those that can change meanwhile get a walk.
    fn put_off(&self, table: &mut Table<Object>, later: Vec<Later>) {
        for Later { id, key, what } in later {
            let mut head = Vec::new();
            let source = match what {
                What::Body(bytes) => Source::Body { bytes, at: 0, counted: true },
                What::Text(len) => {
                    head.put_count32(len);
                    Source::Text { db: self.db, key, at: 0 }
                }
                What::Object => {
                    let entry = table.get_mut(&key);
                    if let Some(object) = entry.and_then(EntryMut::into_object_mut) {
                        object.begin_walk(id, self.shared.meter(), &mut head);
                    }
                    Source::Live { key, db: self.db as usize }
                }
            };
            self.shared.put_off(Value { id, head, source });
        }
    }

    /// Appends one block, or several, of the granules from the front of `among` on that are not done, until
    /// there is enough for a block. Returns where the next is to begin.
    fn put_granules(
        &self,
        table: &Table<Object>,
        among: Range<u64>,
        encoder: &mut Encoder,
        out: &mut Vec<u8>,
        later: &mut Vec<Later>,
    ) -> u64 {
        let first = among.start;
        encoder.begin(self.granules.positions(first..first).start);
        let mut at = first;
        while at < among.end && !self.granules.is_done(at) {
            let spent = encoder.block_len() + (at - first) as usize * LOOK_BYTES;
            if at > first && (spent >= BLOCK_BYTES || later.len() >= LATER_MAX) {
                break;
            }
            let positions = self.granules.positions(at..at + 1);
            #[cfg(any(test, feature = "mutants"))]
            let positions = self.bugs.narrow(self.shared.mutant.get(), table, positions);
            let mut bound = 0;
            table.for_range(positions.clone(), |entry| bound += size_bound(entry));
            if encoder.block_len() + bound <= BLOCK_BYTES_MAX {
                let counts = self.shared.counts;
                table.for_range(positions, |entry| put_item(entry, encoder, counts, later));
            } else {
                self.put_apart(table, positions, encoder, out, later);
            }
            at += 1;
        }
        encoder.end(self.granules.positions(at..at).start, out);
        at
    }

    /// Appends the entries of a range, which do not fit into one block together, in as many as they need.
    #[cold]
    fn put_apart(
        &self,
        table: &Table<Object>,
        positions: Range<u64>,
        encoder: &mut Encoder,
        out: &mut Vec<u8>,
        later: &mut Vec<Later>,
    ) {
        let mut entries: Vec<(u64, &Entry<Object>)> = Vec::new();
        table.for_range(positions, |entry| {
            entries.push((table.hash48(entry.key()), entry));
        });
        entries.sort_unstable_by_key(|(position, _)| *position);
        let mut last = None;
        for (position, entry) in entries {
            // Two keys of one position cannot be parted; that they are both this long does not happen.
            let full = encoder.block_len() + size_bound(entry) > BLOCK_BYTES_MAX;
            if full && encoder.block_len() > 0 && last != Some(position) {
                encoder.end(position, out);
                encoder.begin(position);
            }
            last = Some(position);
            put_item(entry, encoder, self.shared.counts, later);
        }
    }
}
