//! Snapshots: the whole shard as it was at one moment, written while it goes on (durability §5).
//!
//! One idea: whatever is about to change is written first. A snapshot begins with the cut, in one turn of
//! the shard. From then on a walk takes the keys in hash order, a block at a time, as the driver asks for
//! bytes; and a change of a key that the walk has not reached has the small part of hash order around
//! it (a granule) written at once, ahead of the walk, which skips it later. So nothing is copied that
//! does not go into the file anyway, and memory is bounded by what the driver has not taken yet.
//!
//! ```text
//! hash order   |#########|#|....|#|.............|##|....|    # done, . as at the cut
//!                        ^ cursor: the walk     ^ a key here has changed
//! ```
//!
//! Invariants:
//! * The hook stands in the mutators of [the table of keys](crate::db), so no command, script, expiry, eviction or
//!   effect of the log can pass it by.
//! * A granule is written once, whole, by the walk or by the hook, whichever comes first. Granules are parts of
//!   hash order and not of the table, so growing, splitting and merging do not concern them.
//! * A walk belongs to the keys, not to the number of their database: SWAPDB takes it along, and what is written
//!   is the number at the cut. Keys that a flush takes away are kept and walked to their end.
//! * Bytes are encoded in the order in which they are taken.
//! * Nothing here reads a clock, and expired keys are keys: expiry is an effect, never an omission.
//!
//! A value whose body exceeds 256 KiB stands apart from its key, in chunks.

mod item;
mod load;
#[cfg(any(test, feature = "mutants"))]
mod mutant;
mod queue;
mod source;
#[cfg(test)]
mod tests;
mod walk;

pub use load::{LoadError, Loader};
#[cfg(any(test, feature = "mutants"))]
pub use mutant::Mutant;
pub(crate) use queue::Frozen;
pub(crate) use walk::{Change, Walk};

use crate::db::{Db, Keys, Live, Trash};
use crate::exec::Shard;
use crate::types::{Limits, Object};
use moon_ds::{Table, ValueRef};
use moon_formats::rrdshard::{
    BLOCK_RAW_MAX, Encoder, Extension, Incomplete, Preamble, Summary, section,
};
use queue::{CHUNK_BYTES, Shared, Source};
use std::fmt;
use std::rc::Rc;

/// Bytes of a chunk at most, where an element is longer than that.
const CHUNK_MAX: usize = 1 << 20;

/// What the end of a snapshot tells of it.
pub type Totals = Summary;

/// Why no snapshot begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotRefused {
    /// One is being written.
    Running,
    /// A script is paused, and with it a unit that has no LSN yet: what it has changed so far is no state to
    /// keep. Try again when it has ended.
    ScriptRunning,
    /// A library of functions is longer than a section of the file may be (64 MiB). Delete it.
    LibraryTooLong,
}

impl fmt::Display for SnapshotRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SnapshotRefused::Running => "a snapshot is being written",
            SnapshotRefused::ScriptRunning => "a script is running; try again when it has ended",
            SnapshotRefused::LibraryTooLong => {
                "a library of functions is longer than 64 MiB; delete it to be able to save"
            }
        })
    }
}

impl std::error::Error for SnapshotRefused {}

/// What [`Shard::fill_snapshot`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// There is more to come.
    More,
    /// The file is complete, and the snapshot over.
    End(Totals),
    /// The file is not whole, through a bug of this program. The snapshot is over; throw the file away.
    Broken(Incomplete),
    /// No snapshot is being written: it was given up (DEBUG RELOAD, [`Shard::abort_snapshot`]).
    Nothing,
}

/// How far a snapshot has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Keys serialised.
    pub keys_done: u64,
    /// Keys at the cut.
    pub keys_total: u64,
    /// Bytes serialised and not taken yet.
    pub pending_bytes: usize,
    /// Bytes that the snapshot keeps besides: what is done, and databases that were emptied meanwhile.
    pub held_bytes: usize,
}

/// A snapshot that is being written.
pub(crate) struct Snapshot {
    shared: Rc<Shared>,
    /// Walks that have not ended.
    walks: usize,
    /// Database at which to look for the next one.
    at: usize,
    keys_total: u64,
    /// Sections as of the cut: code, version, flags, payload.
    sections: Vec<(u16, u16, u32, Vec<u8>)>,
}

impl Snapshot {
    /// Appends what comes next in the databases. False when all have been walked.
    fn step(&mut self, dbs: &mut [Db], trash: &mut Trash, out: &mut Vec<u8>) -> bool {
        while self.walks > 0 {
            // Those that have been emptied first: they take memory.
            let frozen = self.shared.frozen().borrow_mut().pop();
            if let Some(mut frozen) = frozen {
                #[cfg(any(test, feature = "mutants"))]
                mutant::forgotten(self.shared.mutant.get(), &mut frozen);
                if frozen.walk.step(&mut frozen.table, out) {
                    self.shared.frozen().borrow_mut().push(frozen);
                    return true;
                }
                self.walks -= 1;
                trash.database(frozen.table, frozen.bytes, true);
                continue;
            }
            // SWAPDB may have brought one to a place that was passed.
            let order = (self.at..dbs.len()).chain(0..self.at);
            let Some(at) = order.into_iter().find(|at| dbs[*at].table.walked_as().is_some()) else {
                debug_assert!(false, "a walk is in a database or frozen");
                return false;
            };
            self.at = at;
            if dbs[at].table.step(out) {
                return true;
            }
            dbs[at].table.end_walk();
            self.walks -= 1;
        }
        false
    }

    /// Appends the next chunk of a value that stands apart. False if there is none.
    fn step_value(
        &mut self,
        dbs: &mut [Db],
        limits: &Limits,
        out: &mut Vec<u8>,
    ) -> Result<bool, Incomplete> {
        let shared = Rc::clone(&self.shared);
        let Some(mut value) = shared.take_value() else { return Ok(false) };
        let id = value.id;
        let mut bytes = std::mem::take(&mut value.head);
        let found = match &mut value.source {
            Source::Body { bytes: body, at, counted } => {
                let to = body.len().min(*at + CHUNK_BYTES);
                bytes.extend_from_slice(&body[*at..to]);
                if *counted {
                    shared.written(to - *at);
                }
                *at = to;
                Some(to < body.len())
            }
            Source::Text { db, key, at } => self.with_text(dbs, *db, key, |text| {
                let to = text.len().min(*at + CHUNK_BYTES);
                bytes.extend_from_slice(&text[*at..to]);
                *at = to;
                to < text.len()
            }),
            Source::Live { key, db } => {
                let mut step = |object: &mut Object| object.step_walk(&mut bytes, CHUNK_BYTES);
                let order = std::iter::once(*db).chain(0..dbs.len());
                let at =
                    order.into_iter().find(|at| dbs[*at].table.walked_object(key, id).is_some());
                match at {
                    Some(at) => {
                        *db = at;
                        let Db { table, object_bytes, .. } = &mut dbs[at];
                        table.walked_object(key, id).map(|object| {
                            let more = step(object);
                            if !more {
                                *object_bytes -= object.mem_bytes();
                                object.after_walk(limits);
                                *object_bytes += object.mem_bytes();
                            }
                            more
                        })
                    }
                    None => {
                        let mut frozen = shared.frozen().borrow_mut();
                        let object = frozen.iter_mut().find_map(|f| f.walked_object(key, id));
                        object.map(step)
                    }
                }
            }
            Source::Aside(object) => Some(object.step_walk(&mut bytes, CHUNK_BYTES)),
        };
        let Some(more) = found else {
            return Err(Incomplete::Unfinished { value_id: id });
        };
        // An element may be longer than a chunk.
        let count = bytes.len().div_ceil(CHUNK_MAX).max(1);
        shared.encode(|encoder| {
            for i in 1..=count {
                let piece = &bytes[(i - 1) * CHUNK_MAX..bytes.len().min(i * CHUNK_MAX)];
                encoder.chunk(id, piece, !more && i == count, out);
            }
        });
        if more {
            shared.give_back(value);
        }
        Ok(true)
    }

    /// Lets `f` read the string at a key of a database of the cut.
    fn with_text<R>(
        &self,
        dbs: &[Db],
        db: u32,
        key: &[u8],
        f: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        fn text<'a>(table: &'a Table<Object>, key: &[u8]) -> Option<&'a [u8]> {
            match table.get(key)?.value() {
                ValueRef::Bytes(b) => Some(b),
                ValueRef::Int(_) | ValueRef::Object(_) => None,
            }
        }
        let order = std::iter::once(self.at).chain(0..dbs.len());
        let at = order.into_iter().find(|at| dbs[*at].table.walked_as() == Some(db));
        if let Some(at) = at {
            return text(&dbs[at].table, key).map(f);
        }
        let frozen = self.shared.frozen().borrow();
        let frozen = frozen.iter().find(|frozen| frozen.walk.db() == db)?;
        text(&frozen.table, key).map(f)
    }

    /// A value gets another key.
    pub(crate) fn moves(&mut self, entry: &Live, db: u16, key: &[u8]) {
        let Some(id) = entry.object().and_then(Object::walk_tag) else { return };
        let mut values = self.shared.values().borrow_mut();
        if let Some(value) = values.iter_mut().find(|value| value.id == id) {
            value.source = Source::Live { key: key.into(), db: usize::from(db) };
        }
    }

    /// Keys are about to be emptied at once. Values that are on their way and will not be kept with them, for
    /// they came from other keys, are taken out.
    pub(crate) fn before_flush(&mut self, keys: &mut Keys) {
        if keys.walked_as().is_some() {
            return;
        }
        for value in self.shared.values().borrow_mut().iter_mut() {
            if let Source::Live { key, .. } = &value.source
                && let Some(object) = keys.take_walked(key, value.id)
            {
                value.source = Source::Aside(object);
            }
        }
    }
}

/// An object that nobody wants any more: given back, unless the snapshot still writes it.
pub(crate) fn unless_walked(
    snapshot: &mut Option<Box<Snapshot>>,
    object: Object,
) -> Option<Object> {
    let (Some(snapshot), Some(id)) = (snapshot, object.walk_tag()) else { return Some(object) };
    #[cfg(any(test, feature = "mutants"))]
    if snapshot.shared.mutant.get() == Some(Mutant::ValueForgotten) {
        return Some(object);
    }
    let mut values = snapshot.shared.values().borrow_mut();
    match values.iter_mut().find(|value| value.id == id) {
        Some(value) => {
            value.source = Source::Aside(object);
            None
        }
        None => Some(object),
    }
}

impl Shard {
    /// Cuts: the file will hold the shard as it is now, whatever changes from here on. Between two commands
    /// only.
    pub fn begin_snapshot(
        &mut self,
        preamble: &Preamble,
        extension: &Extension,
    ) -> Result<(), SnapshotRefused> {
        if self.snapshot.is_some() {
            return Err(SnapshotRefused::Running);
        }
        if self.busy.is_some() {
            return Err(SnapshotRefused::ScriptRunning);
        }
        let functions = self.function_sections()?.into_iter();
        let mut sections: Vec<_> = functions
            .map(|bytes| (section::FUNCTIONS, section::VERSION, section::REQUIRED, bytes))
            .collect();
        let slots = self.slots.section().into_iter();
        sections.extend(
            slots.map(|bytes| (section::CDC_SLOTS, section::VERSION, section::REQUIRED, bytes)),
        );
        sections.extend(self.planes.save());
        sections.sort_by_key(|(code, ..)| *code);
        let mut head = Vec::new();
        let extension = Extension { last_gtid: self.last_gtid, ..*extension };
        let encoder = Encoder::new(preamble, &extension, &mut head);
        let shared = Rc::new(Shared::new(encoder, head, self.access.counts()));
        let (mut walks, mut keys_total) = (0, 0);
        for (number, db) in (0u16..).zip(&mut self.dbs).filter(|(_, db)| !db.is_empty()) {
            let walk = Walk::new(number, &db.table, db.object_bytes, &shared);
            db.table.begin_walk(Box::new(walk));
            walks += 1;
            keys_total += db.len() as u64;
        }
        let snapshot = Snapshot { shared, walks, at: 0, keys_total, sections };
        self.snapshot = Some(Box::new(snapshot));
        Ok(())
    }

    /// The payloads that hold all libraries, each as long as a section may be.
    fn function_sections(&self) -> Result<Vec<Vec<u8>>, SnapshotRefused> {
        const ROOM: usize = BLOCK_RAW_MAX - 8;
        let mut sections = Vec::new();
        let mut group: Vec<&[u8]> = Vec::new();
        let mut bytes = 0;
        let mut close = |group: &mut Vec<&[u8]>| {
            let mut payload = Vec::new();
            section::put_functions(&mut payload, group.drain(..));
            sections.push(payload);
        };
        for library in self.scripts.all_libraries().values() {
            let len = library.code.len() + 4;
            if len > ROOM {
                return Err(SnapshotRefused::LibraryTooLong);
            }
            if bytes + len > ROOM {
                close(&mut group);
                bytes = 0;
            }
            group.push(&library.code);
            bytes += len;
        }
        if !group.is_empty() {
            close(&mut group);
        }
        Ok(sections)
    }

    /// Appends the next bytes of the file to `out`, about `budget` of them (a granule or a chunk more, at
    /// most). What changes have had written ahead comes first.
    pub fn fill_snapshot(&mut self, out: &mut Vec<u8>, budget: usize) -> Fill {
        let Some(snapshot) = &mut self.snapshot else { return Fill::Nothing };
        let until = out.len() + budget.max(1);
        while out.len() < until {
            if snapshot.shared.take(out, until - out.len()) {
                continue;
            }
            match snapshot.step_value(&mut self.dbs, &self.limits, out) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(incomplete) => {
                    self.abort_snapshot();
                    return Fill::Broken(incomplete);
                }
            }
            if !snapshot.step(&mut self.dbs, &mut self.trash, out) {
                return self.finish_snapshot(out);
            }
        }
        Fill::More
    }

    fn finish_snapshot(&mut self, out: &mut Vec<u8>) -> Fill {
        let Some(snapshot) = self.snapshot.take() else { return Fill::Nothing };
        let Snapshot { shared, sections, .. } = *snapshot;
        let shared = Rc::into_inner(shared).expect("walks hold the rest, and all have ended");
        let mut encoder = shared.into_encoder();
        for (code, version, flags, payload) in sections {
            encoder.section(code, version, flags, &payload, out);
        }
        match encoder.finish(out) {
            Ok(totals) => Fill::End(totals),
            Err(incomplete) => Fill::Broken(incomplete),
        }
    }

    /// Bytes that changes have had written ahead and that have not been taken yet. Above `snapshot-cow-max`
    /// the driver takes no further commands until it has written.
    pub fn snapshot_pending(&self) -> usize {
        self.snapshot.as_ref().map_or(0, |s| s.shared.pending())
    }

    /// Gives the snapshot up, if there is one.
    pub fn abort_snapshot(&mut self) {
        let Some(snapshot) = self.snapshot.take() else { return };
        for value in snapshot.shared.values().take() {
            match value.source {
                Source::Live { key, .. } => {
                    for Db { table, object_bytes, .. } in &mut self.dbs {
                        if let Some(object) = table.walked_object(&key, value.id) {
                            *object_bytes -= object.mem_bytes();
                            object.end_walk();
                            object.after_walk(&self.limits);
                            *object_bytes += object.mem_bytes();
                        }
                    }
                }
                Source::Aside(mut object) => {
                    object.end_walk();
                    self.trash.value(object, true);
                }
                Source::Body { .. } | Source::Text { .. } => {}
            }
        }
        self.dbs.iter_mut().for_each(|db| db.table.end_walk());
        for frozen in snapshot.shared.frozen().take() {
            self.trash.database(frozen.table, frozen.bytes, true);
        }
    }

    /// How far the snapshot has come, if there is one.
    pub fn snapshot_progress(&self) -> Option<Progress> {
        let snapshot = self.snapshot.as_ref()?;
        Some(Progress {
            keys_done: snapshot.shared.entries(),
            keys_total: snapshot.keys_total,
            pending_bytes: snapshot.shared.pending(),
            held_bytes: snapshot.shared.held_bytes(),
        })
    }

    /// Breaks the snapshot that is being written.
    #[cfg(any(test, feature = "mutants"))]
    pub fn break_snapshot(&mut self, mutant: Mutant) {
        if let Some(snapshot) = &self.snapshot {
            snapshot.shared.mutant.set(Some(mutant));
        }
    }
}
