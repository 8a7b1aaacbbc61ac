//! Many runs on several threads, in a fixed order of results.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use moon_storage::io::sim::SimRng;
use xxhash_rust::xxh3::Xxh3;

use crate::bugs::Bug;
use crate::cell::{Activity, Cell, Trouble};
use crate::figures::{Failure, Figures, Outcome};
use crate::oracle::Crash;
use crate::proof::Proof;
use crate::run::{Effort, KEPT, Run};

/// What was run and what came out.
#[derive(Debug, Default)]
pub struct Report {
    /// Sums.
    pub figures: Figures,
    /// Broken promises.
    pub failures: Vec<Failure>,
    /// Digest of all outcomes; equal for equal seeds.
    pub digest: u64,
    /// Name of each cell with crashes and failures.
    pub cells: Vec<(String, u64, usize)>,
    /// Kept seeds that were replayed.
    pub kept: usize,
    /// Wall time, seconds.
    pub seconds: f64,
}

/// The runs of all cells: `seeds` runs of a cell without errors, `nths` of one with. What an error
/// does to the log is the business of the cells that rotate; with snapshots it strikes a third as
/// often, at operations further apart.
pub fn plan(first_seed: u64, seeds: u64, nths: u64) -> Vec<Run> {
    let mut runs = Vec::new();
    for cell in Cell::all() {
        let apart = matches!(cell.activity, Activity::Rewrite | Activity::Save);
        let n = match (cell.trouble, apart) {
            (Trouble::None, _) => seeds,
            (Trouble::Proof(_) | Trouble::Migrate(_), _) => seeds.div_ceil(4),
            (_, false) => nths,
            (_, true) => nths.div_ceil(3),
        };
        runs.extend((0..n).map(|i| match cell.trouble {
            Trouble::None | Trouble::Proof(_) | Trouble::Migrate(_) => {
                Run { cell, seed: first_seed + i, nth: 0 }
            }
            _ if apart => Run { cell, seed: first_seed + i % 4, nth: i * 7 + first_seed % 7 },
            _ => Run { cell, seed: first_seed + i % 4, nth: spread(i) },
        }));
    }
    runs
}

/// One run in `share`, chosen by the seed.
pub fn sample(mut runs: Vec<Run>, first_seed: u64, share: u64) -> Vec<Run> {
    let mut rng = SimRng::new(first_seed ^ 0x7368_6172);
    runs.retain(|_| rng.below(share) == 0);
    runs
}

/// The same runs in another order, so that what shows in a few cells alone is soon met.
pub fn shuffled(mut runs: Vec<Run>, seed: u64) -> Vec<Run> {
    let mut rng = SimRng::new(seed ^ 0x6f72_6465);
    for i in (1..runs.len()).rev() {
        runs.swap(i, rng.below(i as u64 + 1) as usize);
    }
    runs
}

/// Runs without errors in which a snapshot walks.
pub fn walks(first_seed: u64, seeds: u64) -> Vec<Run> {
    let mut runs = plan(first_seed, seeds, 0);
    runs.retain(|r| matches!(r.cell.activity, Activity::Rewrite | Activity::Save));
    runs
}

/// Runs of set P in which one of these is proved.
pub fn proofs(first_seed: u64, seeds: u64, which: &[Proof]) -> Vec<Run> {
    let mut runs = plan(first_seed, seeds * 4, 0);
    runs.retain(|r| matches!(r.cell.trouble, Trouble::Proof(proof) if which.contains(&proof)));
    runs
}

/// Runs of moon-migrate.
pub fn migrations(first_seed: u64, seeds: u64) -> Vec<Run> {
    let mut runs = plan(first_seed, seeds * 4, 0);
    runs.retain(|r| matches!(r.cell.trouble, Trouble::Migrate(_)));
    runs
}

/// The command lines of bugs found before, one or more in each `*.txt` of a directory; other
/// lines say what they found.
///
/// # Errors
/// The directory cannot be read.
pub fn seed_lines(dir: &Path) -> Result<Vec<String>, String> {
    let at = |e: std::io::Error| format!("{}: {e}", dir.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(at)? {
        let path = entry.map_err(at)?.path();
        if path.extension().is_some_and(|e| e == "txt") {
            files.push(path);
        }
    }
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).map_err(at)?;
        lines.extend(text.lines().filter(|l| l.starts_with("moon-crash ")).map(str::to_owned));
    }
    Ok(lines)
}

/// Early operations densely, later ones with growing gaps.
fn spread(i: u64) -> u64 {
    if i < 12 { i } else { 12 + (i - 12) * 3 }
}

/// Runs everything; with `first`, stops at the first broken promise.
pub fn execute(runs: &[Run], effort: Effort, bug: Bug, threads: usize, first: bool) -> Report {
    each(runs, |run| run.execute(effort, bug, first), threads, first)
}

/// Runs that are kept, each with the way of crashing that found its bug, or every way.
pub fn replay(runs: &[(Run, Option<Crash>)], threads: usize) -> Report {
    let (kept, ways): (Vec<Run>, Vec<Option<Crash>>) = runs.iter().copied().unzip();
    let way = |run: &Run| kept.iter().position(|k| k == run).and_then(|i| ways[i]);
    let one = |run: &Run| run.execute_only(way(run), KEPT, Bug::default(), false);
    each(&kept, one, threads, false)
}

fn each(runs: &[Run], one: impl Fn(&Run) -> Outcome + Sync, threads: usize, first: bool) -> Report {
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let done: Mutex<Vec<Option<Outcome>>> = Mutex::new(runs.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(run) = runs.get(i).filter(|_| !stop.load(Ordering::Relaxed)) else {
                        return;
                    };
                    let outcome = one(run);
                    if first && !outcome.failures.is_empty() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    if let Ok(mut done) = done.lock() {
                        done[i] = Some(outcome);
                    }
                }
            });
        }
    });
    let mut report = Report::default();
    let mut hash = Xxh3::new();
    let outcomes = done.into_inner().unwrap_or_default();
    for (run, outcome) in runs.iter().zip(outcomes) {
        let Some(outcome) = outcome else { continue };
        hash.update(&outcome.digest.to_le_bytes());
        let name = run.cell.name();
        let crashes = outcome.figures.crashes_total();
        match report.cells.last_mut().filter(|c| c.0 == name) {
            Some(c) => {
                c.1 += crashes;
                c.2 += outcome.failures.len();
            }
            None => report.cells.push((name, crashes, outcome.failures.len())),
        }
        report.figures.add(&outcome.figures);
        report.failures.extend(outcome.failures);
    }
    report.digest = hash.digest();
    report.seconds = start.elapsed().as_secs_f64();
    report
}
