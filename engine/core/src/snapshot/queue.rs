//! What the walks of one snapshot have in common: the file so far, and what of it has not been taken yet.
//!
//! One idea: everything goes through one encoder in the order in which it is written, so what a change of a
//! key had serialised is a finished piece of the file that only waits to be taken. Nothing else is encoded
//! before it has been.

use super::walk::Walk;
use crate::types::Object;
use moon_ds::Table;
use moon_formats::rrdshard::Encoder;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// Bytes from which on a piece of the queue takes no more.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes of a chunk of a large value.
const CHUNK_BYTES: usize = 64 << 10;

/// A value that stands apart from its key, with how much of it is in the file.
struct Value {
    id: u64,
    body: Vec<u8>,
    at: usize,
}

/// See the module page.
pub(super) struct Shared {
    encoder: RefCell<Encoder>,
    /// Bytes of the file that wait to be taken.
    pieces: RefCell<VecDeque<Vec<u8>>>,
    /// Values whose keys are in the file, in the order of their keys.
    values: RefCell<VecDeque<Value>>,
    pending: Cell<usize>,
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
        debug_assert_eq!(
            self.pending(),
            0,
            "the file is written in the order in which it is encoded"
        );
        f(&mut self.encoder.borrow_mut());
    }

    /// The encoder, when no walk is left.
    pub(super) fn into_encoder(self) -> Encoder {
        self.encoder.into_inner()
    }

    /// A value whose key is in the file comes later.
    pub(super) fn put_off(&self, id: u64, body: Vec<u8>) {
        self.pending.set(self.pending.get() + body.len());
        self.values.borrow_mut().push_back(Value { id, body, at: 0 });
    }

    /// Appends what waits to `out`, one piece at least, up to about `budget` bytes. Whether anything did.
    pub(super) fn take(&self, out: &mut Vec<u8>, budget: usize) -> bool {
        let start = out.len();
        let mut pieces = self.pieces.borrow_mut();
        while out.len() - start < budget.max(1)
            && let Some(piece) = pieces.pop_front()
        {
            self.pending.set(self.pending.get() - piece.len());
            out.extend_from_slice(&piece);
        }
        // A chunk may be encoded only behind all that has been.
        if pieces.is_empty() && out.len() - start < budget.max(1) {
            self.take_chunks(out, start + budget.max(1));
        }
        out.len() > start
    }

    fn take_chunks(&self, out: &mut Vec<u8>, until: usize) {
        let mut values = self.values.borrow_mut();
        while out.len() < until
            && let Some(value) = values.front_mut()
        {
            let end = value.body.len().min(value.at + CHUNK_BYTES);
            let last = end == value.body.len();
            self.encoder.borrow_mut().chunk(value.id, &value.body[value.at..end], last, out);
            self.pending.set(self.pending.get() - (end - value.at));
            value.at = end;
            if last {
                values.pop_front();
            }
        }
    }

    /// Bytes serialised and not taken.
    pub(super) fn pending(&self) -> usize {
        self.pending.get()
    }

    /// Keys serialised so far.
    pub(super) fn entries(&self) -> u64 {
        self.encoder.borrow().entries()
    }

    pub(super) fn add_walk_bytes(&self, bytes: usize) {
        self.walk_bytes.set(self.walk_bytes.get() + bytes);
    }

    /// Bytes of the walks, and of emptied databases that are kept for them.
    pub(super) fn held_bytes(&self) -> usize {
        self.walk_bytes.get() + self.frozen.borrow().iter().map(|f| f.bytes).sum::<usize>()
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
    /// Keeps a table for the snapshot that walks it.
    pub(crate) fn keep(table: Table<Object>, walk: Box<Walk>, bytes: usize) {
        let shared = Rc::clone(walk.shared());
        shared.frozen.borrow_mut().push(Frozen { table, walk, bytes });
    }
}
