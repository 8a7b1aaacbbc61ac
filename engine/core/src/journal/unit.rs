//! One unit of work while it is being collected.

use super::marks::{Fate, Marks};
use crate::args::Args;
use crate::db::Live;
use crate::event::Event;
use moon_formats::resp::encode_command;

/// Bytes before the effects, for their length where what they did follows them.
const LEN_BYTES: usize = 4;

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
    /// The payload of the record: room for a length, the effects, and once it is sealed what they did.
    payload: Vec<u8>,
    /// Where the effects end; 0 while more may come.
    forms_end: usize,
    marks: Marks,
    /// The unit concerns this server alone: it is not shown to replicas and followers of changes.
    internal: bool,
    arrays: u32,
    /// Database of the record and of the last array in it.
    db: u16,
    array_db: u16,
    changes: u64,
    touched: Vec<Touched>,
    keys: Vec<u8>,
    collect_forms: bool,
    collect_touched: bool,
    collect_misses: bool,
    /// Effects and changes of the command now running.
    command_changes: u64,
    rewritten: bool,
    /// It has been logged: what comes next is another unit.
    over: bool,
}

impl Unit {
    /// Opens a unit. `forms`: somebody wants the effects; `touched`: somebody wants the keys;
    /// `misses`: somebody wants the keys that were looked for in vain; `images`: somebody wants to know how
    /// changed keys were before.
    #[inline]
    pub(crate) fn begin(&mut self, forms: bool, touched: bool, misses: bool, images: bool) {
        self.payload.clear();
        self.payload.extend_from_slice(&[0; LEN_BYTES]);
        self.forms_end = 0;
        self.marks.begin(images);
        self.internal = false;
        self.over = false;
        self.touched.clear();
        self.keys.clear();
        self.arrays = 0;
        self.changes = 0;
        self.collect_forms = forms;
        self.collect_touched = touched;
        self.collect_misses = misses;
        self.begin_command();
    }

    /// Collects more from here on.
    pub(crate) fn also_collect(&mut self, touched: bool, misses: bool) {
        self.collect_touched |= touched;
        self.collect_misses |= misses;
    }

    /// Starts the next command of the unit.
    #[inline]
    pub(crate) fn begin_command(&mut self) {
        self.marks.close(&self.payload);
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

    /// Whether anybody wants the effects.
    #[inline]
    pub fn wants_effects(&self) -> bool {
        self.collect_forms
    }

    /// The running command's effects are complete without its own words.
    pub fn rewritten(&mut self) {
        self.rewritten = true;
    }

    /// Adds an effect that precedes the running command's own (the DEL of a key found expired), and what it
    /// did to the key that is its first argument.
    pub(crate) fn side_effect(&mut self, db: u16, words: &[&[u8]], fate: Fate) {
        if self.collect_forms {
            self.push_form(db, words);
            self.marks.aside(words[1], db, fate);
        }
        self.changes += 1;
    }

    /// Says what the running command does to a key.
    #[inline]
    pub(crate) fn mark(&mut self, db: u16, key: &[u8], fate: Fate) {
        if self.collect_forms {
            self.marks.mark(key, db, fate);
        }
    }

    /// Whether keys are to be taken down before they change.
    #[inline]
    pub(crate) fn wants_images(&self) -> bool {
        self.marks.wants_images()
    }

    /// Takes a key down that is about to change.
    pub(crate) fn take_image(&mut self, db: u16, entry: &Live) {
        self.marks.take_image(db, entry);
    }

    /// The unit concerns this server alone.
    pub(crate) fn keep_internal(&mut self) {
        self.internal = true;
    }

    /// Whether it does.
    pub(crate) fn is_internal(&self) -> bool {
        self.internal
    }

    /// Ends the unit. False if it has ended already, and none was begun since.
    #[inline]
    pub(crate) fn end(&mut self) -> bool {
        !std::mem::replace(&mut self.over, true)
    }

    /// The unit is complete. Returns the payload of its record, and whether that says what became of keys.
    pub(crate) fn seal(&mut self) -> (&[u8], bool) {
        self.forms_end = self.payload.len();
        let resp_len = (self.forms_end - LEN_BYTES) as u32;
        if self.marks.finish(&mut self.payload) {
            self.payload[..LEN_BYTES].copy_from_slice(&resp_len.to_le_bytes());
            return (&self.payload, true);
        }
        (&self.payload[LEN_BYTES..], false)
    }

    fn push_form(&mut self, db: u16, words: &[&[u8]]) {
        if self.arrays == 0 {
            self.db = db;
            self.array_db = db;
        } else if self.array_db != db {
            let number = db.to_string();
            let select = [b"SELECT".as_slice(), number.as_bytes()];
            self.marks.array(self.payload.len(), db, &select);
            self.marks.last_is_aside();
            encode_command(&mut self.payload, select.into_iter());
            self.array_db = db;
        }
        self.marks.array(self.payload.len(), db, words);
        encode_command(&mut self.payload, words.iter().copied());
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

    /// Records a read of a key that does not exist.
    #[inline]
    pub(crate) fn miss(&mut self, db: u16, key: &[u8]) {
        if self.collect_misses {
            let touched = std::mem::replace(&mut self.collect_touched, true);
            self.note(db, key, Event::KEY_MISS);
            self.collect_touched = touched;
        }
    }

    /// Records a change of a whole database, which has no key (FLUSHALL, SWAPDB).
    pub(crate) fn touch_db(&mut self, db: u16, event: Event) {
        self.touch(db, &[], event);
    }

    /// Records a change of a key that watchers of it are not told of.
    pub(crate) fn touch_quietly(&mut self) {
        self.command_changes += 1;
        self.changes += 1;
    }

    /// Records something to be logged that is no change of the data set.
    pub(crate) fn touch_uncounted(&mut self) {
        self.command_changes += 1;
    }

    /// Makes the changes of the running command one.
    pub(crate) fn count_as_one(&mut self) {
        self.changes = self.changes.saturating_sub(self.command_changes.saturating_sub(1));
        self.command_changes = self.command_changes.min(1);
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

    /// Database of the last effect.
    pub fn last_db(&self) -> u16 {
        self.array_db
    }

    /// Number of effects; the SELECTs between those of different databases are none.
    pub fn effects(&self) -> u32 {
        self.arrays
    }

    /// The effects: RESP2 arrays back to back.
    pub fn forms(&self) -> &[u8] {
        let end = if self.forms_end == 0 { self.payload.len() } else { self.forms_end };
        self.payload.get(LEN_BYTES..end).unwrap_or_default()
    }

    /// Whether somebody wants the keys.
    #[inline]
    pub(crate) fn collects_touched(&self) -> bool {
        self.collect_touched
    }

    /// Keys and events collected so far.
    #[inline]
    pub(crate) fn touched_len(&self) -> usize {
        self.touched.len()
    }

    /// Keys changed so far, in order.
    pub fn touched(&self) -> impl Iterator<Item = (u16, &[u8], Event)> {
        self.touched.iter().map(|t| {
            let key = self.keys.get(t.start as usize..(t.start + t.len) as usize);
            (t.db, key.unwrap_or_default(), t.event)
        })
    }
}
