//! WATCH: optimistic locks on keys.
//!
//! A session owns one flag; every watched key points to it. A change of the key raises the
//! flag, and EXEC looks at nothing else, apart from keys whose time ran out unnoticed.

use super::Db;
use std::cell::Cell;
use std::rc::Rc;

/// Raised when a watched key changed.
pub type WatchFlag = Rc<Cell<bool>>;

/// A watched key of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchId {
    /// Database.
    pub db: u16,
    /// Key.
    pub key: Box<[u8]>,
    /// The key had already expired when WATCH was called; removing its corpse is no change.
    pub expired: bool,
}

#[derive(Debug)]
pub(crate) struct Watcher {
    flag: WatchFlag,
    expired: bool,
}

impl Db {
    pub(crate) fn watch(&mut self, key: &[u8], flag: &WatchFlag, expired: bool) {
        self.watchers
            .entry(key.into())
            .or_default()
            .push(Watcher { flag: Rc::clone(flag), expired });
    }

    pub(crate) fn unwatch(&mut self, key: &[u8], flag: &WatchFlag) {
        if let Some(list) = self.watchers.get_mut(key) {
            list.retain(|w| !Rc::ptr_eq(&w.flag, flag));
            if list.is_empty() {
                self.watchers.remove(key);
            }
        }
    }

    /// The key changed. `expiry`: because its time ran out.
    pub(crate) fn raise_watchers(&mut self, key: &[u8], expiry: bool) {
        if let Some(list) = self.watchers.get_mut(key) {
            for w in list {
                if expiry && w.expired {
                    w.expired = false;
                } else {
                    w.flag.set(true);
                }
            }
        }
    }

    /// The whole database changed (FLUSHDB, SWAPDB): every watched key that exists here or in
    /// `other`, the content that takes its place, has changed.
    pub(crate) fn raise_existing(&self, other: Option<&Db>, now_ms: u64) {
        let live = |db: &Db, key: &[u8]| db.table.get(key).is_some_and(|e| db.is_live(e, now_ms));
        for (key, list) in &self.watchers {
            if live(self, key) || other.is_some_and(|o| live(o, key)) {
                for w in list {
                    w.flag.set(true);
                }
            }
        }
    }
}
