//! What must hold after a crash (crash-matrix.md §7), checked on what the shipped recovery finds.

use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use moon_engine::exec::Shard;
use moon_formats::names;
use moon_formats::wal::{Record, RecordType};
use moon_storage::io::sim::{Image, SimDisk, SimRng};
use moon_storage::io::{Disk, Runtime};
use moon_storage::log::{LogConfig, Policy};
use moon_storage::recovery::{RecoveredEnd, recover};
use moon_storage::scan::{Position, ScanOptions, VisitError, Visitor};

use crate::bugs::{self, Bug, EngineBug};
use crate::life::{Ack, DIR, History, Life, Logged, empty_shard};
use crate::workload::Workload;

/// What stops the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Power is lost; the image says what of the unsynced operations is left.
    Power(Image),
    /// The process is killed; the kernel keeps what it has.
    Kill,
}

impl Crash {
    /// The eight images and the kill.
    pub fn all() -> impl Iterator<Item = Crash> {
        Image::ALL.into_iter().map(Crash::Power).chain([Crash::Kill])
    }

    /// Name as the reports print it.
    pub fn name(self) -> &'static str {
        match self {
            Crash::Power(image) => image.name(),
            Crash::Kill => "kill",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Crash> {
        Crash::all().find(|c| c.name() == name)
    }

    fn of(self, disk: &SimDisk, stop: usize, seed: u64) -> Option<SimDisk> {
        match self {
            Crash::Power(image) => disk.power_loss_at(stop, image, seed),
            Crash::Kill => disk.kill_at(stop, seed),
        }
    }
}

/// What one crash showed when nothing was wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Verdict {
    /// Last record recovered.
    pub end: u64,
    /// Acknowledged records that were lost within the policy's promise.
    pub lost: u64,
    /// Time that the lost acknowledgements span, microseconds.
    pub lost_span_us: u64,
    /// Crashes checked: this one, and those during its recovery.
    pub crashes: u64,
    /// Records that recovery applied.
    pub records: u64,
}

/// A state that came back.
pub struct Recovered {
    /// The shard.
    pub shard: Shard,
    /// Where the log goes on.
    pub end: RecoveredEnd,
    /// Records of the history that were found.
    pub kept: usize,
    /// Number of the last one.
    pub last: u64,
}

struct Replay<'a> {
    shard: Option<&'a mut Shard>,
    bug: Option<EngineBug>,
    history: &'a [Rc<Logged>],
    next: usize,
    last: u64,
}

impl Visitor for Replay<'_> {
    fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        if r.code != RecordType::Command.code() {
            return Ok(ControlFlow::Continue(()));
        }
        let Some(want) = self.history.get(self.next) else {
            return Err(format!("O2: lsn {} was never appended", r.lsn).into());
        };
        if want.lsn != r.lsn {
            return Err(format!("O2: lsn {} recovered, {} expected", r.lsn, want.lsn).into());
        }
        if want.payload != r.payload || want.db != r.db {
            return Err(format!("O10: lsn {} names another record", r.lsn).into());
        }
        if let Some(shard) = &mut self.shard {
            bugs::apply(self.bug, shard, self.next, r.db, r.payload)?;
        }
        self.next += 1;
        self.last = r.lsn;
        Ok(ControlFlow::Continue(()))
    }
}

fn options(cut: u64, cfg: &LogConfig) -> ScanOptions {
    let options = ScanOptions {
        shard: Some(0),
        durable_floor: cut,
        visit_from: if cut > 0 { cut + 1 } else { 0 },
        ..ScanOptions::default()
    };
    #[cfg(feature = "mutants")]
    let options = ScanOptions { mutant: cfg.mutant, ..options };
    let _ = cfg;
    options
}

/// Recovers as the server does: base (here the records up to `cut`, from memory), then the log.
///
/// # Errors
/// Why it does not start.
pub fn start_over(
    disk: &SimDisk,
    history: &[Rc<Logged>],
    cut: u64,
    cfg: &LogConfig,
    bug: Bug,
    apply: bool,
) -> Result<Recovered, String> {
    let rt = disk.runtime();
    let mut shard = empty_shard();
    shard.set_now(moon_engine::clock::Now::new(rt.wall_us(), rt.mono_us()));
    let base = history.partition_point(|r| r.lsn <= cut);
    if apply {
        for record in &history[..base] {
            shard.apply(record.db, &record.payload).map_err(|e| format!("O9: base: {e}"))?;
        }
    }
    let mut replay = Replay {
        shard: apply.then_some(&mut shard),
        bug: bug.engine,
        history,
        next: base,
        last: cut,
    };
    let found = rt.block_on(async {
        let dir = Path::new(DIR);
        disk.create_dir_all(dir).await.map_err(|e| format!("O1: {e}"))?;
        let files = disk.list(dir).await.map_err(|e| format!("O1: {e}"))?;
        if !files.iter().any(|f| names::parse_wal_segment(&f.name).is_some()) {
            return Ok(RecoveredEnd::fresh(1));
        }
        recover(disk, dir, &options(cut, cfg), &mut replay)
            .await
            .map_err(|e| format!("O1: does not start: {e}"))
    });
    let (kept, last) = (replay.next, replay.last);
    if apply
        && bug.engine == Some(EngineBug::LastRecordTwice)
        && let Some(record) = kept.checked_sub(1).and_then(|i| history.get(i))
    {
        let _ = shard.apply(record.db, &record.payload);
    }
    Ok(Recovered { shard, end: found?, kept, last })
}

/// One recorded life, cut off at any stop.
pub struct Oracle<'a> {
    /// The life.
    pub life: &'a Life,
    /// Its history.
    pub history: &'a History,
    /// Its log settings.
    pub cfg: &'a LogConfig,
    /// Its bug.
    pub bug: Bug,
}

impl Oracle<'_> {
    /// Crashes at a stop and checks everything about the start that follows. `deep` adds: a
    /// second recovery, further writes, a clean restart; `deeper` adds crashes during recovery.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn check(
        &self,
        stop: usize,
        crash: Crash,
        seed: u64,
        depth: Depth,
    ) -> Result<Verdict, String> {
        let disk = crash.of(&self.life.disk, stop, seed).ok_or("no such stop")?;
        let cut = self.life.base_before(stop);
        disk.set_recording(depth == Depth::Deeper);
        let found = start_over(&disk, self.history, cut, self.cfg, self.bug, true)?;
        let mut verdict = Verdict { end: found.last, crashes: 1, ..Verdict::default() };
        verdict.records = found.kept as u64;
        self.check_acks(stop, crash, found.last, &mut verdict)?;
        self.check_state(&found)?;
        if depth == Depth::Shallow {
            disk.runtime().shutdown();
            return Ok(verdict);
        }
        let again = start_over(&disk, self.history, cut, self.cfg, self.bug, false)?;
        if again.end != found.end || again.last != found.last {
            return Err("O9: recovering twice gives two results".into());
        }
        self.go_on(&disk, stop, crash, cut, seed, found, depth, &mut verdict)?;
        Ok(verdict)
    }

    /// Digest at the end, times to live included.
    fn check_state(&self, found: &Recovered) -> Result<(), String> {
        let want = match found.kept.checked_sub(1) {
            Some(i) => self.history[i].digest.get(),
            None => Some(empty_shard().digest()),
        };
        match want {
            Some(want) if want != found.shard.digest() => {
                Err(format!("O2: the state is not that of lsn {}", found.last))
            }
            _ => Ok(()),
        }
    }

    fn check_acks(
        &self,
        stop: usize,
        crash: Crash,
        last: u64,
        verdict: &mut Verdict,
    ) -> Result<(), String> {
        let acks = self.life.acks.borrow();
        let before = &acks[..acks.partition_point(|a| a.moment <= stop)];
        let acked = before.last().map_or(0, |a| a.lsn);
        if last >= acked {
            return Ok(());
        }
        let lost: &[Ack] = &before[before.partition_point(|a| a.lsn <= last)..];
        let span = match lost {
            [first, .., newest] => newest.mono_us - first.mono_us,
            _ => 0,
        };
        let bound = match (crash, self.cfg.policy) {
            (Crash::Power(_), Policy::EverySec) => 2_000_000,
            (Crash::Power(_), Policy::No) => 30_000_000,
            _ => 0,
        };
        if bound == 0 || span > bound {
            return Err(format!(
                "O2: acknowledged lsn {acked} is lost, the log ends at {last}; the lost \
                 acknowledgements span {span} us"
            ));
        }
        let records = |lsn: u64| self.history.partition_point(|r| r.lsn <= lsn) as u64;
        let bytes: usize = self
            .history
            .iter()
            .filter(|r| r.lsn > last && r.lsn <= acked)
            .map(|r| r.payload.len())
            .sum();
        if bytes as u64 > self.cfg.unsynced_bytes_max + self.cfg.batch_bytes_max as u64 {
            return Err(format!("O2: {bytes} acknowledged bytes are lost"));
        }
        verdict.lost = records(acked) - records(last);
        verdict.lost_span_us = span;
        Ok(())
    }

    /// Opens the log, writes on, shuts down, starts again.
    #[allow(clippy::too_many_arguments)]
    fn go_on(
        &self,
        disk: &SimDisk,
        stop: usize,
        crash: Crash,
        cut: u64,
        seed: u64,
        found: Recovered,
        depth: Depth,
        verdict: &mut Verdict,
    ) -> Result<(), String> {
        let used = self.history.partition_point(|r| r.moment <= stop);
        let taken = used.checked_sub(1).map_or(0, |i| self.history[i].lsn);
        let past: History = self.history[..found.kept].to_vec();
        let mut next =
            Life::start(disk, self.cfg.clone(), &found.end, found.shard, past, taken, self.bug)
                .map_err(|e| format!("O1: the log does not open: {e}"))?;
        let opened = disk.moment();
        let mut work = Workload::new(crate::life::table(), crate::workload::Plane::Kv, seed ^ 1);
        let mut rng = SimRng::new(seed ^ 2);
        next.drive(&mut work, 12, &mut rng);
        next.sync().map_err(|e| format!("O9: cannot sync after recovery: {e}"))?;
        check_files(disk, self.cfg)?;
        if depth == Depth::Deeper {
            self.crash_in_recovery(disk, crash, cut, found.last, opened, seed, verdict)?;
        }
        next.shutdown().map_err(|e| format!("O9: no clean shutdown: {e}"))?;
        if let Some(finding) = next.findings.borrow().first() {
            return Err(finding.clone());
        }
        if let Some(v) = disk.violations().first() {
            return Err(format!("manners after recovery: {v:?}"));
        }
        let history = next.history.borrow().clone();
        let restarted = disk.power_loss(Image::None, seed);
        let last = start_over(&restarted, &history, cut, self.cfg, self.bug, true)?;
        if !last.end.clean || last.kept != history.len() {
            return Err(format!(
                "O9: clean restart (clean: {}) found {} of {} records",
                last.end.clean,
                last.kept,
                history.len()
            ));
        }
        if last.shard.digest() != next.shard.digest() {
            return Err("O9: clean restart gives another state".into());
        }
        next.close();
        restarted.runtime().shutdown();
        Ok(())
    }

    /// Power is lost at every operation of the recovery itself.
    #[allow(clippy::too_many_arguments)]
    fn crash_in_recovery(
        &self,
        disk: &SimDisk,
        crash: Crash,
        cut: u64,
        first_end: u64,
        opened: usize,
        seed: u64,
        verdict: &mut Verdict,
    ) -> Result<(), String> {
        for stop in 0..opened.min(disk.stop_count()) {
            let image = Image::ALL[(stop + seed as usize) % 8];
            let Some(after) = disk.power_loss_at(stop, image, seed ^ stop as u64) else { continue };
            let twice = start_over(&after, self.history, cut, self.cfg, self.bug, true)
                .map_err(|e| format!("{e} (power lost at {stop} of the recovery, {image:?})"))?;
            self.check_state(&twice)?;
            // Once power was lost everything left is stable; a kill leaves it to the page cache.
            if matches!(crash, Crash::Power(_)) && twice.last != first_end {
                return Err(format!(
                    "O9: recovery ended at {first_end}, after a crash in it at {}",
                    twice.last
                ));
            }
            verdict.crashes += 1;
            after.runtime().shutdown();
        }
        Ok(())
    }
}

/// How much is checked behind a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The recovered state.
    Shallow,
    /// And again, and writing on.
    Deep,
    /// And crashes during the recovery.
    Deeper,
}

/// Once the log has started and settled, only its own spares are temporary.
fn check_files(disk: &SimDisk, cfg: &LogConfig) -> Result<(), String> {
    let rt = disk.runtime();
    rt.run_for(1_000_000);
    let files = rt.block_on(disk.list(Path::new(DIR))).map_err(|e| format!("O12: {e}"))?;
    let temporary = files.iter().filter(|f| names::is_temporary(&f.name)).count();
    if temporary > 1 + cfg.idle_segments_max {
        return Err(format!("O12: {temporary} temporary files after a start"));
    }
    Ok(())
}
