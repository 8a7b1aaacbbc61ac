//! A shard that is being filled from files.
//!
//! The one idea: a value from a snapshot takes the place of one from a cold file, because it was hot, and so the
//! later of the two. Any other key that comes twice is a finding: files of one server do not overlap.

use std::collections::HashSet;

use moon_engine::exec::Shard;
use moon_engine::snapshot::{LoadError, Loader};
use moon_formats::resp::encode_command;
use moon_formats::rrdshard::Item;

use crate::facts::{Losses, lose};

/// See the module page.
pub(crate) struct Filling<'a> {
    loader: Loader<'a>,
    /// Keys whose values came from cold files, and were not hot since.
    cold: HashSet<(u32, Vec<u8>)>,
    /// Several files may have the same key, and the first one counts.
    overlaps: bool,
}

impl<'a> Filling<'a> {
    /// Begins with an empty shard, from files of which each key is in one.
    pub(crate) fn new(shard: &'a mut Shard) -> Filling<'a> {
        Filling { loader: Loader::new(shard), cold: HashSet::new(), overlaps: false }
    }

    /// Begins with an empty shard, from files that may overlap: each key that is there twice is a loss.
    pub(crate) fn of_several(shard: &'a mut Shard) -> Filling<'a> {
        Filling { overlaps: true, ..Filling::new(shard) }
    }

    /// The shard, for the commands behind a snapshot.
    pub(crate) fn shard(&mut self) -> &mut Shard {
        self.loader.shard()
    }

    /// Takes a key whose value was cold. Before any other.
    pub(crate) fn cold(&mut self, item: &Item<'_>) -> Result<(), LoadError> {
        self.loader.item(item)?;
        if let Item::Entry(entry) = item {
            self.cold.insert((entry.db, entry.key.into()));
        }
        Ok(())
    }

    /// Takes an item of a snapshot.
    pub(crate) fn item(&mut self, item: &Item<'_>, losses: &mut Losses) -> Result<(), LoadError> {
        let (db, key) = match self.loader.item(item) {
            Err(LoadError::Duplicate { db, key }) => (db, key),
            other => return other,
        };
        let key = (db, key);
        if matches!(item, Item::Entry(_)) && self.cold.remove(&key) {
            self.remove(&key);
            return self.loader.item(item);
        }
        let (db, key) = key;
        if !self.overlaps {
            return Err(LoadError::Duplicate { db, key });
        }
        twice(losses, db, &key);
        Ok(())
    }

    fn remove(&mut self, (db, key): &(u32, Vec<u8>)) {
        let mut effect = Vec::new();
        encode_command(&mut effect, [b"DEL".as_slice(), key].into_iter());
        // The key is there, and DEL takes any: what fails here fails again as a key that comes twice.
        if let Ok(db) = u16::try_from(*db) {
            let _ = self.loader.shard().apply(db, 0, &effect);
        }
    }
}

/// Names collide: of a key that is in several files the first value is kept.
pub(crate) fn twice(losses: &mut Losses, db: u32, key: &[u8]) {
    let text = "keys that are in several shards or snapshots: the first value is kept";
    lose(losses, "twice", text, &[format!("db {db} ").as_bytes(), key].concat());
}
