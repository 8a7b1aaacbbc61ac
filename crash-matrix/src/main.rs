#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line tool: its output is its purpose
//! `moon-crash`: runs the crash matrix.

use std::path::PathBuf;
use std::process::ExitCode;

use moon_crash::bugs::Bug;
use moon_crash::failpoints;
use moon_crash::kill::{self, Killed, Series, Setup};
use moon_crash::matrix;
use moon_crash::report;
use moon_crash::run::{Effort, FULL, KEPT, Which, parse_line};
use moon_crash::trace;
use moon_crash::workload::Plane;

const USAGE: &str = "\
moon-crash <verb> [--threads n] [--first-seed n] [--json file] [--seeds dir]

  quick     sampled stops and images in every cell, kept seeds first; part of CI
  full      every stop and image; --runs n seeds a cell (default 1)
  mutants   runs with one deliberate bug each, or with --only name that one; each must be noticed
            (build with --features mutants for those of the storage layer)
  kill      the binary --moon path under load, killed --runs n times in a row (default 10)
            under each network driver, disk driver and policy; with --all yes also in every plane
            and activity, which otherwise take turns
  failpoints  a binary built with `--features failpoints`, --moon path, stops itself at every
            step that has a name, or at --only name; a step that is not reached fails the run
  trace     the same binary logs what it writes under load, and is started on --runs n images
            (default 40) of what a power loss could have left, in each plane (or --only name)
            under always and everysec
  soak      --hours n (default 24): kills without end on data that grow, then a sweep with fresh
            seeds; stops at the first broken promise
  run       one run, its crashes of one way, or one crash of it:
            --cell name --seed n [--nth n] [[--point n] --image name [--variant n]]
  cells     names of all cells

  --share n makes one run in n of quick (default 3), full, failpoints (default 1), which ones is
  the seed's choice; --errors n tries each error at n operations of a seed in
  full (default 48)
";

/// `quick` makes one in so many of the runs there are; which, is the seed's choice.
const SHARE: u64 = 3;

struct Flags {
    threads: usize,
    first_seed: u64,
    runs: Option<u64>,
    hours: f64,
    all: bool,
    share: Option<u64>,
    errors: u64,
    only: Option<String>,
    json: Option<PathBuf>,
    seeds: PathBuf,
    moon: PathBuf,
}

fn flags(args: &[String]) -> Result<Flags, String> {
    let mut flags = Flags {
        threads: std::thread::available_parallelism().map_or(2, usize::from),
        first_seed: 1,
        runs: None,
        hours: 24.0,
        all: false,
        share: None,
        errors: 48,
        only: None,
        json: None,
        seeds: PathBuf::from("crash-matrix/seeds"),
        moon: PathBuf::from("target/release/moon"),
    };
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let value = args.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name} needs a number"));
        match name.as_str() {
            "--threads" => flags.threads = number()? as usize,
            "--first-seed" => flags.first_seed = number()?,
            "--runs" => flags.runs = Some(number()?),
            "--hours" => {
                flags.hours = value.parse().map_err(|_| format!("{name} needs a number"))?;
            }
            "--all" => flags.all = value == "yes",
            "--share" => flags.share = Some(number()?.max(1)),
            "--errors" => flags.errors = number()?,
            "--only" => flags.only = Some(value.clone()),
            "--json" => flags.json = Some(PathBuf::from(value)),
            "--moon" => flags.moon = PathBuf::from(value),
            "--seeds" => flags.seeds = PathBuf::from(value),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(flags)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let verb = args.first().map_or("help", String::as_str);
    let rest = args.get(1..).unwrap_or_default();
    let done = match verb {
        "quick" | "full" => flags(rest).and_then(|f| sweep(&f, verb == "full")),
        "kill" => flags(rest).and_then(|f| kill(&f)),
        "failpoints" => flags(rest).and_then(|f| failpoints(&f)),
        "trace" => flags(rest).and_then(|f| traces(&f)),
        "soak" => flags(rest).and_then(soak),
        "mutants" => flags(rest).map(|f| mutants(&f)),
        "run" => run(&rest.join(" ")),
        "cells" => {
            moon_crash::cell::Cell::all().iter().for_each(|c| println!("{}", c.name()));
            Ok(true)
        }
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(true)
        }
        _ => Err(format!("unknown verb {verb}")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("moon-crash: {e}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// All cells, after the seeds of bugs found before.
fn sweep(flags: &Flags, full: bool) -> Result<bool, String> {
    let kept = replay_seeds(flags)?;
    let (runs, effort) = if full {
        let n = flags.runs.unwrap_or(1);
        let runs = matrix::plan(flags.first_seed, n, n * flags.errors);
        let runs = matrix::sample(runs, flags.first_seed, flags.share.unwrap_or(1));
        (runs, FULL)
    } else {
        let n = flags.runs.unwrap_or(12);
        let share = flags.share.unwrap_or(SHARE);
        let runs = matrix::sample(matrix::plan(flags.first_seed, n, n), flags.first_seed, share);
        (runs, Effort::sample(48))
    };
    let mut report = matrix::execute(&runs, effort, Bug::default(), flags.threads, false);
    report.kept = kept.0;
    report.failures.splice(0..0, kept.1);
    print!("{}", report::text(&report));
    put(flags, || report::json(&report).into_bytes())?;
    Ok(report.failures.is_empty())
}

/// Writes the figures where they were asked for.
fn put(flags: &Flags, json: impl FnOnce() -> Vec<u8>) -> Result<(), String> {
    match &flags.json {
        None => Ok(()),
        Some(path) => std::fs::write(path, json()).map_err(|e| format!("{}: {e}", path.display())),
    }
}

/// Runs the kept seeds; returns their number and what is broken again.
fn replay_seeds(flags: &Flags) -> Result<(usize, Vec<moon_crash::figures::Failure>), String> {
    let lines = matrix::seed_lines(&flags.seeds)?;
    let kept = |line: &String| match parse_line(line)? {
        (run, Which::All) => Ok((run, None)),
        (run, Which::Way(crash)) => Ok((run, Some(crash))),
        // Stops move when the command table grows; a whole run stays a run.
        (_, Which::One(..)) => Err(format!("{line}: kept lines name runs, not stops")),
    };
    let runs: Result<Vec<_>, String> = lines.iter().map(kept).collect();
    let report = matrix::replay(&runs?, flags.threads);
    Ok((lines.len(), report.failures))
}

/// Layer K on one directory for most of the time, then layer S with seeds of this hour.
fn soak(mut flags: Flags) -> Result<bool, String> {
    // What is wrong with the command line is said now, not after the kills.
    matrix::seed_lines(&flags.seeds)?;
    let start = std::time::Instant::now();
    let mut told = 0;
    let result = kill::soak(&flags.moon, flags.first_seed, flags.hours * 0.95, |killed, bytes| {
        if killed.kills >= told + 20 {
            told = killed.kills;
            println!(
                "{:>6.0} s: {} kills, {} MiB",
                start.elapsed().as_secs_f64(),
                told,
                bytes >> 20
            );
        }
    });
    match result {
        Ok(k) => println!("{}", kill_line(&k)),
        Err(e) => {
            println!("soak: broken: {e}, first seed {}", flags.first_seed);
            return Ok(false);
        }
    }
    while start.elapsed().as_secs_f64() < flags.hours * 3600.0 {
        flags.first_seed += 1000;
        if !sweep(&flags, false)? {
            return Ok(false);
        }
    }
    println!("soak: {:.2} h, nothing broken", start.elapsed().as_secs_f64() / 3600.0);
    Ok(true)
}

fn kill_line(k: &Killed) -> String {
    format!(
        "{} kills ({} during a rewrite or save, {} near a sync), {} acknowledged, 0 lost; {} in \
         doubt, {} of them applied; slowest start {} ms",
        k.kills, k.in_activity, k.near_sync, k.acked, k.in_doubt.0, k.in_doubt.1, k.start_ms
    )
}

/// Every deliberate bug must be noticed; some need a lucky seed, so several are tried.
fn mutants(flags: &Flags) -> bool {
    const BATCHES: u64 = 8;
    const SEEDS: u64 = 2;
    let (effort, few) = (Effort::sample(60), Effort::sample(12));
    let mut all = Bug::all();
    all.retain(|(name, _)| flags.only.as_ref().is_none_or(|only| only == name));
    let mut killed = 0;
    for (name, bug) in &all {
        let (mut crashes, mut seconds) = (0, 0.0);
        let failure = (0..BATCHES).find_map(|batch| {
            let (runs, effort) = match bug.is_of_the_walk() {
                _ if bug.migration.is_some() => {
                    let seed = flags.first_seed + batch * SEEDS;
                    (matrix::migrations(seed, 1), few)
                }
                _ if bug.backup.is_some() || bug.save.is_some() => {
                    let seed = flags.first_seed + batch;
                    (matrix::proofs(seed, 1, bug.proofs()), effort)
                }
                _ if !bug.proofs().is_empty() => {
                    let seed = flags.first_seed + batch;
                    let runs = matrix::proofs(seed, 1, bug.proofs());
                    (runs, Effort { all_images: false, ..KEPT })
                }
                false => {
                    let seed = flags.first_seed + batch * SEEDS;
                    (matrix::sample(matrix::plan(seed, SEEDS, 6), seed, SHARE), effort)
                }
                // A wrong base shows after any crash: many lives, few stops.
                true => (matrix::walks(flags.first_seed + batch * 4, 4), few),
            };
            let runs = matrix::shuffled(runs, flags.first_seed + batch);
            let report = matrix::execute(&runs, effort, *bug, flags.threads, true);
            crashes += report.figures.crashes_total();
            seconds += report.seconds;
            report.failures.into_iter().next()
        });
        match failure {
            Some(f) => {
                killed += 1;
                println!("{name:<24} killed in {seconds:>4.1} s: {}", f.text);
                println!("{:<24} {}", "", f.again);
            }
            None => println!("{name:<24} SURVIVED {crashes} crashes"),
        }
    }
    println!("mutants killed: {killed} / {}", all.len());
    killed > 0 && killed == all.len()
}

/// Layer K: network drivers times disk drivers times policies, planes and activities in turn.
fn kill(flags: &Flags) -> Result<bool, String> {
    let mut series = Vec::new();
    let drivers = [("epoll", "posix"), ("uring", "posix"), ("epoll", "dma"), ("uring", "dma")];
    let mut turn = flags.first_seed;
    for (net, disk) in drivers {
        for policy in ["always", "everysec", "no"] {
            let setup = Setup { net, disk, ..Setup::new(&flags.moon, policy) };
            for (p, (_, plane)) in Plane::ALL.into_iter().enumerate() {
                for (a, (_, activity)) in kill::Activity::ALL.into_iter().enumerate() {
                    if flags.all || (turn % 7, turn % 4) == (p as u64, a as u64) {
                        let (kills, seed) = (flags.runs.unwrap_or(10) as u32, turn << 16);
                        let setup = setup.clone();
                        series.push(Series { setup, plane, activity, kills, seed });
                    }
                }
            }
            turn += 1;
        }
    }
    let (mut sound, mut sum, mut done) = (true, Killed::default(), Vec::new());
    for series in &series {
        let Setup { net, disk, policy, .. } = series.setup;
        let (plane, activity) = (series.plane.name(), series.activity.name());
        let name = format!("{net:<6} {disk:<6} {policy:<9} {plane:<9} {activity:<8}");
        let killed = kill::run(series);
        match &killed {
            Ok(k) => {
                sum.add(k);
                println!("{name} {}", kill_line(k));
            }
            Err(e) => {
                sound = false;
                println!("{name} FAILED {e}");
            }
        }
        done.push((name.split_whitespace().collect::<Vec<_>>().join(" "), killed));
    }
    println!("{} series: {}", series.len(), kill_line(&sum));
    put(flags, || report::kill_json(&done))?;
    Ok(sound)
}

/// Layer K-fp: every named step, each action, two policies.
fn failpoints(flags: &Flags) -> Result<bool, String> {
    let mut cases = failpoints::cases();
    cases.retain(|c| flags.only.as_ref().is_none_or(|only| c.name().contains(only.as_str())));
    // A part of them by turns, where time is short.
    let share = flags.share.unwrap_or(1);
    let turn = flags.first_seed;
    let mut done = Vec::new();
    for (i, case) in (0..).zip(&cases) {
        if !(i + turn).is_multiple_of(share) {
            continue;
        }
        let kept = case.run(&flags.moon, turn << 16 | i);
        match &kept {
            Ok(()) => println!("{:<48} kept what it promised", case.name()),
            Err(e) => println!("{:<48} FAILED {e}", case.name()),
        }
        done.push((case.name(), kept));
    }
    let failed = done.iter().filter(|d| d.1.is_err()).count();
    println!("failpoints: {} of {} cases, {failed} failed", done.len(), cases.len());
    put(flags, || report::failpoints_json(cases.len(), &done))?;
    Ok(failed == 0 && !done.is_empty())
}

/// Layer T: every plane, two policies.
fn traces(flags: &Flags) -> Result<bool, String> {
    let (mut images, mut lost, mut done) = (0, 0, Vec::new());
    for (name, plane) in Plane::ALL {
        if flags.only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        for policy in ["always", "everysec"] {
            let n = flags.runs.unwrap_or(40);
            let traced = trace::run(&flags.moon, plane, policy, n, flags.first_seed);
            match &traced {
                Ok(t) => {
                    (images, lost) = (images + t.images, lost + t.lost);
                    println!(
                        "{name:<9} {policy:<9} {} stops in {} MiB, {} acknowledged; {} images, 0 \
                         lost, {} within the promise",
                        t.stops,
                        t.bytes >> 20,
                        t.acked,
                        t.images,
                        t.lost
                    );
                }
                Err(e) => println!("{name:<9} {policy:<9} FAILED {e}"),
            }
            done.push((format!("{name} {policy}"), traced));
        }
    }
    let failed = done.iter().filter(|d| d.1.is_err()).count();
    println!("trace: {images} images, {failed} failed, {lost} lost within the promise");
    put(flags, || report::trace_json(&done))?;
    Ok(failed == 0 && images > 0)
}

fn run(line: &str) -> Result<bool, String> {
    let (run, which) = parse_line(line)?;
    let out = match which {
        Which::One((point, image, variant)) => run.single(point, image, variant, Bug::default()),
        Which::Way(crash) => run.execute_only(Some(crash), KEPT, Bug::default(), false),
        Which::All => run.execute(KEPT, Bug::default(), false),
    };
    let (crashes, alike) = (out.figures.crashes_total(), out.figures.alike);
    println!("crashes {crashes}, {alike} of them alike; outcome digest {:016x}", out.digest);
    for f in &out.failures {
        println!("{}\n    {}", f.again, f.text);
    }
    Ok(out.failures.is_empty())
}
