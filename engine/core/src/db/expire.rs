//! Removal of keys whose time has run out, or that must make room.

use super::Keyspace;
use super::keyspace::removal_word;
use crate::event::Event;
use crate::journal::Fate;

impl Keyspace<'_> {
    /// Removes up to `budget` expired keys of the current database, each with its logged DEL.
    /// Returns how many. The table keeps a lower bound of the earliest expiry per segment, so a
    /// sweep over keys that live on costs next to nothing.
    pub(crate) fn reap(&mut self, budget: usize) -> usize {
        let now_ms = self.now.unix_ms;
        let db = &mut self.dbs[usize::from(self.cur)];
        if db.table.expires() == 0 {
            return 0;
        }
        let mut keys: Vec<Box<[u8]>> = Vec::new();
        db.table.reap_expired(&mut db.reap_cursor, now_ms, budget, |key| keys.push(key.into()));
        let mut reaped = 0;
        for key in &keys {
            reaped += usize::from(self.expire_if_due(key));
        }
        reaped
    }

    /// Removes a key if its time has run out; logged as DEL, told as `expired`.
    pub(crate) fn expire_if_due(&mut self, key: &[u8]) -> bool {
        let db = &mut self.dbs[usize::from(self.cur)];
        let due =
            db.table.get(key).is_some_and(|e| e.expire_ms().is_some_and(|t| t <= self.now.unix_ms));
        if due {
            self.before_change(key);
            self.drop_key(key, self.trash.lazy.expire);
            let words = [removal_word(self.trash.lazy.expire), key];
            self.unit.side_effect(self.cur, &words, Fate::EXPIRED);
            self.unit.note(self.cur, key, Event::EXPIRED);
            self.stats.expired_keys += 1;
        }
        due
    }

    /// Removes a key because memory is short; logged as DEL, told as `evicted`.
    pub(crate) fn evict(&mut self, key: &[u8]) {
        self.before_change(key);
        if self.drop_key(key, self.trash.lazy.eviction) {
            let words = [removal_word(self.trash.lazy.eviction), key];
            self.unit.side_effect(self.cur, &words, Fate::EVICTED);
            self.unit.note(self.cur, key, Event::EVICTED);
            self.stats.evicted_keys += 1;
        }
    }
}
