#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line tool: its output is its purpose
//! Hands random values between `moon` and a real server, both ways, by DUMP and RESTORE.

use moon_tests::exchange::run;
use moon_tests::server::{Program, Server};
use std::process::ExitCode;

const USAGE: &str = "\
moon-exchange [--seed N] [--values N] [--reference PATH] [--subject PATH]

  --seed N          of the values (1)
  --values N        how many in each direction (10000)
  --reference PATH  the other server: a Redis or Valkey binary (redis-server)
  --subject PATH    a server binary instead of moon of this workspace
";

fn main() -> ExitCode {
    match exchange(std::env::args().skip(1)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("moon-exchange: {error}");
            ExitCode::from(2)
        }
    }
}

fn exchange(
    mut args: impl Iterator<Item = String>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (mut seed, mut values) = (1, 10_000);
    let mut reference = Program::redis();
    let mut subject = Program::moon();
    while let Some(name) = args.next() {
        let value = args.next().ok_or(format!("{name} needs a value\n\n{USAGE}"))?;
        match name.as_str() {
            "--seed" => seed = value.parse()?,
            "--values" => values = value.parse()?,
            "--reference" => reference = Program::at(value).with(&["--save", ""]),
            "--subject" => subject = Program::at(value),
            _ => return Err(format!("unknown option {name}\n\n{USAGE}").into()),
        }
    }
    let (subject, reference) = (Server::start(subject)?, Server::start(reference)?);
    let (mut moon, mut redis) = (subject.client()?, reference.client()?);
    let mut failed = false;
    for to_moon in [true, false] {
        println!("{}", if to_moon { "reference -> moon" } else { "moon -> reference" });
        let (from, to) = if to_moon { (&mut redis, &mut moon) } else { (&mut moon, &mut redis) };
        match run(from, to, seed, values)? {
            Ok(outcome) => {
                for ((kind, byte), n) in &outcome.arrived {
                    println!("  {n:>6} {kind:?} as type {byte}");
                }
                let all: usize = outcome.arrived.values().sum();
                println!("  {all:>6} in all, left out: {:?}", outcome.skipped);
            }
            Err(failure) => {
                println!("{failure}");
                failed = true;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
