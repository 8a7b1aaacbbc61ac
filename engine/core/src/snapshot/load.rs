//! A snapshot on its way back into a shard.
//!
//! The decoder has checked the bytes: checksums, counts, covered ranges, whole chunks. Here is what only the
//! engine can check: that a key comes once, and that values are such as a server can have written.

use super::item::loaded_access;
use crate::error::CmdError;
use crate::exec::Shard;
use crate::plane::Loaded;
use crate::script::OnClash;
use crate::types::Object;
use moon_ds::NewValue;
use moon_formats::DecodeError;
use moon_formats::number::parse_i64;
use moon_formats::rrdshard::{
    Entry, HASH_END, Item, Joined, Joiner, Range, Section, Stored, section,
};
use moon_formats::value::Value;
use std::fmt;

/// Why a snapshot was not loaded. The shard is of no use then.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadError {
    /// The body of a large value is damaged; offsets are those in the body.
    Body {
        /// Database.
        db: u32,
        /// Key.
        key: Vec<u8>,
        /// What is wrong.
        error: DecodeError,
    },
    /// A key came twice.
    Duplicate {
        /// Database.
        db: u32,
        /// Key.
        key: Vec<u8>,
    },
    /// A value that no server writes: an element occurs twice, there is none, or parts contradict each other.
    Value {
        /// Database.
        db: u32,
        /// Key.
        key: Vec<u8>,
    },
    /// A database that the shard does not have: start with more (`databases`).
    Database {
        /// Its number.
        db: u32,
        /// How many there are.
        databases: usize,
    },
    /// A value in the cold tier, which this version does not have.
    Cold {
        /// Database.
        db: u32,
        /// Key.
        key: Vec<u8>,
    },
    /// A section that the file says is required and that this version does not know.
    Section {
        /// Its code.
        section: u16,
        /// Its version.
        version: u16,
    },
    /// A section that is damaged.
    Payload(DecodeError),
    /// A library of functions that does not load.
    Library(CmdError),
    /// The items ended before the end of the file.
    Unfinished,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Body { db, key, error } => {
                write!(f, "value of key {} of database {db}: {error}", key.escape_ascii())
            }
            LoadError::Duplicate { db, key } => {
                write!(f, "key {} of database {db} is there twice", key.escape_ascii())
            }
            LoadError::Value { db, key } => {
                let key = key.escape_ascii();
                write!(f, "the value of key {key} of database {db} contradicts itself")
            }
            LoadError::Database { db, databases } => {
                write!(f, "there are keys in database {db}, and {databases} databases")
            }
            LoadError::Cold { db, key } => {
                write!(f, "the value of key {} of database {db} is cold", key.escape_ascii())
            }
            LoadError::Section { section, version } => {
                write!(f, "section {section}")?;
                if let Some(name) = section::name(*section) {
                    write!(f, " ({name})")?;
                }
                write!(f, " of version {version} is required and not known to this version")
            }
            LoadError::Payload(e) => e.fmt(f),
            LoadError::Library(e) => write!(f, "a library of functions does not load: {e}"),
            LoadError::Unfinished => f.write_str("the snapshot has no end"),
        }
    }
}

impl std::error::Error for LoadError {}

/// How many keys a database will have, told by those that its first ranges hold: keys lie evenly in hash order.
#[derive(Debug, Clone, Copy)]
struct Outlook {
    keys: u64,
    positions: u64,
    /// Keys after which the next look is worth its while.
    next: u64,
}

impl Outlook {
    /// Keys after which chance matters little.
    const FIRST: u64 = 512;
    /// No more room is made at a time than for so many times the keys there are: a file that is wrong about its ranges
    /// takes no memory by that, and a look moves few keys.
    const STEP: u64 = 64;

    const NEW: Outlook = Outlook { keys: 0, positions: 0, next: Outlook::FIRST };

    /// Notes a range; the keys to make room for, when there is something to say.
    fn range(&mut self, range: &Range) -> Option<usize> {
        let due = self.keys >= self.next && self.positions > 0;
        let all = due.then(|| {
            self.next = self.keys.saturating_mul(Outlook::STEP / 2);
            let all = u128::from(self.keys) * u128::from(HASH_END) / u128::from(self.positions);
            usize::try_from(all.min(u128::from(self.keys * Outlook::STEP))).unwrap_or(0)
        });
        self.keys += u64::from(range.count);
        self.positions += range.hash_hi.saturating_sub(range.hash_lo);
        all
    }
}

/// Fills a fresh shard from the items of a snapshot.
pub struct Loader<'a> {
    shard: &'a mut Shard,
    joiner: Joiner,
    /// One for each database.
    outlooks: Vec<Outlook>,
    ended: bool,
}

impl<'a> Loader<'a> {
    /// Begins; the shard must be empty.
    pub fn new(shard: &'a mut Shard) -> Loader<'a> {
        debug_assert!(shard.dbs.iter().all(|db| db.is_empty()), "a snapshot is loaded first");
        let outlooks = vec![Outlook::NEW; shard.dbs.len()];
        Loader { shard, joiner: Joiner::default(), outlooks, ended: false }
    }

    /// The shard, for what follows the snapshot.
    pub fn shard(&mut self) -> &mut Shard {
        self.shard
    }

    /// Sections that the planes of the shard know: code, and the newest version.
    pub fn sections(&self) -> Vec<(u16, u16)> {
        self.shard.planes.sections()
    }

    /// Begins again with an empty shard: what was given so far turned out to be damaged.
    pub fn restart(&mut self, empty: Shard) {
        *self.shard = empty;
        self.joiner = Joiner::default();
        self.outlooks = vec![Outlook::NEW; self.shard.dbs.len()];
        self.ended = false;
    }

    /// Takes the next item.
    pub fn item(&mut self, item: &Item<'_>) -> Result<(), LoadError> {
        match item {
            Item::Head(head) => {
                self.shard.last_gtid = head.extension.map_or(0, |extension| extension.last_gtid);
                Ok(())
            }
            // What it says concerns files.
            Item::Db(_) => Ok(()),
            // The decoder holds them against each other.
            Item::Range(range) => {
                self.make_room(range);
                Ok(())
            }
            Item::Entry(entry) => self.entry(entry),
            Item::Chunk(chunk) => match self.joiner.chunk(chunk) {
                Some(joined) => self.joined(&joined),
                None => Ok(()),
            },
            Item::Section(section) => self.section(section),
            Item::End(_) => {
                self.ended = true;
                Ok(())
            }
        }
    }

    /// All items have been given.
    pub fn finish(self) -> Result<(), LoadError> {
        if self.ended { Ok(()) } else { Err(LoadError::Unfinished) }
    }

    fn make_room(&mut self, range: &Range) {
        let Ok(at) = usize::try_from(range.db) else { return };
        let outlook = self.outlooks.get_mut(at);
        if let Some(keys) = outlook.and_then(|o| o.range(range))
            && let Some(db) = self.shard.dbs.get_mut(at)
        {
            db.reserve(keys);
        }
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), LoadError> {
        match &entry.value {
            Stored::Body { value, .. } => {
                self.put(entry.db, entry.key, value.clone(), entry.expire_ms, entry.access)
            }
            Stored::Large(_) => {
                self.joiner.entry(entry);
                Ok(())
            }
            Stored::Cold(_) => Err(LoadError::Cold { db: entry.db, key: entry.key.into() }),
        }
    }

    fn joined(&mut self, joined: &Joined) -> Result<(), LoadError> {
        let Joined { db, key, expire_ms, access, .. } = joined;
        let body = |error| LoadError::Body { db: *db, key: key.clone(), error };
        let value = joined.value().map_err(body)?;
        self.put(*db, key, value, *expire_ms, *access)
    }

    fn put(
        &mut self,
        db: u32,
        key: &[u8],
        value: Value<'_>,
        expire_ms: Option<u64>,
        access: Option<u32>,
    ) -> Result<(), LoadError> {
        let refused = || LoadError::Value { db, key: key.into() };
        let value = match value {
            Value::String(s) => parse_i64(s).map_or(NewValue::Bytes(s), NewValue::Int),
            collection => {
                let object = Object::from_value(collection, &self.shard.limits);
                NewValue::Object(object.filter(|o| !o.vanishes()).ok_or_else(refused)?)
            }
        };
        let databases = self.shard.dbs.len();
        let place = usize::try_from(db).ok().and_then(|at| self.shard.dbs.get_mut(at));
        let Some(place) = place else { return Err(LoadError::Database { db, databases }) };
        let clock = &self.shard.access;
        let access = access.and_then(|stored| loaded_access(stored, clock.counts()));
        if place.load(key, value, expire_ms, access, clock) {
            Ok(())
        } else {
            Err(LoadError::Duplicate { db, key: key.into() })
        }
    }

    fn section(&mut self, of: &Section<'_>) -> Result<(), LoadError> {
        if of.section == section::FUNCTIONS && of.version == section::VERSION {
            let sources = section::read_functions(of.payload, of.offset);
            let sources = sources.map_err(LoadError::Payload)?;
            let loaded = self.shard.scripts.restore_libraries(&sources, OnClash::Refuse);
            return loaded.map_err(LoadError::Library);
        }
        if of.section == section::CDC_SLOTS && of.version == section::VERSION {
            let slots = section::read_slots(of.payload, of.offset).map_err(LoadError::Payload)?;
            self.shard.slots.load(&slots);
            return Ok(());
        }
        match self.shard.planes.load(of).map_err(LoadError::Payload)? {
            Loaded::Taken | Loaded::Dropped => return Ok(()),
            Loaded::Unknown => {}
        }
        // What a file refers to, and where it stands in replication, is for whoever opens it.
        let for_others = section::is_known(of.section, of.version);
        if !for_others && of.flags & section::REQUIRED != 0 {
            let (section, version) = (of.section, of.version);
            return Err(LoadError::Section { section, version });
        }
        Ok(())
    }
}
