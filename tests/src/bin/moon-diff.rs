#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line tool: its output is its purpose
//! Compares `moon` with a real Redis by random commands; see `moon_tests::diff`.

use moon_tests::diff::{Failure, Generator, Group, Op, Pair, Proto, lacking, run, shrink, without};
use moon_tests::server::{Program, Server};
use moon_tests::{client::Client, shown};
use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "\
moon-diff [--seed N] [--seeds N] [--commands N] [--resp 2|3|both] [--keep-going N]
          [--groups G,..] [--subject moon|redis|PATH] [--subject-port PORT] [--oracle-port PORT]

  --seed N          first seed (1)
  --seeds N         how many seeds to run (1)
  --commands N      commands per seed (20000)
  --resp P          protocol (both)
  --groups G,..     only these of strings, bits, hll, geo, keys, lists, hashes, sets,
                    zsets, streams, dump, scripts (all)
  --skip-unknown B  yes: leave out commands that only the oracle knows, and list them (no)
  --restart B       yes: kill and restart the subject after each seed and compare the state again (no)
  --keep-going N    list up to N different findings instead of stopping at the first
  --subject S       what to test: moon of this workspace, redis, or a binary that takes --port and --dir
  --subject-port P  use a server that runs already; it is emptied
  --oracle-port P   the same for the oracle
";

struct Options {
    seed: u64,
    seeds: u64,
    commands: usize,
    proto: Proto,
    keep_going: usize,
    groups: Vec<Group>,
    skip_unknown: bool,
    restart: bool,
    subject: String,
    subject_port: Option<u16>,
    oracle_port: Option<u16>,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("{reason}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match compare(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("moon-diff: {error}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        seed: 1,
        seeds: 1,
        commands: 20_000,
        proto: Proto::Both,
        keep_going: 1,
        groups: Group::ALL.map(|(group, _)| group).to_vec(),
        skip_unknown: false,
        restart: false,
        subject: "moon".to_string(),
        subject_port: None,
        oracle_port: None,
    };
    while let Some(name) = args.next() {
        let value = args.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name} {value}: no number"));
        match name.as_str() {
            "--seed" => options.seed = number()?,
            "--seeds" => options.seeds = number()?,
            "--commands" => options.commands = number()? as usize,
            "--keep-going" => options.keep_going = number()? as usize,
            "--groups" => {
                let groups = value.split(',').map(Group::named).collect::<Option<_>>();
                options.groups = groups.ok_or(format!("--groups {value}: unknown group"))?;
            }
            "--skip-unknown" => options.skip_unknown = value == "yes",
            "--restart" => options.restart = value == "yes",
            "--subject" => options.subject = value,
            "--subject-port" => options.subject_port = Some(number()? as u16),
            "--oracle-port" => options.oracle_port = Some(number()? as u16),
            "--resp" => {
                options.proto = match value.as_str() {
                    "2" => Proto::Resp2,
                    "3" => Proto::Resp3,
                    "both" => Proto::Both,
                    _ => return Err(format!("--resp {value}: 2, 3 or both")),
                }
            }
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(options)
}

/// A server of ours, or one that runs already.
enum Side {
    Own(Box<Server>),
    Port(u16),
}

impl Side {
    fn start(port: Option<u16>, program: impl FnOnce() -> Program) -> io::Result<Side> {
        match port {
            Some(port) => Ok(Side::Port(port)),
            None => Ok(Side::Own(Box::new(Server::start(program())?))),
        }
    }

    fn port(&self) -> u16 {
        match self {
            Side::Own(server) => server.port(),
            Side::Port(port) => *port,
        }
    }

    /// A connection to an empty server; one that has died is started again.
    fn fresh(&mut self) -> io::Result<Client> {
        if let Side::Own(server) = self
            && !server.is_running()
        {
            server.restart()?;
        }
        let mut client = Client::connect(self.port())?;
        client.line("FLUSHALL")?;
        Ok(client)
    }

    /// The end of its log, if the server is ours and no longer runs.
    fn last_words(&mut self) -> Option<String> {
        let Side::Own(server) = self else { return None };
        if server.is_running() {
            return None;
        }
        let log = server.log_text();
        let lines: Vec<_> = log.lines().rev().take(12).collect();
        Some(lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }
}

fn compare(options: &Options) -> io::Result<usize> {
    let mut oracle = Side::start(options.oracle_port, Program::redis)?;
    let mut subject = Side::start(options.subject_port, || match options.subject.as_str() {
        "moon" => Program::moon(),
        "redis" => Program::redis(),
        path => Program::at(path),
    })?;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let (start, mut commands) = (Instant::now(), 0);
    for seed in options.seed..options.seed + options.seeds {
        let generator = &mut Generator::new(seed, options.proto).only(&options.groups);
        let mut all = generator.sequence(options.commands);
        if options.skip_unknown {
            let lacking = lacking(&all, &mut oracle.fresh()?, &mut subject.fresh()?)?;
            without(&mut all, &lacking);
            println!("the subject lacks: {}", Vec::from_iter(lacking).join(" "));
        }
        let mut ops = &all[..];
        while !ops.is_empty() {
            let mut pair = Pair { oracle: oracle.fresh()?, subject: subject.fresh()? };
            let failure = match run(&mut pair, ops) {
                Ok(stats) => {
                    commands += stats.commands;
                    println!("seed {seed}: {stats:?}");
                    if options.restart && !survives(&oracle, &mut subject)? {
                        seen.insert(format!("seed {seed}: lost by kill and restart"), 1);
                    }
                    break;
                }
                Err(failure) => *failure,
            };
            let rest = &ops[(failure.op + 1).min(ops.len())..];
            let times = seen.entry(signature(&failure)).or_default();
            *times += 1;
            if *times == 1 {
                if let Some(words) = subject.last_words() {
                    println!("--- the subject ended; its last lines:\n{words}");
                }
                report(seed, ops, failure, &mut oracle, &mut subject)?;
            }
            if seen.len() >= options.keep_going {
                println!("replay: moon-diff --seed {seed} --commands {}", options.commands);
                return Ok(seen.len());
            }
            ops = rest;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{commands} commands compared in {seconds:.1} s ({:.0}/s)", commands as f64 / seconds);
    for (signature, times) in &seen {
        println!("{times:>6}  {signature}");
    }
    println!("{} findings", seen.len());
    Ok(seen.len())
}

/// Whether the subject holds the oracle's state after a kill and a restart.
fn survives(oracle: &Side, subject: &mut Side) -> io::Result<bool> {
    if let Side::Own(server) = subject {
        server.kill()?;
        server.restart()?;
    }
    let mut pair =
        Pair { oracle: Client::connect(oracle.port())?, subject: Client::connect(subject.port())? };
    match run(&mut pair, &[Op::reloaded()]) {
        Ok(_) => Ok(true),
        Err(failure) => {
            println!("after kill and restart: {failure}");
            Ok(false)
        }
    }
}

/// Two failures with the same signature are taken for one finding.
fn signature(failure: &Failure) -> String {
    let name = String::from_utf8_lossy(&failure.command[0]).to_ascii_uppercase();
    let shape = |v: &moon_tests::value::Value| {
        let text = v.to_string();
        text.chars().take(if v.is_error() { 40 } else { 1 }).collect::<String>()
    };
    match &failure.replies {
        Some((o, s)) => format!("{name}: {} | {}", shape(o), shape(s)),
        None => format!("connection: {}", failure.why),
    }
}

fn report(
    seed: u64,
    ops: &[Op],
    failure: Failure,
    oracle: &mut Side,
    subject: &mut Side,
) -> io::Result<()> {
    println!("=== seed {seed}, op {}: {failure}", failure.op);
    let mut replay = |ops: &[Op]| {
        let mut pair = Pair { oracle: oracle.fresh().ok()?, subject: subject.fresh().ok()? };
        run(&mut pair, ops).err().map(|f| *f)
    };
    let (small, failure) = shrink(ops, failure, Duration::from_secs(20), &mut replay);
    println!("minimal sequence:");
    for op in &small {
        if op.commands.is_empty() {
            println!("  ({:?})", op.kind);
        }
        for command in &op.commands {
            println!("  {}", shown(command));
        }
    }
    println!("{failure}");
    Ok(())
}
