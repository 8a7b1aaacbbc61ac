//! Set S-mig: moon-migrate under power loss (crash-matrix.md O15).
//!
//! A data set is made, given the form of a source, and carried into a directory that holds another one. Power is lost, or
//! the process killed, at the operations of one phase of that run; then everything that must hold is asked.
//!
//! | module | owns |
//! |---|---|
//! | `scene` | source, old tree and machine before a run |
//! | `check` | what must hold after a crash |

mod check;
mod scene;

use std::path::{Path, PathBuf};

use moon_storage::io::sim::{OpKind, SimDisk, SimRng};
use moon_storage::migration;
use xxhash_rust::xxh3::Xxh3;

use self::check::crash_at;
use self::scene::{Scene, TO};
use crate::bugs::Bug;
use crate::figures::{Failure as Broken, Outcome};
use crate::run::{At, Effort, Run};

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
