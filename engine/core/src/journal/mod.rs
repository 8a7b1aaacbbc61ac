//! The one write path: a unit of work becomes effects, effects become one log record.
//!
//! A *unit* is what is atomic: one command, one `EXEC`, one script, one batch of expiries.
//! Its *effects* are deterministic commands (RESP2 arrays) that recreate its outcome whatever
//! the clock or chance said. Invariants:
//! * Nothing mutates a key outside an open unit, and no unit is dropped: it is committed in
//!   the same turn, before any reply of it can leave (I1, I2).
//! * The same encoded bytes feed log, replicas and change capture; they are encoded once.
//! * Replay goes through the same executor with the log switched off.

mod apply;
mod images;
mod marks;
mod unit;

pub use apply::ApplyError;
pub(crate) use marks::Fate;
pub use unit::{Touched, Unit};

use crate::error::{CmdError, CmdResult};
use moon_formats::wal::{RecordType, record_flags};
use moon_storage::log::Log;
use std::rc::Rc;

/// Where committed units go: the shard's log, or a recorder in tests.
pub trait EffectSink {
    /// Appends one record to memory and returns its LSN. It cannot fail: whatever could is
    /// asked for by [`EffectSink::admit`] before anything changes.
    fn append(&self, record: RecordType, flags: u8, db: u16, payload: &[u8]) -> u64;

    /// LSN of the last record.
    fn last_lsn(&self) -> u64;

    /// Whether a write may run now; the refusal of a degraded log if not. A full disk still
    /// takes writes that only shrink the data set.
    fn admit(&self, shrinks: bool) -> CmdResult;
}

impl EffectSink for Log {
    fn append(&self, record: RecordType, flags: u8, db: u16, payload: &[u8]) -> u64 {
        Log::append(self, record.code(), flags, db, payload)
    }

    fn last_lsn(&self) -> u64 {
        Log::last_lsn(self)
    }

    fn admit(&self, shrinks: bool) -> CmdResult {
        let admitted = if shrinks { self.admit_shrinking() } else { Log::admit(self) };
        admitted.map_err(|refusal| CmdError::text(refusal.to_string()))
    }
}

/// Who is told of every unit as it is committed, beside the log: the stream to replicas.
pub trait Follower {
    /// A unit with effects has been committed.
    fn unit(&self, unit: &Unit);
}

/// Who caused a unit, and with it what a commit feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client's command, `EXEC` or script.
    Client,
    /// A key's time to live ran out, or memory did.
    Expiry,
    /// The log at start. Nothing is written again.
    Replay,
}

impl Origin {
    /// Whether a commit of this origin is appended to the log.
    pub const fn logs(self) -> bool {
        matches!(self, Origin::Client | Origin::Expiry)
    }
}

/// Where committed units go.
#[derive(Default)]
pub struct Journal {
    log: Option<Rc<dyn EffectSink>>,
    follower: Option<Rc<dyn Follower>>,
    /// Records say how keys were before they changed (`cdc-before-image`).
    pub images: bool,
    /// Changes since the data set was last saved as a whole (`rdb_changes_since_last_save`).
    pub dirty: u64,
}

impl Journal {
    /// Attaches the shard's log; from here on every unit is appended to it.
    pub fn attach(&mut self, log: Rc<dyn EffectSink>) {
        self.log = Some(log);
    }

    /// Detaches the log (`appendonly no`).
    pub fn detach(&mut self) -> Option<Rc<dyn EffectSink>> {
        self.log.take()
    }

    /// Sets who is told of every unit from the next one on.
    pub fn follow(&mut self, follower: Option<Rc<dyn Follower>>) {
        self.follower = follower;
    }

    /// The log, if there is one.
    pub fn log(&self) -> Option<&dyn EffectSink> {
        self.log.as_deref()
    }

    /// LSN of the last record, the tag of replies made now; 0 without a log.
    #[inline]
    pub fn last_lsn(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.last_lsn())
    }

    /// Whether a commit needs the effects of its unit.
    #[inline]
    pub(crate) fn wants_effects(&self) -> bool {
        self.log.is_some() || self.follower.is_some()
    }

    /// Whether its record is to say how keys were before.
    #[inline]
    pub(crate) fn wants_images(&self) -> bool {
        self.images && self.log.is_some()
    }

    /// Appends a record of a plane, a unit of its own.
    pub(crate) fn append_record(&mut self, record: RecordType, db: u16, payload: &[u8]) {
        self.dirty += 1;
        if let Some(log) = &self.log {
            log.append(record, 0, db, payload);
        }
    }

    /// Appends a finished unit. In-memory consumers (watchers) are fed by the caller.
    #[inline]
    pub(crate) fn commit(&mut self, unit: &mut Unit, origin: Origin) {
        self.dirty += unit.changes();
        if !origin.logs() || !unit.has_effects() {
            return;
        }
        if let Some(log) = &self.log {
            let (db, internal) = (unit.db(), unit.is_internal());
            let (payload, has_meta) = unit.seal();
            let mut flags = if has_meta { record_flags::EFFECT_META } else { 0 };
            flags |= if internal { record_flags::INTERNAL } else { 0 };
            log.append(RecordType::Command, flags, db, payload);
        }
        if let Some(follower) = &self.follower
            && !unit.is_internal()
        {
            follower.unit(unit);
        }
    }
}
