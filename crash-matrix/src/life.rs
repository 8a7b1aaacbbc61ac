//! One process life in the simulator: shard, log, clients, and a journal of what was promised.
//!
//! Invariant: the journal is kept outside the store. It holds every record ever appended with
//! the digest of the state behind it, and every acknowledgement with the moment it left.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;

use moon_engine::args::Args;
use moon_engine::clock::Now;
use moon_engine::command::{CommandTable, Flags, Group, Run};
use moon_engine::commands::replay_table;
use moon_engine::error::CmdResult;
use moon_engine::exec::{Host, Session, Shard, ShardConfig};
use moon_engine::journal::EffectSink;
use moon_engine::slots::Slot;
use moon_formats::marker::Marker;
use moon_formats::wal::{Command, RecordType};
use moon_storage::io::Runtime;
use moon_storage::io::sim::{SimDisk, SimRng};
use moon_storage::log::{Log, LogConfig, LogError, LogState, Policy};
use moon_storage::marker;
use moon_storage::parts::{Parts, ShardPaths};
use moon_storage::recovery::Recovered;
use moon_storage::snapshot::{Job, Pace, Retention};

use crate::bugs::{self, Bug, EngineBug};
use crate::workload::{CLIENTS, DATABASES, Plane, Workload};

/// Data directory of the simulated shard.
pub const DATA: &str = "/";

/// Where the simulated shard's files are.
pub fn paths() -> ShardPaths {
    ShardPaths::new(Path::new(DATA), 0)
}

/// The marker of the simulated directory.
pub fn marker_of() -> Marker {
    let databases = DATABASES;
    Marker { uuid: [7; 16], shards: 1, databases, created_ms: 1, extra: Vec::new() }
}

/// The command table that the crash matrix runs with.
pub fn table() -> &'static CommandTable {
    static TABLE: OnceLock<CommandTable> = OnceLock::new();
    TABLE.get_or_init(replay_table)
}

/// An empty shard as every life starts with.
pub fn empty_shard() -> Shard {
    Shard::new(table(), &ShardConfig { databases: DATABASES, ..ShardConfig::default() })
}

/// No server around the engine.
pub(crate) struct NoHost;

impl Host for NoHost {
    fn ticks(&self) -> u64 {
        0
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// A record that was appended.
#[derive(Debug)]
pub struct Logged {
    /// Its number.
    pub lsn: u64,
    /// Database of its first effect.
    pub db: u16,
    /// When it was appended, to compare with stop points.
    pub moment: usize,
    /// Its effects, and what they did where the flags say so.
    pub payload: Vec<u8>,
    /// Flags of the record.
    pub flags: u8,
    /// Digest of all databases behind it, where it was taken.
    pub digest: Cell<Option<u128>>,
}

impl Logged {
    /// Its effects, as RESP arrays.
    pub(crate) fn effects(&self) -> &[u8] {
        Command::resp_of(&self.payload, self.flags).unwrap_or_default()
    }
}

/// Records in order of their numbers; lives that follow each other share their past.
pub type History = Vec<Rc<Logged>>;

/// A moment at which replies left: all those with a tag up to `lsn`.
#[derive(Debug, Clone, Copy)]
pub struct Ack {
    /// Mark to compare with stop points.
    pub moment: usize,
    /// When, microseconds.
    pub mono_us: u64,
    /// Highest tag.
    pub lsn: u64,
}

/// Broken promises, each starting with the number of its check.
pub type Findings = Rc<RefCell<Vec<String>>>;

/// What a life appends to, and what it notes beside it.
struct Sink {
    log: Log,
    disk: SimDisk,
    history: Rc<RefCell<History>>,
    /// Highest number any life has used.
    taken: u64,
    engine_bug: Option<EngineBug>,
    now_ms: Cell<u64>,
    units: Cell<u64>,
    findings: Findings,
}

impl EffectSink for Sink {
    fn append(&self, record: RecordType, flags: u8, db: u16, payload: &[u8]) -> u64 {
        if record != RecordType::Command {
            // A restore point changes no state.
            return EffectSink::append(&self.log, record, flags, db, payload);
        }
        let n = self.units.get();
        self.units.set(n + 1);
        let (flags, payload) = match self.engine_bug {
            None => (flags, payload),
            // A bug changes effects alone.
            Some(_) => (0, Command::resp_of(payload, flags).unwrap_or_default()),
        };
        for (db, payload) in bugs::distort(self.engine_bug, self.now_ms.get(), n, db, payload) {
            let lsn = EffectSink::append(&self.log, record, flags, db, &payload);
            let mut history = self.history.borrow_mut();
            let last = history.last().map_or(0, |r| r.lsn).max(self.taken);
            if lsn <= last {
                let mut findings = self.findings.borrow_mut();
                findings.push(format!("O10: lsn {lsn} is used again, {last} was reached before"));
            }
            let moment = self.disk.moment();
            history.push(Rc::new(Logged {
                lsn,
                db,
                moment,
                payload,
                flags,
                digest: Cell::new(None),
            }));
        }
        self.log.last_lsn()
    }

    fn last_lsn(&self) -> u64 {
        self.log.last_lsn()
    }

    fn admit(&self, shrinks: bool) -> CmdResult {
        EffectSink::admit(&self.log, shrinks)
    }
}

/// What the workload met on the way.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Commands run.
    pub commands: u64,
    /// Writes refused by a degraded log.
    pub refused: u64,
    /// Names of rows that changed something.
    pub effective: BTreeSet<&'static str>,
    /// Turns in which the intake was stopped.
    pub paused: u64,
    /// States of the log that were seen.
    pub states: BTreeSet<&'static str>,
    /// Bases committed, saves made, snapshots that failed.
    pub snapshots: (u64, u64, u64),
    /// Turns in which a snapshot was under way.
    pub walking: u64,
    /// Keys made in bulk.
    pub bulk: u64,
}

impl Seen {
    /// Adds what another life saw of snapshots.
    pub fn add_snapshots(&mut self, o: &Seen) {
        let (a, b) = (self.snapshots, o.snapshots);
        self.snapshots = (a.0 + b.0, a.1 + b.1, a.2 + b.2);
        self.walking += o.walking;
    }
}

/// A running shard over a simulated disk.
pub struct Life {
    /// The device.
    pub disk: SimDisk,
    /// The log.
    pub log: Log,
    /// The shard.
    pub shard: Shard,
    /// All records that count.
    pub history: Rc<RefCell<History>>,
    /// Replies released.
    pub acks: Rc<RefCell<Vec<Ack>>>,
    /// `(moment, cut)` of the saves made.
    pub saves: Vec<(usize, u64)>,
    /// Which snapshots this life makes.
    pub plan: Plan,
    pub(crate) parts: Parts,
    pub(crate) job: Option<Job>,
    /// Promises broken while running.
    pub findings: Findings,
    /// What the workload met.
    pub seen: Seen,
    /// A second shard fed with the records, which must stay equal.
    model: Option<Shard>,
    pub(crate) bug: Bug,
    sink: Rc<Sink>,
    sessions: Vec<Session>,
    reply: Vec<u8>,
}

/// Which snapshots a life makes, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Rewrites follow each other without a pause.
    pub rewrites: bool,
    /// Saves do.
    pub saves: bool,
    /// Which bases stay listed.
    pub retention: Retention,
    /// How much of the walk a turn makes.
    pub pace: Pace,
    /// What the commands are about, also those of the lives after a crash.
    pub plane: Plane,
}

impl Default for Plan {
    fn default() -> Plan {
        let pace = Pace { turn_bytes: 8 << 10, bytes_per_sec: 0 };
        Plan {
            rewrites: false,
            saves: false,
            retention: Retention::default(),
            pace,
            plane: Plane::Kv,
        }
    }
}

/// Settings of the log in a run.
pub fn log_config(policy: Policy, segment_bytes: u64, bug: Bug) -> LogConfig {
    let cfg = LogConfig {
        policy,
        segment_bytes,
        batch_bytes_max: 32 << 10,
        unsynced_bytes_max: 8 << 20,
        ..LogConfig::default()
    };
    #[cfg(feature = "mutants")]
    let cfg = LogConfig { mutant: bug.storage, ..cfg };
    let _ = bug;
    cfg
}

impl Life {
    /// Opens the log behind what was recovered and starts with `shard`.
    ///
    /// # Errors
    /// The marker cannot be written, or the log does not open.
    pub fn start(
        disk: &SimDisk,
        cfg: LogConfig,
        found: Recovered,
        shard: Shard,
        past: History,
        taken: u64,
        bug: Bug,
    ) -> Result<Life, String> {
        let rt = disk.runtime();
        let opened = rt.block_on(async {
            let data = Path::new(DATA);
            match marker::read(disk, data).await.map_err(|e| e.to_string())? {
                Some(_) => marker::settle(disk, data).await,
                None => marker::write(disk, data, &marker_of()).await,
            }
            .map_err(|e| e.to_string())?;
            found.open(disk.as_dyn(), rt.as_dyn(), cfg).await.map_err(|e| e.to_string())
        });
        let (log, parts) = match opened {
            Ok(opened) => (opened.log, opened.parts),
            Err(e) => {
                rt.shutdown();
                return Err(e);
            }
        };
        let findings = Findings::default();
        let history = Rc::new(RefCell::new(past));
        let sink = Rc::new(Sink {
            log: log.clone(),
            disk: disk.clone(),
            history: Rc::clone(&history),
            taken,
            engine_bug: bug.engine,
            now_ms: Cell::new(0),
            units: Cell::new(0),
            findings: Rc::clone(&findings),
        });
        let mut life = Life {
            disk: disk.clone(),
            log,
            shard,
            history,
            acks: Rc::default(),
            saves: Vec::new(),
            plan: Plan::default(),
            parts,
            job: None,
            bug,
            findings,
            seen: Seen::default(),
            model: None,
            sink: Rc::clone(&sink),
            sessions: (0..CLIENTS as u64).map(Session::new).collect(),
            reply: Vec::new(),
        };
        life.shard.journal.attach(sink);
        life.listen();
        Ok(life)
    }

    /// Notes from now on what the watermark lets go.
    fn listen(&self) {
        let (acks, disk, log) = (Rc::clone(&self.acks), self.disk.clone(), self.log.clone());
        let findings = Rc::clone(&self.findings);
        let seen = Cell::new(log.watermark());
        self.log.on_advance(Rc::new(move || {
            let lsn = log.watermark();
            if lsn > seen.replace(lsn) {
                let mono_us = disk.runtime().mono_us();
                acks.borrow_mut().push(Ack { moment: disk.moment(), mono_us, lsn });
                if log.status().state == LogState::DegradedSync {
                    let text = format!("O13: replies up to lsn {lsn} left while degraded");
                    findings.borrow_mut().push(text);
                }
            }
        }));
    }

    /// Feeds a second shard with the records from now on, for a digest at every record.
    pub fn with_model(mut self) -> Life {
        let mut model = empty_shard();
        for past in self.history.borrow().iter() {
            if let Err(e) = model.apply(past.db, past.flags, &past.payload) {
                self.find(format!("O9: record {} does not apply again: {e}", past.lsn));
            }
        }
        self.model = Some(model);
        self
    }

    pub(crate) fn now(&self) -> Now {
        let rt = self.disk.runtime();
        Now::new(rt.wall_us(), rt.mono_us())
    }

    /// Runs about `commands` commands in turns of the shard, with pauses in between. Each turn
    /// is what the server does: read, execute, expire, flush.
    pub fn drive(&mut self, work: &mut Workload, commands: u64, rng: &mut SimRng) {
        let until = self.seen.commands + commands;
        let mut turns = 0u64;
        while self.seen.commands < until {
            turns += 1;
            let pause = match rng.below(100) {
                0..=39 => rng.below(400),
                40..=69 => rng.below(20_000),
                70..=94 => rng.below(300_000),
                _ => rng.below(1_500_000),
            };
            self.disk.runtime().run_for(pause);
            self.turn_begins();
            self.turn_snapshot();
            self.shard.time_out_waits();
            self.serve_waiting();
            if self.log.should_pause_intake() {
                self.seen.paused += 1;
                self.disk.runtime().run_for(50_000);
                self.log.flush();
                if self.seen.paused > 5000 {
                    self.find("O1: the intake stays stopped".into());
                    return;
                }
                continue;
            }
            for _ in 0..1 + rng.below(8) {
                self.command(work);
            }
            if turns.is_multiple_of(5) {
                self.shard.expire_cycle(&mut NoHost, 20);
                self.after_records();
            }
            self.log.flush();
        }
    }

    fn turn_begins(&mut self) {
        let now = self.now();
        self.shard.set_now(now);
        self.sink.now_ms.set(now.unix_ms);
        self.seen.states.insert(self.log.status().state.name());
    }

    pub(crate) fn find(&self, text: String) {
        self.findings.borrow_mut().push(text);
    }

    fn command(&mut self, work: &mut Workload) {
        let op = work.next(self.shard.now().unix_ms);
        let words: Vec<&[u8]> = op.words.iter().map(Vec::as_slice).collect();
        let args = Args::new(&words);
        let row = table().resolve(args).ok();
        let healthy = self.log.admit().is_ok();
        let before = self.log.last_lsn();
        self.reply.clear();
        let session = &mut self.sessions[op.client];
        if session.waiting {
            return;
        }
        self.shard.run(&mut NoHost, session, args, &mut self.reply);
        self.seen.commands += 1;
        let wrote = self.log.last_lsn() > before;
        self.one_unit(before);
        let row = row.map(|r| r.spec);
        let writes = row.is_some_and(|r| matches!(r.run, Run::Write(_)));
        let calls = row.is_some_and(|r| matches!(r.group, Group::Scripting | Group::Transactions));
        if self.reply.starts_with(b"-MISCONF") {
            self.seen.refused += 1;
            if healthy {
                self.find("O13: a write was refused before any state said why".into());
            }
        }
        if let Some(row) = row.filter(|_| wrote && (writes || calls)) {
            self.seen.effective.insert(row.name);
            if writes && !healthy && !row.flags.has(Flags::SHRINKS) {
                self.find(format!("O13: {} ran on a degraded log", row.name));
            }
        }
        if wrote {
            self.after_records();
            self.serve_waiting();
        }
    }

    /// Adds `count` keys at once, so that the table splits while a snapshot walks it.
    pub fn bulk(&mut self, count: u64) {
        self.turn_begins();
        let mut words = vec![b"MSET".to_vec()];
        for _ in 0..count {
            self.seen.bulk += 1;
            words.push(format!("bulk:{}", self.seen.bulk).into_bytes());
            words.push(b"x".to_vec());
        }
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        if self.sessions[0].waiting || self.log.admit().is_err() {
            return;
        }
        self.reply.clear();
        for words in [&[b"SELECT".as_slice(), b"0"][..], &words] {
            let args = Args::new(words);
            self.shard.run(&mut NoHost, &mut self.sessions[0], args, &mut self.reply);
        }
        self.after_records();
        self.serve_waiting();
        self.log.flush();
    }

    /// Moves a slot, as a server does when its reader says how far it is; the LSN of that.
    pub(crate) fn set_slot(&mut self, name: &[u8], slot: Slot) -> Result<u64, String> {
        self.turn_begins();
        let set = self.shard.set_slot(&mut NoHost, name, Some(slot));
        set.map_err(|e| format!("O11: a slot is refused: {e:?}"))?;
        self.after_records();
        self.log.flush();
        Ok(self.log.last_lsn())
    }

    /// Serves the clients whose wait is over. What each takes is a unit of its own.
    fn serve_waiting(&mut self) {
        while let Some(woken) = self.shard.next_woken() {
            let before = self.log.last_lsn();
            self.reply.clear();
            let session = &mut self.sessions[woken.client as usize];
            self.shard.resume(&mut NoHost, session, woken, &mut self.reply);
            self.one_unit(before);
            self.after_records();
        }
    }

    /// A command or an EXEC is one record; the keys and fields it found expired may take another,
    /// which holds nothing but removals.
    fn one_unit(&self, before: u64) {
        let history = self.history.borrow();
        let new: Vec<_> = history.iter().rev().take_while(|r| r.lsn > before).collect();
        let own = new.iter().filter(|r| !bugs::only_removes(r.effects())).count();
        if own > 1 || new.len() > 2 {
            let (n, texts): (_, Vec<_>) =
                (new.len(), new.iter().map(|r| start_of(r.effects())).collect());
            self.find(format!("O3: one unit became {n} records behind lsn {before}: {texts:?}"));
        }
    }

    /// Takes digests behind the records appended since the last call.
    fn after_records(&mut self) {
        let history = self.history.borrow();
        let fresh = history.iter().rev().take_while(|r| r.digest.get().is_none()).count();
        let Some(model) = &mut self.model else { return };
        let new = &history[history.len() - fresh..];
        for (i, record) in new.iter().enumerate() {
            if let Err(e) = model.apply(record.db, record.flags, &record.payload) {
                self.findings
                    .borrow_mut()
                    .push(format!("O9: record {} does not apply: {e}", record.lsn));
            }
            if i + 1 < new.len() {
                record.digest.set(Some(model.digest()));
            }
        }
        let Some(last) = new.last() else { return };
        last.digest.set(Some(self.shard.digest()));
        if last.lsn % 16 == 0 && model.digest() != self.shard.digest() {
            self.find(format!("O9: live state and replayed records differ at lsn {}", last.lsn));
        }
    }

    /// Lets the log settle for a while of virtual time.
    pub fn settle(&mut self, us: u64) {
        for _ in 0..8 {
            self.log.flush();
            self.turn_snapshot();
            self.disk.runtime().run_for(us / 8);
        }
    }

    /// Waits until everything is durable, or until the log is degraded.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn sync(&mut self) -> Result<(), LogError> {
        let log = self.log.clone();
        self.disk.runtime().block_on(async move { log.sync().await })
    }

    /// Clean shutdown.
    ///
    /// # Errors
    /// As [`Log::shutdown`].
    pub fn shutdown(&mut self) -> Result<(), LogError> {
        self.cancel_snapshot();
        let log = self.log.clone();
        self.disk.runtime().block_on(async move { log.shutdown().await })
    }

    /// Lets go of the log; its tasks and its listener hold it, and a matrix has many lives.
    pub fn close(&mut self) {
        self.log.on_advance(Rc::new(|| {}));
        self.shard.journal.detach();
        self.disk.runtime().shutdown();
    }
}

/// The first bytes of a record's effects.
fn start_of(payload: &[u8]) -> String {
    String::from_utf8_lossy(&payload[..payload.len().min(120)]).replace("\r\n", " ")
}

impl Drop for Life {
    fn drop(&mut self) {
        self.close();
    }
}
