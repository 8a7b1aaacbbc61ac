//! `moon-migrate`: data of Redis, Valkey and Moon, carried into a directory of Moon or out of one.
//!
//! The one idea: nothing here knows how to write data. Files of Redis are read by the codec that replication
//! and RESTORE use, a new directory is opened and filled by the storage crate as a server would, and it is read back
//! by recovery before it gets its name. What this tool adds is the order of these steps and a journal of it.
//!
//! Invariants: a source is never changed; a target's name stands for the old tree or for a whole new one; what cannot
//! be carried is named and counted before anything is written.

mod aof;
mod cli;
mod export;
mod facts;
mod fail;
mod filling;
mod input;
mod journal;
mod rdb;
mod reference;
mod room;
mod source;
mod whole;
mod write;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Kind, Place, Run, Target, Undo, Verb};
use facts::{Losses, Measure};
use fail::{CARRIED, Failure};
use journal::{Journal, State, is_taken, new_tree};
use room::{Room, known_shards};
use source::Source;

/// Databases of a new directory, unless told otherwise.
const DATABASES: u16 = 16;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = io::stdout().lock();
    let result = match &cli.verb {
        Verb::Plan(run) => plan(run, &mut out),
        Verb::Run(run) if run.dry_run => plan(run, &mut out),
        Verb::Run(run) => carry(run, &mut out),
        Verb::Verify(run) => verify(run, &mut out),
        Verb::Resume(undo) => resume(undo, &mut out),
        Verb::Rollback(undo) => roll_back(undo, &mut out),
    };
    match result {
        Ok(()) => ExitCode::from(CARRIED),
        Err(Failure { code, message }) => {
            // Nothing is left to be done about an error on the way out.
            let _ = writeln!(io::stderr(), "moon-migrate: {message}");
            ExitCode::from(code)
        }
    }
}

fn say(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes())
        .map_err(|e| Failure::environment(format!("cannot write the report: {e}")))
}

/// Reads the source and judges it against the target.
fn look(run: &Run) -> Result<(Source, u16), Failure> {
    known_shards(run.shards)?;
    let mut source = Source::open(&run.from)?;
    let needed = source.facts.databases_needed();
    let usual = u64::from(source.databases().unwrap_or(DATABASES));
    let databases = run.databases.map_or(needed.max(usual), u64::from);
    if databases < needed {
        return Err(Failure::refused(format!(
            "the source uses {needed} databases, and the target is to have {databases}"
        )));
    }
    let databases = u16::try_from(databases)
        .ok()
        .filter(|n| *n <= 65534)
        .ok_or_else(|| Failure::refused("there are keys in a database beyond 65533"))?;
    if run.to.0.kind != Kind::Moon {
        source.load(databases)?;
        let mut losses = std::mem::take(&mut source.facts.losses);
        if let Some(shard) = source.shard() {
            export::losses(shard, run.rdb_version, &mut losses)?;
        }
        source.facts.losses = losses;
    }
    Ok((source, databases))
}

fn plan(run: &Run, out: &mut dyn Write) -> Result<(), Failure> {
    let (source, databases) = look(run)?;
    say(out, &source.facts.report())?;
    let to = &run.to.0;
    say(out, &format!("target: {to}, {databases} databases\n"))?;
    if to.kind == Kind::Moon && is_taken(&to.path)? {
        say(out, "the target exists: it would stay beside the new one, as <target>.v<n>.bak\n")?;
    }
    fits(&source, run, out)?;
    accept(&source.facts.losses, &run.accept_loss)
}

/// There is room for the target.
fn fits(source: &Source, run: &Run, out: &mut dyn Write) -> Result<(), Failure> {
    let room = Room::look(&source.facts, &run.to.0)?;
    say(out, &room.report())?;
    room.check(run.ignore_free_space)
}

/// Nothing is lost but what was accepted.
fn accept(losses: &Losses, accepted: &[String]) -> Result<(), Failure> {
    let names: Vec<&str> = losses.keys().copied().collect();
    if let Some(unknown) = accepted.iter().find(|a| !names.contains(&a.as_str())) {
        return Err(Failure::refused(format!(
            "--accept-loss {unknown}: nothing of this name would be lost"
        )));
    }
    let open: Vec<&str> =
        names.into_iter().filter(|name| !accepted.iter().any(|a| a == name)).collect();
    match open.is_empty() {
        true => Ok(()),
        false => Err(Failure::losses(format!(
            "this would be lost: {}; --accept-loss {} to carry the rest",
            open.join(", "),
            open.join(",")
        ))),
    }
}

fn carry(run: &Run, out: &mut dyn Write) -> Result<(), Failure> {
    let to = &run.to.0;
    match to.kind {
        Kind::Moon => {}
        _ if to.path.exists() => {
            return Err(Failure::refused(format!("{} exists", to.path.display())));
        }
        _ => return export_to(run, out),
    }
    if let Some(old) = Journal::read(&to.path)?
        && !matches!(old.state, State::Done)
    {
        return Err(Failure::refused(
            "an earlier run into this target was interrupted: moon-migrate resume, or remove <target>.new \
             and the journal",
        ));
    }
    let journal = Journal {
        state: State::Planned,
        from: run.from.absolute()?.to_string(),
        databases: run.databases,
        accepted: run.accept_loss.clone(),
        backup: None,
        to: to.path.clone(),
    };
    copy_and_swap(journal, run, out)
}

fn copy_and_swap(mut journal: Journal, run: &Run, out: &mut dyn Write) -> Result<(), Failure> {
    let (mut source, databases) = look(run)?;
    say(out, &source.facts.report())?;
    fits(&source, run, out)?;
    accept(&source.facts.losses, &run.accept_loss)?;
    let new = new_tree(&journal.to);
    if journal.state == State::Planned && new.exists() {
        return Err(Failure::refused(format!("{} is in the way; remove it", new.display())));
    }
    journal.is_free()?;
    journal.enter(State::Copying)?;
    journal.clear_new_tree()?;
    write::directory(&new, databases, write::new_uuid()?, source.stream())?;
    compare(&source, &new)?;
    journal.enter(State::Verified)?;
    journal.swap()?;
    let end = format!("{} keys are in {}\n", source.facts.keys(), journal.to.display());
    say(out, &end)?;
    match &journal.backup {
        Some(name) => say(out, &format!("what was there before is in {name}\n")),
        None => Ok(()),
    }
}

/// That a directory holds what the source holds.
fn compare(source: &Source, target: &Path) -> Result<(), Failure> {
    let found = match source.facts.measure {
        Measure::Bodies => whole::survey(target)?,
        Measure::Digest => Source::open_directory(target, false)?.facts,
    };
    match source.facts.difference(&found) {
        None => Ok(()),
        Some(why) => Err(Failure::differs(format!("{}: {why}", target.display()))),
    }
}

fn export_to(run: &Run, out: &mut dyn Write) -> Result<(), Failure> {
    let (source, _) = look(run)?;
    say(out, &source.facts.report())?;
    fits(&source, run, out)?;
    accept(&source.facts.losses, &run.accept_loss)?;
    let to = &run.to.0;
    let Some(shard) = source.shard() else {
        return Err(Failure::environment("the source was not loaded"));
    };
    match to.kind {
        Kind::RedisRdb => export::rdb(&to.path, shard, run.rdb_version)?,
        _ => export::aof(&to.path, shard, run.rdb_version)?,
    }
    say(out, &format!("{} keys are in {}\n", source.facts.keys(), to.path.display()))
}

fn verify(run: &Run, out: &mut dyn Write) -> Result<(), Failure> {
    known_shards(run.shards)?;
    // A server may have written since: only the digest can tell, and only of a whole.
    let whole = |place| {
        let mut source = Source::open(place)?;
        source.load(u16::try_from(source.facts.databases_needed()).unwrap_or(u16::MAX))?;
        Ok(source)
    };
    let (source, target) = (whole(&run.from)?, whole(&run.to.0)?);
    match source.facts.difference(&target.facts) {
        Some(why) => Err(Failure::differs(why)),
        None => {
            say(out, &source.facts.digests())?;
            say(out, &format!("{} keys, no difference\n", source.facts.keys()))
        }
    }
}

fn directory(undo: &Undo) -> Result<Journal, Failure> {
    let Target(Place { kind, path }) = &undo.to;
    if *kind != Kind::Moon {
        return Err(Failure::refused("only a run into a directory of Moon has a journal"));
    }
    Journal::read(path)?.ok_or_else(|| {
        Failure::refused(format!("there is no journal of a run into {}", path.display()))
    })
}

fn resume(undo: &Undo, out: &mut dyn Write) -> Result<(), Failure> {
    let mut journal = directory(undo)?;
    match journal.state {
        State::Planned | State::Copying => {
            let from = journal.from.parse().map_err(Failure::refused)?;
            let run = Run {
                from,
                to: undo.to.clone(),
                shards: 1,
                databases: journal.databases,
                rdb_version: 11,
                accept_loss: journal.accepted.clone(),
                // What the interrupted copy takes is free again in a moment.
                ignore_free_space: true,
                dry_run: false,
            };
            journal.state = State::Copying;
            copy_and_swap(journal, &run, out)
        }
        State::Verified | State::Swapping | State::Back => {
            journal.swap()?;
            say(out, &format!("{} is the new tree\n", journal.to.display()))
        }
        State::Done => say(out, "the run is done\n"),
    }
}

fn roll_back(undo: &Undo, out: &mut dyn Write) -> Result<(), Failure> {
    let mut journal = directory(undo)?;
    journal.roll_back()?;
    say(out, &format!("{} is the old tree again\n", journal.to.display()))
}
