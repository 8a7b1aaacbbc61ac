//! What became of each key by the effects of a unit: created, removed, changed.
//!
//! The one idea: the words of an effect say which key it changed, nearly always, and what they cannot say is
//! put behind them in the record. A follower of changes then needs no data set to tell an update from a
//! creation, or the HDEL that took a hash's last field from one that did not.
//!
//! Invariants:
//! * A unit in which each effect changed its first argument, and created and removed nothing, costs no byte.
//! * The entries of a command are complete: whatever key it changed has one.
//! * With images on, the first entry of a key that existed when its command began says how it was.

use super::images::{Before, Images};
use crate::db::Live;
use moon_formats::resp::CommandIter;
use moon_formats::wal::{EffectMeta, KeyPlace, RECORD_LEN_MAX};

/// What an effect did to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fate {
    created: bool,
    removed: bool,
    expired: bool,
    evicted: bool,
}

impl Fate {
    const NONE: Fate = Fate { created: false, removed: false, expired: false, evicted: false };
    /// The key was there, and is.
    pub(crate) const CHANGED: Fate = Fate::NONE;
    /// It came into being.
    pub(crate) const CREATED: Fate = Fate { created: true, ..Fate::NONE };
    /// It went.
    pub(crate) const REMOVED: Fate = Fate { removed: true, ..Fate::NONE };
    /// It was never there before or after.
    pub(crate) const PASSING: Fate = Fate { created: true, removed: true, ..Fate::NONE };
    /// Its time to live ran out.
    pub(crate) const EXPIRED: Fate = Fate { removed: true, expired: true, ..Fate::NONE };
    /// A part of it reached its time to live.
    pub(crate) const PART_EXPIRED: Fate = Fate { expired: true, ..Fate::NONE };
    /// It had to make room.
    pub(crate) const EVICTED: Fate = Fate { removed: true, evicted: true, ..Fate::NONE };

    /// Created, or changed.
    pub(crate) fn written(created: bool) -> Fate {
        if created { Fate::CREATED } else { Fate::CHANGED }
    }

    /// Both, one after the other.
    fn then(self, next: Fate) -> Fate {
        Fate {
            // Made anew in place of what went: the key is there, as before.
            created: self.created || (next.created && !self.removed),
            removed: (self.removed && !next.created) || next.removed,
            expired: self.expired || next.expired,
            evicted: self.evicted || next.evicted,
        }
    }
}

/// No array yet: the running command's arrays are not known before it has ended.
const OPEN: u32 = u32::MAX;

struct Entry {
    /// Number of the array it belongs to.
    array: u32,
    start: u32,
    len: u32,
    db: u16,
    fate: Fate,
    before: Before,
}

struct Array {
    /// Where it stands in the payload.
    start: u32,
    db: u16,
    /// Where its first argument stands; nothing of no length without one.
    first: u32,
    first_len: u32,
    /// No effect of the running command itself.
    aside: bool,
}

/// The collector of a unit. Buffers are kept from unit to unit.
#[derive(Default)]
pub(super) struct Marks {
    entries: Vec<Entry>,
    keys: Vec<u8>,
    arrays: Vec<Array>,
    images: Images,
    /// Where the running command's entries and arrays begin.
    open_entries: usize,
    open_arrays: usize,
}

impl Marks {
    /// Begins a unit. `images`: somebody wants to know how keys were before.
    #[inline]
    pub(super) fn begin(&mut self, images: bool) {
        self.images.begin(images);
        self.entries.clear();
        self.keys.clear();
        self.arrays.clear();
        self.open_entries = 0;
        self.open_arrays = 0;
    }

    /// Whether somebody wants to know how keys were before.
    #[inline]
    pub(super) fn wants_images(&self) -> bool {
        self.images.wanted
    }

    /// A key is about to change.
    pub(super) fn take_image(&mut self, db: u16, entry: &Live) {
        // What the running command did to it before is no state that anybody has seen.
        if self.find_open(db, entry.key()).is_none() {
            self.images.take(db, entry);
        }
    }

    /// An effect is about to be written at `start` of the payload.
    #[inline]
    pub(super) fn array(&mut self, start: usize, db: u16, words: &[&[u8]]) {
        let (mut first, mut first_len) = (start, 0);
        if let [name, key, ..] = words {
            let head = header_len(words.len()) + header_len(name.len()) + name.len() + 2;
            first += head + header_len(key.len());
            first_len = key.len();
        }
        let (first, first_len) = (first as u32, first_len as u32);
        self.arrays.push(Array { start: start as u32, db, first, first_len, aside: false });
    }

    /// The last array is none of the running command.
    pub(super) fn last_is_aside(&mut self) {
        if let Some(array) = self.arrays.last_mut() {
            array.aside = true;
        }
    }

    /// What the last array did to a key; it is none of the running command.
    pub(super) fn aside(&mut self, key: &[u8], db: u16, fate: Fate) {
        self.last_is_aside();
        let array = self.arrays.len() as u32 - 1;
        self.push(key, db, fate, array);
    }

    /// What the running command does to a key.
    #[inline]
    pub(super) fn mark(&mut self, key: &[u8], db: u16, fate: Fate) {
        match self.find_open(db, key) {
            Some(at) => {
                let entry = &mut self.entries[at];
                entry.fate = entry.fate.then(fate);
            }
            None => self.push(key, db, fate, OPEN),
        }
    }

    /// The running command's entry of a key. It tells the same key again at once, or comes back from its
    /// other key.
    #[inline]
    fn find_open(&self, db: u16, key: &[u8]) -> Option<usize> {
        let open = self.entries.iter().enumerate().skip(self.open_entries);
        let is_it = |entry: &Entry| entry.array == OPEN && entry.db == db && self.key(entry) == key;
        open.rev().take(2).find(|(_, entry)| is_it(entry)).map(|(at, _)| at)
    }

    #[inline]
    fn push(&mut self, key: &[u8], db: u16, fate: Fate, array: u32) {
        let start = self.keys.len() as u32;
        self.keys.extend_from_slice(key);
        let before = self.images.claim(db, key, array != OPEN);
        self.entries.push(Entry { array, start, len: key.len() as u32, db, fate, before });
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        &self.keys[entry.start as usize..(entry.start + entry.len) as usize]
    }

    /// The running command has ended: what it did belongs to its arrays.
    #[inline]
    pub(super) fn close(&mut self, payload: &[u8]) {
        let (entries, arrays) = (self.open_entries, self.open_arrays);
        if entries < self.entries.len() {
            let own = |(i, a): (usize, &Array)| (!a.aside).then_some(i as u32);
            let mut own = self.arrays.iter().enumerate().skip(arrays).filter_map(own);
            match (own.next(), own.next()) {
                // Nothing is logged of it.
                (None, _) => self.drop_open(),
                (Some(one), None) => {
                    let open = self.entries[entries..].iter_mut();
                    open.filter(|e| e.array == OPEN).for_each(|e| e.array = one);
                }
                (Some(_), Some(_)) => self.share_out(payload),
            }
        }
        self.open_entries = self.entries.len();
        self.open_arrays = self.arrays.len();
        self.images.close();
    }

    /// Takes the open entries out; those before them are not looked at, as a unit may hold very many.
    fn drop_open(&mut self) {
        let mut kept = self.open_entries;
        for at in self.open_entries..self.entries.len() {
            if self.entries[at].array != OPEN {
                self.entries.swap(kept, at);
                kept += 1;
            }
        }
        self.entries.truncate(kept);
    }

    /// Several arrays: each has an entry for each of the keys it names. The first made them, the last took
    /// them away.
    fn share_out(&mut self, payload: &[u8]) {
        let mut found = Vec::new();
        for (i, array) in self.arrays.iter().enumerate().skip(self.open_arrays) {
            if array.aside {
                continue;
            }
            let words = words_of(array, payload);
            let open = self.entries.iter().enumerate().skip(self.open_entries);
            for (e, entry) in open.filter(|(_, e)| e.array == OPEN) {
                if words.iter().skip(1).any(|w| *w == self.key(entry)) {
                    found.push((e, i as u32));
                }
            }
        }
        for (n, &(e, array)) in found.iter().enumerate() {
            let Entry { start, len, db, mut fate, mut before, .. } = self.entries[e];
            if found[..n].iter().any(|f| f.0 == e) {
                before = self.images.between(before, fate.created);
                fate.created = false;
            }
            fate.removed &= !found[n + 1..].iter().any(|f| f.0 == e);
            self.entries.push(Entry { array, start, len, db, fate, before });
        }
        self.drop_open();
    }

    /// Appends what the payload's effects did, if that is more than they say themselves.
    pub(super) fn finish(&mut self, payload: &mut Vec<u8>) -> bool {
        self.close(payload);
        let plain = |m: &Marks, e: &Entry, payload: &[u8]| {
            let array = &m.arrays[e.array as usize];
            let first = array.first as usize..(array.first + array.first_len) as usize;
            e.db == array.db && payload.get(first) == Some(m.key(e))
        };
        let silent = self.entries.windows(2).all(|e| e[0].array != e[1].array)
            && self.entries.iter().all(|e| {
                e.fate == Fate::CHANGED && e.before == Before::Nothing && plain(self, e, payload)
            });
        if silent {
            return false;
        }
        let bodies = payload.len() <= RECORD_LEN_MAX / 2;
        self.entries.sort_by_key(|e| e.array);
        let mut entries = self.entries.iter().peekable();
        let mut metas: Vec<EffectMeta<'_>> = Vec::new();
        let mut encoded = Vec::new();
        for (i, array) in self.arrays.iter().enumerate() {
            metas.clear();
            let mut words = Vec::new();
            let alone = entries.clone().take_while(|e| e.array == i as u32).take(2).count() == 1;
            while let Some(entry) = entries.next_if(|e| e.array == i as u32) {
                let place = match alone && plain(self, entry, payload) {
                    true => None,
                    false => {
                        if words.is_empty() {
                            words = words_of(array, payload);
                        }
                        let key = self.key(entry);
                        let word = words.iter().skip(1).position(|w| *w == key);
                        debug_assert!(word.is_some(), "an effect names the keys it changes");
                        let Some(word) = word else { continue };
                        Some(KeyPlace { word: word as u32 + 1, db: entry.db })
                    }
                };
                let Fate { created, removed, expired, evicted } = entry.fate;
                let before = self.images.shown(entry.before, bodies);
                metas.push(EffectMeta { created, removed, expired, evicted, place, before });
            }
            match metas.split_last() {
                None => EffectMeta::default().put(&mut encoded),
                Some((last, others)) => {
                    others.iter().for_each(|meta| meta.put_one(&mut encoded, true));
                    last.put(&mut encoded);
                }
            }
        }
        payload.append(&mut encoded);
        true
    }
}

/// Bytes of `*<n>\r\n` or `$<n>\r\n`.
#[inline]
fn header_len(n: usize) -> usize {
    3 + n.checked_ilog10().unwrap_or(0) as usize + 1
}

fn words_of<'p>(array: &Array, payload: &'p [u8]) -> Vec<&'p [u8]> {
    let mut words = Vec::new();
    let rest = payload.get(array.start as usize..).unwrap_or_default();
    let read = CommandIter::new(rest, 0).next_into(&mut words);
    debug_assert!(read.is_ok(), "effects are commands");
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_on_what() {
        for (first, second, both) in [
            (Fate::CREATED, Fate::CHANGED, Fate::CREATED),
            (Fate::CHANGED, Fate::REMOVED, Fate::REMOVED),
            (Fate::REMOVED, Fate::CREATED, Fate::CHANGED),
            (Fate::CREATED, Fate::REMOVED, Fate::PASSING),
            (Fate::CHANGED, Fate::CHANGED, Fate::CHANGED),
        ] {
            assert_eq!(first.then(second), both, "{first:?} {second:?}");
        }
    }

    #[test]
    fn headers_have_the_length_of_their_number() {
        for (n, len) in [(0, 4), (9, 4), (10, 5), (99, 5), (100, 6)] {
            assert_eq!(header_len(n), len, "{n}");
        }
    }
}
