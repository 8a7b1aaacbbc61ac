//! Set S-mig: moon-migrate under power loss (crash-matrix.md O15).
//!
//! A data set is made, given the form of a source, and carried into a directory that holds another one. Power is lost, or
//! the process killed, at the operations of one phase of that run; then source and old tree must be whole, what a server
//! would open must be whole, and `resume` must end with the new tree and `rollback` with the old one, also if they are
//! crashed in their turn.
//!
//! The directories of Moon are on the simulated disk; sources of other kinds, which are only read, are files of this
//! machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use moon_formats::marker::Marker;
use moon_formats::migration::State;
use moon_formats::names::MARKER;
use moon_formats::resp::encode_command;
use moon_migrate::{Cli, Failure, Host};
use moon_storage::io::Disk;
use moon_storage::io::sim::{Image, OpKind, SimConfig, SimDisk, SimRng};
use moon_storage::migration;
use xxhash_rust::xxh3::Xxh3;

use crate::bugs::{Bug, MigrationBug};
use crate::door::{Door, Lie};
use crate::figures::{Failure as Broken, Outcome};
use crate::life::{History, Life, empty_shard, log_config};
use crate::oracle::{Crash, start_over};
use crate::run::{At, Effort, Run};
use crate::workload::{Plane, Workload};

/// Directory around the target.
const AROUND: &str = "/to";
/// The target.
const TO: &str = "/to/data";
/// RDB version that has a form for every value.
const RDB_VERSION: &str = "12";
/// Commands of each part of the life that the source comes from.
const COMMANDS: u64 = 40;

/// Where the keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A file of Redis.
    RedisRdb,
    /// An append-only file of Redis: a base and commands.
    RedisAof,
    /// A directory of the reference.
    Reference,
    /// A directory of Moon: a base and a log.
    Moon,
}

/// What the run is doing when it is crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It writes down what it is going to do.
    Plan,
    /// It writes the new tree.
    Copy,
    /// It has read the new tree back, and says so.
    Verify,
    /// It exchanges the names.
    Swap,
    /// It exchanges them back.
    Rollback,
}

const ORIGINS: [(&str, Origin); 4] = [
    ("redis-rdb", Origin::RedisRdb),
    ("redis-aof", Origin::RedisAof),
    ("reference", Origin::Reference),
    ("moon", Origin::Moon),
];

const PHASES: [(&str, Phase); 5] = [
    ("plan", Phase::Plan),
    ("copy", Phase::Copy),
    ("verify", Phase::Verify),
    ("swap", Phase::Swap),
    ("rollback", Phase::Rollback),
];

/// The axes of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Where the keys come from.
    pub origin: Origin,
    /// What is crashed.
    pub phase: Phase,
}

impl Migration {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Migration> {
        ORIGINS.into_iter().flat_map(|(_, origin)| {
            PHASES.into_iter().map(move |(_, phase)| Migration { origin, phase })
        })
    }

    /// Name of the cell.
    pub fn name(self) -> String {
        let origin = ORIGINS.iter().find(|(_, o)| *o == self.origin).map_or("", |(name, _)| name);
        let phase = PHASES.iter().find(|(_, p)| *p == self.phase).map_or("", |(name, _)| name);
        format!("migrate-{origin}-{phase}")
    }
}

/// Size and checksum of all files of a tree by their paths in it.
type Tree = BTreeMap<PathBuf, (u64, u32)>;

/// A directory of this machine that goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("moon-migrate-{}-{n}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Scratch(dir))
    }

    /// Everything in it.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut tree, mut waiting) = (BTreeMap::new(), vec![self.0.clone()]);
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => waiting.push(path),
                    path => {
                        let bytes = fs::read(&path).unwrap_or_default();
                        tree.insert(path, bytes);
                    }
                }
            }
        }
        tree
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is below the directory for temporary files; the next boot removes what stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is where before the run.
struct Scene {
    scratch: Scratch,
    disk: SimDisk,
    /// The source, KIND:PATH.
    from: String,
    /// Digest of what is in it.
    digest: u128,
    /// The files of this machine, and those of the simulated one outside [`AROUND`].
    files: BTreeMap<PathBuf, Vec<u8>>,
    source: Tree,
    /// The old tree and the digest of its data; `None` if the target is absent or empty.
    old: Option<(Tree, u128)>,
    bug: Option<MigrationBug>,
}

/// Runs a command line of moon-migrate on a simulated machine.
fn act(disk: &SimDisk, bug: Option<MigrationBug>, words: &[&str]) -> Result<(), Failure> {
    let host = host(disk, bug);
    let cli = Cli::of(words).map_err(|message| Failure { code: 2, message })?;
    disk.runtime().block_on(moon_migrate::run(&cli, &host, &mut Vec::new()))
}

fn host(disk: &SimDisk, bug: Option<MigrationBug>) -> Host {
    let door: Rc<dyn Disk> = match bug {
        None => disk.as_dyn(),
        Some(bug) => Door::before(disk.as_dyn(), lie(bug)),
    };
    let rt = Rc::new(disk.runtime());
    Host { disk: door, rt, lock: |_| Ok(None), uuid: || Ok([9; 16]) }
}

/// How the disk makes a bug of what moon-migrate does.
fn lie(bug: MigrationBug) -> Lie {
    let (journal, tree) = (migration::journal(Path::new(TO)), migration::new_tree(Path::new(TO)));
    match bug {
        MigrationBug::JournalUnsynced => {
            Lie::Unsynced(Box::new(move |path: &Path| path.with_extension("") == journal))
        }
        MigrationBug::TreeUnsynced => {
            Lie::Unsynced(Box::new(move |path: &Path| path.starts_with(&tree)))
        }
        MigrationBug::NamesUnsynced => {
            Lie::NamesUnsynced(Box::new(|dir: &Path| dir == migration::parent(Path::new(TO))))
        }
        MigrationBug::SwapUnannounced => Lie::Unannounced(journal),
        MigrationBug::MarkerFirst => {
            let (uuid, extra) = ([9; 16], Vec::new());
            Lie::MarkedFirst(tree, Marker { uuid, shards: 1, databases: 16, created_ms: 1, extra })
        }
    }
}

/// All files below a directory of the simulated machine.
fn tree(disk: &SimDisk, dir: &Path) -> Tree {
    disk.files_below(dir)
}

/// All files of the simulated machine but those around the target.
fn elsewhere(disk: &SimDisk) -> Tree {
    let mut all = tree(disk, Path::new("/"));
    all.retain(|path, _| !Path::new("/").join(path).starts_with(AROUND));
    all
}

fn digest(disk: &SimDisk, dir: &Path) -> Result<u128, String> {
    let found = disk.runtime().block_on(moon_migrate::digest(&host(disk, None), dir));
    let found =
        found.map_err(|e| format!("O15: {} does not open: {}", dir.display(), e.message))?;
    found.ok_or_else(|| format!("O15: {} has no digest", dir.display()))
}

/// Records as an append-only file of Redis has them.
fn commands(history: &History, from: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for record in history.iter().skip(from) {
        let db = record.db.to_string();
        encode_command(&mut out, [b"SELECT".as_slice(), db.as_bytes()].into_iter());
        encode_command(&mut out, [b"MULTI".as_slice()].into_iter());
        out.extend_from_slice(record.effects());
        encode_command(&mut out, [b"EXEC".as_slice()].into_iter());
    }
    out
}

impl Scene {
    /// Makes a data set of the plane `mixed`, the old tree from what it was early on, and the source from its end.
    fn new(run: &Run, origin: Origin, bug: Option<MigrationBug>) -> Result<Scene, String> {
        let text = |e: std::io::Error| e.to_string();
        let said = |what: &'static str| move |e: Failure| format!("O15: {what}: {}", e.message);
        let scratch = Scratch::new()?;
        let shuffled =
            SimConfig { shuffle: run.seed % 2 == 1, record: false, ..SimConfig::default() };
        let disk = SimDisk::new(shuffled, run.seed);
        let cfg = log_config(run.cell.policy, 256 << 10, Bug::default());
        let fresh = start_over(&disk, &[], &cfg, Bug::default(), false)?.found;
        let mut life =
            Life::start(&disk, cfg, fresh, empty_shard(), History::new(), 0, Bug::default())?;
        life.plan.plane = Plane::Mixed;
        let mut work = Workload::new(Plane::Mixed, run.seed);
        let mut rng = SimRng::new(run.seed ^ 0x6d69_6772);
        let mut live = |life: &mut Life| {
            life.drive(&mut work, COMMANDS, &mut rng);
            life.sync().map_err(|e| format!("O15: cannot sync: {e}"))
        };
        live(&mut life)?;
        let place = |kind: &str, name: &str| format!("{kind}:{}", scratch.0.join(name).display());
        let export = |to: &str| {
            let words = ["run", "--from", "moon:/", "--to", to, "--rdb-version", RDB_VERSION];
            act(&disk, None, &words).map_err(said("no export"))
        };
        let mut old = None;
        if run.seed % 4 != 3 {
            let rdb = place("redis-rdb", "old.rdb");
            export(&rdb)?;
            disk.runtime().block_on(disk.create_dir_all(Path::new(AROUND))).map_err(text)?;
            act(&disk, None, &["run", "--from", &rdb, "--to", TO]).map_err(said("no old tree"))?;
            old = Some(life.shard.digest());
        } else {
            // Nothing to make way, or an empty directory.
            let dir = if run.seed % 8 == 3 { AROUND } else { TO };
            disk.runtime().block_on(disk.create_dir_all(Path::new(dir))).map_err(text)?;
        }
        live(&mut life)?;
        let from = match origin {
            Origin::RedisRdb => {
                let from = place("redis-rdb", "dump.rdb");
                live(&mut life)?;
                export(&from)?;
                from
            }
            Origin::RedisAof => {
                let from = place("redis-aof", "aof");
                export(&from)?;
                let exported = life.history.borrow().len();
                live(&mut life)?;
                let incr = scratch.0.join("aof/appendonlydir/appendonly.aof.1.incr.aof");
                fs::write(incr, commands(&life.history.borrow(), exported)).map_err(text)?;
                from
            }
            Origin::Reference => {
                live(&mut life)?;
                let dir = scratch.0.join("reference/appendonlydir");
                fs::create_dir_all(&dir).map_err(text)?;
                let manifest = "seq 1\nincr moon.aof.1.incr.aof\n";
                fs::write(dir.join("moon.aof.manifest"), manifest).map_err(text)?;
                let incr = commands(&life.history.borrow(), 0);
                fs::write(dir.join("moon.aof.1.incr.aof"), incr).map_err(text)?;
                place("moon", "reference")
            }
            Origin::Moon => {
                life.whole_snapshot(true).map_err(|e| format!("O15: no base: {e}"))?;
                live(&mut life)?;
                "moon:/".into()
            }
        };
        life.shutdown().map_err(|e| format!("O15: no clean shutdown: {e}"))?;
        let digest = life.shard.digest();
        life.close();
        let disk = disk.power_loss(Image::None, run.seed);
        let old = old.map(|digest| (tree(&disk, Path::new(TO)), digest));
        let source = elsewhere(&disk);
        let files = scratch.files();
        Ok(Scene { scratch, disk, from, digest, files, source, old, bug })
    }

    /// The machine before the run, or behind it, with its operations recorded from now on.
    fn begin(&self, phase: Phase, seed: u64) -> Result<SimDisk, String> {
        let mut disk = self.disk.power_loss(Image::None, seed);
        if phase == Phase::Rollback {
            self.carry(&disk)?;
            disk = disk.power_loss(Image::None, seed);
        }
        disk.set_recording(true);
        Ok(disk)
    }

    fn carry(&self, disk: &SimDisk) -> Result<(), String> {
        act(disk, self.bug, &["run", "--from", &self.from, "--to", TO])
            .map_err(|e| format!("O15: not carried: {}", e.message))
    }

    /// Goes on with a run, or begins it where nothing of it is left.
    fn go_on(&self, disk: &SimDisk) -> Result<(), String> {
        match self.journal(disk)? {
            // A journal of the run that has made the old tree.
            None | Some(State::Done) if !self.is_new(disk)? => self.carry(disk),
            _ => act(disk, self.bug, &["resume", "--to", TO])
                .map_err(|e| format!("O15: does not resume: {}", e.message)),
        }
    }

    fn is_new(&self, disk: &SimDisk) -> Result<bool, String> {
        Ok(self.is_tree(disk, Path::new(TO)) && digest(disk, Path::new(TO))? == self.digest)
    }

    fn is_tree(&self, disk: &SimDisk, path: &Path) -> bool {
        tree(disk, path).contains_key(Path::new(MARKER))
    }

    fn roll_back(&self, disk: &SimDisk) -> Result<(), Failure> {
        act(disk, self.bug, &["rollback", "--to", TO])
    }

    fn journal(&self, disk: &SimDisk) -> Result<Option<State>, String> {
        let journal = disk.runtime().block_on(migration::read(disk, Path::new(TO)));
        let journal = journal.map_err(|e| format!("O15: the journal: {e}"))?;
        Ok(journal.map(|journal| journal.state))
    }

    /// What holds at any moment: the source is as it was, the old tree is whole under one of its names, and what a start
    /// would open is whole.
    fn holds(&self, disk: &SimDisk) -> Result<(), String> {
        if elsewhere(disk) != self.source {
            return Err("O15: the source has changed".into());
        }
        let found = tree(disk, Path::new(TO));
        if let Some((old, _)) = &self.old
            && found != *old
            && tree(disk, &backup()) != *old
        {
            return Err("O15: the old tree is not whole under any of its names".into());
        }
        // A tree that is being made is no data until its marker is there.
        let new = migration::new_tree(Path::new(TO));
        if self.is_tree(disk, &new) && digest(disk, &new)? != self.digest {
            return Err("O15: a part of the new tree could be taken for all of it".into());
        }
        let open = disk.runtime().block_on(migration::unfinished(disk, Path::new(TO)));
        if open.map_err(|e| format!("O15: the journal: {e}"))?.is_some() {
            return Ok(());
        }
        match &self.old {
            _ if self.is_new(disk)? => Ok(()),
            Some((old, _)) if found == *old => Ok(()),
            None if found.is_empty() => Ok(()),
            _ => Err("O15: a start would open neither the old data nor the new".into()),
        }
    }

    /// The run has ended: the new tree has the name, the old one another.
    fn is_done(&self, disk: &SimDisk) -> Result<(), String> {
        self.holds(disk)?;
        if self.journal(disk)? != Some(State::Done) {
            return Err("O15: the run has not ended".into());
        }
        if digest(disk, Path::new(TO))? != self.digest {
            return Err("O15: the target does not hold what the source holds".into());
        }
        if !tree(disk, &migration::new_tree(Path::new(TO))).is_empty() {
            return Err("O15: an unfinished tree is left".into());
        }
        match &self.old {
            Some((old, _)) if tree(disk, &backup()) != *old => {
                Err("O15: the old tree is not where it should be".into())
            }
            _ => Ok(()),
        }
    }

    /// The run is undone: the old tree has the name, the new one another.
    fn is_undone(&self, disk: &SimDisk) -> Result<(), String> {
        self.holds(disk)?;
        let Some((old, old_digest)) = &self.old else {
            return Err("O15: there was nothing to go back to".into());
        };
        if tree(disk, Path::new(TO)) != *old || digest(disk, Path::new(TO))? != *old_digest {
            return Err("O15: rollback does not end with the old tree".into());
        }
        match digest(disk, &migration::new_tree(Path::new(TO)))? == self.digest {
            true => Ok(()),
            false => Err("O15: rollback has lost the new tree".into()),
        }
    }

    /// Does `act`, which is crashed once on its way and then done again. Returns where it has ended.
    fn twice(
        &self,
        disk: &SimDisk,
        rng: &mut SimRng,
        act: &dyn Fn(&SimDisk) -> Result<(), String>,
    ) -> Result<SimDisk, String> {
        disk.set_recording(true);
        let begin = disk.stop_count();
        act(disk)?;
        if let Some(v) = disk.violations().first() {
            return Err(format!("manners: {v:?}"));
        }
        let all: Vec<Crash> = Crash::all().collect();
        let crash = all[rng.below(all.len() as u64) as usize];
        let stop = begin + rng.below((disk.stop_count() - begin) as u64 + 1) as usize;
        let at = |e: String| format!("{e} (crashed again, stop {stop}, {})", crash.name());
        let after = crash_at(disk, stop, crash, rng.next_u64());
        disk.runtime().shutdown();
        self.holds(&after).map_err(at)?;
        act(&after).map_err(at)?;
        self.holds(&after).map_err(at)?;
        Ok(after)
    }

    /// Everything that must hold of a machine after a crash.
    fn check(
        &self,
        disk: &SimDisk,
        phase: Phase,
        rng: &mut SimRng,
        out: &mut Outcome,
    ) -> Result<(), String> {
        self.holds(disk)?;
        let rolls_back = |disk: &SimDisk| {
            self.roll_back(disk).map_err(|e| format!("O15: does not roll back: {}", e.message))
        };
        // A rollback may be resumed, or be given up for the new tree.
        let mut disk = disk.clone();
        if phase != Phase::Rollback || rng.chance(300) {
            disk = self.twice(&disk, rng, &|disk| self.go_on(disk))?;
            self.is_done(&disk)?;
            self.go_on(&disk)?;
            self.is_done(&disk)?;
            out.figures.in_recovery += 1;
            out.figures.migrations.0 += 1;
        }
        if self.old.is_some() {
            disk = self.twice(&disk, rng, &rolls_back)?;
            self.is_undone(&disk)?;
            rolls_back(&disk)?;
            self.is_undone(&disk)?;
            out.figures.in_recovery += 1;
            out.figures.migrations.1 += 1;
        } else {
            match self.roll_back(&disk) {
                Err(e) if e.code == 2 => self.is_done(&disk)?,
                _ => return Err("O15: a rollback to nothing is not refused".into()),
            }
        }
        disk.runtime().shutdown();
        Ok(())
    }
}

/// Where the old tree is kept.
fn backup() -> PathBuf {
    PathBuf::from(format!("{TO}.v1.bak"))
}

/// The machine after a crash at a stop; behind the last one, after everything was said to be done.
fn crash_at(disk: &SimDisk, stop: usize, crash: Crash, seed: u64) -> SimDisk {
    match (crash.of(disk, stop, seed), crash) {
        (Some(after), _) => after,
        (None, Crash::Power(image)) => disk.power_loss(image, seed),
        (None, Crash::Kill) => disk.kill(seed),
    }
}

/// The stops of a phase: each begins where the journal is written for it.
fn stops(disk: &SimDisk, phase: Phase) -> Result<Vec<usize>, String> {
    let journal = migration::journal(Path::new(TO));
    let aside = PathBuf::from(format!("{}.tmp", journal.display()));
    let log = disk.op_log();
    let begins: Vec<u64> = (0..)
        .zip(&log)
        .filter(|(_, op)| op.kind == OpKind::Create && *op.path == aside)
        .map(|(n, _)| n)
        .collect();
    let range = match (phase, &begins[..]) {
        (Phase::Rollback, _) => 0..u64::MAX,
        (Phase::Plan, [_, copying, _, _, _]) => 0..*copying,
        (Phase::Copy, [_, copying, verified, _, _]) => *copying..*verified,
        (Phase::Verify, [_, _, verified, swapping, _]) => *verified..*swapping,
        (Phase::Swap, [_, _, _, swapping, _]) => *swapping..u64::MAX,
        _ => return Err(format!("O15: the journal was written {} times", begins.len())),
    };
    let count = disk.stop_count();
    let within = |stop: &usize| disk.stop(*stop).is_none_or(|p| range.contains(&p.op));
    let last = usize::from(matches!(phase, Phase::Swap | Phase::Rollback));
    Ok((0..count + last).filter(within).collect())
}

/// One run of the set, or one crash of it.
pub(crate) fn run(
    run: &Run,
    what: Migration,
    effort: Effort,
    bug: Bug,
    first: bool,
    only: Option<At>,
) -> Outcome {
    let mut out = Outcome::default();
    let mut hash = Xxh3::new();
    if let Err(text) = crashes(run, what, effort, bug, (first, only), &mut out, &mut hash) {
        hash.update(text.as_bytes());
        out.failures.push(Broken { again: run.line(), text });
    }
    out.digest = hash.digest();
    out
}

fn crashes(
    run: &Run,
    what: Migration,
    effort: Effort,
    bug: Bug,
    (first, only): (bool, Option<At>),
    out: &mut Outcome,
    hash: &mut Xxh3,
) -> Result<(), String> {
    // There is a way back only where there was something.
    let seed = match what.phase {
        Phase::Rollback if run.seed % 4 == 3 => run.seed ^ 1,
        _ => run.seed,
    };
    let scene = Scene::new(&Run { seed, ..*run }, what.origin, bug.migration)?;
    let disk = scene.begin(what.phase, seed)?;
    match what.phase {
        Phase::Rollback => scene.roll_back(&disk).map_err(|e| format!("O15: {}", e.message))?,
        _ => scene.carry(&disk)?,
    }
    if let Some(v) = disk.violations().first() {
        return Err(format!("manners: {v:?}"));
    }
    out.figures.runs += 1;
    let all = stops(&disk, what.phase)?;
    let wanted = effort.stops.unwrap_or(all.len()) as u64;
    let mut rng = SimRng::new(seed ^ 0x6372_6173);
    for (i, stop) in all.iter().enumerate() {
        let ends = i == 0 || i + 1 == all.len();
        if only.is_none() && !ends && rng.below(all.len() as u64) >= wanted {
            continue;
        }
        out.figures.stops.0 += 1;
        for (crash, variant) in run.images(*stop, effort) {
            if only.is_some_and(|only| only != (*stop, crash, variant)) {
                continue;
            }
            let mut rng = SimRng::new(run.crash_seed(*stop, variant));
            let after = crash_at(&disk, *stop, crash, rng.next_u64());
            *out.figures.crashes.entry(crash.name()).or_default() += 1;
            let ended = *stop == disk.stop_count();
            let done = match (ended, what.phase) {
                (true, Phase::Rollback) => scene.is_undone(&after),
                (true, _) => scene.is_done(&after),
                _ => Ok(()),
            };
            let checked = done.and_then(|()| scene.check(&after, what.phase, &mut rng, out));
            hash.update(&(*stop as u64).to_le_bytes());
            hash.update(crash.name().as_bytes());
            if let Err(text) = checked {
                hash.update(text.as_bytes());
                out.failures.push(run.failure(*stop, crash, variant, text));
                if first || out.failures.len() > 20 {
                    return Ok(());
                }
            }
        }
    }
    out.figures.stops.1 += all.len() as u64;
    disk.runtime().shutdown();
    match scene.scratch.files() == scene.files {
        true => Ok(()),
        false => Err("O15: the files of the source have changed".into()),
    }
}
