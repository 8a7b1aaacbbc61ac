//! What the walks of one snapshot have in common: the file so far, and what of it has not been taken yet.
//!
//! One idea: everything goes through one encoder in the order in which it is written, so what a change of a
//! key had serialised is a finished piece of the file that only waits to be taken. Nothing else is encoded
//! before it has been.

use super::walk::Walk;
use crate::types::Object;
use moon_ds::{EntryMut, Meter, Table, ValueRef};
use moon_formats::rrdshard::Encoder;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// Bytes from which on a piece of the queue takes no more.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes of a chunk of a large value.
pub(super) const CHUNK_BYTES: usize = if cfg!(test) { 2 << 10 } else { 64 << 10 };

/// Where the rest of a value that stands apart from its key is.
pub(super) enum Source {
    /// Here: a body, from `at` on. Counted if it is a copy.
    Body {
        /// What is left and what has been written.
        bytes: Vec<u8>,
        /// How much has been written.
        at: usize,
        /// Whether it counts as pending.
        counted: bool,
    },
    /// A string, from `at` on, that nobody has changed yet.
    Text {
        /// Number of the database at the cut.
        db: u32,
        /// Its key.
        key: Box<[u8]>,
        /// How much has been written.
        at: usize,
    },
    /// A collection with a walk over it that has the value's number for a tag.
    Live {
        /// Where it is now.
        key: Box<[u8]>,
        /// Database where to look first.
        db: usize,
    },
    /// The same, and no key has it any more.
    Aside(Object),
}

/// A value that stands apart from its key.
pub(super) struct Value {
    /// What the key refers to it by.
    pub(super) id: u64,
    /// What its body begins with, before what `source` gives.
    pub(super) head: Vec<u8>,
    pub(super) source: Source,
}

/// See the module page.
pub(super) struct Shared {
    encoder: RefCell<Encoder>,
    /// Bytes of the file that wait to be taken.
    pieces: RefCell<VecDeque<Vec<u8>>>,
    /// Values whose keys are in the file, in the order of their keys.
    values: RefCell<VecDeque<Value>>,
    /// Bytes of pieces and counted bodies.
    pending: Cell<usize>,
    /// What walks over values have copied.
    meter: Meter,
    frozen: RefCell<Vec<Frozen>>,
    /// Bytes that the walks take.
    walk_bytes: Cell<usize>,
    /// Whether entries count how often they are used.
    pub(super) counts: bool,
    #[cfg(any(test, feature = "mutants"))]
    pub(super) mutant: Cell<Option<super::Mutant>>,
}

impl Shared {
    pub(super) fn new(encoder: Encoder, head: Vec<u8>, counts: bool) -> Shared {
        let pending = Cell::new(head.len());
        Shared {
            encoder: RefCell::new(encoder),
            pieces: RefCell::new(VecDeque::from([head])),
            values: RefCell::default(),
            pending,
            meter: Meter::default(),
            frozen: RefCell::default(),
            walk_bytes: Cell::new(0),
            counts,
            #[cfg(any(test, feature = "mutants"))]
            mutant: Cell::new(None),
        }
    }

    /// Lets `f` append to the file, behind what waits.
    pub(super) fn append(&self, f: impl FnOnce(&mut Encoder, &mut Vec<u8>)) {
        let mut pieces = self.pieces.borrow_mut();
        if pieces.back().is_none_or(|piece| piece.len() >= PIECE_BYTES) {
            pieces.push_back(Vec::new());
        }
        let Some(piece) = pieces.back_mut() else { unreachable!("one was just added") };
        let before = piece.len();
        f(&mut self.encoder.borrow_mut(), piece);
        self.pending.set(self.pending.get() + piece.len() - before);
    }

    /// Lets `f` encode what comes next, where nothing waits.
    pub(super) fn encode(&self, f: impl FnOnce(&mut Encoder)) {
        debug_assert!(
            self.pieces.borrow().is_empty(),
            "bytes are written in the order of encoding"
        );
        f(&mut self.encoder.borrow_mut());
    }

    /// The encoder, when no walk is left.
    pub(super) fn into_encoder(self) -> Encoder {
        self.encoder.into_inner()
    }

    /// A value whose key is in the file comes later.
    pub(super) fn put_off(&self, value: Value) {
        if let Source::Body { bytes, at, counted: true } = &value.source {
            self.pending.set(self.pending.get() + bytes.len() - at);
        }
        self.values.borrow_mut().push_back(value);
    }

    /// The value to go on with. It has to come back unless it has been written.
    pub(super) fn take_value(&self) -> Option<Value> {
        self.values.borrow_mut().pop_front()
    }

    /// See [`Shared::take_value`].
    pub(super) fn give_back(&self, value: Value) {
        self.values.borrow_mut().push_front(value);
    }

    /// Values on their way.
    pub(super) fn values(&self) -> &RefCell<VecDeque<Value>> {
        &self.values
    }

    /// So many bytes of counted bodies have been written.
    pub(super) fn written(&self, bytes: usize) {
        self.pending.set(self.pending.get() - bytes);
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The string at a key is about to be changed: what is left of it is taken over. `whole` moves it out,
    /// because the key is to get another value; otherwise it is copied.
    pub(super) fn text_will_change(&self, db: u32, entry: &mut EntryMut<'_, Object>, whole: bool) {
        let mut values = self.values.borrow_mut();
        let of = |v: &&mut Value| matches!(&v.source, Source::Text { db: d, key, .. } if *d == db && **key == *entry.key());
        let Some(value) = values.iter_mut().find(of) else { return };
        let Source::Text { at, .. } = value.source else { return };
        let moved = if whole { entry.take_bytes() } else { None };
        value.source = match (moved, entry.value()) {
            (Some(bytes), _) => Source::Body { bytes, at, counted: false },
            (None, ValueRef::Bytes(b)) => {
                let bytes = b[at..].to_vec();
                self.pending.set(self.pending.get() + bytes.len());
                Source::Body { bytes, at: 0, counted: true }
            }
            (None, ValueRef::Int(_) | ValueRef::Object(_)) => return,
        };
    }

    /// Appends pieces that wait to `out`, one at least, up to about `budget` bytes. Whether any did.
    pub(super) fn take(&self, out: &mut Vec<u8>, budget: usize) -> bool {
        let start = out.len();
        let mut pieces = self.pieces.borrow_mut();
        while out.len() - start < budget.max(1)
            && let Some(piece) = pieces.pop_front()
        {
            self.pending.set(self.pending.get() - piece.len());
            out.extend_from_slice(&piece);
        }
        out.len() > start
    }

    /// Bytes serialised or copied and not taken.
    pub(super) fn pending(&self) -> usize {
        self.pending.get() + self.meter.bytes()
    }

    /// Keys serialised so far.
    pub(super) fn entries(&self) -> u64 {
        self.encoder.borrow().entries()
    }

    pub(super) fn add_walk_bytes(&self, bytes: usize) {
        self.walk_bytes.set(self.walk_bytes.get() + bytes);
    }

    /// Bytes of the walks, and of databases and values that are kept for them and belong to nobody else.
    pub(super) fn held_bytes(&self) -> usize {
        let frozen = self.frozen.borrow().iter().map(|f| f.bytes).sum::<usize>();
        let aside = |value: &Value| match &value.source {
            Source::Aside(object) => object.mem_bytes(),
            Source::Body { bytes, counted: false, .. } => bytes.capacity(),
            Source::Body { .. } | Source::Text { .. } | Source::Live { .. } => 0,
        };
        let aside = self.values.borrow().iter().map(aside).sum::<usize>();
        self.walk_bytes.get() + frozen + aside
    }

    /// The databases that have been emptied and are not written yet.
    pub(super) fn frozen(&self) -> &RefCell<Vec<Frozen>> {
        &self.frozen
    }
}

/// The keys of a database that was emptied while a snapshot walked it. Nobody changes them any more.
pub(crate) struct Frozen {
    pub(super) table: Table<Object>,
    pub(super) walk: Box<Walk>,
    /// Bytes of table and values.
    pub(super) bytes: usize,
}

impl Frozen {
    /// See [`Keys::walked_object`](crate::db::Keys).
    pub(super) fn walked_object(&mut self, key: &[u8], id: u64) -> Option<&mut Object> {
        let object = self.table.get_mut(key)?.into_object_mut()?;
        (object.walk_tag() == Some(id)).then_some(object)
    }

    /// Keeps a table for the snapshot that walks it.
    pub(crate) fn keep(table: Table<Object>, walk: Box<Walk>, bytes: usize) {
        let shared = Rc::clone(walk.shared());
        shared.frozen.borrow_mut().push(Frozen { table, walk, bytes });
    }
}
