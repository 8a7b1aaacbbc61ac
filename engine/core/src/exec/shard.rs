//! A shard: databases, clock cell, chance and journal of one thread.

use super::busy::{Busy, Pausing};
use super::evict::Eviction;
use super::role::Role;
use super::run::Host;
use super::stats::Stats;
use super::wait::{Wait, Waiters};
use crate::clock::{Now, Rng};
use crate::command::CommandTable;
use crate::db::{Access, Db, Keyspace, Overdue, OverduePart, Trash};
use crate::error::CmdResult;
use crate::journal::{Journal, Origin, Unit};
use crate::plane::{NewPlane, Planes};
use crate::script::Scripts;
use crate::slots::Slots;
use crate::snapshot::Snapshot;
use crate::types::Limits;
use moon_ds::HashSeed;

/// Due fields that a read of their hash removes at most, behind its back; active expiry does the rest.
const READ_REAPS: usize = 1000;

/// What a shard is made from.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// Number of databases, 1..=65534.
    pub databases: u16,
    /// Encoding thresholds.
    pub limits: Limits,
    /// Seed of hashing and chance. Keep it secret where clients are not trusted.
    pub seed: u64,
    /// What it holds beside keys.
    pub planes: &'static [NewPlane],
}

impl Default for ShardConfig {
    fn default() -> Self {
        ShardConfig { databases: 16, limits: Limits::default(), seed: 0, planes: &[] }
    }
}

/// What somebody outside the shard wants to hear of ([`Host::committed`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listen {
    /// Changes of keys.
    pub changes: bool,
    /// Reads of keys that do not exist.
    pub misses: bool,
    /// Commands that have run ([`Host::executed`]).
    pub commands: bool,
}

impl Listen {
    fn any(self) -> bool {
        self.changes || self.misses
    }
}

/// One slice of the data set with everything that belongs to it. Deterministic: the same
/// seed, instants and requests give the same state and replies.
pub struct Shard {
    pub(crate) dbs: Vec<Db>,
    pub(crate) unit: Unit,
    pub(crate) now: Now,
    pub(crate) access: Access,
    pub(crate) eviction: Eviction,
    pub(crate) rng: Rng,
    pub(crate) table: &'static CommandTable,
    pub(crate) expired: Vec<Overdue>,
    pub(crate) ticks_last: u64,
    /// Keys watched by all sessions together.
    pub(crate) watches: usize,
    pub(super) listening: Listen,
    /// Clients that wait for a key.
    pub(crate) waiters: Waiters,
    /// What the running command asks to wait for.
    pub(crate) asked: Option<Box<Wait>>,
    /// The running command is a script that is left to [`Shard::go_on`].
    pub(crate) pausing: Option<Box<Pausing>>,
    /// A script that is paused: nothing touches a key until it ends.
    pub(crate) busy: Option<Box<Busy>>,
    /// A script runs the commands.
    pub(crate) scripted: bool,
    /// Nobody may wait now: EXEC, a script or replay is running.
    pub(crate) deny_waits: bool,
    /// Memory in use beside keys and values, which counts toward `maxmemory`; told by the host.
    pub outside_bytes: usize,
    /// Encoding thresholds (CONFIG SET).
    pub limits: Limits,
    /// Counters.
    pub stats: Stats,
    /// Cached scripts and libraries of functions.
    pub scripts: Scripts,
    /// Slots of readers of changes.
    pub slots: Slots,
    /// Highest global number in use, see [`crate::points`].
    pub(crate) last_gtid: u64,
    /// The log behind the shard.
    pub journal: Journal,
    /// Whom the shard follows.
    pub(super) role: Role,
    /// The last save has failed, and writes are to stop for that (`stop-writes-on-bgsave-error`).
    pub save_failed: bool,
    /// Fewer replicas follow than writes demand (`min-replicas-to-write`).
    pub lacks_replicas: bool,
    /// Recovery has not ended: only commands with the `loading` flag run.
    pub loading: bool,
    /// Commands that take at least so many ticks are told to the host.
    pub slow_ticks: u64,
    /// Commands until the next one that [`Host::sampled`] is told of.
    pub sample_in: u32,
    /// `DEBUG SET-ACTIVE-EXPIRE`.
    pub active_expire: bool,
    /// Writes are paused (CLIENT PAUSE): what has expired is hidden and stays.
    pub expiry_paused: bool,
    /// Values to be freed elsewhere.
    pub trash: Trash,
    /// The snapshot that is being written.
    pub(crate) snapshot: Option<Box<Snapshot>>,
    /// What it holds beside keys.
    pub(crate) planes: Planes,
}

impl Shard {
    /// An empty shard over a command table.
    pub fn new(table: &'static CommandTable, config: &ShardConfig) -> Self {
        let mut rng = Rng::new(config.seed);
        let seed = HashSeed(rng.next_u64(), rng.next_u64());
        Shard {
            dbs: (0..config.databases).map(|_| Db::new(seed)).collect(),
            unit: Unit::default(),
            now: Now::default(),
            access: Access::new(rng.next_u64()),
            eviction: Eviction::default(),
            outside_bytes: 0,
            rng,
            table,
            expired: Vec::new(),
            ticks_last: 0,
            watches: 0,
            listening: Listen::default(),
            waiters: Waiters::default(),
            asked: None,
            scripted: false,
            pausing: None,
            busy: None,
            deny_waits: false,
            limits: Limits { hash_seed: seed, ..config.limits.clone() },
            stats: Stats::new(table.len()),
            scripts: Scripts::default(),
            slots: Slots::default(),
            last_gtid: 0,
            journal: Journal::default(),
            role: Role::Master,
            save_failed: false,
            lacks_replicas: false,
            loading: false,
            slow_ticks: u64::MAX,
            sample_in: 1,
            active_expire: true,
            expiry_paused: false,
            trash: Trash::default(),
            snapshot: None,
            planes: Planes::new(config.planes),
        }
    }

    /// The command table.
    pub fn table(&self) -> &'static CommandTable {
        self.table
    }

    /// The databases, to read.
    pub fn dbs(&self) -> &[Db] {
        &self.dbs
    }

    /// The instant of this turn.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Sets the instant of the turn that begins.
    #[inline]
    pub fn set_now(&mut self, now: Now) {
        self.now = now;
        if now.unix_ms != 0 {
            self.access.set_now(now);
        }
    }

    /// Bytes of all keys and values.
    pub fn mem_bytes(&self) -> usize {
        self.dbs.iter().map(Db::mem_bytes).sum()
    }

    #[inline]
    pub(crate) fn begin_unit(&mut self) {
        let touched = self.watches > 0 || self.listening.changes || !self.waiters.is_empty();
        let journal = &self.journal;
        let (forms, images) = (journal.wants_effects(), journal.wants_images());
        self.unit.begin(forms, touched, self.listening.misses, images);
    }

    /// Says what [`Host::committed`] is called with from here on, the open unit included.
    pub fn listen(&mut self, to: Listen) {
        self.listening = to;
        self.unit.also_collect(to.changes, to.misses);
    }

    /// Ends the open unit, if one is: log first, then whoever follows the keys.
    #[inline]
    pub(crate) fn commit_unit(&mut self, host: &mut dyn Host, origin: Origin) {
        if !self.unit.end() {
            return;
        }
        if self.unit.changes() > 0 || self.unit.has_effects() {
            self.journal.commit(&mut self.unit, origin);
        }
        if self.unit.touched_len() == 0 {
            return;
        }
        if self.watches > 0 {
            let dbs = &mut self.dbs;
            for (db, key, event) in self.unit.touched().filter(|(_, _, e)| e.is_change_of_key()) {
                let expiry = event == crate::event::Event::EXPIRED;
                dbs[usize::from(db)].raise_watchers(key, expiry);
            }
        }
        if self.listening.any() {
            host.committed(&self.unit, origin);
        }
        if !self.waiters.is_empty() {
            self.waiters.follow(&self.unit);
        }
    }

    /// Seconds since an entry was used; no meaning under an LFU policy.
    pub fn idle_seconds(&self, entry: &crate::db::Live) -> u32 {
        self.access.idle_seconds(entry)
    }

    /// Changes keys on behalf of a session's command, as a unit of its own; `f` states the effects. What the
    /// command changed before is committed first, so that a command may make any number of units.
    pub fn change<R>(
        &mut self,
        host: &mut dyn Host,
        db: u16,
        f: impl FnOnce(&mut Keyspace<'_>) -> R,
    ) -> CmdResult<R> {
        if let Some(log) = self.journal.log() {
            log.admit(false)?;
        }
        self.commit_unit(host, Origin::Client);
        self.begin_unit();
        self.unit.begin_command();
        Ok(f(&mut self.keyspace(db)))
    }

    /// The keyspace of a database, inside an open unit.
    #[inline]
    pub(crate) fn keyspace(&mut self, db: u16) -> Keyspace<'_> {
        Keyspace {
            dbs: &mut self.dbs,
            cur: db,
            unit: &mut self.unit,
            stats: &mut self.stats,
            rng: &mut self.rng,
            now: self.now,
            access: &self.access,
            limits: &self.limits,
            scripts: &mut self.scripts,
            slots: &mut self.slots,
            trash: &mut self.trash,
            snapshot: &mut self.snapshot,
        }
    }

    /// Removes the keys and fields that reads found expired, each as its own logged DEL or HDEL.
    pub(crate) fn drop_expired(&mut self, host: &mut dyn Host) {
        if self.role.is_passive() || self.expiry_paused {
            // They are not shown; the master says when they go, or they go after the pause.
            self.expired.clear();
            return;
        }
        let mut found = std::mem::take(&mut self.expired);
        self.begin_unit();
        for Overdue { db, key, what } in found.drain(..) {
            let mut ks = self.keyspace(db);
            match what {
                OverduePart::Key => drop(ks.expire_if_due(&key)),
                OverduePart::Fields(fields) => {
                    ks.settle_fields(&key, fields.iter().map(|field| &**field));
                }
                OverduePart::AllFields => drop(ks.reap_fields(&key, READ_REAPS)),
            }
        }
        self.commit_unit(host, Origin::Expiry);
        self.expired = found;
    }

    /// Active expiry: removes up to `budget` expired keys and fields. Returns how many; a result equal to
    /// the budget means that there may be more.
    pub fn expire_cycle(&mut self, host: &mut dyn Host, budget: usize) -> usize {
        if !self.active_expire || self.loading || self.expiry_paused || self.role.is_passive() {
            return 0;
        }
        let mut reaped = 0;
        for db in 0..self.dbs.len() as u16 {
            let d = &self.dbs[usize::from(db)];
            if d.expires() + d.field_expires() == 0 || reaped >= budget {
                continue;
            }
            self.begin_unit();
            let mut ks = self.keyspace(db);
            reaped += ks.reap(budget - reaped);
            reaped += ks.reap_due_fields(budget.saturating_sub(reaped));
            self.commit_unit(host, Origin::Expiry);
        }
        reaped
    }
}
