//! `moon-inspect`: what the files of a data directory say, read-only.
//!
//! The one idea: nothing is parsed here. Logs come from the scanner of moon-storage, bytes from
//! the codecs of moon-formats, state from recovery and the engine, so what this tool says is what
//! a start would do.
//!
//! Invariants: no file is changed and no lock is taken, so a live directory can be inspected
//! (`rebuild` makes new files beside the old ones, `verify --plan` one where it is told to); damage names file, offset and what to do; exit
//! codes are stable.

mod aof;
mod cli;
mod data;
mod fail;
mod hist;
mod logs;
mod manifest;
mod out;
mod rdb;
mod rebuild;
mod record;
mod storage;
mod wal;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Format, Verb, Verify};
use fail::{ENVIRONMENT, Failure, SOUND, USAGE, worse};
use logs::{Files, Place, place};
use out::Out;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut sink = BufWriter::new(io::stdout().lock());
    let (code, message) = run(&cli, &mut sink);
    if let Some(message) = message {
        // Nothing is left to be done about an error on the way out.
        let _ = writeln!(io::stderr(), "moon-inspect: {message}");
    }
    ExitCode::from(code)
}

/// Runs the command; gives the exit code and what is to be said on the error output.
fn run(cli: &Cli, sink: &mut dyn Write) -> (u8, Option<String>) {
    let (Format::Wal { verb }
    | Format::Rdb { verb }
    | Format::Aof { verb }
    | Format::Manifest { verb }
    | Format::Storage { verb }
    | Format::Auto { verb }) = &cli.format;
    if let (Verb::Verify(Verify { plan: Some(_), .. }), false) =
        (verb, matches!(cli.format, Format::Wal { .. }))
    {
        let e = "a salvage plan is about the log: moon-inspect wal verify DIR --plan FILE";
        return (USAGE, Some(e.to_owned()));
    }
    let mut out = Out::new(sink, verb.target().json);
    let result = Files::new().and_then(|files| match &cli.format {
        Format::Wal { .. } => wal::run(&files, verb, &mut out),
        Format::Rdb { .. } => rdb::run(&files, verb, &mut out),
        Format::Aof { .. } => aof::run(&files, verb, &mut out),
        Format::Manifest { .. } => manifest::run(&files, verb, &mut out),
        Format::Storage { .. } => storage::run(&files, verb, &mut out),
        Format::Auto { .. } => auto(&files, verb, &mut out),
    });
    let written = out.finish();
    match (result, written) {
        // A reader that has seen enough (`| head`) is no failure.
        (_, Err(e)) if e.kind() == io::ErrorKind::BrokenPipe => (SOUND, None),
        (_, Err(e)) => (ENVIRONMENT, Some(format!("cannot write the output: {e}"))),
        (Ok(code), Ok(())) => (code, None),
        (Err(failure), Ok(())) => (failure.code, Some(failure.message)),
    }
}

/// Chooses by what the path is.
fn auto(files: &Files, verb: &Verb, out: &mut Out<'_>) -> Result<u8, Failure> {
    let path = &verb.target().path;
    match verb {
        Verb::Digest(args) => return data::digest(files, args, out),
        Verb::Diff(args) => return data::diff(files, args, out),
        Verb::Rebuild(_) => {
            return Err(Failure::usage("say what: manifest rebuild or aof rebuild"));
        }
        _ => {}
    }
    match place(files, path)? {
        Place::Data => data_dir(files, verb, out),
        Place::Log | Place::Shard => wal::run(files, verb, out),
        Place::File if wal::plan::is_one(files, path)? => match verb {
            Verb::Header(_) => wal::plan::header(files, path, out),
            _ => Err(Failure::usage("a salvage plan has one verb: header")),
        },
        Place::File if storage::journal::is_one(files, path)? => match verb {
            Verb::Header(_) => storage::journal::header(files, path, out),
            _ => Err(Failure::usage("the journal of a migration has one verb: header")),
        },
        Place::File if storage::is_text(files, path)? => storage::run(files, verb, out),
        Place::File if rdb::is_one(files, path)? => rdb::run(files, verb, out),
        Place::File if manifest::is_one(files, path)? => manifest::run(files, verb, out),
        Place::File if aof::is_one(files, path)? => aof::run(files, verb, out),
        Place::File => wal::run(files, verb, out),
        Place::Unknown if aof::is_dir(files, path)? => aof::run(files, verb, out),
        Place::Unknown if rdb::is_dir(files, path)? => rdb::run(files, verb, out),
        Place::Unknown => Err(Failure::not_ours(path, "no file of ours in this directory")),
    }
}

/// A data directory: the tree, then everything that it has of each format.
fn data_dir(files: &Files, verb: &Verb, out: &mut Out<'_>) -> Result<u8, Failure> {
    let path = &verb.target().path;
    if !matches!(verb, Verb::Ls(_) | Verb::Header(_) | Verb::Verify(_)) {
        return wal::run(files, verb, out);
    }
    let mut code = storage::run(files, verb, out)?;
    type Run = fn(&Files, &Verb, &mut Out<'_>) -> Result<u8, Failure>;
    let parts: [(bool, Run); 4] = [
        (aof::is_dir(files, path)?, aof::run),
        (rdb::is_dir(files, path)?, rdb::run),
        (manifest::is_dir(files, path)?, manifest::run),
        (storage::has_logs(files, path)?, wal::run),
    ];
    let mut failures = Vec::new();
    for (_, run) in parts.into_iter().filter(|(is_there, _)| *is_there) {
        out.text("");
        match run(files, verb, out) {
            Ok(one) => code = worse(code, one),
            // What is wrong with one format is no reason not to look at the others.
            Err(failure) => failures.push(failure),
        }
    }
    Failure::joined(code, failures)
}
