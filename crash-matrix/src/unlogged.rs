//! A life without a log (`appendonly no`): its saves are all there is (crash-matrix.md §2, set P).
//!
//! The process is stopped at operations of the saves. A start then shows the state of a save, whole: the last
//! one that was answered or a later one, never anything in between, and never anything of the time after it.
//! Nothing but the save is left once another has been made.

use std::path::Path;
use std::rc::Rc;

use moon_engine::args::Args;
use moon_engine::clock::Now;
use moon_engine::exec::{Session, Shard};
use moon_engine::snapshot::SnapshotRefused;
use moon_storage::io::sim::{SimDisk, SimRng};
use moon_storage::io::{Disk, Runtime};
use moon_storage::log::LogConfig;
use moon_storage::marker;
use moon_storage::snapshot::{Env, Job, Kind, Pace, State};

use crate::bugs::{Bug, SaveBug};
use crate::door::{Door, Lie};
use crate::figures::{Figures, Outcome};
use crate::life::{DATA, NoHost, empty_shard, marker_of, paths};
use crate::oracle::start_unlogged;
use crate::proof::{Stopped, Trial, prove};
use crate::run::{Effort, Run};
use crate::walk::head;
use crate::workload::{CLIENTS, Workload};

/// Saves of a life.
const SAVES: usize = 6;
/// Commands between two, and at least while one is made.
const COMMANDS: u64 = 24;
/// Turns of the shard that a save may last.
const TURNS_MAX: u32 = 100_000;
/// One crash in so many is followed by another life.
const DEEP: u64 = 4;

/// A save that was begun.
struct Save {
    /// What tells it from others.
    created_ms: u64,
    digest: u128,
    begun: usize,
    done: Option<usize>,
}

/// A shard without a log.
struct Bare {
    disk: SimDisk,
    shard: Shard,
    sessions: Vec<Session>,
    work: Workload,
    rng: SimRng,
    job: Option<Job>,
    saves: Vec<Save>,
    commands: u64,
    bug: Bug,
}

impl Bare {
    fn new(disk: &SimDisk, shard: Shard, run: &Run, seed: u64, bug: Bug) -> Bare {
        Bare {
            disk: disk.clone(),
            shard,
            sessions: (0..CLIENTS as u64).map(Session::new).collect(),
            work: Workload::new(run.cell.plane, seed),
            rng: SimRng::new(seed ^ 0x6261_7265),
            job: None,
            saves: Vec::new(),
            commands: 0,
            bug,
        }
    }

    /// One turn: time passes, keys expire, commands run, the save goes on.
    fn turn(&mut self) -> Result<(), String> {
        let rt = self.disk.runtime();
        rt.run_for(1 + self.rng.below(3000));
        self.shard.set_now(Now::new(rt.wall_us(), rt.mono_us()));
        self.shard.expire_cycle(&mut NoHost, 20);
        self.shard.time_out_waits();
        for _ in 0..1 + self.rng.below(4) {
            self.serve_waiting();
            let op = self.work.next(self.shard.now().unix_ms);
            let session = &mut self.sessions[op.client];
            if session.waiting {
                continue;
            }
            let words: Vec<&[u8]> = op.words.iter().map(Vec::as_slice).collect();
            self.shard.run(&mut NoHost, session, Args::new(&words), &mut Vec::new());
            self.commands += 1;
        }
        self.serve_waiting();
        let Some(job) = &mut self.job else { return Ok(()) };
        if let State::Done(result) = job.turn(&mut self.shard) {
            self.job = None;
            result.map_err(|e| format!("O9: no save: {e}"))?;
            if let Some(save) = self.saves.last_mut() {
                save.done = Some(self.disk.moment());
            }
        }
        Ok(())
    }

    fn serve_waiting(&mut self) {
        while let Some(woken) = self.shard.next_woken() {
            let session = &mut self.sessions[woken.client as usize];
            self.shard.resume(&mut NoHost, session, woken, &mut Vec::new());
        }
    }

    /// What saves are written to.
    fn device(&self) -> Rc<dyn Disk> {
        let lie = match self.bug.save {
            Some(SaveBug::SaveUnsynced) => Lie::Unsynced(Box::new(|_: &Path| true)),
            Some(SaveBug::SaveNameUnsynced) => Lie::NamesUnsynced(Box::new(|_: &Path| true)),
            Some(SaveBug::LastSaveRemovedFirst) => Lie::RemovedFirst(paths().snapshot()),
            None => return self.disk.as_dyn(),
        };
        Door::before(self.disk.as_dyn(), lie)
    }

    /// Makes the cut of a save; false while a script is paused.
    fn begin_save(&mut self) -> Result<bool, String> {
        let created_ms = self.shard.now().unix_ms;
        let (preamble, extension) = head(0, 0, 0, created_ms);
        match self.shard.begin_snapshot(&preamble, &extension) {
            Ok(()) => {}
            Err(SnapshotRefused::ScriptRunning) => return Ok(false),
            Err(e) => return Err(format!("O1: no snapshot begins: {e}")),
        }
        #[cfg(feature = "mutants")]
        if let Some(mutant) = self.bug.walk {
            self.shard.break_snapshot(mutant);
        }
        let rt = self.disk.runtime();
        let env = Env {
            disk: self.device(),
            rt: rt.as_dyn(),
            paths: paths(),
            pace: Pace { turn_bytes: 2 << 10, bytes_per_sec: 0 },
            wake: Rc::new(|| {}),
            #[cfg(feature = "mutants")]
            mutant: self.bug.storage,
        };
        self.job = Some(Job::begin(Kind::Save, env, 0));
        let (digest, begun) = (self.shard.digest(), self.disk.moment());
        self.saves.push(Save { created_ms, digest, begun, done: None });
        Ok(true)
    }

    /// Commands, and a save while they go on.
    fn save(&mut self) -> Result<(), String> {
        let until = self.commands + COMMANDS;
        while self.commands < until {
            self.turn()?;
        }
        for _ in 0..TURNS_MAX {
            if self.begin_save()? {
                break;
            }
            self.turn()?;
        }
        for _ in 0..TURNS_MAX {
            self.turn()?;
            if self.job.is_none() {
                return Ok(());
            }
        }
        Err("O9: a save does not end".into())
    }
}

struct Past {
    life: Bare,
    cfg: LogConfig,
}

impl Drop for Past {
    fn drop(&mut self) {
        self.life.disk.runtime().shutdown();
    }
}

/// One run of the set.
pub(crate) fn run(run: &Run, effort: Effort, bug: Bug, first: bool) -> Outcome {
    prove(run, effort, bug, first, record, &[crashes])
}

fn record(run: &Run, cfg: LogConfig, bug: Bug, figures: &mut Figures) -> Result<Past, String> {
    let disk = run.disk();
    let rt = disk.runtime();
    let marked = rt.block_on(marker::write(&disk, Path::new(DATA), &marker_of()));
    marked.map_err(|e| format!("O1: no marker: {e}"))?;
    let (none, shard) = start_unlogged(&disk, &cfg)?;
    if none.is_some() {
        return Err("O1: a fresh directory has a save".into());
    }
    let mut life = Bare::new(&disk, shard, run, run.seed, bug);
    for _ in 0..SAVES {
        life.save()?;
    }
    figures.runs += 1;
    figures.commands += life.commands;
    figures.seen.snapshots.1 += life.saves.len() as u64;
    if let Some(v) = disk.violations().first() {
        return Err(format!("manners: {v:?}"));
    }
    Ok(Past { life, cfg })
}

/// Power is lost, or the process killed, at operations of the saves.
fn crashes(t: &mut Trial<'_, Past>) -> Result<(), String> {
    let past = t.past;
    let (disk, mut rng) = (&past.life.disk, SimRng::new(t.run.seed ^ 0x7374_6f70));
    t.each_crash(disk, 0..disk.stop_count(), &mut rng, "", |t, left| {
        let save = after_crash(t.run, past, left)?;
        t.hash.update(&save.to_le_bytes());
        Ok(())
    })
}

/// What a crash has left; how many saves had been begun up to the one that is there.
fn after_crash(run: &Run, past: &Past, left: &Stopped) -> Result<usize, String> {
    let (Past { life, cfg }, stop) = (past, left.stop);
    let (found, shard) = start_unlogged(&left.disk, cfg)?;
    let least = life.saves.iter().rposition(|s| s.done.is_some_and(|done| done <= stop));
    let (digest, save) = match found {
        None => match least {
            Some(n) => return Err(format!("O9: save {n} was answered, and none is there")),
            None => (empty_shard().digest(), 0),
        },
        Some(summary) => {
            let created_ms = summary.head.preamble.created_at_ms;
            let is_it = |s: &Save| s.created_ms == created_ms && s.begun <= stop;
            let n = life.saves.iter().rposition(is_it).ok_or("O9: a save that nobody made")?;
            if least.is_some_and(|least| n < least) {
                return Err(format!("O9: save {n} came back, {least:?} was answered"));
            }
            (life.saves[n].digest, n + 1)
        }
    };
    if shard.digest() != digest {
        return Err(format!("O2: the state is not that of save {save}"));
    }
    if left.seed.is_multiple_of(DEEP) {
        go_on(run, past, &left.disk, shard, left.seed)?;
    }
    Ok(save)
}

/// Another life: it saves, nothing is left beside that, and a start shows it.
fn go_on(run: &Run, past: &Past, disk: &SimDisk, shard: Shard, seed: u64) -> Result<(), String> {
    let rt = disk.runtime();
    let marked = rt.block_on(marker::read(disk, Path::new(DATA)));
    match marked.map_err(|e| format!("O1: does not start: {e}"))? {
        Some(_) => rt.block_on(marker::settle(disk, Path::new(DATA))),
        None => rt.block_on(marker::write(disk, Path::new(DATA), &marker_of())),
    }
    .map_err(|e| format!("O1: no marker: {e}"))?;
    let mut next = Bare::new(disk, shard, run, seed, past.life.bug);
    next.save()?;
    let names_in = |dir: &Path| {
        let entries = rt.block_on(disk.list(dir)).map_err(|e| format!("O12: {e}"))?;
        Ok::<_, String>(entries.into_iter().map(|e| e.name).collect::<Vec<_>>())
    };
    let paths = paths();
    let (all, own) = (names_in(Path::new(DATA))?, names_in(&paths.own())?);
    let save = paths.snapshot().file_name().unwrap_or_default().to_string_lossy().into_owned();
    if own != [save] || all.len() != 2 {
        return Err(format!("O12: {all:?} and {own:?} are left"));
    }
    let (_, again) = start_unlogged(disk, &past.cfg)?;
    match next.saves.last() {
        Some(save) if save.digest == again.digest() => Ok(()),
        _ => Err("O9: a start without a log gives another state than its save".into()),
    }
}
