//! What must hold after a crash (crash-matrix.md §7), checked on what the shipped recovery finds.

mod start;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use moon_formats::names;
use moon_storage::io::Disk;
use moon_storage::io::sim::{Image, SimDisk, SimRng};
use moon_storage::log::{LogConfig, Policy};
use moon_storage::parts::bases;
use moon_storage::recovery::Origin;
use xxhash_rust::xxh3::Xxh3;

pub use self::start::{Recovered, load_save, start_at, start_over};
pub(crate) use self::start::{request, start_in, start_unlogged};
use crate::bugs::Bug;
use crate::life::{Ack, History, Life, Logged, empty_shard, paths};
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

    pub(crate) fn of(self, disk: &SimDisk, stop: usize, seed: u64) -> Option<SimDisk> {
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
    /// Those of them that left in every byte a device that had been started on before.
    pub alike: u64,
}

/// Digest of the state behind an LSN; `None` where none was taken.
pub(crate) fn digest_at(history: &[Rc<Logged>], lsn: u64) -> Option<u128> {
    match history.partition_point(|r| r.lsn <= lsn).checked_sub(1) {
        Some(i) => history[i].digest.get(),
        None => Some(empty_shard().digest()),
    }
}

/// What the state of a start follows from: the base, whose checksum was right, and how many records of the history.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    origin: Origin,
    kept: usize,
    end: u64,
}

impl Content {
    fn of(found: &Recovered) -> Content {
        let origin = found.found.origin.clone();
        Content { origin, kept: found.kept, end: found.end.last_lsn }
    }
}

/// What a start on a device came to.
#[derive(Debug, Clone, Copy)]
struct Known {
    end: u64,
    /// Cut of the last save; `None` where nobody has looked for one.
    save: Option<Option<u64>>,
}

/// Digest of all that a start can see of a device.
fn fingerprint(disk: &SimDisk) -> u128 {
    let mut hash = Xxh3::new();
    disk.visit(&mut |bytes| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    });
    hash.digest128()
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
    /// Devices on which a start was right: where several crashes leave the same bytes, one start tells of them all, and
    /// of each is asked only whether it may look like that.
    known: RefCell<HashMap<u128, Known>>,
}

impl<'a> Oracle<'a> {
    /// Nothing is known yet.
    pub fn new(life: &'a Life, history: &'a History, cfg: &'a LogConfig, bug: Bug) -> Oracle<'a> {
        Oracle { life, history, cfg, bug, known: RefCell::default() }
    }

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
        let image = fingerprint(&disk);
        let known = self.known.borrow().get(&image).copied();
        if let Some(Known { end, save: Some(save) }) = known.filter(|_| depth == Depth::Shallow) {
            let mut verdict = Verdict { end, crashes: 1, alike: 1, ..Verdict::default() };
            self.check_acks(stop, crash, end, &mut verdict)?;
            self.check_save_kept(save, stop)?;
            return Ok(verdict);
        }
        disk.set_recording(depth == Depth::Deeper);
        let found = start_over(&disk, self.history, self.cfg, self.bug, true)?;
        let mut verdict = Verdict { end: found.end.last_lsn, crashes: 1, ..Verdict::default() };
        verdict.records = found.found.records;
        self.check_acks(stop, crash, found.end.last_lsn, &mut verdict)?;
        self.check_state(&found)?;
        let save = self.check_save(&disk)?;
        self.check_save_kept(save, stop)?;
        self.known.borrow_mut().insert(image, Known { end: found.end.last_lsn, save: Some(save) });
        if depth == Depth::Shallow {
            disk.runtime().shutdown();
            return Ok(verdict);
        }
        let again = start_over(&disk, self.history, self.cfg, self.bug, false)?;
        if again.end != found.end || again.kept != found.kept {
            return Err("O9: recovering twice gives two results".into());
        }
        self.go_on(&disk, stop, crash, seed, found, depth, &mut verdict)?;
        Ok(verdict)
    }

    /// The last save is whole, and of one moment; its cut.
    fn check_save(&self, disk: &SimDisk) -> Result<Option<u64>, String> {
        if self.life.saves.is_empty() && self.life.seen.walking == 0 {
            return Ok(None);
        }
        let Some((cut, shard)) = load_save(disk, self.cfg)? else { return Ok(None) };
        match digest_at(self.history, cut) {
            Some(want) if want != shard.digest() => {
                Err(format!("O2: the save is not the state of lsn {cut}"))
            }
            _ => Ok(Some(cut)),
        }
    }

    /// The last save is not older than one that was answered.
    fn check_save_kept(&self, cut: Option<u64>, stop: usize) -> Result<(), String> {
        let done = self.life.saves.iter().filter(|s| s.0 <= stop).map(|s| s.1).max();
        match (cut, done) {
            (None, Some(done)) => Err(format!("O9: the save of lsn {done} is gone")),
            (Some(cut), Some(done)) if cut < done => {
                Err(format!("O9: the save of lsn {cut} came back, {done:?} was made"))
            }
            _ => Ok(()),
        }
    }

    /// Digest at the end, times to live included.
    fn check_state(&self, found: &Recovered) -> Result<(), String> {
        let want = match found.kept.checked_sub(1) {
            Some(i) => self.history[i].digest.get(),
            None => Some(empty_shard().digest()),
        };
        match want {
            Some(want) if want != found.shard.digest() => {
                Err(format!("O2: the state is not that of lsn {}", found.end.last_lsn))
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
        seed: u64,
        found: Recovered,
        depth: Depth,
        verdict: &mut Verdict,
    ) -> Result<(), String> {
        let used = self.history.partition_point(|r| r.moment <= stop);
        let taken = used.checked_sub(1).map_or(0, |i| self.history[i].lsn);
        let past: History = self.history[..found.kept].to_vec();
        let first = Content::of(&found);
        let mut next =
            Life::start(disk, self.cfg.clone(), found.found, found.shard, past, taken, self.bug)
                .map_err(|e| format!("O1: the log does not open: {e}"))?;
        next.plan = self.life.plan;
        (next.plan.rewrites, next.plan.saves) = (false, false);
        let opened = disk.moment();
        let mut work = Workload::new(next.plan.plane, seed ^ 1);
        let mut rng = SimRng::new(seed ^ 2);
        next.drive(&mut work, 12, &mut rng);
        next.sync().map_err(|e| format!("O9: cannot sync after recovery: {e}"))?;
        check_files(&next, self.cfg)?;
        if depth == Depth::Deeper {
            self.crash_in_recovery(disk, crash, &first, opened, seed, verdict)?;
        }
        if self.life.seen.walking > 0 {
            next.whole_snapshot(true).map_err(|e| format!("O9: no rewrite after a start: {e}"))?;
            next.drive(&mut work, 6, &mut rng);
            check_files(&next, self.cfg)?;
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
        let last = start_over(&restarted, &history, self.cfg, self.bug, true)?;
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
        first: &Content,
        opened: usize,
        seed: u64,
        verdict: &mut Verdict,
    ) -> Result<(), String> {
        for stop in 0..opened.min(disk.stop_count()) {
            let image = Image::ALL[(stop + seed as usize) % 8];
            let Some(after) = disk.power_loss_at(stop, image, seed ^ stop as u64) else { continue };
            let bytes = fingerprint(&after);
            let known = self.known.borrow().get(&bytes).map(|k| k.end);
            let last = match known {
                Some(end) => {
                    verdict.alike += 1;
                    end
                }
                None => {
                    let at = |e| format!("{e} (power lost at {stop} of the recovery, {image:?})");
                    let start = |apply| start_over(&after, self.history, self.cfg, self.bug, apply);
                    let mut twice = start(false).map_err(at)?;
                    // Its records were held against the history; what they make of the same base is known.
                    if Content::of(&twice) != *first {
                        twice = start(true).map_err(at)?;
                        self.check_state(&twice)?;
                    }
                    let end = twice.end.last_lsn;
                    self.known.borrow_mut().insert(bytes, Known { end, save: None });
                    end
                }
            };
            // Once power was lost everything left is stable; a kill leaves it to the page cache.
            if matches!(crash, Crash::Power(_)) && last != first.end {
                let end = first.end;
                return Err(format!("O9: recovery ended at {end}, after a crash in it at {last}"));
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

/// Once the shard has started and settled, only the log's spares are temporary, and only what
/// the part list names is there.
fn check_files(life: &Life, cfg: &LogConfig) -> Result<(), String> {
    let disk = &life.disk;
    let rt = disk.runtime();
    rt.run_for(1_000_000);
    let names_in = |dir: &Path| {
        let files = rt.block_on(disk.list(dir)).map_err(|e| format!("O12: {e}"))?;
        Ok::<_, String>(files.into_iter().map(|f| f.name).collect::<Vec<_>>())
    };
    let paths = paths();
    let temporary = names_in(&paths.log())?.iter().filter(|f| names::is_temporary(f)).count();
    if temporary > 1 + cfg.idle_segments_max {
        return Err(format!("O12: {temporary} temporary files after a start"));
    }
    if let Some(left) = names_in(&paths.own())?.iter().find(|f| names::is_temporary(f)) {
        return Err(format!("O12: {left} is left after a start"));
    }
    let list = life.parts.list();
    let mut want: Vec<String> = bases(&list).map(|b| names::base_file(b.seq)).collect();
    want.push(names::AOF_MANIFEST.into());
    want.sort();
    let found = names_in(&paths.parts())?;
    if found != want {
        return Err(format!("O12: {found:?} are there, {want:?} are listed"));
    }
    Ok(())
}
