//! Cells of the matrix, and one run of a cell: record a life, then crash it many times.

use std::ops::ControlFlow;

use moon_storage::io::sim::{Fault, FaultKind, Image, SimConfig, SimDisk, SimRng};
use moon_storage::log::{LogConfig, LogState, Policy};
use moon_storage::snapshot::{Pace, Retention};
use xxhash_rust::xxh3::Xxh3;

use crate::bugs::Bug;
use crate::figures::{Failure, Figures, Outcome};
use crate::life::{History, Life, Plan, empty_shard, log_config, table};
use crate::migrate::{self, Migration};
use crate::oracle::{Crash, Depth, Oracle, start_over};
use crate::proof::Proof;
use crate::rot;
use crate::workload::{Plane, Workload};

/// The errors of crash-matrix.md §5, and two beside them.
pub const FAULTS: [(&str, FaultKind); 16] = [
    ("sync-eio-once", FaultKind::SyncEioOnce),
    ("sync-eio-forever", FaultKind::SyncEioForever),
    ("write-eio-once", FaultKind::WriteEioOnce),
    ("write-eio-range", FaultKind::WriteEioRange),
    ("write-short", FaultKind::WriteShort),
    ("write-zero", FaultKind::WriteZero),
    ("enospc-preallocate", FaultKind::EnospcPreallocate),
    ("enospc-write", FaultKind::EnospcWrite),
    ("enospc-then-free", FaultKind::EnospcThenFree { after_us: 400_000 }),
    ("rename-eio", FaultKind::RenameEio),
    ("sync-dir-eio", FaultKind::SyncDirEio),
    ("read-eio", FaultKind::ReadEio),
    ("slow", FaultKind::SlowSyncs),
    ("slow-40s", FaultKind::SlowSync { us: 40_000_000 }),
    ("clock-back", FaultKind::ClockStep { delta_us: -3_600_000_000 }),
    ("clock-forward", FaultKind::ClockStep { delta_us: 86_400_000_000 }),
];

/// What a run does beside crashing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// One error, an index into [`FAULTS`].
    Fault(usize),
    /// Bits of what is stored flip.
    Rot,
    /// None, but that something else is proved of it (set P).
    Proof(Proof),
    /// No life at all, but a run of moon-migrate (set S-mig).
    Migrate(Migration),
}

/// What goes on beside the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Nothing.
    Idle,
    /// Tiny segments, and now and then a base that frees old ones.
    Rotate,
    /// One rewrite after the other.
    Rewrite,
    /// One save after the other.
    Save,
}

const ACTIVITIES: [(&str, Activity); 4] = [
    ("idle", Activity::Idle),
    ("rotate", Activity::Rotate),
    ("rewrite", Activity::Rewrite),
    ("bgsave", Activity::Save),
];

/// One combination of the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What the commands are about.
    pub plane: Plane,
    /// What goes on beside the commands.
    pub activity: Activity,
    /// `appendfsync`.
    pub policy: Policy,
    /// Errors.
    pub trouble: Trouble,
}

const POLICIES: [(&str, Policy); 3] =
    [("always", Policy::Always), ("everysec", Policy::EverySec), ("no", Policy::No)];

impl Cell {
    /// All cells.
    pub fn all() -> Vec<Cell> {
        let mut cells = Vec::new();
        for (_, policy) in POLICIES {
            for (_, plane) in Plane::ALL {
                for (_, activity) in ACTIVITIES {
                    cells.push(Cell { plane, activity, policy, trouble: Trouble::None });
                }
                // What an error does to the log does not depend on what the records say, so these
                // get the errors where segments rotate, and the other activities are `kv`'s.
                if ![Plane::Kv, Plane::Ttl].contains(&plane) && policy != Policy::No {
                    let activity = Activity::Rotate;
                    let damaged = |trouble| Cell { plane, activity, policy, trouble };
                    cells.extend((0..FAULTS.len()).map(|f| damaged(Trouble::Fault(f))));
                    cells.push(damaged(Trouble::Rot));
                }
            }
            for (_, proof) in Proof::ALL {
                let (activity, planes) = proof.axes(policy);
                let trouble = Trouble::Proof(proof);
                let cell = |plane: &Plane| Cell { plane: *plane, activity, policy, trouble };
                cells.extend(planes.iter().map(cell));
            }
            if policy == Policy::EverySec {
                let (plane, activity) = (Plane::Mixed, Activity::Idle);
                let of = |m| Cell { plane, activity, policy, trouble: Trouble::Migrate(m) };
                cells.extend(Migration::all().map(of));
            }
            for activity in [Activity::Rotate, Activity::Rewrite, Activity::Save] {
                let damaged = |trouble| Cell { plane: Plane::Kv, activity, policy, trouble };
                let faults = (0..FAULTS.len()).filter(|f| activity.meets(FAULTS[*f].1));
                cells.extend(faults.map(|f| damaged(Trouble::Fault(f))));
                cells.push(damaged(Trouble::Rot));
            }
        }
        cells
    }

    /// Plane, activity, policy, and the error if there is one; for a migration source and phase.
    pub fn name(&self) -> String {
        let plane = self.plane.name();
        let activity = ACTIVITIES.iter().find(|a| a.1 == self.activity).map_or("", |a| a.0);
        let policy = POLICIES.iter().find(|p| p.1 == self.policy).map_or("", |p| p.0);
        let trouble = match self.trouble {
            Trouble::None => String::new(),
            Trouble::Fault(f) => format!("+{}", FAULTS[f].0),
            Trouble::Rot => "+rot".into(),
            Trouble::Proof(proof) => format!("+{}", proof.name()),
            Trouble::Migrate(m) => return m.name(),
        };
        format!("{plane}-{activity}-{policy}{trouble}")
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Cell> {
        Cell::all().into_iter().find(|c| c.name() == name)
    }

    pub(crate) fn config(&self, bug: Bug) -> LogConfig {
        let segment_bytes = match self.activity {
            Activity::Rotate => 64 << 10,
            Activity::Rewrite => 256 << 10,
            Activity::Idle | Activity::Save => 1 << 20,
        };
        log_config(self.policy, segment_bytes, bug)
    }
}

impl Activity {
    /// Whether an error of the device can meet it other than it meets `rotate`.
    fn meets(self, fault: FaultKind) -> bool {
        match self {
            Activity::Idle | Activity::Rotate => true,
            Activity::Rewrite | Activity::Save => !matches!(
                fault,
                FaultKind::EnospcPreallocate
                    | FaultKind::SlowSyncs
                    | FaultKind::SlowSync { .. }
                    | FaultKind::ClockStep { .. }
            ),
        }
    }
}

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

    /// Records the life, figures included.
    fn record(&self, bug: Bug, figures: &mut Figures) -> Result<Recording, String> {
        let cell = self.cell;
        let cfg = cell.config(bug);
        let disk = SimDisk::new(
            SimConfig { shuffle: self.seed % 2 == 1, ..SimConfig::default() },
            self.seed,
        );
        let fresh = start_over(&disk, &[], &cfg, bug, false)?.found;
        let mut life =
            Life::start(&disk, cfg.clone(), fresh, empty_shard(), History::new(), 0, bug)
                .map_err(|e| format!("O1: a fresh log does not open: {e}"))?
                .with_model();
        life.plan = self.plan();
        life.shard.journal.images = self.has_images();
        let mut work = Workload::new(table(), cell.plane, self.seed);
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
        figures.runs += 1;
        figures.commands += life.seen.commands;
        figures.heals += status.log_heals;
        let made = work.made();
        figures.made = (figures.made.0 + made.0, figures.made.1 + made.1);
        figures.seen.effective.extend(&life.seen.effective);
        figures.seen.states.extend(&life.seen.states);
        figures.seen.refused += life.seen.refused;
        figures.seen.paused += life.seen.paused;
        figures.seen.add_snapshots(&life.seen);
        let history = life.history.borrow().clone();
        figures.records += history.len() as u64;
        if let Some(finding) = life.findings.borrow().first() {
            return Err(finding.clone());
        }
        if let Some(v) = disk.violations().first() {
            return Err(format!("manners: {v:?}"));
        }
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
                let policy = POLICIES.iter().find(|p| p.1 == oracle.cfg.policy).map_or("", |p| p.0);
                let to = out.figures.lost.entry(policy).or_default();
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
