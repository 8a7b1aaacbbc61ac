//! A toy shard, whose state after an LSN is the set of records up to it, with its log and part
//! list on a simulated disk.
//!
//! Being a set with checks, it notices what a shard must: a record missing, applied twice, or
//! held by a base and replayed all the same.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use moon_formats::rrdshard::{
    Encoder, Extension, HASH_END, Item, Key, Preamble, Stored, VERSION, file_flags,
};
use moon_formats::value::{Value, ValueType, put_string};
use moon_formats::wal::{Record, RecordType};

use crate::io::Runtime;
use crate::io::sim::{SimConfig, SimDisk};
use crate::log::{LogConfig, Policy};
use crate::mutant::Mutant;
use crate::parts::ShardPaths;
use crate::recovery::{
    FileSummary, Opened, Recovered, RecoveryError, Request, Target, recover_shard, recover_snapshot,
};
use crate::scan::{Position, VisitError, Visitor};
use crate::snapshot::{
    Env, Fill, Finished, Job, Kind, Pace, Retention, Rewrite, SnapshotError, Source, State,
};

pub(crate) const SEGMENT: u64 = 64 << 10;
const COMMAND: u8 = RecordType::Command as u8;

pub(crate) type Map = BTreeMap<u64, Vec<u8>>;

/// What a recovered toy shard holds.
#[derive(Debug, Default, Clone)]
pub(crate) struct Toy {
    pub(crate) map: Map,
    /// Snapshots that were begun.
    pub(crate) restarts: u32,
}

impl Target for Toy {
    fn restart(&mut self) {
        self.map.clear();
        self.restarts += 1;
    }

    fn item(&mut self, item: &Item<'_>) -> Result<(), VisitError> {
        let Item::Entry(entry) = item else { return Ok(()) };
        let Stored::Body { value: Value::String(bytes), .. } = &entry.value else {
            return Err("a string was expected".into());
        };
        let lsn = u64::from_be_bytes(entry.key.try_into()?);
        match self.map.insert(lsn, bytes.to_vec()) {
            None => Ok(()),
            Some(_) => Err(format!("lsn {lsn} stands twice in the base").into()),
        }
    }
}

impl Visitor for Toy {
    fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        if r.code == COMMAND && self.map.insert(r.lsn, r.payload.to_vec()).is_some() {
            return Err(format!("lsn {} is applied twice", r.lsn).into());
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// A snapshot of `map` up to `cut` as the engine writes it, in several blocks.
pub(crate) fn encode(map: &Map, cut: u64, seq: u64, created_at_ms: u64) -> (Vec<u8>, u64, u32) {
    let map = map.range(..=cut).map(|(lsn, payload)| (*lsn, payload.clone())).collect();
    encode_all(&map, cut, seq, created_at_ms)
}

/// A snapshot of all of `map`.
pub(crate) fn encode_all(map: &Map, cut: u64, seq: u64, created_at_ms: u64) -> (Vec<u8>, u64, u32) {
    let preamble =
        Preamble { version: VERSION, shard_id: 0, epoch: 1, last_lsn: cut, created_at_ms };
    let extension = Extension {
        flags: file_flags::SELF_CONTAINED,
        features: 0,
        storage_uuid: [1; 16],
        timeline: 1,
        base_seq: seq,
        last_gtid: 0,
        wal_first_seq: 1,
        mono_us: 1,
        shards: 1,
        databases: 1,
        align_log2: 12,
    };
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&preamble, &extension, &mut out);
    encoder.select(0, &mut out);
    let entries: Vec<_> = map.iter().collect();
    let blocks: Vec<_> = entries.chunks(16).collect();
    let mut lo = 0;
    for (i, block) in blocks.iter().enumerate() {
        encoder.begin(lo);
        for (lsn, payload) in *block {
            let key = Key { key: &lsn.to_be_bytes(), expire_ms: None, access: None };
            let body = |out: &mut Vec<u8>| {
                put_string(out, payload);
                ValueType::String
            };
            encoder.entry(&key, body).expect("fits");
        }
        lo = if i + 1 == blocks.len() { HASH_END } else { lo + 1 };
        encoder.end(lo, &mut out);
    }
    if blocks.is_empty() {
        encoder.begin(0);
        encoder.end(HASH_END, &mut out);
    }
    let summary = encoder.finish(&mut out).expect("whole");
    (out, summary.entries, summary.crc)
}

/// A source that has its bytes already.
pub(crate) struct Canned {
    bytes: VecDeque<u8>,
    entries: u64,
    crc: u32,
    pub(crate) pending: usize,
    pub(crate) aborts: u32,
    pub(crate) ended: bool,
    pub(crate) largest: usize,
}

impl Canned {
    pub(crate) fn new((bytes, entries, crc): (Vec<u8>, u64, u32)) -> Canned {
        Canned {
            bytes: bytes.into(),
            entries,
            crc,
            pending: 0,
            aborts: 0,
            ended: false,
            largest: 0,
        }
    }
}

impl Source for Canned {
    fn fill(&mut self, out: &mut Vec<u8>, budget: usize) -> Fill {
        assert!(self.aborts == 0 && !self.ended, "filled after its end");
        let n = budget.min(self.bytes.len());
        out.extend(self.bytes.drain(..n));
        self.largest = self.largest.max(out.len());
        match self.bytes.is_empty() {
            true => {
                self.ended = true;
                Fill::End { entries: self.entries, crc: self.crc }
            }
            false => Fill::More,
        }
    }

    fn pending(&self) -> usize {
        self.pending
    }

    fn abort(&mut self) {
        assert!(!self.ended && self.aborts == 0, "aborted after its end");
        self.aborts += 1;
    }
}

pub(crate) fn config(policy: Policy) -> LogConfig {
    LogConfig {
        policy,
        segment_bytes: SEGMENT,
        batch_bytes_max: 16 << 10,
        unsynced_bytes_max: 1 << 20,
        ..LogConfig::default()
    }
}

pub(crate) fn paths() -> ShardPaths {
    ShardPaths::new(Path::new("/"), 0)
}

/// Reads a shard.
pub(crate) fn recover(disk: &SimDisk) -> Result<(Recovered, Toy), RecoveryError> {
    let mut toy = Toy::default();
    let paths = paths();
    let req = Request::new(disk, &paths, 1);
    let found =
        disk.runtime().block_on(recover_shard(&req, &mut toy, &mut |p| assert!(p.done <= p.total)));
    found.map(|found| (found, toy))
}

/// Reads the last BGSAVE.
pub(crate) fn recover_save(disk: &SimDisk) -> Result<Option<(FileSummary, Toy)>, RecoveryError> {
    let mut toy = Toy::default();
    let paths = paths();
    let req = Request::new(disk, &paths, 1);
    let found = disk.runtime().block_on(recover_snapshot(&req, &mut toy, &mut |_| {}))?;
    Ok(found.map(|found| (found, toy)))
}

/// A running toy shard.
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) open: Opened,
    /// Every record ever appended.
    pub(crate) history: Rc<RefCell<Map>>,
    /// `(moment, lsn)` of released acknowledgements.
    pub(crate) acks: Rc<RefCell<Vec<(usize, u64)>>>,
    /// `(moment, cut)` of saves that succeeded.
    pub(crate) saves: Vec<(usize, u64)>,
    pub(crate) retention: Retention,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) pace: Pace,
}

impl World {
    /// Recovers and opens.
    pub(crate) fn start(
        disk: SimDisk,
        cfg: LogConfig,
        history: Map,
    ) -> Result<World, RecoveryError> {
        let (found, toy) = recover(&disk)?;
        let history = Map::from_iter(history.into_iter().filter(|(l, _)| toy.map.contains_key(l)));
        assert_eq!(toy.map, history, "recovered");
        let rt = disk.runtime();
        let open = rt.block_on(found.open(disk.as_dyn(), rt.as_dyn(), cfg))?;
        let acks: Rc<RefCell<Vec<(usize, u64)>>> = Rc::default();
        let (noted, at, log) = (Rc::clone(&acks), disk.clone(), open.log.clone());
        let seen = Cell::new(log.watermark());
        open.log.on_advance(Rc::new(move || {
            let lsn = log.watermark();
            if lsn > seen.replace(lsn) {
                noted.borrow_mut().push((at.moment(), lsn));
            }
        }));
        Ok(World {
            disk,
            open,
            history: Rc::new(RefCell::new(history)),
            acks,
            saves: Vec::new(),
            retention: Retention::default(),
            mutant: None,
            pace: Pace::default(),
        })
    }

    pub(crate) fn fresh(seed: u64, policy: Policy) -> World {
        let disk = SimDisk::new(SimConfig::default(), seed);
        World::start(disk, config(policy), Map::new()).expect("a fresh shard opens")
    }

    /// Appends records of about `len` bytes and lets a little time pass.
    pub(crate) fn write(&mut self, records: u64, len: usize) {
        for _ in 0..records {
            if self.open.log.admit().is_err() {
                break;
            }
            let lsn = self.open.log.last_lsn() + 1;
            let mut bytes = lsn.to_le_bytes().to_vec();
            bytes.extend((0..len).map(|i| (lsn as usize * 31 + i) as u8));
            assert_eq!(self.open.log.append(COMMAND, 0, 0, &bytes), lsn);
            let old = self.history.borrow_mut().insert(lsn, bytes);
            assert_eq!(old, None, "lsn {lsn} is used twice");
        }
        self.open.log.flush();
        self.disk.runtime().run_for(700);
    }

    pub(crate) fn env(&self) -> Env {
        let rt = self.disk.runtime();
        Env {
            disk: self.disk.as_dyn(),
            rt: rt.as_dyn(),
            paths: paths(),
            pace: self.pace,
            wake: Rc::new(|| {}),
            mutant: self.mutant,
        }
    }

    /// Makes the cut and starts a job.
    pub(crate) fn begin(&self, rewrite: bool) -> (Job, Canned) {
        let cut = self.open.log.last_lsn();
        let now_ms = (self.disk.runtime().wall_us() / 1000) as u64;
        let seq = if rewrite { self.open.parts.take_seq() } else { 0 };
        let source = Canned::new(encode(&self.history.borrow(), cut, seq, now_ms));
        let kind = match rewrite {
            false => Kind::Save,
            true => Kind::Rewrite(Rewrite {
                log: self.open.log.clone(),
                parts: self.open.parts.clone(),
                seq,
                retention: self.retention,
            }),
        };
        (Job::begin(kind, self.env(), cut), source)
    }

    /// Turns a job to its end while the shard is written to.
    pub(crate) fn finish(
        &mut self,
        job: &mut Job,
        source: &mut Canned,
        records: u64,
    ) -> Result<Finished, SnapshotError> {
        for turn in 0..200_000 {
            match job.turn(source) {
                State::Done(result) => {
                    if let Ok(done) = &result
                        && done.seq.is_none()
                    {
                        self.saves.push((self.disk.moment(), done.cut));
                    }
                    return result;
                }
                State::Working { .. } => assert!(job.wants_turn()),
                State::WaitingForDisk => {
                    assert!(!job.wants_turn());
                    self.disk.runtime().run_for(20);
                }
            }
            if turn < records {
                self.write(1, 300);
            }
            self.open.log.flush();
        }
        panic!("the job does not end");
    }

    /// A whole snapshot.
    pub(crate) fn snapshot(&mut self, rewrite: bool) -> Result<Finished, SnapshotError> {
        let (mut job, mut source) = self.begin(rewrite);
        let result = self.finish(&mut job, &mut source, 6);
        assert_eq!(source.aborts == 0, source.ended, "an unfinished source is told once");
        result
    }

    /// Everything durable, the log let go of, and what a power loss leaves.
    pub(crate) fn stop(self) -> (SimDisk, Map) {
        let rt = self.disk.runtime();
        rt.block_on(self.open.log.sync()).expect("durable");
        rt.run_for(100_000);
        let disk = self.disk.power_loss(crate::io::sim::Image::None, 1);
        disk.set_recording(false);
        let history = self.history.borrow().clone();
        (disk, history)
    }

    pub(crate) fn acked_before(&self, stop: usize) -> u64 {
        self.acks.borrow().iter().filter(|a| a.0 <= stop).map(|a| a.1).max().unwrap_or(0)
    }

    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        use crate::io::Disk;
        let rows = self.disk.runtime().block_on(self.disk.list(Path::new(dir)));
        rows.map(|rows| rows.into_iter().map(|r| r.name).collect()).unwrap_or_default()
    }

    /// Lets go of the log, whose tasks and listener hold it.
    pub(crate) fn close(&self) {
        self.open.log.on_advance(Rc::new(|| {}));
        self.disk.runtime().shutdown();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.close();
    }
}
