//! `moon-inspect`: what the files of a data directory say, read-only.
//!
//! The one idea: nothing is parsed here. Logs come from the scanner of moon-storage, bytes from
//! the codecs of moon-formats, so what this tool says is what recovery would do.
//!
//! Invariants: no file is opened for writing and no lock is taken, so a live directory can be
//! inspected; damage names file, offset and what to do; exit codes are stable.

mod cli;
mod fail;
mod hist;
mod logs;
mod out;
mod record;
mod storage;
mod wal;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Format, Verb};
use fail::{ENVIRONMENT, Failure, SOUND, worse};
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
    let (Format::Wal { verb } | Format::Storage { verb } | Format::Auto { verb }) = &cli.format;
    let mut out = Out::new(sink, verb.target().json);
    let result = Files::new().and_then(|files| match &cli.format {
        Format::Wal { .. } => wal::run(&files, verb, &mut out),
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
    let is_tree = match place(files, path)? {
        Place::Data => true,
        Place::File => storage::is_text(files, path)?,
        Place::Log | Place::Shard => false,
        Place::Unknown => return Err(Failure::not_ours(path, "no file of ours in this directory")),
    };
    if !is_tree {
        return wal::run(files, verb, out);
    }
    match verb {
        Verb::Ls(_) | Verb::Header(_) | Verb::Verify(_) => {
            let tree = storage::run(files, verb, out)?;
            if place(files, path)? == Place::File || !storage::has_logs(files, path)? {
                return Ok(tree);
            }
            out.text("");
            Ok(worse(tree, wal::run(files, verb, out)?))
        }
        _ => wal::run(files, verb, out),
    }
}
