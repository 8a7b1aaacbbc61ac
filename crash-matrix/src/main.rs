#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line tool: its output is its purpose
//! `moon-crash`: runs the crash matrix.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use moon_crash::bugs::Bug;
use moon_crash::cell::{Effort, KEPT, parse_line};
use moon_crash::kill::{self, Series};
use moon_crash::matrix;
use moon_crash::report;

const USAGE: &str = "\
moon-crash <verb> [--threads n] [--first-seed n] [--json file] [--seeds dir]

  quick     sampled stops and images in every cell, kept seeds first; part of CI
  full      every stop and image; --runs n seeds a cell (default 4)
  mutants   runs with one deliberate bug each, or with --only name that one; each must be noticed
            (build with --features mutants for those of the storage layer)
  kill      the binary --moon path under load, killed --runs n times in a row (default 10)
            under each network driver, disk driver and policy
  soak      --hours n (default 24): kills, then a sweep with fresh seeds, again and again; stops
            at the first broken promise
  run       one run, or one crash of it:
            --cell name --seed n [--nth n] [--point n --image name [--variant n]]
  cells     names of all cells
";

struct Flags {
    threads: usize,
    first_seed: u64,
    runs: Option<u64>,
    hours: f64,
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
    let kept = replay_seeds(&flags.seeds)?;
    let (runs, effort) = if full {
        let n = flags.runs.unwrap_or(4);
        (matrix::plan(flags.first_seed, n, n * 6), Effort { stops: None, all_images: true })
    } else {
        let n = flags.runs.unwrap_or(12);
        (matrix::plan(flags.first_seed, n, n), Effort { stops: Some(48), all_images: false })
    };
    let mut report = matrix::execute(&runs, effort, Bug::default(), flags.threads, false);
    report.kept = kept.0;
    report.failures.splice(0..0, kept.1);
    print!("{}", report::text(&report));
    if let Some(path) = &flags.json {
        std::fs::write(path, report::json(&report))
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(report.failures.is_empty())
}

/// Runs the kept seeds; returns their number and what is broken again.
fn replay_seeds(dir: &Path) -> Result<(usize, Vec<moon_crash::figures::Failure>), String> {
    let mut failures = Vec::new();
    let lines = matrix::seed_lines(dir)?;
    for line in &lines {
        let (run, _) = parse_line(line)?;
        failures.extend(run.execute(KEPT, Bug::default(), true).failures);
    }
    Ok((lines.len(), failures))
}

/// Layer K and layer S in turn, with seeds that no round has had before.
fn soak(mut flags: Flags) -> Result<bool, String> {
    let start = std::time::Instant::now();
    let mut rounds = 0u64;
    while start.elapsed().as_secs_f64() < flags.hours * 3600.0 {
        if !kill(&flags)? || !sweep(&flags, false)? {
            println!("soak: broken in round {rounds}, first seed {}", flags.first_seed);
            return Ok(false);
        }
        rounds += 1;
        flags.first_seed += 1000;
    }
    println!(
        "soak: {rounds} rounds in {:.2} h, nothing broken",
        start.elapsed().as_secs_f64() / 3600.0
    );
    Ok(true)
}

/// Every deliberate bug must be noticed; some need a lucky seed, so several are tried.
fn mutants(flags: &Flags) -> bool {
    const BATCHES: u64 = 8;
    const SEEDS: u64 = 2;
    let effort = Effort { stops: Some(60), all_images: false };
    let few = Effort { stops: Some(12), all_images: false };
    let mut all = Bug::all();
    all.retain(|(name, _)| flags.only.as_ref().is_none_or(|only| only == name));
    let mut killed = 0;
    for (name, bug) in &all {
        let (mut crashes, mut seconds) = (0, 0.0);
        let failure = (0..BATCHES).find_map(|batch| {
            let (runs, effort) = match bug.is_of_the_walk() {
                false => (matrix::plan(flags.first_seed + batch * SEEDS, SEEDS, 6), effort),
                // A wrong base shows after any crash: many lives, few stops.
                true => (matrix::walks(flags.first_seed + batch * 4, 4), few),
            };
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

/// Layer K: network drivers times disk drivers times policies.
fn kill(flags: &Flags) -> Result<bool, String> {
    let mut sound = true;
    let (mut kills, mut acked) = (0, 0);
    for (net, disk) in [("epoll", "posix"), ("uring", "posix"), ("epoll", "dma"), ("uring", "dma")]
    {
        for policy in ["always", "everysec", "no"] {
            let series = Series {
                moon: flags.moon.clone(),
                net,
                disk,
                policy,
                kills: flags.runs.unwrap_or(10) as u32,
                seed: flags.first_seed,
            };
            match kill::run(&series) {
                Ok(k) => {
                    kills += k.kills;
                    acked += k.acked;
                    println!(
                        "{net:<6} {disk:<6} {policy:<9} {} kills, {} acknowledged, 0 lost; {} in \
                         doubt, {} of them applied",
                        k.kills, k.acked, k.in_doubt.0, k.in_doubt.1
                    );
                }
                Err(e) => {
                    sound = false;
                    println!("{net:<6} {disk:<6} {policy:<9} FAILED {e}");
                }
            }
        }
    }
    println!("kills {kills}, acknowledged {acked}");
    Ok(sound)
}

fn run(line: &str) -> Result<bool, String> {
    let (run, crash) = parse_line(line)?;
    let out = match crash {
        Some((point, image, variant)) => run.single(point, image, variant, Bug::default()),
        None => run.execute(Effort { stops: None, all_images: true }, Bug::default(), false),
    };
    println!("crashes {}, outcome digest {:016x}", out.figures.crashes_total(), out.digest);
    for f in &out.failures {
        println!("{}\n    {}", f.again, f.text);
    }
    Ok(out.failures.is_empty())
}
