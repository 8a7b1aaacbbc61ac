//! Keys that come from another server's file, into a data set that is logged.
//!
//! Each key is a unit of its own with the effect that recreates it, as if a client had restored it. Nothing is
//! judged by the clock: a key whose time has come is kept until whoever it came from says that it goes.

use crate::clock::Now;
use crate::db::Stored;
use crate::event::Event;
use crate::exec::{Host, Shard};
use crate::journal::Origin;
use crate::persist;
use moon_formats::DecodeError;
use moon_formats::number::Digits;
use moon_formats::redis_rdb::{Encoder, Key, Unfit};
use std::fmt;

/// Why a key was not taken.
#[derive(Debug)]
pub enum ImportError {
    /// There is no database of this number.
    Database(u64),
    /// Its value does not decode.
    Decode(DecodeError),
    /// Its value holds an element twice.
    Twice,
    /// Its value cannot be logged.
    Unfit(Unfit),
    /// The log takes nothing.
    Refused(String),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::Database(n) => write!(f, "there is no database {n} here, see --databases"),
            ImportError::Decode(e) => e.fmt(f),
            ImportError::Twice => f.write_str("a value holds an element twice"),
            ImportError::Unfit(e) => e.fmt(f),
            ImportError::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ImportError {}

impl Shard {
    /// Puts a key in place of any other of its name.
    ///
    /// # Errors
    /// See [`ImportError`]; the data set is as before then.
    pub fn import(
        &mut self,
        host: &mut dyn Host,
        key: &Key<'_>,
        encoder: &mut Encoder,
    ) -> Result<(), ImportError> {
        let db = u16::try_from(key.db).ok().filter(|db| usize::from(*db) < self.dbs.len());
        let db = db.ok_or(ImportError::Database(key.db))?;
        let value = key.value().map_err(ImportError::Decode)?;
        let mut payload = Vec::new();
        if let Some(log) = self.journal.log() {
            log.admit(false).map_err(|e| ImportError::Refused(e.to_string()))?;
            encoder.dump(&value, &mut payload).map_err(ImportError::Unfit)?;
        }
        let value = persist::from_value(value, &self.limits).ok_or(ImportError::Twice)?;
        let kept = self.now;
        self.now = Now { mono_us: kept.mono_us, ..Now::default() };
        self.begin_unit();
        self.unit.begin_command();
        let mut ks = self.keyspace(db);
        ks.place(
            &key.key,
            Stored::Copied { value, expire_ms: key.expire_ms, user: 0 },
            Event::RESTORE,
        );
        ks.set_use(&key.key, key.idle_secs, key.freq);
        if ks.wants_effects() {
            let at = Digits::of_u64(key.expire_ms.unwrap_or(0));
            ks.effect(&[b"RESTORE", &key.key, at.as_bytes(), &payload, b"ABSTTL", b"REPLACE"]);
        }
        self.now = kept;
        self.commit_unit(host, Origin::Client);
        Ok(())
    }
}
