//! Keys that leave: one by one, or a database at a time.

use super::{Keyspace, LazyFree};
use crate::event::Event;
use crate::journal::Fate;
use crate::snapshot;
use crate::types::Object;
use moon_ds::{Removed, ValueRef};

impl Keyspace<'_> {
    /// Which removals leave freeing to somebody else.
    pub fn lazy_free(&self) -> LazyFree {
        self.trash.lazy
    }

    /// Removes a key as a side effect; returns whether a live one was there.
    pub fn remove(&mut self, key: &[u8], event: Event) -> bool {
        let later = self.trash.lazy.server_del;
        self.remove_freeing(key, event, later)
    }

    /// Removes a key; `later` leaves freeing a large value to somebody else. Returns whether a live one
    /// was there.
    pub fn remove_freeing(&mut self, key: &[u8], event: Event, later: bool) -> bool {
        self.settle(key);
        self.before_change(key);
        let there = self.drop_key(key, later);
        if there {
            self.unit.touch(self.cur, key, event);
            self.unit.mark(self.cur, key, Fate::REMOVED);
        }
        there
    }

    /// Takes a key out of the table, accounting included. Says nothing to anyone.
    pub(crate) fn drop_key(&mut self, key: &[u8], later: bool) -> bool {
        let Some(entry) = self.take_raw(key, true) else { return false };
        self.free(entry, later);
        true
    }

    /// Takes an entry out of the table, accounting included. `for_good`: nobody wants the value any more.
    pub(super) fn take_raw(&mut self, key: &[u8], for_good: bool) -> Option<Removed<Object>> {
        let db = self.db();
        let removed = match for_good {
            true => db.table.remove_for_good(key)?,
            false => db.table.remove(key)?,
        };
        if let ValueRef::Object(o) = removed.value() {
            db.forget(key, o);
        }
        Some(removed)
    }

    /// Frees an entry, now or later, unless a snapshot still writes its value.
    pub(super) fn free(&mut self, entry: Removed<Object>, later: bool) {
        if entry.object().is_some_and(|o| o.walk_tag().is_some()) {
            self.free_value(entry.into_object());
        } else {
            self.trash.entry(entry, later);
        }
    }

    /// Frees what an edit has left over, now or later, unless a snapshot still writes it.
    pub(super) fn free_value(&mut self, object: Option<Object>) {
        if let Some(object) = object
            && let Some(object) = snapshot::unless_walked(self.snapshot, object)
        {
            self.trash.value(object, self.trash.lazy.server_del);
        }
    }

    /// Removes every key of a database; `later` leaves freeing them to somebody else. Returns how many
    /// there were.
    pub fn flush(&mut self, db: u16, later: bool) -> u64 {
        let now_ms = self.now.unix_ms;
        let d = &mut self.dbs[usize::from(db)];
        d.raise_existing(None, now_ms);
        let n = d.table.len() as u64;
        let bytes = d.table.mem_bytes() + d.object_bytes;
        // A snapshot may still need them, and values among them that have come from elsewhere.
        if let Some(snapshot) = self.snapshot {
            snapshot.before_flush(&mut d.table);
        }
        if let Some(table) = d.table.take_all(bytes) {
            self.trash.database(table, bytes, later);
        }
        d.object_bytes = 0;
        d.field_times.clear();
        d.reap_cursor = 0;
        self.unit.touch_db(db, Event::FLUSHED);
        n
    }

    /// The client of the running command is to be answered when what it left has been freed.
    pub fn await_free(&mut self) {
        self.trash.await_free();
    }

    /// Exchanges the content of two databases.
    pub fn swap(&mut self, a: u16, b: u16) {
        let now_ms = self.now.unix_ms;
        let (a, b) = (usize::from(a), usize::from(b));
        if a != b {
            self.dbs[a].raise_existing(Some(&self.dbs[b]), now_ms);
            self.dbs[b].raise_existing(Some(&self.dbs[a]), now_ms);
            self.dbs.swap(a, b);
            // Watches belong to the number, not to the content.
            let watchers = std::mem::take(&mut self.dbs[a].watchers);
            let other = std::mem::replace(&mut self.dbs[b].watchers, watchers);
            self.dbs[a].watchers = other;
        }
        self.unit.touch_db(a as u16, Event::SWAPPED);
        self.unit.note(b as u16, &[], Event::SWAPPED);
    }
}
