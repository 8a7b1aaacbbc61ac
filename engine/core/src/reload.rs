//! The whole data set through a second form and back, for DEBUG RELOAD and DEBUG LOADAOF.
//!
//! The result replaces the data set only if its digest is the same. Therefore nothing is logged: the log
//! describes a state, and the state has not changed. Keys that have expired, and whose removal is not logged
//! yet, come back as well; [`SessionCx::expire_all`] takes them out before.

use crate::db::{Db, Live, Stored};
use crate::error::CmdError;
use crate::event::Event;
use crate::exec::{SessionCx, Shard, ShardConfig};
use crate::journal::ApplyError;
use crate::persist;
use moon_formats::DecodeError;
use moon_formats::number::Digits;
use moon_formats::redis_rdb::{Encoder, FileReader, FileWriter, Item, Limits, Step, Unfit};
use moon_formats::resp::encode_command;
use moon_formats::value::{Value, ValueType};
use std::fmt;
use std::mem;

/// The form that the data set goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    /// An RDB file: encoder, file reader and decoder.
    RdbFile,
    /// A log that holds each key as one effect: encoder, effects and the read-back path of the log.
    Effects,
}

/// Why the data set was left as it was.
#[derive(Debug)]
pub enum ReloadError {
    /// A value has no such form.
    Unfit(Unfit),
    /// What was written does not decode.
    Decode(DecodeError),
    /// What was written does not apply.
    Apply(ApplyError),
    /// A value decodes to one that cannot be kept.
    Value,
    /// Everything decodes, to something else.
    Differs,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReloadError::Unfit(unfit) => unfit.fmt(f),
            ReloadError::Decode(e) => e.fmt(f),
            ReloadError::Apply(e) => e.fmt(f),
            ReloadError::Value => f.write_str("a value holds an element twice"),
            ReloadError::Differs => f.write_str("the digest of what was read back differs"),
        }
    }
}

impl std::error::Error for ReloadError {}

impl From<ReloadError> for CmdError {
    fn from(e: ReloadError) -> CmdError {
        CmdError::text(format!("ERR reload refused, the data set is as before: {e}"))
    }
}

/// A key as it goes into a file.
#[derive(Debug, Clone, Copy)]
pub struct Exported<'a> {
    /// Database.
    pub db: u16,
    /// Name.
    pub key: &'a [u8],
    /// When it expires, in Unix milliseconds.
    pub expire_ms: Option<u64>,
    /// Seconds since it was used last, unless the server counts uses.
    pub idle_secs: Option<u64>,
    /// How often it is used, if the server counts that.
    pub freq: Option<u8>,
    /// Type of the value.
    pub kind: ValueType,
    /// Value body.
    pub body: &'a [u8],
}

impl SessionCx<'_> {
    /// Removes all keys that have expired, each with its logged DEL.
    pub fn expire_all(&mut self) {
        for db in 0..self.shard.dbs.len() as u16 {
            while self.shard.keyspace(db).reap(usize::MAX) > 0 {}
        }
    }
}

impl Shard {
    /// The libraries of functions, and the keys unless only functions are wanted, into an RDB file.
    ///
    /// # Errors
    /// A value has no form in RDB.
    pub fn export(&self, file: &mut FileWriter, keys: bool) -> Result<(), ReloadError> {
        for source in self.libraries() {
            file.function(source);
        }
        if keys { self.write_keys(file) } else { Ok(()) }
    }

    /// Replaces the data set by what comes out of another form of it. On an error it stays as it was.
    pub fn reload(&mut self, through: Through) -> Result<(), ReloadError> {
        let databases = self.dbs.len() as u16;
        let config =
            ShardConfig { databases, limits: self.limits.clone(), ..ShardConfig::default() };
        let mut fresh = Shard::new(self.table, &config);
        // Tables of large collections are seeded by the limits, those of keys by the database.
        fresh.limits = self.limits.clone();
        fresh.dbs = (0..databases).map(|_| Db::new(self.limits.hash_seed)).collect();
        fresh.set_now(self.now);
        fresh.access.set_lfu(self.access.lfu());
        match through {
            Through::RdbFile => fresh.read_file(&self.write_file()?)?,
            Through::Effects => self.feed_effects(&mut fresh)?,
        }
        if fresh.digest() != self.digest() {
            return Err(ReloadError::Differs);
        }
        // What it walks goes away.
        self.abort_snapshot();
        for (old, new) in self.dbs.iter_mut().zip(&mut fresh.dbs) {
            // Watches belong to the number of a database, and no key has changed.
            mem::swap(&mut old.watchers, &mut new.watchers);
            mem::swap(old, new);
        }
        Ok(())
    }

    /// All keys as an RDB file.
    fn write_file(&self) -> Result<Vec<u8>, ReloadError> {
        let mut file = FileWriter::new(Encoder::default());
        self.write_keys(&mut file)?;
        Ok(file.finish())
    }

    /// Writes all keys into an RDB file.
    fn write_keys(&self, file: &mut FileWriter) -> Result<(), ReloadError> {
        let mut selected = None;
        self.for_each_key(|k| {
            if selected.replace(k.db) != Some(k.db) {
                let db = &self.dbs[usize::from(k.db)];
                file.select(k.db.into());
                file.resize(db.len() as u64, db.expires() as u64);
            }
            let value = Value::decode(k.body, k.kind.code(), 0).map_err(ReloadError::Decode)?;
            file.key(k.key, k.expire_ms, k.idle_secs, k.freq, &value).map_err(ReloadError::Unfit)
        })
    }

    /// Hands out every key, database by database, until an error.
    pub fn for_each_key<E>(
        &self,
        mut f: impl FnMut(&Exported<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let counts = self.access.counts();
        let mut body = Vec::new();
        for (db, keys) in (0u16..).zip(&self.dbs) {
            for e in keys.table.iter() {
                body.clear();
                let kind = persist::put_body(e.value(), &mut body);
                f(&Exported {
                    db,
                    key: e.key(),
                    expire_ms: e.expire_ms(),
                    idle_secs: (!counts).then(|| u64::from(self.access.idle_seconds(e))),
                    freq: counts.then(|| self.access.frequency(e) as u8),
                    kind,
                    body: &body,
                })?;
            }
        }
        Ok(())
    }

    /// Sources of the libraries of functions.
    pub fn libraries(&self) -> impl Iterator<Item = &[u8]> {
        self.scripts.all_libraries().values().map(|library| &library.code[..])
    }

    /// Fills the empty databases from a file.
    fn read_file(&mut self, file: &[u8]) -> Result<(), ReloadError> {
        self.unit.begin(false, false, false, false);
        let mut reader = FileReader::new(Limits::default());
        let mut rest = file;
        loop {
            let taken = match reader.next(rest, true).map_err(ReloadError::Decode)? {
                Step::Item(_, Item::End { .. }) => return Ok(()),
                Step::Item(taken, Item::Key(k)) => {
                    let value = k.value().map_err(ReloadError::Decode)?;
                    let value =
                        persist::from_value(value, &self.limits).ok_or(ReloadError::Value)?;
                    let stored = Stored::Copied { value, expire_ms: k.expire_ms, user: 0 };
                    let mut ks = self.keyspace(k.db as u16);
                    ks.place(&k.key, stored, Event::RESTORE);
                    ks.set_use(&k.key, k.idle_secs, k.freq);
                    taken
                }
                Step::Item(taken, _) => taken,
                Step::More(_) => unreachable!("the whole file is there"),
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Applies each key to another shard, in the form in which the log would hold it.
    fn feed_effects(&self, to: &mut Shard) -> Result<(), ReloadError> {
        let (mut payload, mut effect) = (Vec::new(), Vec::new());
        for (number, db) in (0u16..).zip(&self.dbs) {
            for e in db.table.iter() {
                payload.clear();
                effect.clear();
                put_effect(e, &mut payload, &mut effect)?;
                to.apply(number, 0, &effect).map_err(ReloadError::Apply)?;
            }
        }
        Ok(())
    }
}

/// The effect that makes a key.
fn put_effect(e: &Live, payload: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), ReloadError> {
    persist::put_payload(e.value(), payload).map_err(ReloadError::Unfit)?;
    let at = Digits::of_u64(e.expire_ms().unwrap_or(0));
    let words = [b"RESTORE".as_slice(), e.key(), at.as_bytes(), payload, b"ABSTTL"];
    encode_command(out, words.into_iter());
    Ok(())
}
