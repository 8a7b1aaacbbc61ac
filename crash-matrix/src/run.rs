//! One run of a cell: record a life, then crash it many times.

use std::ops::ControlFlow;

use moon_storage::io::sim::{Fault, FaultKind, Image, SimConfig, SimDisk, SimRng};
use moon_storage::log::{LogConfig, LogState};
use moon_storage::snapshot::{Pace, Retention};
use xxhash_rust::xxh3::Xxh3;

use crate::bugs::Bug;
use crate::cell::{Activity, Cell, FAULTS, Trouble, policy_name};
use crate::figures::{Failure, Figures, Outcome};
use crate::life::{History, Life, Plan};
use crate::migrate;
use crate::oracle::{Crash, Depth, Oracle, start_over};
use crate::rot;
use crate::workload::Workload;

/// One run: everything follows from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The cell.
    pub cell: Cell,
    /// Seed of commands, timing and images.
    pub seed: u64,
    /// Which operation of its kind the error strikes.
    pub nth: u64,
}

/// How many stops and images are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Stops per run; `None` is all.
    pub stops: Option<usize>,
    /// The same for a run with an error of the device, where what matters are the operations that it strikes, which are
    /// tried one by one. The stops around the error are always among them.
    pub stops_with_error: Option<usize>,
    /// All images with several seeds, instead of three at each stop.
    pub all_images: bool,
}

/// How a run with a bug in its past is repeated.
pub const KEPT: Effort = Effort { stops: None, stops_with_error: None, all_images: true };

/// Everything: each stop of a run, in each image.
pub const FULL: Effort = Effort { stops: None, stops_with_error: Some(24), all_images: true };

impl Effort {
    /// So many stops, three images at each.
    pub const fn sample(stops: usize) -> Effort {
        Effort { stops: Some(stops), stops_with_error: Some(stops), all_images: false }
    }
}

/// A recorded life with what is needed to crash it.
pub(crate) struct Recording {
    pub(crate) life: Life,
    pub(crate) history: History,
    pub(crate) cfg: LogConfig,
    pub(crate) bug: Bug,
}

impl Recording {
    fn oracle(&self) -> Oracle<'_> {
        Oracle::new(&self.life, &self.history, &self.cfg, self.bug)
    }
}

impl Run {
    pub(crate) fn line(&self) -> String {
        let nth = match self.cell.trouble {
            Trouble::None | Trouble::Proof(_) | Trouble::Migrate(_) => String::new(),
            _ => format!(" --nth {}", self.nth),
        };
        format!("moon-crash run --cell {} --seed {}{nth}", self.cell.name(), self.seed)
    }

    /// The device of a first life.
    pub(crate) fn disk(&self) -> SimDisk {
        let shuffled = SimConfig { shuffle: self.seed % 2 == 1, ..SimConfig::default() };
        SimDisk::new(shuffled, self.seed)
    }

    /// Records the life, figures included.
    fn record(&self, bug: Bug, figures: &mut Figures) -> Result<Recording, String> {
        let cell = self.cell;
        let cfg = cell.config(bug);
        let disk = self.disk();
        let mut life = Life::first(&disk, &cfg, bug)?;
        life.plan = self.plan();
        life.shard.journal.images = self.has_images();
        let mut work = Workload::new(cell.plane, self.seed);
        if self.has_large_values() {
            work = work.with_large_values();
        }
        let mut rng = SimRng::new(self.seed ^ 0x6c69_6665);
        let fault = match cell.trouble {
            Trouble::Fault(f) => Some(FAULTS[f]),
            _ => None,
        };
        let read_fault = matches!(fault, Some((_, FaultKind::ReadEio)));
        let quiet = cell.trouble == Trouble::None;
        let commands = if quiet { 400 + rng.below(500) } else { 160 };
        if let Some((_, kind)) = fault.filter(|_| !read_fault) {
            disk.inject(Fault::new(kind).at_op(disk.op_count()).skip(self.nth));
        }
        let splits = quiet && cell.activity == Activity::Rewrite && self.seed % 4 == 1;
        for part in 0..8 {
            if splits {
                life.bulk(1000);
            }
            life.drive(&mut work, commands / 8, &mut rng);
            if part == 5 && fault.is_some() {
                disk.clear_faults();
                life.settle(60_000_000);
            }
            // Old segments go while commands run on.
            if cell.activity == Activity::Rotate && part != 3 {
                life.begin_snapshot(true);
            }
        }
        // The last part ends without a pause, so that some stops meet work under way.
        life.settle(if quiet { 40_000 } else { 3_000_000 });
        if let Some((name, _)) = fault {
            *figures.struck.entry(name).or_default() += disk.struck().len() as u64;
        }
        let status = life.log.status();
        if fault.is_some() && status.state != LogState::Ok {
            return Err(format!("O13: the log does not heal: {}", status.state.name()));
        }
        if fault.is_some() && cell.activity != Activity::Idle {
            let rewrite = cell.activity != Activity::Save;
            life.whole_snapshot(rewrite)
                .map_err(|e| format!("O13: no snapshot after the error is over: {e}"))?;
            life.drive(&mut work, 8, &mut rng);
        }
        let history = life.noted(figures, "")?;
        figures.heals += status.log_heals;
        let made = work.made();
        figures.made = (figures.made.0 + made.0, figures.made.1 + made.1);
        figures.seen.effective.extend(&life.seen.effective);
        figures.seen.states.extend(&life.seen.states);
        figures.seen.refused += life.seen.refused;
        figures.seen.paused += life.seen.paused;
        Ok(Recording { life, history, cfg, bug })
    }

    /// Whether values that are written in chunks meet a walk.
    fn has_large_values(&self) -> bool {
        let walks = matches!(self.cell.activity, Activity::Rewrite | Activity::Save);
        walks && self.cell.trouble == Trouble::None && self.seed % 4 == 2
    }

    /// Whether records say how keys were before they changed, of which recovery takes no notice.
    pub(crate) fn has_images(&self) -> bool {
        self.seed % 3 == 2
    }

    fn plan(&self) -> Plan {
        let rng = SimRng::new(self.seed ^ 0x706c_616e).next_u64();
        // Else a walk over large values would outlast the run.
        let least = if self.has_large_values() { 13 } else { 9 };
        Plan {
            rewrites: self.cell.activity == Activity::Rewrite,
            saves: self.cell.activity == Activity::Save,
            retention: Retention { bases: 1 + (rng % 2) as usize, window_ms: 0 },
            pace: Pace { turn_bytes: 1 << (least + rng / 2 % 6), bytes_per_sec: 0 },
            plane: self.cell.plane,
        }
    }

    /// Runs, crashes, checks. Stops after the first broken promise if `first` is set.
    pub fn execute(&self, effort: Effort, bug: Bug, first: bool) -> Outcome {
        self.execute_only(None, effort, bug, first)
    }

    /// The same with one way of crashing alone: the very crashes that [`Run::execute`] makes in that way. Sets P
    /// and S-mig crash in all ways.
    pub fn execute_only(
        &self,
        only: Option<Crash>,
        effort: Effort,
        bug: Bug,
        first: bool,
    ) -> Outcome {
        match self.cell.trouble {
            Trouble::Proof(proof) => return proof.run(self, effort, bug, first),
            Trouble::Migrate(m) => return migrate::run(self, m, effort, bug, first, None),
            _ => {}
        }
        let mut out = Outcome::default();
        let mut hash = Xxh3::new();
        let recording = match self.record(bug, &mut out.figures) {
            Ok(recording) => recording,
            Err(text) => {
                hash.update(text.as_bytes());
                out.failures.push(Failure { again: self.line(), text });
                out.digest = hash.digest();
                return out;
            }
        };
        match self.cell.trouble {
            Trouble::Rot => rot::run(self, &recording, effort, &mut out, &mut hash),
            Trouble::Fault(f) if FAULTS[f].1 == FaultKind::ReadEio => {
                self.read_errors(&recording, effort, &mut out, &mut hash);
            }
            _ => self.crashes(&recording, only, effort, first, &mut out, &mut hash),
        }
        out.digest = hash.digest();
        out
    }

    pub(crate) fn crash_seed(&self, stop: usize, variant: u64) -> u64 {
        SimRng::new(self.seed ^ (stop as u64) << 20 ^ variant << 50 ^ self.nth << 40).next_u64()
    }

    /// Stops to try: all, or the first, the last, those around the error, and a sample.
    fn stops(&self, recording: &Recording, effort: Effort) -> Vec<usize> {
        let disk = &recording.life.disk;
        let count = disk.stop_count();
        let wanted = match self.cell.trouble {
            Trouble::Fault(_) => effort.stops_with_error,
            _ => effort.stops,
        };
        let Some(wanted) = wanted.filter(|w| *w < count) else {
            return (0..count).collect();
        };
        let mut rng = SimRng::new(self.seed ^ 0x7374_6f70 ^ self.nth << 8);
        let mut stops = vec![0, count - 1];
        if let Some((struck, _)) = disk.struck().first() {
            let near = |s: &usize| {
                disk.stop(*s).is_some_and(|p| [0, 1, 2, 10].contains(&p.op.wrapping_sub(*struck)))
            };
            stops.extend((0..count).filter(near));
        }
        while stops.len() < wanted {
            stops.push(rng.below(count as u64) as usize);
        }
        stops.sort_unstable();
        stops.dedup();
        stops
    }

    pub(crate) fn images(&self, stop: usize, effort: Effort) -> Vec<(Crash, u64)> {
        if effort.all_images {
            let several = [Crash::Power(Image::Subset), Crash::Power(Image::Shorn)];
            let variants = |c: Crash| if several.contains(&c) { 0..4 } else { 0..1u64 };
            return Crash::all().flat_map(|c| variants(c).map(move |v| (c, v))).collect();
        }
        let others = [
            Crash::Power(Image::All),
            Crash::Power(Image::Prefix),
            Crash::Power(Image::LateFirst),
            Crash::Power(Image::MetaFirst),
            Crash::Power(Image::DataFirst),
            Crash::Power(Image::Shorn),
            Crash::Kill,
        ];
        let pick = others[(self.crash_seed(stop, 9) % 7) as usize];
        vec![(Crash::Power(Image::None), 0), (Crash::Power(Image::Subset), 0), (pick, 0)]
    }

    fn crashes(
        &self,
        recording: &Recording,
        only: Option<Crash>,
        effort: Effort,
        first: bool,
        out: &mut Outcome,
        hash: &mut Xxh3,
    ) {
        let stops = self.stops(recording, effort);
        out.figures.stops.0 += stops.len() as u64;
        out.figures.stops.1 += recording.life.disk.stop_count() as u64;
        let oracle = recording.oracle();
        let mut n = 0u64;
        for stop in stops {
            for (crash, variant) in self.images(stop, effort) {
                n += 1;
                if only.is_some_and(|only| only != crash) {
                    continue;
                }
                let depth = match (self.crash_seed(stop, 77) ^ n) % 24 {
                    0 => Depth::Deeper,
                    1..=3 => Depth::Deep,
                    _ => Depth::Shallow,
                };
                let failure = self.one(&oracle, (stop, crash, variant), depth, out, hash);
                if let Err(text) = failure {
                    out.failures.push(self.failure(stop, crash, variant, text));
                    if first || out.failures.len() > 20 {
                        return;
                    }
                }
            }
        }
    }

    pub(crate) fn failure(&self, stop: usize, crash: Crash, variant: u64, text: String) -> Failure {
        let variant = if variant > 0 { format!(" --variant {variant}") } else { String::new() };
        let again = format!("{} --point {stop} --image {}{variant}", self.line(), crash.name());
        Failure { again, text }
    }

    fn one(
        &self,
        oracle: &Oracle<'_>,
        (stop, crash, variant): (usize, Crash, u64),
        depth: Depth,
        out: &mut Outcome,
        hash: &mut Xxh3,
    ) -> Result<(), String> {
        let result = oracle.check(stop, crash, self.crash_seed(stop, variant), depth);
        hash.update(&(stop as u64).to_le_bytes());
        hash.update(crash.name().as_bytes());
        *out.figures.crashes.entry(crash.name()).or_default() += 1;
        match result {
            Ok(v) => {
                hash.update(&v.end.to_le_bytes());
                hash.update(&v.lost.to_le_bytes());
                out.figures.in_recovery += v.crashes - 1;
                out.figures.alike += v.alike;
                out.figures.replayed += v.records;
                let to = out.figures.lost.entry(policy_name(oracle.cfg.policy)).or_default();
                *to = (to.0 + v.lost, to.1.max(v.lost_span_us));
                Ok(())
            }
            Err(text) => {
                hash.update(text.as_bytes());
                Err(text)
            }
        }
    }

    /// One crash alone, with every check.
    pub fn single(&self, stop: usize, crash: Crash, variant: u64, bug: Bug) -> Outcome {
        match self.cell.trouble {
            Trouble::Proof(proof) => return proof.run(self, KEPT, bug, false),
            Trouble::Migrate(m) => {
                let only = Some((stop, crash, variant));
                return migrate::run(self, m, KEPT, bug, false, only);
            }
            _ => {}
        }
        let mut out = Outcome::default();
        let mut hash = Xxh3::new();
        match self.record(bug, &mut out.figures) {
            Err(text) => out.failures.push(Failure { again: self.line(), text }),
            Ok(recording) => {
                let at = (stop, crash, variant);
                let oracle = recording.oracle();
                if let Err(text) = self.one(&oracle, at, Depth::Deeper, &mut out, &mut hash) {
                    out.failures.push(self.failure(stop, crash, variant, text));
                }
            }
        }
        out.digest = hash.digest();
        out
    }

    /// A read fails during recovery: it must say so, and the next start is as if nothing was.
    fn read_errors(
        &self,
        recording: &Recording,
        effort: Effort,
        out: &mut Outcome,
        hash: &mut Xxh3,
    ) {
        let Recording { life, history, cfg, bug } = recording;
        let oracle = recording.oracle();
        let fewer = effort.stops_with_error.map(|s| s / 2);
        for stop in self.stops(recording, Effort { stops_with_error: fewer, ..effort }) {
            let seed = self.crash_seed(stop, 0);
            let Some(disk) = life.disk.power_loss_at(stop, Image::Subset, seed) else { continue };
            disk.inject(Fault::new(FaultKind::ReadEio).skip(self.nth + seed % 5));
            let struck_first = start_over(&disk, history, cfg, *bug, true);
            let struck = !disk.struck().is_empty();
            disk.clear_faults();
            *out.figures.struck.entry("read-eio").or_default() += u64::from(struck);
            *out.figures.crashes.entry("subset").or_default() += 1;
            let crash = Crash::Power(Image::Subset);
            let healthy = oracle.check(stop, crash, seed, Depth::Shallow);
            let text = match (&struck_first, &healthy) {
                (_, Err(e)) => Some(e.clone()),
                (Ok(found), Ok(v)) if found.end.last_lsn != v.end => {
                    let last = found.end.last_lsn;
                    Some(format!("O1: a read error cut the log at {last} of {}", v.end))
                }
                (Err(e), _) if !struck => Some(e.clone()),
                (Err(e), _) if !e.starts_with("O1: does not start") && !e.starts_with("O1: ") => {
                    Some(e.clone())
                }
                _ => None,
            };
            // What failed to start has written nothing: the same device starts now.
            let text =
                text.or_else(|| match (start_over(&disk, history, cfg, *bug, true), &healthy) {
                    (Err(e), _) => Some(format!("after a read error: {e}")),
                    (Ok(found), Ok(v)) if found.end.last_lsn != v.end => {
                        Some("O9: a read error changed the device".into())
                    }
                    _ => None,
                });
            disk.runtime().shutdown();
            hash.update(&(stop as u64).to_le_bytes());
            hash.update(&[u8::from(struck_first.is_ok())]);
            if let Some(text) = text {
                hash.update(text.as_bytes());
                out.failures.push(self.failure(stop, crash, 0, text));
            }
        }
    }
}

/// One crash of a run: stop point, what stops it, variant of its seed.
pub type At = (usize, Crash, u64);

/// Which crashes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// Those of one way, at every stop.
    Way(Crash),
    /// A single one.
    One(At),
}

/// Reads a line that [`Failure::again`] printed, or that is kept: the run, and which of its crashes.
pub fn parse_line(line: &str) -> Result<(Run, Which), String> {
    let mut run = None;
    let (mut seed, mut nth, mut point, mut image, mut variant) = (0, 0, None, None, 0);
    let mut words = line.split_whitespace().peekable();
    while words.next_if(|w| !w.starts_with("--")).is_some() {}
    let flow = loop {
        let Some(name) = words.next() else { break ControlFlow::Continue(()) };
        let Some(value) = words.next() else { break ControlFlow::Break(name) };
        let number = value.parse::<u64>();
        match (name, number) {
            ("--cell", _) => {
                run = Some(Cell::named(value).ok_or(format!("no cell is named {value}"))?);
            }
            ("--seed", Ok(n)) => seed = n,
            ("--nth", Ok(n)) => nth = n,
            ("--point", Ok(n)) => point = Some(n as usize),
            ("--variant", Ok(n)) => variant = n,
            ("--image", _) => {
                image = Some(Crash::named(value).ok_or(format!("no image is named {value}"))?);
            }
            _ => break ControlFlow::Break(name),
        }
    };
    if let ControlFlow::Break(name) = flow {
        return Err(format!("cannot read {name}"));
    }
    let cell = run.ok_or("--cell is missing")?;
    let which = match (point, image) {
        (Some(point), Some(image)) => Which::One((point, image, variant)),
        (None, Some(image)) => Which::Way(image),
        (None, None) => Which::All,
        (Some(_), None) => return Err("--point needs --image".into()),
    };
    Ok((Run { cell, seed, nth }, which))
}
