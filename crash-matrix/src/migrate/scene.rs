//! What is where before a run of moon-migrate: a source, a directory with other data, and the machine with both.
//!
//! The directories of Moon are on the simulated disk; sources of other kinds, which are only read, are files of this
//! machine. Invariant: source and old tree are known by the checksums of their files and the digests of their data.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use moon_formats::marker::Marker;
use moon_formats::resp::encode_command;
use moon_migrate::{Cli, Failure, Host};
use moon_storage::io::Disk;
use moon_storage::io::sim::{Image, SimConfig, SimDisk, SimRng};
use moon_storage::migration;

use super::Origin;
use crate::bugs::{Bug, MigrationBug};
use crate::door::{Door, Lie};
use crate::life::{History, Life, empty_shard, log_config};
use crate::oracle::start_over;
use crate::run::Run;
use crate::workload::{Plane, Workload};

/// Directory around the target.
const AROUND: &str = "/to";
/// The target.
pub(super) const TO: &str = "/to/data";
/// RDB version that has a form for every value.
const RDB_VERSION: &str = "12";
/// Commands of each part of the life that the source comes from.
const COMMANDS: u64 = 40;

/// Size and checksum of all files of a tree by their paths in it.
pub(super) type Tree = BTreeMap<PathBuf, (u64, u32)>;

/// A directory of this machine that goes away.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("moon-migrate-{}-{n}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Scratch(dir))
    }

    /// Everything in it.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
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
pub(super) struct Scene {
    pub(super) scratch: Scratch,
    pub(super) disk: SimDisk,
    /// The source, KIND:PATH.
    pub(super) from: String,
    /// Digest of what is in it.
    pub(super) digest: u128,
    /// The files of this machine, and those of the simulated one outside [`AROUND`].
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(super) source: Tree,
    /// The old tree and the digest of its data; `None` if the target is absent or empty.
    pub(super) old: Option<(Tree, u128)>,
    pub(super) bug: Option<MigrationBug>,
}

/// Runs a command line of moon-migrate on a simulated machine.
pub(super) fn act(
    disk: &SimDisk,
    bug: Option<MigrationBug>,
    words: &[&str],
) -> Result<(), Failure> {
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
pub(super) fn tree(disk: &SimDisk, dir: &Path) -> Tree {
    disk.files_below(dir)
}

/// All files of the simulated machine but those around the target.
pub(super) fn elsewhere(disk: &SimDisk) -> Tree {
    let mut all = tree(disk, Path::new("/"));
    all.retain(|path, _| !Path::new("/").join(path).starts_with(AROUND));
    all
}

pub(super) fn digest(disk: &SimDisk, dir: &Path) -> Result<u128, String> {
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
    pub(super) fn new(
        run: &Run,
        origin: Origin,
        bug: Option<MigrationBug>,
    ) -> Result<Scene, String> {
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
}
