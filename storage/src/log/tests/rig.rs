//! A log on a simulated disk, a script that drives it, and the checks of what a crash left.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_formats::wal::{Record, RecordType};

use crate::io::Runtime;
use crate::io::sim::{Image, SimConfig, SimDisk};
use crate::log::{Log, LogConfig, Policy};
use crate::mutant::Mutant;
use crate::recovery::{RecoveredEnd, RecoveryError, recover};
use crate::scan::{Position, ScanOptions, VisitError, Visitor};

pub(super) const DIR: &str = "/shard-0/wal-v3";
pub(super) const SEGMENT: u64 = 64 << 10;
const COMMAND: u8 = RecordType::Command as u8;

/// One step of a script.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Append a record with this many payload bytes, if the log admits it.
    Append(usize),
    /// End of a shard turn.
    Flush,
    /// Let time pass (microseconds).
    Sleep(u64),
    /// Change the policy.
    Policy(Policy),
    /// A base with its cut at the durable LSN is committed.
    Base,
    /// Wait for durability.
    Sync,
    /// Clean shutdown (last step).
    Shutdown,
}

/// A released acknowledgement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ack {
    pub(super) moment: usize,
    pub(super) mono_us: u64,
    pub(super) lsn: u64,
}

/// What happened in one run.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) disk: SimDisk,
    pub(super) cfg: LogConfig,
    /// Payload of every LSN ever appended.
    pub(super) records: Rc<RefCell<BTreeMap<u64, Vec<u8>>>>,
    pub(super) acks: Rc<RefCell<Vec<Ack>>>,
    /// `(moment, cut)`: bases committed.
    pub(super) bases: Rc<RefCell<Vec<(usize, u64)>>>,
    pub(super) refused: Rc<Cell<u64>>,
}

pub(super) fn config(policy: Policy) -> LogConfig {
    LogConfig {
        policy,
        segment_bytes: SEGMENT,
        batch_bytes_max: 16 << 10,
        unsynced_bytes_max: 1 << 20,
        ..LogConfig::default()
    }
}

/// Content that names its LSN, so that any mix-up shows.
pub(super) fn payload(lsn: u64, len: usize) -> Vec<u8> {
    let mut bytes = lsn.to_le_bytes().to_vec();
    bytes.extend((0..len).map(|i| (lsn as usize * 31 + i) as u8));
    bytes
}

pub(super) fn sim(seed: u64) -> SimDisk {
    SimDisk::new(SimConfig::default(), seed)
}

impl Run {
    pub(super) fn new(disk: SimDisk, cfg: LogConfig) -> Run {
        Run {
            disk,
            cfg,
            records: Rc::default(),
            acks: Rc::default(),
            bases: Rc::default(),
            refused: Rc::default(),
        }
    }

    /// The same history on another disk (a successor after a crash).
    pub(super) fn on(&self, disk: SimDisk) -> Run {
        Run { disk, acks: Rc::default(), bases: Rc::default(), ..self.clone() }
    }

    /// Opens the log behind `end`; acknowledgements are noted from now on.
    pub(super) fn open(&self, end: &RecoveredEnd) -> Log {
        let rt = self.disk.runtime();
        let log = rt
            .block_on(Log::open(
                self.disk.as_dyn(),
                rt.as_dyn(),
                PathBuf::from(DIR),
                self.cfg.clone(),
                end,
            ))
            .expect("the log opens");
        let (acks, disk) = (Rc::clone(&self.acks), self.disk.clone());
        let handle = log.clone();
        let seen = Cell::new(log.watermark());
        log.on_advance(Rc::new(move || {
            let lsn = handle.watermark();
            if lsn > seen.replace(lsn) {
                let mono_us = disk.runtime().mono_us();
                acks.borrow_mut().push(Ack { moment: disk.moment(), mono_us, lsn });
            }
        }));
        log
    }

    /// Lets go of a log that will not be driven again. The listener and the log's tasks hold the log,
    /// so thousands of runs would otherwise all stay in memory.
    pub(super) fn close(&self, log: &Log) {
        log.on_advance(Rc::new(|| {}));
        self.disk.runtime().shutdown();
    }

    /// Drives the log through a script.
    pub(super) fn drive(&self, log: &Log, script: &[Step]) {
        let rt = self.disk.runtime();
        rt.block_on(async {
            for step in script {
                self.step(log, *step).await;
            }
        });
    }

    async fn step(&self, log: &Log, step: Step) {
        match step {
            Step::Append(len) => {
                if log.admit().is_err() {
                    self.refused.set(self.refused.get() + 1);
                    return;
                }
                let lsn = log.last_lsn() + 1;
                let bytes = payload(lsn, len);
                assert_eq!(log.append(COMMAND, 0, 0, &bytes), lsn);
                let old = self.records.borrow_mut().insert(lsn, bytes);
                if self.cfg.mutant != Some(Mutant::LsnReusedAfterTornTail) {
                    assert_eq!(old, None, "lsn {lsn} is used twice");
                }
            }
            Step::Flush => log.flush(),
            Step::Sleep(us) => self.disk.runtime().sleep_us(us).await,
            Step::Policy(policy) => log.set_policy(policy),
            Step::Base => {
                let cut = log.durable_lsn();
                self.bases.borrow_mut().push((self.disk.moment(), cut));
                log.base_committed(cut, log.start_for(cut + 1));
            }
            Step::Sync => drop(log.sync().await),
            Step::Shutdown => log.shutdown().await.expect("clean shutdown"),
        }
    }

    /// Runs a script on a fresh log, lets everything settle for `settle_us`.
    pub(super) fn fresh(seed: u64, cfg: LogConfig, script: &[Step], settle_us: u64) -> Run {
        let run = Run::new(sim(seed), cfg);
        let log = run.open(&RecoveredEnd::fresh(1));
        run.drive(&log, script);
        run.disk.runtime().run_for(settle_us);
        run
    }

    /// Highest LSN acknowledged before a stop, and when the oldest ack above `lsn` was released.
    pub(super) fn acked_before(&self, stop: usize) -> u64 {
        let acks = self.acks.borrow();
        acks.iter().filter(|a| a.moment <= stop).map(|a| a.lsn).max().unwrap_or(0)
    }

    pub(super) fn base_before(&self, stop: usize) -> u64 {
        let bases = self.bases.borrow();
        bases.iter().filter(|b| b.0 <= stop).map(|b| b.1).max().unwrap_or(0)
    }

    /// Options a recovery with a base at `cut` uses.
    pub(super) fn options(&self, cut: u64) -> ScanOptions {
        ScanOptions {
            shard: Some(0),
            durable_floor: cut,
            visit_from: cut + 1,
            mutant: self.cfg.mutant,
            ..ScanOptions::default()
        }
    }

    pub(super) fn recover(&self, cut: u64) -> Result<(RecoveredEnd, Replayed), RecoveryError> {
        let mut seen = Replayed::default();
        let disk = self.disk.as_dyn();
        let end = self.disk.runtime().block_on(recover(
            &*disk,
            Path::new(DIR),
            &self.options(cut),
            &mut seen,
        ))?;
        Ok((end, seen))
    }

    /// Checks that what was recovered is a prefix of the history above `cut`. Returns its last
    /// LSN.
    pub(super) fn check_prefix(&self, cut: u64, seen: &Replayed) -> Result<u64, String> {
        let records = self.records.borrow();
        let mut expect = records.range(cut + 1..);
        let mut last = cut;
        for (lsn, bytes) in &seen.records {
            let is_checkpoint = !records.contains_key(lsn);
            if is_checkpoint && seen.checkpoints.contains(lsn) {
                last = *lsn;
                continue;
            }
            match expect.next() {
                Some((l, b)) if l == lsn && b == bytes => last = *lsn,
                Some((l, _)) => return Err(format!("lsn {lsn} recovered, {l} expected")),
                None => return Err(format!("lsn {lsn} was never appended")),
            }
        }
        Ok(last)
    }
}

/// Everything a recovery visited.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Replayed {
    pub(super) records: Vec<(u64, Vec<u8>)>,
    pub(super) checkpoints: Vec<u64>,
}

impl Visitor for Replayed {
    fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        if r.code == RecordType::Checkpoint.code() {
            self.checkpoints.push(r.lsn);
        }
        self.records.push((r.lsn, r.payload.to_vec()));
        Ok(ControlFlow::Continue(()))
    }
}

/// What stops the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    Power(Image),
    Kill,
}

/// A crash of `run` at `stop`, recovered twice, continued, recovered again. Returns what went
/// against a promise.
pub(super) fn check_stop(run: &Run, stop: usize, crash: Crash, seed: u64) -> Result<Run, String> {
    let disk = match crash {
        Crash::Power(image) => run.disk.power_loss_at(stop, image, seed),
        Crash::Kill => run.disk.kill_at(stop, seed),
    };
    let after = run.on(disk.ok_or("no such stop")?);
    let cut = run.base_before(stop);
    let (end, seen) = after.recover(cut).map_err(|e| format!("does not start: {e}"))?;
    let last = run.check_prefix(cut, &seen)?;
    check_acks(run, stop, crash, last)?;
    let again = after.recover(cut).map_err(|e| format!("does not start again: {e}"))?;
    if again != (end.clone(), seen.clone()) {
        return Err("recovering twice gives two results".into());
    }
    // What counts from now on: the recovered prefix.
    let kept: BTreeMap<u64, Vec<u8>> = run
        .records
        .borrow()
        .iter()
        .filter(|(lsn, _)| **lsn <= last)
        .map(|(l, b)| (*l, b.clone()))
        .collect();
    let history = run.records.borrow().clone();
    let next = Run { records: Rc::new(RefCell::new(kept)), ..after };
    let log = next.open(&end);
    if let Some((lsn, _)) = history.last_key_value()
        && !end.clean
        && log.last_lsn() < *lsn
    {
        return Err(format!("lsn {} would be used again", log.last_lsn() + 1));
    }
    next.drive(
        &log,
        &[Step::Append(40), Step::Append(5000), Step::Flush, Step::Append(1), Step::Sync],
    );
    let (_, more) = next.recover(cut).map_err(|e| format!("does not start after writing: {e}"))?;
    let all = next.check_prefix(cut, &more)?;
    if all != log.last_lsn() {
        return Err(format!("synced up to {}, recovered up to {all}", log.last_lsn()));
    }
    // What was recovered is durable as well, wherever the kernel had it.
    let lost = next.on(next.disk.power_loss(Image::None, seed));
    let (_, rest) =
        lost.recover(cut).map_err(|e| format!("does not start after power loss: {e}"))?;
    if rest.records != more.records {
        return Err(format!("power lost after a sync leaves {} records", rest.records.len()));
    }
    next.close(&log);
    match next.disk.violations().first() {
        Some(v) => Err(format!("bad manners after recovery: {v:?}")),
        None => Ok(next),
    }
}

fn check_acks(run: &Run, stop: usize, crash: Crash, last: u64) -> Result<(), String> {
    let acked = run.acked_before(stop);
    if last >= acked {
        return Ok(());
    }
    // What is lost is a suffix of the acks; the policy bounds the time it spans.
    let acks = run.acks.borrow();
    let lost: Vec<&Ack> = acks.iter().filter(|a| a.moment <= stop && a.lsn > last).collect();
    let span_us = match lost[..] {
        [first, .., newest] => newest.mono_us - first.mono_us,
        _ => 0,
    };
    let bound_us = match (crash, run.cfg.policy) {
        (Crash::Power(_), Policy::EverySec) => 2_000_000,
        (Crash::Power(_), Policy::No) => 30_000_000,
        _ => 0,
    };
    if bound_us == 0 || span_us > bound_us {
        return Err(format!(
            "acked lsn {acked} is lost, the log ends at {last}; the lost acks span {span_us} us"
        ));
    }
    Ok(())
}

/// All stops and images of a run. Panics with the first broken promise.
pub(super) fn check_all(run: &Run, images: &[Image], every: usize) -> usize {
    assert_eq!(run.disk.violations(), [], "bad manners");
    let mut checked = 0;
    for stop in (0..run.disk.stop_count()).step_by(every) {
        let crashes = images.iter().map(|i| Crash::Power(*i)).chain([Crash::Kill]);
        for crash in crashes {
            if let Err(e) = check_stop(run, stop, crash, stop as u64) {
                panic!("stop {stop} {crash:?} {:?}: {e}", run.disk.stop(stop));
            }
            checked += 1;
        }
    }
    checked
}
