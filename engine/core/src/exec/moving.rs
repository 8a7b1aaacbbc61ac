//! Keys on their way to another server (MIGRATE): out as payloads, gone once they have arrived.
//!
//! The engine packs and removes; the driver carries. Between the two a key is an ordinary key, so whoever
//! carries without blocking the shard keeps writes of it away (see [`Shard::is_named_by_waiter`] for those
//! that would come by themselves).

use super::context::SessionCx;
use super::run::Host;
use super::shard::Shard;
use crate::args::Args;
use crate::command::keys::for_each_key;
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::journal::Origin;
use crate::persist;

/// A key as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its name.
    pub key: Box<[u8]>,
    /// Its value, as DUMP would give it to the oldest server that can take it.
    pub payload: Vec<u8>,
    /// Its time to live, milliseconds since 1970.
    pub expire_ms: Option<u64>,
}

impl SessionCx<'_> {
    /// Those of the keys that exist in the session's database, packed in this order.
    pub fn pack(&mut self, keys: &[&[u8]]) -> CmdResult<Vec<Packed>> {
        let db = self.session.db;
        let mut ks = self.shard.keyspace(db);
        let mut packed = Vec::new();
        for (key, entry) in keys.iter().zip(ks.get_all(keys)) {
            let Some(entry) = entry else { continue };
            let mut payload = Vec::new();
            persist::put_oldest_payload(entry.value(), &mut payload)
                .map_err(|unfit| CmdError::text(format!("ERR {unfit}")))?;
            packed.push(Packed { key: Box::from(*key), payload, expire_ms: entry.expire_ms() });
        }
        Ok(packed)
    }

    /// Removes keys of the session's database that have arrived elsewhere, in the unit of the running command.
    pub fn remove_moved<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>) {
        self.shard.unit.begin_command();
        self.shard.remove_keys(self.session.db, keys);
    }
}

impl Shard {
    /// The same between requests, as a unit of its own.
    pub fn remove_moved<'k>(
        &mut self,
        host: &mut dyn Host,
        db: u16,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> CmdResult {
        if let Some(log) = self.journal.log() {
            log.admit(true)?;
        }
        self.begin_unit();
        self.remove_keys(db, keys);
        self.commit_unit(host, Origin::Client);
        Ok(())
    }

    /// Logged as one DEL.
    fn remove_keys<'k>(&mut self, db: u16, keys: impl Iterator<Item = &'k [u8]>) {
        let mut ks = self.keyspace(db);
        let gone: Vec<&[u8]> = keys.filter(|key| ks.remove(key, Event::DEL)).collect();
        if !gone.is_empty() {
            let mut words: Vec<&[u8]> = vec![b"DEL"];
            words.extend(gone);
            ks.effect(&words);
        }
    }

    /// Whether the command of a client that waits names one of the keys, so that it may be written without
    /// any request for it.
    pub fn is_named_by_waiter(&self, is_one: impl Fn(&[u8]) -> bool) -> bool {
        self.waiters.commands().any(|(command, words)| {
            let words: Vec<&[u8]> = words.iter().map(|w| &**w).collect();
            let args = Args::new(&words);
            let mut named = false;
            // Who waits has been let in, so its keys can be named.
            let _ = for_each_key(command.spec, args, |i, _| named |= is_one(args.get(i)));
            named
        })
    }
}
