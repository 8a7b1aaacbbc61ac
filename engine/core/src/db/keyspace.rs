//! The one gate for mutation.

use super::edit::Quiet;
use super::whole::replaced;
use super::{Access, Db, Edit, Live, StrValue, Trash, USER_RAW, type_name};
use crate::clock::{Now, Rng};
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::stats::Stats;
use crate::journal::{Fate, Unit};
use crate::script::Scripts;
use crate::slots::Slots;
use crate::snapshot::{self, Snapshot};
use crate::types::{Collection, Limits, Object};
use moon_ds::{BytesMut, Entry, Lookup, NewValue, ValueRef};
use moon_formats::number::parse_i64;

/// What happens to the time to live of a key that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// It is taken off.
    Clear,
    /// It stays as it is.
    Keep,
    /// It becomes this, in milliseconds since 1970.
    At(u64),
}

/// The databases as commands that write see them.
pub struct Keyspace<'a> {
    pub(crate) dbs: &'a mut [Db],
    pub(crate) cur: u16,
    pub(crate) unit: &'a mut Unit,
    pub(crate) stats: &'a mut Stats,
    /// Chance of the shard.
    pub rng: &'a mut Rng,
    /// The instant of the command.
    pub now: Now,
    /// What stamps the entries used.
    pub(crate) access: &'a Access,
    /// Encoding thresholds.
    pub limits: &'a Limits,
    /// Libraries of functions.
    pub(crate) scripts: &'a mut Scripts,
    /// Slots of readers of changes.
    pub(crate) slots: &'a mut Slots,
    /// Values to be freed elsewhere.
    pub(crate) trash: &'a mut Trash,
    /// The snapshot that is being written.
    pub(crate) snapshot: &'a mut Option<Box<Snapshot>>,
}

impl<'a> Keyspace<'a> {
    /// Number of the current database.
    pub fn db_index(&self) -> u16 {
        self.cur
    }

    /// Number of databases.
    pub fn db_count(&self) -> usize {
        self.dbs.len()
    }

    /// The same view with another current database.
    pub fn in_db(&mut self, db: u16) -> Keyspace<'_> {
        debug_assert!(usize::from(db) < self.dbs.len());
        Keyspace {
            dbs: self.dbs,
            cur: db,
            unit: self.unit,
            stats: self.stats,
            rng: self.rng,
            now: self.now,
            access: self.access,
            limits: self.limits,
            scripts: self.scripts,
            slots: self.slots,
            trash: self.trash,
            snapshot: self.snapshot,
        }
    }

    #[inline]
    pub(super) fn db(&mut self) -> &mut Db {
        &mut self.dbs[usize::from(self.cur)]
    }

    /// Drops the key if its time has run out. Costs a branch in a database without TTLs.
    #[inline]
    pub(super) fn settle(&mut self, key: &[u8]) {
        if self.db().table.expires() > 0 {
            self.expire_if_due(key);
        }
    }

    /// A key is about to be changed: how it is goes into the record, if somebody wants that.
    #[inline]
    pub(super) fn before_change(&mut self, key: &[u8]) {
        if self.unit.wants_images() {
            self.take_image(key);
        }
    }

    #[cold]
    fn take_image(&mut self, key: &[u8]) {
        if let Some(entry) = self.dbs[usize::from(self.cur)].table.get(key) {
            self.unit.take_image(self.cur, entry);
        }
    }

    /// The live entry of a key, to read.
    #[inline]
    pub fn get(&mut self, key: &[u8]) -> Option<&Entry<Object>> {
        self.settle(key);
        let access = self.access;
        let e = self.db().table.get(key)?;
        access.touch(e);
        Some(e)
    }

    /// The live entries of several keys at once, to read, each counted as a read's look.
    pub fn get_all(&mut self, keys: &[&[u8]]) -> Vec<Option<&Live>> {
        for key in keys {
            let found = self.exists(key);
            self.count_look(key, found);
        }
        let table = &self.db().table;
        keys.iter().map(|key| table.get(key)).collect()
    }

    /// Whether a live key exists.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// A string, to read.
    #[inline]
    pub fn string(&mut self, key: &[u8]) -> CmdResult<Option<StrValue<'_>>> {
        self.get(key).map(|e| StrValue::of(e.value())).transpose()
    }

    /// A string, to be given to the client: counted as hit or miss, as a read would be.
    pub fn string_counted(&mut self, key: &[u8]) -> CmdResult<Option<StrValue<'_>>> {
        let found = self.exists(key);
        self.count_look(key, found);
        self.string(key)
    }

    /// Counts a look at a key as a read's.
    pub fn count_look(&mut self, key: &[u8], found: bool) {
        if found {
            self.stats.keyspace_hits += 1;
        } else {
            self.stats.keyspace_misses += 1;
            self.unit.miss(self.cur, key);
        }
    }

    /// When a key expires, milliseconds since 1970.
    pub fn expire_ms(&mut self, key: &[u8]) -> Option<u64> {
        self.get(key)?.expire_ms()
    }

    /// Whether an instant has come. Never true while the log is read back.
    pub fn is_past(&self, at_ms: u64) -> bool {
        at_ms <= self.now.unix_ms
    }

    /// Whether the log is being read back: what was allowed once is not judged again.
    pub fn is_replay(&self) -> bool {
        self.now.unix_ms == 0
    }

    /// A collection, to read.
    pub fn collection<T: Collection>(&mut self, key: &[u8]) -> CmdResult<Option<&T>> {
        match self.get(key).map(|e| e.value()) {
            None => Ok(None),
            Some(ValueRef::Object(o)) => T::of(o).map(Some).ok_or(CmdError::WRONG_TYPE),
            Some(_) => Err(CmdError::WRONG_TYPE),
        }
    }

    /// Sets a key to a string, whatever it held. Canonical integers are kept as integers.
    /// Returns whether a live key was there.
    #[inline]
    pub fn put_string(&mut self, key: &[u8], value: &[u8], ttl: Ttl, event: Event) -> bool {
        let value = match parse_i64(value) {
            Some(n) => NewValue::Int(n),
            None => NewValue::Bytes(value),
        };
        self.put(key, value, ttl, event)
    }

    /// Sets a key to an integer, whatever it held.
    pub fn put_int(&mut self, key: &[u8], value: i64, ttl: Ttl, event: Event) -> bool {
        self.put(key, NewValue::Int(value), ttl, event)
    }

    /// Sets a key to a string that stays text even if it spells an integer (INCRBYFLOAT).
    pub fn put_bytes(&mut self, key: &[u8], value: &[u8], ttl: Ttl, event: Event) -> bool {
        self.put(key, NewValue::Bytes(value), ttl, event)
    }

    /// Sets a key to a string that a command has computed (BITOP); reported as `raw`.
    pub fn put_raw(&mut self, key: &[u8], value: &[u8], event: Event) -> bool {
        let existed = self.put(key, NewValue::Bytes(value), Ttl::Clear, event);
        if let Some(e) = self.db().table.get(key) {
            e.set_user(USER_RAW);
        }
        existed
    }

    /// Sets a key to a whole collection, whatever it held; an empty one removes the key.
    /// Returns whether a live key was there.
    pub fn put_collection<T: Collection>(&mut self, key: &[u8], value: T, event: Event) -> bool {
        if value.vanishes() {
            return self.remove(key, Event::DEL);
        }
        self.put(key, NewValue::Object(value.into_object()), Ttl::Clear, event)
    }

    #[inline]
    fn put(&mut self, key: &[u8], value: NewValue<'_, Object>, ttl: Ttl, event: Event) -> bool {
        self.settle(key);
        self.before_change(key);
        let (added, next) = match &value {
            NewValue::Object(o) => (o.mem_bytes(), o.next_expire()),
            _ => (0, None),
        };
        let mut old_next = None;
        let db = &mut self.dbs[usize::from(self.cur)];
        db.object_bytes += added;
        let existed = match db.table.lookup_to_replace(key) {
            Lookup::Found(mut e) => {
                let old_type = self.unit.collects_touched().then(|| type_name(&e.value()));
                if let Some(old) = e.set(value) {
                    db.object_bytes -= old.mem_bytes();
                    old_next = old.next_expire();
                    if let Some(old) = snapshot::unless_walked(self.snapshot, old) {
                        self.trash.value(old, self.trash.lazy.server_del);
                    }
                }
                if let Some(old_type) = old_type
                    && (ttl != Ttl::Keep || event == Event::SET)
                {
                    replaced(self.unit, self.cur, key, old_type, type_name(&e.value()));
                }
                e.set_user(0);
                self.access.touch(&e);
                match ttl {
                    Ttl::Keep => {}
                    Ttl::Clear if e.expire_ms().is_none() => {}
                    Ttl::Clear => e.set_expire(None),
                    Ttl::At(t) => e.set_expire(Some(t)),
                }
                true
            }
            Lookup::Vacant(v) => {
                let mut e = v.insert(value);
                self.access.begin(&e);
                if let Ttl::At(t) = ttl {
                    e.set_expire(Some(t));
                }
                false
            }
        };
        db.retime(key, old_next, next);
        self.tell(key, event, !existed);
        existed
    }

    /// Replaces the integer that a string spells, 0 if there is no key, in one probe.
    #[inline]
    pub fn edit_int(
        &mut self,
        key: &[u8],
        event: Event,
        f: impl FnOnce(i64) -> CmdResult<i64>,
    ) -> CmdResult<i64> {
        self.settle(key);
        self.before_change(key);
        let db = &mut self.dbs[usize::from(self.cur)];
        let (new, created) = match db.table.lookup(key) {
            Lookup::Found(mut e) => {
                let old = StrValue::of(e.value())?.as_int().ok_or(CmdError::NOT_INT)?;
                let new = f(old)?;
                e.set_int(new);
                e.set_user(0);
                self.access.touch(&e);
                (new, false)
            }
            Lookup::Vacant(v) => {
                let new = f(0)?;
                self.access.begin(&v.insert(NewValue::Int(new)));
                (new, true)
            }
        };
        self.tell(key, event, created);
        Ok(new)
    }

    /// Sets how long a key has not been used, or how often it is; what the policy does not track is ignored.
    pub fn set_use(&mut self, key: &[u8], idle_secs: Option<u64>, frequency: Option<u8>) {
        let access = self.access;
        if let Some(e) = self.db().table.get(key) {
            idle_secs.into_iter().for_each(|secs| access.set_idle(e, secs));
            frequency.into_iter().for_each(|count| access.set_frequency(e, count));
        }
    }

    /// Records a change; a key that came into being is told as `new` first.
    #[inline]
    fn tell(&mut self, key: &[u8], event: Event, created: bool) {
        if created {
            self.unit.note(self.cur, key, Event::NEW);
        }
        self.unit.touch(self.cur, key, event);
        self.unit.mark(self.cur, key, Fate::written(created));
    }

    /// Edits a string in place (APPEND, SETRANGE, SETBIT). `f` gets the bytes, growable, of the
    /// key or of a new empty string, and says whether it changed them. A new key that stayed
    /// unchanged is not created. An error must leave the bytes as they were.
    pub fn edit_bytes<R>(
        &mut self,
        key: &[u8],
        event: Event,
        f: impl FnOnce(&mut BytesMut<'_, '_, Object>) -> CmdResult<(R, bool)>,
    ) -> CmdResult<R> {
        self.settle(key);
        self.before_change(key);
        let db = &mut self.dbs[usize::from(self.cur)];
        let (mut e, existed) = db.table.get_or_insert_with(key, || NewValue::Bytes(b""));
        let Some(mut bytes) = e.bytes_mut() else { return Err(CmdError::WRONG_TYPE) };
        match f(&mut bytes) {
            Ok((r, true)) => {
                e.set_user(USER_RAW);
                self.access.stamp(&e, existed);
                self.tell(key, event, !existed);
                Ok(r)
            }
            other => {
                if !existed {
                    e.remove();
                } else if other.is_ok() {
                    // As in Redis: whoever might have changed the string has unpacked it.
                    e.set_user(USER_RAW);
                }
                other.map(|(r, _)| r)
            }
        }
    }

    /// Edits the collection at `key`; `None` if there is no such key.
    pub fn edit<T: Collection, R>(
        &mut self,
        key: &[u8],
        f: impl FnOnce(&mut T, &mut Edit<'_>) -> CmdResult<R>,
    ) -> CmdResult<Option<R>> {
        self.settle(key);
        self.before_change(key);
        let db = &mut self.dbs[usize::from(self.cur)];
        let Some(mut e) = db.table.get_mut(key) else { return Ok(None) };
        let Some(value) = e.object_mut().and_then(T::of_mut) else {
            return Err(CmdError::WRONG_TYPE);
        };
        let (before, next) = (value.mem_bytes(), value.next_expire());
        let mut edit = Edit::new(self.limits, self.rng, self.now);
        let result = f(value, &mut edit);
        db.object_bytes = db.object_bytes + value.mem_bytes() - before;
        let (emptied, new_next) = (value.vanishes(), value.next_expire());
        self.access.touch(&e);
        let (events, quiet) = (edit.events(), edit.quiet());
        let discarded = edit.take_discarded();
        db.retime(key, next, new_next);
        self.free_value(discarded);
        self.close_edit(key, events, quiet, emptied, false);
        result.map(Some)
    }

    /// Edits the collection at `key`, or a new empty one, which becomes the key's value unless
    /// it stays empty.
    pub fn edit_or_create<T: Collection, R>(
        &mut self,
        key: &[u8],
        f: impl FnOnce(&mut T, &mut Edit<'_>) -> CmdResult<R>,
    ) -> CmdResult<R> {
        self.settle(key);
        self.before_change(key);
        let db = &mut self.dbs[usize::from(self.cur)];
        let (mut e, existed) =
            db.table.get_or_insert_with(key, || NewValue::Object(T::new().into_object()));
        let Some(value) = e.object_mut().and_then(T::of_mut) else {
            return Err(CmdError::WRONG_TYPE);
        };
        let (before, next) =
            if existed { (value.mem_bytes(), value.next_expire()) } else { (0, None) };
        let mut edit = Edit::new(self.limits, self.rng, self.now);
        let result = f(value, &mut edit);
        db.object_bytes = db.object_bytes + value.mem_bytes() - before;
        let events = edit.events();
        let quiet = edit.quiet();
        let discarded = edit.take_discarded();
        // A new value that nothing was done to is not kept.
        let untouched = !existed && events[0].is_none() && quiet == Quiet::No;
        let (emptied, new_next) = (value.vanishes() || untouched, value.next_expire());
        self.access.stamp(&e, existed);
        db.retime(key, next, new_next);
        self.free_value(discarded);
        self.close_edit(key, events, quiet, emptied, !existed);
        result
    }

    #[inline]
    fn close_edit(
        &mut self,
        key: &[u8],
        events: [Option<Event>; 2],
        quiet: Quiet,
        emptied: bool,
        created: bool,
    ) {
        if created && !emptied {
            self.unit.note(self.cur, key, Event::NEW);
        }
        // One edit is one change, however many events it tells.
        if let [Some(first), second] = events {
            self.unit.touch(self.cur, key, first);
            if let Some(event) = second {
                self.unit.note(self.cur, key, event);
            }
        }
        if events[0].is_some() || quiet != Quiet::No {
            let fate = match (created, emptied) {
                (true, true) => Fate::PASSING,
                (false, true) => Fate::REMOVED,
                (created, false) => Fate::written(created),
            };
            self.unit.mark(self.cur, key, fate);
        }
        match quiet {
            Quiet::No => {}
            Quiet::Uncounted => self.unit.touch_uncounted(),
            Quiet::Counted => self.unit.touch_quietly(),
        }
        if emptied {
            self.drop_key(key, false);
            if !created {
                debug_assert!(events[0].is_some(), "a collection emptied without an event");
                self.unit.note(self.cur, key, Event::DEL);
            }
        }
    }

    /// Sets or takes off the time to live of a live key. A time that has come already removes
    /// the key. Returns whether the key was there.
    pub fn set_expire(&mut self, key: &[u8], at_ms: Option<u64>, event: Event) -> bool {
        self.settle(key);
        self.before_change(key);
        let cur = self.cur;
        let db = self.db();
        let Some(mut e) = db.table.get_mut_beside(key) else { return false };
        e.set_expire(at_ms);
        self.unit.touch(cur, key, event);
        self.unit.mark(cur, key, Fate::CHANGED);
        true
    }

    /// What the running command has changed so far counts as one change, however many keys it took.
    pub fn count_as_one_change(&mut self) {
        self.unit.count_as_one();
    }

    /// Names a second event of a change that has been made (`expire` after `set`).
    pub fn also(&mut self, key: &[u8], event: Event) {
        self.unit.note(self.cur, key, event);
    }

    /// States the logged form of the running command, in place of its own words. May be called
    /// more than once.
    pub fn effect(&mut self, words: &[&[u8]]) {
        self.unit.effect(self.cur, words);
    }

    /// States the removal of a key as the logged form, in the word for the way in which it is freed.
    pub fn removal_effect(&mut self, key: &[u8]) {
        let word = removal_word(self.trash.lazy.server_del);
        self.effect(&[word, key]);
    }

    /// Whether anybody wants the logged form.
    #[inline]
    pub fn wants_effects(&self) -> bool {
        self.unit.wants_effects()
    }

    /// Whether the running command has changed something so far.
    pub fn command_changed(&self) -> bool {
        self.unit.command_changed()
    }

    /// The running command's effects are complete without its own words.
    pub fn no_own_effect(&mut self) {
        self.unit.rewritten();
    }
}

/// The word that removes a key and leaves freeing it to somebody else, or does it at once.
pub(super) fn removal_word(later: bool) -> &'static [u8] {
    if later { b"UNLINK" } else { b"DEL" }
}
