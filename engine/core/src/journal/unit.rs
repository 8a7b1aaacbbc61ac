//! One unit of work while it is being collected.

use crate::args::Args;
use crate::event::Event;
use moon_formats::resp::encode_command;

/// A key that a unit changed.
#[derive(Debug, Clone, Copy)]
pub struct Touched {
    /// Database of the key.
    pub db: u16,
    /// What happened.
    pub event: Event,
    start: u32,
    len: u32,
}

/// Collector of a unit's effects and events. Buffers are kept from unit to unit.
#[derive(Default)]
pub struct Unit {
    forms: Vec<u8>,
    arrays: u32,
    /// Database of the record and of the last array in it.
    db: u16,
    array_db: u16,
    changes: u64,
    touched: Vec<Touched>,
    keys: Vec<u8>,
    collect_forms: bool,
    collect_touched: bool,
    /// Effects and changes of the command now running.
    command_changes: u64,
    rewritten: bool,
}

impl Unit {
    /// Opens a unit. `forms`: somebody wants the effects; `touched`: somebody wants the keys.
    #[inline]
    pub(crate) fn begin(&mut self, forms: bool, touched: bool) {
        self.forms.clear();
        self.touched.clear();
        self.keys.clear();
        self.arrays = 0;
        self.changes = 0;
        self.collect_forms = forms;
        self.collect_touched = touched;
        self.begin_command();
    }

    /// Starts the next command of the unit.
    #[inline]
    pub(crate) fn begin_command(&mut self) {
        self.command_changes = 0;
        self.rewritten = false;
    }

    /// Ends a command: if it changed anything and stated no form of its own, its effect is
    /// itself, word by word.
    #[inline]
    pub(crate) fn end_command(&mut self, db: u16, args: Args<'_>) {
        if self.command_changes > 0 && !self.rewritten && self.collect_forms {
            self.push_form(db, args.all());
        }
    }

    /// States the deterministic form of the running command, in place of its own words. May be
    /// called more than once; the arrays are applied in order.
    pub fn effect(&mut self, db: u16, words: &[&[u8]]) {
        self.rewritten = true;
        if self.collect_forms {
            self.push_form(db, words);
        }
    }

    /// The running command's effects are complete without its own words.
    pub fn rewritten(&mut self) {
        self.rewritten = true;
    }

    /// Adds an effect that precedes the running command's own (the DEL of a key found expired).
    pub(crate) fn side_effect(&mut self, db: u16, words: &[&[u8]]) {
        if self.collect_forms {
            self.push_form(db, words);
        }
        self.changes += 1;
    }

    fn push_form(&mut self, db: u16, words: &[&[u8]]) {
        if self.arrays == 0 {
            self.db = db;
            self.array_db = db;
        } else if self.array_db != db {
            let number = db.to_string();
            encode_command(&mut self.forms, [b"SELECT".as_slice(), number.as_bytes()].into_iter());
            self.array_db = db;
        }
        encode_command(&mut self.forms, words.iter().copied());
        self.arrays += 1;
    }

    /// Records that a key changed.
    #[inline]
    pub(crate) fn touch(&mut self, db: u16, key: &[u8], event: Event) {
        self.command_changes += 1;
        self.changes += 1;
        self.note(db, key, event);
    }

    /// Records an event beside a side effect, which has been counted already.
    pub(crate) fn note(&mut self, db: u16, key: &[u8], event: Event) {
        if self.collect_touched {
            let start = self.keys.len() as u32;
            self.keys.extend_from_slice(key);
            self.touched.push(Touched { db, event, start, len: key.len() as u32 });
        }
    }

    /// Records a change that has no key of its own (FLUSHALL, SWAPDB).
    pub(crate) fn touch_all(&mut self) {
        self.command_changes += 1;
        self.changes += 1;
    }

    /// Whether the running command has changed something.
    pub fn command_changed(&self) -> bool {
        self.command_changes > 0
    }

    /// Changes counted so far.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether there is anything to log.
    #[inline]
    pub fn has_effects(&self) -> bool {
        self.arrays > 0
    }

    /// Database of the record.
    pub fn db(&self) -> u16 {
        self.db
    }

    /// The effects: RESP2 arrays back to back.
    pub fn forms(&self) -> &[u8] {
        &self.forms
    }

    /// Keys changed so far, in order.
    pub fn touched(&self) -> impl Iterator<Item = (u16, &[u8], Event)> {
        self.touched.iter().map(|t| {
            let key = self.keys.get(t.start as usize..(t.start + t.len) as usize);
            (t.db, key.unwrap_or_default(), t.event)
        })
    }
}
